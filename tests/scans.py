"""What the tests of scans stand on: observations at irregular times, and cells and steps written in torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from isocline_compiler.graph import Array

Weights = Mapping[str, Tensor]


def observations(rows: int, length: int, seed: int = 0) -> dict[str, Array]:
    """Every sample at its own times, some of its observations missing; `six` are the times of the first six."""
    draw = np.random.default_rng(seed)
    ts = 0.3 * np.cumsum(draw.exponential(size=(rows, length)), axis=1)
    xs = draw.normal(size=(rows, length, 3))
    y = np.tanh(xs[..., 0] * np.exp(ts - ts[:, -1:])).sum(1)
    seen, each = draw.random((rows, length, 1)) < 0.7, draw.random((rows, length, 3)) < 0.5
    return {"ts": ts, "xs": xs, "y": y, "seen": seen, "each_seen": each, "six": ts[:, :6]}


def dense(x: Tensor, w: Weights, name: str) -> Tensor:
    return torch.nn.functional.linear(x, w[f"{name}.weight"].T, w[f"{name}.bias"])


def gru_cell(h: Tensor, x: Tensor, w: Weights, name: str) -> Tensor:
    """torch's own cell with these weights."""
    parts = [w[f"{name}.{key}"] for key in ("input_weight", "hidden_weight", "input_bias", "hidden_bias")]
    return torch.gru_cell(x, h, parts[0].T, parts[1].T, parts[2], parts[3])


def rk4(f: Callable[[Tensor], Tensor], x: Tensor, begin: Tensor, end: Tensor, steps: int) -> Tensor:
    """The classical method in equal steps, each sample between its own times, (batch,)."""
    h = ((end - begin) / steps)[:, None]
    for _ in range(steps):
        a = f(x)
        b = f(x + h / 2 * a)
        c = f(x + h / 2 * b)
        d = f(x + h * c)
        x = x + h / 6 * (a + 2 * b + 2 * c + d)
    return x
