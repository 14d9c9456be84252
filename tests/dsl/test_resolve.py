"""Names: the programs of the specification that are whole have none wrong, and good programs are left in peace."""

from __future__ import annotations

from pathlib import Path

import pytest

from isocline_dsl import Source, parse, read, resolve

PROGRAMS = Path(__file__).parent / "programs"
FUNCTIONS = ("concat", "conv", "cross_entropy", "dense", "groupnorm", "log", "mean", "relu", "softmax", "stack")
FUNCTIONS += ("standardize", "tanh")


def codes(text: str) -> list[str]:
    return [d.code for d in resolve(parse(Source(f"dyn 1\nmodel m\n{text}")), FUNCTIONS)]


@pytest.mark.parametrize("name", ["grey_box", "neural_ode"])
def test_whole_programs_have_no_mistakes(name: str) -> None:
    assert resolve(parse(read(PROGRAMS / f"{name}.dyn")), FUNCTIONS) == []


@pytest.mark.parametrize(
    "text",
    [
        "output y = k\nconst k = 1",
        "const n = 2\ninput x: real[n, T]\noutput y = x",
        "const n = 2\nparam k: real[n] = 1 ~ normal(0, n)\noutput y = k",
        "field f(t, x: real) { v = -u; u = 2*x; x' = v }\nx = solve f from x = 1 over 0..1\noutput x",
        "field f(t, q: real) { q'' = -q - q' }\np = solve f from q = 1, q' = 0 over 0..1\noutput z = p.q",
        "field f(t, x: real) { x' = -x(t - 1) }\nh = solve f from x = 1 over 0..1\noutput h",
        "field f(t, s: real) { noise W: brownian; ds = s dt + dW }\nh = solve f from s = 1 over 0..1\noutput h",
        "input xs: real\ncontrol X = hermite(xs)\n"
        "field f(t, s: real) { ds = s dX }\nh = solve f from s = 1 over 0..1\noutput h",
        "input xs: real[T]\nh = scan (x) over (xs) from h = 0 { h = h + x; h = 2*h }\noutput h",
        "param k: real\noutput y = k\ntrain { draw z: normal; e = (z - k)^2; loss mean(e) }",
        "input x: real\noutput y = x |> dense(4, init=zeros, weight=antisymmetric(damping=0.1))",
        "param k: real\nnet f(x: real) -> real { h = g(x); k*h }\nnet g(x: real) = x\noutput y = f(1)",
    ],
)
def test_good_programs_are_left_in_peace(text: str) -> None:
    assert codes(text) == []


def test_all_mistakes_come_in_the_order_of_the_text() -> None:
    text = "param unused: real\noutput y = a\nfield f(t, x: real) { }\noutput z = tan(1)"
    assert codes(text) == ["E202", "E201", "E328", "E301", "E260"]


def test_a_circle_is_found_however_long() -> None:
    links = "\n".join(f"a{i} = a{i + 1}" for i in range(3000))
    assert codes(f"{links}\na3000 = a0\noutput a0").count("E204") == 1
