"""Messages of lowering as users read them: one golden file a mistake, and one message for one mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from isocline_compiler.lower import lower
from isocline_dsl import IsoclineError, Source, parse, read, render_error

FOLDER = Path(__file__).parent / "messages"
CASES = sorted(FOLDER.glob("*.dyn"))


def mistakes(path: Path) -> IsoclineError:
    source = Source(read(path).text, path.name)
    with pytest.raises(IsoclineError) as found:
        lower(parse(source), source)
    return found.value


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_one_mistake_is_one_message_that_reads_as_agreed(path: Path, pytestconfig: pytest.Config) -> None:
    """Rewrite the golden files with `pytest --snapshot-update`, and read the difference."""
    error = mistakes(path)
    shown = f"{path.read_text(encoding='utf-8')}\n{'-' * 80}\n{render_error(error)}\n"
    golden = path.with_suffix(".txt")
    if pytestconfig.getoption("update_snapshots", default=False):
        golden.write_text(shown, encoding="utf-8")
    assert [item.code for item in error.diagnostics] == [path.stem.split("_")[0]]
    assert all(item.span is not None for item in error.diagnostics)
    assert shown == golden.read_text(encoding="utf-8")


def test_the_golden_files_are_those_of_the_cases_and_many() -> None:
    assert {path.stem for path in FOLDER.glob("*.txt")} == {path.stem for path in CASES}
    assert len({path.stem.split("_")[0] for path in CASES}) >= 70


def test_every_mistake_of_a_file_is_told_once() -> None:
    text = """dyn 1
model m
input x: real[4]
param k: positive = -1
a = x[7]
b = a + 1
c = k*b
output y = c + (x |> dense(0))
deploy { check mean(y) < 1; solver rk4 }
"""
    source = Source(text)
    with pytest.raises(IsoclineError) as found:
        lower(parse(source), source)
    assert [item.code for item in found.value.diagnostics] == ["E413", "E215", "E323"]
