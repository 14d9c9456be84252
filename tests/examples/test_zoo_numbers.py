"""Files of the zoo beside the equations of their papers: one epoch, compiled; and torch on the same weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import conv2d, max_pool2d

import isocline
from examples.digits.fetch import digits
from examples.zoo.families import FOLDER
from isocline.comparison.one import seeded

Weights = Mapping[str, Tensor]
IMAGES = 240
"""Enough for every class in each part of the split."""


def convolved(x: Tensor, w: Weights, name: str, step: int | None = None) -> Tensor:
    """A layer of the file; `step` picks its weights where each step has its own."""
    weight, bias = w[f"{name}.weight"], w[f"{name}.bias"]
    return conv2d(x, *((weight, bias) if step is None else (weight[step], bias[step])), padding=1)


def standardized(image: Tensor, w: Weights) -> Tensor:
    return (image - w["image.mean"]) / w["image.deviation"]


def begun(image: Tensor, w: Weights) -> Tensor:
    return torch.relu(max_pool2d(convolved(standardized(image, w), w, "h0.conv"), 2))


def read(h: Tensor, w: Weights) -> Tensor:
    return h.flatten(1) @ w["logits.dense.weight"] + w["logits.dense.bias"]


def lm_resnet(image: Tensor, w: Weights) -> Tensor:
    """x_{n+1} = (1 - k_n) x_n + k_n x_{n-1} + f_n(x_n); the first block is Euler's (Lu, Zhong, Li, Dong 2018)."""

    def f(x: Tensor, n: int) -> Tensor:
        return convolved(torch.tanh(convolved(x, w, "block.h.conv", n)), w, "block.h.conv_2", n)

    before = begun(image, w)
    x = before + f(before, 0)
    for n in (1, 2, 3):
        k = w["h.lm2.k"][n - 1]
        before, x = x, (1 - k) * x + k * before + f(x, n)
    return read(x, w)


def nais_net(image: Tensor, w: Weights) -> Tensor:
    """x <- x + h tanh(A x + B u + b) with A = -R^T R - e I (Ciccone et al. 2018)."""
    u = standardized(image, w).flatten(1)
    r = w["block.x.dense.weight"]
    a = -r @ r.T - 0.1 * torch.eye(len(r), dtype=r.dtype)
    x = torch.zeros(len(u), len(r), dtype=r.dtype)
    for _ in range(16):
        x = x + 0.5 * torch.tanh(x @ a + w["block.x.dense.bias"] + u @ w["block.x.dense_2.weight"])
    return read(x, w)


def imex_net(image: Tensor, w: Weights) -> Tensor:
    """(I + h L^T L) Y <- Y + h f(Y) (Haber, Lensink, Treister, Ruthotto 2019)."""
    far = w["layer.far.dense.weight"]
    system = torch.eye(64, dtype=far.dtype) + 0.5 * far @ far.T
    y = begun(image, w)
    for _ in range(4):
        f = convolved(torch.tanh(convolved(y, w, "layer.h.conv")), w, "layer.h.conv_2")
        y = torch.linalg.solve(system, (y + 0.5 * f).flatten(1).T).T.reshape(y.shape)
    return read(y, w)


@pytest.mark.slow
@pytest.mark.parametrize("network", [lm_resnet, nais_net, imex_net])
def test_a_file_is_the_equation_of_its_paper(network: Callable[[Tensor, Weights], Tensor], tmp_path: Path) -> None:
    images, labels = (array[:IMAGES] for array in digits())
    model = seeded(isocline.check(FOLDER / f"{network.__name__}.dyn"), seed=0)
    isocline.build(model, tmp_path / "built", run=tmp_path / "run", data={"images": images, "labels": labels}, epochs=1)
    weights = {name: value.double() for name, value in load_file(tmp_path / "run" / "weights.safetensors").items()}
    found = isocline.load(tmp_path / "built").run(image=images[:20])["logits"]
    expected = network(torch.tensor(images[:20], dtype=torch.float64), weights).numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
