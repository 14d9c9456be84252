"""Losses of stochastic equations: likelihoods against scipy's normal densities, divergences against closed forms."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import sympy
import torch
from scipy.stats import multivariate_normal, norm

from isocline_compiler.data import Split
from isocline_compiler.graph import INPUT, WEIGHT, Array, everything
from isocline_compiler.graph.solve import SOLVE, spec_of
from isocline_compiler.lower import lower
from isocline_compiler.model import Model
from isocline_compiler.training.batches import Batches
from isocline_compiler.training.objective import Loss, Objective
from isocline_dsl import Source, parse
from isocline_dsl.diagnostics import IsoclineError

RANDOM = np.random.default_rng(5)
CPU = torch.device("cpu")


def lowered(text: str) -> Model:
    source = Source("dyn 1\nmodel m\n" + text, "m.dyn")
    return lower(parse(source), source)


def evaluated(text: str, weights: dict[str, float], **data: Array) -> tuple[Objective, Loss]:
    """The loss of a file, in float64."""
    model = lowered(text)
    assert model.training is not None
    split = Split(data)
    made = Objective.of(model, model.training, split)
    bound = {name: torch.tensor(value, dtype=torch.float64) for name, value in weights.items()}
    return made, made(bound, Batches.of(split, torch.float64, CPU).take(slice(None)))


# ------------------------------------------------------------------------------------------- transition densities

OU = """
input x0: real
target seen: real[6]
target times: real[6]
param rate: real = 0.7
param size: real = 0.4
field ou(t, x: real) {
  noise W: brownian[1]
  dx = (rate*(t - x)) dt + (size*(1 + x^2)) dW[0]
}
x = solve ou from x = x0 over 0..1 with euler_maruyama(steps=4)
output x
train { loss transition_nll(ou, seen, TIMES); precision float64 }
"""


def irregular(rows: int, count: int) -> Array:
    return np.cumsum(RANDOM.uniform(0.05, 0.5, (rows, count)), axis=1)


@pytest.mark.parametrize("when", ["at=times", "at=[0.1, 0.2, 0.5, 0.7, 1.1, 1.2]", "step=0.25"])
def test_one_state_at_irregular_times(when: str) -> None:
    seen, times = RANDOM.normal(size=(5, 6)), irregular(5, 6)
    text = OU if when == "at=times" else OU.replace("target times: real[6]\n", "")
    made, found = evaluated(
        text.replace("TIMES", when), {"rate": 0.7, "size": 0.4}, x0=seen[:, 0], seen=seen, times=times
    )
    stated = {"step=0.25": np.arange(6) * 0.25, "at=times": times}
    t = np.broadcast_to(stated.get(when, np.array([0.1, 0.2, 0.5, 0.7, 1.1, 1.2])), (5, 6))
    h, x = np.diff(t, axis=1), seen[:, :-1]
    density = norm(x + 0.7 * (t[:, :-1] - x) * h, 0.4 * (1 + x**2) * np.sqrt(h)).logpdf(seen[:, 1:])
    assert float(found.total) == pytest.approx(-density.mean(), rel=1e-12)
    assert not made.noise.inputs


HESTON = """
input s0: real
target seen: real[4, 2]
param kappa: real = 1.5
field heston(t, s: real, v: real) {
  noise W: brownian[2]
  ds = 0.1*s dt + sqrt(v)*s dW[0]
  dv = kappa*(s - v) dt - 0.3*sqrt(v) dW[0] + (0.5*sqrt(v)) dW[1]
}
path = solve heston from s = s0, v = 0.2 over 0..1 with euler_maruyama(steps=4)
output s = path.s
train { loss transition_nll(heston, seen, step=0.1); precision float64 }
"""


def test_two_states_of_mixed_noise() -> None:
    seen = RANDOM.uniform(0.5, 1.5, (7, 4, 2))
    _, found = evaluated(HESTON, {"kappa": 1.5}, s0=seen[:, 0, 0], seen=seen)
    densities = []
    for row in seen:
        for (s, v), after in pairwise(row):
            g = np.array([[np.sqrt(v) * s, 0.0], [-0.3 * np.sqrt(v), 0.5 * np.sqrt(v)]])
            mean = np.array([s, v]) + 0.1 * np.array([0.1 * s, 1.5 * (s - v)])
            densities.append(multivariate_normal(mean, g @ g.T * 0.1).logpdf(after))
    assert float(found.total) == pytest.approx(-np.mean(densities), rel=1e-11)


# ------------------------------------------------------------------------------------ densities of the second order

CURVED = """
input s0: real
target seen: real[4, 2]
param kappa: real = 1.5
field curved(t, s: real, v: real) {
  noise W: brownian[2]
  ds = sin(t + s)*v dt + (1 + 0.2*t*s^2) dW[0] + 0.3*v dW[1]
  dv = kappa*(s - v^2) dt - 0.3*exp(0.1*v) dW[0] + (0.5 + 0.1*s) dW[1]
}
path = solve curved from s = s0, v = 0.2 over 0..1 with euler_maruyama(steps=4)
output s = path.s
train { loss transition_nll(curved, seen, step=0.1, order=2); precision float64 }
"""


def test_moments_of_the_second_order_by_the_generator_applied_twice() -> None:
    """E phi = phi + h L phi + h^2/2 L L phi for phi = x and x x^T, by sympy; products beyond h^2 are left out.

    But one, that of the terms of the covariance: 1 + a + a^2/2 is positive wherever 1 + a is not.
    """
    t, s, v = sympy.symbols("t s v")
    x = sympy.Matrix([s, v])
    f = sympy.Matrix([sympy.sin(t + s) * v, 1.5 * (s - v**2)])
    g = sympy.Matrix([[1 + s**2 * t / 5, 0.3 * v], [-0.3 * sympy.exp(v / 10), 0.5 + s / 10]])

    def generator(phi: sympy.Expr) -> sympy.Expr:
        bent = (g.T * sympy.hessian(phi, [s, v]) * g).trace() / 2
        return sympy.diff(phi, t) + (sympy.Matrix([phi]).jacobian(x) * f)[0] + bent

    def applied(phi: sympy.Matrix) -> sympy.Matrix:
        return phi.applyfunc(generator)

    first, second = applied(x), applied(applied(x))
    square, again = applied(x * x.T), applied(applied(x * x.T))
    parts = (
        x, first, second / 2,
        square - x * first.T - first * x.T,
        again / 2 - first * first.T - (x * second.T + second * x.T) / 2,
    )  # fmt: skip
    numeric = sympy.lambdify((t, s, v), parts)
    seen, h = RANDOM.uniform(0.5, 1.5, (7, 4, 2)), 0.1
    _, found = evaluated(CURVED, {"kappa": 1.5}, s0=seen[:, 0, 0], seen=seen)
    densities = []
    for row in seen:
        for place, (before, after) in enumerate(pairwise(row)):
            start, m1, m2, c1, c2 = (np.asarray(item, dtype=float) for item in numeric(h * place, *before))
            mean = (start + h * m1 + h * h * m2).ravel()
            covariance = h * c1 + h * h * c2 + h**3 / 2 * c2 @ np.linalg.inv(c1) @ c2
            densities.append(multivariate_normal(mean, covariance).logpdf(after))
    assert float(found.total) == pytest.approx(-np.mean(densities), rel=1e-11)


def test_the_order_of_a_density_is_one_or_two() -> None:
    with pytest.raises(IsoclineError, match="1 or 2"):
        lowered(CURVED.replace("order=2", "order=3"))


MIXED = """
input x0: real[3]
target seen: real[5, 3]
net mix(x: real[3]) = x |> dense(12) |> tanh |> reshape(3, 4)
field f(t, x: real[3]) {
  noise W: brownian[4]
  dx = (x0 - x) dt + mix(x) @ dW
}
x = solve f from x = x0 over 0..1 with euler_maruyama(steps=4)
output x
train { loss transition_nll(f, seen, step=0.5); precision float64 }
"""


def test_a_net_as_diffusion_and_a_drift_that_reads_an_input() -> None:
    """Three entries under four of noise; the net's weights are those that the solve uses."""
    weights = {"mix.dense.weight": RANDOM.normal(size=(3, 12)), "mix.dense.bias": RANDOM.normal(size=12)}
    x0, seen = RANDOM.normal(size=(2, 3)), RANDOM.normal(size=(2, 5, 3))
    _, found = evaluated(MIXED, weights, x0=x0, seen=seen)  # type: ignore[arg-type]
    densities = []
    for first, row in zip(x0, seen, strict=True):
        for x, after in pairwise(row):
            g = np.tanh(x @ weights["mix.dense.weight"] + weights["mix.dense.bias"]).reshape(3, 4)
            densities.append(multivariate_normal(x + 0.5 * (first - x), g @ g.T * 0.5).logpdf(after))
    assert float(found.total) == pytest.approx(-np.mean(densities), rel=1e-10)


