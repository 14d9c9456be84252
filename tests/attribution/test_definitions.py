"""Attributions against torch.autograd, finite differences and what they promise: sums, signs, samples apart."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch
from onnx.reference import ReferenceEvaluator

from isocline_compiler.attribution.methods.expected_gradients import fractions
from isocline_compiler.backends.to_torch import evaluate
from isocline_compiler.graph import CONSTANT, topological
from isocline_compiler.graph.scan import SCAN
from isocline_compiler.solvers.unroll import unroll
from tests.attribution.explained import DIGITS, LYNX, LYNX_WITH_DATA, Case, Module

RNG = np.random.default_rng(2)
FIRST = RNG.uniform(1, 6, (5, 2))
SEASON = RNG.uniform(0, 1, 5)
IMAGES = RNG.normal(size=(4, 1, 6, 6))
LYNXES = {"first": FIRST, "season": SEASON}
ALL = (
    "attribute forecast wrt first, season by saliency, integrated_gradients(steps=12), smoothgrad(samples=3), "
    "expected_gradients(samples=6), occlusion, adjoint_path, parameter_sensitivity",
)
STORED = {"first": RNG.uniform(1, 6, (20, 2)), "season": RNG.uniform(0, 1, 20)}
LEVELS = ("ORT_DISABLE_ALL", "ORT_ENABLE_BASIC", "ORT_ENABLE_EXTENDED", "ORT_ENABLE_ALL")


@pytest.fixture(scope="module")
def lynx() -> Case:
    """All methods at once, in float64."""
    return Case(LYNX_WITH_DATA, ALL, background=STORED, dtype="float64")


@pytest.fixture(scope="module")
def found(lynx: Case) -> dict[str, np.ndarray]:
    return lynx.run(LYNXES)


def module(case: Case) -> Module:
    return Module(case, "forecast", ("first", "season"))


def test_every_engine_and_level_agree() -> None:
    case = Case(
        LYNX_WITH_DATA, (ALL[0].replace("steps=12", "steps=3").replace("samples=6", "samples=3"),), 1, background=STORED
    )
    reference = case.run(LYNXES, "ORT_ENABLE_ALL")
    answers = [case.run(LYNXES, level) for level in LEVELS[:-1]]
    evaluator = ReferenceEvaluator(case.onnx)
    answers.append(dict(zip(evaluator.output_names, evaluator.run(None, case.feed(LYNXES)), strict=True)))
    for answer in answers:
        for name, array in reference.items():
            scale = max(float(np.abs(array).max()), 1e-2 * float(np.abs(reference["score"]).max()))
            np.testing.assert_allclose(answer[name], array, atol=1e-5 * scale, rtol=0, err_msg=name)


@pytest.mark.parametrize("stored", [0, 1 << 21], ids=["checkpoints", "stored"])
@pytest.mark.parametrize("unrolling", [1, 3, 6])
def test_a_loop_is_explained_as_its_steps_are(
    found: dict[str, np.ndarray], unrolling: int, stored: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All methods, in float64: the points of a sample beside the samples, the states along the path, the parameters."""
    monkeypatch.setattr("isocline_compiler.derivatives.of_loops.MOST_STORED", stored)
    case = Case(LYNX_WITH_DATA, ALL, background=STORED, dtype="float64", unrolling=unrolling)
    assert any(node.op is SCAN for node in case.explanations.graph.nodes())
    answers = case.run(LYNXES)
    assert answers.keys() == found.keys()
    for name, array in found.items():
        scale = max(float(np.abs(array).max()), float(np.abs(found["score"]).max()))
        np.testing.assert_allclose(answers[name], array, rtol=0, atol=1e-11 * scale, err_msg=name)


def test_a_loop_of_convolutions_is_explained_as_its_steps_are() -> None:
    item = "attribute logits wrt image by saliency, integrated_gradients(steps=4), occlusion(patch=3), adjoint_path"
    laid_out, loop = (Case(DIGITS, (item,), 4, unrolling=form) for form in ("all", 1))
    answers, expected = (case.run({"image": IMAGES}) for case in (loop, laid_out))
    for name, array in expected.items():
        of = "score" if name.endswith("residual") else name  # what is left of a difference of scores
        scale = float(np.abs(expected[of]).max())
        np.testing.assert_allclose(answers[name], array, rtol=0, atol=1e-5 * scale, err_msg=name)


def test_integrated_gradients_are_complete(lynx: Case, found: dict[str, np.ndarray]) -> None:
    """The shares of both inputs add up to S(x) - S(0), up to the residual, which is small and is what is left."""
    zeros = lynx.run({name: np.zeros_like(array) for name, array in LYNXES.items()})["score"]
    shares = found["integrated_gradients_first"].sum(axis=1) + found["integrated_gradients_season"]
    left = found["score"] - zeros - shares
    np.testing.assert_allclose(found["integrated_gradients_residual"], left, atol=1e-10)
    assert np.abs(left / (found["score"] - zeros)).max() < 1e-3


