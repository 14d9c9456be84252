"""Rules of enclosure that several operations share.

A rule takes the precision and an interval for each argument, with one sample in place of the batch, and gives the
interval of the result: of every value that the operation may compute in that precision, by whichever library.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, TypeAlias

import numpy as np

from isocline_compiler.graph import Array, Node
from isocline_compiler.graph.interval import NUMPY, Interval, Precision, unknown
from isocline_compiler.graph.tensor_type import TensorType, is_batch, points_in

Enclose: TypeAlias = "Callable[..., Interval]"
Function: TypeAlias = "Callable[[Array], Array]"

LIBRARY = 16.0
"""Rounding units by which a library's function may miss."""
RATIONAL = 8.0
"""Rounding units of 1 by which the rational approximations of tanh, sigmoid and erf may miss besides."""
WHOLE = 2.0**53
"""Above it float64 has not every integer."""


def enclosed(precision: Precision, node: Node, xs: Sequence[Interval]) -> Interval:
    """The interval of a node's result; of an integer the integers in it. Nothing is known without a rule."""
    if node.op.enclose is None:
        return unknown(sample_shape(node.type))
    with np.errstate(all="ignore"):
        found: Interval = node.op.enclose(precision, *xs, **node.attrs)
        if node.type.kind != "int":
            return found
        return Interval(np.ceil(found.low), np.floor(found.high)).unknown_where(found.size >= WHOLE)


def sample_shape(type_: TensorType) -> tuple[int, ...]:
    """The shape with one sample in the batch."""
    return tuple(size if isinstance(size, int) else points_in(size) if is_batch(size) else 1 for size in type_.shape)


# ---------------------------------------------------------------------------------------------------- moving


def each_end(move: Callable[..., Any]) -> Enclose:
    """Of an operation that moves entries, or is monotone and exact: what its function in torch does with each end.

    `move(torch, *tensors, **attrs)`; what else than x it reads has known values, or is read for its shape alone.
    """

    def enclose(precision: Precision, *xs: Interval, **attrs: Any) -> Interval:
        return Interval(by_torch(move, *(x.low for x in xs), **attrs), by_torch(move, *(x.high for x in xs), **attrs))

    return enclose


def of_torch(name: str) -> Function:
    """A special function that numpy lacks."""
    return lambda x: by_torch(lambda torch, x: getattr(torch.special, name)(x), x)


def by_torch(function: Callable[..., Any], *arrays: Array, **attrs: Any) -> Array:
    """A function of (torch, *tensors, **attrs) on float64 arrays."""
    import torch

    found: Array = function(torch, *(torch.tensor(array) for array in arrays), **attrs).numpy()
    return found


# ---------------------------------------------------------------------------------------------------- one real


def increasing(
    function: Function, *, low: float = -np.inf, high: float = np.inf, units: float = LIBRARY, absolute: float = 0.0
) -> Enclose:
    """Of an increasing function that has values from `low` to `high` only."""

    def enclose(precision: Precision, x: Interval) -> Interval:
        outside = (x.low < low) | (x.high > high)
        found = precision.rounded(function(x.low), function(x.high), units, absolute * precision.unit)
        return found.unknown_where(outside)

    return enclose


def decreasing(function: Function, **limits: float) -> Enclose:
    """Of a decreasing function; its limits lie evenly about 0."""
    rising = increasing(lambda x: function(-x), **limits)
    return lambda precision, x: rising(precision, negative(x))


def dipped(function: Function, at: float) -> Enclose:
    """Of a function that falls up to `at` and rises from there, a product of x and an approximated factor."""

    def enclose(precision: Precision, x: Interval) -> Interval:
        ends = function(x.low), function(x.high)
        lowest = np.where(x.has(at), function(np.array(at)), np.minimum(*ends))
        room = np.where(np.isfinite(x.size), x.size, 0.0) * RATIONAL * precision.unit
        found = precision.rounded(lowest, np.maximum(*ends), LIBRARY, room)
        return found.unknown_where(x.may_be_infinite)

    return enclose