def test_several_states_of_diagonal_noise_are_as_many_densities() -> None:
    text = """
input x0: real[2]
target seen: real[4, 3]
param size: real = 0.5
field f(t, x: real[2], y: real) {
  noise V: brownian[2]
  noise W: brownian[1]
  dx = -x dt + [size, 2*size] * x dV
  dy = 1 dt + size dW
}
path = solve f from x = x0, y = 0 over 0..1 with euler_maruyama(steps=4)
output x = path.x
train { loss transition_nll(f, seen, step=0.2); precision float64 }
"""
    seen = RANDOM.uniform(0.5, 1.5, (6, 4, 3))
    _, found = evaluated(text, {"size": 0.5}, x0=seen[:, 0, :2], seen=seen)
    before, after = seen[:, :-1], seen[:, 1:]
    mean = before + 0.2 * np.concatenate([-before[..., :2], np.ones_like(before[..., 2:])], axis=-1)
    scale = np.sqrt(0.2) * np.stack([0.5 * before[..., 0], before[..., 1], 0.5 * np.ones_like(before[..., 0])], -1)
    density = norm(mean, scale).logpdf(after).sum(axis=-1)
    assert float(found.total) == pytest.approx(-density.mean(), rel=1e-12)


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("noise W: brownian[1]\n  dx = (rate*(t - x)) dt + (size*(1 + x^2)) dW[0]", "x' = rate*size*x", "E429"),
        ("brownian[1]", "stable(1.5)[1]", "E429"),
        ("brownian[1]", "brownian[1] stratonovich", "E429"),
        ("TIMES", "at=[0, 1, 2]", "E432"),
        (", TIMES", "", "E432"),
        ("TIMES", "at=times, step=0.1", "E432"),
        ("transition_nll(ou, seen", "transition_nll(ou, x0", "E431"),
        ("transition_nll(ou, seen", "transition_nll(rate, seen", "E284"),
        ("output x\n", "output x\noutput y = transition_nll(ou, x, step=1)\n", "E430"),
    ],
)
def test_what_has_no_density_is_refused(old: str, new: str, code: str) -> None:
    text = OU.replace(old, new).replace("TIMES", "at=times")
    if code == "E429":
        text = text.replace(" with euler_maruyama(steps=4)", "")
    with pytest.raises(IsoclineError) as raised:
        evaluated(text, {})
    assert code in [item.code for item in raised.value.diagnostics], str(raised.value)


