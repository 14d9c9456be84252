"""Strong and weak errors of a grid, measured on the same paths of noise as a much finer one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from math import log2, sqrt

import numpy as np
import torch

from isocline_compiler.backends.to_torch import TorchProgram
from isocline_compiler.certify.evaluation import Choices, Evaluator
from isocline_compiler.certify.samples import Samples
from isocline_compiler.certify.stochastic.paths import coarsened, drawn_path
from isocline_compiler.certify.stochastic.record import PathErrors
from isocline_compiler.certify.stochastic.walk import SecondWalk
from isocline_compiler.graph import Array
from isocline_compiler.graph.solve import Noise, Solve
from isocline_compiler.solvers.grid import Discretisation, Grid, halved
from isocline_compiler.solvers.unroll.time_span import steps_of

FINER = 32
"""By how much the finest grid is finer than that which is judged: of twice its steps it is sixteen times finer."""
PATHS, FEWEST_ROWS = 1024, 16
"""Paths on which an error is measured, and rows where each has several."""
ENTRIES = 1 << 24
"""Standard numbers of the finest grid that are held at once; more rows are walked in parts."""
NORMAL = 1.96
"""Half of a 95 % interval, in standard errors."""


def refined(choice: Discretisation, factor: int) -> Discretisation:
    """Every step cut into so many, a power of two."""
    while factor > 1:
        choice, factor = halved(choice), factor // 2
    return choice


@dataclass
class Nested:
    """Outputs on several grids for the same rows and paths. `solves` are those that noise drives."""

    evaluator: Evaluator
    solves: tuple[Solve, ...]
    seed: int = 0
    more: int = 1
    """How many times more rows are walked than usual."""

    @property
    def rows(self) -> int:
        """Rows: as many as make enough paths."""
        samples = max(solve.spec.samples or 1 for solve in self.solves)
        return self.more * max(PATHS // samples, FEWEST_ROWS)

    def _parts(self, finest: Choices, areas: bool) -> Iterator[tuple[Evaluator, dict[str, Array]]]:
        """Rows in parts, each with its inputs repeated from the samples, and the noise of the finest grid."""
        entries = sum(
            steps_of(solve, finest[solve.spec.choice]) * (solve.spec.samples or 1) * noise.size * (2 if areas else 1)
            for solve in self.solves
            for noise in solve.spec.noises
        )
        each = max(1, min(self.rows, ENTRIES // entries))
        generator = np.random.default_rng([self.seed, 20_25])
        for start in range(0, self.rows, each):
            places = np.arange(start, min(start + each, self.rows)) % self.evaluator.samples.count
            yield self._part(places), self._noise(len(places), finest, areas, generator)

    def _part(self, places: Array) -> Evaluator:
        mine = self.evaluator
        taken = mine.samples.taken(places) if mine.samples.inputs else mine.samples
        return Evaluator(mine.model, mine.weights, Samples(taken.inputs, {}, taken.origin), mine.error, mine.by)

    def _noise(self, rows: int, finest: Choices, areas: bool, generator: np.random.Generator) -> dict[str, Array]:
        found = {}
        for solve in self.solves:
            choice = finest[solve.spec.choice]
            steps = steps_of(solve, choice)
            widths = np.array(choice.grid.widths) if isinstance(choice.grid, Grid) else np.ones(1)
            for noise in solve.spec.noises:
                shape = (rows, solve.spec.samples or 1, steps)
                found[noise.input] = drawn_path(noise, shape, widths, areas, generator)
        return found

    def outputs(self, grids: Mapping[str, Choices], finest: Choices, walk: bool = True) -> dict[str, dict[str, Array]]:
        """The outputs on each of some grids, by the name of the grid, and on the "finest"; with `walk` those of the
        second walk on the finest, and as "half walk" on one of half its steps.
        """
        areas = any(choice.scheme.normals > 1 for choices in (*grids.values(), finest) for choice in choices.values())
        found: dict[str, list[dict[str, Array]]] = {}
        every = {**grids, "finest": finest}
        programs = {name: TorchProgram(self.evaluator.stepped(choices)) for name, choices in every.items()}
        for part, noise in self._parts(finest, areas):
            for name, choices in every.items():
                own = self.noise_on(choices, finest, noise)
                found.setdefault(name, []).append(outputs_with(part, programs[name], own))
            for name, factor in (("walk", 1), ("half walk", 2)) if walk else ():
                found.setdefault(name, []).append(self._walked(part, finest, factor, noise))
        return {name: _joined(parts, self.evaluator) for name, parts in found.items()}

    def noise_on(self, choices: Choices, finest: Choices, noise: Mapping[str, Array]) -> dict[str, Array]:
        """The noise of the finest grid on a coarser one, with as many normals as its scheme reads."""
        found = {}
        for solve in self.solves:
            mine, fine = choices[solve.spec.choice], finest[solve.spec.choice]
            factor = steps_of(solve, fine) // steps_of(solve, mine)
            for item in solve.spec.noises:
                whole = coarsened(noise[item.input], item, factor)
                found[item.input] = whole[..., : read_by(item, mine)]
        return found

    def _walked(self, part: Evaluator, finest: Choices, factor: int, noise: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs by the second walk, on the finest grid or one that is coarser."""
        coarse = finest if factor == 1 else {name: _coarser(choice, factor) for name, choice in finest.items()}
        tensors = {
            item.input: torch.tensor(coarsened(noise[item.input], item, factor))
            for solve in self.solves
            for item in solve.spec.noises
        }
        own = {solve.spec.choice for solve in self.solves}
        stepped = part.stepped({name: choice for name, choice in finest.items() if name not in own}, leaving=own)
        return part.outputs(stepped, SecondWalk(coarse, tensors, part.known))


