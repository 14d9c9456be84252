"""`std` and `var` of entries that nearly agree: as float32 holds them, with their derivatives."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from isocline_compiler.derivatives.reverse_forward import gradient
from isocline_compiler.lower.check import model
from isocline_compiler.passes import optimise
from tests.compiler.test_autodiff_models import in_onnxruntime

SIZES = [(1e4, 1e-2, 16), (1e4, 1e-2, 4096), (1.0, 1e-6, 256), (100.0, 1.0, 64)]
"""Mean, deviation and number of entries; the numbers are rounded to float32 before either side sees them."""


@pytest.mark.parametrize("name", ["std", "var"])
@pytest.mark.parametrize(("mean", "deviation", "count"), SIZES)
def test_a_small_spread_keeps_its_digits(mean: float, deviation: float, count: int, name: str) -> None:
    """Against numpy and torch in float64 on the same numbers, by onnxruntime in float32 after all passes."""
    graph = model(f"dyn 1\nmodel m\ninput x: real[{count}, 3]\noutput y = {name}(x, axis=0)\n").graph
    (slope,) = gradient(graph.outputs["y"], graph.inputs)
    x = np.random.default_rng(0).normal(mean, deviation, (5, count, 3)).astype(np.float32)
    wide = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    expected = getattr(torch, name)(wide, dim=1, correction=0)
    (moved,) = torch.autograd.grad(expected.sum(), wide)
    np.testing.assert_allclose(expected.detach(), getattr(np, name)(x.astype(np.float64), axis=1), rtol=1e-9)
    found, found_slope = in_onnxruntime(
        optimise(graph.with_outputs({"y": graph.outputs["y"], "slope": slope})), {"x": wide.detach()}, "float32"
    )
    np.testing.assert_allclose(found, expected.detach(), rtol=2e-5)
    np.testing.assert_allclose(found_slope, moved, rtol=1e-4, atol=1e-5 * float(moved.abs().max()))
