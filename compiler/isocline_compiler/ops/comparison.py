"""Comparisons, logic, choice between two values, and casts between kinds."""

from __future__ import annotations

import math
from functools import reduce
from typing import Any

import numpy as np

from isocline_compiler.graph import FLAT, Array, Example, Node, Op
from isocline_compiler.graph.emission import Emitter
from isocline_compiler.graph.interval import Interval, Precision
from isocline_compiler.graph.tensor_type import Kind, TensorType
from isocline_compiler.ops.broadcasting import sum_to
from isocline_compiler.ops.shapes import comparison, integer, joined, logical, misfit, real, require, truth

_PAIRS = (
    Example((real("batch", 3), real("batch", 3))),
    Example((real("batch", 3), real())),
    Example((integer("batch", 3), integer(3))),
)


def _result(y: Any, *_: Any) -> Any:
    """The result is a piece's number itself."""
    return y


_TRUTHS = (Example((truth("batch", 3), truth(3))), Example((truth("batch", 2), truth("batch", 2))))


def _emit_not_equal(emitter: Emitter, node: Node, a: str, b: str) -> str:
    return emitter.node("Not", emitter.node("Equal", a, b))


def _truth(certain: Array, possible: Array) -> Interval:
    """1 where it is certain, 0 where it is not possible, else either."""
    return Interval(certain.astype(np.float64), possible.astype(np.float64))


def _complement(x: Interval) -> Interval:
    return Interval(1.0 - x.high, 1.0 - x.low)


def _enclose_less(precision: Precision, a: Interval, b: Interval) -> Interval:
    """What is not a number may compare either way, here and below: nothing is claimed of it."""
    return _truth(a.high < b.low, ~(a.low >= b.high))


def _enclose_equal(precision: Precision, a: Interval, b: Interval) -> Interval:
    known = (a.low == a.high) & (b.low == b.high)
    return _truth(known & (a.low == b.low), ~((a.high < b.low) | (b.high < a.low)))


def _enclose_and(precision: Precision, a: Interval, b: Interval) -> Interval:
    return Interval(np.minimum(a.low, b.low), np.minimum(a.high, b.high))


LESS = Op(
    "less",
    comparison,
    "lt",
    "Less",
    FLAT,
    "a < b",
    examples=_PAIRS,
    broadcasts=True,
    smooth=False,
    piece=_result,
    enclose=_enclose_less,
    c="{0} < {1}",
)
LESS_EQUAL = Op(
    "less_equal",
    comparison,
    "le",
    "LessOrEqual",
    FLAT,
    "a <= b",
    examples=_PAIRS,
    broadcasts=True,
    smooth=False,
    piece=_result,
    enclose=lambda precision, a, b: _complement(_enclose_less(precision, b, a)),
    c="{0} <= {1}",
)
GREATER = Op(
    "greater",
    comparison,
    "gt",
    "Greater",
    FLAT,
    "a > b",
    examples=_PAIRS,
    broadcasts=True,
    smooth=False,
    piece=_result,
    enclose=lambda precision, a, b: _enclose_less(precision, b, a),
    c="{0} > {1}",
)
GREATER_EQUAL = Op(
    "greater_equal",
    comparison,
    "ge",
    "GreaterOrEqual",
    FLAT,
    "a >= b",
    examples=_PAIRS,
    broadcasts=True,
    smooth=False,
    piece=_result,
    enclose=lambda precision, a, b: _complement(_enclose_less(precision, a, b)),
    c="{0} >= {1}",
)
EQUAL = Op(
    "equal",
    comparison,
    "eq",
    "Equal",
    FLAT,
    "a == b",
    examples=(*_PAIRS, *_TRUTHS),
    commutative=True,
    broadcasts=True,
    smooth=False,
    piece=_result,
    enclose=_enclose_equal,
    c="{0} == {1}",
)
NOT_EQUAL = Op(
    "not_equal",
    comparison,
    "ne",
    _emit_not_equal,
    FLAT,
    "a != b",
    examples=(*_PAIRS, *_TRUTHS),
    commutative=True,
    broadcasts=True,
    smooth=False,
    piece=_result,
    enclose=lambda precision, a, b: _complement(_enclose_equal(precision, a, b)),
    c="{0} != {1}",
)

