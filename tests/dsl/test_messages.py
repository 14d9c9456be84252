"""Messages as users read them: one golden file a mistake, and what every message owes its reader."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from isocline_dsl import CATALOGUE, IsoclineError, explain, parse, read, render_all, resolve
from isocline_dsl.diagnostics import Source
from isocline_dsl.messages import index, syntax
from isocline_dsl.messages.message import Draft, Message, did_you_mean, message, nearest

ROOT = Path(__file__).parents[2]
CASES = sorted((Path(__file__).parent / "messages").glob("*.dyn"))
FUNCTIONS = ("concat", "conv", "cross_entropy", "dense", "exp", "log", "mean", "relu", "stack", "sum", "tanh")


def messages_for(path: Path) -> tuple[list[str], str]:
    """The codes and the text of all messages for a file."""
    source = Source(read(path).text, path.name)
    try:
        diagnostics = tuple(resolve(parse(source), FUNCTIONS))
    except IsoclineError as error:
        diagnostics = error.diagnostics
    return [d.code for d in diagnostics], render_all(diagnostics, source)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_messages_read_as_agreed(path: Path, pytestconfig: pytest.Config) -> None:
    """Rewrite the golden files with `pytest --snapshot-update`, and read the difference."""
    codes, text = messages_for(path)
    shown = f"{path.read_text(encoding='utf-8')}\n{'-' * 80}\n{text}\n"
    golden = path.with_suffix(".txt")
    if pytestconfig.getoption("update_snapshots", default=False):
        golden.write_text(shown, encoding="utf-8")
    assert path.stem.split("_")[0] in codes
    assert shown == golden.read_text(encoding="utf-8")


def test_no_golden_file_is_left_over() -> None:
    folder = Path(__file__).parent / "messages"
    assert {path.stem for path in folder.glob("*.txt")} == {path.stem for path in CASES}


@pytest.mark.parametrize("code", sorted(CATALOGUE))
def test_every_message_explains_itself(code: str) -> None:
    assert re.fullmatch(r"E[1-9]\d\d", code)
    text = explain(code.lower())
    assert text.startswith(f"{code} (")
    assert len(CATALOGUE[code].explanation) > 40


def test_every_message_is_given_somewhere() -> None:
    """By its name after a dot, `shapes.matmul_mismatch(...)`, outside of the messages themselves."""
    folders = (ROOT / "isocline", ROOT / "compiler", ROOT / "dsl")
    files = (path for folder in folders for path in folder.rglob("*.py") if path.parent.name != "messages")
    given = {name for path in files for name in re.findall(r"\.(\w+)\b", path.read_text(encoding="utf-8"))}
    assert [message.name for message in CATALOGUE.values() if message.name not in given] == []


def test_every_module_of_messages_is_in_the_catalogue() -> None:
    """A module that is not among the areas has codes that are printed, and that `explain` does not know."""
    folder = Path(index.__file__).parent
    having = {path.stem for path in folder.glob("*.py") if '\n@message("E' in path.read_text(encoding="utf-8")}
    assert having == {area.__name__.rpartition(".")[2] for area in index.AREAS}


def test_the_language_has_many_messages() -> None:
    assert len(CATALOGUE) >= 75


def test_a_code_belongs_to_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    @message("E101")
    def another() -> Draft:
        """A second owner of the code."""
        return Draft(None, "")

    monkeypatch.setattr(syntax, "another", another, raising=False)
    with pytest.raises(ValueError, match="E101"):
        index.index((syntax,))


def test_a_message_needs_a_long_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syntax, "silent", Message("E199", lambda: Draft(None, "")), raising=False)
    with pytest.raises(ValueError, match="E199"):
        index.index((syntax,))


def test_unknown_codes_name_a_near_one() -> None:
    with pytest.raises(KeyError, match="E214"):
        explain("E2144")


@pytest.mark.parametrize(
    ("name", "known", "expected"),
    [("lynks", ["lynx", "hare"], "lynx"), ("Hare", ["hare", "here"], "hare"), ("q", ["lynx"], None), ("a", [], None)],
)
def test_nearest(name: str, known: list[str], expected: str | None) -> None:
    assert nearest(name, known) == expected


def test_a_few_known_names_are_listed() -> None:
    assert did_you_mean("q", ["lynx", "hare"]) == "known: hare, lynx"
    assert did_you_mean("q", [f"name{i}" for i in range(50)]) is None
