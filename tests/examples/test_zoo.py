"""The zoo: every file has its header and its types, the catalogue is that of the headers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import energy_distance as scipy_energy_distance

import isocline
from examples.zoo import run
from examples.zoo.catalogue import anchor, page
from examples.zoo.families import FOLDER, QUESTIONS, HeaderError, families, read_header
from examples.zoo.measure import energy_distance

FILES = sorted(FOLDER.glob("*.dyn"))
CATALOGUE = Path(__file__).parents[2] / "docs" / "catalogue.md"
MOST_LINES = 60


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_file_types_and_is_short(file: Path) -> None:
    lines = file.read_text(encoding="utf-8").splitlines()
    assert len(lines) < MOST_LINES
    assert max(map(len, lines)) <= 120
    assert isocline.check(file).name == file.stem
    read_header(file)


def test_the_catalogue_is_made_of_the_headers() -> None:
    assert page(families()) == CATALOGUE.read_text(encoding="utf-8"), (
        "docs/catalogue.md is old; make it by: python -m examples.zoo.catalogue docs/catalogue.md"
    )


def test_every_question_has_an_answer_and_every_family_a_name_of_its_own() -> None:
    rows = families()
    assert {question for row in rows for question in row.questions} == set(QUESTIONS)
    for names in ([row.name for row in rows], [anchor(row.family) for row in rows]):
        assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("# Family: A\n", "no line `# Reference: ...`"),
        ("# Family: A\n# Colour: red\n", "expected one of Family"),
        ("#   goes on\n", "none before it"),
        (
            "# Family: A\n# Equation: x\n# Reference: r\n# Good for: g\n# Question: why\n",
            "'why' is none of the questions",
        ),
        ("# Family: A\n# Family: B\n# Equation: x\n# Reference: r\n# Good for: g\n# Question: why\n", "more than one"),
    ],
)
def test_a_header_of_another_form_is_told(header: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "odd.dyn"
    file.write_text(header + "dyn 1\n", encoding="utf-8")
    with pytest.raises(HeaderError, match=r"odd\.dyn") as found:
        read_header(file)
    assert message in str(found.value)


def test_the_energy_distance_is_scipys_but_for_points_with_themselves() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=40), rng.normal(0.5, 1.5, size=30)
    itself = [np.abs(z[:, None] - z).mean() / (len(z) - 1) for z in (x, y)]
    expected = scipy_energy_distance(x, y) ** 2 - sum(itself)
    assert energy_distance(x[:, None], y[:, None]) == pytest.approx(expected, rel=1e-12)


BROKEN = """# Family: Broken
# Equation: y = 1/x
# Reference: nobody
# Good for: A row that says why.
# Question: I want a deep network
dyn 1
model broken

data { source "digits.npz"; x = array(x) }
input x: real in (0, 1)
output y = z*x
"""
NUMBERS = {
    "scheme": [], "parameters": 1, "evaluations": 0, "score": [], "parity": 1e-7, "error": {"none": "no solve"},
    "stability": {"largest": None, "decaying": None, "proved": []}, "nodes": 1, "bytes": 1, "latency_us": 1.0,
    "engines": {}, "picture": None,
}  # fmt: skip


def test_a_family_that_fails_is_a_row_that_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "broken.dyn"
    file.write_text(BROKEN, encoding="utf-8")
    (tmp_path / "digits.npz").touch()
    family = read_header(file)
    monkeypatch.setattr(type(family), "path", file)
    monkeypatch.setattr(run, "FOLDER", tmp_path)
    monkeypatch.setattr(run, "families", lambda: (family,))
    assert run.main(["--build", str(tmp_path / "built")]) == 1
    (row,) = json.loads((tmp_path / "built" / "table.json").read_text(encoding="utf-8"))
    assert row["status"] == "failed"
    assert row["why"] == "error[E201]: nothing is called `z` here"
    assert "E201" in (tmp_path / "built" / "index.html").read_text(encoding="utf-8")
    (tmp_path / "built" / "broken.json").write_text(json.dumps({**row, "status": "ok", **NUMBERS}), encoding="utf-8")
    assert run.main(["--build", str(tmp_path / "built")]) == 0, "what is there is not made again"
    with pytest.raises(SystemExit):
        run.main(["--build", str(tmp_path / "built"), "--only", "nobody"])
