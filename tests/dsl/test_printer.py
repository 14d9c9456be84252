"""Printing: `parse(print(p)) == p` for any tree, `fmt` idempotent and faithful to comments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isocline_dsl import Source, format_text, parse, read, to_text, tree

PROGRAMS = sorted((Path(__file__).parent / "programs").glob("*.dyn"))

WORDS = ["a", "b", "x1", "α", "größe", "rate", "data", "step", "samples", "unit", "weights", "train", "by", "inf"]
identifiers = st.sampled_from(WORDS).map(tree.Identifier)
plain_names = st.sampled_from(WORDS).map(tree.Name)
numbers = st.sampled_from(["0", "1", "20.", "2.5", "1e-3", "1.5E+3"]).map(tree.Number)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\x00"), max_size=12)
strings = texts.map(tree.String)


def several(items: st.SearchStrategy[Any], least: int = 0, most: int = 3) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(items, min_size=least, max_size=most).map(tuple)


def calls(values: st.SearchStrategy[Any]) -> st.SearchStrategy[tree.Call]:
    keywords = st.lists(st.builds(tree.Keyword, identifiers, values), max_size=2, unique_by=lambda k: k.name.text)
    return st.builds(tree.Call, identifiers, several(values, most=2), keywords.map(tuple))


def grown(e: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    slices = st.builds(tree.Slice, st.none() | e, st.none() | e, st.none() | e)
    operators = st.sampled_from(["+", "-", "*", "/", "^", "@", "==", "!=", "<", "<=", ">", ">=", "and", "or"])
    bare = st.builds(lambda v, n: tree.Pipe(v, tree.Call(n), True), e, identifiers)
    starts = several(st.builds(tree.Binding, identifiers, e, st.integers(0, 1)), 1, 2)
    solve = st.builds(
        tree.Solve, identifiers, starts, e | ranges(e), st.booleans(), st.none() | calls(e), st.none() | e
    )
    scan_starts = several(st.builds(tree.Binding, identifiers, e), 1, 2)
    body = several(st.builds(tree.Assign, identifiers, e), 0, 2)
    return st.one_of(
        st.builds(tree.Unary, st.sampled_from(["-", "not"]), e),
        st.builds(tree.Binary, operators, e, e),
        calls(e),
        st.builds(tree.Pipe, e, calls(e)),
        bare,
        st.builds(tree.Array, several(e)),
        st.builds(tree.Index, e, several(e | slices, 1, 2)),
        st.builds(tree.Attribute, e, identifiers, st.integers(0, 1)),
        solve,
        st.builds(tree.Scan, several(identifiers, 1, 2), several(e, 1, 2), scan_starts, body),
    )


def ranges(e: st.SearchStrategy[Any]) -> st.SearchStrategy[tree.Range]:
    return st.builds(tree.Range, e, e, st.none() | e)


derivatives = st.builds(tree.Derivative, identifiers, st.integers(1, 2))
expressions = st.recursive(plain_names | numbers | strings | derivatives, grown, max_leaves=5)
types = st.builds(tree.TypeName, identifiers, several(expressions, most=2))
arguments = several(st.builds(tree.Argument, identifiers, types), most=3)
assigns = st.builds(tree.Assign, identifiers, expressions)
said = st.none() | texts
bounds = st.none() | st.builds(tree.Interval, expressions, expressions)
differential_names = st.sampled_from(["dt", "dW"]).map(tree.Identifier)
noises = st.builds(tree.NoiseDeclaration, identifiers, types, st.none() | st.just(tree.Identifier("stratonovich")))


@st.composite
def fields(draw: st.DrawFn) -> tree.Field:
    states = draw(several(st.builds(tree.Argument, identifiers, types), 1, 3))
    own = st.sampled_from([state.name for state in states])
    first = st.builds(tree.Term, st.just("+"), st.none() | expressions, differential_names)
    later = st.builds(tree.Term, st.sampled_from("+-"), st.none() | expressions, differential_names)
    terms = st.builds(lambda a, b: (a, *b), first, several(later, most=2))
    lines = st.one_of(
        assigns,
        st.builds(tree.Equation, own, st.integers(1, 3), expressions),
        st.builds(tree.Equation, own, st.just(1), expressions, expressions),
        st.builds(tree.Differential, own, terms),
        noises,
    )
    return tree.Field(draw(identifiers), draw(identifiers), states, draw(several(lines)), draw(st.booleans()))


counted = st.builds(lambda n, a, b: (n, tree.Range(a, b)), plain_names, numbers, expressions)
values = several(expressions | ranges(expressions)) | counted
items = st.one_of(
    st.builds(tree.Setting, identifiers, values),
    st.builds(tree.Binding, identifiers, expressions),
    st.builds(lambda n, t, c: tree.Draw(n, t, c.arguments, c.keywords), identifiers, types, calls(expressions)),
    st.builds(tree.Attribution, identifiers, several(identifiers, 1, 2), several(calls(expressions), 1, 2)),
)
declarations = st.one_of(
    assigns,
    noises,
    fields(),
    st.builds(tree.Const, identifiers, expressions, st.none() | types),
    st.builds(tree.Input, identifiers, types, bounds, st.none() | expressions, said, said),
    st.builds(tree.Target, identifiers, types, said, said),
    st.builds(
        tree.Param,
        several(identifiers, 1),
        types,
        bounds,
        st.none() | expressions,
        st.none() | calls(expressions),
        said,
        said,
        st.none() | identifiers,
    ),
    st.builds(tree.Net, identifiers, arguments, expressions, st.none() | types, several(assigns)),
    st.builds(tree.Function, identifiers, arguments, expressions, st.none() | types, several(assigns)),
    st.builds(tree.Use, st.text(max_size=5)),
    st.builds(tree.Control, identifiers, calls(expressions)),
    st.builds(tree.Output, identifiers, st.none() | expressions, said, said),
    st.builds(tree.Block, st.sampled_from(["data", "train", "deploy"]), several(items)),
    st.builds(tree.Block, st.just("train"), several(items), identifiers),
)
programs = st.builds(tree.Program, st.just(tree.Number("1")), identifiers, said, several(declarations, most=4))


@given(programs)
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
def test_printing_then_parsing_gives_the_program_back(program: tree.Program) -> None:
    text = to_text(program)
    assert parse(Source(text)) == program
    assert format_text(Source(format_text(Source(text)))) == format_text(Source(text))


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_formatting_keeps_meaning_and_comments(path: Path) -> None:
    source = read(path)
    formatted = format_text(source)
    assert parse(Source(formatted)) == parse(source)
    assert format_text(Source(formatted)) == formatted
    assert formatted.count("#") == source.text.count("#")


MESSY = """# at the top

