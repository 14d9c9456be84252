"""Held-out errors of the deployed latent equation with hours dropped, beside persistence, ridge regression and a GRU.

    python -m examples.latent_ode.compare build/latent_ode

All are trained once, on the windows of latent_ode.npz, and judged on 2014 with 0, 30, 50 and 70 of 100 hours dropped,
the same hours for all. What is scored is the hours ahead that were measured. Intervals are standard errors of the mean
over blocks of ten days, since windows overlap.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from examples.latent_ode.fetch import INPUTS, RATES, source, with_gaps
from examples.latent_sde.compare import blocks, told
from isocline_runtime import load

SHOWN = (1, 6, 12, 24)
EPOCHS, CLIP = 20, 10.0
"""Of the block `train` of latent_ode.dyn."""
SETTINGS = {"GRU, trained alike": (42, 128, 1e-2), "GRU, trained gently": (42, 256, 5e-3)}
"""Hidden numbers (as many weights as the equation has), windows of a batch, rate."""
LATENT = "latent equation"
PENALTIES = 10.0 ** np.arange(0, 6)

Array = np.ndarray
Data = dict[str, Array]


def level(dust: Array) -> Array:
    """The logarithm in which the latent equation is written, too."""
    return np.asarray(np.log(dust + 10) - 4.5)


def dust_of(level: Array) -> Array:
    return np.asarray(np.maximum(np.exp(level + 4.5) - 10, 0))


# ------------------------------------------------------------------------------------------------------ features


def held(values: Array, there: Array) -> Array:
    """The last value that is known at every hour (n, hours, k); before the first of them, that one."""
    hours = np.arange(there.shape[1])
    last = np.maximum.accumulate(np.where(there > 0, hours, -1), axis=1)
    first = there.argmax(axis=1)[:, None]
    return np.take_along_axis(values, np.where(last < 0, first, last)[:, :, None], axis=1)


def rows_of(data: Data) -> Array:
    """(n, 48, 11): held level, weather and wind, whether each was measured now, and how old the level is in days."""
    known, heard = data["known"], data["heard"]
    hours = np.arange(known.shape[1])
    age = hours - np.maximum.accumulate(np.where(known > 0, hours, -1), axis=1)
    air = np.concatenate([(data["weather"] - (0, 0, 1016)) / 10, np.log1p(data["wind"])], axis=2)
    parts = [held(level(data["past"])[:, :, None], known), held(air, heard), known[:, :, None], heard[:, :, None]]
    return np.concatenate([*parts, age[:, :, None] / 24], axis=2)


def season_of(data: Data) -> Array:
    """(n, 4): where in the year and in the day the present is."""
    year, day = 2 * np.pi * data["clock"][:, 1] / 365.25, 2 * np.pi * data["clock"][:, 0] / 24
    return np.stack([np.sin(year), np.cos(year), np.sin(day), np.cos(day)], axis=1)


# ----------------------------------------------------------------------------------------------------- forecasts


def latent(artifact: str, test: Data, output: str) -> Array:
    """An output of the deployed graph."""
    given = {name: test[name].astype(np.float32) for name in INPUTS}
    return np.asarray(load(artifact).run(given)[output])


def persistence(test: Data) -> Array:
    """The last value that is known, for all hours ahead."""
    return np.repeat(held(test["past"][:, :, None], test["known"])[:, -1], test["ahead"].shape[1], axis=1)


def ridge(train: Data) -> tuple[Array, float]:
    """Weights (533, 24) of a linear regression of levels ahead less the last, hour by hour on what was measured; the
    penalty is that with the least error on the last quarter of the training windows.
    """
    x, y, seen = table_of(train), level(train["ahead"]) - rows_of(train)[:, -1, :1], train["seen"]
    early = np.arange(len(x)) < 3 * len(x) // 4
    errors = [
        float(np.mean((np.abs(x[~early] @ solved(x[early], y[early], seen[early], p) - y[~early]))[seen[~early] > 0]))
        for p in PENALTIES
    ]
    best = float(PENALTIES[int(np.argmin(errors))])
    return solved(x, y, seen, best), best


def table_of(data: Data) -> Array:
    """A column of ones, all rows side by side, the season."""
    rows = rows_of(data)
    return np.concatenate([np.ones((len(rows), 1)), rows.reshape(len(rows), -1), season_of(data)], axis=1)


def solved(x: Array, y: Array, seen: Array, penalty: float) -> Array:
    """argmin_w |y - x w|^2 + penalty |w|^2 for each column, over the rows that were seen."""
    shrink = penalty * np.eye(x.shape[1])
    shrink[0, 0] = 0
    found = []
    for column in range(y.shape[1]):
        own = x[seen[:, column] > 0]
        found.append(np.linalg.solve(own.T @ own + shrink, own.T @ y[seen[:, column] > 0, column]))
    return np.stack(found, axis=1)


class Gru(nn.Module):
    """The last state of a gated recurrent unit, and from it the level of each hour ahead beside the last known one."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.gru = nn.GRU(11, hidden, batch_first=True)
        self.head = nn.Linear(hidden + 4, 24)
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    def forward(self, rows: Tensor, season: Tensor) -> Tensor:
        found: Tensor = self.head(torch.cat([self.gru(rows)[1][0], season], dim=1))
        return found + rows[:, -1, :1]


