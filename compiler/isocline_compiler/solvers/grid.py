"""Where a scheme stands on the time axis: grids, and the choice of a scheme with a grid for one solve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from math import isfinite, ulp
from types import MappingProxyType
from typing import Any

import numpy as np

from isocline_compiler.graph import Array
from isocline_compiler.graph.solve import Interval
from isocline_compiler.solvers.schemes import SCHEMES
from isocline_compiler.solvers.schemes.compensated import Compensated
from isocline_compiler.solvers.schemes.scheme import Scheme
from isocline_dsl import messages
from isocline_dsl.diagnostics import IsoclineError
from isocline_dsl.tree import Span


@dataclass(frozen=True)
class Grid:
    """Integration nodes t_0, ..., t_n in the order of travel, and which of them are outputs.

    At the nodes in `jumps` the field jumps: the step before reads it `margin` before the node, the step after as much
    behind it, so that neither meets the other's piece. Raises ValueError unless the times are finite and strictly
    increase or strictly decrease, and `keep` holds increasing positions among them.
    """

    times: tuple[float, ...]
    keep: tuple[int, ...]
    jumps: frozenset[int] = frozenset()
    margin: float = 0.0

    def __post_init__(self) -> None:
        if len(self.times) < 2 or not all(map(isfinite, self.times)):
            raise ValueError("a grid needs at least two finite times")
        signs = {(b > a) - (b < a) for a, b in pairwise(self.times)}
        if signs not in ({1}, {-1}):
            raise ValueError("the times of a grid strictly increase or strictly decrease")
        if not self.keep or any(a >= b for a, b in pairwise((-1, *self.keep, len(self.times)))):
            raise ValueError("the outputs of a grid are increasing positions among its times")

    @property
    def steps(self) -> int:
        """n, one less than the nodes."""
        return len(self.times) - 1

    @property
    def outputs(self) -> tuple[float, ...]:
        """The times at which the solution is kept."""
        return tuple(self.times[index] for index in self.keep)

    @cached_property
    def begins(self) -> tuple[float, ...]:
        """Where each step reads the field first."""
        inwards = self.margin if self.times[-1] > self.times[0] else -self.margin
        return tuple(t + inwards if i in self.jumps else t for i, t in enumerate(self.times[:-1]))

    @cached_property
    def ends(self) -> tuple[float, ...]:
        """Where each step reads the field last."""
        inwards = self.margin if self.times[-1] > self.times[0] else -self.margin
        return tuple(t - inwards if i in self.jumps else t for i, t in enumerate(self.times[1:], 1))

    @cached_property
    def widths(self) -> tuple[float, ...]:
        """h_i = t_{i+1} - t_i; neighbours that differ by rounding alone share one number, their mean.

        So a uniform grid has one h, and what is made of it is one constant in the graph, not n that differ in
        the last bit.
        """
        widths: list[float] = []
        for first, last in _runs(self.times):
            widths += [(self.times[last] - self.times[first]) / (last - first)] * (last - first)
        return tuple(widths)


def _runs(times: Sequence[float]) -> list[tuple[int, int]]:
    """Maximal stretches (first, last) of nodes equally far apart, up to the rounding of the times."""
    rounding = 4 * ulp(max(map(abs, times)))
    runs: list[tuple[int, int]] = []
    for index, (here, there) in enumerate(pairwise(times)):
        if runs:
            first = runs[-1][0]
            if abs((there - here) - (times[first + 1] - times[first])) <= rounding:
                runs[-1] = (first, index + 1)
                continue
        runs.append((index, index + 1))
    return runs


def uniform(start: float, end: float, steps: int) -> Grid:
    """t_i = start + (end - start) i / steps; only the end is an output."""
    return Grid((*_between(start, end, steps), float(end)), (steps,))


def through(times: Sequence[float], substeps: int | Sequence[int]) -> Grid:
    """Every interval between neighbouring times in equal substeps (as many everywhere, or one count an
    interval).

    All the given times are outputs, the first included.
    """
    counts = [substeps] * (len(times) - 1) if isinstance(substeps, int) else list(substeps)
    nodes: list[float] = []
    keep = [0]
    for (here, there), count in zip(pairwise(times), counts, strict=True):
        nodes += _between(here, there, count)
        keep.append(len(nodes))
    return Grid((*nodes, float(times[-1])), tuple(keep))


def from_list(times: Sequence[float], outputs: Sequence[float]) -> Grid:
    """The nodes as they are listed; each output must be one of them, exactly. Raises ValueError."""
    nodes = tuple(map(float, times))
    missing = [time for time in outputs if float(time) not in nodes]
    if missing:
        raise ValueError(f"the output times {missing} are not among the times of the grid")
    return Grid(nodes, tuple(nodes.index(float(time)) for time in outputs))


def distribute(times: Sequence[float], steps: int) -> tuple[int, ...]:
    """Steps an interval, in proportion to its length, at least one each, `steps` in all (largest remainders).

    Raises ValueError with fewer steps than intervals.
    """
    lengths = [abs(b - a) for a, b in pairwise(times)]
    if steps < len(lengths):
        raise ValueError(f"{steps} steps cannot reach {len(lengths)} times one after another")
    spare = steps - len(lengths)
    shares = [spare * length / sum(lengths) for length in lengths]
    counts = [1 + int(share) for share in shares]
    by_remainder = sorted(range(len(lengths)), key=lambda i: (int(shares[i]) - shares[i], i))
    for i in by_remainder[: steps - sum(counts)]:
        counts[i] += 1
    return tuple(counts)


def _between(start: float, end: float, steps: int) -> list[float]:
    """`start` and the inner nodes, each counted from the start: rounding does not pile up."""
    if steps < 1:
        raise ValueError(f"{steps} steps: at least one is needed")
    return [start + (end - start) * i / steps for i in range(steps)]


@dataclass(frozen=True)
class Discretisation:
    """A scheme and where it steps: a grid, or, when the times come with the input, equal substeps of each
    interval.

    With a `segment` the steps are a loop whose body holds so many of them; without, they are laid out one after
    another.
    """

    scheme: Scheme
    grid: Grid | int
    segment: int | None = None

    def __post_init__(self) -> None:
        if isinstance(self.grid, int) and self.grid < 1:
            raise ValueError(f"{self.grid} substeps: at least one is needed")
        if self.segment is not None and self.segment < 1:
            raise ValueError(f"a segment of {self.segment} steps: at least one is needed")


@dataclass(frozen=True)
class Jumps:
    """Times at which a field jumps, how far from them single or double precision is sure of the side, and times around
    a pulse, between which as many steps are needed as between the others.
    """

    times: tuple[float, ...] = ()
    margin: float = 0.0
    around: tuple[float, ...] = ()


NO_JUMPS = Jumps()


def discretise(
    interval: Interval,
    scheme: str,
    steps: int,
    *,
    intervals: int = 1,
    span: Span | None = None,
    jumps: Jumps = NO_JUMPS,
    options: Mapping[str, Any] = MappingProxyType({}),
) -> Discretisation:
    """`steps` steps of the named scheme in all, equally many in each interval, and more where the jumps inside of one
    are more than its steps: every jump is a node.

    `options` are what a call of the scheme says besides. `intervals` is how many there are when the interval's times
    come with the input. Raises IsoclineError when
    the scheme is unknown, or `steps` is not a positive multiple of the number of intervals; `span` is where
    the choice is written.
    """
    if scheme not in SCHEMES:
        raise IsoclineError([messages.unknown_scheme(span, scheme, tuple(SCHEMES))])
    stepping = SCHEMES[scheme].with_options(options) if options else SCHEMES[scheme]
    if options.get("compensated"):
        stepping = Compensated.of(stepping)
    return evenly(interval, stepping, steps, intervals=intervals, span=span, jumps=jumps)


def evenly(
    interval: Interval, scheme: Scheme, steps: int, *, intervals: int = 1, span: Span | None = None,
    jumps: Jumps = NO_JUMPS,
) -> Discretisation:  # fmt: skip
    """The same with a scheme as it is."""
    times = interval.times
    count = intervals if times is None else len(times) - 1
    require_multiple(steps, count, span)
    if times is None:
        return Discretisation(scheme, steps // count)
    return _keeping(interval, scheme, onto(times, steps // count, jumps))


def require_multiple(steps: int, intervals: int, span: Span | None) -> None:
    """Raises IsoclineError where the steps do not divide among the intervals of a solve."""
    if steps < 1 or steps % intervals:
        nearest = _nearest_multiples(steps, intervals)
        raise IsoclineError([messages.steps_not_a_multiple(span, steps, intervals, nearest)])


def at_pace(interval: Interval, scheme: Scheme, steps: int, pace: Array, jumps: Jumps = NO_JUMPS) -> Discretisation:
    """About so many steps of a scheme, dense where those of another method are: the nodes divide `pace` evenly.

    Every kept time and every jump is a node. Steps so differ in width; where the other method kept its error the same
    at every step, so do these.
    """
    times = interval.times
    assert times is not None, "the times are known"
    forwards = times[-1] > times[0]
    near = 4 * jumps.margin
    extra = [t for t in jumps.times if min(times) < t < max(times) and min(abs(t - kept) for kept in times) > near]
    points = sorted((*times, *extra), reverse=not forwards)
    passed = np.array(sorted({*pace, times[0], times[-1]}, reverse=not forwards))
    sign = 1.0 if forwards else -1.0
    numbers = np.interp(sign * np.array(points), sign * passed, np.arange(len(passed), dtype=np.float64))
    shares = np.diff(numbers)
    counts = np.maximum(1, np.rint(shares * steps / shares.sum()).astype(int))
    nodes: list[float] = []
    places = [0]
    for (here, there), first, share, count in zip(pairwise(points), numbers, shares, counts, strict=False):
        inner = first + share * np.arange(1, count) / count
        found = sign * np.interp(inner, np.arange(len(passed)), sign * passed)
        nodes += [here, *(float(t) for t in found if (t - here) * sign > 0 and (there - t) * sign > 0)]
        places.append(len(nodes))
    at = frozenset(
        place for place, t in zip(places, points, strict=True) if any(abs(t - jump) <= near for jump in jumps.times)
    )
    keep = tuple(place for place, t in zip(places, points, strict=True) if t in times)
    return _keeping(interval, scheme, Grid((*nodes, points[-1]), keep, at, jumps.margin))


def _keeping(interval: Interval, scheme: Scheme, grid: Grid) -> Discretisation:
    return Discretisation(scheme, grid if interval.everywhere else replace(grid, keep=grid.keep[-1:]))


def onto(times: Sequence[float], substeps: int, jumps: Jumps) -> Grid:
    """As many substeps in every interval between neighbouring times, with a node at each of the jumps."""
    low, high = min(times), max(times)
    near = 4 * jumps.margin
    inside = [t for t in sorted(set(jumps.times)) if low - near <= t <= high + near]
    if not inside and not jumps.around:
        return through(times, substeps)
    points = list(times)
    for t in (*inside, *jumps.around):
        if low < t < high and min(abs(t - point) for point in points) > near:
            points.append(t)
    points.sort(reverse=times[-1] < times[0])
    stops = [points.index(t) for t in times]
    most = max(b - a for a, b in pairwise(stops))
    total = max(substeps, most) if not jumps.around else -(-substeps // most) * most
    counts: list[int] = []
    for a, b in pairwise(stops):
        counts += [total // most] * most if jumps.around and b - a == most else distribute(points[a : b + 1], total)
    grid = through(points, counts)
    near_jump = [any(abs(t - jump) <= near for jump in inside) for t in points]
    at = [i for i, has in zip(grid.keep, near_jump, strict=True) if has]
    return Grid(grid.times, tuple(grid.keep[i] for i in stops), frozenset(at), jumps.margin)


def halved(choice: Discretisation) -> Discretisation:
    """The same scheme with every step cut in two; the outputs stay where they are."""
    if isinstance(choice.grid, int):
        return Discretisation(choice.scheme, 2 * choice.grid, choice.segment)
    times = [time for here, there in pairwise(choice.grid.times) for time in (here, (here + there) / 2)]
    grid = choice.grid
    finer = replace(
        grid,
        times=(*times, grid.times[-1]),
        keep=tuple(2 * index for index in grid.keep),
        jumps=frozenset(2 * index for index in grid.jumps),
    )
    return Discretisation(choice.scheme, finer, choice.segment)


def _nearest_multiples(steps: int, count: int) -> tuple[int, ...]:
    """The positive multiples of `count` next to `steps`, the smaller first."""
    below = steps // count * count
    return (below, below + count) if below > 0 else (count,)