# ----------------------------------------------------------------------------------------------------- divergences

LATENT = """
input x0: real
target y: real
param rate: real = 1.3
param size: real = 0.6
field posterior(t, x: real) {
  noise W: brownian[1]
  dx = (0.5 - rate*x) dt + size dW[0]
}
field prior(t, x: real) {
  noise V: brownian[1]
  dx = -0.4*x dt + size dV[0]
}
x = solve posterior from x = x0 at 0..2 step 1 samples 4000
output m = mean(x, axis=0)
train {
  loss (mean(x, axis=0)[2] - y)^2
  regularize path_kl(posterior, prior)
  solver euler_maruyama(steps=200)
  precision float64
}
"""


def test_two_ornstein_uhlenbeck_processes_against_their_moments() -> None:
    r"""E 1/2 int ((f - h) / g)^2 with f - h = b + c x, x normal with the mean and the variance of the posterior."""
    starts = np.array([-1.0, 0.3, 2.0])
    made, found = evaluated(LATENT, {"rate": 1.3, "size": 0.6}, x0=starts, y=starts)
    t = np.linspace(0, 2, 20001)[:, None]
    mean = 0.5 / 1.3 + (starts - 0.5 / 1.3) * np.exp(-1.3 * t)
    variance = 0.36 / 2.6 * (1 - np.exp(-2.6 * t))
    apart = (0.5 - 0.9 * mean) ** 2 + 0.81 * variance
    expected = np.trapezoid(apart, t[:, 0], axis=0) / (2 * 0.36)
    (term,) = (value for name, value in found.terms.items() if "path_kl" in name)
    assert float(term) == pytest.approx(expected.mean(), rel=0.02)
    assert [item.samples for item in made.noise.inputs] == [4000]


CONSTANT = """
input x0: real[2]
target y: real
field posterior(t, x: real[2]) {
  noise W: brownian[2]
  dx = [1.0, -0.5] dt + [[0.5, 0], [0.3, 0.8]] @ dW
}
field prior(t, x: real[2]) { DRIFT }
param a: real = 1.0
x = solve posterior from x = x0 over 0..3 with euler_maruyama(steps=7)
output x
train { loss (a*sum(x) - y)^2; regularize path_kl(posterior, prior); precision float64 }
"""
NOISE = "noise W: brownian[2]\n  dx = [0.2, 0.1] dt + [[0.5, 0], [0.3, 0.8]] @ dW"


@pytest.mark.parametrize("drift", ["x' = [0.2, 0.1]", NOISE])
def test_constant_drifts_under_mixed_noise_are_exact(drift: str) -> None:
    _, found = evaluated(CONSTANT.replace("DRIFT", drift), {"a": 1.0}, x0=np.zeros((3, 2)), y=np.zeros(3))
    g, apart = np.array([[0.5, 0], [0.3, 0.8]]), np.array([0.8, -0.6])
    expected = 3 * apart @ np.linalg.solve(g @ g.T, apart) / 2
    (term,) = (value for name, value in found.terms.items() if "path_kl" in name)
    assert float(term) == pytest.approx(expected, rel=1e-12)