def test_more_steps_leave_less() -> None:
    def residual(steps: int) -> float:
        items = (f"attribute forecast wrt first by integrated_gradients(steps={steps})",)
        return float(np.abs(Case(LYNX, items, dtype="float64").run(LYNXES)["integrated_gradients_residual"]).max())

    assert residual(12) < 1e-2 * residual(3)


def test_expected_gradients_by_hand(lynx: Case, found: dict[str, np.ndarray]) -> None:
    total = np.zeros_like(FIRST)
    for j, a in enumerate(fractions(6)):
        b, c = STORED["first"][j], STORED["season"][j]
        x = torch.tensor(b + a * (FIRST - b), requires_grad=True)
        score = module(lynx)(x, torch.tensor(c + a * (SEASON - c))).sum()
        total += (FIRST - b) * torch.autograd.grad(score, x)[0].numpy() / 6
    np.testing.assert_allclose(found["expected_gradients_first"], total, rtol=1e-8)


def test_the_mean_of_the_training_samples_as_baseline() -> None:
    items = ("attribute forecast wrt first, season by occlusion(baseline=mean)",)
    case = Case(LYNX_WITH_DATA, items, background=STORED, dtype="float64")
    found = case.run(LYNXES)["occlusion_first"]
    covered = FIRST.copy()
    covered[:, 1] = STORED["first"].mean(axis=0)[1]
    run = module(case)
    lost = run(torch.tensor(FIRST), torch.tensor(SEASON)) - run(torch.tensor(covered), torch.tensor(SEASON))
    np.testing.assert_allclose(found[:, 1], lost.sum(dim=1).numpy(), rtol=1e-8)


def test_attributions_differ_from_sample_to_sample(found: dict[str, np.ndarray]) -> None:
    """A gradient that was frozen while tracing would be the same everywhere."""
    for name, array in found.items():
        if not name.endswith("times"):
            assert np.ptp(array, axis=0).max() > 1e-6 * np.abs(array).max(), name


def test_samples_of_a_batch_do_not_touch_each_other(lynx: Case, found: dict[str, np.ndarray]) -> None:
    for row in (0, 3):
        alone = lynx.run({name: array[row : row + 1] for name, array in LYNXES.items()})
        for name, array in found.items():
            if not name.endswith("times"):
                np.testing.assert_allclose(alone[name][0], array[row], rtol=1e-7, atol=1e-9, err_msg=name)


# ---------------------------------------------------------------------------------------------------- the score


def test_an_index_explains_one_entry_and_minus_one_all_of_them(lynx: Case) -> None:
    index = np.array([0, 1, 5, 9, -1])
    outputs = module(lynx)(torch.tensor(FIRST), torch.tensor(SEASON)).detach().numpy()
    expected = [outputs[row].sum() if at < 0 else outputs[row, at] for row, at in enumerate(index)]
    found = lynx.run({**LYNXES, "forecast_index": index})
    np.testing.assert_allclose(found["score"], expected, rtol=1e-10)
    slopes = []
    for row, at in enumerate(index):
        x = torch.tensor(FIRST[row : row + 1], requires_grad=True)
        out = module(lynx)(x, torch.tensor(SEASON[row : row + 1]))[0]
        slopes.append(torch.autograd.grad(out.sum() if at < 0 else out[int(at)], x)[0][0].abs().numpy())
    np.testing.assert_allclose(found["saliency_first"], slopes, rtol=1e-8, atol=1e-12)


def test_a_classifier_explains_the_class_that_it_predicts() -> None:
    case = Case(DIGITS, ("attribute logits wrt image by saliency, integrated_gradients(steps=4)",))
    assert case.model.deployment.attributions[0].classifier
    logits = Module(case, "logits", ("image",))(torch.tensor(IMAGES))
    predicted = logits.argmax(dim=1).numpy()
    assert len(set(predicted.tolist())) > 1
    default, stated = case.run({"image": IMAGES}), case.run({"image": IMAGES, "logits_index": predicted})
    for name, array in default.items():
        np.testing.assert_array_equal(array, stated[name])
    np.testing.assert_allclose(default["score"], logits.max(dim=1).values.detach(), atol=1e-6)


# ---------------------------------------------------------------------------------------------------- inside


