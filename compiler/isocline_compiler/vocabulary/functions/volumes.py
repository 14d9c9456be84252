r"""How solves stretch volumes: the instantaneous change of variables.

A volume that x' = f(t, x) carries along grows by div f, and the density of what is carried falls by as much:

    l' = tr(df/dx),   l(start) = 0;      l(end) = log|det dx(end)/dx(start)|

solved beside x as one more state, on the same grid. It is right in both directions of time. Liouville (1838); Chen,
Rubanova, Bettencourt, Duvenaud (2018), Neural ordinary differential equations, theorem 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from isocline_compiler.derivatives.reverse_forward import pull_back
from isocline_compiler.graph import ARGUMENT, Fault, Node, constant, leaf, topological
from isocline_compiler.graph.solve import PICK, SOLVE, Solve, State, pick
from isocline_compiler.graph.tensor_type import describe
from isocline_compiler.ops.broadcasting import broadcast_like
from isocline_compiler.ops.shaping import SPREAD
from isocline_compiler.vocabulary.functions.derivatives import MOST_OPERATIONS, inner, trace_of
from isocline_compiler.vocabulary.functions.kinds import SolutionValue, Value
from isocline_compiler.vocabulary.functions.record import functions
from isocline_dsl import messages


def logdet_jacobian(path: SolutionValue, probe: Value | None = None) -> Node:
    """log(|det J|) of the Jacobian J = dx(end)/dx(start) of a solve: how much it stretches volumes.

    The integral of the trace of df/dx along the solution, by the solver, over all states together; with `at` one for
    each time. So log p(start) = log p(end) + logdet_jacobian(path), in whichever direction of time. The trace is
    exact, a pass for each entry of the states. With a `probe` e, independent of mean 0 and variance 1 in each entry,
    it is estimated as e^T (df/dx) e in one pass, for training: `draw e: rademacher[2]`.

    Example: logdet_jacobian(path)

    Chen, Rubanova, Bettencourt, Duvenaud (2018); Grathwohl, Chen, Bettencourt, Sutskever, Duvenaud (2019), FFJORD.
    """
    if path.op is not PICK or path.inputs[0].op is not SOLVE:
        raise Fault(lambda span: messages.not_a_solution(span, "logdet_jacobian"))
    solve = Solve.of(path.inputs[0])
    if solve.spec.noises:
        raise Fault(lambda span: messages.not_available_yet(span, "the Jacobian of a solve with noise"))
    solve.refuse_events("the volume changes at a jump, and its equation does not say by how much")
    stretched = _with_log_density(solve, probe)
    return pick(stretched.node(), len(stretched.initial) - 1)


def _with_log_density(solve: Solve, probe: Node | None) -> Solve:
    """The solve with l beside its states. It varies what the solve varies, and so shares its scheme and grid."""
    spec, given = solve.spec, () if probe is None else (probe,)
    batched = next((item for item in (*solve.initial, *given) if item.type.batched), None)
    start = constant(0.0) if batched is None else SPREAD(constant(0.0), batched)
    argument = leaf(ARGUMENT, "log_density~", solve.argument_type(start))
    states = [solve.state_arguments[place] for place in spec.own]
    slopes = solve.slopes(spec.own)
    if probe is None:
        rate = _trace(slopes, states)
    else:
        towards = leaf(ARGUMENT, "probe", probe.type)
        solve = solve.with_captured([probe], [towards])
        rate = _estimate(slopes, states, towards)
    if start.type.batched and not rate.type.batched:
        rate = SPREAD(rate, argument)
    solve = solve.with_states([State(argument.attrs["name"], role="log_density")], [start], [argument], [rate])
    name, varies = f"{spec.name}_density", spec.varies or spec.name
    return solve.rebuilt(spec=replace(solve.spec, name=name, varies=varies))


def _trace(slopes: Sequence[Node], states: Sequence[Node]) -> Node:
    """tr(df/dx), exactly; a state whose slope does not depend on it adds nothing."""
    total = constant(0.0)
    for slope, state in zip(slopes, states, strict=True):
        _require_few(len(topological([slope])))
        if pull_back([slope], [broadcast_like(constant(1.0), slope)], [state])[0] is not None:
            total = total + trace_of("logdet_jacobian", slope, state)
    return total


def _require_few(operations: int) -> None:
    if operations > MOST_OPERATIONS:
        raise Fault(lambda span: messages.derivative_of_too_much(span, "logdet_jacobian", operations, MOST_OPERATIONS))


def _estimate(slopes: Sequence[Node], states: Sequence[Node], probe: Node) -> Node:
    """e^T (df/dx) e, Hutchinson (1990)."""
    if len(states) != 1 or probe.type.sample != states[0].type.sample:
        found = " and ".join(describe(state.type) for state in states)
        raise Fault(lambda span: messages.derivative_shapes(span, "logdet_jacobian", found, describe(probe.type)))
    (slope,), (state,) = slopes, states
    if probe.type.batched and not slope.type.batched:
        if state.type.batched:
            return constant(0.0)  # the slope reads no state
        alike, each = f"{describe(state.type)} for all samples alike", f"{describe(probe.type)} for each"
        raise Fault(lambda span: messages.derivative_shapes(span, "logdet_jacobian", alike, each))
    (moved,) = pull_back([slope], [broadcast_like(probe, slope)], [state])
    return constant(0.0) if moved is None else inner(moved, probe)


VOLUMES = functions("derivative", logdet_jacobian)
