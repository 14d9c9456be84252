"""The flows of `examples/flow` and one of STEER, trained for a moment: by scipy and torch's autograd once more."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy.integrate import solve_ivp
from sklearn.datasets import make_moons
from torch import Tensor
from torch.func import grad, jacrev, vmap

from isocline_compiler import driver, pipeline
from isocline_compiler.backends.to_torch import TorchProgram
from isocline_compiler.certify.choose import discretisation
from isocline_compiler.lower.check import model
from isocline_compiler.training.initial import initial_weights
from isocline_runtime import load
from tests.solves import unrolled

FLOWS = Path(__file__).parents[2] / "examples" / "flow"
PROGRAMS = Path(__file__).parent / "programs"
Weights = dict[str, Tensor]
Velocity = Callable[[Tensor, Tensor], Tensor]
"""Of one point at one time."""
Answers = dict[str, np.ndarray]


def velocity(w: Weights) -> Velocity:
    """The net of two hidden layers of tanh."""

    def f(x: Tensor, t: Tensor) -> Tensor:
        h = torch.cat([x, t[None]])
        for name in ("dense", "dense_2"):
            h = torch.tanh(h @ w[f"velocity.{name}.weight"] + w[f"velocity.{name}.bias"])
        return h @ w["velocity.dense_3.weight"] + w["velocity.dense_3.bias"]

    return f


def potential(w: Weights) -> Callable[[Tensor, Tensor], Tensor]:
    """Phi of OT-Flow's equations (9) and (10): w' N(s) + s' (A' A) s/2 + b' s + c, of s = (x, t)."""
    part = {name.removeprefix("potential."): value for name, value in w.items()}

    def fold(x: Tensor) -> Tensor:
        return torch.logaddexp(x, -x)

    def phi(x: Tensor, t: Tensor) -> Tensor:
        s = torch.cat([x, t[None]])
        u = fold(s @ part["dense.weight"] + part["dense.bias"])
        n = u + fold(u @ part["dense_2.weight"] + part["dense_2.bias"])
        quadratic = (s @ part["dense_3.weight"]).square().sum() / 2
        return n @ part["dense_4.weight"][:, 0] + quadratic + s @ part["dense_5.weight"][:, 0] + part["dense_5.bias"][0]

    return phi


def descent(w: Weights) -> Velocity:
    """-grad Phi, by autograd."""
    slope = grad(potential(w))
    return lambda x, t: -slope(x, t)


KINDS: dict[str, tuple[Callable[[Weights], Velocity], float]] = {
    "moons": (velocity, 1.0),
    "taynode": (velocity, 1.0),
    "steer": (velocity, 1.0),
    "matching": (velocity, 1.0),
    "ot_flow": (descent, 0.0),
}
"""The field of each flow, and the time at which its data are."""


