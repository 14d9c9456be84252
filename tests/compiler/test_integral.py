"""`integral(expression, over=solution)` against quadrature of a dense solution, in models, losses and artifacts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.integrate import quad_vec, solve_ivp
from torch import Tensor

import isocline
from isocline_compiler.backends.to_torch import TorchProgram
from isocline_compiler.graph import Graph
from isocline_compiler.graph.solve import SOLVE
from isocline_compiler.lower import lower
from isocline_compiler.model import Model
from isocline_compiler.passes import CLEANING, optimise
from isocline_compiler.solvers.grid import discretise
from isocline_compiler.solvers.unroll import unroll
from isocline_compiler.training.integrate import AdaptiveIntegrator
from isocline_dsl import Source, parse
from tests.dense_path import BOUND, evaluated, field, model, quadrature

SPANS = {"over 0..2": (0.0, 2.0), "at [1.5, 0.5, -0.25]": (1.5, -0.25)}
PUSH = BOUND["push"].tolist()
INTEGRANDS: dict[str, Callable[[float, Tensor, int], Any]] = {
    "integral(x[0]^2*v + push*t, over=path)": lambda t, z, row: float(z[0] ** 2 * z[2] + PUSH[row] * t),
    "integral(sum(x'^2) + v'^2, over=path)": lambda t, z, row: float(field(t, z, row).square().sum()),
    "integral(rate, over=path)": lambda t, z, row: 0.7,
    "sum(integral(x*v, over=path)^2)": lambda t, z, row: (z[:2] * z[2]).numpy(),
}


@pytest.mark.parametrize("span", SPANS)
@pytest.mark.parametrize("term", INTEGRANDS)
def test_it_is_the_quadrature_of_a_dense_solution(term: str, span: str) -> None:
    found = evaluated(model(term, span))[term].numpy()
    expected = quadrature(INTEGRANDS[term], SPANS[span])
    expected = (expected**2).sum(axis=1) if expected.ndim > 1 else expected
    np.testing.assert_allclose(np.broadcast_to(found, expected.shape), expected, rtol=1e-8)


def solves(graph: Graph) -> int:
    return sum(node.op is SOLVE for node in graph.nodes())


def test_the_solution_its_integrals_and_the_regularizers_along_it_are_one_solve() -> None:
    plan = model("integral(x[0]^2, over=path) + integral(v, over=path) + kinetic_energy(path)").training
    assert plan is not None
    assert solves(plan.losses) == 1


def test_its_gradient_in_training_is_the_difference_quotient() -> None:
    term = "integral(rate*x[0]^2 + sum(x'^2), over=path)"
    made = model(term)
    weights = {name: BOUND[name].clone().requires_grad_() for name in ("rate", "turn")}
    gradient = torch.autograd.grad(evaluated(made, {**BOUND, **weights})[term].sum(), list(weights.values()))
    for (name, value), found in zip(weights.items(), gradient, strict=True):
        high, low = (
            float(evaluated(made, {**BOUND, name: value.detach() + step})[term].sum()) for step in (1e-4, -1e-4)
        )
        assert float(found) == pytest.approx((high - low) / 2e-4, rel=1e-6), name


SPRING = """dyn 1
model spring
input start: real in (0.5, 1)
input q: real in (1, 2)
param k: real = 3
field spring(t, q: real) { q'' = -k*q - 0.2*q' }
path = solve spring from q = start, q' = 0 at 0..3 step 0.5
output q0 = path.q*q
output work = integral(q'*q'', over=path)
output spent = integral(0.2*q'^2, over=path)
output sensitivity = grad(spent, k)
output apart = integral((q - path.q[-1])^2, over=path)
deploy { solver auto(error=1e-5) }
"""
Q = (0.6, 0.9)


def lowered(text: str) -> Model:
    source = Source(text)
    return lower(parse(source), source)


def spring(start: float, k: float) -> Any:
    """q and q' as a function of time."""
    found = solve_ivp(
        lambda t, z: [z[1], -k * z[0] - 0.2 * z[1]], (0, 3), [start, 0], "DOP853",
        dense_output=True, rtol=1e-12, atol=1e-13,
    )  # fmt: skip
    return found.sol


def spent(start: float, k: float) -> float:
    path = spring(start, k)
    return float(quad_vec(lambda t: 0.2 * path(t)[1] ** 2, 0, 3, epsabs=1e-12)[0])


def springs_given() -> dict[str, Tensor]:
    q, k = torch.ones(2, dtype=torch.float64), torch.tensor(3.0, dtype=torch.float64)
    return {"start": torch.tensor(Q, dtype=torch.float64), "q": q, "k": k}


def springs() -> dict[str, list[float]]:
    found: dict[str, list[float]] = {"work": [], "spent": [], "sensitivity": [], "apart": []}
    for start in Q:
        path = spring(start, 3.0)
        found["work"].append(float(path(3.0)[1] ** 2 / 2))
        found["spent"].append(spent(start, 3.0))
        found["sensitivity"].append((spent(start, 3.001) - spent(start, 2.999)) / 0.002)
        end = path(3.0)[0]
        found["apart"].append(float(quad_vec(lambda t, p=path, e=end: (p(t)[0] - e) ** 2, 0, 3, epsabs=1e-12)[0]))
    return found


def test_of_a_second_order_and_derived_and_of_its_own_end() -> None:
    """`q` means the state within and the input without; q'' is what its equation says."""
    made = lowered(SPRING)
    given = {
        "start": torch.tensor(Q, dtype=torch.float64),
        "q": torch.ones(2).double(),
        "k": torch.tensor(3.0, dtype=torch.float64),
    }
    found = TorchProgram(made.graph).evaluate(given, integrator=AdaptiveIntegrator(rtol=1e-10, atol=1e-11)).outputs
    for name, expected in springs().items():
        np.testing.assert_allclose(found[name].numpy(), expected, rtol=1e-6, err_msg=name)


DOSE = """dyn 1
model dose
input dose: real in (1, 2)
const rate = 0.7
field decay(t, c: real) { c' = -rate*c }
path = solve decay from c = dose over 0..4
output exposure = integral(c, over=path)
output moment = integral([t, dose]*c, over=path)
deploy { solver auto(error=1e-4) }
"""


def test_in_an_artifact(tmp_path: Path) -> None:
    """int d e^(-k t) dt = d (1 - e^(-k T))/k, int t d e^(-k t) dt = d (1 - (1 + k T) e^(-k T))/k^2.

    The stated error is relative to the largest entry.
    """
    (tmp_path / "dose.dyn").write_text(DOSE)
    isocline.compile(tmp_path / "dose.dyn", tmp_path / "out")
    dose = np.array([1.2, 1.7])
    found = isocline.load(tmp_path / "out").run(dose=dose)
    area, left = dose * (1 - np.exp(-2.8)) / 0.7, 3.8 * np.exp(-2.8)
    expected = {"exposure": area, "moment": np.stack([dose * (1 - left) / 0.49, dose * area], 1)}
    for name, values in expected.items():
        assert np.abs(found[name] - values).max() / np.abs(values).max() < 1e-4, name


def test_in_a_loop_it_is_what_it_is_laid_out() -> None:
    made = lowered(SPRING)
    given = {
        "start": torch.tensor(Q, dtype=torch.float64),
        "q": torch.ones(2).double(),
        "k": torch.tensor(3.0, dtype=torch.float64),
    }
    interval = next(node.attrs["spec"].interval for node in made.graph.nodes() if node.op is SOLVE)
    choice = discretise(interval, "rk4", 24)
    graphs = [
        optimise(unroll(made.graph, {"path": each}).graph, CLEANING) for each in (choice, replace(choice, segment=4))
    ]
    assert [any(node.op.name == "scan" for node in graph.nodes()) for graph in graphs] == [False, True]
    laid_out, looped = (TorchProgram(graph)(given) for graph in graphs)
    for name in laid_out:
        np.testing.assert_allclose(looped[name], laid_out[name], rtol=1e-12, err_msg=name)


NOISY = """dyn 1
model noisy
input start: real
param k: real = 1
field f(t, s: real) {
  noise W: brownian[1]
  ds = -k*s dt + 0.3*s dW
}
path = solve f from s = start at 0..1 step 0.125 with euler_maruyama(steps=8) samples 3
output s = path
output area = integral(s, over=path)
output pull = integral(s', over=path)
"""


def test_with_noise_it_is_the_sum_over_the_steps_of_each_path() -> None:
    """Of Euler's scheme: int s dt is h (s_0 + ... + s_7), int s' dt that of the drift."""
    made = lowered(NOISY)
    assert solves(made.graph) == 1
    interval = next(node.attrs["spec"].interval for node in made.graph.nodes() if node.op is SOLVE)
    found = unroll(made.graph, {"path": discretise(interval, "euler_maruyama", 8)})
    noise = torch.as_tensor(np.random.default_rng(4).normal(size=(2, 3, 8, 1)))
    given = {"start": torch.tensor([1.0, 2.0]).double(), "k": torch.tensor(1.0).double(), "W": noise}
    result = TorchProgram(found.graph)(given)
    assert tuple(result["area"].shape) == (2, 3)
    path = result["s"].numpy()
    np.testing.assert_allclose(result["area"].numpy(), path[:, :, :-1].sum(axis=2) / 8, rtol=1e-12)
    np.testing.assert_allclose(result["pull"].numpy(), -path[:, :, :-1].sum(axis=2) / 8, rtol=1e-12)


def test_of_a_solution_without_a_batch() -> None:
    """What is solved is one for all; what is integrated is one for each sample."""
    made = lowered("""dyn 1
model still
input w: real
field f(t, s: real) { s' = -s }
path = solve f from s = 1 over 0..2
output each = w*s |> integral(over=path)
output all = integral(s, over=path)
output w0 = w
""")
    found = TorchProgram(made.graph).evaluate(
        {"w": torch.tensor([1.0, 3.0]).double()}, integrator=AdaptiveIntegrator(rtol=1e-10, atol=1e-11)
    )
    area = 1 - np.exp(-2.0)
    np.testing.assert_allclose(found.outputs["each"].numpy(), [area, 3 * area], rtol=1e-8)
    np.testing.assert_allclose(found.outputs["all"].numpy(), area, rtol=1e-8)
