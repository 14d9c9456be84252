"""NAIS-Net's promises, measured by torch and numpy, beside what is proved of it. Ciccone et al. (2018)."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from isocline_compiler.backends.to_torch import TorchProgram
from isocline_compiler.certify.choose import discretisation
from isocline_compiler.lower.check import model
from isocline_compiler.training.initial import initial_weights
from tests.compiler.test_proofs import proved
from tests.solves import unrolled

DAMPING = 0.1
LAYER = f"dense(x, 4, weight=negative_definite({DAMPING}), init=normal(0.4)) + dense(u, 4, bias=false)"
BLOCK = """input u: real[3] in (-1, 1)
input start: real[4]
field nais(t, x: real[4]) {{ x' = {slope} }}
x = solve nais from x = start at 0..{end:g} step {step:g} with euler(steps={steps})
output path = x
"""


def block(slope: str = f"tanh({LAYER})", step: float = 0.5, steps: int = 20) -> str:
    return BLOCK.format(slope=slope, end=step * steps, step=step, steps=steps)


def matrix(weights: dict[str, np.ndarray]) -> np.ndarray:
    """A = -W W' - damping I, by numpy."""
    w = next(value for name, value in weights.items() if value.shape == (4, 4))
    return -(w @ w.T) - DAMPING * np.eye(4)


def root(a: np.ndarray) -> np.ndarray:
    """T = (-A)^(1/2)."""
    values, vectors = np.linalg.eigh(-a)
    return (vectors * np.sqrt(values)) @ vectors.T


class Steps:
    """The deployed steps of a block with its first weights."""

    def __init__(self, text: str) -> None:
        typed = model(f"dyn 1\nmodel m\n{text}")
        self.weights = initial_weights(typed.weights, 0)
        solved = unrolled(typed.graph, lambda solve: discretisation(solve, "euler", solve.spec.scheme.options["steps"]))
        self.program = TorchProgram(solved)
        self.bound = {name: torch.tensor(value) for name, value in self.weights.items()}

    def __call__(self, start: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        """The states at all times, (batch, times, 4)."""
        return self.program({"start": start, "u": u, **self.bound})["path"]


def test_two_starts_come_to_rest_where_the_input_says() -> None:
    """The distance of two trajectories never grows in the norm of -A, and vanishes; of two inputs it does not."""
    steps, rng = Steps(block(steps=150)), np.random.default_rng(0)
    a, b = torch.tensor(3 * rng.normal(size=(2, 50, 4)))
    u = torch.tensor(rng.uniform(-1, 1, (50, 3)))
    apart = (steps(a, u) - steps(b, u)) @ torch.tensor(root(matrix(steps.weights)))
    sizes = apart.norm(dim=-1)
    assert (sizes[:, 1:] <= sizes[:, :-1] * (1 + 1e-12)).all()
    assert (sizes[:, 0] > 0.5).all()
    assert sizes[:, -1].max() < 1e-2
    other = steps(a, u.flip(0))[:, -1] - steps(a, u)[:, -1]
    assert other.norm(dim=-1).max() > 0.5


@pytest.mark.parametrize(("step", "grows"), [(0.5, False), (4.0, True)])
def test_no_step_stretches_in_the_norm_of_the_matrix(step: float, grows: bool) -> None:
    """|T J T^-1| <= 1 of autograd's Jacobian J where h |A| <= 2; where it is more, some step stretches."""
    steps, rng = Steps(block(step=step, steps=1)), np.random.default_rng(1)
    points, u = torch.tensor(rng.normal(size=(200, 4))), torch.tensor(rng.uniform(-1, 1, (200, 3)))

    def end(x: torch.Tensor) -> torch.Tensor:
        return steps(x, u)[:, 1].sum(0)

    jacobians = torch.autograd.functional.jacobian(end, points).permute(1, 0, 2).numpy()
    a = matrix(steps.weights)
    norms = np.linalg.norm(root(a) @ jacobians @ np.linalg.inv(root(a)), 2, axis=(1, 2))
    assert (step * np.linalg.norm(a, 2) > 2) == grows
    assert (norms.max() > 1 + 1e-9) == grows
    ((proof,), _) = proved(block(step=step), "stable(x)")
    assert proof.holds != grows
    assert proof.bound >= norms.max() * (1 - 1e-6)


@pytest.mark.parametrize(
    ("slope", "outer", "inner"),
    [
        (f"tanh({LAYER})", 1.0, 0.0),
        (f"0.7*tanh({LAYER}) - 0.2*x", 0.7, 0.2),
        (f"-x + tanh({LAYER})/2", 0.5, 1.0),
    ],
)
def test_the_proved_rate_holds_of_every_slope(slope: str, outer: float, inner: float) -> None:
    """c D A - d I at 20,000 points of the box, D = 1 - tanh^2 by numpy, in the norm of -A: a bound, and a close one."""
    ((proof, anywhere), w) = proved(block(slope), "contracting(nais, x=[-1, 1])", "contracting(nais)")
    assert proof.holds
    assert anywhere.holds == (inner > 0)
    a = matrix(w)
    t = root(a)
    bias = next(value for value in w.values() if value.shape == (4,))
    inputs = next(value for value in w.values() if value.shape == (3, 4))
    rng = np.random.default_rng(2)
    x, u = rng.choice([-1.0, 1.0], (20_000, 4)), rng.choice([-1.0, 1.0], (20_000, 3))
    slopes = outer * (1 - np.tanh(x @ a + bias + u @ inputs) ** 2)
    rates = np.linalg.eigvalsh(-(t * slopes[:, None]) @ t).max(axis=1) - inner
    assert rates.max() <= proof.bound <= -inner
    assert proof.bound - rates.max() < 0.2


def test_a_free_matrix_promises_nothing() -> None:
    free = block().replace(f"negative_definite({DAMPING})", "free")
    proofs, _ = proved(free, "stable(x)", "contracting(nais, x=[-1, 1])")
    assert not any(proof.holds for proof in proofs)
