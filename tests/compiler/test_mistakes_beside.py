"""Syntax errors hide no other mistakes of a file and bring none: what is told where something is broken."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from isocline_compiler.lower.check import model
from isocline_dsl import IsoclineError, Source, parse
from tests import example_models

ROOT = Path(__file__).parents[2]
MODELS = [path for path in example_models.MODELS if "\nuse " not in path.read_text(encoding="utf-8")]
"""Those that read no other file."""


def codes(text: str) -> list[str]:
    with pytest.raises(IsoclineError) as found:
        model(text)
    return [item.code for item in found.value.diagnostics]


THREE = """dyn 1
model three
input x0: real[3] in (-1, 1)
const n = 3
field f(t, x: real[3]) {
  x' = -x +
}
field g(t, z: real[n]) {
  z' = -z + missing
}
net h(z: real[3]) -> real[2] = z |> dense(0)
path = solve f from x = x0 at 0..1 step 0.1
other = solve g from z = x0 over 0..1
output y = path.x[-1]
output w = h(x0)
output v = other
deploy { stream path }
"""


def test_three_mistakes_are_three_messages() -> None:
    """An equation that ends too early, a name that means nothing, a layer of no units; the solution of the broken field
    is missed nowhere.
    """
    assert codes(THREE) == ["E108", "E201", "E284"]


def test_several_syntax_errors_and_a_wrong_type() -> None:
    text = THREE.replace("const n = 3", "const n = = 3").replace(" + missing", "").replace("dense(0)", "dense(2")
    assert codes(text.replace("output w = h(x0)", "output w = x0[7]")) == ["E107", "E108", "E102", "E215"]


FOLLOWING = {
    "a size": ("const n = 3", "const n = = 3"),
    "an input": ("input x0: real[3] in (-1, 1)", "input x0: real[3] in (-1, 1"),
    "a net": ("net h(z: real[3]) -> real[2] = z", "net h(z: real[3]) -> real[2] = = z"),
    "a field's head": ("field g(t, z: real[n]) {", "field g(t, z real[n]) {"),
    "a solve": ("path = solve f from x = x0", "path = solve f form x = x0"),
    "an output": ("output y = path.x[-1]", "output y = path.x[-1"),
    "all outputs": ("output ", "output = "),
    "a word": ("field f(", "feld f("),
    "a brace": ("  x' = -x\n}", "  x' = -x\n"),
}


@pytest.mark.parametrize("name", FOLLOWING)
def test_what_follows_from_a_broken_declaration_is_not_told(name: str) -> None:
    """The same text without its three mistakes, and one declaration broken: the parser's messages and no others."""
    right = THREE.replace(" + missing", "").replace("-x +", "-x").replace("dense(0)", "dense(2)")
    model(right)
    text = right.replace(*FOLLOWING[name])
    assert text != right
    with pytest.raises(IsoclineError) as parsed:
        parse(Source(text))
    with pytest.raises(IsoclineError) as found:
        model(text)
    assert found.value.diagnostics == parsed.value.diagnostics


@pytest.mark.parametrize("path", MODELS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_model_of_which_a_line_is_broken_has_no_other_mistakes(path: Path) -> None:
    """Of every example, line after line with a sign that belongs nowhere."""
    lines = path.read_text(encoding="utf-8").splitlines()
    for place, line in enumerate(lines):
        if not re.match(r"\s*\w", line) or line.startswith(("dyn", "model")):
            continue
        for broken in (f"{line} )", re.sub(r"[=:]", "= =", line, count=1)):
            text = "\n".join([*lines[:place], broken, *lines[place + 1 :]])
            try:
                parse(Source(text))
            except IsoclineError as error:
                told = error.diagnostics
            else:
                continue
            with pytest.raises(IsoclineError) as found:
                model(text)
            assert found.value.diagnostics == told, f"line {place + 1}: {broken}"
