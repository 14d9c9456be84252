"""The latent equation written as loops in torch, for who wants to see what latent_ode.dyn does, and for its test."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

HOURS, AHEAD, STATE, LATENT = 48, 24, 32, 12

Weights = Mapping[str, Tensor]


def dense(x: Tensor, w: Weights, name: str) -> Tensor:
    return x @ w[f"{name}.weight"] + w[f"{name}.bias"]


def network(x: Tensor, w: Weights, name: str) -> Tensor:
    """A layer, tanh, a layer."""
    return dense(torch.tanh(dense(x, w, f"{name}.dense")), w, f"{name}.dense_2")


def encoded(w: Weights, level: Tensor, given: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and deviation of the latent state 47 hours ago, (n, 12) each: Euler's step back in time from hour to hour,
    and torch's gated recurrent cell where one was heard. `level` is 0 where nothing is known.
    """
    heard, weather = given["heard"], given["weather"]
    air = torch.stack([weather[..., 0], weather[..., 1], weather[..., 2] - 1016 * heard], 2) / 10
    rows = torch.cat([torch.stack([level, given["known"]], 2), air, torch.log(1 + given["wind"])], 2)
    cell = [w[f"e.gru_cell.{key}"] for key in ("input_weight", "hidden_weight", "input_bias", "hidden_bias")]
    e = torch.zeros(len(level), STATE, dtype=level.dtype)
    for i in reversed(range(HOURS)):
        if i < HOURS - 1:
            e = e - 0.1 * network(e, w, "back.e")
        jumped = torch.gru_cell(rows[:, i], e, cell[0].T, cell[1].T, cell[2], cell[3])
        e = torch.where(heard[:, i, None] > 0.5, jumped, e)
    year, day = 2 * math.pi * given["clock"][:, 1] / 365.25, 2 * math.pi * given["clock"][:, 0] / 24
    season = torch.stack([torch.sin(year), torch.cos(year), torch.sin(day), torch.cos(day)], 1)
    code = dense(torch.cat([e, season], 1), w, "code.dense")
    return code[:, :LATENT], torch.exp(code[:, LATENT:] / 2 - 3)


def decoded(w: Weights, z: Tensor, clock: Tensor, steps: int) -> Tensor:
    """Levels from 47 hours ago to a day ahead, (n, 72), by the midpoint rule in equal steps."""
    day = 2 * math.pi * clock[:, 0] / 24

    def flow(t: float, z: Tensor) -> Tensor:
        angle = (day + 2 * math.pi * t / 24)[:, None]
        return 0.1 * network(torch.cat([z, torch.sin(angle), torch.cos(angle)], 1), w, "flow.z")

    each = steps // (HOURS + AHEAD - 1)
    path = [z]
    for hour in range(1 - HOURS, AHEAD):
        for j in range(each):
            z = _midpoint(flow, hour + j / each, z, 1 / each)
        path.append(z)
    return network(torch.stack(path, 1), w, "reading")[:, :, 0]


def _midpoint(f: Callable[[float, Tensor], Tensor], t: float, z: Tensor, h: float) -> Tensor:
    return z + h * f(t + h / 2, z + h / 2 * f(t, z))
