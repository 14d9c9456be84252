"""Held-out errors of the deployed latent equation beside recurrent networks, persistence and climatology.

    python -m examples.latent_sde.compare build/latent_sde

Every forecast is an ensemble of 64: of the latent equation its samples, of the networks (gru.py) draws from what they
answer, of persistence the last value that is known times what that was off by in 64 training windows, of climatology 64
training windows of the same month and hour. Scored is what was measured in 2014. Intervals are standard errors of the
mean over blocks of ten days, since windows overlap; so is that of the difference from the latent equation.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from examples.latent_sde import gru
from isocline_runtime import load

SHOWN = (1, 6, 12, 24)
BANDS = {"50 %": (0.25, 0.75), "80 %": (0.1, 0.9), "95 %": (0.025, 0.975)}
MEMBERS, BLOCK, LIMIT = 64, 48, 75.0
"""Windows of a block: ten days, one every five hours. The limit is China's, for the mean of a day."""
LATENT = "latent equation"

Array = np.ndarray
Data = dict[str, Array]


# ------------------------------------------------------------------------------------------------------ forecasts


def latent(artifact: str, test: Data) -> Array:
    """The samples of the deployed graph, a few hundred windows at a time, each with the noise of its own row."""
    session = load(artifact)
    given = {name: test[name] for name in ("past", "known", "weather", "wind", "clock")}
    parts = np.array_split(np.arange(len(test["past"])), 6)
    runs = [session.run({name: value[rows] for name, value in given.items()}, seed=1, rows=rows) for rows in parts]
    return np.concatenate([run["dust"] for run in runs])


def persistence(train: Data, test: Data, rng: np.random.Generator) -> Array:
    """The present, times what followed in training windows, whole days of it."""
    ratio = (train["ahead"] + 10) / (train["past"][:, -1:] + 10)
    whole = np.flatnonzero(train["seen"].all(axis=1) & (train["known"][:, -1] == 1))
    chosen = rng.choice(whole, (len(test["past"]), MEMBERS))
    return np.asarray(np.maximum((test["past"][:, -1, None, None] + 10) * ratio[chosen] - 10, 0))


def climatology(train: Data, test: Data, rng: np.random.Generator) -> Array:
    """Whole training windows of the same month and hour of the day."""
    whole = train["seen"].all(axis=1)
    pools = [train["ahead"][whole & (cells(train) == cell)] for cell in range(12 * 24)]
    return np.array([pool[rng.integers(len(pool), size=MEMBERS)] for pool in (pools[cell] for cell in cells(test))])


def cells(data: Data) -> Array:
    """Month and hour of the day at present, as one number."""
    hour, day = data["clock"].T
    return np.asarray(24 * np.floor(day / 366 * 12) + hour).astype(int)


# --------------------------------------------------------------------------------------------------------- scores


def crps(ensemble: Array, y: Array) -> Array:
    """mean |x - y| - mean |x - x'| / 2 over pairs of different members (n, m, hours): without bias for any m."""
    ordered = np.sort(ensemble, axis=1)
    m = ordered.shape[1]
    weights = (2 * np.arange(1, m + 1) - m - 1)[None, :, None]
    return np.asarray(np.abs(ensemble - y[:, None]).mean(axis=1) - (weights * ordered).sum(axis=1) / (m * (m - 1)))


