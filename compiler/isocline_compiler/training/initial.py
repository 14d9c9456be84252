"""The first value of every weight, a function of the seed and the weight's name alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np

from isocline_compiler.graph import Array
from isocline_compiler.model import Weight


def initial_weights(weights: Iterable[Weight], seed: int) -> dict[str, Array]:
    """float64 arrays by name. A weight that is added or moved in the file changes no other's start."""
    return {weight.name: initial_value(weight, seed) for weight in weights}


def initial_value(weight: Weight, seed: int) -> Array:
    """What the weight's initializer draws from a generator of its own."""
    key = int.from_bytes(hashlib.sha256(weight.name.encode()).digest()[:8], "little")
    generator = np.random.default_rng([seed, key])
    value = np.array(weight.initial(generator, weight.shape), dtype=np.float64)
    return np.broadcast_to(value, weight.shape).copy()
