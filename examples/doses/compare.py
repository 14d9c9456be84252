"""The fitted parameters beside NONMEM's, held-out children, and the deployed answer beside the exact superposition.

python -m examples.doses.compare
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

import isocline
from examples.doses.fetch import published

BUILD = Path("build/doses")
FOLDER = Path(__file__).parent


def exact(data: dict[str, np.ndarray], clearance: float, volume: float, excess: float) -> np.ndarray:
    """sum_j dose_j/V exp(-CL/V (t - tau_j)) over the doses until t."""
    v = volume * data["weight"] * (1 + excess * data["low_score"])
    since = data["when"][:, None] - data["times"]
    rate = (clearance * data["weight"] / v)[:, None]
    left = np.where(since >= 0, data["amounts"] * np.exp(-rate * np.maximum(since, 0)), 0.0)
    return np.asarray(left.sum(axis=1) / v)


def main() -> None:
    certificate = json.loads((BUILD / "certificate.json").read_text())
    fitted = {item["name"]: (item["value"], item["standard_error"]) for item in certificate["parameters"]}
    print("| | here, all observations alike | NONMEM, with random effects |")
    print("| --- | --- | --- |")
    for name, (value, error) in published().items():
        own, mine = fitted[name]
        print(f"| {name} | {own:.3g} ± {mine:.1g} | {value:.3g} ± {error:.1g} |")
    with np.load(FOLDER / "doses.npz") as archive:
        data = dict(archive)
    test = data["part"] == "test"
    held = {key: value[test] for key, value in data.items()}
    inputs = {key: held[key] for key in ("weight", "low_score", "times", "amounts", "when")}
    answer = isocline.load(BUILD).run(**inputs)["concentration"]
    true = exact(held, *(fitted[name][0] for name in ("clearance", "volume", "excess")))
    theirs = exact(held, *(value for value, _ in published().values()))
    print(f"\nlargest relative difference from the superposition: {np.abs(answer / true - 1).max():.1e}")
    for title, found in (("here", answer), ("NONMEM's population", theirs)):
        off = np.log(found / held["seen"])
        whom = f"{len(off)} concentrations of {len(set(held['child']))} children"
        print(f"{title}: {np.sqrt(np.mean(off**2)):.3f} in the logarithm, {whom}")


if __name__ == "__main__":
    main()
