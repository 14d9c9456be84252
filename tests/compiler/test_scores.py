"""Scores of ensembles: against loops over pairs in numpy, and against the closed forms of normal distributions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import ndtri
from scipy.stats import norm

from isocline_compiler.derivatives.reverse_forward import gradient
from isocline_compiler.lower.check import model
from isocline_dsl.diagnostics import IsoclineError
from tests.compiler.workbench import Workbench


def energy_by_loops(ensemble: np.ndarray, y: np.ndarray, fair: bool) -> float:
    """Of one sample: the mean distance from y, less half of that between the members."""
    count = len(ensemble)
    near = sum(np.sqrt(((x - y) ** 2).sum()) for x in ensemble) / count
    apart = sum(np.sqrt(((a - b) ** 2).sum()) for a in ensemble for b in ensemble)
    return float(near - apart / (2 * count * (count - 1 if fair else count)))


def crps_by_loops(ensemble: np.ndarray, y: np.ndarray, fair: bool) -> float:
    """Of one sample: the energy score of each entry alone."""
    entries = zip(ensemble.reshape(len(ensemble), -1).T, y.reshape(-1), strict=True)
    return float(np.mean([energy_by_loops(members[:, None], observed[None], fair) for members, observed in entries]))


def mmd_by_loops(x: np.ndarray, y: np.ndarray, widths: tuple[float, ...], fair: bool) -> float:
    def mean(a: np.ndarray, b: np.ndarray, apart: bool) -> float:
        pairs = [(i, j) for i in range(len(a)) for j in range(len(b)) if not (apart and i == j)]
        squares = np.array([((a[i] - b[j]) ** 2).sum() for i, j in pairs])
        return float(np.mean([np.exp(-squares / (2 * width**2)).mean() for width in widths]))

    return mean(x, x, fair) + mean(y, y, fair) - 2 * mean(x, y, False)


SHAPES = [(), (3,), (2, 3)]
LOOPS = {"crps": crps_by_loops, "energy_score": energy_by_loops}


@pytest.mark.parametrize("fair", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", LOOPS)
def test_a_score_is_the_loop_over_its_pairs(name: str, shape: tuple[int, ...], fair: bool) -> None:
    bench = Workbench()
    ensemble, y = bench.normal(4, 6, *shape), bench.normal(4, *shape)
    found = bench(bench.build(name, ensemble, y, fair=fair)).numpy()
    expected = [LOOPS[name](a, b, fair) for a, b in zip(bench.of(ensemble).numpy(), bench.of(y).numpy(), strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("name", LOOPS)
def test_one_side_may_be_the_same_for_all_samples(name: str) -> None:
    bench = Workbench()
    alone, y = bench.normal(5, 3, batched=False), bench.normal(4, 3)
    found = bench(bench.build(name, alone, y)).numpy()
    np.testing.assert_allclose(
        found, [LOOPS[name](bench.of(alone).numpy(), row, False) for row in bench.of(y).numpy()], rtol=1e-12
    )


@pytest.mark.parametrize("fair", [False, True])
@pytest.mark.parametrize("widths", [0.7, (0.5, 2.0)])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_discrepancy_is_the_loop_over_its_pairs(shape: tuple[int, ...], widths: Any, fair: bool) -> None:
    bench = Workbench()
    x, y = bench.normal(4, 6, *shape), bench.normal(4, 5, *shape)
    found = bench(bench.build("mmd", x, y, widths, fair=fair)).numpy()
    every = widths if isinstance(widths, tuple) else (widths,)
    rows = zip(bench.of(x).numpy(), bench.of(y).numpy(), strict=True)
    np.testing.assert_allclose(found, [mmd_by_loops(a, b, every, fair) for a, b in rows], rtol=1e-10, atol=1e-14)


def test_the_crps_of_a_normal_distribution() -> None:
    """s (z (2 Phi(z) - 1) + 2 phi(z) - 1/sqrt(pi)), z = (y - mean)/s (Gneiting et al. 2005, equation 5)."""
    bench, count = Workbench(), 4000
    mean, s, y = np.array([0.0, 1.0, -3.0]), np.array([1.0, 0.2, 2.0]), np.array([0.3, 1.5, 0.0])
    places = ndtri((np.arange(count) + 0.5) / count)
    ensemble = bench.input(np.random.default_rng(0).permutation((mean + s * places[:, None]).T, axis=1))
    z = (y - mean) / s
    exact = s * (z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / np.sqrt(np.pi))
    np.testing.assert_allclose(bench(bench.build("crps", ensemble, bench.input(y))), exact, rtol=2e-4)


def test_the_discrepancy_of_two_normal_distributions() -> None:
    """E k(x, y) = w/sqrt(w^2 + s^2 + r^2) exp(-(m - n)^2/(2 (w^2 + s^2 + r^2))) of N(m, s^2) and N(n, r^2)."""
    bench, count, w = Workbench(), 1500, 0.8
    places = ndtri((np.arange(count) + 0.5) / count)
    x, y = bench.input((0.5 + 1.2 * places)[None]), bench.input((-0.2 + 0.6 * places)[None])

    def mean(difference: float, variance: float) -> float:
        return float(w / np.sqrt(w**2 + variance) * np.exp(-(difference**2) / (2 * (w**2 + variance))))

    exact = mean(0, 2 * 1.2**2) + mean(0, 2 * 0.6**2) - 2 * mean(0.7, 1.2**2 + 0.6**2)
    np.testing.assert_allclose(bench(bench.build("mmd", x, y, w)), [exact], rtol=1e-3)


def test_a_fair_score_has_the_mean_of_the_distribution_itself() -> None:
    """Three members: the plain score is too large by the spread over m, the fair one is right in the mean."""
    bench, rng = Workbench(), np.random.default_rng(0)
    draws, y = bench.input(rng.standard_normal((200_000, 3))), bench.input(np.full(200_000, 0.4))
    exact = 0.4 * (2 * norm.cdf(0.4) - 1) + 2 * norm.pdf(0.4) - 1 / np.sqrt(np.pi)
    fair, plain = (float(bench(bench.build("crps", draws, y, fair=flag)).mean()) for flag in (True, False))
    assert abs(fair - exact) < 4e-3
    assert plain - exact == pytest.approx(1 / np.sqrt(np.pi) / 3, abs=4e-3)


@pytest.mark.parametrize("name", ["crps", "energy_score", "mmd"])
def test_the_gradient_is_that_of_differences_also_where_members_coincide(name: str) -> None:
    bench = Workbench()
    values = bench.generator.normal(size=(2, 4, 3))
    x, y = bench.input(values), bench.normal(2, 4, 3) if name == "mmd" else bench.normal(2, 3)
    (slope,) = gradient(bench.build(name, x, y), [x])
    found, h = bench(slope).numpy(), 1e-6
    for place in [(0, 0, 0), (1, 2, 1), (1, 3, 2)]:
        beside = []
        for sign in (1, -1):
            moved = values.copy()
            moved[place] += sign * h
            beside.append(float(bench(bench.build(name, bench.input(moved), y)).sum()))
        assert found[place] == pytest.approx((beside[0] - beside[1]) / (2 * h), rel=1e-5, abs=1e-8)
    same = bench.input(np.zeros((2, 4, 3)))
    (slope,) = gradient(bench.build(name, same, y), [same])
    assert torch.isfinite(bench(slope)).all()


MISTAKES = {
    "crps(x, y)": "E289", "energy_score(m, z)": "E289", "mmd(m, z)": "E289", "crps(3, y)": "E288",
    "mmd(m, m, bandwidth=0)": "E284", "crps(one, y, fair=true)": "E284",
}  # fmt: skip


@pytest.mark.parametrize(("call", "code"), MISTAKES.items(), ids=MISTAKES)
def test_what_does_not_fit_is_said(call: str, code: str) -> None:
    inputs = "input m: real[3, 4]\ninput x: real[4]\ninput y: real[4]\ninput z: real[3]\ninput one: real[1, 4]"
    with pytest.raises(IsoclineError) as found:
        model(f"dyn 1\nmodel m\n{inputs}\noutput result = {call} + 0*(sum(m) + sum(x) + sum(y) + sum(z) + sum(one))\n")
    assert [item.code for item in found.value.diagnostics] == [code]
