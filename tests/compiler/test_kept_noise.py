"""Ensembles: noise kept when deployed, against torch.nn, numpy, scipy, and what training draws."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from torch import Tensor, nn

import isocline
from isocline.summary import certificate_lines
from isocline_compiler.backends.to_torch import TorchProgram
from isocline_compiler.certify.stochastic.kept import ensemble_of
from isocline_compiler.graph import Array
from isocline_compiler.lower.check import model
from isocline_compiler.model import Model
from isocline_compiler.ops import noise as laws
from isocline_compiler.passes import CLEANING, optimise
from isocline_compiler.pipeline import Compiled, Trained, compile_model
from isocline_compiler.solvers.ensemble import EnsembleModel
from isocline_compiler.training.integrate import AdaptiveIntegrator
from isocline_compiler.training.solvers import TrainingSolver
from isocline_dsl.diagnostics import IsoclineError
from isocline_runtime import Session, load

Weights = dict[str, Array]
Built = tuple[Compiled, Session, Weights]


def drawn(found: Model) -> Weights:
    """Weights for a model that nobody trains."""
    generator = np.random.default_rng(1)
    return {weight.name: weight.initial(generator, weight.shape) for weight in found.weights}


def deployed(text: str, folder: Path, **weights: Array) -> Built:
    found = model(text)
    values = {**drawn(found), **weights}
    compiled = compile_model(found, Trained(values), None, None, lambda _: None, folder)
    return compiled, load(compiled.folder), values


def rows_of(count: int, size: int = 4) -> Array:
    return np.random.default_rng(0).uniform(-0.9, 0.9, (count, size)).astype(np.float32)


# ---------------------------------------------------------------------------------------------- MC dropout


MONTE_CARLO = """dyn 1
model monte_carlo
input x: real[4] in (-1, 1)
net f(z: real[4]) -> real[3] = z |> dense(16) |> relu |> dropout(0.3) |> dense(8) |> relu |> dropout(0.2) |> dense(3)
p = x |> f |> softmax
output p
output doubt = std(p, over=samples)
output middle = quantile(p, 0.5, over=samples)
output entropy = -sum(mean(p, over=samples)*log(mean(p, over=samples)))
deploy { samples 16; attribute doubt wrt x by saliency, occlusion }
"""


@pytest.fixture(scope="module")
def monte_carlo(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return deployed(MONTE_CARLO, tmp_path_factory.mktemp("kept") / "monte_carlo")


class Masked(nn.Module):
    """Dropout with a mask that is given: (rows, samples, entries) of 0 and 1."""

    def __init__(self, mask: Array, p: float) -> None:
        super().__init__()
        self.mask, self.p = torch.tensor(mask, dtype=torch.float64), p

    def forward(self, x: Tensor) -> Tensor:
        return x * self.mask / (1 - self.p)


def in_torch(weights: Weights, masks: Mapping[str, Array]) -> nn.Module:
    """The net in torch.nn, with the masks of the runtime."""
    layers = []
    for name in ("dense", "dense_2", "dense_3"):
        kernel, bias = weights[f"f.{name}.weight"], weights[f"f.{name}.bias"]
        layers.append(nn.Linear(*kernel.shape, dtype=torch.float64))
        layers[-1].load_state_dict({"weight": torch.tensor(kernel.T), "bias": torch.tensor(bias)})
    first, second = (masks[name][:, :, 0] for name in ("dropout", "dropout_2"))
    return nn.Sequential(
        layers[0], nn.ReLU(), Masked(first, 0.3), layers[1], nn.ReLU(), Masked(second, 0.2), layers[2], nn.Softmax(-1)
    )


def test_monte_carlo_dropout_is_that_of_torch_with_the_same_masks(monte_carlo: Built) -> None:
    _, session, weights = monte_carlo
    x, masks = rows_of(6), session.noise(range(6), seed=3)
    assert {name: mask.shape for name, mask in masks.items()} == {"dropout": (6, 16, 1, 16), "dropout_2": (6, 16, 1, 8)}
    assert all(set(np.unique(mask)) == {0.0, 1.0} for mask in masks.values())
    assert masks["dropout"].mean() == pytest.approx(0.7, abs=0.06)
    members = in_torch(weights, masks)(torch.tensor(x, dtype=torch.float64)[:, None]).detach()
    found, mean = session.run(x=x, seed=3), members.mean(dim=1)
    np.testing.assert_allclose(found["p"], mean, rtol=2e-6)
    np.testing.assert_allclose(found["doubt"], members.std(dim=1, correction=0), rtol=2e-5, atol=1e-7)
    np.testing.assert_allclose(found["middle"], members.quantile(0.5, dim=1), rtol=2e-6)
    np.testing.assert_allclose(found["entropy"], -(mean * mean.log()).sum(dim=-1), rtol=2e-6)


def test_a_row_is_the_same_in_any_batch(monte_carlo: Built) -> None:
    _, session, _ = monte_carlo
    whole = session.run(x=rows_of(6), seed=3)
    alone = session.run(x=rows_of(6)[4:5], seed=3, rows=[4])
    for name, values in whole.items():
        np.testing.assert_allclose(alone[name][0], values[4], rtol=1e-6, atol=1e-7)
    assert np.abs(session.run(x=rows_of(6), seed=4)["p"] - whole["p"]).max() > 1e-3


def test_explanations_hold_the_noise(monte_carlo: Built) -> None:
    """The derivative of the spread, by torch on the masks that the runtime draws."""
    _, session, weights = monte_carlo
    x = torch.tensor(rows_of(5), dtype=torch.float64, requires_grad=True)
    members = in_torch(weights, session.noise(range(5), seed=2))(x[:, None])
    members.std(dim=1, correction=0).sum().backward()
    assert x.grad is not None
    found = session.attribute({"x": rows_of(5)}, seed=2)["saliency_x"]
    np.testing.assert_allclose(found, np.abs(x.grad.numpy()), rtol=1e-3, atol=1e-5)


def test_the_certificate_tells_of_the_noise_and_is_verified(monte_carlo: Built) -> None:
    compiled, _, _ = monte_carlo
    lines = list(certificate_lines(compiled.certificate))
    assert any("dropout: bernoulli(0.7), 1 draw of 16 numbers, 16 samples" in line for line in lines)
    assert any("dropout_2: of " in line and "moments" in line for line in lines)
    assert any("p " in line and "from seed to seed with 16 samples" in line for line in lines)
    assert not any(line.startswith(("strong", "weak")) for line in lines)
    spread = compiled.certificate["stochastic"]["doubling"]["outputs"]["p"]
    assert spread["doubled"] / spread["spread"] == pytest.approx(0.5**0.5, abs=0.25)
    found = isocline.verify(compiled.folder)
    assert found.holds, found


# ------------------------------------------------------------------------------------------------- EnResNet


BLOCKS = """dyn 1
model enresnet
input x: real[4] in (-1, 1)
field block(t, h: real[4]) weights per step {{
  h' = h |> dense(6) |> tanh |> dropout(0.2) |> dense(4) |> gaussian_noise(0.3) |> depth(0.3)
}}
h = solve block from h = x over 0..4 with euler(steps=4)
output y = h
output spread = var(h, over=samples)
deploy {{ samples {m} }}
"""


def resnet(x: Array, w: Weights, kept: Array, z: Array, alive: Array) -> Array:
    """Blocks x + f(x) in numpy; noise by step first, broadcast against x."""
    for i in range(4):
        branch = np.tanh(x @ w["block.h.dense.weight"][i] + w["block.h.dense.bias"][i]) * kept[i] / 0.8
        branch = branch @ w["block.h.dense_2.weight"][i] + w["block.h.dense_2.bias"][i] + 0.3 * z[i]
        x = x + branch * alive[i] / 0.7
    return x


def steps_first(noise: Array) -> Array:
    """(rows, samples, steps, channels) -> (steps, rows, samples, channels)"""
    return np.moveaxis(noise.astype(np.float64), 2, 0)


@pytest.fixture(scope="module")
def enresnet(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return deployed(BLOCKS.format(m=16), tmp_path_factory.mktemp("kept") / "enresnet")


def test_each_block_of_a_residual_network_has_a_draw(enresnet: Built) -> None:
    _, session, weights = enresnet
    x, noise = rows_of(5), session.noise(range(5), seed=7)
    assert {name: a.shape[2:] for name, a in noise.items()} == {
        "dropout": (4, 6), "gaussian_noise": (4, 4), "depth": (4, 1)
    }  # fmt: skip
    parts = (steps_first(noise[name]) for name in ("dropout", "gaussian_noise", "depth"))
    members = resnet(x.astype(np.float64)[:, None], weights, *parts)
    found = session.run(x=x, seed=7)
    np.testing.assert_allclose(found["y"], members.mean(axis=1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["spread"], members.var(axis=1), rtol=1e-4, atol=1e-6)


def test_moments_of_an_ensemble_are_those_of_a_simulation(enresnet: Built) -> None:
    """E y, Var y = v/16 and E spread = 15/16 v, with v and E of numpy's own draws."""
    _, session, weights = enresnet
    rows, samples, runs = 4000, 16, 200_000
    x = np.array([0.3, -0.5, 0.8, 0.1], np.float32)
    generator = np.random.default_rng(11)
    simulated = resnet(
        x.astype(np.float64), weights, (generator.random((4, runs, 6)) < 0.8).astype(float),
        generator.standard_normal((4, runs, 4)), (generator.random((4, runs, 1)) < 0.7).astype(float),
    )  # fmt: skip
    mean, variance = simulated.mean(axis=0), simulated.var(axis=0)
    found = session.run(x=np.tile(x, (rows, 1)), seed=5)
    error = np.sqrt(variance / (rows * samples) + variance / runs)
    assert np.abs((found["y"].mean(axis=0) - mean) / error).max() < 4.5
    np.testing.assert_allclose(found["y"].var(axis=0), variance / samples, rtol=5 * np.sqrt(2 / rows))
    np.testing.assert_allclose(found["spread"].mean(axis=0), variance * (samples - 1) / samples, rtol=0.03)


