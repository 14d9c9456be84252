"""Log densities against scipy, and the words for parameters they cannot have."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch

from isocline_compiler.backends.to_torch import evaluate
from isocline_compiler.graph import WEIGHT, Fault, leaf
from isocline_compiler.graph.tensor_type import TensorType
from isocline_compiler.vocabulary.distributions import DISTRIBUTIONS
from isocline_compiler.vocabulary.functions.record import call

CASES: list[tuple[str, tuple[float, ...], Any]] = [
    ("normal", (), scipy.stats.norm()),
    ("normal", (1.5, 0.3), scipy.stats.norm(1.5, 0.3)),
    ("laplace", (1.0, 2.0), scipy.stats.laplace(1, 2)),
    ("cauchy", (-1.0, 2.5), scipy.stats.cauchy(-1, 2.5)),
    ("student_t", (3.5, 1.0, 2.0), scipy.stats.t(3.5, 1, 2)),
    ("uniform", (-1.0, 3.0), scipy.stats.uniform(-1, 4)),
    ("lognormal", (0.5, 0.8), scipy.stats.lognorm(s=0.8, scale=math.exp(0.5))),
    ("exponential", (2.5,), scipy.stats.expon(scale=1 / 2.5)),
    ("gamma", (2.5, 0.7), scipy.stats.gamma(2.5, scale=1 / 0.7)),
    ("half_normal", (1.7,), scipy.stats.halfnorm(scale=1.7)),
    ("half_cauchy", (1.7,), scipy.stats.halfcauchy(scale=1.7)),
    ("beta", (2.5, 0.7), scipy.stats.beta(2.5, 0.7)),
]


def test_every_distribution_is_tried() -> None:
    assert {name for name, _, _ in CASES} == set(DISTRIBUTIONS)


@pytest.mark.parametrize(("name", "parameters", "reference"), CASES)
def test_log_density(name: str, parameters: tuple[float, ...], reference: Any) -> None:
    x = reference.ppf(np.linspace(0.01, 0.99, 12).reshape(3, 4))
    weight = leaf(WEIGHT, "x", TensorType("real", (3, 4)))
    each = call(DISTRIBUTIONS[name], parameters)(weight)
    total = DISTRIBUTIONS[name].log_density(weight, parameters)
    densities, summed = evaluate([each, total], {"x": torch.as_tensor(x)})
    np.testing.assert_allclose(densities.numpy(), reference.logpdf(x), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(summed.numpy(), reference.logpdf(x).sum(), rtol=1e-10)


@pytest.mark.parametrize(("name", "parameters", "reference"), CASES)
def test_support(name: str, parameters: tuple[float, ...], reference: Any) -> None:
    assert DISTRIBUTIONS[name].support(parameters) == reference.support()


def test_parameters_by_name() -> None:
    number = leaf(WEIGHT, "x", TensorType("real", ()))
    density = DISTRIBUTIONS["normal"].log_density(number, (), [("std", 2.0)])
    (value,) = evaluate([density], {"x": torch.tensor(0.5, dtype=torch.float64)})
    assert value.item() == pytest.approx(scipy.stats.norm(0, 2).logpdf(0.5))


def test_parameters_that_no_distribution_has() -> None:
    number = leaf(WEIGHT, "x", TensorType("real", ()))
    for name, parameters, code in [("normal", (0, -1), "E284"), ("uniform", (3, 1), "E284"), ("gamma", (), "E282")]:
        with pytest.raises(Fault) as caught:
            DISTRIBUTIONS[name].log_density(number, parameters)
        assert caught.value.make(None).code == code
