"""Strong and weak errors of a grid, measured on the same paths of noise as a much finer one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch

from isocline_compiler.backends.to_torch import TorchProgram
from isocline_compiler.certify.evaluation import Choices, Evaluator
from isocline_compiler.certify.samples import Samples
from isocline_compiler.certify.stochastic.differences import Difference, by_inputs
from isocline_compiler.certify.stochastic.paths import coarsened, drawn_path
from isocline_compiler.certify.stochastic.record import PathErrors
from isocline_compiler.certify.stochastic.walk import SecondWalk
from isocline_compiler.graph import Array
from isocline_compiler.graph.noise import Noise
from isocline_compiler.graph.solve import Solve
from isocline_compiler.solvers.grid import Discretisation, Grid, halved
from isocline_compiler.solvers.unroll.time_span import steps_of

FINER = 32
"""By how much the finest grid is finer than that which is judged: of twice its steps it is sixteen times finer."""
PATHS, FEWEST_ROWS = 1024, 16
"""Paths on which an error is measured, and rows where each has several."""
INPUTS, TURNS = 8, 4
"""Different inputs of these rows, each of which has so many rows at least."""
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
        return self.more * max(PATHS // samples, FEWEST_ROWS) // self.inputs * self.inputs

    @property
    def inputs(self) -> int:
        """Different inputs, which take turns: a mean over paths is one for the same inputs."""
        samples = max(solve.spec.samples or 1 for solve in self.solves)
        return min(INPUTS, max(PATHS // samples, FEWEST_ROWS) // TURNS, self.evaluator.samples.count)

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
            turns = np.arange(start, min(start + each, self.rows)) % self.inputs
            places = self.evaluator.samples.spread(self.inputs)[turns]
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


def difference(nested: Nested, name: str, found: Array, fine: Array) -> Difference:
    """An output on two grids, by the inputs of its rows."""
    samples = max(solve.spec.samples or 0 for solve in nested.solves) or None
    apart = samples if nested.evaluator.graph.outputs[name].type.sample[:1] == (samples,) else None
    return Difference(by_inputs(found, nested.inputs, apart), by_inputs(fine, nested.inputs, apart))


def measured_errors(nested: Nested, choices: Choices) -> dict[str, PathErrors]:
    """The errors of every real output on a grid, its order, and how far the finest grid is from the second walk."""
    finest = {name: refined(choice, FINER) for name, choice in choices.items()}
    grids = {f"cut in {factor}": {name: refined(choice, factor) for name, choice in choices.items()} for factor in CUTS}
    walk = all(isinstance(choices[solve.spec.choice].grid, Grid) for solve in nested.solves)
    found = nested.outputs(grids, finest, walk)
    real = [name for name, array in found["finest"].items() if array.dtype.kind == "f"]

    def apart(name: str, grid: str, from_: str) -> Difference:
        return difference(nested, name, found[grid][name], found[from_][name])

    return {name: _errors(name, apart, walk) for name in real}


def _errors(name: str, apart: Callable[[str, str, str], Difference], walk: bool) -> PathErrors:
    own, half, *_ = cuts = [apart(name, f"cut in {factor}", "finest") for factor in CUTS]
    seen = all(ROUNDED < item.strong[0] < float("inf") for item in (own, half))
    order, order_error = own.order(half) if seen else (None, None)
    errors = PathErrors(
        *own.strong, *own.weak, order, order_error,
        halvings=tuple(item.strong[0] for item in cuts), stands=seen and _stands(own, cuts[-1]),
    )  # fmt: skip
    if not walk:
        return errors
    walked, walk_halved = apart(name, "finest", "walk"), apart(name, "half walk", "walk")
    return replace(errors, walk=walked.strong[0], allowed=WALK * walk_halved.strong[0] + ROUNDED)


def _stands(own: Difference, finer: Difference) -> bool:
    """Whether the error is surely none that falls. A grid that runs away, or one of rounding alone, says nothing."""
    if not LEAST < own.strong[0] < FOLLOWS or not finer.strong[0] > 0:
        return False
    fallen, chance = own.order(finer)
    return fallen + SURE * chance < STANDS


LEAST, FOLLOWS = 1e-9, 1.0
"""Relative errors below which rounding has a part in them, and from which on a grid does not follow its paths."""
STANDS, SURE = 0.2, 3.0
"""An order of two halvings together that is none, and how many standard errors it has to be below it."""
CUTS = (1, 2, 4)
"""Into how many parts the steps of a grid are cut to see its error fall."""
ROUNDED = 1e-12
"""Differences below this are made of rounding."""
WALK = 4.0
"""By how much the finest grid may be further from the second walk than that is from itself on half as many steps: at
order 1/2 it is 1/(sqrt 2 - 1) = 2.4 times as far from the equation.
"""
