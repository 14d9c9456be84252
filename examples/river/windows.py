"""The windows of fulda.csv, cut as the block `data` cuts them, and how a forecast of them is scored."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

Array = np.ndarray

FOLDER = Path(__file__).parent
LENGTH, WARMING, STRIDE = 120, 60, 60


@dataclass(frozen=True)
class Windows:
    """n windows: the flow on the day before (n, 1), weather (n, 120, 3), measured flow (n, 120), and their dates."""

    before: Array
    weather: Array
    seen: Array
    dates: list[list[str]]


def windows(part: str = "test", data: Path | None = None) -> Windows:
    """The windows all of whose days ahead are in a part; of another table than fulda.csv if one is named."""
    with (data or FOLDER / "fulda.csv").open() as file:
        rows = list(csv.DictReader(file))
    table = np.array([[float(row[name]) for name in ("rain", "temperature", "sun", "flow")] for row in rows])
    own, dates = np.array([row["part"] == part for row in rows]), [row["date"] for row in rows]
    starts = [i for i in range(1, len(rows) - LENGTH + 1, STRIDE) if own[i : i + LENGTH].all()]
    return Windows(
        before=np.stack([table[i - 1, 3:] for i in starts]),
        weather=np.stack([table[i : i + LENGTH, :3] for i in starts]),
        seen=np.stack([table[i : i + LENGTH, 3] for i in starts]),
        dates=[dates[i : i + LENGTH] for i in starts],
    )


def r2(told: Array, seen: Array) -> float:
    """The explained part of the variance of the days that count; hydrology says Nash-Sutcliffe efficiency."""
    told, seen = told[:, WARMING:], seen[:, WARMING:]
    return float(1 - np.sum((told - seen) ** 2) / np.sum((seen - seen.mean()) ** 2))
