"""How far a free weight may go before its parameter, in the precision at hand, is rounded onto its bound.

A bijection reaches a bound at infinity, in floating point much earlier: e^w is 0 in float32 from w = -104 on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from isocline_compiler.backends.to_torch import evaluate
from isocline_compiler.graph import Array
from isocline_compiler.model import Parameter

Limits = Mapping[str, tuple[float, float]]
"""By the name of a free weight, the closed interval that it is kept in."""

FARTHEST = 1024.0
"""Beyond it, e^w is neither finite nor positive in any precision."""


def limits_of(parameters: Sequence[Parameter], start: Mapping[str, Array], working: torch.dtype) -> Limits:
    """The limits of every parameter with bounds. A first value outside of them, which its author chose, widens them."""
    found = {}
    for parameter in parameters:
        if any(map(np.isfinite, parameter.bounds)):
            low, high = (_last_inside(parameter, sign, working) for sign in (-1.0, 1.0))
            first = start[parameter.name]
            found[parameter.name] = (min(low, float(first.min())), max(high, float(first.max())))
    return found


def _last_inside(parameter: Parameter, sign: float, working: torch.dtype) -> float:
    """By bisection from 0, which every bijection takes into the middle of things."""
    inside, outside = 0.0, sign * FARTHEST
    for _ in range(40):
        middle = (inside + outside) / 2
        if _is_inside(parameter, middle, working):
            inside = middle
        else:
            outside = middle
    return inside


def _is_inside(parameter: Parameter, free: float, working: torch.dtype) -> bool:
    """Strictly between the bounds, finite, and no smaller than a precision holds with all of its digits."""
    low, high = parameter.bounds
    weight = torch.full(parameter.shape, free, dtype=working)
    value = evaluate([parameter.value], {parameter.name: weight})[0].reshape(-1)[:1]
    near = torch.finfo(working).tiny
    inside = (low < value) & (value < high) & (low + near <= value) & (value <= high - near) & torch.isfinite(value)
    return bool(inside.all())


@torch.no_grad()
def keep_within(weights: Mapping[str, Tensor], limits: Limits) -> None:
    """Put weights that an optimizer has thrown beyond their limits back onto them."""
    for name, (low, high) in limits.items():
        weights[name].clamp_(low, high)


def at_limits(parameters: Sequence[Parameter], weights: Mapping[str, Array], limits: Limits) -> list[str]:
    """A sentence for each parameter that ended where only its bounds hold it."""
    told = []
    for parameter in parameters:
        low, high = limits.get(parameter.name, (-np.inf, np.inf))
        free = weights[parameter.name]
        for edge, bound in zip((low, high), parameter.bounds, strict=True):
            if np.isclose(free, edge, rtol=1e-6).any():
                told.append(f"`{parameter.name}` ran to its bound {bound:g}, and nothing but the bound holds it there")
    return told
