"""The study of doses: what a row is made of, and the deployed form against the superposition of single doses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import isocline
from examples.doses import fetch
from examples.doses.compare import exact

HEAD = "ID TIME AMT WGT APGR DV FA1 FA2\n"
RECORDS = """1 0. 25.0 1.4 7 0 1 1
1 2.0 0 1.4 7 17.3 0 0
1 12.5 3.5 1.4 7 0 1 1
1 112.5 0 1.4 7 31.0 0 0
2 0. 15.0 1.5 3 0 1 1
2 2.0 0 1.5 3 9.7 0 0
"""


def test_a_row_is_an_observation_with_all_doses_of_its_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "ROWS", 6)
    monkeypatch.setattr(fetch, "CHILDREN", 2)
    monkeypatch.setattr(fetch, "OBSERVATIONS", 3)
    found = fetch.observations(fetch.records((HEAD + RECORDS).encode()))
    np.testing.assert_array_equal(found["when"], [2.0, 112.5, 2.0])
    np.testing.assert_array_equal(found["seen"], [17.3, 31.0, 9.7])
    np.testing.assert_array_equal(found["low_score"], [False, False, True])
    np.testing.assert_array_equal(found["times"][1][:3], [0.0, 12.5, fetch.NEVER])
    np.testing.assert_array_equal(found["amounts"][1][:3], [25.0, 3.5, 0.0])


def test_a_file_that_is_another_one_is_refused() -> None:
    with pytest.raises(SystemExit, match="of 2 children"):
        fetch.records((HEAD + RECORDS).encode())


def test_the_first_parameters_answer_as_the_superposition_does(tmp_path: Path) -> None:
    """Untrained, from draws of the inputs' bounds: rates of clearance over volume, doses behind the observation."""
    text = (Path(fetch.__file__).parent / "doses.dyn").read_text()
    head, rest = text.split("data {")
    file = tmp_path / "doses.dyn"
    file.write_text(head + rest[rest.index("input child") :].replace("in (0.3, 6)", "in (1, 2)"))
    isocline.compile(file, tmp_path / "out")
    random = np.random.default_rng(0)
    rows = {
        "child": np.array([0, 58, 59, 7, 3]),  # 59 is a child that was never seen
        "weight": random.uniform(1.1, 1.9, 5),
        "low_score": np.array([0.0, 1, 0, 1, 0]),
        "times": random.uniform(0, 300, (5, 15)),
        "amounts": random.uniform(1, 30, (5, 15)),
        "when": random.uniform(100, 399, 5),
    }
    found = isocline.load(tmp_path / "out").run(**rows)["concentration"]
    expected = exact(rows, np.full(5, 0.0047), np.ones(5), 0.1)
    assert np.abs(found - expected).max() <= 1e-3 * np.abs(expected).max()
