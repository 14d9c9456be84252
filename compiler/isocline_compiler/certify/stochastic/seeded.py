"""The noise that the runtime makes from a seed, for the solves of a model on their grids."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from isocline_compiler.certify.evaluation import Choices
from isocline_compiler.graph import Array
from isocline_compiler.graph.noise import Noise
from isocline_compiler.graph.solve import Solve
from isocline_compiler.solvers.grid import Discretisation, Grid
from isocline_compiler.solvers.unroll.driven import channels_of
from isocline_compiler.solvers.unroll.time_span import steps_of
from isocline_runtime.randomness import Draws, normals, poisson, stable


@dataclass(frozen=True, eq=False)
class SeededNoise:
    """One input of noise of a deployed model: whose it is, on which grid, and which stream of a seed it reads."""

    solve: Solve
    noise: Noise
    choice: Discretisation
    stream: int

    @property
    def name(self) -> str:
        """The name of the input."""
        return self.noise.input

    @property
    def shape(self) -> tuple[int, int, int]:
        """That of a row: (samples, steps, channels)."""
        steps = steps_of(self.solve, self.choice)
        return self.solve.spec.samples or 1, steps, channels_of(self.noise, self.choice.scheme)

    @property
    def rates(self) -> Array | None:
        """Counts to be expected of a Poisson process in each step, (steps,)."""
        if self.noise.process != "poisson" or not isinstance(self.choice.grid, Grid):
            return None
        rates: Array = self.noise.parameter * np.abs(np.array(self.choice.grid.widths))
        return rates

    def draws(self, seed: int, samples: int | None = None, first: int = 0) -> Draws:
        """Which random numbers the input holds; of `samples` paths from the `first` on, all of them by default."""
        count, steps, channels = self.shape
        words = self.solve.spec.ordering
        return Draws(
            seed, self.stream, count if samples is None else samples, steps, channels, first_sample=first,
            antithetic="antithetic" in words, lattice="lattice" in words,
        )  # fmt: skip

    def made(self, draws: Draws, rows: Sequence[int] | range) -> Array:
        """The numbers, (rows, samples, steps, channels), in float64."""
        match self.noise.process:
            case "brownian":
                return normals(draws, rows)
            case "stable":
                return stable(draws, rows, self.noise.parameter)
        assert self.rates is not None, "a Poisson process on a grid that is known"
        alike = np.unique(self.rates)
        return poisson(draws, rows, alike[0] if len(alike) == 1 else self.rates[:, None])


def seeded_noises(solves: Iterable[Solve], choices: Choices) -> tuple[SeededNoise, ...]:
    """The inputs of noise of the solves, in their order: the n-th reads the n-th stream."""
    pairs = [(solve, noise) for solve in solves for noise in solve.spec.noises]
    return tuple(
        SeededNoise(solve, noise, choices[solve.spec.choice], stream) for stream, (solve, noise) in enumerate(pairs)
    )
