"""A walk of a scheme for noise is that of torchsde's and diffrax's, on the same increments and areas."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from tests.noisy_equations import FACTORS, coupled, drift
from tests.stochastic_orders import STOCHASTIC, ends

# ---------------------------------------------------------------------------------------------------- torchsde

STEPS, PATHS = 12, 6
TYPES = {"potential": "scalar", "steady": "additive", "steady general": "general"}
"""How torchsde calls the noise, where it is not by the name above."""


def _like(y: torch.Tensor, value) -> torch.Tensor:
    return torch.zeros_like(y) if value is None else torch.as_tensor(value, dtype=y.dtype).expand_as(y)


class Theirs(torch.nn.Module):
    """The same equation as torchsde reads it."""

    def __init__(self, kind: str, calculus: str) -> None:
        super().__init__()
        self.kind, self.sde_type = kind, calculus
        self.noise_type = TYPES.get(kind, kind)

    def f(self, t, x):
        return torch.stack(drift(t, x[:, 0], x[:, 1], torch.sin, torch.cos), dim=1)

    def g(self, t, x):
        columns = FACTORS[self.kind](t, x[:, 0], x[:, 1], torch.sin, torch.sqrt)
        whole = torch.stack([torch.stack([_like(x[:, 0], g) for g in column], dim=1) for column in columns], dim=2)
        return torch.diagonal(whole, dim1=1, dim2=2) if self.noise_type == "diagonal" else whole


def given_path(normals: np.ndarray, h: float):
    """A Brownian motion of torchsde's that answers with these numbers."""
    import torchsde

    m = normals.shape[2] // 2
    dw, area = (torch.tensor(x) for x in (np.sqrt(h) * normals[..., :m], np.sqrt(h / 12) * normals[..., m:]))

    class Given(torchsde.BaseBrownian):
        dtype, device, shape = dw.dtype, dw.device, (len(normals), m)
        levy_area_approximation = "space-time"

        def __repr__(self) -> str:
            return "given"

        def __call__(self, ta, tb=None, return_U=False, return_A=False):
            i = round(float(ta) / h)
            return (dw[:, i], h * (dw[:, i] / 2 + area[:, i])) if return_U else dw[:, i]

    return Given()


THEIRS = [
    *(("euler_maruyama", "euler", kind, "ito", {}) for kind in FACTORS),
    # of scalar noise with several states torchsde 0.2.6 takes the transpose of dg/dx: symmetric where g is a gradient
    *(("milstein", "milstein", kind, "ito", {}) for kind in ("diagonal", "potential", "additive")),
    *(("milstein", "milstein", kind, "stratonovich", {}) for kind in ("diagonal", "potential", "additive")),
    *(("milstein_free", "milstein", kind, "ito", {"grad_free": True}) for kind in ("diagonal", "scalar")),
    *(("srk", "srk", kind, "ito", {}) for kind in ("diagonal", "scalar")),
    ("sra1", "srk", "additive", "ito", {}),
    *(
        (ours, theirs, kind, "stratonovich", {})
        for (ours, theirs), kind in product(
            (("euler_heun", "euler_heun"), ("stratonovich_heun", "heun"), ("stratonovich_midpoint", "midpoint"),
             ("reversible_heun", "reversible_heun")),
            FACTORS,
        )
    ),
]  # fmt: skip


@pytest.mark.parametrize(("ours", "theirs", "kind", "calculus", "options"), THEIRS)
def test_a_step_is_that_of_torchsde(ours: str, theirs: str, kind: str, calculus: str, options: dict) -> None:
    torchsde = pytest.importorskip("torchsde")
    problem, scheme = coupled(kind, calculus), STOCHASTIC[ours]
    normals = np.random.default_rng(4).standard_normal((PATHS, STEPS, 2 * problem.channels))
    found = ends(scheme, problem, STEPS, normals[..., : problem.channels * scheme.normals])
    start = torch.tensor([[0.5, -0.5]], dtype=torch.float64).expand(PATHS, 2)
    times = torch.tensor([0.0, 1.0], dtype=torch.float64)
    path = given_path(normals, 1 / STEPS)
    expected = torchsde.sdeint(
        Theirs(kind, calculus), start, times, bm=path, method=theirs, dt=1 / STEPS, options=options
    )
    np.testing.assert_allclose(found.T, expected[-1].detach().numpy(), rtol=1e-10, atol=1e-12)


# ---------------------------------------------------------------------------------------------------- diffrax

DIFFRAX = [
    ("shark", "ShARK", "additive", "stratonovich"),
    ("sra1", "SRA1", "steady", "stratonovich"),  # its stages have g(t) where Rossler has g(t + c1 h)
    ("euler_heun", "EulerHeun", "steady general", "stratonovich"),  # both of its g are at t
    ("stratonovich_heun", "Heun", "general", "stratonovich"),
    ("stratonovich_midpoint", "Midpoint", "general", "stratonovich"),
    ("reversible_heun", "ReversibleHeun", "general", "stratonovich"),
    ("euler_maruyama", "Euler", "general", "ito"),
]  # fmt: skip


@pytest.mark.parametrize(("ours", "theirs", "kind", "calculus"), DIFFRAX)
def test_a_step_is_that_of_diffrax(ours: str, theirs: str, kind: str, calculus: str) -> None:
    """Where diffrax is installed: it is no dependency."""
    diffrax, jax = pytest.importorskip("diffrax"), pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    jnp, h = jax.numpy, 1 / STEPS
    problem, scheme = coupled(kind, calculus), STOCHASTIC[ours]
    normals = np.random.default_rng(5).standard_normal((1, STEPS, 2 * problem.channels))
    dw, area = jnp.asarray(np.sqrt(h) * normals[0, :, :2]), jnp.asarray(np.sqrt(h / 12) * normals[0, :, 2:])

    class Given(diffrax.AbstractBrownianPath):
        levy_area: type = diffrax.SpaceTimeLevyArea
        t0: float = 0.0
        t1: float = 1.0

        def evaluate(self, t0, t1=None, left=True, use_levy=False):
            i = jnp.round(t0 / h).astype(int)
            return diffrax.SpaceTimeLevyArea(dt=t1 - t0, W=dw[i], H=area[i]) if use_levy else dw[i]

    def g(t, x, args):
        columns = FACTORS[kind](t, x[0], x[1], jnp.sin, jnp.sqrt)
        return jnp.stack([jnp.stack([jnp.asarray(item, dtype=x.dtype) for item in column]) for column in columns], 1)

    terms = diffrax.MultiTerm(
        diffrax.ODETerm(lambda t, x, args: jnp.stack(drift(t, x[0], x[1], jnp.sin, jnp.cos))),
        diffrax.ControlTerm(g, Given()),
    )
    solution = diffrax.diffeqsolve(
        terms, getattr(diffrax, theirs)(), 0.0, 1.0, None, jnp.array([0.5, -0.5]),
        stepsize_controller=diffrax.StepTo(jnp.linspace(0, 1, STEPS + 1)),
    )  # fmt: skip
    found = ends(scheme, problem, STEPS, normals[..., : problem.channels * scheme.normals])
    np.testing.assert_allclose(found[:, 0], np.asarray(solution.ys[-1]), rtol=1e-10, atol=1e-12)
