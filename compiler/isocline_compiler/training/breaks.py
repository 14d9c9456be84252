"""Where a field jumps, bends or is busy as time passes: what a solver must step onto, and must never step over.

The times are found on the expression, not on a solution. Every comparison, floor, corner and the like that depends on
the time alone has a number for the smooth piece it is on; where that number differs between two samples of the time,
bisection closes in on the two neighbouring floats between which it changes. Around every zero of an intermediate value
the samples are graded down to rounding, since that is where a narrow pulse is written (`exp(-((t - 60)/w)^2)`).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import torch

from isocline_compiler.backends.forcing import Forcing, Reading, forcing_of
from isocline_compiler.backends.to_torch import Bound
from isocline_compiler.graph import Array

Read: TypeAlias = Callable[[Array], Reading]

SAMPLES = 2049
"""Times at which the forcing is read first, evenly over the horizon."""
BEYOND = 2e-6
"""How far beyond the ends is searched, relative to the times: single precision may find itself behind a jump there."""
ROUNDS = 6
"""How often the search goes on from what it has found: a comparison of a floor jumps just after the floor does."""
MOST = 4096
"""Places where something changes; with more of them the field is rough everywhere, and small steps are the answer."""
GRADED = 64
"""Zeros around which the samples are graded."""
DEGREE, PLAIN = 6, 1e-3
"""A stretch is plain when a polynomial of this degree keeps the forcing within this part of its range."""
FEW_FEATURES, NARROW = 256, 1 / 32
"""With no more than so many stretches, some of them this much shorter than others, the forcing has a pulse."""
FEW = 8
"""A stretch with no more samples than this is not cut again."""


@dataclass(frozen=True)
class Jump:
    """The last float of the time before a switch, and the first after it. `shared`: by all samples."""

    before: float
    after: float
    shared: bool

    @property
    def gap(self) -> float:
        return abs(self.after - self.before)


@dataclass(frozen=True)
class Breaks:
    """The jumps of a field in the order of travel, and the times between which its forcing is plain."""

    jumps: tuple[Jump, ...] = ()
    features: tuple[float, ...] = ()

    def narrow(self, start: float, end: float) -> tuple[float, ...]:
        """The features, where they are few and some are much closer than others: a pulse, and no steady swing."""
        if not 0 < len(self.features) <= FEW_FEATURES:
            return ()
        points = sorted({start, end, *self.features, *(jump.after for jump in self.jumps)})
        lengths = [there - here for here, there in pairwise(points)]
        return self.features if min(lengths) < NARROW * max(lengths) else ()


def find_breaks(
    bound: Bound,
    times: Sequence[float],
    clock: Callable[[torch.Tensor], torch.Tensor] = lambda s: s,
    when: Callable[[Array], Array] = lambda t: t,
) -> Breaks:
    """The breaks of a bound field between the first and the last of these times of the solver.

    `clock` turns a time of the solver into that of the file, `when` does the reverse.
    """
    forcing = forcing_of(bound)
    if not forcing.nodes or len(times) < 2 or times[0] == times[-1]:
        return Breaks()
    known = _at_knots([when(item) for item in forcing.knots(bound)], times)
    if not forcing.searched:
        return Breaks(tuple(_in_order(known, times)))
    found = _search(lambda s: forcing.reading(bound, s, clock), forcing, times)
    return Breaks(tuple(_in_order(_merged([*found.jumps, *known]), times)), found.features)


def _at_knots(knots: Sequence[Array], times: Sequence[float]) -> list[Jump]:
    """Just before each knot and at it; shared where all samples have it."""
    low, high = min(times), max(times)
    found: dict[float, bool] = {}
    for table in knots:
        shared = table.ndim == 1 or bool(np.ptp(table, axis=0).max() <= 1e-12 * max(abs(low), abs(high)))
        for knot in np.unique(table[(table > low) & (table < high)])[:MOST]:
            found[float(knot)] = found.get(float(knot), False) or shared
    return [Jump(float(np.nextafter(knot, -np.inf)), knot, shared) for knot, shared in found.items()]


def _merged(jumps: Sequence[Jump]) -> list[Jump]:
    """In rising order; those that rounding alone keeps apart are one."""
    rising = sorted(
        (Jump(min(x.before, x.after), max(x.before, x.after), x.shared) for x in jumps), key=lambda x: x.before
    )
    found: list[Jump] = []
    for jump in rising:
        if found and jump.before - found[-1].after <= 1e-13 * abs(jump.after):
            last = found[-1]
            found[-1] = Jump(last.before, max(last.after, jump.after), last.shared or jump.shared)
        else:
            found.append(jump)
    return found


def _in_order(jumps: Sequence[Jump], times: Sequence[float]) -> list[Jump]:
    """In the order of travel."""
    rising = _merged(jumps)
    if times[-1] > times[0]:
        return rising
    return [Jump(item.after, item.before, item.shared) for item in reversed(rising)]


def _search(read: Read, forcing: Forcing, times: Sequence[float]) -> Breaks:
    beyond = BEYOND * max(map(abs, times))
    low, high = min(times) - beyond, max(times) + beyond
    inside = np.linspace(low, high, SAMPLES)
    points = np.unique(np.concatenate([inside, np.asarray(times)]))
    graded: Array = np.zeros(0)
    for _ in range(ROUNDS):
        found = read(points)
        switches, zeros = _changes(points, found.pieces), _changes(points, found.signs)
        fresh = _bisected(lambda s: read(s).pieces, points, switches)
        crossing = _bisected(lambda s: read(s).signs, points, zeros)
        left = GRADED - len(graded)  # a bracket may hold several zeros: the next of them shows in the next round
        around = crossing[:: max(1, len(crossing) // max(left, 1))][: max(left, 0)]
        graded = np.concatenate([graded, around])
        further = np.concatenate([fresh, crossing, _graded(around, high - low)])
        further = further[(further >= low) & (further <= high)]
        more = np.setdiff1d(further, points)
        if not len(more) or len(points) > 16 * SAMPLES:
            break
        points = np.union1d(points, more)
    found = read(points)
    jumps = _jumps(points, found)
    features = _features(points, found, jumps)
    backwards = times[-1] < times[0]
    if backwards:
        jumps = [Jump(item.after, item.before, item.shared) for item in reversed(jumps)]
    return Breaks(tuple(jumps), tuple(reversed(features) if backwards else features))


def _changes(points: Array, columns: Array) -> Array:
    """Where neighbouring samples differ in any column and another float lies between them."""
    differs = (columns[1:] != columns[:-1]).any(axis=1)
    places = np.flatnonzero(differs & (np.nextafter(points[:-1], np.inf) < points[1:]))
    return places[:MOST]


def _bisected(read: Callable[[Array], Array], points: Array, places: Array) -> Array:
    """Both neighbouring floats at the first change in each bracket."""
    if not len(places):
        return np.zeros(0)
    low, high = points[places], points[places + 1]
    start = read(low)
    while True:
        middle = _between(low, high)
        open_ = (middle > low) & (middle < high)
        if not open_.any():
            return np.concatenate([low, high])
        same = (read(middle) == start).all(axis=1)
        low = np.where(open_ & same, middle, low)
        high = np.where(open_ & ~same, middle, high)


def _between(low: Array, high: Array) -> Array:
    """The float with as many others below it in the bracket as above: 64 halvings end any, also one around zero."""
    a, b = _number(low), _number(high)
    number = (a >> 1) + (b >> 1) + (a & b & 1)
    found: Array = np.copysign(np.abs(number).view(np.float64), number.astype(np.float64))
    return found


def _number(x: Array) -> Array:
    """The floats counted from zero."""
    magnitude = np.abs(x).view(np.int64)
    return np.where(x < 0, -magnitude, magnitude)


def _graded(centres: Array, length: float) -> Array:
    """Samples at geometric distances on both sides of each centre, down to rounding."""
    distances = length * 2.0 ** -np.arange(2, 50, 0.5)
    return np.concatenate([centres[:, None] - distances, centres[:, None] + distances], axis=None)


def _jumps(points: Array, found: Reading) -> list[Jump]:
    """Between neighbouring floats; switches that rounding alone keeps apart are one."""
    differs = found.pieces[1:] != found.pieces[:-1]
    adjacent = np.nextafter(points[:-1], np.inf) >= points[1:]
    rounding = 1e-13 * float(np.abs(points).max())
    jumps: list[Jump] = []
    for i in np.flatnonzero(differs.any(axis=1) & adjacent):
        before, after, shared = float(points[i]), float(points[i + 1]), bool(found.shared[differs[i]].any())
        if jumps and before - jumps[-1].after <= rounding:
            jumps[-1] = Jump(jumps[-1].before, after, jumps[-1].shared or shared)
        else:
            jumps.append(Jump(before, after, shared))
    return jumps


def _features(points: Array, found: Reading, jumps: Sequence[Jump]) -> list[float]:
    """The ends of the stretches, by halving, in which every forcing is nearly a polynomial."""
    reach = np.ptp(found.values, axis=0) if found.values.size else np.zeros(0)
    values = found.values[:, (reach > 0) & np.isfinite(reach)] / reach[(reach > 0) & np.isfinite(reach)]
    if not values.shape[1]:
        return []
    edges = [0, *np.searchsorted(points, [jump.after for jump in jumps]).tolist(), len(points)]
    stretches = [(a, b) for a, b in itertools.pairwise(edges) if b > a]
    ends: list[float] = []
    while stretches:
        a, b = stretches.pop()
        if b - a <= FEW or _plain(points[a:b], values[a:b]):
            continue
        middle = int(np.searchsorted(points[a:b], (points[a] + points[b - 1]) / 2)) + a
        middle = min(max(middle, a + 1), b - 1)
        ends.append(float(points[middle]))
        stretches += [(a, middle), (middle, b)]
        if len(ends) > MOST:
            break
    return sorted(ends)


def _plain(times: Array, values: Array) -> bool:
    """Whether a polynomial through Chebyshev points of the samples stays near all of them."""
    x = 2 * (times - times[0]) / (times[-1] - times[0]) - 1
    basis = np.polynomial.chebyshev.chebvander(x, DEGREE)
    nodes = np.unique(np.searchsorted(x, np.cos(np.linspace(np.pi, 0, 3 * DEGREE))).clip(0, len(x) - 1))
    weights, *_ = np.linalg.lstsq(basis[nodes], values[nodes], rcond=None)
    return bool(np.abs(basis @ weights - values).max() <= PLAIN)


__all__ = ["FEW_FEATURES", "Breaks", "Jump", "find_breaks"]
