"""Schemes whose steps differ, as if they had been learned: of the families in `tests/toys`, the one without a name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from scipy.integrate import solve_ivp

import isocline
from isocline_compiler.certify.bespoke.parameters import Parameters, unlearned
from isocline_compiler.pipeline import Compiled
from isocline_compiler.solvers.schemes.bespoke import BASES, Bespoke
from isocline_dsl.diagnostics import IsoclineError


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


FORCED = """dyn 1
model forced
input first: real[2] in (-1, 1)
field f(t, x, v: real) {{ x' = v; v' = -3*sin(x) - 0.3*v + 0.5*cos(2*t) }}
path = solve f from x = first[0], v = first[1] over 0..4
output last = stack(path.x, path.v)
deploy {{ solver {solver} }}
"""


def compiled(folder: Path, solver: str, text: str = FORCED) -> Compiled:
    return isocline.compile(isocline.model(text.format(solver=solver)), folder / "out")


def codes(folder: Path, solver: str, text: str = FORCED) -> list[str]:
    """Of the messages that stop the build; none where an artifact is written."""
    try:
        compiled(folder, solver, text)
    except IsoclineError as error:
        assert not (folder / "out").exists()
        return [item.code for item in error.diagnostics]
    return []


def by_scipy(starts: np.ndarray) -> np.ndarray:
    def slopes(t, x):
        return [x[1], -3 * np.sin(x[0]) - 0.3 * x[1] + 0.5 * np.cos(2 * t)]

    return np.array([solve_ivp(slopes, (0, 4), x, "DOP853", rtol=1e-11, atol=1e-12).y[:, -1] for x in starts])


def worst(found: np.ndarray, exact: np.ndarray) -> float:
    return float((np.abs(found - exact).max(axis=1) / np.abs(exact).max(axis=1)).max())


LEARNED = tuple(disturbed(stages, tuple(np.linspace(0, 1, 6).tolist())) for stages in BASES)
