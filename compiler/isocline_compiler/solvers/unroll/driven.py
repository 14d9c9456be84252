"""What noise adds to a solve that is unrolled: inputs for its increments, and a larger batch for its samples."""

from __future__ import annotations

from dataclasses import replace
from math import sqrt

import numpy as np

from isocline_compiler.graph import INPUT, Array, Graph, Node, Nodes, constant, leaf, topological, transform
from isocline_compiler.graph.noise import Noise
from isocline_compiler.graph.solve import PICK, SOLVE, Row, Solve, SolveSpec, pick, spec_of
from isocline_compiler.graph.tensor_type import BATCH, TensorType
from isocline_compiler.ops.arithmetic import POW
from isocline_compiler.ops.elementwise import ABS
from isocline_compiler.ops.points import MERGE_POINTS, SPLIT_POINTS
from isocline_compiler.ops.shaping import RESHAPE, SPREAD, TRANSPOSE
from isocline_compiler.solvers.points import enlarged, repeated
from isocline_compiler.solvers.schemes.scheme import Scheme

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
    if not inputs:
        return solve
    like = next(iter(inputs.values()))
    solve = solve.rebuilt(initial=tuple(x if x.type.batched else SPREAD(x, like) for x in solve.initial))
    if solve.spec.samples is not None:
        solve = with_samples(solve, solve.spec.samples)
    rows = [stacked(x, solve.spec.samples) for x in inputs.values()]
    return solve.with_rows([Row(name, "noise", "each") for name in inputs], rows)


def stacked(x: Node, samples: int | None) -> Node:
    """(batch, samples, steps, channels) -> (steps, batch samples, channels): a row for each step."""
    merged = RESHAPE(x, shape=(x.shape[0], *x.shape[2:])) if samples is None else MERGE_POINTS(x)
    return TRANSPOSE(merged, perm=(1, 0, 2))


def with_samples(solve: Solve, count: int) -> Solve:
    """The solve of a batch that holds `count` copies of each sample side by side; starts that are apart are there."""

    def many(x: Node) -> Node:
        return MERGE_POINTS(repeated(x, count)) if x.type.batched else x

    return solve.rebuilt(
        region=enlarged(solve.region, count),
        initial=solve.initial if solve.spec.apart else tuple(map(many, solve.initial)),
        captured=tuple(map(many, solve.captured)),
        times=None if solve.times is None else many(solve.times),
    )


def split(results: Nodes, samples: int | None) -> Nodes:
    """The results of a solve with their axis of samples: (batch samples, ...) -> (batch, samples, ...)."""
    return results if samples is None else tuple(SPLIT_POINTS(x, count=samples) for x in results)


def side_by_side(graph: Graph) -> Graph:
    """solve with samples -> solve of a larger batch, its results split again: for a solver that is not ours.

    Starts of solves with noise get their batch axis. The same graph comes back when there is none.
    """
    roots = tuple(graph.outputs.values())
    batched = next((x for x in topological(roots) if x.op is INPUT and x.type.batched), None)
    done: dict[Node, tuple[Node, int | None]] = {}

    def visit(node: Node, inputs: tuple[Node, ...]) -> Node:
        if node.op is PICK and node.inputs[0] in done:
            larger, count = done[node.inputs[0]]
            return split((pick(larger, node.attrs["index"]),), count)[0]
        again = node.rebuilt(inputs)
        if node.op is not SOLVE or not spec_of(node).noises:
            return again
        solve, count = Solve.of(again), spec_of(node).samples
        like = next((x for x in (*solve.initial, *solve.captured) if x.type.batched), batched)
        assert like is not None, "noise that drives no sample"
        solve = solve.rebuilt(initial=tuple(x if x.type.batched else SPREAD(x, like) for x in solve.initial))
        if count is not None:
            solve = with_samples(solve, count)
            solve = solve.rebuilt(spec=replace(solve.spec, samples=None, apart=False))
        done[node] = solve.node(), count
        return done[node][0]

    outputs = transform(roots, visit)
    return graph.with_outputs(dict(zip(graph.outputs, outputs, strict=True))) if done else graph


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
