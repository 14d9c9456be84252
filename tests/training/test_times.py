"""A column of times: the forms that are read, and the row that is named when one is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from isocline_compiler.data import read_table
from isocline_compiler.data.place import NOWHERE
from isocline_compiler.data.times import date64, times
from isocline_compiler.driver import dataset_of
from isocline_compiler.lower.check import check
from isocline_dsl.diagnostics import IsoclineError

HOURS = np.datetime64("2010-01-01T00:00") + np.arange(24 * 14) * np.timedelta64(1, "h")
MODEL = """dyn 1
model weather
data {{
  source "t.csv"
  recent = past(12, temp)
  next = future(1, temp)
  time {time}
  split time(test="{test}")
}}
input recent: real[12]
target next: real[1]
output y = recent |> standardize |> dense(1)
train {{ loss mse(y, next); epochs 1 }}
"""


def read(folder: Path, cells: list[str], form: str | None = None) -> np.ndarray:
    path = folder / "t.csv"
    path.write_text("\n".join(["stamp,x", *(f'"{cell}",1' for cell in cells)]) + "\n")
    return times(read_table(path, NOWHERE, {"stamp"} if form else ()), "stamp", form, NOWHERE)


@pytest.mark.parametrize(
    ("cells", "form", "expected"),
    [
        (["2014-01-31", "2014-02-01"], None, ["2014-01-31", "2014-02-01"]),
        (["2014-01-31 06:00", "2014-01-31 07:30"], None, ["2014-01-31T06:00", "2014-01-31T07:30"]),
        (["2014-01-31T06:00:30.25Z", "2014-01-31T06:00:31Z"], None, ["2014-01-31T06:00:30.25", "2014-01-31T06:00:31"]),
        (["2014-01-31T06:00:00+02:00", "2014-01-31T06:00:00-01:30"], None, ["2014-01-31T04:00", "2014-01-31T07:30"]),
        (["2014/01/31 06:00", "2014/2/1 7:30"], None, ["2014-01-31T06:00", "2014-02-01T07:30"]),
        (["2014/01/31", "2014/01/31 06:00:30.5"], None, ["2014-01-31", "2014-01-31T06:00:30.5"]),
        (["2014-01-31", "2014/02/01"], None, ["2014-01-31", "2014-02-01"]),
        (["31.01.2014 06:00", "01.02.2014 07:30"], "%d.%m.%Y %H:%M", ["2014-01-31T06:00", "2014-02-01T07:30"]),
        (["20140131", "20140201"], "%Y%m%d", ["2014-01-31", "2014-02-01"]),
        (["2014-03-04", "2014-04-04"], "%Y-%d-%m", ["2014-04-03", "2014-04-04"]),
    ],
)
def test_dates_are_read(tmp_path: Path, cells: list[str], form: str | None, expected: list[str]) -> None:
    np.testing.assert_array_equal(read(tmp_path, cells, form), np.array(expected, dtype="datetime64[us]"))


@pytest.mark.parametrize("cells", [["0", "1"], ["0.5", "1.5"], ["1262304000", "1262307600"]])
def test_numbers_are_times_as_they_are(tmp_path: Path, cells: list[str]) -> None:
    assert read(tmp_path, cells).tolist() == [float(cell) for cell in cells]


@pytest.mark.parametrize(
    ("cells", "form", "line", "part"),
    [
        (["2014/01/31", "2014/02/30"], None, 3, "`2014/02/30` is not a time"),
        (["2014-01-31", "03/04/2014"], None, 3, "`03/04/2014`"),
        (["noon", "2014-01-31"], None, 2, "`noon`"),
        (["2014-01-31T06:00Z", "2014-01-31T07:00"], None, 3, "`2014-01-31T07:00`"),
        (["2014-01-31", "", "2014-02-01"], None, 3, "the time is missing"),
        (["2014/01/31", "NA"], None, 3, "the time is missing"),
        (["1.5", "", "2"], None, 3, "the time is missing"),
        (["true", "false"], None, 2, "is not a time"),
        (["31.01.2014", "2014-02-01"], "%d.%m.%Y", 3, "not a date in the form `%d.%m.%Y`"),
    ],
)
def test_a_time_that_is_not_read_is_named_by_its_row(
    tmp_path: Path, cells: list[str], form: str | None, line: int, part: str
) -> None:
    with pytest.raises(IsoclineError) as caught:
        read(tmp_path, cells, form)
    assert [item.code for item in caught.value.diagnostics] == ["E533"]
    assert f"t.csv, line {line}, column `stamp`" in str(caught.value)
    assert part in str(caught.value)


def test_a_boundary_is_read_as_the_column_is() -> None:
    assert date64("2010/01/13") == date64("2010-01-13") == date64("13.01.2010", "%d.%m.%Y")


def weather(folder: Path, time: str, test: str, form: str) -> Path:
    rows = [f"{stamp.strftime(form)},{i}" for i, stamp in enumerate(HOURS.astype(object))]
    (folder / "t.csv").write_text("\n".join(["stamp,temp", *rows]) + "\n")
    path = folder / "weather.dyn"
    path.write_text(MODEL.format(time=time, test=test))
    return path


@pytest.mark.parametrize(
    ("form", "time", "test"),
    [
        ("%Y/%m/%d %H:%M", "stamp", "2010-01-13"),
        ("%Y-%m-%d %H:%M:%S", "stamp", "2010/01/13"),
        ("%d.%m.%Y %H:%M", 'stamp, "%d.%m.%Y %H:%M"', "13.01.2010 00:00"),
    ],
)
def test_a_split_by_time_in_every_form(tmp_path: Path, form: str, time: str, test: str) -> None:
    """Two days of hours are the test."""
    path = weather(tmp_path, time, test, form)
    dataset = dataset_of(check(path), tmp_path)
    assert dataset is not None
    assert dataset.test is not None
    assert dataset.test.count == 48
    assert dataset.test.arrays["next"][:2, 0].tolist() == [12 * 24, 12 * 24 + 1]
    assert dataset.train.count == 12 * 24 - 12


@pytest.mark.parametrize("time", ['stamp, "d.m.Y"', 'stamp, "%H:%M"', 'stamp, "%"', 'stamp, "%d", "%m"', "stamp, temp"])
def test_a_form_that_is_no_date_is_refused_in_the_file(tmp_path: Path, time: str) -> None:
    with pytest.raises(IsoclineError, match="time"):
        check(weather(tmp_path, time, "2010-01-13", "%Y-%m-%d"))
