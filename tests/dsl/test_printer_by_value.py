"""Parentheses: printed with as few as the grammar needs, an expression keeps its form and its value."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isocline_dsl import Source, parse, to_text, tree

HEAD = "dyn 1\nmodel m\n"
BY: Mapping[str, Callable[[float, float], float]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "^": operator.pow,
}  # fmt: skip


def parsed(text: str) -> tree.Expression:
    """The value of `y = TEXT`."""
    (found,) = parse(Source(f"{HEAD}y = {text}\n")).declarations
    assert isinstance(found, tree.Assign)
    return found.value


def printed(value: tree.Expression) -> str:
    program = tree.Program(tree.Number("1"), tree.Identifier("m"), None, (tree.Assign(tree.Identifier("y"), value),))
    return to_text(program).split(" = ", 1)[1].strip()


def spelled(node: tree.Expression) -> str:
    """The same expression with parentheses around every part."""
    match node:
        case tree.Binary(operator=sign, left=left, right=right):
            return f"({spelled(left)} {sign} {spelled(right)})"
        case tree.Unary(operator=sign, operand=operand):
            return f"({sign} {spelled(operand)})"
        case tree.Number(text=text) | tree.Name(text=text):
            return text
    raise TypeError(node)


def worth(node: tree.Expression) -> float:
    """The value as Python's own arithmetic has it."""
    match node:
        case tree.Binary(operator=sign, left=left, right=right):
            return BY[sign](worth(left), worth(right))
        case tree.Unary(operand=operand):
            return -worth(operand)
        case tree.Number(text=text):
            return float(text)
    raise TypeError(node)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7 - (3 - 2)", 6), ("7 - 3 - 2", 2), ("7 - (3 + 2)", 2), ("12/(3*2)", 2), ("12/3*2", 8), ("12/(6/2)", 4),
        ("-3^2", -9), ("(-3)^2", 9), ("-(-3)^2", -9), ("(2^3)^2", 64), ("2^3^2", 512), ("2^-1", 0.5), ("(2*3)^2", 36),
        ("-(2 + 3)", -5), ("-2 + 3", 1), ("2*(3 + 4)", 14), ("2*-3", -6), ("-(2*3)*4", -24), ("8 - (1 - (2 - 3))", 6),
        ("16/(8/(4/2))", 4), ("2^(1 + 2)", 8), ("((2^2)^3)^1", 64), ("(1 - 2)*(3 - 4)", 1), ("2*(3/(4 - 2))", 3),
    ],
)  # fmt: skip
def test_an_expression_written_with_the_fewest_parentheses_keeps_them(text: str, value: float) -> None:
    """Each of these stands in canonical layout already, and its value was worked out by hand."""
    assert printed(parsed(text)) == text
    assert worth(parsed(printed(parsed(text)))) == value


def grown(e: st.SearchStrategy[tree.Expression]) -> st.SearchStrategy[tree.Expression]:
    return st.builds(tree.Unary, st.just("-"), e) | st.builds(tree.Binary, st.sampled_from(list(BY)), e, e)


ARITHMETIC = st.recursive(st.sampled_from(["2", "3", "5", "7"]).map(tree.Number), grown, max_leaves=8)


@given(ARITHMETIC)
@settings(max_examples=400, deadline=None, derandomize=True)
def test_printing_keeps_the_form_and_the_value(e: tree.Expression) -> None:
    """Read back, the printed text is the same tree as the text with every parenthesis, and is worth the same."""
    again = parsed(printed(e))
    assert again == parsed(spelled(e)) == e
    try:
        before = worth(e)
    except (OverflowError, ZeroDivisionError):
        return
    after = worth(again)
    assert after == before or (isinstance(before, float) and math.isnan(before) and math.isnan(after))


LOGIC = st.recursive(
    st.sampled_from(["p", "q", "r"]).map(tree.Name),
    lambda e: (
        st.builds(tree.Unary, st.just("not"), e)
        | st.builds(tree.Binary, st.sampled_from(["and", "or", "<", "==", "@", "-", "^"]), e, e)
    ),
    max_leaves=6,
)


@given(LOGIC)
@settings(max_examples=300, deadline=None, derandomize=True)
def test_printing_keeps_the_form_of_truths_and_comparisons(e: tree.Expression) -> None:
    assert parsed(printed(e)) == parsed(spelled(e)) == e
