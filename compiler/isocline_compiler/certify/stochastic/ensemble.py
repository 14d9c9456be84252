"""Answers of the deployed model to one input, for many draws of its noise: what a picture of them is made of."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from isocline_compiler.certify.deployed import run_deployed
from isocline_compiler.certify.samples import Samples
from isocline_compiler.certify.stochastic.seeded import SeededNoise
from isocline_compiler.graph import Array, Graph
from isocline_runtime import Session

ROWS, NUMBERS = 256, 1 << 22
"""Draws for the same inputs, and standard numbers of all of them together."""
FEWEST = 16
"""Fewer paths than this say nothing of a distribution."""


def ensemble(
    session: Session, graph: Graph, inputs: Samples, noises: Sequence[SeededNoise], seed: int
) -> dict[str, Array]:
    """Real outputs for the first of some inputs, (paths, ...): of every draw, and of each of its samples where an
    output has them apart.
    """
    each = sum(prod(noise.shape) for noise in noises)
    rows = max(1, min(ROWS, NUMBERS // each))
    first = {name: np.repeat(array[:1], rows, axis=0) for name, array in inputs.inputs.items()}
    drawn = {noise.name: noise.made(noise.draws(seed), range(rows)) for noise in noises}
    found = run_deployed(session, Samples({**first, **drawn}, {}, inputs.origin))
    samples = max(noise.shape[0] for noise in noises)
    paths = {}
    for name, array in found.items():
        node = graph.outputs[name]
        apart = samples > 1 and node.type.sample[:1] == (samples,)
        values = array.reshape(-1, *array.shape[2:]) if apart else array
        if node.type.kind == "real" and node.type.batched and len(values) >= FEWEST:
            paths[name] = values.astype(np.float64)
    return paths
