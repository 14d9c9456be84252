"""Sums over the steps of a solve: what only the discretisation knows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from isocline_compiler.graph import ARGUMENT, Fault, Node, Nodes, constant, leaf
from isocline_compiler.graph.solve import Solve, State, spec_of
from isocline_compiler.ops.shaping import SPREAD
from isocline_compiler.solvers.field import Field
from isocline_compiler.solvers.schemes import SCHEMES
from isocline_compiler.solvers.schemes.scheme import Scheme
from isocline_compiler.solvers.schemes.step import Step
from isocline_compiler.vocabulary.regularizers.path_integral import require_smooth, summed
from isocline_compiler.vocabulary.regularizers.record import Context, LossTerm
from isocline_dsl import messages

Measure: TypeAlias = Callable[[Scheme, Field, Step, Nodes, Nodes], Node]
"""(scheme, field, step, the states before and after it) -> one number for each sample, not negative."""


def over_steps(
    callee: str, solution: str, measure: Measure, needs: str = "", given: Callable[[Scheme], bool] = lambda _: True
) -> LossTerm:
    """The sum of a measure over all steps of a solution. `given` says whether a scheme has what it `needs`."""

    def term(context: Context) -> Node:
        def extend(node: Node) -> tuple[Node, int]:
            require_smooth(callee, node)
            _require_steps(callee, context, node, needs, given)
            return measured(node, callee, measure)

        return summed(context, solution, extend, of_steps=True)

    return term


def measured(node: Node, callee: str, measure: Measure) -> tuple[Node, int]:
    """The same solve with a state to which each step adds its measure, from 0; and that state's index: the last one."""
    solve = Solve.of(node)
    solve.refuse_events("what is measured of a step is not that of one that is cut in two")
    batched = next((item for item in solve.initial if item.type.batched), None)
    start = constant(0.0) if batched is None else SPREAD(constant(0.0), batched)
    state = State(f"{callee}~{len(solve.spec.places('measure'))}", role="measure", measure=measure)
    argument = leaf(ARGUMENT, state.name, solve.argument_type(start))
    return solve.with_states([state], [start], [argument], [0.0 * argument]).node(), len(solve.initial)


def own(field: Field, values: Sequence[Node]) -> Nodes:
    """Those of the states that the author declared."""
    return tuple(values[place] for place in field.spec.own)


def _require_steps(callee: str, context: Context, node: Node, needs: str, given: Callable[[Scheme], bool]) -> None:
    """Raises `Fault` where an adaptive solver chooses the steps, or the scheme lacks what is measured."""
    called = context.scheme(node)
    if called.name not in SCHEMES or "steps" not in called.options:
        name = spec_of(node).choice
        raise Fault(lambda span: messages.measure_needs_steps(span, callee, name, called.name))
    if not given(SCHEMES[called.name]):
        known = [name for name, scheme in SCHEMES.items() if not scheme.normals and given(scheme)]
        raise Fault(lambda span: messages.measure_without_tableau(span, callee, called.name, needs, known))