AND = Op(
    "and",
    logical,
    "logical_and",
    "And",
    FLAT,
    "a and b",
    examples=_TRUTHS,
    commutative=True,
    broadcasts=True,
    smooth=False,
    piece=_result,
    enclose=_enclose_and,
    c="{0} & {1}",
)
OR = Op(
    "or",
    logical,
    "logical_or",
    "Or",
    FLAT,
    "a or b",
    examples=_TRUTHS,
    commutative=True,
    broadcasts=True,
    smooth=False,
    piece=_result,
    enclose=lambda precision, a, b: _complement(_enclose_and(precision, _complement(a), _complement(b))),
    c="{0} | {1}",
)
NOT = Op(
    "not",
    logical,
    "logical_not",
    "Not",
    FLAT,
    "not a",
    examples=(Example((truth("batch", 3),)),),
    smooth=False,
    piece=_result,
    enclose=lambda precision, x: _complement(x),
    c="!{0}",
)


def _choice(condition: TensorType, a: TensorType, b: TensorType) -> TensorType:
    if condition.kind != "bool" or a.kind != b.kind:
        raise misfit("where", (condition, a, b), "a condition and two values of one kind")
    return a.with_shape(joined(condition, a, b))


def _grad_where(g: Node, y: Node, condition: Node, a: Node, b: Node) -> tuple[Node | None, ...]:
    return (None, sum_to(WHERE(condition, g, 0.0), a), sum_to(WHERE(condition, 0.0, g), b))


def _emit_where(emitter: Emitter, node: Node, condition: str, a: str, b: str) -> str:
    """onnxruntime has no Where of truth values: (c and a) or (not c and b)."""
    if node.type.kind != "bool":
        return emitter.node("Where", condition, a, b)
    either = emitter.node("And", emitter.node("Not", condition), b)
    return emitter.node("Or", emitter.node("And", condition, a), either)


def _enclose_where(precision: Precision, condition: Interval, a: Interval, b: Interval) -> Interval:
    either, always, never = a.joined(b), condition.low == 1, condition.high == 0
    low = np.where(always, a.low, np.where(never, b.low, either.low))
    return Interval(low, np.where(always, a.high, np.where(never, b.high, either.high)))


WHERE = Op(
    "where", _choice, "where", _emit_where, _grad_where, "a where the condition holds, else b.",
    examples=(
        Example((truth("batch", 3), real("batch", 3), real(3))),
        Example((truth("batch", 1), real(), real("batch", 3))),
        Example((truth("batch", 3), integer("batch", 3), integer())),
        Example((truth("batch", 3), truth("batch", 3), truth(3))),
    ),
    broadcasts=True, smooth=False,
    enclose=_enclose_where, c="{0} ? {1} : {2}",
)  # fmt: skip


def _cast_type(x: TensorType, *, kind: Kind) -> TensorType:
    if kind not in ("real", "int", "bool"):
        raise AssertionError(f"no kind {kind!r}")
    return TensorType(kind, x.shape)


def _torch_cast(torch: Any, x: Any, kind: Kind) -> Any:
    return x.to({"real": torch.working, "int": torch.int64, "bool": torch.bool}[kind])


def _emit_cast(emitter: Emitter, node: Node, x: str) -> str:
    return emitter.node("Cast", x, to=emitter.elements(node.attrs["kind"]))


def _grad_cast(g: Node, y: Node, x: Node, kind: Kind) -> tuple[Node | None]:
    return (g if kind == "real" and x.type.kind == "real" else None,)


