"""Equations alone, a network alone, and both, year after year: trained on all years before, judged on one to come.

    python -m examples.river.compare [SEEDS [YEAR ...]]

Of each YEAR (1983 to 1988 if none is named) the year before it chooses the best epoch, and all before that train. Runs
that are in build/river_comparison already are not made again.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import isocline
from examples.river import fetch
from examples.river.windows import FOLDER, WARMING, windows
from isocline_runtime import load

OUT = Path("build/river_comparison")
MODELS = ("river", "mechanism", "network")
SEEDS, YEARS = 3, tuple(range(1983, 1989))

Array = np.ndarray


def run(year: int, seeds: int) -> Array:
    """Mean squared error of the days that count in a year, (models, seeds); and writes the tables of the year."""
    folder = OUT / str(year)
    data = folder / "fulda.csv"
    if not data.exists():  # a newer file would make all runs anew
        folder.mkdir(parents=True, exist_ok=True)
        fetch.write(data, year)
    isocline.compare([FOLDER / f"{model}.dyn" for model in MODELS], folder, seeds=seeds, data=data, progress=print)
    return np.array([[error(folder / model / f"seed-{i}", data) for i in range(seeds)] for model in MODELS])


def error(run: Path, data: Path) -> float:
    """The mean squared error of a run's artifact over the days that count of the year that is tested."""
    held_out = windows("test", data)
    flow = load(run / "artifact").run(before=held_out.before, weather=held_out.weather)["flow"]
    return float(np.mean((flow - held_out.seen)[:, WARMING:] ** 2))


def variance(year: int) -> float:
    return float(windows("test", OUT / str(year) / "fulda.csv").seen[:, WARMING:].var())


def table(found: dict[int, Array]) -> list[str]:
    """A row a year, means over seeds; below them the means over years, and differences year by year."""
    head = f"| tested | trained on | {' | '.join(MODELS)} | variance |"
    lines = [head, "| --- |" + " --- |" * (len(MODELS) + 2)]
    for year, errors in found.items():
        cells = " | ".join(told(row) for row in errors)
        lines.append(f"| {year} | 1979 to {year - 2} | {cells} | {variance(year):.3f} |")
    means = np.array([errors.mean(axis=1) for errors in found.values()])
    mean = " | ".join(f"{value:.3f}" for value in means.mean(axis=0))
    lines += [f"| mean | | {mean} | {np.mean([variance(year) for year in found]):.3f} |", ""]
    for i, model in enumerate(MODELS[1:], start=1):
        apart = means[:, i] - means[:, 0]
        spread = apart.std(ddof=1) / np.sqrt(len(apart)) if len(apart) > 1 else np.nan
        lines.append(
            f"{model} less {MODELS[0]}: {apart.mean():+.3f} ± {spread:.3f} (standard error over years); "
            f"{MODELS[0]} is better in {np.sum(apart > 0)} of {len(apart)}"
        )
    return lines


def told(errors: Array) -> str:
    return f"{errors.mean():.3f}" + (f" ± {errors.std(ddof=1):.3f}" if len(errors) > 1 else "")


def main(seeds: int = SEEDS, *years: int) -> None:
    found = {year: run(year, seeds) for year in years or YEARS}
    lines = table(found)
    (OUT / "years.md").write_text("\n".join(lines) + "\n")
    print("\nmean squared error of the river, (mm/day)², held out; mean and standard deviation over seeds")
    print("\n".join(lines))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
