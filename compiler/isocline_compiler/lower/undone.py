"""`back = inverse(h)`: a solve undone, as a solve backwards with the adjoint of its scheme on the same grid."""

from __future__ import annotations

from dataclasses import replace

from isocline_compiler.graph import Node, here
from isocline_compiler.graph.called import Called
from isocline_compiler.graph.solve import Interval, Solve, pick
from isocline_compiler.graph.tensor_type import describe
from isocline_compiler.lower.called import FIXED, option_value
from isocline_compiler.lower.conform import conform, spread
from isocline_compiler.lower.expressions import Expressions, Solution
from isocline_compiler.lower.faults import LowerError
from isocline_compiler.lower.known_numbers import Numbers
from isocline_compiler.ops.indexing import SELECT
from isocline_compiler.ops.points import MERGE_POINTS
from isocline_compiler.ops.shaping import FLIP
from isocline_compiler.solvers.points import at_points
from isocline_compiler.solvers.schemes import SCHEMES
from isocline_compiler.solvers.schemes.adjoint import adjoint_of, undoable
from isocline_dsl import messages
from isocline_dsl.tree import Call, Keyword

ITERATIONS = "iterations"


def undone(name: str, call: Call, of: str, solution: Solution, expressions: Expressions, numbers: Numbers) -> Solution:
    """The states from which a scheme takes the solve `of` to its end, or to states that are given by their names.

    What is undone is the scheme and not the equation: up to rounding where the adjoint is explicit, up to what its
    iterations leave where it is not. Raises LowerError where the solve names no scheme, or one without an adjoint.
    """
    if solution.solve is None:
        reason = "between its jumps they are those of a loop"
        raise LowerError(messages.no_inverse(call.span, of, reason, undoable()))
    solve = Solve.of(solution.solve)
    if solve.spec.events:
        reason = "its states jump, and where they did cannot be told from behind"
        raise LowerError(messages.no_inverse(call.span, of, reason, undoable()))
    scheme = _scheme(solve, call, numbers)
    interval = solve.spec.interval
    times = None if interval.times is None else interval.times[::-1]
    moving = None if solve.times is None else FLIP(solve.times, axis=solve.times.type.rank - 1)
    initial = _ends(solve, solution.solve, call, expressions)
    back = solve.rebuilt(
        spec=replace(
            solve.spec, name=name, interval=Interval(times, everywhere=False), scheme=scheme,
            rows=tuple(row.turned() for row in solve.spec.rows), undoes=solve.spec.name,
            noises=tuple(replace(noise, source=noise.input, turned=not noise.turned) for noise in solve.spec.noises),
            apart=solve.spec.samples is not None,
        ),
        initial=initial, times=moving, span=here(),
    )  # fmt: skip
    misfit = SCHEMES[scheme.name].fits(back)
    if misfit is not None:
        reason = misfit(call.span).message.split(": ", 1)[-1]
        raise LowerError(messages.no_inverse(call.span, solve.spec.name, reason, _fitting(solve)))
    node = back.node()
    return Solution({solve.spec.states[place].name: pick(node, place) for place in solve.spec.own})


def _fitting(solve: Solve) -> tuple[str, ...]:
    return undoable(noise=bool(solve.spec.noises))


def _scheme(solve: Solve, call: Call, numbers: Numbers) -> Called:
    """The adjoint with as many steps, and the iterations that are asked for. Raises LowerError."""
    spec, named = solve.spec, solve.spec.scheme
    if named is None:
        raise LowerError(messages.no_inverse(call.span, spec.name, "it names no scheme", _fitting(solve)))
    adjoint = adjoint_of(SCHEMES[named.name].with_options(named.options))
    if adjoint is None:
        reason = f"a step of `{named.name}` has none that we know"
        raise LowerError(messages.no_inverse(call.span, spec.name, reason, _fitting(solve)))
    options = {**adjoint.options, "steps": named.options["steps"]}
    for item in call.keywords:
        if item.name.text == ITERATIONS and ITERATIONS in options:
            options[ITERATIONS] = int(option_value(item.value, FIXED[adjoint.name], ITERATIONS, numbers))
    return Called(adjoint.name, options, call.span)


def _ends(solve: Solve, node: Node, call: Call, expressions: Expressions) -> tuple[Node, ...]:
    """Where the solve ends, state by state, unless another value is given by the state's name: then what the scheme
    remembers of the state is that value, too. Raises LowerError.
    """
    names = [solve.spec.states[place].name for place in solve.spec.own]
    given = {item.name.text: item for item in call.keywords if item.name.text != ITERATIONS or ITERATIONS in names}
    for key, item in given.items():
        if key not in names:
            raise LowerError(messages.unknown_state(item.name.span, key, names))
    whose = [state.of or state.name for state in solve.spec.states]
    ends = [
        _given(solve, i, given[name], expressions) if name in given else _last(solve, pick(node, i))
        for i, name in enumerate(whose)
    ]
    batched = next((node for node in (*ends, *solve.captured) if node.type.batched), None)
    return tuple(node if batched is None or not old.type.batched else spread(node, batched)
                 for node, old in zip(ends, solve.initial, strict=True))  # fmt: skip


def _given(solve: Solve, place: int, item: Keyword, expressions: Expressions) -> Node:
    node, state = expressions.node(item.value), solve.spec.states[place]
    fitted = conform(node, state.shape)
    if fitted is None:
        expected = describe(solve.initial[place].type)
        raise LowerError(messages.start_shape(item.value.span, state.name, describe(node.type), expected))
    count = solve.spec.samples
    return fitted if count is None or not fitted.type.batched else at_points(fitted, count)


def _last(solve: Solve, states: Node) -> Node:
    """The end of (batch, times, ...), or of (batch, samples, times, ...) side by side, (samples batch, ...)."""
    samples = solve.spec.samples is not None
    if solve.spec.interval.everywhere:
        states = SELECT(states, axis=int(states.type.batched) + samples, index=-1)
    return MERGE_POINTS(states) if samples else states


__all__ = ["undone"]