def exact_steps(function: Function) -> Enclose:
    """Of an increasing function whose values need no rounding."""
    return lambda precision, x: Interval(function(x.low), function(x.high))


def waved(function: Function, first_peak: float) -> Enclose:
    """Of a sine with its first maximum at `first_peak`; an interval near a peak is taken to reach it."""

    def enclose(precision: Precision, x: Interval) -> Interval:
        ends, room = (function(x.low), function(x.high)), LIBRARY * precision.unit + NUMPY
        low = np.where(_meets(x, first_peak + np.pi), -1.0, np.minimum(*ends) - room)
        high = np.where(_meets(x, first_peak), 1.0, np.maximum(*ends) + room)
        return Interval(np.maximum(low, -1.0), np.minimum(high, 1.0)).unknown_where(x.may_be_infinite)

    return enclose


def tangent(precision: Precision, x: Interval) -> Interval:
    """tan x, sine by cosine: near a pole the error of the cosine counts tan^2 times."""
    ends = np.tan(x.low), np.tan(x.high)
    room = [(1.0 + end * end) * (LIBRARY * precision.unit + NUMPY) for end in ends]
    pole = _meets(x, np.pi / 2) | _meets(x, -np.pi / 2)
    low = np.where(pole, -np.inf, ends[0] - room[0])
    high = np.where(pole, np.inf, ends[1] + room[1])
    return Interval(low, high).unknown_where(x.may_be_infinite)


def _meets(x: Interval, peak: float) -> Array:
    """Where an interval meets peak + 2 pi k, or may as far as float64 can tell."""
    slack = 1e-9 + x.size * 1e-14
    turn = np.ceil((x.low - slack - peak) / (2 * np.pi))
    found: Array = peak + turn * 2 * np.pi <= x.high + slack
    return found | (slack > 1.0)


# ---------------------------------------------------------------------------------------------------- arithmetic


def negative(x: Interval) -> Interval:
    """-x."""
    return Interval(-x.high, -x.low)


def total(precision: Precision, a: Interval, b: Interval) -> Interval:
    """a + b."""
    clash = (np.isposinf(a.high) & np.isneginf(b.low)) | (np.isneginf(a.low) & np.isposinf(b.high))
    return precision.rounded(a.low + b.low, a.high + b.high).unknown_where(clash)


def difference(precision: Precision, a: Interval, b: Interval) -> Interval:
    """a - b."""
    return total(precision, a, negative(b))


def square(precision: Precision, x: Interval) -> Interval:
    """x^2."""
    low, high = x.low * x.low, x.high * x.high
    return precision.rounded(np.where(x.has(0.0), 0.0, np.minimum(low, high)), np.maximum(low, high))


def product(precision: Precision, a: Interval, b: Interval) -> Interval:
    """a b; of a value with itself the square."""
    if a is b:
        return square(precision, a)
    clash = (a.has(0.0) & b.may_be_infinite) | (b.has(0.0) & a.may_be_infinite)
    return precision.rounded(*_extremes(np.multiply, a, b)).unknown_where(clash)


def quotient(precision: Precision, a: Interval, b: Interval) -> Interval:
    """a / b; anything where b may be 0, and not a number where a may be, too."""
    zero = b.has(0.0)
    clash = (zero & a.has(0.0)) | (a.may_be_infinite & b.may_be_infinite)
    low, high = _extremes(np.divide, a, b)
    found = precision.rounded(np.where(zero, -np.inf, low), np.where(zero, np.inf, high))
    return found.unknown_where(clash | a.is_unknown | b.is_unknown)


def _extremes(function: Callable[[Array, Array], Array], a: Interval, b: Interval) -> tuple[Array, Array]:
    """The least and the largest value at the four corners; not a number where one of them is none."""
    corners = [function(left, right) for left in (a.low, a.high) for right in (b.low, b.high)]
    return np.minimum.reduce(corners), np.maximum.reduce(corners)


