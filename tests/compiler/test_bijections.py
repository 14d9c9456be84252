"""Bounds hold by construction and lose nothing: forward and inverse undo each other, and the slope never vanishes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from isocline_compiler.backends.to_torch import evaluate
from isocline_compiler.graph import WEIGHT, leaf
from isocline_compiler.graph.tensor_type import TensorType
from isocline_compiler.vocabulary.bijections import bijection

INTERVALS = [
    (-math.inf, math.inf),
    (0.0, math.inf),
    (-2.5, math.inf),
    (-math.inf, 0.0),
    (-math.inf, 4.0),
    (0.0, 1.0),
    (-3.0, 7.0),
]


def forward(low: float, high: float, w: torch.Tensor) -> torch.Tensor:
    weight = leaf(WEIGHT, "w", TensorType("real", tuple(w.shape)))
    (value,) = evaluate([bijection(low, high).forward(weight)], {"w": w})
    return value


@pytest.mark.parametrize(("low", "high"), INTERVALS)
def test_round_trip_inside_the_bounds(low: float, high: float) -> None:
    w = torch.linspace(-6, 6, 41, dtype=torch.float64)
    value = forward(low, high, w).numpy()
    assert ((low < value) & (value < high)).all()
    assert (np.diff(value) > 0).all()
    np.testing.assert_allclose(bijection(low, high).inverse(value), w.numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("low", "high"), INTERVALS)
def test_the_slope_never_vanishes(low: float, high: float) -> None:
    w = torch.linspace(-20, 20, 41, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(forward(low, high, w).sum(), w)
    assert (slope > 0).all()


@given(low=st.floats(-1e3, 1e3), width=st.floats(1e-3, 1e3), share=st.floats(0.001, 0.999))
def test_any_value_of_any_interval_has_its_weight(low: float, width: float, share: float) -> None:
    value = np.array([low + share * width])
    w = torch.as_tensor(bijection(low, low + width).inverse(value))
    np.testing.assert_allclose(forward(low, low + width, w).numpy(), value, atol=1e-9 * width, rtol=1e-12)


@pytest.mark.parametrize("value", [0.0, 1.0, -0.1, math.nan])
def test_a_value_outside_has_no_weight(value: float) -> None:
    with pytest.raises(ValueError, match="outside"):
        bijection(0.0, 1.0).inverse(np.array([0.5, value]))


def test_an_empty_interval_raises() -> None:
    with pytest.raises(ValueError, match="empty"):
        bijection(1.0, 1.0)


@pytest.mark.parametrize(
    ("low", "high"), [(-np.inf, np.inf), (0.0, np.inf), (1.0, np.inf), (-np.inf, 2.0), (-1.0, 3.0)]
)
def test_the_log_slope_is_the_logarithm_of_the_derivative(low: float, high: float) -> None:
    free = leaf(WEIGHT, "w", TensorType("real", (5,)))
    made = bijection(low, high)
    w = torch.linspace(-3, 3, 5, dtype=torch.float64, requires_grad=True)
    value, slope = evaluate([made.forward(free), made.log_slope(free)], {"w": w})
    (derivative,) = torch.autograd.grad(value.sum(), w)
    np.testing.assert_allclose(slope.detach().numpy(), derivative.log().numpy(), atol=1e-12)
