"""How far each deployed pendulum strays from the energy it started with: numbers, and a picture.

Both artifacts are run by onnxruntime, from starts that training did not see and that carry no error; the energy is the
true one, p^2/2 + 1 - cos(q), which the real pendulum keeps.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import isocline
from examples.pendulum.simulate import starts, swing

MODELS = {"pendulum": "energy learned", "unconstrained": "field learned"}
TRAINED_UNTIL = 2.0
TIMES = np.linspace(0.0, 20.0, 81)
COUNT = 64


def energy(states: np.ndarray) -> np.ndarray:
    """p^2/2 + 1 - cos(q) of states (..., 2)."""
    q, p = states[..., 0], states[..., 1]
    return np.asarray(p**2 / 2 + 1 - np.cos(q))


def errors(paths: np.ndarray) -> np.ndarray:
    """|E(t) - E(0)| of paths (swings, times, 2)."""
    found = energy(paths.astype(np.float64))
    return np.abs(found - found[:, :1])


def row(title: str, found: np.ndarray, exact: np.ndarray) -> str:
    """Energy errors: means over the trained stretch and the last one, the largest; and the error of the path."""
    off = errors(found)
    within, beyond = TIMES <= TRAINED_UNTIL, TIMES[-1] - TRAINED_UNTIL <= TIMES
    distance = np.sqrt(np.mean((found - exact)[:, beyond] ** 2))
    return f"{title:16}{off[:, within].mean():12.4f}{off[:, beyond].mean():12.4f}{off.max():12.4f}{distance:12.3f}"


def draw(paths: dict[str, np.ndarray], file: Path) -> None:
    """The energy error over time, mean and the range of nine swings in ten, and one swing in the plane of q and p."""
    from isocline_compiler.report.ink import PAPER, RULE, SERIES, inked, sheet, to_svg

    with inked():
        picture = sheet(3.4)
        over_time, plane = picture.subplots(1, 2, width_ratios=(1.7, 1))
        over_time.axvspan(0, TRAINED_UNTIL, color=RULE, linewidth=0)
        for colour, (title, path) in zip(SERIES, paths.items(), strict=False):
            off = errors(path)
            over_time.fill_between(TIMES, *np.quantile(off, (0.05, 0.95), axis=0), color=colour, alpha=0.2, linewidth=0)
            over_time.plot(TIMES, off.mean(axis=0), color=colour, label=title)
            plane.plot(path[0, :, 0], path[0, :, 1], color=colour, linewidth=0.9)
        over_time.set(xlabel="time; training saw the shaded part", ylabel="energy error", xlim=(0, 20), ylim=(0, None))
        over_time.legend(loc="upper left")
        plane.set(xlabel="angle q", ylabel="momentum p", aspect="equal")
    file.write_text(to_svg(picture, PAPER), encoding="utf-8")


def main(folder: Path) -> None:
    given = starts(np.random.default_rng(1), COUNT)
    exact = np.stack([swing(start, TIMES) for start in given])
    paths = {
        title: isocline.load(folder / name).run(start=given.astype(np.float32))["path"]
        for name, title in MODELS.items()
    }
    print(f"{'energy error':16}{'t <= 2':>12}{'t >= 18':>12}{'largest':>12}{'off at end':>12}")
    for title, path in paths.items():
        print(row(title, path, exact))
    draw(paths, folder / "pendulum_energy.svg")
    print(f"picture  {folder / 'pendulum_energy.svg'}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "build"))