def tensors(data: Data) -> tuple[Tensor, Tensor]:
    return torch.tensor(rows_of(data)).float(), torch.tensor(season_of(data)).float()


def recurrent(train: Data, hidden: int, batch: int, rate: float, seed: int = 0) -> Gru:
    """Trained on the same windows by the same optimizer, on the absolute error of levels."""
    torch.manual_seed(seed)
    model, (rows, season) = Gru(hidden), tensors(train)
    ahead, seen = (torch.tensor(x).float() for x in (level(train["ahead"]), train["seen"]))
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    for _ in range(EPOCHS):
        for own in torch.randperm(len(rows)).split(batch):
            optimizer.zero_grad()
            (seen[own] * (model(rows[own], season[own]) - ahead[own]).abs()).sum(1).mean().backward()
            nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            optimizer.step()
        schedule.step()
    return model


# --------------------------------------------------------------------------------------------------------- table


def main(artifact: str) -> None:
    stored = dict(np.load(Path(__file__).parent / "latent_ode.npz"))
    train = {name: value[stored["part"] == "train"] for name, value in stored.items()}
    weights, penalty = ridge(train)
    networks = {name: recurrent(train, *setting) for name, setting in SETTINGS.items()}
    count = sum(item.numel() for item in next(iter(networks.values())).parameters())
    whole = source()
    whole = {name: value[whole["part"] == "test"] for name, value in whole.items()}
    print(f"ridge: {weights.size} weights, penalty {penalty:g}; GRU: {count} weights\n")
    head = " | ".join(f"MAE, {hour} h" for hour in SHOWN)
    print(f"| dropped | | {head} | 1 to 24 h | less the first |\n| --- | --- |{' --- |' * (len(SHOWN) + 2)}")
    for rate in RATES:
        test = with_gaps(whole, np.full(len(whole["past"]), rate), seed=100 + rate)
        with torch.no_grad():
            recurrent_levels = {name: network(*tensors(test)).numpy() for name, network in networks.items()}
        last = rows_of(test)[:, -1, :1]
        first = np.zeros(())
        forecasts = {
            LATENT: latent(artifact, test, "dust"),
            "the same, curve alone": latent(artifact, test, "whole")[:, 48:],
            **{name: dust_of(found) for name, found in recurrent_levels.items()},
            "ridge": dust_of(table_of(test) @ weights + last),
            "persistence": persistence(test),
        }
        for name, found in forecasts.items():
            off = np.abs(found - test["ahead"])
            first = off if name == LATENT else first
            columns = [told(*blocks(off[:, hour - 1], test["seen"][:, hour - 1]), 1) for hour in SHOWN]
            columns.append(told(*blocks(off, test["seen"]), 1))
            columns.append("" if name == LATENT else told(*blocks(off - first, test["seen"]), 1))
            print(f"| {rate} % | {name} | {' | '.join(columns)} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "build/latent_ode")
