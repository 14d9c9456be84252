"""The noise of unrolled solves in training: each number is a function of the seed, the update and its own place."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from torch import Tensor

from isocline_compiler.backends.noise import TorchDraws
from isocline_compiler.backends.to_torch import namespace_of
from isocline_compiler.graph import Graph, Node, everything
from isocline_compiler.graph.noise import Noise
from isocline_compiler.graph.solve import SOLVE, choice_of, spec_of
from isocline_compiler.solvers.grid import Discretisation
from isocline_compiler.training.batches import ROWS
from isocline_dsl import messages
from isocline_dsl.diagnostics import IsoclineError

MOST = 2**22
"""Numbers of noise that are drawn at once where no gradient is needed."""
_UPDATE, _FIXED = 2, 3
"""What the seed of a draw is for, beside that of the plan: training draws anew for each update, all else once."""


@dataclass(frozen=True)
class NoiseInput:
    """An input of an unrolled graph: the noise of a solve in standard form, (batch, samples, steps, channels).

    Its draws go by its name and not by its place, so that every graph of a model sees the same paths.
    `widths` are those of the steps, where the process needs them.
    """

    name: str
    noise: Noise
    samples: int
    steps: int
    channels: int
    antithetic: bool = False
    widths: tuple[float, ...] = ()

    @property
    def numbers(self) -> int:
        """How many numbers there are for each sample of the data."""
        return prod((self.samples, self.steps, self.channels))

    def draw(self, seed: int, rows: Tensor) -> Tensor:
        """The numbers of these rows, float64."""
        stream = int.from_bytes(hashlib.sha256(self.name.encode()).digest()[:4], "little")
        draws = TorchDraws(seed, stream, self.samples, self.steps, self.channels, self.antithetic)
        match self.noise.process:
            case "brownian":
                return draws.normals(rows)
            case "stable":
                return draws.stable(rows, self.noise.parameter)
        found = torch.empty((len(rows), self.samples, self.steps, self.channels), dtype=torch.float64)
        for width in sorted(set(self.widths)):  # a rate for each width of a step
            places = [i for i, other in enumerate(self.widths) if other == width]
            found[:, :, places] = draws.poisson(rows, self.noise.parameter * abs(width)).cpu()[:, :, places]
        return found.to(rows.device)


@dataclass
class PathNoise:
    """What fills the noise inputs of one unrolled graph.

    While training, the numbers are new for each update `begin` tells of; elsewhere (validation, standard errors) they
    are the same at every call, so that a loss is a function of the weights. Rows go by their place in the split.
    Samples of a lattice are drawn independently here: its bias-free orders serve a model that is run once.
    """

    inputs: tuple[NoiseInput, ...]
    seed: int
    update: int = 0

    @classmethod
    def of(cls, graph: Graph, inputs: Sequence[Node], choices: Mapping[str, Discretisation], seed: int) -> PathNoise:
        """For the `inputs` that unrolling added to a graph, whose solves went by these choices."""
        nodes = {str(node.attrs["name"]): node for node in inputs}
        found = {}
        for solve in everything(graph.outputs.values()):
            if solve.op is not SOLVE:
                continue
            for noise in spec_of(solve).noises:
                if noise.input in nodes and noise.input not in found:
                    found[noise.input] = _input(solve, noise, nodes[noise.input], choices[choice_of(solve)])
        return cls(tuple(found.values()), seed)

    @property
    def chunk(self) -> int:
        """How many samples of the data may be evaluated at once."""
        return max(1, MOST // max(1, sum(item.numbers for item in self.inputs)))

    def begin(self, update: int) -> None:
        """The draws that follow are those of this update."""
        self.update = update

    def current(self, training: bool) -> int:
        """The seed of what is drawn now."""
        return seed_of(self.seed, _UPDATE, self.update) if training else seed_of(self.seed, _FIXED)

    def filled(self, bound: Mapping[str, Tensor], training: bool) -> Mapping[str, Tensor]:
        """The values of a batch with those of the noise, in the precision and on the device of the others."""
        if not self.inputs:
            return bound
        setting, rows, seed = namespace_of(bound), bound[ROWS], self.current(training)
        return {**bound, **{item.name: item.draw(seed, rows).to(setting.working) for item in self.inputs}}


def seed_of(*numbers: int) -> int:
    """64 bits that these whole numbers decide."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])


def _input(solve: Node, noise: Noise, node: Node, choice: Discretisation) -> NoiseInput:
    _, samples, steps, channels = node.shape
    assert isinstance(samples, int)
    assert isinstance(steps, int)
    assert isinstance(channels, int)
    widths: tuple[float, ...] = ()
    if noise.process == "poisson":
        if isinstance(choice.grid, int):
            what = f"training with jumps `{noise.name}` between times that come with the data"
            raise IsoclineError([messages.not_available_yet(solve.span, what)])
        widths = choice.grid.widths
    antithetic = "antithetic" in spec_of(solve).ordering
    return NoiseInput(noise.input, noise, samples, steps, channels, antithetic, widths)
