"""Densities of continuous flows: closed forms, torchdiffeq with autograd's trace, and what a density must be."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from torchdiffeq import odeint

from isocline_compiler import driver, pipeline
from isocline_compiler.graph.solve import SOLVE, Solve
from isocline_dsl.diagnostics import IsoclineError
from isocline_runtime import load
from tests.compiler.test_derivatives import SAMPLES, Program, lowered, near

NET = """
net v(q: real[3], t: real) -> real[3] = concat(q, [t]) |> dense(8) |> tanh |> dense(3)
field flow(t, q: real[3]) { q' = v(q, t) }
"""


def velocity(program: Program, q: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """The net, by torch."""
    part = {name.removeprefix("v.dense"): value for name, value in program.bound.items()}
    hidden = torch.tanh(torch.cat([q, t.expand(len(q), 1)], 1) @ part[".weight"] + part[".bias"])
    return hidden @ part["_2.weight"] + part["_2.bias"]


def by_torchdiffeq(program: Program, x: torch.Tensor, times: list[float], steps: int) -> torch.Tensor:
    """log|det| of the flow as in FFJORD's code: the trace by autograd, an entry at a time, integrated beside x."""

    def rate(t: torch.Tensor, state: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        q = state[0] if state[0].requires_grad else state[0].detach().requires_grad_()
        slope = velocity(program, q, t)
        rows = [torch.autograd.grad(slope[:, i].sum(), q, create_graph=True)[0][:, i] for i in range(3)]
        return slope, sum(rows)

    size = abs(times[1] - times[0]) / steps
    found = odeint(rate, (x, torch.zeros(len(x)).double()), torch.tensor(times).double(), method="rk4",
                   options={"step_size": size})  # fmt: skip
    return found[1][-1]


# ---------------------------------------------------------------------------------------------------- values


@pytest.mark.parametrize("times", [(0.0, 1.0), (1.0, 0.0)])
def test_a_flow_by_a_net_stretches_as_autograd_and_torchdiffeq_say(times: tuple[float, float]) -> None:
    """Both directions; so do the derivatives of it by where the flow starts. And it is that of the whole Jacobian."""
    text = f"path = solve flow from q = x over {times[0]:g}..{times[1]:g}"
    outputs = "output y = logdet_jacobian(path)\noutput slope = grad(y, x)\noutput whole = logdet(jacobian(path, x))"
    program = Program(lowered(f"{NET}{text}\n{outputs}"), "rk38", 8)
    x = program.x.clone().requires_grad_()
    theirs = by_torchdiffeq(program, x, list(times), 8)
    near(program("y"), theirs.detach(), 1e-11)
    near(program("slope"), torch.autograd.grad(theirs.sum(), x)[0], 1e-10)
    near(program("y"), program("whole"), 2e-5)  # the Jacobian of the steps, and the integral by the same steps
    assert (program("y").abs() > 0.05).all()


def test_all_that_is_asked_of_a_flow_is_one_solve() -> None:
    text = f"{NET}path = solve flow from q = x over 0..1\ninput e: real[3]\n"
    outputs = ["path", "logdet_jacobian(path)", "logdet_jacobian(path, e)", "jacobian(path, x)", "grad(o1, x)"]
    model = lowered(text + "\n".join(f"output o{i} = {value}" for i, value in enumerate(outputs)))
    (solve,) = [Solve.of(node) for node in model.graph.nodes() if node.op is SOLVE]
    assert len(solve.spec.places("log_density")) == 2


def test_an_estimate_is_exact_on_the_mean_of_all_signs() -> None:
    """(1/8) sum_e e^T J e = tr J over the eight e of signs; one of them alone is e^T J e, by autograd."""
    text = f"{NET}input e: real[3]\npath = solve flow from q = x over 0..1\n"
    program = Program(lowered(f"{text}output y = logdet_jacobian(path)\noutput guess = logdet_jacobian(path, probe=e)"))
    signs = [torch.tensor(e, dtype=torch.float64).expand(SAMPLES, 3) for e in itertools.product((-1, 1), repeat=3)]
    guesses = torch.stack([program("guess", e=e) for e in signs])
    near(guesses.mean(0), program("y", e=signs[0]), 1e-12)
    assert (guesses.std(0) > 1e-2).all()


LINEAR = """
const A = [[0.3, -2, 0.5], [1, -0.9, 0], [0, 0.7, 0.2]]
field turn(t, q: real[3]) {{ q' = A @ q }}
path = solve turn from q = x {times}
output y = logdet_jacobian(path)
"""


@pytest.mark.parametrize(
    ("times", "spans"),
    [
        ("over 0..2", 2.0),
        ("over 2..-1", -3.0),
        ("at 1..2 step 0.25", np.arange(5) * 0.25),
        ("at [3, 1, 0]", [0, -2, -3]),
    ],
)
def test_a_linear_flow_stretches_by_the_trace(times: str, spans: object) -> None:
    """det exp(A t) = exp(t tr A)."""
    found = Program(lowered(LINEAR.format(times=times)), steps=8)("y")
    trace = torch.tensor(np.asarray(spans) * (0.3 - 0.9 + 0.2))
    near(found, trace.expand(SAMPLES, *trace.shape), 1e-12)


def test_mechanics_keeps_volumes_and_friction_takes_them() -> None:
    """Liouville: a Hamiltonian field has none of it; q'' = F(q) - c q' in three dimensions shrinks as exp(-3 c t)."""
    text = """
field hamiltonian(t, q, p: real[3]) { q' = p + 0.3*t; p' = -sin(q)*t }
field damped(t, q: real[3]) { q'' = -sin(q) - 0.4*q' }
path = solve hamiltonian from q = x, p = x over 0..1
slowing = solve damped from q = x, q' = x over 0..2
output y = logdet_jacobian(path)
output z = logdet_jacobian(slowing)
"""
    program = Program(lowered(text + "output o = path.p + slowing.q"))
    near(program("y"), torch.zeros(SAMPLES).double(), 1e-14)
    near(program("z"), torch.full((SAMPLES,), -2.4, dtype=torch.float64), 1e-12)


def test_there_and_back_is_where_it_was() -> None:
    """Forwards and from there backwards: the point comes back, and the two logarithms cancel, to the grid's error."""
    text = f"""{NET}there = solve flow from q = x over 0..1
back = solve flow from q = there over 1..0
output home = back - x
output y = logdet_jacobian(there) + logdet_jacobian(back)
"""
    errors = []
    for steps in (4, 8):
        program = Program(lowered(text), steps=steps)
        errors.append(max(program("home").abs().max().item(), program("y").abs().max().item()))
    assert errors[1] < errors[0] / 10  # of order 4
    assert errors[1] < 1e-5


def test_a_density_has_the_mass_one() -> None:
    """p(x) = N(z(x)) |det dz/dx| over a grid, by the flow backwards; the trapezoidal rule is exact here to rounding."""
    text = """
net v(q: real[3], t: real) -> real[3] = concat(q, [t]) |> dense(8) |> tanh |> dense(3)
field flow(t, q: real[2]) { u = v(concat(q, [0]), t); q' = 2*u[:2] }
base = solve flow from q = x[:2] over 1..0
output y = exp(-sum(base^2)/2 + logdet_jacobian(base))/(2*pi)
output z = base
"""
    program = Program(lowered(text), steps=16)
    at = np.arange(-9, 9, 0.1)
    points = torch.tensor(np.stack([*np.meshgrid(at, at), np.zeros((len(at), len(at)))], -1).reshape(-1, 3))
    density = program("y", x=points)
    assert (density.sum() * 0.1**2).item() == pytest.approx(1.0, abs=1e-5)
    assert (program("z", x=points) - points[:, :2]).abs().max() > 0.5


# ---------------------------------------------------------------------------------------------------- artifacts

LOGISTIC = """dyn 1
model growth
input x: real in (0.1, 0.9)
field f(t, p: real) { p' = p*(1 - p) }
path = solve f from p = x over 0..3
output grown = path
output log_p = -log(0.8) - logdet_jacobian(path) "of what grew from a uniform start"
deploy { solver auto(error=1e-6); dtype float64; unroll 1 }
"""


def test_an_artifact_knows_the_density_of_what_grew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """p(T) = x e^T/(1 + x (e^T - 1)), so p(p(T)) = p(x) (1 + x (e^T - 1))^2/e^T; compiled, certified, as a loop."""
    monkeypatch.setattr(pipeline, "report_of", lambda *_: "")
    (tmp_path / "m.dyn").write_text(LOGISTIC)
    compiled = driver.compile(tmp_path / "m.dyn", out=tmp_path / "out")
    assert compiled.certificate["discretisation"]["log_p"]["maximum"] < 1e-6
    x = np.linspace(0.11, 0.89, 9)
    found = load(compiled.folder).run(x=x)
    wider = 1 + x * (np.exp(3) - 1)
    np.testing.assert_allclose(found["grown"], x * np.exp(3) / wider, rtol=2e-6)
    np.testing.assert_allclose(found["log_p"], -np.log(0.8) + 2 * np.log(wider) - 3, rtol=2e-6, atol=2e-6)


FITTED = """dyn 1
model affine
data { source "x.npz"; x = array(x) }
input x: real[2]
param rate, shift: real[2] = [0.1, 0.1]
field flow(t, q: real[2]) { q' = rate*q + shift }
base = solve flow from q = x over 1..0
output log_p = -sum(base^2)/2 - log(2*pi) + logdet_jacobian(base)
train {
  draw e: rademacher[2]
  loss -(-sum(base^2)/2 - log(2*pi) + logdet_jacobian(base, probe=e))
  optimizer lbfgs(iterations=40)
  epochs 4
  precision float64
  GRADIENT
}
"""


@pytest.mark.parametrize("gradient", ["", "gradient adjoint"])
def test_likelihood_is_made_largest_by_the_moments_of_the_data(gradient: str, tmp_path: Path) -> None:
    """An affine flow from a normal is a normal: its likelihood is the largest with the sample's mean and deviation."""
    x = np.random.default_rng(4).normal([1.0, -0.5], [0.5, 2.0], (200, 2))
    np.savez(tmp_path / "x.npz", x=x)
    (tmp_path / "m.dyn").write_text(FITTED.replace("GRADIENT", gradient))
    trained = driver.train(tmp_path / "m.dyn", run=tmp_path / "run")
    rate = np.asarray(trained.weights["rate"])
    np.testing.assert_allclose(np.exp(rate), x.std(0), rtol=1e-4)
    np.testing.assert_allclose(np.asarray(trained.weights["shift"]) * np.expm1(rate) / rate, x.mean(0), rtol=1e-3)


# ---------------------------------------------------------------------------------------------------- messages


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("output y = logdet_jacobian(x)", "E356"),
        ("output y = logdet_jacobian(2*path)", "E356"),
        ("output y = logdet_jacobian(path, x[:2])", "E353"),
        ("output y = logdet_jacobian(walk)", "E604"),
    ],
)
def test_other_values_have_no_such_jacobian(text: str, code: str) -> None:
    around = """
field flow(t, q: real[3]) { q' = -q }
path = solve flow from q = x over 0..1
field noisy(t, q: real[3]) { noise W: brownian[3]; dq = -q dt + dW }
walk = solve noisy from q = x over 0..1
output o = path + walk
"""
    with pytest.raises(IsoclineError) as caught:
        lowered(around + text)
    assert [item.code for item in caught.value.diagnostics] == [code]
