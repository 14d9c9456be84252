"""From a file to `attribute.onnx`, its certificate and a call; and a derivative that is wrong stops the build."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from isocline_compiler.backends.to_torch import TorchProgram
from isocline_compiler.certify.attribution import missed_attributions
from isocline_compiler.certify.certificate import AttributionProof
from isocline_compiler.certify.choose import discretisation
from isocline_compiler.certify.curves import curves
from isocline_compiler.ops.activation import ACTIVATION
from isocline_compiler.ops.elementwise import ELEMENTWISE
from isocline_compiler.pipeline import Compiled, Trained, compile_model
from isocline_compiler.solvers.unroll import unroll
from isocline_compiler.solvers.unroll.forms import solves_of
from isocline_dsl import IsoclineError
from isocline_runtime import Session, load
from isocline_runtime.errors import InputError, RunError
from tests.attribution.explained import LYNX, Case

ITEMS = (
    "attribute forecast wrt first, season by saliency, integrated_gradients(steps=6), smoothgrad(samples=3)",
    "attribute last wrt first by occlusion, saliency, saliency, adjoint_path, parameter_sensitivity",
    "solver rk4(steps=4)",
)
TEXT = LYNX + "output last = path.hare[-1]\n"
INPUTS = {"first": np.array([[2.0, 1.0], [3.0, 2.5]]), "season": np.array([0.2, 0.7])}


def compiled(items: tuple[str, ...], folder: Path, text: str = TEXT) -> Compiled:
    case = Case(text, items)
    return compile_model(case.model, Trained(case.weights), None, None, lambda text: None, folder)


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    return compiled(ITEMS, tmp_path_factory.mktemp("explained") / "lynx")


@pytest.fixture(scope="module")
def session(artifact: Compiled) -> Session:
    return load(artifact.folder)


def test_every_result_is_proved_and_listed(artifact: Compiled) -> None:
    info = artifact.manifest.attribution
    assert info is not None
    proofs = {item["result"]: item for item in artifact.certificate["attribution"]}
    listed = {item.name: item for item in info.results}
    assert set(proofs) == {name for name, item in listed.items() if item.kind not in ("score", "times")}
    for name, proof in proofs.items():
        if proof["completeness"] is None:
            assert proof["error"] < 1e-4, name
            assert proof["varies"] is not False
    assert proofs["forecast_saliency_first"]["varies"] is True
    assert 0 < proofs["forecast_integrated_gradients_residual"]["completeness"] < 0.05


def test_names_tell_outputs_apart_and_count_repetitions(artifact: Compiled) -> None:
    info = artifact.manifest.attribution
    assert info is not None
    names = [item.name for item in info.results]
    assert {"forecast_score", "last_score", "last_saliency_first", "last_saliency_2_first"} <= set(names)
    assert [item.output for item in info.explained] == ["forecast", "last"]
    assert [item.entries for item in info.explained] == [10, 1]
    assert info.noise == ("forecast_smoothgrad_noise_first", "forecast_smoothgrad_noise_season")


def test_a_call_gives_the_shapes_that_are_listed_with_and_without_a_batch(session: Session) -> None:
    both = session.attribute(INPUTS)
    one = session.attribute({name: array[1] for name, array in INPUTS.items()}, seed=3)
    rounding = 1e-6 * float(np.abs(both["forecast_score"]).max())  # a residual is a difference of scores
    for port in session.manifest.attribution.outputs:
        assert both[port.name].shape == tuple(2 if size == "batch" else size for size in port.shape)
        assert one[port.name].shape == tuple(port.sample_shape)
        if "smoothgrad" not in port.name:
            last = both[port.name][1] if port.batched else both[port.name]
            np.testing.assert_allclose(one[port.name], last, rtol=2e-5, atol=rounding)


def test_the_seed_decides_the_noise(session: Session) -> None:
    name = "forecast_smoothgrad_first"
    first, again, other = (session.attribute(INPUTS, seed=seed)[name] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_score_is_the_entry_of_the_output(session: Session) -> None:
    forecast = session.run(INPUTS)["forecast"].reshape(2, -1)
    found = session.attribute(INPUTS, index={"forecast": [3, -1]})["forecast_score"]
    np.testing.assert_allclose(found, [forecast[0, 3], forecast[1].sum()], rtol=1e-5)


@pytest.mark.parametrize("index", [10, -2, 0.5, [0, 1, 2]])
def test_an_index_that_the_output_does_not_have(session: Session, index: object) -> None:
    with pytest.raises(InputError, match="E740"):
        session.attribute(INPUTS, index={"forecast": index})


def test_an_artifact_without_explanations_says_how_to_get_some(tmp_path: Path) -> None:
    folder = compiled(("solver rk4(steps=4)",), tmp_path / "plain").folder
    assert not (folder / "attribute.onnx").exists()
    with pytest.raises(RunError, match="E782"):
        load(folder).attribute(INPUTS)


def test_the_number_of_samples_may_be_fixed(tmp_path: Path) -> None:
    items = ("attribute forecast wrt first by integrated_gradients(steps=3)", "batch 2", "solver rk4(steps=4)")
    session = load(compiled(items, tmp_path / "fixed").folder)
    assert session.attribute(INPUTS)["integrated_gradients_first"].shape == (2, 2)


def test_derivatives_beside_the_model_are_those_of_autograd(tmp_path: Path) -> None:
    """adj_ and fwd_ files: the model's own signature first, then seeds as matrices, as CasADi reads them."""
    case = Case(TEXT, ("derivatives adjoint, forward", "solver rk4(steps=4)"))
    artifact = compile_model(case.model, Trained(case.weights), None, None, lambda text: None, tmp_path / "seeded")
    assert [item["result"] for item in artifact.certificate["derivatives"]] == ["adj_model.onnx", "fwd_model.onnx"]
    assert all(item["error"] < 1e-5 for item in artifact.certificate["derivatives"])
    folder = artifact.folder
    assert [item.name for item in load(folder).manifest.inputs] == ["first", "season"]
    adjoint, forward = (load(folder / f"{prefix}_model.onnx") for prefix in ("adj", "fwd"))
    shapes = {port.name: port.shape for port in (*adjoint.inputs, *forward.inputs)}
    assert shapes["adj_forecast"] == ("10*batch", 1)
    assert shapes["adj_last"] == shapes["fwd_season"] == ("batch", 1)
    assert shapes["fwd_first"] == ("batch", 2)
    x = {name: torch.tensor(array) for name, array in INPUTS.items()}
    steps = {solve.spec.choice: discretisation(solve, "rk4", 1) for solve in solves_of(case.model.graph)}
    program = TorchProgram(unroll(case.model.graph, steps).graph)

    def outputs(first: torch.Tensor, season: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        found = program({**case.bound(), "first": first, "season": season})
        return found["forecast"], found["last"]

    rng = np.random.default_rng(0)
    u, w = torch.tensor(rng.normal(size=(2, 5, 2))), torch.tensor(rng.normal(size=2))
    _, (by_first, by_season) = torch.autograd.functional.vjp(outputs, tuple(x.values()), (u, w))
    found = adjoint.run({**INPUTS, "adj_forecast": u.reshape(-1, 1).numpy(), "adj_last": w.reshape(-1, 1).numpy()})
    np.testing.assert_allclose(found["adj_first"], by_first, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found["adj_season"][:, 0], by_season, rtol=1e-4, atol=1e-5)
    v, s = torch.tensor(rng.normal(size=(2, 2))), torch.tensor(rng.normal(size=2))
    _, (forecast, last) = torch.autograd.functional.jvp(outputs, tuple(x.values()), (v, s))
    moved = forward.run({**INPUTS, "fwd_first": v.numpy(), "fwd_season": s.reshape(-1, 1).numpy()})
    np.testing.assert_allclose(moved["fwd_forecast"][:, 0], forecast.reshape(-1), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(moved["fwd_last"][:, 0], last, rtol=1e-4, atol=1e-5)


# ---------------------------------------------------------------------------------------------------- the proof


@pytest.mark.parametrize(
    "method", ["saliency", "integrated_gradients(steps=3)", "adjoint_path", "parameter_sensitivity"]
)
def test_a_wrong_derivative_stops_the_build(method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rule of tanh, 1% too large."""
    (tanh,) = (op for op in (*ACTIVATION, *ELEMENTWISE) if op.name == "tanh")
    rule = tanh.vjp
    monkeypatch.setitem(tanh.__dict__, "vjp", lambda g, y, x: (rule(g, y, x)[0] * 1.5,))
    text = TEXT.replace("0.1*c[0]", "3*c[0]")
    with pytest.raises(IsoclineError) as found:
        compiled((f"attribute forecast wrt first by {method}", "solver rk4(steps=4)"), tmp_path / "wrong", text)
    assert {item.code for item in found.value.diagnostics} == {"E623"}
    assert all(item.span is not None for item in found.value.diagnostics)
    assert not (tmp_path / "wrong").exists()


def test_a_constant_gradient_is_said_to_be_one() -> None:
    model = Case(LYNX, ("attribute forecast wrt first by saliency",)).model
    frozen = AttributionProof("saliency_first", "forecast", "saliency", "first", 6, 1e-9, 1e-3, varies=False)
    (problem,) = missed_attributions(model, [frozen])
    assert problem.code == "E624"


def test_an_output_without_a_value_at_the_baseline_says_so(tmp_path: Path) -> None:
    text = "dyn 1\nmodel m\ninput x: real[2] in (1, 2)\noutput y = sum(log(x))\n"
    with pytest.raises(IsoclineError) as found:
        compiled(("attribute y wrt x by integrated_gradients(steps=3)",), tmp_path / "m", text)
    assert {item.code for item in found.value.diagnostics} == {"E627"}
    assert "baseline=mean" in str(found.value.diagnostics[0].hint)


def test_a_linear_model_may_have_a_constant_gradient(tmp_path: Path) -> None:
    text = "dyn 1\nmodel m\ninput x: real[2] in (1, 2)\noutput y = 2*x[0] - x[1]\n"
    proof = compiled(("attribute y wrt x by saliency",), tmp_path / "m", text).certificate["attribution"][0]
    assert proof["varies"] is None
    assert proof["error"] < 1e-6


def test_curves_of_a_known_score() -> None:
    """S = 3 x0 + x1 falls from 4 to 1 to 0 in the right order; one entry of two is the round of half, to even."""
    weights, x = np.array([3.0, 1.0]), np.ones((2, 2))
    deletion, insertion = curves(lambda points: points @ weights, x, np.tile(weights, (2, 1)), np.zeros(2))
    assert deletion.scores == (4, 4, 4, 1, 1, 1, 1, 1, 0, 0, 0)
    assert insertion.scores == (0, 0, 0, 3, 3, 3, 3, 3, 4, 4, 4)
    wrong, _ = curves(lambda points: points @ weights, x, np.tile(weights[::-1], (2, 1)), np.zeros(2))
    assert deletion.area < wrong.area
