"""The share of held-out returns inside the bands of the deployed model, and of a random walk of constant volatility.

    python -m examples.market.compare build/market

The random walk has normal increments of one mean and one deviation, those of the training days; a second one has of
each window the deviation of its own thirty days. Beside the shares stands the mean CRPS of an ensemble of 256, in
percent: lower is better. The intervals are those of the mean over blocks of days, since windows overlap.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from isocline_runtime import load

LEVELS = (0.025, 0.1, 0.25, 0.75, 0.9, 0.975)
BANDS = {"95 %": (0, 5), "80 %": (1, 4), "50 %": (2, 3)}
BLOCK = 8 * 5
"""Windows of a block: eight indices on five days."""


def shares(band: np.ndarray, ahead: np.ndarray) -> dict[str, float]:
    """The share of `ahead` (n, days) between the quantiles of `band` (n, 6, days), by the band's name."""
    return {
        name: float(np.mean((band[:, low] <= ahead) & (ahead <= band[:, high]))) for name, (low, high) in BANDS.items()
    }


def crps(ensemble: np.ndarray, y: np.ndarray) -> np.ndarray:
    """mean |x - y| - mean |x - x'| / 2 over an ensemble (n, m, days): one number a window."""
    ordered = np.sort(ensemble, axis=1)
    m = ordered.shape[1]
    weights = (2 * np.arange(1, m + 1) - m - 1)[None, :, None]
    spread = (weights * ordered).sum(axis=1) / m**2
    return np.asarray((np.abs(ensemble - y[:, None]).mean(axis=1) - spread).mean(axis=1))


def walks(mean: float, deviation: np.ndarray, days: int, rng: np.random.Generator) -> np.ndarray:
    """An ensemble of random walks, (n, 256, days), of a deviation for each window."""
    steps = mean + deviation[:, None, None] * rng.standard_normal((len(deviation), 256, days))
    return np.asarray(np.cumsum(steps, axis=2))


def told(name: str, found: dict[str, float], scores: np.ndarray) -> str:
    blocks = [block.mean() for block in np.array_split(scores, len(scores) // BLOCK)]
    error = np.std(blocks, ddof=1) / np.sqrt(len(blocks))
    row = " | ".join(f"{100 * found[band]:.1f} %" for band in BANDS)
    return f"| {name} | {row} | {scores.mean():.3f} ± {error:.3f} |"


def main(artifact: str) -> None:
    data = np.load(Path(__file__).parent / "market.npz")
    test, train = data["part"] == "test", data["part"] == "train"
    past, ahead = data["past"][test], data["ahead"][test]
    session = load(artifact)
    answers = session.run(past=past, seed=1)
    days, rng = ahead.shape[1], np.random.default_rng(0)
    daily = data["past"][train][:, -1]
    naive = walks(daily.mean(), np.full(len(past), daily.std()), days, rng)
    recent = walks(daily.mean(), past.std(axis=1), days, rng)
    print(f"| {len(past)} held-out windows | in 95 % | in 80 % | in 50 % | CRPS, % |\n| --- | --- | --- | --- | --- |")
    ensemble = np.moveaxis(np.quantile(answers["paths"], LEVELS, axis=1), 0, 1)
    assert np.allclose(ensemble, answers["band"], atol=1e-4)
    print(told("stochastic volatility", shares(answers["band"], ahead), crps(answers["paths"], ahead)))
    for name, found in (("random walk, one volatility", naive), ("random walk, that of thirty days", recent)):
        band = np.moveaxis(np.quantile(found, LEVELS, axis=1), 0, 1)
        print(told(name, shares(band, ahead), crps(found, ahead)))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "build/market")
