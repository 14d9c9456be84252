"""`control u = hold(us, at=ts)` to a path, `u(t)` to its value, `F du` to what it adds to an equation."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from isocline_compiler.graph import Array, Fault, Node, at, constant, value_of
from isocline_compiler.graph.tensor_type import Shape, TensorType, describe
from isocline_compiler.lower.conform import conform
from isocline_compiler.lower.expressions import Expressions
from isocline_compiler.lower.faults import LowerError
from isocline_compiler.lower.known_numbers import Numbers
from isocline_compiler.ops.comparison import WHERE
from isocline_compiler.ops.reduction import REDUCE_SUM
from isocline_compiler.ops.shaping import RESHAPE
from isocline_compiler.vocabulary.controls import INTERPOLANTS, MOST_KNOTS, ControlPath, log_signature
from isocline_compiler.vocabulary.observed import filled
from isocline_dsl.messages import driven
from isocline_dsl.tree import Call, Control, Expression, Keyword, Number, Span, Term

SIGNATURE = "log_signature"
EVEN, LISTED, WINDOW, SEEN = "step", "at", "window", "seen"
FILLED = ("hold", "linear", "hermite")
"""Paths through rows with gaps: each of their pieces reads rows nearby, between which gaps are filled."""


def control_path(declaration: Control, expressions: Expressions, numbers: Numbers) -> ControlPath:
    """The path of a declaration. Raises LowerError."""
    call, name = declaration.value, declaration.name.text
    kind = call.name.text
    if kind not in INTERPOLANTS and kind != SIGNATURE:
        raise LowerError(driven.unknown_interpolation(call.name.span, kind, (*INTERPOLANTS, SIGNATURE)))
    options = _options(call, (EVEN, LISTED, *_further(kind)))
    values = _values(call, expressions)
    knots = _knots(call, options, values, expressions, numbers)
    if kind == SIGNATURE:
        return _signature(call, name, options.get(WINDOW), knots, values, numbers)
    interpolant = INTERPOLANTS[kind]
    if SEEN in options:
        values = _observed(call, options[SEEN].value, knots, values, expressions)
    count = values.type.sample[0]
    if isinstance(count, int) and count < interpolant.least:
        raise LowerError(driven.too_few_knots(call.span, kind, count, interpolant.least))
    try:
        with at(call.span):
            return ControlPath(name, interpolant, knots, interpolant.tables(knots, values))
    except Fault as fault:
        raise LowerError(fault.make(call.span)) from None


def _further(kind: str) -> tuple[str, ...]:
    """The options of a kind, besides its times."""
    if kind == SIGNATURE:
        return (WINDOW,)
    return (SEEN,) if kind in FILLED else ()


def _observed(call: Call, given: Expression, knots: Node, values: Node, expressions: Expressions) -> Node:
    """The values with those that were not observed between the others. Raises LowerError."""
    node = expressions.node(given)
    count, name = values.type.sample[0], call.name.text
    if not isinstance(count, int):
        found = f"fills gaps of a number of rows that is known when compiling, and `{count}` is not"
        raise LowerError(driven.control_usage(given.span, name, found))
    if node.type.kind not in ("real", "bool") or node.type.sample not in (values.type.sample, (count,)):
        row, whole = (describe(TensorType("real", shape)) for shape in ((count,), values.type.sample))
        found = f"is told with {describe(node.type)} what was observed, expected {whole} or {row}"
        raise LowerError(driven.control_usage(given.span, name, found))
    with at(given.span):
        told = node if node.type.kind == "real" else WHERE(node, constant(1.0), constant(0.0))
        return filled(knots, values, told, held=name == "hold")


def _options(call: Call, allowed: tuple[str, ...]) -> dict[str, Keyword]:
    found: dict[str, Keyword] = {}
    for item in call.keywords:
        if item.name.text not in allowed or item.name.text in found:
            raise LowerError(driven.control_usage(item.span, call.name.text, f"has no option `{item.name.text}`"))
        found[item.name.text] = item
    if len(call.arguments) != 1 or (EVEN in found) == (LISTED in found):
        what = "takes its values, and one of `at=` and `step=`"
        raise LowerError(driven.control_usage(call.span, call.name.text, what))
    return found


def _values(call: Call, expressions: Expressions) -> Node:
    node = expressions.node(call.arguments[0])
    if node.type.kind != "real" or not node.type.sample:
        raise LowerError(driven.control_values(call.arguments[0].span, call.name.text, describe(node.type)))
    return node


def _knots(call: Call, options: dict[str, Keyword], values: Node, expressions: Expressions, numbers: Numbers) -> Node:
    count = values.type.sample[0]
    if EVEN in options:
        given = options[EVEN].value
        step = float(numbers.real(given))
        if not step > 0:
            raise LowerError(driven.control_times(given.span, f"{step:g} apart", "a step above 0"))
        if not isinstance(count, int):
            found = f"even, and their number `{count}` is known with the input only"
            raise LowerError(driven.control_times(given.span, found, "`at=ts` with `input ts: time[...]`"))
        return constant(step * np.arange(count))
    given = options[LISTED].value
    node = expressions.node(given)
    expected = f"{describe(TensorType('real', (count,)))}, one for each row of its values"
    if node.type.kind != "real" or node.type.sample != (count,):
        raise LowerError(driven.control_times(given.span, describe(node.type), expected))
    known = value_of(node)
    for before, after in pairwise(known if known is not None else ()):
        if not before < after:
            raise LowerError(driven.control_times_not_increasing(given.span, f"{before:g}", f"{after:g}"))
    return node


def _signature(
    call: Call, name: str, window: Keyword | None, knots: Node, values: Node, numbers: Numbers
) -> ControlPath:
    known = value_of(knots)
    if window is None:
        raise LowerError(driven.log_signature_usage(call.span, "needs a window"))
    if known is None or len(values.type.sample) != 2:
        what = "needs times that are known when compiling" if known is None else f"is given {describe(values.type)}"
        raise LowerError(driven.log_signature_usage(call.span, what))
    pieces = numbers.integer(window.value)
    if not 1 <= pieces < len(known):
        raise LowerError(
            driven.log_signature_usage(window.span, f"has a window of {pieces} of {len(known) - 1} pieces")
        )
    if len(known) > MOST_KNOTS:
        raise LowerError(driven.spline_of_many_knots(call.span, len(known), MOST_KNOTS))
    with at(call.span):
        times, walked = log_signature(known, values, pieces)
        return ControlPath(name, INTERPOLANTS["linear"], constant(times), (walked,))


# ---------------------------------------------------------------------------------------------------- uses


def controlled(term: Term, state: str, shape: Shape, path: ControlPath, time: Node, expressions: Expressions) -> Node:
    """`F du` as what it adds to the equation: F u'(t). Raises LowerError, Fault.

    F is of the shape of the state with the control's behind it, whose axes are summed over; beside a control of one
    number, or without `@` beside one of the state's own shape, each entry has its own.
    """
    factor: Expression = term.factor if term.factor is not None else Number("1", span=term.span)
    node = expressions.node(factor)
    if term.entry is not None:
        raise LowerError(driven.control_shape(term.span, state, "one entry of it", f"`F d{path.name}`", path.name))
    with at(term.span):
        rate = path.rate(time, f"d{path.name}")
        channels = rate.type.sample
        summed = conform(node, (*shape, *channels)) if channels and node.type.sample else None
        if summed is not None:
            found = _contracted(summed, rate, len(shape))
        else:
            own = conform(node, shape) if channels in ((), shape) and not term.product else None
            if own is None:
                expected = describe(TensorType("real", (*shape, *channels)))
                raise LowerError(driven.control_shape(term.span, state, describe(node.type), expected, path.name))
            found = own * (rate if channels or not shape else _spread_over(rate, len(shape)))
        return -found if term.sign == "-" else found


def _contracted(factor: Node, rate: Node, rank: int) -> Node:
    """sum over the control's axes of F[..., j] u'[j]."""
    inner = rate.type.sample
    if rate.type.batched:
        rate = RESHAPE(rate, shape=(rate.shape[0], *(1,) * rank, *inner))
    total = factor * rate
    return REDUCE_SUM(total, axes=tuple(range(total.type.rank - len(inner), total.type.rank)), keepdims=False)


def _spread_over(rate: Node, rank: int) -> Node:
    return RESHAPE(rate, shape=(rate.shape[0], *(1,) * rank)) if rate.type.batched else rate


def check_reach(path: ControlPath, times: tuple[float, ...] | None, span: Span | None) -> None:
    """A path that is not held must be given over the whole of a solve whose times are known. Raises LowerError."""
    known: Array | None = value_of(path.knots)
    if path.kind.jumps or known is None or times is None:
        return
    low, high = min(times[0], times[-1]), max(times[0], times[-1])
    slack = 1e-9 * max(abs(low), abs(high), high - low)
    if low < known[0] - slack or high > known[-1] + slack:
        words = (f"{value:g}" for value in (known[0], known[-1], times[0], times[-1]))
        raise LowerError(driven.control_left_behind(span, path.name, *words))


__all__ = ["check_reach", "control_path", "controlled"]
