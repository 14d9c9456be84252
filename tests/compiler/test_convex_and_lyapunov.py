"""Nets that are convex in their input, and fields projected along a function of Lyapunov, as texts of the language."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from isocline_compiler.backends.to_torch import TorchProgram
from isocline_compiler.lower.check import model
from isocline_compiler.training.initial import initial_weights

CONVEX = """dyn 1
model convex
input x: real[3]
net bowl(x: real[3]) -> real {
  z = softplus(dense(x, 16, init=normal(1)))
  w = relu(dense(z, 12, weight=FORM, bias=false, init=normal(1)) + dense(x, 12, init=normal(1)))
  dense(w, 1, weight=FORM, bias=false, init=normal(1)) + dense(x, 1)
}
output y = bowl(x)
"""

LYAPUNOV = """dyn 1
model settling
input x: real[2]
net f(x: real[2]) -> real[2] = x |> dense(16, init=normal(1)) |> tanh |> dense(2, init=normal(1))
net bowl(x: real[2]) -> real {
  z = softplus(dense(x, 16, init=normal(1)))
  dense(z, 1, weight=positive, bias=false, init=normal(1)) + dense(x, 1)
}
net V(x: real[2]) -> real = relu(bowl(x) - bowl([0, 0]))^2 + 0.01*sum(x^2)
g = grad(V(x), x)
v = f(x)
output free = v
output slope = g
output level = V(x)
output velocity = v - g*relu(sum(g*v) + 0.5*V(x))/(sum(g^2) + 1e-6)
"""


class Answers:
    """The outputs of a model with its first weights, at points."""

    def __init__(self, text: str, seed: int = 0) -> None:
        typed = model(text)
        self.weights = {name: torch.tensor(v) for name, v in initial_weights(typed.weights, seed).items()}
        self.program = TorchProgram(typed.graph)

    def __call__(self, x) -> dict[str, torch.Tensor]:
        return self.program({"x": torch.as_tensor(x, dtype=torch.float64), **self.weights})


def above_chords(form: str) -> float:
    """How far a net rises above its chords: at the middle of 10,000 pairs of points, in standard deviations of it."""
    answers, rng = Answers(CONVEX.replace("FORM", form)), np.random.default_rng(4)
    a, b = 3 * rng.normal(size=(2, 10_000, 3))
    share = rng.random((10_000, 1))
    ends, between = (answers(x)["y"] for x in (a, b)), answers(share * a + (1 - share) * b)["y"]
    left, right = ends
    weight = torch.as_tensor(share[:, 0])
    return ((between - weight * left - (1 - weight) * right).max() / between.std()).item()


def test_positive_weights_between_convex_activations_make_a_convex_net():
    assert above_chords("positive") <= 1e-12
    assert above_chords("free") > 0.1


def energy(answers: Answers, x: torch.Tensor) -> torch.Tensor:
    """V once more, written with torch alone."""
    w = {name: value for name, value in answers.weights.items() if name.startswith("bowl")}
    into, first, out, straight, shift = (
        w[f"bowl.{name}"] for name in ("dense.weight", "dense.bias", "dense_2.weight", "dense_3.weight", "dense_3.bias")
    )

    def softplus(x: torch.Tensor) -> torch.Tensor:
        return torch.logaddexp(x, torch.zeros(()).double())

    def bowl(x: torch.Tensor) -> torch.Tensor:
        return (softplus(x @ into + first) @ (softplus(out) / 16) + x @ straight + shift)[..., 0]

    return torch.relu(bowl(x) - bowl(torch.zeros(2, dtype=torch.float64))) ** 2 + 0.01 * x.square().sum(-1)


@pytest.mark.parametrize("seed", range(2))
def test_a_projected_field_loses_its_energy_at_the_stated_rate(seed):
    """Along trajectories by the midpoint rule, of a field that gains energy in places without it.

    What the 1e-6 in the divisor lets through is (grad V . f + a V)/(1 + |grad V|^2/1e-6).
    """
    answers, rng = Answers(LYAPUNOV, seed), np.random.default_rng(seed)
    points = 3 * rng.normal(size=(2000, 2))
    found = answers(points)
    x = torch.tensor(points, requires_grad=True)
    (gradient,) = torch.autograd.grad(energy(answers, x).sum(), x)
    torch.testing.assert_close(found["slope"], gradient)
    change, unprojected = ((gradient * found[name]).sum(-1) for name in ("velocity", "free"))
    assert (unprojected > 0.1).any()
    excess = torch.relu(unprojected + 0.5 * found["level"]) / (1 + gradient.square().sum(-1) / 1e-6)
    assert (change <= -0.5 * found["level"] + excess + 1e-9).all()
    y, first, h = torch.tensor(points[:50]), found["level"][:50], 0.002
    for i in range(400):
        y = y + h * answers(y + h / 2 * answers(y)["velocity"])["velocity"]
        assert (energy(answers, y) <= first * np.exp(-0.5 * h * (i + 1)) + 1e-3).all()
