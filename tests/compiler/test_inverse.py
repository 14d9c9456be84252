"""`inverse(h)`: steps are undone, against states that are known, and against schemes that are written by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import isocline
from isocline_compiler.backends.to_torch import TorchProgram
from isocline_compiler.graph import Array
from isocline_compiler.lower import lower
from isocline_compiler.model import Model
from isocline_compiler.solvers.schemes import SCHEMES
from isocline_compiler.solvers.schemes.adjoint import adjoint_of, undoable
from isocline_compiler.solvers.unroll import unroll
from isocline_dsl import Source, parse
from isocline_dsl.diagnostics import IsoclineError
from tests.stated import stated

PAIR = "field f(t, q: real[2], p: real[2]) { q' = p*(1 + 0.1*sin(t)); p' = -sin(q)*t }\n"
DAMPED = "field f(t, q: real[2], p: real[2]) { q' = p*t; p' = (-sin(q) - p)/2 }\n"
FREE = "field f(t, q: real[2]) { q' = -q^3 + sin(t) }\n"
EXPLICIT = [name for name in undoable() if name not in ("euler", "implicit_midpoint", "trapezoid")]
START = np.random.default_rng(3).uniform(0.2, 1.0, (4, 2))


def lowered(text: str) -> Model:
    source = Source(f"dyn 1\nmodel m\ninput x: real[2] in (0.1, 2)\n{text}", "m.dyn")
    return lower(parse(source), source)


def evaluated(text: str, segment: int | None = None) -> dict[str, Array]:
    graph = lowered(text).graph
    choices = stated(graph)
    if segment:
        choices = {name: replace(choice, segment=segment) for name, choice in choices.items()}
    found = TorchProgram(unroll(graph, choices).graph)({"x": torch.tensor(START)})
    return {name: value.numpy() for name, value in found.items()}


def text_of(scheme: str, times: str, back: str = "inverse(h)") -> str:
    if scheme == "implicit_euler":
        return (
            FREE + f"h = solve f from q = x {times} with {scheme}(steps=12, iterations=12)\nb = {back}\noutput q = b\n"
        )
    field = DAMPED if "momentum" in scheme else PAIR
    return field + (
        f"h = solve f from q = x, p = 2*x {times} with {scheme}(steps=12)\nb = {back}\noutput q = b.q\noutput p = b.p\n"
    )


@pytest.mark.parametrize("segment", [None, 2])
@pytest.mark.parametrize("times", ["over 0.5..1.5", "over 1.5..0.5", "at [0.5, 0.7, 1.5]"])
@pytest.mark.parametrize("scheme", EXPLICIT)
def test_the_start_comes_back(scheme: str, times: str, segment: int | None) -> None:
    found = evaluated(text_of(scheme, times), segment)
    np.testing.assert_allclose(found["q"], START, rtol=0, atol=1e-10)
    if "p" in found:
        np.testing.assert_allclose(found["p"], 2 * START, rtol=0, atol=1e-10)


@pytest.mark.parametrize("scheme", ["euler", "implicit_midpoint", "trapezoid"])
def test_iterations_bring_the_start_back_where_the_adjoint_is_implicit(scheme: str) -> None:
    many = ", iterations=12" if scheme != "euler" else ""
    left = []
    for iterations in (1, 3, 12):
        text = f"h = solve f from q = x over 0..1 with {scheme}(steps=4{many})\n"
        found = evaluated(FREE + text + f"b = inverse(h, iterations={iterations})\noutput q = b\n")
        left.append(np.abs(found["q"] - START).max())
    assert left[0] > left[1] > left[2]
    assert left[2] < 1e-7


@pytest.mark.parametrize("back", [False, True])
def test_other_ends_are_where_the_solve_would_end_from_what_is_found(back: bool) -> None:
    """The steps of a RevNet written by hand take the answer to the end that was asked for; weights are a step's own.

    They belong to their piece of time: a solve that goes back meets the last first, and undone it meets them in turn.
    """
    text = (
        "field f(t, q: real[2], p: real[2]) weights per step {\n"
        "  q' = p |> dense(2) |> tanh\n  p' = q |> dense(2) |> tanh\n}\n"
        "h = solve f from q = x, p = 2*x over SPAN with coupling(steps=4)\nb = inverse(h, p=x*x)\n"
        "output q = b.q\noutput p = b.p\noutput end = h.q\n"
    )
    model = lowered(text.replace("SPAN", "1..0" if back else "0..1"))
    random = np.random.default_rng(0)
    weights = {item.name: random.normal(size=item.shape) for item in model.weights}
    graph = model.graph
    choices = stated(graph)
    bound = {"x": torch.tensor(START), **{name: torch.tensor(value) for name, value in weights.items()}}
    found = {name: value.numpy() for name, value in TorchProgram(unroll(graph, choices).graph)(bound).items()}
    q, p = found["q"], found["p"]
    h = -0.25 if back else 0.25
    for i in range(4)[:: -1 if back else 1]:
        q = q + h * np.tanh(p @ weights["f.q.dense.weight"][i] + weights["f.q.dense.bias"][i])
        p = p + h * np.tanh(q @ weights["f.p.dense.weight"][i] + weights["f.p.dense.bias"][i])
    np.testing.assert_allclose(q, found["end"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(p, START**2, rtol=0, atol=1e-12)


def test_the_adjoint_of_an_adjoint_is_the_scheme() -> None:
    for name in undoable():
        adjoint = adjoint_of(SCHEMES[name])
        assert adjoint is not None
        assert adjoint_of(adjoint) is SCHEMES[name]
    assert adjoint_of(SCHEMES["rk4"]) is None


def test_deep_networks_are_undone_in_single_precision(tmp_path: Path) -> None:
    """Two hundred blocks, in a loop: what the artifact answers, and what its certificate says of it."""
    file = tmp_path / "deep.dyn"
    file.write_text(
        "dyn 1\nmodel deep\ninput x: real[2] in (0.1, 2)\n"
        "field f(t, q: real[2], p: real[2]) { q' = tanh(p + t); p' = -tanh(q) }\n"
        "h = solve f from q = x, p = 2*x over 0..5 with leapfrog(steps=200)\nback = inverse(h)\n"
        "output q = back.q\noutput p = back.p\n"
    )
    isocline.compile(file, tmp_path / "out")
    session = isocline.load(tmp_path / "out")
    found = session.run(x=START)
    given = START.astype(np.float32)
    assert np.abs(found["q"] - given).max() < 3e-6
    assert np.abs(found["p"] - 2 * given).max() < 3e-6


REFUSED = {
    ("", "inverse(h)"): "it names no scheme",
    ("with rk4(steps=4)", "inverse(h)"): "`rk4` has none",
    ("with euler(steps=4)", "inverse(h, r=x)"): "no state `r`",
    ("with euler(steps=4)", "inverse(h, q=[1, 2, 3])"): "`q` starts from real.3., expected real.2.",
    ("with momentum(steps=4)", "inverse(h)"): "cannot solve this field",
}


@pytest.mark.parametrize(("scheme", "back"), REFUSED)
def test_what_cannot_be_undone_is_refused_in_words(scheme: str, back: str) -> None:
    with pytest.raises(IsoclineError, match=REFUSED[scheme, back]):
        lowered(FREE + f"h = solve f from q = x over 0..1 {scheme}\nb = {back}\noutput q = b\n")


def test_momenta_that_damp_each_other_are_not_undone() -> None:
    field = "field f(t, q: real[2], p: real[2]) { q' = p; p' = -sin(q) - p^3 }\n"
    solve = "h = solve f from q = x, p = x over 0..1 with momentum(steps=4)\nb = inverse(h)\noutput q = b.q\n"
    with pytest.raises(IsoclineError, match="not affine in `p`"):
        lowered(field + solve)
