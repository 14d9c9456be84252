"""Schemes whose steps differ, as if they had been learned: of the families in `tests/toys`, the one without a name."""

from __future__ import annotations

import numpy as np
import torch

from isocline_compiler.certify.bespoke.parameters import Parameters, unlearned
from isocline_compiler.solvers.schemes.bespoke import BASES, Bespoke


def disturbed(stages: int, times: tuple[float, ...], seed: int = 0, size: float = 0.05) -> Bespoke:
    """Coefficients and widths moved at random from where learning begins, within the constraints."""
    draws = torch.Generator().manual_seed(seed)
    parameters = Parameters.of(unlearned(Bespoke.starting(BASES[stages], times), "x"), (times[0], times[-1]))
    with torch.no_grad():
        for item in parameters.varying:
            item += size * torch.randn(item.shape, generator=draws, dtype=torch.float64)
    parameters.project()
    return parameters.scheme()


def walk(scheme, f, x: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Its steps on its own grid in numpy, from the definition: the states at every time."""
    path = [x]
    for n, (a, b, c) in enumerate(zip(scheme.a, scheme.b, scheme.c, strict=True)):
        h, slopes, entries = times[n + 1] - times[n], [], iter(a)
        for i in range(len(b)):
            stage = path[-1] + h * sum((next(entries) * slopes[j] for j in range(i)), np.zeros_like(x))
            slopes.append(f(times[n] + c[i] * h, stage))
        path.append(path[-1] + h * sum(weight * slope for weight, slope in zip(b, slopes, strict=True)))
    return np.array(path)


LEARNED = tuple(disturbed(stages, tuple(np.linspace(0, 1, 6).tolist())) for stages in BASES)
