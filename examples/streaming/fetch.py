"""Write hours.csv: the hourly electricity load of the example load_forecast, with what is known a day ahead.

Of each hour: its load in kW, whether the same hour tomorrow is on a working day or a Saturday, and its angle.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from examples.load_forecast.fetch import calendar, source, write_hours
from examples.load_forecast.fetch import rows as loads

HEADER = ("time", "kw", "working", "saturday", "sin_day", "cos_day")


def rows(table: Sequence[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    """The rows of hours.csv from those of load.csv."""
    for time, load, *_ in table:
        now = datetime.fromisoformat(time)
        working, saturday, *_ = calendar(now + timedelta(days=1))
        angle = 2 * math.pi * now.hour / 24
        yield time, load, working, saturday, f"{math.sin(angle):.6f}", f"{math.cos(angle):.6f}"


def write(path: Path) -> None:
    """Fetch, check and write; leave `path` as it was when anything is wrong."""
    write_hours(path, HEADER, list(rows(list(loads(source())))))


if __name__ == "__main__":
    target = Path(__file__).with_name("hours.csv")
    write(target)
    print(target)
