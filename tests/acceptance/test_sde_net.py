"""What `examples/sde_net` compares with, against scikit-learn, scipy, a bootstrap, and the model's own graph."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage
from sklearn.metrics import roc_auc_score

from examples.sde_net.compare import auroc
from examples.sde_net.corruptions import CORRUPTIONS, corrupted, warped
from examples.sde_net.fetch import idx
from examples.sde_net.plain import Plain
from isocline_compiler.backends.to_torch import TorchProgram
from isocline_compiler.graph import Array
from isocline_compiler.lower.check import check
from isocline_compiler.passes import optimise
from isocline_compiler.show import unrolled
from isocline_compiler.training.initial import initial_weights

FILE = Path(__file__).parents[2] / "examples/sde_net/sde_net.dyn"


@pytest.mark.parametrize("rounded", [False, True])
def test_the_area_is_scikit_learns_and_its_error_that_of_a_bootstrap(rounded: bool) -> None:
    rng = np.random.default_rng(0)
    inside, outside = rng.normal(0, 1, 90), rng.normal(0.8, 2, 60)
    if rounded:
        inside, outside = inside.round(), outside.round()
    area, error = auroc(inside, outside)
    truth = np.repeat([0, 1], [len(inside), len(outside)])
    assert area == pytest.approx(roc_auc_score(truth, np.concatenate([inside, outside])), abs=1e-12)
    again = [auroc(rng.choice(inside, len(inside)), rng.choice(outside, len(outside)))[0] for _ in range(2000)]
    assert error == pytest.approx(np.std(again), rel=0.1)


def test_images_are_warped_as_by_scipy() -> None:
    rng = np.random.default_rng(1)
    images, maps = rng.random((7, 28, 28)), np.eye(2)[:, :, None] + rng.normal(0, 0.4, (2, 2, 7))
    middle = np.full(2, 13.5)
    for image, found, each in zip(images, warped(images, maps), np.moveaxis(maps, 2, 0), strict=True):
        expected = ndimage.affine_transform(image, each, middle - each @ middle, order=1, mode="grid-constant")
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_a_blur_is_scipys() -> None:
    images = np.random.default_rng(2).random((3, 28, 28))
    kernel = np.array([1, 6, 15, 20, 15, 6, 1]) / 64
    expected = images
    for axis in (1, 2):
        expected = ndimage.convolve1d(expected, kernel, axis=axis, mode="constant")
    np.testing.assert_allclose(CORRUPTIONS["blur"](images, np.random.default_rng(0)), expected, atol=1e-12)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corruption_stays_within_gray_values_and_is_that_of_its_seed(name: str) -> None:
    images = np.random.default_rng(3).integers(0, 256, (5, 1, 28, 28)).astype(np.uint8)
    first, again, other = (corrupted(images, name, seed) for seed in (1, 1, 2))
    assert (first.shape, first.dtype) == (images.shape, np.float32)
    assert 0 <= first.min() <= first.max() <= 255
    assert not np.allclose(first, images)
    np.testing.assert_array_equal(first, again)
    assert (name == "blur") == np.array_equal(first, other)


def test_an_array_in_idx_is_read_and_a_short_one_refused() -> None:
    content = b"\0\0\x08\x02" + struct.pack(">II", 2, 3) + bytes(range(6))
    np.testing.assert_array_equal(idx(content), [[0, 1, 2], [3, 4, 5]])
    with pytest.raises(SystemExit):
        idx(content[:-1])


def test_without_noise_the_model_is_the_plain_network() -> None:
    """Torch's own layers with the graph's weights, in float64."""
    found = check(FILE)
    weights = initial_weights(found.weights, 0)
    rng = np.random.default_rng(4)
    weights = {name: np.asarray(value) + 0.1 * rng.standard_normal(np.shape(value)) for name, value in weights.items()}
    image = torch.tensor(rng.uniform(0, 255, (3, 1, 28, 28)))
    bound = {name: torch.tensor(value) for name, value in weights.items()}
    graph = optimise(unrolled(found))
    answer = TorchProgram(graph)({"image": image, "W": torch.zeros(3, 10, 6, 784, dtype=torch.float64), **bound})
    with torch.no_grad():
        expected = _with_weights(weights)(image).softmax(dim=1)
    np.testing.assert_allclose(answer["probability"].numpy(), expected.numpy(), rtol=1e-9)
    assert answer["spread"].abs().max() < 1e-10


def _with_weights(weights: dict[str, Array]) -> Plain:
    """The network of torch, its layers filled with the weights of those of the file."""
    net = Plain().double()
    layers = {
        "encode.conv": net.first, "encode.groupnorm": net.norms[0], "encode.conv_2": net.second,
        "drift.groupnorm": net.norms[1], "drift.conv": net.inner, "drift.groupnorm_2": net.norms[2],
        "drift.conv_2": net.outer, "drift.groupnorm_3": net.norms[3], "classify.groupnorm": net.norms[4],
    }  # fmt: skip
    filled = {name: weights[f"{name}.{'scale' if 'norm' in name else 'weight'}"] for name in layers}
    with torch.no_grad():
        for name, layer in layers.items():
            layer.weight.copy_(torch.tensor(filled[name]))  # type: ignore[union-attr]
            layer.bias.copy_(torch.tensor(weights[f"{name}.bias"]))  # type: ignore[union-attr]
        net.head.weight.copy_(torch.tensor(weights["classify.dense.weight"].T))
        net.head.bias.copy_(torch.tensor(weights["classify.dense.bias"]))
    return net
