"""What each form of a weight promises, against the eigenvalues and singular values of numpy on explicit matrices."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from isocline_compiler.graph import Graph
from isocline_compiler.passes import optimise
from isocline_compiler.passes.bind import bind
from isocline_compiler.vocabulary.functions.kernels import kernel_norm
from isocline_compiler.vocabulary.functions.kinds import WordCall
from isocline_compiler.vocabulary.functions.weight_forms import FORMS, KERNEL_FORMS
from tests.compiler.workbench import Workbench


def word(name: str, **options: float) -> WordCall:
    return WordCall(name, (), tuple(options.items()))


def matrix_of(form: WordCall, inputs: int, units: int, std: float = 1.0) -> np.ndarray:
    """The matrix that a dense layer of this form applies, rows for its outputs."""
    bench = Workbench()
    x = bench.input(np.eye(inputs))
    layer = bench.build("dense", x, units, bias=False, weight=form, init=WordCall("normal", (std,)))
    return bench(layer).numpy().T


def operator_of(form: WordCall, sizes: tuple[int, ...], channels: int, **settings) -> np.ndarray:
    """The matrix of a convolution on signals of these sizes, the channels first."""
    bench = Workbench()
    x = bench.input(np.eye(int(np.prod(sizes))).reshape(-1, *sizes))
    layer = bench.build("conv", x, channels, bias=False, weight=form, init=WordCall("normal", (1.0,)), **settings)
    return bench(layer).reshape(len(bench.of(x)), -1).numpy().T


@pytest.mark.parametrize("damping", [0.0, 0.3])
def test_the_eigenvalues_of_an_antisymmetric_weight_are_imaginary_but_for_the_damping(damping):
    for matrix in (
        matrix_of(word("antisymmetric", damping=damping), 7, 7),
        operator_of(word("antisymmetric", damping=damping), (2, 5, 4), 2, kernel=(3,), pad=(1,)),
        operator_of(word("antisymmetric", damping=damping), (3, 9), 3, kernel=(5,), pad=(4,), dilation=(2,)),
    ):
        eigenvalues = np.linalg.eigvals(matrix)
        np.testing.assert_allclose(eigenvalues.real, -damping, atol=1e-12)
        assert np.abs(eigenvalues.imag).max() > 0.5


def test_a_symmetric_convolution_is_a_symmetric_matrix():
    found = operator_of(word("symmetric"), (2, 5, 4), 2, kernel=(3,), pad=(1,))
    np.testing.assert_array_equal(found, found.T)
    assert np.abs(found).max() > 0.5


@pytest.mark.parametrize("form", ["negative_definite", "dissipative"])
def test_the_symmetric_part_of_what_dissipates_is_below_the_damping(form):
    matrix = matrix_of(word(form, damping=0.2), 8, 8)
    assert np.linalg.eigvalsh((matrix + matrix.T) / 2).max() <= -0.2 + 1e-12
    assert np.allclose(matrix, matrix.T) == (form == "negative_definite")


def test_every_matrix_with_a_negative_symmetric_part_is_dissipative():
    """The free entries are found again: the strict lower triangle of A + U U', and U of a factorisation."""
    rng = np.random.default_rng(1)
    root, turn = rng.normal(size=(2, 5, 5))
    wanted = turn - turn.T - root @ root.T - 0.1 * np.eye(5)
    half = -(wanted + wanted.T) / 2 - 0.1 * np.eye(5)
    upper = np.linalg.cholesky(half[::-1, ::-1])[::-1, ::-1]
    bench = Workbench()
    layer = bench.build("dense", bench.input(np.eye(5)), 5, bias=False, weight=word("dissipative", damping=0.1))
    bench.replace("weight", np.tril((wanted - wanted.T) / 2, -1) + upper)
    np.testing.assert_allclose(bench(layer).numpy(), wanted, atol=1e-12)


@pytest.mark.parametrize(("inputs", "units"), [(6, 6), (7, 4), (3, 8)])
def test_an_orthogonal_weight_has_singular_values_of_one(inputs, units):
    matrix = matrix_of(word("orthogonal"), inputs, units, std=2.0)
    np.testing.assert_allclose(np.linalg.svd(matrix, compute_uv=False), 1.0, atol=1e-12)
    assert np.abs(matrix - np.eye(units, inputs)).max() > 0.5


def test_a_positive_weight_has_no_negative_entry_even_far_out():
    assert matrix_of(word("positive"), 6, 3, std=300.0).min() >= 0
    assert operator_of(word("positive"), (2, 6), 3, kernel=(3,)).min() >= 0


@pytest.mark.parametrize(("inputs", "units"), [(6, 6), (9, 4), (3, 8)])
@pytest.mark.parametrize("bound", [0.5, 3.0])
def test_a_spectral_weight_has_the_norm_that_was_bound(inputs, units, bound):
    norm = np.linalg.norm(matrix_of(word("spectral", bound=bound), inputs, units, std=5.0), 2)
    assert bound * (1 - 2e-6) <= norm <= bound
    small = matrix_of(word("spectral", bound=bound), inputs, units, std=0.01)
    np.testing.assert_allclose(small, matrix_of(word("free"), inputs, units, std=0.01), rtol=2e-6)