def test_a_prior_that_reads_what_the_posterior_does_not() -> None:
    """And a state without noise, which moves alike in both."""
    text = """
input x0: real
input level: real
target y: real
param a: real = 1.0
field posterior(t, x: real, v: real) {
  noise W: brownian[1]
  dx = a*t dt + 2 dW[0]
  v' = x + a
}
field prior(t, x: real, v: real) {
  x' = level
  v' = x + a
}
path = solve posterior from x = x0, v = 0 over 0..1 with euler_maruyama(steps=1000)
output x = path.x
train { loss (path.x - y)^2; regularize path_kl(posterior, prior); precision float64 }
"""
    level = np.array([0.5, -1.0])
    _, found = evaluated(text, {"a": 1.0}, x0=level, level=level, y=level)
    (term,) = (value for name, value in found.terms.items() if "path_kl" in name)
    assert float(term) == pytest.approx(np.mean((1 / 3 - level + level**2) / 8), rel=2e-3)
    other = text.replace("v' = x + a\n}\npath", "v' = x - a\n}\npath")
    with pytest.raises(IsoclineError) as raised:
        evaluated(other, {"a": 1.0}, x0=level, level=level, y=level)
    assert [item.code for item in raised.value.diagnostics] == ["E433"]


@pytest.mark.parametrize(
    ("old", "new"), [("size dV[0]", "0.5 dV[0]"), ("field prior(t, x: real)", "field prior(t, z: real)")]
)
def test_a_prior_of_other_noise_or_states_is_refused(old: str, new: str) -> None:
    text = LATENT.replace(old, new)
    if "z" in new:
        text = text.replace("dx = -0.4*x dt", "dz = -0.4*z dt")
    with pytest.raises(IsoclineError) as raised:
        evaluated(text, {})
    assert [item.code for item in raised.value.diagnostics] == ["E433"]


HINDSIGHT = """
input x0: real
target y: real
param size: real = 0.5
field prior(t, x: real) {
  noise W: brownian[1]
  dx = 0.5 dt + size dW[0]
}
field posterior(t, x: real) {
  noise V: brownian[1]
  dx = pull dt + size dV[0]
}
x = solve prior from x = x0 over 0..3 with euler_maruyama(steps=3) samples 4
output middle = median(x, over=samples)
pull = scale*(y - x0)/3
param scale: real = 1
guess = solve posterior from x = x0 over 0..3 with euler_maruyama(steps=6)
train { loss (guess - y)^2; regularize path_kl(posterior, prior); precision float64 }
"""


def test_a_posterior_that_sees_the_target_trains_and_is_not_deployed() -> None:
    """A constant pull to the end: the divergence is T (pull - h)^2 / (2 g^2). Of the graph that is deployed no leaf is
    the target, the posterior's noise or its weight.
    """
    starts, ends = np.array([-1.0, 0.0, 2.0]), np.array([0.5, 3.0, -1.0])
    made, found = evaluated(HINDSIGHT, {"size": 0.5, "scale": 0.7}, x0=starts, y=ends)
    expected = 3 * (0.7 * (ends - starts) / 3 - 0.5) ** 2 / (2 * 0.25)
    (term,) = (value for name, value in found.terms.items() if "path_kl" in name)
    assert float(term) == pytest.approx(expected.mean(), rel=1e-12)
    assert [item.name for item in made.noise.inputs] == ["V"]
    model = lowered(HINDSIGHT)
    assert [port.name for port in model.inputs] == ["x0"]
    nodes = list(everything(model.graph.outputs.values()))
    assert {node.attrs["name"] for node in nodes if node.op in (INPUT, WEIGHT)} == {"x0", "size"}
    assert [noise.source for node in nodes if node.op is SOLVE for noise in spec_of(node).noises] == ["W"]


def test_a_control_through_a_target_drives_a_solve_of_the_loss_alone() -> None:
    """Along straight lines the integral is that of the trapezoidal rule, and Heun's scheme makes it."""
    text = """
input x0: real
target seen: real[4]
control u = linear(seen, step=0.5)
field f(t, x: real) { x' = u(t) }
judged = solve f from x = x0 over 0..1.5 with heun(steps=3)
param k: real
output y = k*x0
train { loss judged + 0*y; precision float64 }
"""
    starts, seen = RANDOM.normal(size=5), RANDOM.normal(size=(5, 4))
    _, found = evaluated(text, {"k": 2.0}, x0=starts, seen=seen)
    assert float(found.total) == pytest.approx((starts + np.trapezoid(seen, dx=0.5)).mean(), rel=1e-12)
    assert "seen" not in {node.attrs.get("name") for node in everything(lowered(text).graph.outputs.values())}
