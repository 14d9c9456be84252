"""Scalar equations in rows, and which form is taken: against numpy by hand, and against the plain ONNX file."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from isocline_compiler.graph import everything
from isocline_compiler.packing import PLAIN, deployed, forms
from isocline_compiler.packing.layouts import packed
from isocline_compiler.packing.rows import ROWS
from isocline_compiler.passes import optimise
from tests.packed import (
    CHAINS,
    HAMILTON,
    QUICK,
    SCHEMES,
    SUMS,
    Trial,
    by_hand,
    close,
    net_model,
    nodes,
    scalar_model,
)  # fmt: skip
from tests.steppers import adams_bashforth_2


@st.composite
def expressions(draw, names: list[str], depth: int = 3) -> str:
    """A formula that the language and Python read alike."""
    if depth == 0 or draw(st.integers(0, 4)) == 0:
        return draw(st.sampled_from([*names, *names, "t", "p", "0.7", "1.3", "2.0"]))
    inner = [draw(expressions(names, depth - 1)) for _ in range(2)]
    kinds = [
        "({0} + {1})", "({0} - {1})", "({0} * {1})", "({0} * {1})", "({0} / (1.5 + {1} * {1}))", "tanh({0})",
        "sin({0})", "sigmoid({0} - {1})", "(-{0})", "(0.4 * {0})", "({0} / 4.0)", "max({0}, {1})",
        "sqrt(1.0 + {0} * {0})",
    ]  # fmt: skip
    return draw(st.sampled_from(kinds)).format(*inner)


@QUICK
@given(data=st.data(), count=st.integers(2, 5), scheme=st.sampled_from(sorted(SCHEMES)), sums=st.sampled_from(SUMS))
def test_scalar_equations_in_rows_are_those_by_hand(data, count, scheme, sums):
    equations = [data.draw(expressions([f"x{i}" for i in range(count)])) for _ in range(count)]
    trial = Trial(scalar_model(equations, scheme, 4))
    expected = by_hand(equations, scheme, 4, trial.inputs)
    assume(all(np.isfinite(item).all() and np.abs(item).max() < 1e3 for item in expected.values()))
    unrolling = data.draw(st.sampled_from(["all", 1]))
    found = trial.graph(ROWS, sums, unrolling)
    ready = optimise(trial.bound)
    assert packed(ready, ROWS, trial.choices) is not ready
    close(trial.exact(found), expected, 1e-12)
    plain = trial.graph(None, "plain", unrolling)
    close(trial.single(found), trial.single(plain), 2e-5)


MOST = {"lotka_volterra": 13, "lorenz": 20, "sir": 25, "decays": 13, "squares": 22, "logistic": 14, "michaelis": 17}


@pytest.mark.parametrize("name", CHAINS)
@pytest.mark.parametrize("sums", SUMS)
def test_equations_of_one_kind_share_operations(name, sums):
    trial = Trial(scalar_model(CHAINS[name], "rk4", 8))
    expected = by_hand(CHAINS[name], "rk4", 8, trial.inputs)
    found = trial.graph(ROWS, sums)
    close(trial.exact(found), expected, 1e-12)
    close(trial.single(found), expected, 2e-5)
    if sums == "absorbed":
        longer = Trial(scalar_model(CHAINS[name], "rk4", 16)).graph(ROWS, sums)
        assert (nodes(longer) - nodes(found)) / 8 <= MOST[name]


@pytest.mark.parametrize("sums", SUMS)
@pytest.mark.parametrize("unrolling", ["all", 1, 2])
def test_slopes_that_are_remembered_are_rows_too(sums, unrolling):
    equations = CHAINS["lotka_volterra"]
    text = scalar_model(equations, "ab2", 8).replace("at [0, 0.2, 0.6]", "at [0, 0.3, 0.6]")
    trial = Trial(text)

    def slopes(t: float, x: np.ndarray) -> np.ndarray:
        return np.array([1.1 * x[0] - 0.4 * x[0] * x[1], 0.1 * x[0] * x[1] - 0.4 * x[1]])

    start = np.array([trial.inputs["s0"], trial.inputs["s1"]])
    path = adams_bashforth_2(slopes, start, np.linspace(0, 0.6, 9))[[0, 4, 8]]
    found = trial.exact(trial.graph(ROWS, sums, unrolling))
    close(found, {f"x{i}": path[:, i].T for i in range(2)}, 1e-12)
    assert any(node.op.name in ("gemm", "matmul") for node in everything(trial.graph(ROWS, sums).outputs.values()))


def test_what_does_not_broadcast_is_given_numbers_in_their_shape():
    """The second derivative of a Lagrangian network: the number 1 in the shape of a state goes into a reshape."""
    lagrangian = "x1^2/2 + tanh(stack(x0, x1))[0] * tanh(stack(x1, x0))[0]"
    trial = Trial(scalar_model(["x1", f"x0 / grad(grad({lagrangian}, x1), x1)"], "rk4", 4))
    by_v = ["x1", "x0 / (1.0 - 2.0 * tanh(x0) * tanh(x1) * (1.0 - tanh(x1)^2))"]
    close(trial.exact(trial.graph(ROWS, "plain")), by_hand(by_v, "rk4", 4, trial.inputs), 1e-12)


# ---------------------------------------------------------------------------------------------------- which form


def chosen(text: str, samples: int | None) -> str:
    trial = Trial(text)
    return deployed(trial.bound, trial.choices, samples=samples).form.name


def test_the_form_follows_the_batch():
    assert chosen(net_model([2, 64], "tanh", "rk4", 20), 1) == "absorbed from stages"
    assert chosen(net_model([2, 64], "tanh", "rk4", 20), None) == "absorbed from stages"
    assert chosen(net_model([2, 64], "tanh", "rk4", 20), 4096) == "plain"
    assert chosen(scalar_model(CHAINS["lotka_volterra"], "rk4", 100), 1) == "rows, absorbed"
    assert chosen(HAMILTON % "rk4", 1).startswith("columns, absorbed")


def test_many_steps_and_tight_bounds_read_nothing_off_stages():
    """It rounds at the size of the state, in one direction: half a unit a step may be 80 steps, or what is allowed."""
    assert chosen(net_model([2, 64], "tanh", "rk4", 80), 1) == "absorbed from stages"
    assert chosen(net_model([2, 64], "tanh", "rk4", 81), 1) == "absorbed"
    trial = Trial(net_model([2, 64], "tanh", "rk4", 20))
    assert deployed(trial.bound, trial.choices, samples=1, tolerance=9.0).form.name == "absorbed"


def test_plain_is_among_the_forms_and_the_least_predicted_is_taken():
    trial = Trial(scalar_model(CHAINS["michaelis"], "rk4", 20))
    found = forms(optimise(trial.bound), trial.choices, 1)
    assert found[0].name == "plain"
    assert {"rows", "rows, absorbed"} < {item.name for item in found}
    assert len({item.name for item in found}) == len(found)
    least = min(found, key=lambda item: item.predicted)
    assert deployed(trial.bound, trial.choices, samples=1).form == least
    assert deployed(trial.bound, trial.choices, form=PLAIN).form is PLAIN
    assert all(math.isfinite(item.predicted) for item in found)


NOT_IN_ROWS = {
    "a vector beside a number": HAMILTON.replace("q, p: real[2]) {", "q: real[2], p: real[2]) {") % "rk4",
    "one state": scalar_model(["-x0"], "rk4", 4),
    "a scheme that moves states in turn": scalar_model(["x1", "-sin(x0)"], "symplectic_euler", 4),
}


@pytest.mark.parametrize("name", NOT_IN_ROWS)
def test_what_fits_no_rows_stays_as_it_is(name):
    trial = Trial(NOT_IN_ROWS[name])
    ready = optimise(trial.bound)
    assert packed(ready, ROWS, trial.choices) is ready


def test_solves_without_a_choice_stay():
    trial = Trial(scalar_model(CHAINS["sir"], "rk4", 4))
    ready = optimise(trial.bound)
    assert packed(ready, ROWS, {}) is ready
    scheme = replace(next(iter(trial.choices.values())), segment=2)
    assert packed(ready, ROWS, dict.fromkeys(trial.choices, scheme)) is not ready
