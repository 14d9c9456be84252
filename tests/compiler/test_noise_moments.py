"""Moments of noise: what the runtime makes has them, against numpy's own draws, and planted faults are seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import isocline
from isocline_compiler.certify.evaluation import scheme_steps
from isocline_compiler.certify.stochastic import seeded
from isocline_compiler.certify.stochastic.moments import Moment, moments_of, noise_moments
from isocline_compiler.certify.stochastic.seeded import seeded_noises
from isocline_compiler.graph.noise import Noise
from isocline_compiler.lower.check import model
from isocline_compiler.solvers.unroll.forms import solves_of
from isocline_dsl.diagnostics import IsoclineError
from isocline_runtime.randomness import normals

BROWNIAN = Noise("W", 2)
POISSON = Noise("N", 2, "poisson", parameter=3.0)
STABLE = Noise("L", 2, "stable", parameter=1.5)
UNIFORM = Noise("u", 2, "uniform")
TRIALS = Noise("b", 2, "bernoulli", parameter=0.8)
SHAPE = (256, 8, 64, 2)
RATES = np.linspace(0.0, 0.4, 64)
Array = np.ndarray


def independent(noise: Noise) -> Array:
    """By numpy and scipy, whose generators share nothing with the runtime's."""
    generator = np.random.default_rng(5)
    if noise.process == "brownian":
        return generator.standard_normal(SHAPE)
    if noise.process == "uniform":
        return generator.random(SHAPE)
    if noise.process == "bernoulli":
        return generator.binomial(1, noise.parameter, SHAPE).astype(float)
    if noise.process == "poisson":
        return generator.poisson(np.broadcast_to(RATES[:, None], SHAPE)).astype(float)
    drawn: Array = stats.levy_stable.rvs(noise.parameter, 0, size=SHAPE, random_state=generator)
    return drawn


def missed(noise: Noise, numbers: Array) -> list[str]:
    rates = RATES if noise.process == "poisson" else None
    return [item.name for item in moments_of(noise, numbers, rates) if not item.holds]


@pytest.mark.parametrize("noise", [BROWNIAN, POISSON, STABLE, UNIFORM, TRIALS], ids=lambda noise: noise.process)
def test_numbers_of_another_generator_have_the_moments(noise: Noise) -> None:
    assert missed(noise, independent(noise)) == []


def repeated_rows(z: Array) -> Array:
    return np.broadcast_to(z[:1], z.shape)


def rows_that_come_again(z: Array) -> Array:
    return np.concatenate([z[: len(z) // 2]] * 2)


def correlated_steps(z: Array) -> Array:
    found = z.copy()
    found[:, :, 1:] = (z[:, :, 1:] + 0.05 * z[:, :, :-1]) / np.sqrt(1 + 0.05**2)
    return found


def one_channel(z: Array) -> Array:
    return np.repeat(z[..., :1], z.shape[-1], axis=-1)


def uniform(z: Array) -> Array:
    return np.asarray(np.sqrt(12) * (stats.norm.cdf(z) - 0.5))


FAULTS: dict[str, tuple[Callable[[Array], Array], str]] = {
    "variance of 1.02": (lambda z: z * np.sqrt(1.02), "variance"),
    "mean of 0.02": (lambda z: z + 0.02, "mean"),
    "uniform numbers": (uniform, "kurtosis"),
    "one row for all": (repeated_rows, "correlation of neighbouring rows"),
    "rows come again": (rows_that_come_again, "correlation of rows half of them apart"),
    "steps": (correlated_steps, "correlation of neighbouring steps"),
    "samples": (lambda z: np.repeat(z[:, ::2], 2, axis=1), "correlation of neighbouring samples"),
    "channels": (one_channel, "correlation of neighbouring channels"),
}


@pytest.mark.parametrize(("fault", "name"), FAULTS.values(), ids=FAULTS)
def test_a_planted_fault_of_normals_is_seen(fault: Callable[[Array], Array], name: str) -> None:
    assert name in missed(BROWNIAN, fault(independent(BROWNIAN)))


def test_another_rate_and_another_index_are_seen() -> None:
    assert missed(POISSON, np.random.default_rng(1).poisson(np.broadcast_to(1.03 * RATES[:, None], SHAPE)))
    assert missed(replace(STABLE, parameter=1.55), independent(STABLE))


def test_numbers_that_are_not_uniform_and_trials_that_are_none_are_seen() -> None:
    u, b = independent(UNIFORM), independent(TRIALS)
    assert "variance" in missed(UNIFORM, 0.99 * u)
    assert "kurtosis" in missed(UNIFORM, 0.5 + np.random.default_rng(1).standard_normal(SHAPE) / np.sqrt(12))
    assert "correlation of neighbouring steps" in missed(UNIFORM, np.repeat(u[:, :, ::2], 2, axis=2))
    assert "mean" in missed(replace(TRIALS, parameter=0.79), b)
    assert "mean square" in missed(TRIALS, b / 0.8)
    assert "correlation of neighbouring channels" in missed(TRIALS, one_channel(b))


def test_numbers_that_are_none_miss() -> None:
    assert not Moment("mean", float("nan"), 0.0, 1.0).holds


PROCESSES = ("brownian[2]", "poisson(3)[2]", "stable(1.5)[2]")
ORDERINGS = ("", "antithetic", "lattice", "antithetic_lattice")


DRAWN = [(p, o) for p, o in product(PROCESSES, ORDERINGS) if not ("lattice" in o and p.startswith("stable"))]
"""A lattice gives no stable numbers: the language refuses it."""


@pytest.mark.parametrize(("process", "ordering"), DRAWN)
def test_what_the_runtime_makes_has_the_moments(process: str, ordering: str) -> None:
    found = model(
        "dyn 1\nmodel m\ninput s0: real in (0.5, 1.5)\n"
        f"field f(t, s: real) {{ noise W: {process}; ds = -s dt + 0.1 dW[0] + 0.2 dW[1] }}\n"
        f"path = solve f from s = s0 over 0..1 with euler_maruyama(steps=16) samples 6 {ordering}\noutput y = path.s\n"
    )
    (solve,) = solves_of(found.graph)
    assert solve.spec.scheme is not None
    (noise,) = seeded_noises([solve], {solve.spec.choice: scheme_steps(solve, solve.spec.scheme)})
    measured = noise_moments(noise)
    assert measured.worst.holds, measured.worst
    assert measured.numbers > 1 << 16


def test_noise_of_another_variance_stops_the_build(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = model(
        "dyn 1\nmodel m\ninput s0: real in (0.5, 1.5)\n"
        "field f(t, s: real) { noise W: brownian; ds = -s dt + 0.1 dW }\n"
        "path = solve f from s = s0 over 0..1 with euler_maruyama(steps=4)\noutput y = path.s\n"
    )
    monkeypatch.setattr(seeded, "normals", lambda draws, rows: np.sqrt(1.02) * normals(draws, rows))
    with pytest.raises(IsoclineError) as refused:
        isocline.compile(found, tmp_path / "artifact")
    (fault,) = refused.value.diagnostics
    assert fault.code == "E683"
    assert "variance of 1.0" in fault.message
