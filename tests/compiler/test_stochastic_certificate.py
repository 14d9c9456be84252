"""What a certificate says of stochastic equations, against closed forms, other seeds, and planted lies."""

from __future__ import annotations

from dataclasses import replace
from math import exp, sqrt

import numpy as np
import pytest
import torch

from isocline_compiler.certify.evaluation import Evaluator, scheme_steps
from isocline_compiler.certify.samples import drawn
from isocline_compiler.certify.stochastic import choose, errors
from isocline_compiler.certify.stochastic.errors import Nested, measured_errors
from isocline_compiler.certify.stochastic.paths import coarsened, drawn_path
from isocline_compiler.certify.stochastic.prove import StochasticProving
from isocline_compiler.certify.stochastic.record import Stochastic
from isocline_compiler.graph.noise import Noise
from isocline_compiler.lower.check import model
from isocline_compiler.solvers.grid import Discretisation
from isocline_compiler.solvers.schemes import SCHEMES
from isocline_compiler.solvers.unroll import time_span
from isocline_dsl.diagnostics import IsoclineError

GEOMETRIC = "(t, s: real) { noise W: brownian; ds = 0.05*s dt + 0.2*s dW }"
ORNSTEIN = "(t, s: real) { noise W: brownian; ds = -2*s dt + 0.3 dW }"


def proving(field: str, solver: str = "", solve: str = "over 0..1", inputs: str = "in (0.5, 1.5)") -> StochasticProving:
    deploy = f"deploy {{ solver {solver} }}" if solver else ""
    text = f"dyn 1\nmodel m\ninput s0: real {inputs}\nfield f{field}\npath = solve f from s = s0 {solve}\n"
    return StochasticProving(model(f"{text}output y = path.s\n{deploy}\n"), {}, None, None)


def proved(found: StochasticProving) -> Stochastic:
    choices, _ = found.choose(lambda words: None)
    return found._stochastic(choices)


# ---------------------------------------------------------------------------------------------------- paths


def test_a_coarser_grid_has_the_same_path_and_the_areas_under_it() -> None:
    """W and int W ds at the nodes of both grids, the integral over the fine steps summed apart."""
    rng, noise, fine, factor = np.random.default_rng(0), Noise("W", 2), 24, 4
    z = drawn_path(noise, (3, 5, fine), np.full(fine, 1 / fine), True, rng)
    coarse = coarsened(z, noise, factor)

    def nodes(path: np.ndarray, h: float) -> tuple[np.ndarray, np.ndarray]:
        dw, area = sqrt(h) * path[..., :2], sqrt(h / 12) * path[..., 2:]
        w = np.cumsum(dw, axis=2)
        integral = np.cumsum(h * (w - dw / 2 + area), axis=2)
        return w, integral

    for whole, part in zip(nodes(z, 1 / fine), nodes(coarse, factor / fine), strict=True):
        np.testing.assert_allclose(part, whole[:, :, factor - 1 :: factor], rtol=1e-12, atol=1e-14)


def test_coarser_numbers_are_standard_and_independent() -> None:
    noise = Noise("W", 1)
    z = drawn_path(noise, (4000, 1, 32), np.full(32, 1.0), True, np.random.default_rng(1))
    flat = coarsened(z, noise, 8).reshape(-1, 2)
    np.testing.assert_allclose(np.cov(flat.T), np.eye(2), atol=5 * sqrt(2 / len(flat)))


def test_counts_add_up_and_heavy_tails_keep_their_law() -> None:
    rng = np.random.default_rng(2)
    jumps = Noise("N", 1, "poisson", parameter=3.0)
    counts = drawn_path(jumps, (2000, 1, 16), np.full(16, 0.1), False, rng)
    assert counts.mean() == pytest.approx(0.3, abs=5 * sqrt(0.3 / counts.size))
    np.testing.assert_array_equal(coarsened(counts, jumps, 4)[..., 0], counts.reshape(2000, 1, 4, 4).sum(-1))
    tails = Noise("L", 1, "stable", parameter=1.5)
    for factor in (1, 16):
        x = coarsened(drawn_path(tails, (4000, 1, 16), np.ones(16), False, rng), tails, factor)
        assert np.cos(1.2 * x).mean() == pytest.approx(exp(-(1.2**1.5)), abs=4 / sqrt(x.size))