def test_the_adjoint_path_is_autograd_at_the_states_of_the_steps(lynx: Case, found: dict[str, np.ndarray]) -> None:
    """Of the unrolled graph, in float64: every state of every step is a tensor that autograd differentiates by."""
    stepped = unroll(lynx.model.graph, lynx.choices, trajectories=True)
    graph, (trajectory,) = stepped.graph, stepped.trajectories
    arrays = {**lynx.bound(), "first": torch.tensor(FIRST), "season": torch.tensor(SEASON)}
    assert list(trajectory.states) == ["hare", "lynx"]
    states = list(zip(*trajectory.states.values(), strict=True))
    flat = [node for state in states for node in state]
    path = [tensor.detach() for tensor in evaluate(flat, arrays)]
    for i in (0, 4, 7, len(states) - 1):
        given = {flat[2 * i + k]: path[2 * i + k].clone().requires_grad_() for k in range(2)}
        (out,) = evaluate([graph.outputs["forecast"]], {**arrays, **given})
        slopes = torch.autograd.grad(out.sum(), list(given.values()))
        for name, slope in zip(("hare", "lynx"), slopes, strict=True):
            mine = found[f"adjoint_path_path_{name}"][:, i]
            np.testing.assert_allclose(mine, slope.numpy(), rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(found["adjoint_path_path_times"], np.linspace(0, 2, 13), atol=1e-12)


def test_parameter_sensitivity_is_the_change_of_a_model_with_another_parameter(
    lynx: Case, found: dict[str, np.ndarray]
) -> None:
    """The model evaluated anew with each parameter a little larger and smaller."""
    for parameter in lynx.model.parameters:
        raw = lynx.bound()[parameter.name]
        scores, values = [], []
        for step in (1e-5, -1e-5):
            bound = {
                **lynx.bound(),
                parameter.name: raw + step,
                "first": torch.tensor(FIRST),
                "season": torch.tensor(SEASON),
            }
            scores.append(lynx.program(bound)["forecast"].flatten(1).sum(dim=1).numpy())
            values.append(float(evaluate([parameter.value], bound)[0]))
        slope = (scores[0] - scores[1]) / (values[0] - values[1])
        np.testing.assert_allclose(found[f"parameter_sensitivity_{parameter.name}"], slope, rtol=1e-6)


def test_the_deviation_is_the_length_that_the_covariance_gives() -> None:
    from isocline_compiler.attribution.explain import explain
    from isocline_compiler.backends.to_onnx import to_onnx

    case = Case(LYNX, ("attribute forecast wrt first by parameter_sensitivity",), dtype="float64")
    covariance = np.array([[0.04, 0.01], [0.01, 0.09]])
    explanations = explain(case.model, case.choices, case.weights, None, covariance)
    assert explanations is not None
    model = to_onnx(explanations.graph, {}, dtype="float64")
    names = [item.name for item in model.graph.output]
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    fed = {**LYNXES, "forecast_index": np.full(5, -1)}
    found = dict(zip(names, session.run(None, fed), strict=True))
    j = np.stack([found[f"parameter_sensitivity_{name}"] for name in ("birth", "death")], axis=1)
    expected = np.sqrt(np.einsum("ni,ij,nj->n", j, covariance, j))
    np.testing.assert_allclose(found["parameter_sensitivity_deviation"], expected, rtol=1e-8)


def test_a_path_is_evaluated_in_one_pass() -> None:
    """The graph has the same operations whatever the number of points: they are rows, not copies."""

    def size(steps: int) -> int:
        items = (f"attribute forecast wrt first by integrated_gradients(steps={steps})",)
        graph = Case(LYNX, items, 1).explanations.graph
        return sum(node.op is not CONSTANT for node in topological(graph.outputs.values()))

    assert size(4) == size(64)


def test_what_does_not_depend_on_an_explained_input_is_computed_once_a_sample() -> None:
    text = """dyn 1
model beside
input x: real[2]
input given: real[3]
output y = [sum(sin(x)) * sum(exp(given |> dense(4)))]
"""
    case = Case(text, ("attribute y wrt x by integrated_gradients(steps=4)",))
    shapes = {(node.op.name, node.shape) for node in case.explanations.graph.nodes()}
    assert {shape for name, shape in shapes if name == "exp"} == {("batch", 4)}
    assert ("sin", ("5*batch", 2)) in shapes
    arrays = {"x": RNG.normal(size=(3, 2)), "given": RNG.normal(size=(3, 3))}
    found = case.run(arrays)
    shares = found["integrated_gradients_x"].sum(axis=1) + found["integrated_gradients_residual"]
    np.testing.assert_allclose(shares, found["score"], rtol=1e-5)


@pytest.mark.parametrize("text", [LYNX_WITH_DATA, DIGITS], ids=["lynx", "digits"])
def test_no_product_reads_what_was_repeated(text: str) -> None:
    """tract stops at such a product, also behind a change of shape and in a part of a concatenation."""
    methods = "integrated_gradients(steps=3), smoothgrad(samples=2), occlusion(patch=2), adjoint_path"
    what = "forecast wrt first" if text is LYNX_WITH_DATA else "logits wrt image"
    case = Case(text, (f"attribute {what} by saliency, {methods}",), 1)
    made = {node.output[0]: node for node in case.onnx.graph.node}

    def repeated(name: str) -> bool:
        node = made.get(name)
        if node is None or node.op_type not in ("Expand", "Reshape", "Concat"):
            return False
        return node.op_type == "Expand" or any(map(repeated, node.input))

    products = [node for node in made.values() if node.op_type in ("Gemm", "MatMul")]
    assert products
    assert not [node.name for node in products if any(map(repeated, node.input))]