dyn 1   # version
model m


# about a
a=f( b ,  # first
  # between
  c )     # last


b = 1 ;c = 2  # both

train{ loss a   # what
  # the end
}
# after all
"""

TIDY = """# at the top

dyn 1  # version
model m

# about a
# first
# between
a = f(b, c)  # last

b = 1
c = 2  # both

train {
  loss a  # what
  # the end
}
# after all
"""


def test_the_canonical_layout() -> None:
    assert format_text(Source(MESSY)) == TIDY
    assert format_text(Source(TIDY)) == TIDY


def test_comment_marks_inside_strings_are_not_comments() -> None:
    text = 'dyn 1\nmodel m "a # b"\n\noutput y = 1 unit "#"  # c\n'
    assert format_text(Source(text)) == text


def test_long_solves_break_before_the_states_and_the_times() -> None:
    states = ", ".join(f"state_{i} = first[{i}]" for i in range(6))
    formatted = format_text(Source(f"dyn 1\nmodel m\npath = solve f from {states} at 0..1 with rk4(steps=8)  # end\n"))
    assert formatted.splitlines()[2:] == ["path = solve f", f"  from {states}", "  at 0..1 with rk4(steps=8)  # end"]


def test_long_pipelines_break_before_the_pipe() -> None:
    stages = "".join(f" |> dense({1000 + i}, init=zeros)" for i in range(5))
    formatted = format_text(Source(f"dyn 1\nmodel m\nh = x{stages}  # end\n"))
    assert formatted.splitlines()[2:] == [
        "h = x",
        *(f"  |> dense({1000 + i}, init=zeros)" for i in range(4)),
        "  |> dense(1004, init=zeros)  # end",
    ]
