"""What noise adds to a solve that is unrolled: inputs for its increments, and a larger batch for its samples."""

from __future__ import annotations

from math import sqrt

import numpy as np

from isocline_compiler.graph import INPUT, Array, Node, constant, leaf
from isocline_compiler.graph.noise import Noise
from isocline_compiler.graph.solve import Row, Solve, SolveSpec
from isocline_compiler.graph.tensor_type import BATCH, TensorType
from isocline_compiler.ops.arithmetic import POW
from isocline_compiler.ops.elementwise import ABS
from isocline_compiler.ops.points import MERGE_POINTS
from isocline_compiler.ops.shaping import FLIP, RESHAPE, SPREAD, TRANSPOSE
from isocline_compiler.solvers.schemes.scheme import Scheme
from isocline_compiler.solvers.side_by_side import with_samples

AREA = 1 / sqrt(12)
"""The deviation of a space-time Lévy area, in that of its increment: H has variance h/12."""


def noise_inputs(spec: SolveSpec, scheme: Scheme, steps: int) -> dict[str, Node]:
    """The inputs of the unrolled graph that hold a solve's noise in standard form, (batch, samples, steps, channels),
    by the names of the noises.
    """
    shape = (BATCH, spec.samples or 1, steps)
    return {
        noise.name: leaf(INPUT, noise.input, TensorType("real", (*shape, channels_of(noise, scheme))))
        for noise in spec.noises
    }


def channels_of(noise: Noise, scheme: Scheme) -> int:
    """Numbers that a step reads of a noise: those of its entries, and as many again for each further normal."""
    return noise.size * (scheme.normals if noise.process == "brownian" else 1)


def driven(solve: Solve, scheme: Scheme, steps: int) -> Solve:
    """The solve with a row of standard numbers for each noise, (steps, batch, channels), and its samples as a larger
    batch.
    """
    inputs = noise_inputs(solve.spec, scheme, steps)
    for like in list(inputs.values())[:1]:
        solve = solve.rebuilt(initial=tuple(x if x.type.batched else SPREAD(x, like) for x in solve.initial))
    if solve.spec.samples is not None:
        solve = with_samples(solve, solve.spec.samples)
    rows = [_walked(noise, stacked(inputs[noise.name], solve.spec.samples)) for noise in solve.spec.noises]
    return solve.with_rows([Row(name, "noise", "each") for name in inputs], rows)


def _walked(noise: Noise, rows: Node) -> Node:
    """The rows as the steps meet them: of a path that is walked back the negative ones, the last first."""
    return -FLIP(rows, axis=0) if noise.turned else rows


def stacked(x: Node, samples: int | None) -> Node:
    """(batch, samples, steps, channels) -> (steps, batch samples, channels): a row for each step."""
    merged = RESHAPE(x, shape=(x.shape[0], *x.shape[2:])) if samples is None else MERGE_POINTS(x)
    return TRANSPOSE(merged, perm=(1, 0, 2))


# ---------------------------------------------------------------------------------------------------- scales


def scaled(noise: Noise, scheme: Scheme, x: Node, h: Node | float) -> Node:
    """The increments over a step h made of standard numbers, h^p x, and the areas behind them: (batch, channels).

    p is 1/2 for Brownian motion and 1/alpha for stable noise. Counts are what they are.
    """
    if noise.process == "poisson":
        return x
    power = 1 / noise.parameter if noise.process == "stable" else 0.5
    unit: Array | float = 1.0
    if channels_of(noise, scheme) > noise.size:
        unit = np.repeat([1.0, *[AREA] * (scheme.normals - 1)], noise.size)
    if not isinstance(h, Node):
        return x * constant(unit * abs(h) ** power)
    width = RESHAPE(h, shape=(h.shape[0], 1)) if h.type.batched else h
    return x * (constant(unit) * POW(ABS(width), power))
