"""The stored table of the parser is what the grammar makes, and nothing depends on its being there."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import pytest

from isocline_dsl import Source, parse, parse_table
from isocline_dsl.make_table import table_text
from isocline_dsl.parse import _lark, built_parser

PROGRAMS = sorted((Path(__file__).parent / "programs").glob("*.dyn"))


def test_the_stored_table_is_what_the_grammar_makes() -> None:
    stored = resources.files("isocline_dsl").joinpath(parse_table.FILE).read_text("utf-8")
    assert stored == table_text(built_parser()), "python -m isocline_dsl.make_table"


def test_the_stored_table_is_read() -> None:
    assert parse_table.stored_parser() is not None


@pytest.fixture
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package whose table is of another version of lark."""
    path = tmp_path / parse_table.FILE
    path.write_text(json.dumps({"of": "lark 0.0.0", "data": None, "memo": None}))
    (tmp_path / "grammar.lark").write_text(parse_table.grammar_text())
    monkeypatch.setattr(parse_table.resources, "files", lambda _: tmp_path)
    _lark.cache_clear()
    return path


@pytest.mark.parametrize("remove", [False, True])
def test_a_table_of_something_else_or_none_changes_nothing(remove: bool, request: pytest.FixtureRequest) -> None:
    sources = [Source(path.read_text("utf-8")) for path in PROGRAMS]
    before = [parse(source) for source in sources]
    path = request.getfixturevalue("_elsewhere")
    if remove:
        path.unlink()
    assert parse_table.stored_parser() is None
    assert [parse(source) for source in sources] == before
    _lark.cache_clear()
