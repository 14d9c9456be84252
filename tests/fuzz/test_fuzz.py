"""The fuzzers, bounded: the same cases in every run. By hand there are as many as one likes: `python -m tests.fuzz`."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isocline_compiler.model import Model
from isocline_dsl import Source, parse
from tests.fuzz import interpreter
from tests.fuzz.__main__ import fault_of, of_bytes, shortened
from tests.fuzz.compare import verdict
from tests.fuzz.guard import Hang, checked, guarded
from tests.fuzz.interpreter import Interpreter
from tests.fuzz.mutations import any_words
from tests.fuzz.programs import program

BOUNDED = settings(deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
RANDOM = st.integers(0, 2**32).map(lambda seed: Random(f"ci {seed}"))


@given(RANDOM)
@settings(BOUNDED, max_examples=100)
def test_any_bytes_are_a_model_or_our_messages(random: Random) -> None:
    assert fault_of(of_bytes(random)) is None


@given(RANDOM)
@settings(BOUNDED, max_examples=120)
def test_any_words_are_a_model_or_our_messages(random: Random) -> None:
    assert fault_of(any_words(random)) is None


@pytest.mark.parametrize("seed", range(6))
def test_programs_answer_as_the_interpreter_does(seed: int) -> None:
    random = Random(f"ci {seed}")
    assert verdict(program(random), random) in ("right", "no number")


def test_programs_are_type_correct() -> None:
    assert all(isinstance(checked(program(Random(f"types {seed}"))), Model) for seed in range(25))


# ------------------------------------------------------------------------------------ what the fuzzers stand on


def interpreted(lines: str, **inputs: object) -> dict[str, np.ndarray]:
    source = Source("dyn 1\nmodel m\n" + lines)
    return Interpreter(parse(source), {name: np.asarray(value) for name, value in inputs.items()}).run()


@pytest.mark.parametrize(
    ("expression", "right"),
    [
        ("grad(sum(x^3), x)", lambda x: 3 * x**2),
        ("hessian(sum(x^3), x)", lambda x: np.diag(6 * x)),
        ("jacobian(x*sum(x), x)", lambda x: x.sum() * np.eye(2) + np.outer(x, np.ones(2))),
        ("grad(sum(grad(sum(sin(x)), x)), x)", lambda x: -np.sin(x)),
        ("divergence(exp(-x), x)", lambda x: -np.exp(-x).sum()),
        ("jvp(x^2, x, [1, 3])", lambda x: 2 * x * np.array([1, 3])),
        ("vjp(sum(x^2), x, 2)", lambda x: 4 * x),
        ("grad(relu(x[0]) + abs(x[1]), x)", lambda x: np.array([x[0] > 0, np.sign(x[1])])),
    ],
)
def test_the_interpreter_differentiates_as_by_hand(expression: str, right: object) -> None:
    x = np.array([0.7, -1.2])
    found = interpreted(f"input x: real[2]\noutput y = {expression}\n", x=x)["y"]
    np.testing.assert_allclose(found, right(x), rtol=1e-6, atol=1e-7)  # type: ignore[operator]


@pytest.mark.parametrize("scheme", sorted(interpreter.TABLEAUS))
def test_the_interpreter_steps_with_the_order_of_the_scheme(scheme: str) -> None:
    order = {"euler": 1, "midpoint": 2, "heun": 2, "ralston2": 2, "rk4": 4, "rk38": 4}.get(scheme, 3)
    errors = []
    for steps in (64, 128):
        solve = f"s = solve f from q = x, q' = 0 over 0..1 with {scheme}(steps={steps})"
        text = f"field f(t, q: real) {{ q'' = -q + t }}\n{solve}"
        found = interpreted(f"input x: real\n{text}\noutput y = s.q\n", x=2.0)["y"]
        errors.append(abs(float(found) - (2 * np.cos(1) - np.sin(1) + 1)))
    assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.35)


def test_a_gradient_goes_through_a_solve_and_a_value_with_a_name() -> None:
    text = """input x: real
u = 2*x
field f(t, h: real) { h' = -h }
s = solve f from h = u over 0..1 with euler(steps=2)
output by_x = grad(s^2 + x, x)
output by_u = grad(s^2 + x, u)
"""
    found = interpreted(text, x=0.5)
    assert float(found["by_x"]) == pytest.approx(2 * (2 * 0.25) ** 2 * 0.5 + 1)
    assert float(found["by_u"]) == pytest.approx(2 * 0.25**2 * 1.0)


def test_a_wrong_function_and_a_wrong_scheme_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    text = """dyn 1
model m
input x: real in (-1, 1)
field f(t, h: real) { h' = tanh(h) + t }
output y = solve f from h = x over 0..1 with heun(steps=2)
"""
    assert verdict(text, Random(0)) == "right"
    monkeypatch.setattr(interpreter, "TABLEAUS", {"heun": interpreter.TABLEAUS["midpoint"]})
    assert verdict(text, Random(0)).startswith("wrong number in y")
    monkeypatch.undo()
    monkeypatch.setattr(interpreter, "FUNCTIONS", {"tanh": np.sin})
    assert verdict(text, Random(0)).startswith("wrong number in y")


def test_what_takes_too_long_or_too_much_is_stopped() -> None:
    def endless() -> None:
        while True:
            pass

    with pytest.raises(Hang), guarded(0.05):
        endless()
    with pytest.raises(MemoryError), guarded(most=100_000_000):
        np.ones(100_000_000)


def test_a_find_is_shortened_to_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.fuzz.__main__.fault_of", lambda text: "Fault in f: x" if "bad" in text else None)
    assert shortened("a\nbad\nb\n", "Fault in f: y") == "bad"
