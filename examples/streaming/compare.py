"""The test year hour by hour: how good the forecasts are, what an hour costs, and that a saved state goes on.

python -m examples.streaming.compare build/live_load
"""

from __future__ import annotations

import csv
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import isocline

HOURS = Path(__file__).with_name("hours.csv")
WEEK, DAY = 168, 24
TEST = "2014-01-01 00:00:00"


def hours() -> tuple[NDArray[Any], int]:
    """The rows as the model takes them, its load interpolated where clocks went forward, and where the test begins."""
    with HOURS.open(encoding="ascii", newline="") as file:
        rows = list(csv.reader(file))[1:]
    table = np.array([[float(cell or "nan") for cell in row[1:]] for row in rows])
    load, known = table[:, 0], np.isfinite(table[:, 0])
    load[~known] = np.interp(np.flatnonzero(~known), np.flatnonzero(known), load[known])
    return table, next(i for i, row in enumerate(rows) if row[0] == TEST)


def percent(forecast: NDArray[Any], actual: NDArray[Any]) -> float:
    """The mean absolute percentage error."""
    return float(100 * np.abs(forecast / actual - 1).mean())


def main(artifact: str) -> None:
    table, first = hours()
    begin, load = first - WEEK, table[:, 0]
    rows = table[begin : len(table) - DAY]
    session = isocline.load(artifact)

    stream, found = session.stream(), []
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        for i, row in enumerate(rows):
            if i == len(rows) // 2:
                stream.save(Path(folder) / "state.npz")
                stream = isocline.load(artifact).resume(Path(folder) / "state.npz")
            found.append(stream.step(hours=row)["forecast"])
        each = 1e6 * (time.perf_counter() - started) / len(rows)

    # Forecasts before an hour: the last row that is seen is the hour before it.
    forecast = np.array(found[WEEK - 1 :])
    actual = np.lib.stride_tricks.sliding_window_view(load[first:], DAY)[: len(forecast)]
    yesterday = np.lib.stride_tricks.sliding_window_view(load[first - DAY :], DAY)[: len(forecast)]
    print(f"{len(forecast)} forecasts of {DAY} hours, one each hour of 2014, in percent of the load")
    print(f"  the model        {percent(forecast, actual):.2f}")
    print(f"  the day before   {percent(yesterday, actual):.2f}")

    whole = session.run(hours=rows[:1000])["forecast"]
    print(f"after 1000 hours the stream and one run over them give {_same(found[999], whole)}")
    last = session.run(hours=rows)["forecast"]
    print(f"after {len(rows)} hours, saved and resumed on the way, {_same(found[-1], last)}")

    started = time.perf_counter()
    for i in range(200):
        session.run(hours=rows[i : i + WEEK])
    window = 1e6 * (time.perf_counter() - started) / 200
    print(f"an hour costs {each:.0f} us in the stream, {window:.0f} us by a run over the last week")


def _same(step: NDArray[Any], run: NDArray[Any]) -> str:
    if np.array_equal(step, run):
        return "the same bits"
    return f"numbers that differ by {np.abs(step / run - 1).max():.1e}"


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "build/live_load")