def blocks(score: Array, seen: Array) -> tuple[float, float]:
    """The mean of a score over what was measured, and its standard error, a ratio of sums over blocks."""
    count = max(2, len(score) // BLOCK)
    sums = np.array([[part.sum() for part in np.array_split(item, count)] for item in (score * seen, seen)])
    mean = sums[0].sum() / sums[1].sum()
    error = np.sqrt(count / (count - 1) * np.sum((sums[0] - mean * sums[1]) ** 2)) / sums[1].sum()
    return float(mean), float(error)


def table(forecasts: dict[str, Array], test: Data) -> str:
    y, seen = test["ahead"], test["seen"]
    scored = {name: crps(ensemble, y) for name, ensemble in forecasts.items()}
    lines = [
        "| | " + " | ".join(f"MAE, {hour} h" for hour in SHOWN) + " | CRPS, 1 to 24 h | CRPS less the first | "
        + " | ".join(f"in {band}" for band in BANDS) + " |",
        "| --- |" + " --- |" * (len(SHOWN) + 2 + len(BANDS)),
    ]  # fmt: skip
    for name, ensemble in forecasts.items():
        off = np.abs(np.median(ensemble, axis=1) - y)
        columns = [told(*blocks(off[:, hour - 1], seen[:, hour - 1]), 1) for hour in SHOWN]
        columns.append(told(*blocks(scored[name], seen), 2))
        apart = scored[name] - scored[LATENT]
        columns.append("" if name == LATENT else told(*blocks(apart, seen), 2))
        columns += within(ensemble, test)
        lines.append(f"| {name} | " + " | ".join(columns) + " |")
    return "\n".join(lines)


def limits(forecasts: dict[str, Array], test: Data) -> str:
    """Brier's score of the probability that the mean of the next day passes the limit, over whole days."""
    whole = test["seen"].all(axis=1)
    passed = test["ahead"].mean(axis=1) > LIMIT
    lines = [f"| mean of the next day above {LIMIT:.0f}: {100 * passed[whole].mean():.0f} % of the days | Brier |"]
    lines += ["| --- | --- |"]
    for name, ensemble in forecasts.items():
        off = (np.mean(ensemble.mean(axis=2) > LIMIT, axis=1) - passed) ** 2
        lines.append(f"| {name} | {told(*blocks(off, whole.astype(float)), 4)} |")
    return "\n".join(lines)


def within(ensemble: Array, test: Data) -> list[str]:
    """The share of what was measured inside each band."""
    found = []
    for low, high in BANDS.values():
        bounds = np.quantile(ensemble, (low, high), axis=1)
        inside = (bounds[0] <= test["ahead"]) & (test["ahead"] <= bounds[1])
        found.append(f"{100 * blocks(inside, test['seen'])[0]:.1f} %")
    return found


def correlation(train: Data) -> float:
    """Of increments of the logarithm that follow each other, in days without a gap; errors of measuring lower it."""
    steps = np.diff(np.log(train["ahead"][train["seen"].all(axis=1)] + 10), axis=1)
    return float(np.corrcoef(steps[:, 1:].ravel(), steps[:, :-1].ravel())[0, 1])


def told(mean: float, error: float, digits: int) -> str:
    return f"{mean:.{digits}f} ± {error:.{digits}f}"


# -------------------------------------------------------------------------------------------------------- picture


def draw(ensemble: Array, test: Data, file: Path) -> None:
    """Fans of four held-out windows, a season each: bands of 95, 80 and 50 %, the median, three paths, what came."""
    from isocline_compiler.report.ink import PAPER, SERIES, inked, sheet, to_svg

    whole = np.flatnonzero((test["seen"].all(axis=1)) & (test["known"].mean(axis=1) > 0.9))
    chosen = [whole[np.argmin(np.abs(test["clock"][whole, 1] - day))] for day in (20, 110, 200, 290)]
    with inked():
        picture = sheet(5.2)
        for axis, row in zip(picture.subplots(2, 2, sharex=True).ravel(), chosen, strict=True):
            past = np.where(test["known"][row] == 1, test["past"][row], np.nan)
            axis.plot(np.arange(-47, 1), past, color="black", linewidth=0.8)
            axis.plot(np.arange(1, 25), test["ahead"][row], color="black", linewidth=1.2)
            for low, high in BANDS.values():
                band = np.quantile(ensemble[row], (low, high), axis=0)
                axis.fill_between(np.arange(1, 25), *band, color=SERIES[0], alpha=0.2, linewidth=0)
            for path in ensemble[row, :3]:
                axis.plot(np.arange(1, 25), path, color=SERIES[1], linewidth=0.5)
            axis.plot(np.arange(1, 25), np.median(ensemble[row], axis=0), color=SERIES[0])
            axis.set(title=f"day {test['clock'][row, 1] + 1:.0f} of 2014", ylabel="µg/m³", ylim=(0, None))
        for axis in picture.axes[2:]:
            axis.set(xlabel="hours from the present")
    file.write_text(to_svg(picture, PAPER), encoding="utf-8")


def main(artifact: str) -> None:
    data = dict(np.load(Path(__file__).parent / "latent_sde.npz"))
    part = data.pop("part")
    train, test = ({name: value[part == word] for name, value in data.items()} for word in ("train", "test"))
    rng = np.random.default_rng(0)
    forecasts = {
        LATENT: latent(artifact, test),
        **gru.forecasts(train, test, MEMBERS, seed=0),
        "persistence": persistence(train, test, rng),
        "climatology": climatology(train, test, rng),
    }
    print(table(forecasts, test), limits(forecasts, test), sep="\n\n")
    some = {name: value[::4] for name, value in train.items()}
    shares = ", ".join(within(latent(artifact, some), some))
    print(f"\nlatent equation, every fourth training window: {shares} inside")
    print(f"correlation of hourly increments of the logarithm with those before: {correlation(train):.2f}")
    file = Path(artifact).parent / "latent_sde_fans.svg"
    draw(forecasts[LATENT], test, file)
    print(f"\npicture  {file}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "build/latent_sde")
