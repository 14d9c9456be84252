"""The lexer for pygments: it knows every word of the grammar and loses no character."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pygments.lexers import get_lexer_by_name
from pygments.token import Error, Keyword
from pygments.util import ClassNotFound

from isocline_dsl.lexer import DynLexer, keywords

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").rglob("*.dyn"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_is_lexed_whole(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    found = list(DynLexer().get_tokens_unprocessed(text))
    assert [part for _, kind, part in found if kind is Error] == []
    assert "".join(part for _, _, part in found) == text


@given(st.text())
def test_no_character_is_lost(text: str) -> None:
    assert "".join(part for _, _, part in DynLexer().get_tokens_unprocessed(text)) == text


@pytest.mark.parametrize("word", keywords())
def test_keywords(word: str) -> None:
    assert next(DynLexer().get_tokens_unprocessed(word))[1] is Keyword


def test_pygments_finds_it_when_installed() -> None:
    try:
        found = get_lexer_by_name("dyn")
    except ClassNotFound:
        pytest.skip("installed before the entry point was stated")
    assert isinstance(found, DynLexer)
