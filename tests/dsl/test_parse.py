"""Text to tree: the programs of the specification, and what the lexical rules promise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from isocline_dsl import IsoclineError, Source, parse, read, tree, walk

PROGRAMS = sorted((Path(__file__).parent / "programs").glob("*.dyn"))
HEADER = "dyn 1\nmodel m\n"


def declarations(text: str) -> tuple[tree.Declaration, ...]:
    return parse(Source(HEADER + text)).declarations


def value(text: str) -> Any:
    (declaration,) = declarations(f"a = {text}")
    assert isinstance(declaration, tree.Assign)
    return declaration.value


def codes(text: str) -> list[str]:
    with pytest.raises(IsoclineError) as caught:
        parse(Source(text))
    return [diagnostic.code for diagnostic in caught.value.diagnostics]


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_the_programs_of_the_specification_parse(path: Path) -> None:
    source = read(path)
    program = parse(source)
    assert program.declarations
    for node in walk(program):
        assert 0 <= node.span.start <= node.span.stop <= len(source.text)


def test_spans_point_at_what_was_written() -> None:
    source = Source(HEADER + "x = (a + b)*c[0]\n")
    texts = {type(n).__name__: source.text[n.span.start : n.span.stop] for n in walk(parse(source))}
    assert texts["Index"] == "c[0]"
    assert texts["Assign"] == "x = (a + b)*c[0]"


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("-x^2", "-(x^2)"),
        ("2^-1^2", "2^(-(1^2))"),
        ("a^b^c", "a^(b^c)"),
        ("a - b - c", "(a - b) - c"),
        ("a*b @ c", "(a*b) @ c"),
        ("a + b*c", "a + (b*c)"),
        ("not a < b and c", "(not (a < b)) and c"),
        ("a or b and c", "a or (b and c)"),
        ("a + b |> f", "(a + b) |> f"),
        ("x\n  |> f\n\n  |> g(1)", "x |> f |> g(1)"),
        ("solve f\n  from x = 1,\n    y = 2\n\n  at 0..1\n  with g", "solve f from x = 1, y = 2 at 0..1 with g"),
        ("b +\n  c", "b + c"),
        ("f(b,\n\n  c)", "f(b, c)"),
        ("-a.b[0]", "-((a.b)[0])"),
    ],
)
def test_operators_bind_as_documented(text: str, same: str) -> None:
    assert value(text) == value(same)


def test_ranges_do_not_eat_the_first_dot() -> None:
    solve = value("solve f from x = 1 over 0..20 step 0.5")
    assert [node.text for node in (solve.times.start, solve.times.stop, solve.times.step)] == ["0", "20", "0.5"]


def test_words_are_keywords_only_where_they_are() -> None:
    assert declarations("data = 3; step = data + samples; unit = train")
    assert value("mean(p, over=samples, at=ts)").keywords[0].value == tree.Name("samples")


def test_settings_take_values_of_any_form() -> None:
    (block,) = declarations("data {\n split time 0..16; missing drop\n regularize (a+b)*c\n stream }")
    assert isinstance(block, tree.Block)
    split, missing, regularize, stream = (item.values for item in block.items if isinstance(item, tree.Setting))
    assert split == (tree.Name("time"), tree.Range(tree.Number("0"), tree.Number("16")))
    assert missing == (tree.Name("drop"),)
    assert isinstance(regularize[0], tree.Binary)
    assert stream == ()


def test_names_may_share_a_type() -> None:
    (field,) = declarations("field f(t, q, p: real[2], s: real) { }")
    assert isinstance(field, tree.Field)
    assert [len(argument.type.sizes) for argument in field.states if argument.type] == [1, 1, 0]


def test_differentials_become_terms() -> None:
    (field,) = declarations("field f(t, x: real) { dx = dW - (a + b)*x dt }")
    assert isinstance(field, tree.Field)
    (line,) = field.body
    assert isinstance(line, tree.Differential)
    assert [(term.sign, term.factor is None, term.differential.text) for term in line.terms] == [
        ("+", True, "dW"),
        ("-", False, "dt"),
    ]


def test_velocities_have_names() -> None:
    assert value("q' + path.q'") == tree.Binary(
        "+", tree.Derivative(tree.Identifier("q")), tree.Attribute(tree.Name("path"), tree.Identifier("q"), 1)
    )
    assert value("solve f from q = 1, q' = 2 over 0..1").initial[1].order == 1


@pytest.mark.parametrize("piece", ["(", "[", "-", "x+", "x^", "f("])
def test_deep_nesting_is_a_message(piece: str) -> None:
    closing = {"(": ")", "[": "]"}.get(piece[-1], "")
    assert codes(f"{HEADER}a = {piece * 10_000}x{closing * 10_000}") == ["E111"]


def test_all_mistakes_of_a_file_come_at_once() -> None:
    text = HEADER + "a = (1\nparam k real\nb = = 2\nfield f(t, x: real) {\n  x' = 1 1\n  y' = @\n}\nc = 3 $ 4\n"
    assert codes(text) == ["E102", "E107", "E107", "E109", "E107", "E101"]


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"dyn 1\nmodel m\na = \xff", "E113"), (None, "E114")],
)
def test_unreadable_files_are_messages(tmp_path: Path, content: bytes | None, code: str) -> None:
    path = tmp_path / "m.dyn"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(IsoclineError) as caught:
        read(path)
    assert caught.value.diagnostics[0].code == code


def test_byte_order_mark_and_line_ends_do_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "m.dyn"
    path.write_bytes(b"\xef\xbb\xbfdyn 1\r\nmodel m\r\na = 1\rb = 2\r\n")
    assert parse(read(path)) == parse(Source(HEADER + "a = 1\nb = 2\n"))
    assert parse(Source("dyn 1\r\nmodel m\r\na = 1\rb = 2")) == parse(read(path))
