"""The fitted population beside NONMEM's, and the deployed answer beside the exact superposition.

python -m examples.doses.compare
"""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np

import isocline
from examples.doses.fetch import OBSERVATIONS, objective, published

BUILD, RUN = Path("build/doses"), Path("runs/doses")
FOLDER = Path(__file__).parent


def exact(data: dict[str, np.ndarray], clearance: np.ndarray, volume: np.ndarray, excess: float) -> np.ndarray:
    """sum_j dose_j/V exp(-CL/V (t - tau_j)) over the doses until t; clearance and volume a kg of each row."""
    v = volume * data["weight"] * (1 + excess * data["low_score"])
    since = data["when"][:, None] - data["times"]
    rate = (clearance * data["weight"] / v)[:, None]
    left = np.where(since >= 0, data["amounts"] * np.exp(-rate * np.maximum(since, 0)), 0.0)
    return np.asarray(left.sum(axis=1) / v)


def least_loss() -> float:
    """The least F/n of training, F = -log L."""
    with (RUN / "metrics.csv").open() as table:
        return min(float(row["loss"]) for row in csv.DictReader(table))


def main() -> None:
    certificate = json.loads((BUILD / "certificate.json").read_text())
    fitted = {item["name"]: item for item in certificate["parameters"]}
    print("| | here | NONMEM |")
    print("| --- | --- | --- |")
    for name, (value, error) in published().items():
        own, mine = fitted[name]["value"], fitted[name]["standard_error"]
        print(f"| {name} | {own:.4g} ± {mine:.2g} | {value:.4g} ± {error:.2g} |")
    theirs = objective() + OBSERVATIONS * math.log(2 * math.pi)
    print(f"| -2 log L | {2 * OBSERVATIONS * least_loss():.2f} | {theirs:.2f} |")
    with np.load(FOLDER / "doses.npz") as archive:
        data = dict(archive)
    inputs = {key: data[key] for key in ("weight", "low_score", "times", "amounts", "when")}
    place = data["child"].astype(int) - 1
    own = {name: np.array(fitted[f"own_{name}"]["value"])[place] for name in ("clearance", "volume")}
    excess = fitted["excess"]["value"]
    session = isocline.load(BUILD)
    answer = session.run(child=place, **inputs)["concentration"]
    true = exact(data, own["clearance"], own["volume"], excess)
    print(f"\nlargest relative difference from the superposition: {np.abs(answer / true - 1).max():.1e}")
    middle = session.run(child=np.full(len(place), len(np.unique(place))), **inputs)["concentration"]
    for title, found in (("each child by its own parameters", answer), ("a child never seen", middle)):
        off = np.log(found / data["seen"])
        print(f"{title}: {np.sqrt(np.mean(off**2)):.3f} in the logarithm")
    spread = {name: np.std(np.log(fitted[f"own_{name}"]["value"])) for name in own}
    print("deviations of the children's own logarithms: " + ", ".join(f"{n} {s:.3f}" for n, s in spread.items()))


if __name__ == "__main__":
    main()