# ---------------------------------------------------------------------------------------------------- numbers


def test_the_strong_error_of_euler_is_the_known_one() -> None:
    """For dX = mu X dt + sigma X dW it is sigma^2 sqrt(T h / 2) of E X^2, to leading order. Kloeden, Platen, 10.2."""
    found = proved(proving(GEOMETRIC, "euler_maruyama(steps=32)")).errors["y"]
    assert found.strong == pytest.approx(0.04 * sqrt(1 / 64), abs=3 * found.strong_error + 0.05 * found.strong)
    assert found.order == pytest.approx(0.5, abs=3 * (found.order_error or 0.0))


def test_the_weak_error_of_euler_is_the_known_one() -> None:
    """The mean of an Ornstein-Uhlenbeck process on n steps: (1 - 2 h)^n in place of exp(-2)."""
    found = proved(proving(ORNSTEIN, "euler_maruyama(steps=8)", inputs="in (0.999, 1.001)")).errors["y"]
    size = sqrt(exp(-4) + 0.09 * (1 - exp(-4)) / 4)
    exact = abs((1 - 2 / 8) ** 8 - exp(-2)) / size
    assert found.weak == pytest.approx(exact, abs=1.5 * found.weak_interval + 0.05 * exact)
    assert found.order == pytest.approx(1.0, abs=0.2)


@pytest.mark.parametrize("solver", ["auto(error=1e-2)", "auto(weak=1e-2)"])
def test_a_grid_that_was_chosen_holds_on_other_paths(solver: str) -> None:
    found = proving(GEOMETRIC, solver)
    choices, trials = found.choose(lambda words: None)
    stated = found.stated
    assert min(trial.seconds for trial in trials if trial.error <= stated.bound) == min(
        trial.seconds for trial in trials if trial.steps == choices["path"].grid.steps and trial.error <= stated.bound
    )
    for seed in range(1, 6):
        other = measured_errors(Nested(found.plain, found.driven, seed), choices)["y"]
        value = other.strong if stated.kind == "strong" else other.weak - other.weak_interval
        assert value <= stated.bound


def test_what_no_grid_reaches_is_refused_with_the_line_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(choose.ROUNDS, "strong", choose.ROUNDS["strong"][:2])  # all of them take minutes
    with pytest.raises(IsoclineError) as refused:
        proving(GEOMETRIC, "auto(error=1e-9)").choose(lambda words: None)
    (fault,) = refused.value.diagnostics
    assert fault.code == "E680"
    assert "auto(weak=...)" in (fault.hint or "")
    assert "solver euler_maruyama(steps=" in (fault.hint or "") or "(steps=" in (fault.hint or "")


# ---------------------------------------------------------------------------------------------------- lies


class Wrong:
    """Euler and Maruyama's scheme with a fault in it."""

    @staticmethod
    def louder(scheme: object, memory: object, field: object, step: object, x: object) -> object:
        rows = {name: 1.1 * row for name, row in step.rows.items()}  # type: ignore[attr-defined]
        return TRUE(scheme, memory, field, replace(step, rows=rows), x)  # type: ignore[type-var]

    @staticmethod
    def late(scheme: object, memory: object, field: object, step: object, x: object) -> object:
        """The calculus is another: what multiplies the noise is read in the middle of the step."""
        ahead = TRUE(scheme, memory, field, step, x)[1]
        middle = tuple((a + b) * 0.5 for a, b in zip(x, ahead, strict=True))  # type: ignore[call-overload]
        stirred = field.stir(step.t, middle, step.rows)  # type: ignore[attr-defined]
        moved = [a + step.h * k for a, k in zip(x, field(step.t, x), strict=True)]  # type: ignore[operator,call-overload]
        return memory, tuple(a if b is None else a + b for a, b in zip(moved, stirred, strict=True))


TRUE = type(SCHEMES["euler_maruyama"]).advance


