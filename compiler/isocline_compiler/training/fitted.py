"""Declared parameters after training: their values, and how well the data determine them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from isocline_compiler.backends.to_torch import evaluate
from isocline_compiler.data import Dataset
from isocline_compiler.graph import Array
from isocline_compiler.model import FittedParameter, Model, Parameter

if TYPE_CHECKING:
    from isocline_compiler.training.laplace import StandardErrors


@dataclass(frozen=True)
class Fitted:
    """The declared parameters, and the covariance of all their numbers together where it is known."""

    parameters: tuple[FittedParameter, ...] = ()
    covariance: Array | None = None


def fitted_parameters(model: Model, dataset: Dataset | None, weights: Mapping[str, Array]) -> Fitted:
    """Each declared parameter with its value and, when it was trained, its standard error."""
    if not model.parameters:
        return Fitted()
    bound = {name: torch.tensor(value) for name, value in weights.items()}
    values = evaluate([parameter.value for parameter in model.parameters], bound)
    found = _laplace(model, dataset, weights)
    errors = found.by_name() if found is not None else {}
    parameters = tuple(
        _fitted(parameter, value.numpy(), *errors.get(parameter.name, (None, "not trained")))
        for parameter, value in zip(model.parameters, values, strict=True)
    )
    return Fitted(parameters, found.covariance if found is not None else None)


def _laplace(model: Model, dataset: Dataset | None, weights: Mapping[str, Array]) -> StandardErrors | None:
    if model.training is None or dataset is None:
        return None
    from isocline_compiler.training.laplace import laplace

    return laplace(model, dataset.train, weights)


def _fitted(parameter: Parameter, value: Array, error: Array | None, reason: str | None) -> FittedParameter:
    low, high = (None if np.isinf(bound) else bound for bound in parameter.bounds)
    known = error is not None and bool(np.isfinite(error).all())
    return FittedParameter(
        parameter.name, value.tolist(), error.tolist() if known and error is not None else None, low, high,
        parameter.unit, parameter.prior, reason,
    )  # fmt: skip
