"""`D(x, 0.8) = ...` in a field: the order of a Caputo derivative, and where such a solve can be."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import numpy as np

from isocline_compiler.graph import ARGUMENT, INPUT, WEIGHT, Node, constant, topological, value_of
from isocline_compiler.graph.fractional import has_order
from isocline_compiler.graph.solve import SOLVE, Solve
from isocline_compiler.graph.tensor_type import describe
from isocline_compiler.lower.expressions import Expressions
from isocline_compiler.lower.faults import LowerError
from isocline_dsl import tree
from isocline_dsl.messages import fractional as messages

FAR = 40.0
"""A weight so far out is where its bijection ends, in double precision."""
MOST_WEIGHTS = 6
"""Weights of an order whose ends are all tried."""


def order_of(equation: tree.Equation, state: str, expressions: Expressions, moving: Mapping[str, Node]) -> Node:
    """The order of an equation, one number that nothing moves. Raises LowerError."""
    assert equation.fraction is not None, "the equation is of fractional order"
    span = equation.fraction.span
    numbers, given = expressions.numbers, equation.fraction
    order = constant(float(numbers.real(given))) if numbers.is_known(given) else expressions.node(given)
    if order.type.kind != "real" or order.type.sample:
        raise LowerError(messages.order_form(span, state, describe(order.type)))
    reached = topological([order])
    read = next((name for name, node in moving.items() if node in reached), None)
    read = read or next((str(node.attrs.get("name", "a solution")) for node in reached if node.op in _VARYING), None)
    if read is not None:
        raise LowerError(messages.order_reads(span, state, read))
    value = value_of(order)
    if value is not None:
        if not 0 < float(value) <= 1:
            raise LowerError(messages.order_out_of_range(span, state, f"{float(value):g}"))
        return order
    low, high = _ends(order)
    if not (low > 0 and high < 1):
        raise LowerError(messages.order_not_bounded(span, state, f"{low:g}", f"{high:g}"))
    return order


_VARYING = (INPUT, ARGUMENT, SOLVE)


def _ends(order: Node) -> tuple[float, float]:
    """Between which numbers an order lies, wherever its weights are: at the ends of their bijections."""
    weights = [node for node in topological([order]) if node.op is WEIGHT][:MOST_WEIGHTS]
    found = []
    from isocline_compiler.ops.evaluation import evaluated  # here, and not above: it takes torch

    with np.errstate(over="ignore"):
        for ends in product((-FAR, 0.0, FAR), repeat=len(weights)):
            known = {node: np.full([int(n) for n in node.shape], end) for node, end in zip(weights, ends, strict=True)}
            found.append(float(evaluated([order], known)[0]))
    return min(found), max(found)


def require_remembered(solve: Solve, per_step: bool, span: tree.Span | None) -> None:
    """Raises LowerError where a solve of fractional order cannot remember all that was since its start."""
    if not has_order(solve.spec):
        return
    times = solve.spec.interval.times
    delayed = any(node.op.name == "delayed" for node in topological(solve.region.results))
    for wrong, why in (
        (bool(solve.spec.noises) or solve.spec.samples is not None, "noise drives it"),
        (bool(solve.spec.events), "its states jump"),
        (delayed, "its field reads states at earlier times"),
        (per_step, "its steps have weights of their own"),
        (any("'" in state.name for state in solve.spec.states), "another of its equations is of second order"),
        (times is None, "its times come with each sample, or lie between jumps or observations"),
        (times is not None and times[-1] < times[0], "the solve goes backwards, and such a derivative looks back"),
    ):
        if wrong:
            raise LowerError(messages.fractional_not_here(span, solve.spec.field, why))


__all__ = ["order_of", "require_remembered"]