def read_by(noise: Noise, choice: Discretisation) -> int:
    """Channels that a scheme reads of a noise."""
    return noise.size * (choice.scheme.normals if noise.process == "brownian" else 1)


def _coarser(choice: Discretisation, factor: int) -> Discretisation:
    grid = choice.grid
    assert isinstance(grid, Grid)
    keep = tuple(place // factor for place in grid.keep)
    jumps = frozenset(place // factor for place in grid.jumps)
    return Discretisation(choice.scheme, Grid(grid.times[::factor], keep, jumps, grid.margin), choice.segment)


def outputs_with(evaluator: Evaluator, program: TorchProgram, noise: Mapping[str, Array]) -> dict[str, Array]:
    """The outputs of emitted steps with this noise."""
    bound = {**evaluator.bound, **{name: torch.tensor(array) for name, array in noise.items()}}
    with torch.no_grad():
        found = program(bound, integrator=evaluator.known)
    return {name: tensor.numpy() for name, tensor in found.items()}


def _joined(parts: list[dict[str, Array]], evaluator: Evaluator) -> dict[str, Array]:
    outputs = evaluator.graph.outputs
    return {
        name: np.concatenate([part[name] for part in parts]) if outputs[name].type.batched else parts[0][name]
        for name in parts[0]
    }


# ---------------------------------------------------------------------------------------------------- numbers


@dataclass(frozen=True)
class Difference:
    """How far an output on one grid is from that on another, row by row and path by path: (paths, entries) each."""

    found: Array
    fine: Array
    size: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", float(np.sqrt(np.mean(self.fine**2))) or 1.0)

    @property
    def squares(self) -> Array:
        """The mean square of the difference by path, relative to the size of the output."""
        with np.errstate(over="ignore"):  # a grid that is too coarse may run away: its error is infinite
            found: Array = np.mean((self.found - self.fine) ** 2, axis=1) / self.size**2
        return found

    @property
    def strong(self) -> tuple[float, float]:
        """The strong error and its standard error."""
        value, error = _mean(self.squares)
        return sqrt(value), error / (2 * sqrt(value)) if value > 0 else 0.0

    @property
    def weak(self) -> tuple[float, float]:
        """The largest difference of means, and the half width of its 95 % interval."""
        moved = (self.found - self.fine) / self.size
        means, errors = moved.mean(axis=0), moved.std(axis=0, ddof=1) / sqrt(len(moved))
        worst = int(np.argmax(np.abs(means) + NORMAL * errors))
        return float(abs(means[worst])), float(NORMAL * errors[worst])


def _mean(values: Array) -> tuple[float, float]:
    return float(values.mean()), float(values.std(ddof=1) / sqrt(len(values)))


def paths_of(name: str, evaluator: Evaluator, array: Array, samples: int | None) -> Array:
    """(paths, entries): rows, and the paths of a row where the output still has them apart."""
    node = evaluator.graph.outputs[name]
    rows = array.astype(np.float64).reshape(len(array) if node.type.batched else 1, -1)
    if samples is not None and node.type.sample[:1] == (samples,):
        return rows.reshape(len(rows) * samples, -1)
    return rows


def measured_errors(nested: Nested, choices: Choices) -> dict[str, PathErrors]:
    """The errors of every real output on a grid, its order, and how far the finest grid is from the second walk."""
    finest = {name: refined(choice, FINER) for name, choice in choices.items()}
    half = {name: halved(choice) for name, choice in choices.items()}
    walk = all(isinstance(choices[solve.spec.choice].grid, Grid) for solve in nested.solves)
    found = nested.outputs({"own": choices, "half": half}, finest, walk)
    samples = max(solve.spec.samples or 0 for solve in nested.solves) or None
    real = [name for name, array in found["own"].items() if array.dtype.kind == "f"]

    def apart(name: str, grid: str, from_: str) -> Difference:
        own, fine = (paths_of(name, nested.evaluator, found[kind][name], samples) for kind in (grid, from_))
        return Difference(own, fine)

    return {name: _errors(name, apart, walk) for name in real}


def _errors(name: str, apart: Callable[[str, str, str], Difference], walk: bool) -> PathErrors:
    own, half = apart(name, "own", "finest"), apart(name, "half", "finest")
    strong, strong_error = own.strong
    weak, weak_interval = own.weak
    after, after_error = half.strong
    order = order_error = None
    if strong > ROUNDED and after > ROUNDED:
        order = log2(strong / after)
        order_error = sqrt((strong_error / strong) ** 2 + (after_error / after) ** 2) / np.log(2)
    if not walk:
        return PathErrors(strong, strong_error, weak, weak_interval, order, order_error)
    walked, walk_halved = apart(name, "finest", "walk"), apart(name, "half walk", "walk")
    allowed = WALK * walk_halved.strong[0] + ROUNDED
    return PathErrors(strong, strong_error, weak, weak_interval, order, order_error, walked.strong[0], allowed)


ROUNDED = 1e-12
"""Differences below this are made of rounding."""
WALK = 4.0
"""By how much the finest grid may be further from the second walk than that is from itself on half as many steps: at
order 1/2 it is 1/(sqrt 2 - 1) = 2.4 times as far from the equation.
"""