def carried(f: Velocity, x: np.ndarray, times: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Where points (n, 2) go, and log |det| of the way: DOP853 of scipy, with the trace of autograd's Jacobian."""
    slopes, jacobians = vmap(f, (0, None)), vmap(jacrev(f), (0, None))

    def rate(t: float, state: np.ndarray) -> np.ndarray:
        points, time = torch.tensor(state.reshape(-1, 3)[:, :2]), torch.tensor(t, dtype=torch.float64)
        trace = jacobians(points, time).diagonal(dim1=1, dim2=2).sum(-1, keepdim=True)
        return torch.cat([slopes(points, time), trace], 1).numpy().ravel()

    start = np.concatenate([x, np.zeros((len(x), 1))], 1)
    found = solve_ivp(rate, times, start.ravel(), method="DOP853", rtol=1e-10, atol=1e-10).y[:, -1].reshape(-1, 3)
    return found[:, :2], found[:, 2]


def normal_log_density(z: np.ndarray) -> np.ndarray:
    return np.asarray(-(z**2).sum(1) / 2 - np.log(2 * np.pi))


def briefly(name: str) -> str:
    """The file, to be trained for three epochs, and to be deployed in double precision to 1e-6."""
    folder = PROGRAMS if name == "steer" else FLOWS
    text, epochs = re.subn(r"epochs \d+", "epochs 3", (folder / f"{name}.dyn").read_text())
    text, error = re.subn(r"deploy \{.*\}", "deploy { solver auto(error=1e-6); dtype float64 }", text, flags=re.S)
    assert epochs == error == 1
    return text


@pytest.fixture(scope="module")
def points(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with fewer points of the moons than the example has."""
    folder: Path = tmp_path_factory.mktemp("flows")
    drawn, _ = make_moons(400, noise=0.1, random_state=0)
    np.savez(folder / "moons.npz", points=drawn, normals=np.random.default_rng(0).standard_normal((400, 2)))
    return folder


@pytest.mark.parametrize("name", KINDS)
def test_deployed_densities_are_those_of_the_equation(name: str, points: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of points backwards, of samples forwards, and the one of the other: to 1e-5, with the weights as trained."""
    monkeypatch.setattr(pipeline, "report_of", lambda *_: "")
    (points / f"{name}.dyn").write_text(briefly(name))
    built = driver.build(points / f"{name}.dyn", out=points / name, run=points / f"{name}_run")
    weights = {key: value.double() for key, value in load_file(points / f"{name}_run/weights.safetensors").items()}
    field, here = KINDS[name]
    f, session, rng = field(weights), load(built.folder), np.random.default_rng(1)
    point, z = make_moons(24, noise=0.1, random_state=1)[0], rng.standard_normal((24, 2))
    found: Answers = session.run(point=point, z=z)
    base, there = carried(f, point, (here, 1 - here))
    sample, back = carried(f, z, (1 - here, here))
    near = {"rtol": 0, "atol": 1e-5}
    np.testing.assert_allclose(found["base"], base, **near)
    np.testing.assert_allclose(found["log_p"], normal_log_density(base) + there, **near)
    np.testing.assert_allclose(found["sample"], sample, **near)
    again: Answers = session.run(point=found["sample"], z=z)
    np.testing.assert_allclose(again["log_p"], normal_log_density(z) - back, **near)
    assert np.abs(there).min() > 1e-3
    assert np.abs(base - point).max() > 0.1


def test_the_costs_of_ot_flow_are_those_of_the_paper(points: Path) -> None:
    """int |v|^2/2 and int |dPhi/dt - |grad Phi|^2/2| along the way, by rk4 in torch with autograd's derivatives."""
    typed = model((FLOWS / "ot_flow.dyn").read_text() + "output cost = transport\noutput apart = hjb\n")
    weights = {name: torch.tensor(value) for name, value in initial_weights(typed.weights, 0).items()}
    graph = unrolled(typed.graph, lambda solve: discretisation(solve, "rk4", 4))
    x, z = torch.tensor(make_moons(12, random_state=2)[0]), torch.zeros(12, 2).double()
    found = TorchProgram(graph)({"point": x, "z": z, **weights})
    phi = potential(weights)

    def rate(t: float, state: Tensor) -> Tensor:
        time = torch.tensor(t).double()
        down, rise = vmap(grad(phi, (0, 1)), (0, None))(state[:, :2], time)
        half = down.square().sum(1) / 2
        return torch.cat([-down, half[:, None], (rise - half).abs()[:, None]], 1)

    state, h = torch.cat([x, torch.zeros_like(x)], 1), 0.25
    for i in range(4):
        k1 = rate(i * h, state)
        k2 = rate((i + 0.5) * h, state + h / 2 * k1)
        k3 = rate((i + 0.5) * h, state + h / 2 * k2)
        state = state + h / 6 * (k1 + 2 * k2 + 2 * k3 + rate((i + 1) * h, state + h * k3))
    for name, place in (("cost", 2), ("apart", 3)):
        torch.testing.assert_close(found[name], state[:, place], rtol=1e-10, atol=1e-10)
        assert (state[:, place] > 1e-3).all()


MATCHED = """dyn 1
model matched
data { source "x.npz"; x = array(x) }
input x: real
param m: real
param s: positive
net v(x: real, t: real) -> real = m + (x - t*m)*(t*s^2 - 1 + t)/((1 - t)^2 + t^2*s^2)
output y = v(x, 0.5)
train {
  draw t: uniform(0, 1)
  draw e: normal
  loss (v((1 - t)*e + t*x, t) - (x - e))^2
  optimizer adam(lr=2e-2)
  schedule cosine
  epochs 200
  batch 1000
}
"""


def test_matching_finds_the_velocity_between_two_normal_densities(tmp_path: Path) -> None:
    """E[x1 - x0 | x_t = x] of independent x0 ~ N(0, 1) and x1 ~ N(m, s^2), with the moments of the data as m and s."""
    x = np.random.default_rng(3).normal(1.5, 0.4, 4000)
    np.savez(tmp_path / "x.npz", x=x)
    (tmp_path / "m.dyn").write_text(MATCHED)
    weights = driver.train(tmp_path / "m.dyn", run=tmp_path / "run").weights
    assert float(weights["m"]) == pytest.approx(x.mean(), abs=0.02)
    assert float(weights["s"]) == pytest.approx(x.std(), abs=0.02)
