"""The noise that the runtime makes from a seed: of the solves of a model on their grids, and of an ensemble."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from isocline_compiler.certify.evaluation import Choices
from isocline_compiler.graph import Array
from isocline_compiler.graph.noise import Noise, Ordering
from isocline_compiler.graph.solve import Solve
from isocline_compiler.solvers.ensemble import KeptNoise
from isocline_compiler.solvers.grid import Discretisation, Grid
from isocline_compiler.solvers.unroll.driven import channels_of
from isocline_compiler.solvers.unroll.time_span import steps_of
from isocline_runtime.randomness import Draws, bernoulli, normals, poisson, stable, uniforms


@dataclass(frozen=True, eq=False)
class SeededNoise:
    """One input of noise of a deployed model: of which kind, which stream of a seed it reads, how its samples are
    drawn, the `shape` of a row, (samples, steps, channels), and the counts to be expected in each step of a Poisson
    process, (steps,).
    """

    noise: Noise
    stream: int
    shape: tuple[int, int, int]
    ordering: Ordering = "independent"
    rates: Array | None = None

    @property
    def name(self) -> str:
        """The name of the input."""
        return self.noise.input

    def draws(self, seed: int, samples: int | None = None, first: int = 0) -> Draws:
        """Which random numbers the input holds; of `samples` paths from the `first` on, all of them by default."""
        count, steps, channels = self.shape
        return Draws(
            seed, self.stream, count if samples is None else samples, steps, channels, first_sample=first,
            antithetic="antithetic" in self.ordering, lattice="lattice" in self.ordering,
        )  # fmt: skip

    def made(self, draws: Draws, rows: Sequence[int] | range) -> Array:
        """The numbers, (rows, samples, steps, channels), in float64."""
        match self.noise.process:
            case "brownian":
                return normals(draws, rows)
            case "stable":
                return stable(draws, rows, self.noise.parameter)
            case "uniform":
                return uniforms(draws, rows)
            case "bernoulli":
                return bernoulli(draws, rows, self.noise.parameter)
        assert self.rates is not None, "a Poisson process on a grid that is known"
        alike = np.unique(self.rates)
        return poisson(draws, rows, alike[0] if len(alike) == 1 else self.rates[:, None])


def seeded_noises(solves: Iterable[Solve], choices: Choices) -> tuple[SeededNoise, ...]:
    """The inputs of noise of the solves, in their order: the n-th reads the n-th stream. One that is walked forth and
    back is one input.
    """
    found: dict[str, tuple[Solve, Noise]] = {}
    for solve in solves:
        for noise in solve.spec.noises:
            found.setdefault(noise.input, (solve, noise))
    return tuple(
        _of_solve(solve, noise, choices[solve.spec.choice], stream)
        for stream, (solve, noise) in enumerate(found.values())
    )


def _of_solve(solve: Solve, noise: Noise, choice: Discretisation, stream: int) -> SeededNoise:
    shape = solve.spec.samples or 1, steps_of(solve, choice), channels_of(noise, choice.scheme)
    rates: Array | None = None
    if noise.process == "poisson" and isinstance(choice.grid, Grid):
        rates = noise.parameter * np.abs(np.array(choice.grid.widths))
    return SeededNoise(noise, stream, shape, solve.spec.ordering, rates)


def kept_noises(kept: Iterable[KeptNoise]) -> tuple[SeededNoise, ...]:
    """The inputs of noise of an ensemble: the n-th reads the n-th stream."""
    return tuple(
        SeededNoise(item.noise, stream, (item.samples, item.steps, item.noise.size)) for stream, item in enumerate(kept)
    )
