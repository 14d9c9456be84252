"""The recovered rate with its error, and the deployed steps beside scipy's Radau and LSODA: numbers, and a picture.

The artifact is run by onnxruntime, from starts that training did not see.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.integrate import solve_ivp

import isocline
from examples.stiff.simulate import K1, K2, K3, TIMES, starts

COUNT = 64
SPECIES = ("A", "B", "C")


def fitted(folder: Path) -> tuple[float, float]:
    """log10 k2 and its standard error, from the certificate."""
    (found,) = json.loads((folder / "certificate.json").read_text())["parameters"]
    return found["value"], found["standard_error"]


def off(found: np.ndarray, exact: np.ndarray) -> list[float]:
    """The largest error of each species, relative to its own largest amount."""
    return [float(np.abs(found - exact)[..., i].max() / exact[..., i].max()) for i in range(3)]


def by_scipy(method: str, k2: float, given: np.ndarray, tolerance: float) -> tuple[np.ndarray, float, float]:
    """States (starts, times, 3), mean steps a start and seconds in all."""
    paths, steps, begun = [], 0, time.perf_counter()
    for a, c in given:
        solved = solve_ivp(slopes_of(k2), (0, TIMES[-1]), [a, 0, c], method, rtol=tolerance, atol=tolerance * 1e-6,
                           dense_output=True)  # fmt: skip
        steps += len(solved.t) - 1
        paths.append(solved.sol(TIMES).T)
    return np.stack(paths), steps / len(given), time.perf_counter() - begun


def slopes_of(k2: float) -> Callable[[float, np.ndarray], list[float]]:
    """Mass action with this rate."""

    def slopes(_: float, y: np.ndarray) -> list[float]:
        first, second, third = K1 * y[0], k2 * y[1] * y[1], K3 * y[1] * y[2]
        return [third - first, first - second - third, second]

    return slopes


def draw(found: np.ndarray, exact: np.ndarray, file: Path) -> None:
    """Deployed amounts as points on scipy's lines, over the logarithm of time, for four starts."""
    from isocline_compiler.report.ink import PAPER, SERIES, inked, sheet, to_svg

    with inked():
        picture = sheet(3.0)
        for i, axis in enumerate(picture.subplots(1, 3)):
            for colour, points, line in zip(SERIES, found[:, 1:, i], exact[:, 1:, i], strict=False):
                axis.plot(TIMES[1:], line, color=colour, linewidth=0.9)
                axis.plot(TIMES[1:], points, "o", color=colour, markersize=3)
            axis.set(xscale="log", xlabel="time, s", ylabel=SPECIES[i])
    file.write_text(to_svg(picture, PAPER), encoding="utf-8")


def main(folder: Path) -> None:
    artifact = folder / "stiff"
    value, deviation = fitted(artifact)
    print(f"log10 k2   {value:.4f} ± {deviation:.4f}, true {np.log10(K2):.4f}")
    given = starts(np.random.default_rng(1), COUNT).astype(np.float32).astype(np.float64)
    exact, _, _ = by_scipy("Radau", 10**value, given, 1e-10)
    session = isocline.load(artifact)
    session.run(start=given.astype(np.float32))
    begun = time.perf_counter()
    answer = session.run(start=given.astype(np.float32))
    spent = time.perf_counter() - begun
    found = np.stack([answer[name].astype(np.float64) for name in "abc"], axis=-1)
    (solve,) = json.loads((artifact / "certificate.json").read_text())["solves"]
    print(f"{'':28}{'A':>9}{'B':>9}{'C':>9}{'steps':>8}{'ms':>8}")
    rows = [(f"deployed, {solve['scheme']}", found, float(solve["steps"]), spent)]
    for method in ("Radau", "LSODA"):
        path, steps, seconds = by_scipy(method, 10**value, given, 1e-4)
        rows.append((f"scipy {method}, rtol 1e-4", path, steps, seconds))
    for title, path, steps, seconds in rows:
        errors = "".join(f"{item:9.1e}" for item in off(path, exact))
        print(f"{title:28}{errors}{steps:8.0f}{seconds * 1e3:8.0f}")
    draw(found[:4], exact[:4], folder / "stiff.svg")
    print(f"picture  {folder / 'stiff.svg'}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "build"))
