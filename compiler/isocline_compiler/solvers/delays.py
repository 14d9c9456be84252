r"""Steps that remember: the states at earlier times, by Hermite's cubic between the nodes of the grid that were passed.

On the step from t_i to t_{i+1}, h wide, with s = (t - t_i)/h,

    x(t) = (1 + 2s)(1-s)^2 x_i + s (1-s)^2 h f_i + s^2 (3 - 2s) x_{i+1} - s^2 (1-s) h f_{i+1},

which misses a solution by O(h^4): schemes of order up to 4 keep theirs. The slopes are those with which steps begin.
Where a delay is a value, the slope with which a step ends is one of its own: at t_0 + tau both are one number, and have
different derivatives with respect to tau.

Laid out, a node that is known to be met is named; in a loop the last of them go round in tables, as many as the longest
delay reaches over, or all where a delay is known only when the model runs.

Bellen, Zennaro (2003), Numerical Methods for Delay Differential Equations, 5.1; Hairer, Norsett, Wanner (1993), II.17.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field, replace

import numpy as np

from isocline_compiler.graph import ARGUMENT, Array, Node, Nodes, Operand, constant, leaf, value_of
from isocline_compiler.graph.delay import delays_of
from isocline_compiler.graph.solve import Row, Solve
from isocline_compiler.ops.broadcasting import broadcast_like
from isocline_compiler.ops.comparison import LESS_EQUAL, WHERE
from isocline_compiler.solvers.field import Field
from isocline_compiler.solvers.grid import Discretisation, Grid
from isocline_compiler.solvers.past import FEWEST, NEAR, Kept, Passed, Past, Places, hermite, node_of, number_of
from isocline_compiler.solvers.schemes.around import Around
from isocline_compiler.solvers.schemes.cost import LONGEST_START, Cost, symbolic_step
from isocline_compiler.solvers.schemes.memory import same_form
from isocline_compiler.solvers.schemes.scheme import Misfit, Scheme
from isocline_compiler.solvers.schemes.step import Memory, Step, beside

SIDE = 1e-6
"""How near to the start, in steps, a time may belong to either side of it: rounded in single precision, too."""


@dataclass(frozen=True)
class Recall:
    """What a field is told of earlier times: the past, and from when on there is one."""

    past: Past
    start: float
    step: Counted
    """The step that is being taken."""
    behind: int = 0
    """Steps from the last node of the past to the begin of this step."""
    ending: bool = False
    """Whether the begin of this step is met as the end of the one before."""

    def __call__(self, place: int, t: Operand, lag: Node, before: Node) -> Node:
        """The state at t - lag, `before` up to the start."""
        found = self._found(place, t, lag)
        if found is None:
            return before
        if isinstance(self.past, Passed) and number_of(t) is not None and value_of(lag) is not None:
            return found
        early = self._early(node_of(t) - lag, 1.0 if self.ending else self.step.part(t))
        return WHERE(beside(early, found), broadcast_like(before, found), found)

    def _early(self, when: Node, part: float | None) -> Node:
        """Whether a time is up to the start. Where the slope of the solution differs from that of what was before, the
        begin of a step at t_0 + lag belongs to the solution, and the end of a step to what was before: so the
        derivative with respect to the delay is that of the side on which the step is.
        """
        width = number_of(self.step.h)
        near = 0.0 if width is None else SIDE * abs(width)
        edge = {0.0: -near, 1.0: near}.get(part, 0.0) if part is not None else 0.0
        return LESS_EQUAL(when, constant(self.start + edge))

    def _tabled(self, place: int, lag: float, part: float) -> Node | None:
        """The state by the numbers of this step, where a table holds them."""
        name = name_of(Asked(lag, part, self.behind))
        if not isinstance(self.past, Kept) or name not in self.step.rows:
            return None
        return self.past.weighed(place, self.step.rows[name], self.step.rows[f"{name} at"])

    def _found(self, place: int, t: Operand, lag: Node) -> Node | None:
        delay, step = value_of(lag), self.step
        part, width = step.part(t), number_of(step.h)
        if isinstance(self.past, Kept) and delay is not None and not delay.shape and part is not None:
            if step.even and width is not None:
                return self.past.steps_back(place, float(delay) / width - part - self.behind, width)
            tabled = self._tabled(place, float(delay), part)
            if tabled is not None:
                return tabled
        return self.past.at(place, t, lag, self.start)


@dataclass(frozen=True)
class Counted(Step):
    """A step that knows which part of it a time is that it gave out."""

    parts: dict[int, tuple[Operand, float]] = field(default_factory=dict)

    @classmethod
    def like(cls, step: Step) -> Counted:
        """The same step."""
        return cls(step.t, step.end, step.h, step.widths, step.rows, step.even)

    def time(self, c: float) -> Operand:
        """t + c h, the same expression whenever it is asked for."""
        known = next((t for t, part in self.parts.values() if part == c), None)
        if known is None:
            known = super().time(c)
            self.parts[id(known)] = known, c
        return known

    def part(self, t: Operand) -> float | None:
        """c of t + c h; None for a time that this step did not give out."""
        if t is self.t or t is self.end:
            return float(t is self.end)
        return self.parts[id(t)][1] if id(t) in self.parts else None


@dataclass(frozen=True)
class Asked:
    """What a step asks of the past: the state `lag` before that part of the step, `behind` nodes after the last one."""

    lag: float
    part: float
    behind: int

    def numbers(self, grid: Grid, kept: int) -> tuple[Array, Array]:
        """For each step the weights of both ends of the piece that is met, (n, 4), and where they stand, (n, 2)."""
        times, steps = np.array(grid.times), np.arange(grid.steps)
        when = times[:-1] + self.part * np.diff(times) - self.lag
        last = steps - self.behind
        i = np.clip(np.searchsorted(times, when, side="right") - 1, 0, np.maximum(last - 1, 0))
        width = times[i + 1] - times[i]
        a, b, c, d = hermite((when - times[i]) / width, width)
        weights = np.stack([a, c, b, d], axis=1)
        place = np.clip(kept - 1 - (last - i), 0, kept - 2)
        weights[when < times[0]] = (1.0, 0.0, 0.0, 0.0)
        return weights, np.stack([place, place + 1], axis=1)


def name_of(asked: Asked) -> str:
    """What the row of these numbers is called."""
    return f"past {asked.lag:.17g} {asked.part:.17g} {asked.behind}"


def all_asked(inner: Scheme, solve: Solve) -> tuple[Asked, ...]:
    """What steps of a scheme ask of the past, found on a step that is emitted; nothing where a time is none of its own.

    A solve whose captured values are bound.
    """
    step = Counted.like(symbolic_step(inner, solve))
    lags = {float(x) for x in (value_of(node.inputs[1]) for node in delays_of(solve)) if x is not None}
    parts: set[float | None] = set()

    def recall(place: int, t: Operand, lag: Node, before: Node) -> Node:
        parts.add(step.part(t))
        return before

    slices = [leaf(ARGUMENT, "row", item.type) for item in solve.row_arguments]
    told = Field(solve).at(slices).recalling(recall)
    memory = inner.start(told, solve.state_arguments)
    for _ in range(LONGEST_START):
        before = memory
        memory, _ = inner.advance(memory, told, step, solve.state_arguments)
        if same_form(before, memory):
            break
    if None in parts:
        return ()
    met = [Asked(lag, part, 0) for lag in lags for part in parts if part is not None]
    return (*(Asked(lag, 0.0, 1) for lag in lags), *met)


@dataclass(frozen=True)
class Remembering(Around):
    """A scheme whose field reads states at earlier times, at these `places`; `kept` nodes go round, or all are named.

    A delay that is shorter than the step meets the last piece of the path, continued.
    """

    _: KW_ONLY
    begun: float
    places: Places
    kept: int | None
    width: float
    sided: bool
    asked: tuple[Asked, ...] = ()

    @classmethod
    def of(cls, inner: Scheme, solve: Solve, choice: Discretisation) -> Scheme:
        """The same scheme where its field remembers nothing."""
        bound = Field.of(solve).solve
        delayed = delays_of(bound)
        if not delayed:
            return inner
        grid = choice.grid
        assert isinstance(grid, Grid), "delays are followed between known times"
        places = tuple(sorted({int(node.attrs["state"]) for node in delayed}))
        lags = [value_of(node.inputs[1]) for node in delayed]
        kept = None
        if choice.segment is not None:
            reach = max((float(lag) for lag in lags if lag is not None), default=0.0)
            kept = reached(grid, reach) if all(lag is not None for lag in lags) else grid.steps + 1
        uneven = kept is not None and all(lag is not None for lag in lags) and len(set(grid.widths)) > 1
        return cls(
            inner, inner.name, inner.order, inner.reference, inner.normals,
            begun=grid.times[0], places=places, kept=kept, width=abs(grid.widths[0]),
            sided=any(lag is None for lag in lags), asked=all_asked(inner, bound) if uneven else (),
        )  # fmt: skip

    def recalling(self, solve: Solve, grid: Grid) -> Solve:
        """With what each step asks of the past, in numbers, as rows."""
        if self.kept is None or not self.asked:
            return solve
        names, stacked = [], []
        for item in self.asked:
            weights, places = item.numbers(grid, self.kept)
            names += [Row(name_of(item), "coefficients", "each"), Row(f"{name_of(item)} at", "coefficients", "each")]
            stacked += [constant(weights), constant(places)]
        return solve.with_rows(names, stacked)

    def start(self, field: Field, x: Nodes) -> Memory:
        """What the scheme remembers, and the past."""
        nothing = dict.fromkeys(self.places, ())
        past: Past = Passed((), nothing, nothing, nothing if self.sided else {})
        if self.kept is not None:
            past = Kept.before(self.begun, x, self.places, self.kept, self.width, self.sided)
        unread = Counted.like(Step.of(self.begun, self.width))
        return self.inner.start(field.recalling(Recall(past, self.begun, unread)), x), past

    def advance(self, memory: Memory, field: Field, step: Step, x: Nodes) -> tuple[Memory, Nodes]:
        """One step; the slopes at its begin are part of the past."""
        inner, past = memory
        counted = Counted.like(step)
        recall = Recall(past, self.begun, counted, behind=1)
        slopes = field.recalling(recall)(step.t, x)
        arriving = field.recalling(replace(recall, ending=True))(step.t, x) if self.sided else slopes
        past = past.after(step.t, x, slopes, arriving)
        told = field.recalling(Recall(past, self.begun, counted)).noting(step.t, x, slopes)
        inner, after = self.inner.advance(inner, told, counted, x)
        return (inner, past), after

    def fits(self, solve: Solve) -> Misfit | None:
        """What the scheme says."""
        return self.inner.fits(solve)

    def stability(self, z: Array) -> Array | None:
        """That of the scheme, without its memory."""
        return self.inner.stability(z)

    def cost(self, solve: Solve) -> Cost:
        """That of the scheme."""
        return self.inner.cost(solve)


NAMED, COUNTED, LOOKED_UP = 7, 13, 65
"""Operations for an earlier state: of two nodes that are known, at known places of a table, by its time."""


def recalled(solve: Solve, choice: Discretisation) -> int:
    """Operations of a step that its memory adds to those of the scheme."""
    delayed = delays_of(solve)
    if not delayed or not isinstance(choice.grid, Grid):
        return 0
    known = all(value_of(node.inputs[1]) is not None for node in delayed)
    each = LOOKED_UP if not known else NAMED if choice.segment is None else COUNTED
    return each * len(delayed) * choice.scheme.cost(solve).evaluations


def reached(grid: Grid, delay: float) -> int:
    """How many nodes, from one that was just passed back, a delay reaches over, with that before them."""
    times = np.abs(np.array(grid.times) - grid.times[0])
    first = np.searchsorted(times, times - delay * (1 + NEAR), side="right") - 1
    count = int((np.arange(len(times)) - np.maximum(first, 0)).max()) + 2
    return max(min(count, grid.steps + 1), FEWEST)


__all__ = ["Asked", "Recall", "Remembering", "reached", "recalled"]