def power(precision: Precision, a: Interval, b: Interval) -> Interval:
    """a^b: of any base where the exponent is a known integer, else of bases that are not negative."""
    whole = (b.low == b.high) & (b.low == np.rint(b.low))
    low, high = _extremes(np.power, a, b)
    even = whole & (np.fmod(b.low, 2.0) == 0)
    straddles = a.has(0.0) & (a.low < 0)
    low = np.where(even & straddles & (b.low > 0), 0.0, low)
    pole = whole & (b.low < 0) & straddles
    low, high = np.where(pole & ~even, -np.inf, low), np.where(pole, np.inf, high)
    found = precision.rounded(low, high, LIBRARY)
    return found.unknown_where(((a.low < 0) & ~whole) | a.is_unknown | b.is_unknown)


# ---------------------------------------------------------------------------------------------------- sums


def summed(
    precision: Precision, x: Interval, over: Callable[[Array], Array], terms: float, units: float = 1.0
) -> Interval:
    """`over`, a sum with weights that are not negative, of `terms` terms, in whichever order they are added."""
    size = over(x.size)
    found = precision.rounded(over(x.low), over(x.high), units, _of_terms(precision, size, terms))
    return found.unknown_where(~(size < precision.largest / 2))


def _of_terms(precision: Precision, size: Array, terms: float) -> Array:
    """What rounding adds to a sum of products whose absolute values add up to `size`: n u / (1 - n u) of it.

    Underflow adds a term's smallest number each.
    """
    share = 1.01 * (terms + 2) * (precision.unit + NUMPY)
    found: Array = size * (share / (1.0 - share)) + terms * precision.smallest
    return found


def bilinear(
    precision: Precision, apply: Callable[[Array, Array], Array], a: Interval, b: Interval, terms: float
) -> Interval:
    """`apply(a, b)`, sums of `terms` products each: the product of the middles, and how far what is around may move it.

    |a b - m_a m_b| <= r_a |m_b| + (|m_a| + r_a) r_b for middles m and radii r (Rump 1999).
    """
    (m_a, r_a), (m_b, r_b) = middle_and_radius(a), middle_and_radius(b)
    centre = apply(m_a, m_b)
    spread = apply(r_a, np.abs(m_b)) + apply(np.abs(m_a) + r_a, r_b)
    size = apply(np.abs(m_a) + r_a, np.abs(m_b) + r_b)
    room = _of_terms(precision, size, terms)
    found = precision.rounded(centre - spread, centre + spread, 1.0, room)
    return found.unknown_where(~(size < precision.largest / 2))


def middle_and_radius(x: Interval) -> tuple[Array, Array]:
    """The middle and a radius that reaches both ends, rounding included."""
    middle = 0.5 * x.low + 0.5 * x.high
    reach = np.maximum(x.high - middle, middle - x.low)
    radius = np.where(x.low == x.high, 0.0, np.nextafter(reach * (1.0 + NUMPY), np.inf))
    return np.where(x.low == x.high, x.low, middle), radius


def extent(shape: Sequence[int], axes: Sequence[int]) -> int:
    """How many entries lie along some axes."""
    return prod(shape[axis] for axis in axes)


def log_of_sum(precision: Precision, x: Interval, axis: int) -> Interval:
    """log(sum(e^x)) along an axis, which is kept: the largest entry is subtracted before the exponential."""
    found = precision.rounded(
        _log_sum(x.low, axis), _log_sum(x.high, axis), LIBRARY, _of_exponentials(precision, x, axis)
    )
    lowest = x.low.max(axis, keepdims=True)
    return found.unknown_where(np.isposinf(x.high).any(axis, keepdims=True) | np.isneginf(lowest))


def _log_sum(x: Array, axis: int) -> Array:
    top = x.max(axis, keepdims=True)
    found: Array = top + np.log(np.exp(x - top).sum(axis, keepdims=True))
    return found


def _of_exponentials(precision: Precision, x: Interval, axis: int) -> Array:
    """What rounding adds to the logarithm of a sum of exponentials: of x - max, of the sum, and of the result."""
    largest = np.where(np.isfinite(x.size), x.size, 0.0).max(axis, keepdims=True)
    found: Array = (4.0 * largest + x.low.shape[axis] + LIBRARY) * precision.unit
    return found