@pytest.mark.parametrize("fault", ["louder", "late"])
def test_a_scheme_that_converges_to_something_else_is_found_out(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its fine grid shares its fault, and its order does not show it: the second walk does."""
    true = proved(proving(GEOMETRIC, "euler_maruyama(steps=64)")).errors["y"]
    assert true.walk is not None
    assert true.allowed is not None
    assert true.walk <= true.allowed
    monkeypatch.setattr(type(SCHEMES["euler_maruyama"]), "advance", getattr(Wrong, fault))
    lied = proved(proving(GEOMETRIC, "euler_maruyama(steps=64)")).errors["y"]
    assert lied.walk is not None
    assert lied.allowed is not None
    assert lied.walk > lied.allowed


def test_another_path_is_no_coarser_grid_of_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were the fine grid's path another one, the error would be that of two strangers."""
    rng = np.random.default_rng(5)

    def strangers(fine: np.ndarray, noise: Noise, factor: int) -> np.ndarray:
        same = coarsened(fine, noise, factor)
        return same if factor == 1 else rng.standard_normal(same.shape)

    monkeypatch.setattr(errors, "coarsened", strangers)
    found = proved(proving(GEOMETRIC, "euler_maruyama(steps=64)")).errors["y"]
    assert found.strong > 0.1
    assert found.stands


def test_noise_that_is_not_scaled_with_its_step_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_span, "scaled", lambda noise, scheme, x, h: x * 0.125)
    found = proved(proving(GEOMETRIC, "euler_maruyama(steps=64)")).errors["y"]
    assert found.walk is not None
    assert found.allowed is not None
    assert found.walk > 100 * found.allowed


def test_a_grid_that_runs_away_is_not_taken_for_another_path() -> None:
    """100 h = 12.5 and 6.3: both grids grow, the finer one more."""
    found = proved(proving("(t, s: real) { noise W: brownian; ds = -100*s dt + 0.1*s dW }", "euler_maruyama(steps=8)"))
    assert found.errors["y"].strong > 1
    assert not found.errors["y"].stands


def test_a_weak_error_of_one_input_is_not_made_up_for_by_another() -> None:
    """Of dX = X dt + 0.2 X dW the mean after n steps is (1 + 1/n)^n X(0), too small above zero, too large below."""
    field = "(t, s: real) { noise W: brownian; ds = s dt + 0.2*s dW }"
    found = proved(proving(field, "euler_maruyama(steps=2)", inputs="in (-1, 1)")).errors["y"]
    size = exp(1) * sqrt(exp(0.04))
    exact = (exp(1) - (1 + 1 / 2) ** 2) / size
    assert found.weak == pytest.approx(exact, abs=found.weak_interval + 0.05 * exact)
    assert found.weak_interval < exact


def test_small_outputs_count_as_much_as_large_ones() -> None:
    """The error is relative to the output of the same input: it does not depend on how far inputs lie apart."""
    near, far = (
        proved(proving(GEOMETRIC, "euler_maruyama(steps=16)", inputs=inputs)).errors["y"].strong
        for inputs in ("in (0.999, 1.001)", "in (0.001, 10)")
    )
    assert far == pytest.approx(near, rel=1e-6)


def test_rounding_is_measured_on_the_noise_that_the_runtime_draws() -> None:
    from isocline_runtime.randomness import Draws, normals

    found = proving(GEOMETRIC, "euler_maruyama(steps=8)", solve="over 0..1 samples 16 antithetic")
    found.choose(lambda words: None)
    rows = found.samples.count
    draws = Draws(0, 0, 16, 8, 1, antithetic=True)
    expected = normals(draws, range(rows)).astype(np.float32)
    np.testing.assert_array_equal(found.samples.inputs["W"].astype(np.float32), expected)
    choice = found.choices["path"]
    assert isinstance(choice, Discretisation)
    evaluator = found.measuring
    exact = evaluator.run(found.choices)["y"]
    single = evaluator.run(found.choices, torch.float32)["y"]
    assert 0 < np.abs(exact - single).max() < 1e-5
    assert isinstance(evaluator, Evaluator)
    assert drawn(found.model.inputs, found.model.source).count <= rows
    assert scheme_steps(evaluator.solves[0], found.model.deployment.solver).scheme is choice.scheme
