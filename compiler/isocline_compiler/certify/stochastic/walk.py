r"""A second walk of stochastic equations, which shares no steps with the schemes that are deployed.

Ito's equations by Euler and Maruyama, x' = x + f h + sum_k g_k dW_k; Stratonovich's by the scheme of Euler and Heun,
x' = x + f h + sum_k (g_k(x) + g_k(x + sum g dW)) / 2 dW_k. Every product of a diffusion with its increments is written
out here once more, in torch's einsum. Both converge to the equation, slowly: what a faster scheme finds on the same
path must be no further from them than they are from themselves on half as many steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from isocline_compiler.backends.to_torch import FieldProgram, Integrator, TorchField
from isocline_compiler.graph import Node
from isocline_compiler.graph.noise import Noise
from isocline_compiler.graph.solve import Solve, SolveSpec
from isocline_compiler.solvers.grid import Discretisation, Grid

States = tuple[Tensor, ...]


@dataclass(frozen=True)
class SecondWalk:
    """An integrator: stochastic solves on these grids and noise, (rows, samples, steps, m) by input; others `by`."""

    choices: Mapping[str, Discretisation]
    noise: Mapping[str, Tensor]
    by: Integrator

    def __call__(
        self, node: Node, field: TorchField, initial: States, captured: States, stacked: States, times: Tensor | None
    ) -> States:
        """Each state at the end, or at all kept times."""
        solve = Solve.of(node)
        if not solve.spec.noises:
            return self.by(node, field, initial, captured, stacked, times)
        choice = self.choices[solve.spec.choice]
        assert isinstance(choice.grid, Grid), "a grid that is known"
        grid, samples = choice.grid, solve.spec.samples or 1
        rows = len(next(iter(self.noise.values())))
        copies = 1 if solve.spec.apart else samples
        x = tuple(_many(a, rows, copies, b.type.batched) for a, b in zip(initial, solve.initial, strict=True))
        held = tuple(
            _many(a, rows, samples, b.type.batched) if b.type.batched else a
            for a, b in zip(captured, solve.captured, strict=True)
        )
        program = FieldProgram(solve.region, len(initial), len(captured)).bind(field.bound.run, held)
        own = [row for row, _ in solve.field_rows]
        path = [x]
        for i, (t, h) in enumerate(zip(grid.begins, grid.widths, strict=True)):
            slices = [w[row.index(i, grid.steps, len(w))] for row, w in zip(own, stacked, strict=True)]
            x = self._step(solve.spec, program, t, h, x, slices, self._increments(solve.spec, i, h))
            path.append(x)
        kept = [path[i] for i in grid.keep]
        return tuple(self._shaped(solve, place, [states[place] for states in kept]) for place in range(len(x)))

    def _increments(self, spec: SolveSpec, i: int, h: float) -> dict[str, Tensor]:
        """dW of step i by the name of the noise, (rows samples, m)."""
        return {noise.name: self._increment(noise, i, h) for noise in spec.noises}

    def _increment(self, noise: Noise, i: int, h: float) -> Tensor:
        whole = self.noise[noise.input]
        standard = -whole[:, :, whole.shape[2] - 1 - i] if noise.turned else whole[:, :, i]
        return _increment(noise, standard, h)

    def _step(
        self, spec: SolveSpec, program: TorchField, t: float, h: float, x: States,
        slices: Sequence[Tensor], increments: Mapping[str, Tensor],
    ) -> States:  # fmt: skip
        time = torch.tensor(t, dtype=torch.float64)
        results = program(time, x, slices)
        stirred = _stirred(spec, results, x, increments)
        if spec.calculus == "stratonovich":
            ahead = program(time, tuple(a + b for a, b in zip(x, stirred, strict=True)), slices)
            again = _stirred(spec, ahead, x, increments)
            stirred = tuple((a + b) / 2 for a, b in zip(stirred, again, strict=True))
        found = [a + b for a, b in zip(x, stirred, strict=True)]
        for term, state, place in spec.by_term():
            if term.kind != "diffusion":
                found[state] = found[state] + h * results[place]
        return tuple(found)

    def _shaped(self, solve: Solve, place: int, kept: Sequence[Tensor]) -> Tensor:
        """(rows samples, ...) at the kept times to what the solve gives: (rows, [samples], [times], ...)."""
        values = torch.stack(list(kept), dim=1) if solve.spec.interval.everywhere else kept[-1]
        if solve.spec.samples is None:
            return values
        return values.reshape(-1, solve.spec.samples, *values.shape[1:])


def _many(x: Tensor, rows: int, samples: int, batched: bool) -> Tensor:
    whole: Tensor = x if batched else x.expand(rows, *x.shape)
    return whole.repeat_interleave(samples, dim=0)


def _increment(noise: Noise, standard: Tensor, h: float) -> Tensor:
    flat = standard.reshape(-1, standard.shape[-1])[:, : noise.size]
    if noise.process == "poisson":
        return flat
    power = 1 / noise.parameter if noise.process == "stable" else 0.5
    return flat * float(abs(h) ** power)


def _stirred(spec: SolveSpec, results: Sequence[Tensor], x: States, increments: Mapping[str, Tensor]) -> States:
    found = [torch.zeros_like(state) for state in x]
    for term, state, place in spec.by_term():
        if term.kind != "diffusion" or term.noise is None:
            continue
        g, dw, shape = results[place], increments[term.noise], x[state].shape[1:]
        wide = (len(x[state]), *shape, dw.shape[1]) if term.product == "matrix" else x[state].shape
        g = g.expand(wide).reshape(len(dw), prod(shape), *wide[1 + len(shape) :])
        if term.product == "matrix":
            moved = torch.einsum("bij,bj->bi", g, dw)
        elif term.product == "each":
            moved = torch.einsum("bi,bi->bi", g, dw)
        else:
            moved = torch.einsum("bi,b->bi", g, dw[:, term.entry])
        found[state] = found[state] + moved.reshape(x[state].shape)
    return tuple(found)