def _enclose_cast(precision: Precision, x: Interval, kind: Kind) -> Interval:
    """Reals stay as they are; integers beyond the precision are rounded, and what no integer holds is anything."""
    if kind == "bool":
        return _truth(~x.has(0.0) & ~x.is_unknown, ~((x.low == 0) & (x.high == 0)))
    if kind == "int":
        return Interval(np.trunc(x.low), np.trunc(x.high)).unknown_where(x.size >= 2.0**63)
    wide, small = precision.rounded(x.low, x.high), x.size <= 1.0 / precision.unit
    return Interval(np.where(small, x.low, wide.low), np.where(small, x.high, wide.high))


def _cast_in_c(node: Node) -> str:
    return {"real": "{0}", "int": "(int64_t){0}", "bool": "{0} != 0"}[node.attrs["kind"]]


def _clip_in_c(node: Node) -> str:
    """An infinite bound is none."""
    low, high = node.attrs["low"], node.attrs["high"]
    text = f"{{0}} > @literal({high!r}) ? @literal({high!r}) : {{0}}" if math.isfinite(high) else "{0}"
    return f"{{0}} < @literal({low!r}) ? @literal({low!r}) : ({text})" if math.isfinite(low) else text


CAST = Op(
    "cast", _cast_type, _torch_cast, _emit_cast, _grad_cast,
    "The same values as another kind; to `int` rounds towards zero.",
    examples=(
        Example((truth("batch", 3),), {"kind": "real"}),
        Example((integer("batch", 3),), {"kind": "real"}),
        Example((real("batch", 3),), {"kind": "int"}),
        Example((real("batch", 3),), {"kind": "real"}),
        Example((truth("batch", 3),), {"kind": "int"}),
    ),
    smooth=False, piece=lambda y, x, kind: y * 0 if kind == "real" else y,
    enclose=_enclose_cast, c=_cast_in_c,
)  # fmt: skip


def _bounded(x: TensorType, *, low: float, high: float) -> TensorType:
    require("clip", ("real",), x)
    return x


def _grad_clip(g: Node, y: Node, x: Node, low: float, high: float) -> tuple[Node]:
    """1 between the bounds and on them, as torch has it; an infinite bound is none."""
    kept = [test(x, bound) for test, bound in ((GREATER_EQUAL, low), (LESS_EQUAL, high)) if math.isfinite(bound)]
    return (WHERE(reduce(AND, kept), g, 0.0) if kept else g,)


def _emit_clip(emitter: Emitter, node: Node, x: str) -> str:
    low, high = emitter.real(node.attrs["low"]), emitter.real(node.attrs["high"])
    if emitter.wide:  # onnxruntime fuses Relu and Clip, and refuses the model where they are of float64
        return emitter.node("Min", emitter.node("Max", x, low), high)
    return emitter.node("Clip", x, low, high)


def _enclose_clip(precision: Precision, x: Interval, low: float, high: float) -> Interval:
    """Between bounds that are rounded themselves."""
    least, most = precision.rounded(np.array(low), np.array(low)), precision.rounded(np.array(high), np.array(high))
    bottom = np.minimum(np.maximum(x.low, least.low), most.low)
    return Interval(bottom, np.minimum(np.maximum(x.high, least.high), most.high))


CLIP = Op(
    "clip", _bounded, lambda torch, x, low, high: torch.clamp(x, low, high), _emit_clip, _grad_clip,
    "x, but not below `low` nor above `high`; infinite bounds are none.",
    examples=(
        Example((real("batch", 4),), {"low": -1.0, "high": 0.5}),
        Example((real("batch", 4),), {"low": 0.0, "high": float("inf")}),
    ),
    smooth=False, piece=lambda y, x, **_: (x > y) * 2 + (x < y),
    enclose=_enclose_clip, c=_clip_in_c,
)  # fmt: skip

COMPARISON = (LESS, LESS_EQUAL, GREATER, GREATER_EQUAL, EQUAL, NOT_EQUAL, AND, OR, NOT, WHERE, CAST, CLIP)