# ------------------------------------------------------------------------------------------------- training


LOOPED = """dyn 1
model looped
input x: real[4] in (-1, 1)
field f(t, h: real[4]) { h' = h |> dense(4) |> tanh |> gaussian_noise(0.2) |> dense(4) }
h = solve f from h = x at 0..4 step 1 with rk4(steps=40)
output y = h
deploy { samples 1; unroll UNROLL }
"""
TWICE = LOOPED.replace("output y = h", "more = solve f from h = h[4] over 4..0 with rk4(steps=20)\noutput y = more")
FORMS = {"laid out": "all", "loop of 1": "1", "loop of 3": "3"}
STEPPED = {
    "blocks": BLOCKS.format(m=1),
    **{f"one solve, {form}": LOOPED.replace("UNROLL", n) for form, n in FORMS.items()},
    **{f"two solves, {form}": TWICE.replace("UNROLL", n) for form, n in FORMS.items()},
}


@pytest.mark.parametrize("text", STEPPED.values(), ids=STEPPED)
def test_draws_are_those_of_training(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The graph that is trained, with the same numbers in place of torch's, one draw after another."""
    found = model(text)
    kept = ensemble_of(found)
    assert isinstance(kept, EnsembleModel)
    generator, x = np.random.default_rng(2), torch.tensor(rows_of(3), dtype=torch.float64)
    weights = {name: torch.tensor(array) for name, array in drawn(found).items()}
    noise, draws = {}, {}
    for item in kept.kept:
        shape, p = (3, 1, item.steps, item.noise.size), item.noise.parameter
        normal = item.noise.process == "brownian"
        array = generator.standard_normal(shape) if normal else (generator.random(shape) < p).astype(float)
        noise[item.noise.name] = torch.tensor(array)
        draws[p] = iter(noise[item.noise.name][:, 0].unbind(dim=1))

    def given(empty: Tensor, parameter: float) -> Tensor:
        """The next draw of the layer with this parameter; the normal law's stands at 0."""
        scale = 1 / parameter if parameter in draws else parameter
        return next(draws[parameter if parameter in draws else 0.0]).reshape(empty.shape) * scale

    monkeypatch.setattr(laws, "LAWS", {"kept": given, "normal": given})
    stepped, _ = TrainingSolver(None, AdaptiveIntegrator()).unrolled(found.graph)
    trained = TorchProgram(optimise(stepped, CLEANING))({"x": x, **weights}, training=True)["y"]
    assert all(next(left, None) is None for left in draws.values()), "training draws as often"
    deployed_graph = TorchProgram(optimise(kept.graph, check=True))
    torch.testing.assert_close(deployed_graph({"x": x, **weights, **noise})["y"], trained, rtol=1e-12, atol=1e-12)


def test_a_file_is_trained_and_its_ensemble_checked(tmp_path: Path) -> None:
    """A spread is rounding alone while training, and is not taken for an answer that rounding moves (E465)."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(60, 2))
    np.savez(tmp_path / "signs.npz", x=x, label=(x[:, 0] > 0).astype(int))
    found = model(f"""dyn 1
model signs
data {{ source "{tmp_path / "signs.npz"}"; x = array(x); label = array(label); split fraction(train=0.7) }}
input x: real[2]
target label: class[2]
logits = x |> dense(8) |> tanh |> dropout(0.2) |> dense(2)
p = softmax(logits)
output p
output doubt = std(p, over=samples)
train {{ loss cross_entropy(logits, label); epochs 30; optimizer adam(lr=3e-2) }}
deploy {{ samples 12; parity 1e-4; check accuracy(p, label) > 0.8; check mean(doubt) < 0.5; derivatives adjoint }}
""")
    compiled = isocline.build(found, tmp_path / "artifact")
    assert [check["holds"] for check in compiled.certificate["checks"]] == [True, True]
    assert "From seed to seed" in (compiled.folder / "report.html").read_text()


def test_more_draws_than_the_generator_numbers_are_refused() -> None:
    text = LOOPED.replace("UNROLL", "auto").replace("steps=40", "steps=400000")
    with pytest.raises(IsoclineError, match=r"E396.*1,600,000 draws"):
        ensemble_of(model(text))


# ---------------------------------------------------------------------------------------------------- limits


@pytest.mark.parametrize("samples", [16, 1024])
def test_many_samples_of_a_linear_net_are_its_expectation(samples: int, tmp_path: Path) -> None:
    """W dropout(x) is W x and an error of variance sum_j W_ij^2 x_j^2 p/(1 - p) / m."""
    text = f"""dyn 1
model linear
input x: real[4] in (-1, 1)
output y = x |> dropout(0.4) |> dense(3)
deploy {{ samples {samples} }}
"""
    _, session, weights = deployed(text, tmp_path / "linear", **{"y.dense.bias": np.zeros(3)})
    kernel, x = weights["y.dense.weight"], rows_of(400)
    variance = x.astype(np.float64) ** 2 @ kernel**2 * 0.4 / 0.6 / samples
    z = (session.run(x=x, seed=1)["y"] - x @ kernel) / np.sqrt(variance)
    assert abs(z.mean()) < 5 / np.sqrt(400)  # the entries of a row depend on each other
    assert np.mean(z**2) == pytest.approx(1, abs=5 * np.sqrt(2 / 400))


def test_an_open_equation_is_solved_from_each_start(tmp_path: Path) -> None:
    """h' = -k h + h^2/4 by scipy from every disturbed start, and the grid's error is stated of the ensemble."""
    text = """dyn 1
model opened
input x: real[2] in (0.2, 0.8)
input k: real in (0.5, 1)
field f(t, h: real[2]) { h' = -k*h + h^2/4 }
h = solve f from h = x |> gaussian_noise(0.2) over 0..1
output y = h
output spread = std(h, over=samples)
output clean = 2*x
deploy { samples 5; solver auto(error=1e-4) }
"""
    compiled, session, _ = deployed(text, tmp_path / "open")
    assert max(item["maximum"] for item in compiled.certificate["deployed"].values()) < 1e-4
    x, k = np.array([[0.3, 0.7], [0.5, 0.4]]), np.array([0.6, 0.9])
    starts = x[:, None] + 0.2 * session.noise(range(2), seed=9)["gaussian_noise"][:, :, 0]
    ends = np.array([
        [solve_ivp(lambda _, h, rate=rate: -rate * h + h**2 / 4, (0, 1), start, rtol=1e-10, atol=1e-12).y[:, -1]
         for start in row]
        for row, rate in zip(starts, k, strict=True)
    ])  # fmt: skip
    found = session.run(x=x, k=k, seed=9)
    np.testing.assert_allclose(found["y"], ends.mean(axis=1), rtol=2e-4)
    np.testing.assert_allclose(found["spread"], ends.std(axis=1), rtol=1e-3)
    np.testing.assert_allclose(found["clean"], 2 * x, rtol=1e-6)


def test_branches_are_shaken_by_what_is_seen_forwards(tmp_path: Path) -> None:
    """eta a + (1 - eta) b, and b + (1 - b) eta times x: what derivatives see while training is no input."""
    text = """dyn 1
model shaken
input x: real[4] in (-1, 1)
output both = shake(3*x, x)
output dropped = shake_drop(x, 0.4)
output factors = std(shake(x, 0*x), over=samples)
deploy { samples 7 }
"""
    _, session, _ = deployed(text, tmp_path / "shaken")
    x, noise = rows_of(3), session.noise(range(3), seed=1)
    assert list(noise) == ["shake", "shake_drop", "shake_drop_2", "shake_2"]
    eta = noise["shake"][:, :, 0]
    assert (eta.min(), eta.max()) > (0.0, 0.5)
    found = session.run(x=x, seed=1)
    np.testing.assert_allclose(found["both"], ((2 * eta + 1) * x[:, None]).mean(axis=1), rtol=1e-5, atol=1e-6)
    whole, other = noise["shake_drop"][:, :, 0], 2 * noise["shake_drop_2"][:, :, 0] - 1
    factor = whole + (1 - whole) * other
    np.testing.assert_allclose(found["dropped"], (factor * x[:, None]).mean(axis=1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        found["factors"], (noise["shake_2"][:, :, 0] * x[:, None]).std(axis=1), rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("settings", ["samples 1", "samples 3; batch 2", "samples 3; dtype float64"])
def test_one_sample_a_fixed_batch_and_double_precision(settings: str, tmp_path: Path) -> None:
    text = f"""dyn 1
model small
input x: real[4] in (-1, 1)
input kind: class[3]
noisy = x + one_hot(kind, 3)[0] |> dropout(0.5)
output y = noisy
output spread = std(noisy, over=samples)
output label = argmax(mean(noisy, over=samples))
deploy {{ {settings} }}
"""
    _, session, _ = deployed(text, tmp_path / "small")
    given: dict[str, Any] = {"x": rows_of(2), "kind": np.array([0, 2])}
    noise = session.noise(range(2), seed=4)
    value = given["x"] + np.array([[1.0], [0.0]])
    members = value[:, None] * noise["dropout"][:, :, 0] * 2
    found = session.run(given, seed=4)
    np.testing.assert_allclose(found["y"], members.mean(axis=1), rtol=1e-6)
    np.testing.assert_allclose(found["spread"], members.std(axis=1), rtol=1e-4, atol=1e-7)
    np.testing.assert_array_equal(found["label"], members.mean(axis=1).argmax(axis=-1))


@pytest.mark.parametrize(
    "kept",
    [
        "h = x |> dropout(0.3)\np = std(h/(1 + sum(x^2)), over=samples)\noutput p\ndeploy { samples 4; parity 1e-12 }",
        "field f(t, h: real[4]) { noise W: brownian[4]; dh = -h dt + 0.1 dW }\n"
        "h = solve f from h = x over 0..1 with euler_maruyama(steps=2) samples 4\n"
        "p = std(h, over=samples)/(1 + sum(x^2))\noutput p\ndeploy { parity 1e-12 }",
    ],
    ids=["kept", "of_a_solve"],
)
def test_a_bound_that_noise_misses_is_told(kept: str, tmp_path: Path) -> None:
    """No sample near a zero is looked for: it would have no noise."""
    with pytest.raises(IsoclineError) as raised:
        deployed(f"dyn 1\nmodel m\ninput x: real[4] in (-1, 1)\n{kept}\n", tmp_path)
    assert "E602" in {item.code for item in raised.value.diagnostics}
