"""The planted faults fit the source, and planting one leaves nothing behind.

What catches them is in `table.md`; `python -m tests.mutation -o tests/mutation/table.md` writes it within three hours.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.mutation.__main__ import read_table, table
from tests.mutation.builds import TEXTS
from tests.mutation.fault import Fault, Moved
from tests.mutation.faults import FAULTS
from tests.mutation.trial import ROOT, Verdict, planted, within


def fits(fault: Fault) -> bool:
    file = ROOT / fault.file
    try:
        return file.exists() and bool(fault.planted(file.read_text()))
    except Moved:
        return False


def test_every_fault_fits_the_source() -> None:
    """One whose text has moved would be planted nowhere, and count as nothing."""
    assert [fault.name for fault in FAULTS if not fits(fault)] == []


def test_faults_differ_and_change_something() -> None:
    assert len({(fault.file, fault.old, fault.new) for fault in FAULTS}) == len(FAULTS)
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
    assert all(fault.old != fault.new for fault in FAULTS)


def test_faults_name_builds_and_tests_that_there_are() -> None:
    for fault in FAULTS:
        assert set(fault.builds) <= set(TEXTS)
        assert fault.tests
        assert all((ROOT / test.partition("::")[0]).exists() for test in fault.tests)


class Stopped(Exception):
    """What a trial may end with."""


def _stopped(fault: Fault, folder: Path) -> None:
    with planted(fault, folder):
        assert (folder / fault.file).read_text() == "x = 1\ny = 3\n"
        raise Stopped


def test_a_planted_fault_is_taken_out_again(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text("x = 1\ny = 2\n")
    with pytest.raises(Stopped):
        _stopped(Fault("a.py", "y = 2", "y = 3", "a number"), tmp_path)
    assert file.read_text() == "x = 1\ny = 2\n"


@pytest.mark.parametrize("text", ["y = 1\n", "x = 1\nx = 1\n"], ids=["gone", "twice"])
def test_a_fault_that_does_not_fit_is_an_error(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(text)
    fault = Fault("a.py", "x = 1", "x = 2", "a number")
    with pytest.raises(Moved), planted(fault, tmp_path):
        pass
    assert (tmp_path / "a.py").read_text() == text


def test_a_fault_of_a_file_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(Moved, match=r"no a\.py"), planted(Fault("a.py", "x", "y", "a name"), tmp_path):
        pass


def _where(what: Sequence[str]) -> str:
    import isocline

    return f"{isocline.__file__} {what[0]}"


def _where_else(_: Sequence[str]) -> str:
    command = [sys.executable, "-c", "import isocline; print(isocline.__file__)"]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()


def _forever(_: Sequence[str]) -> None:
    while time.process_time() < 100:
        pass


def _gone(_: Sequence[str]) -> None:
    os._exit(3)


def test_a_trial_sees_the_copy_alone(tmp_path: Path) -> None:
    for name in ("isocline", "isocline_compiler", "isocline_dsl", "isocline_runtime"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("")
    ended, found = within(20, tmp_path, _where, ("there",))
    assert ended
    assert found == f"{tmp_path / 'isocline' / '__init__.py'} there"
    assert within(20, tmp_path, _where_else, ()) == (True, str(tmp_path / "isocline" / "__init__.py"))


@pytest.mark.parametrize("check", [_forever, _gone])
def test_a_trial_that_does_not_end_well_is_told(check: object, tmp_path: Path) -> None:
    for name in ("isocline", "isocline_compiler", "isocline_dsl", "isocline_runtime"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("")
    assert within(1, tmp_path, check, ()) == (False, None)  # type: ignore[arg-type]


def test_the_table_counts_what_is_caught() -> None:
    fault = Fault("p/a.py", "x", "y", "a name")
    kinds = ("build", "test", "hung", "survived", "moved")
    text = table([Verdict(fault, kind, "E601") for kind in kinds])
    assert text.startswith("3 of 4 planted faults are caught: 1 stopped a build, 1 failed a test, ")
    assert "| a.py: a name | survived | E601 |" in text
    assert read_table(text) == {"a.py: a name": ("hung", "E601")}
