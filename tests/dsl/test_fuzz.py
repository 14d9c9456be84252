"""Whatever the bytes: a program, or our own diagnostics, which render; never another exception, never a hang."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isocline_dsl import IsoclineError, Source, format_text, parse, read, render_error, resolve, to_text

TEXTS = [path.read_text() for path in sorted((Path(__file__).parent / "programs").glob("*.dyn"))]
TOKENS = [
    *sorted({token for text in TEXTS for token in re.findall(r"\w+|[^\w\s]|\n", text)}),
    "\0", "\ufeff", "\r\n", '"', "\\", "²", "−", "\u2028", "{", "}", "(", ")", ";", "'", "…", "1.", "e", "\x85",
    "\u06f0",
]  # fmt: skip


def survives(text: str) -> None:
    source = Source(text, "fuzz.dyn")
    mistakes = ""
    try:
        program = parse(source)
    except IsoclineError as error:
        mistakes = render_error(error)
    if mistakes:
        assert mistakes.startswith("error[E1")
        return
    resolve(program, ("dense",))
    assert parse(Source(to_text(program))) == program
    formatted = format_text(source)
    assert parse(Source(formatted)) == program
    assert format_text(Source(formatted)) == formatted


@given(st.binary(max_size=300))
@settings(max_examples=150, deadline=None)
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "bytes.dyn"
    path.write_bytes(content)
    try:
        content.decode("utf-8-sig")
    except UnicodeDecodeError:
        with pytest.raises(IsoclineError, match="E113"):
            read(path)
    else:
        survives(read(path).text)


@given(st.lists(st.sampled_from(TOKENS), max_size=40), st.sampled_from(["", " "]))
@settings(max_examples=250, deadline=None)
def test_any_tokens(tokens: list[str], between: str) -> None:
    survives("dyn 1\nmodel m\n" + between.join(tokens))


@given(st.sampled_from(TEXTS), st.data())
@settings(max_examples=200, deadline=None)
def test_mutated_programs(text: str, data: st.DataObject) -> None:
    tokens = re.findall(r"\s+|\w+|[^\w\s]", text)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(tokens) - 1))
        other = data.draw(st.sampled_from(TOKENS))
        match data.draw(st.sampled_from("drsi")):
            case "d":
                del tokens[place]
            case "r":
                tokens[place] = other
            case "s":
                tokens[place], tokens[place // 2] = tokens[place // 2], tokens[place]
            case _:
                tokens.insert(place, other)
    survives("".join(tokens))


@pytest.mark.parametrize("piece", ["{", "}", '"', "#", "\n", "x", "$"])
def test_long_texts_do_not_hang(piece: str) -> None:
    survives("dyn 1\nmodel m\n" + piece * 20_000)