CONVOLUTIONS = [
    ((2, 12), 3, {"kernel": (3,), "pad": (1,)}),
    ((2, 9, 8), 3, {"kernel": (3,), "pad": (1,)}),
    ((2, 9, 8), 2, {"kernel": (4, 2), "pad": (3, 1)}),
    ((3, 9, 8), 2, {"kernel": (3,), "pad": (2,), "dilation": (2,)}),
    ((2, 9, 8), 4, {"kernel": (3,), "stride": (2,), "pad": (1,)}),
    ((4, 6, 6), 4, {"kernel": (3,), "groups": 2}),
    ((3, 5, 5), 2, {"kernel": (1,)}),
]


@pytest.mark.parametrize(("sizes", "channels", "settings"), CONVOLUTIONS)
def test_no_convolution_exceeds_its_bound_and_few_stay_far_below(sizes, channels, settings):
    norm = np.linalg.norm(operator_of(word("spectral", bound=0.7), sizes, channels, **settings), 2)
    assert norm <= 0.7
    if settings.get("stride", (1,)) == (1,) and "groups" not in settings:
        assert norm >= 0.7 * 0.8  # the ends of a short signal


def test_the_bound_of_a_kernel_is_reached_on_large_signals():
    """At most 4 % above the norm on an image without ends, which a grid of 1024 frequencies an axis shows."""
    bench = Workbench()
    kernel = bench.weight("w", (3, 2, 3, 3), lambda rng, shape: rng.normal(size=shape))
    values = bench.stored("w")
    fine = torch.linalg.svdvals(torch.fft.fft2(values, s=(256, 256)).permute(2, 3, 0, 1)).max().item()
    assert fine <= bench(kernel_norm(kernel)).item() <= 1.04 * fine


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("layer", ["dense", "conv"])
def test_training_moves_what_a_form_is_made_of(form, layer):
    """Gradients against central differences, along a direction."""
    if layer == "conv" and form not in KERNEL_FORMS:
        return
    bench = Workbench()
    x = bench.normal(4, 3) if layer == "dense" else bench.normal(2, 3, 5)
    settings = {} if layer == "dense" else {"pad": (1,)}
    node = bench.build(layer, x, 3, weight=word(form), init=WordCall("normal", (1.0,)), **settings)
    (key,) = (key for key in bench.values if key.endswith(".weight"))
    start = bench.values[key].clone().requires_grad_()
    bench.values[key] = start
    direction = torch.as_tensor(np.random.default_rng(2).normal(size=start.shape))
    (slope,) = torch.autograd.grad(bench(node).square().sum(), start)

    def at(shift: float) -> float:
        bench.values[key] = (start + shift * direction).detach()
        return bench(node).square().sum().item()

    measured = (at(1e-5) - at(-1e-5)) / 2e-5
    assert abs((slope * direction).sum().item() - measured) <= 1e-5 * (1 + abs(measured))


@pytest.mark.parametrize("form", FORMS)
def test_the_deployed_graph_holds_the_matrix_alone(form):
    bench = Workbench()
    x = bench.normal(4, 3)
    node = bench.build("dense", x, 3, weight=word(form))
    weights = {key: value.numpy() for key, value in bench.values.items() if key.startswith("layer")}
    graph = optimise(bind(Graph((x,), {"y": node}), weights))
    assert [item.op.name for item in graph.nodes() if item.op.name not in ("constant", "input")] == ["linear"]


def test_the_parabolic_layer_is_a_map_and_its_transpose():
    bench = Workbench()
    x = bench.normal(4, 2, 6, 5)
    node = bench.build("parabolic", x, 3, kernel=(3,), activation="tanh", bias_init=WordCall("normal", (1.0,)))
    weight, bias = bench.stored("weight"), bench.stored("bias")
    inner = torch.tanh(F.conv2d(bench.of(x), weight, bias, padding=1))
    torch.testing.assert_close(bench(node), -F.conv_transpose2d(inner, weight, padding=1))
    flat = bench.normal(4, 5)
    bench = Workbench(beside=bench)
    assert bench(bench.build("parabolic", flat, 3)).shape == (4, 5)


def test_the_jacobian_of_the_parabolic_layer_is_symmetric_and_has_no_positive_eigenvalue():
    bench = Workbench()
    x = bench.normal(1, 2, 4, 4)
    node = bench.build("parabolic", x, 3, activation="relu")
    key = x.attrs["name"]

    def layer(value: torch.Tensor) -> torch.Tensor:
        bench.values[key] = value
        return bench(node)

    jacobian = torch.autograd.functional.jacobian(layer, bench.of(x)).reshape(32, 32).numpy()
    np.testing.assert_allclose(jacobian, jacobian.T, atol=1e-12)
    eigenvalues = np.linalg.eigvalsh(jacobian)
    assert eigenvalues.max() <= 1e-12
    assert eigenvalues.min() < -0.1
