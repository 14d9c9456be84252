"""Declared parameters after training: their values, and how well the data determine them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    """The declared parameters, and the covariance of all their numbers together where it is known.

    `doubts` are reasons to doubt the fit, in sentences.
    """

    parameters: tuple[FittedParameter, ...] = ()
    covariance: Array | None = None
    doubts: tuple[str, ...] = ()


def fitted_parameters(model: Model, dataset: Dataset | None, weights: Mapping[str, Array]) -> Fitted:
    """Each declared parameter with its value and, when it was trained, its standard error."""
    if not model.parameters:
        return Fitted()
    values = parameter_values(model.parameters, weights)
    found = _laplace(model, dataset, weights)
    errors = found.by_name() if found is not None else {}
    members = dataset.members if dataset is not None else {}
    parameters = tuple(
        _fitted(parameter, values[parameter.name], *errors.get(parameter.name, (None, "not trained")), members)
        for parameter in model.parameters
    )
    if found is None:
        return Fitted(parameters)
    return Fitted(parameters, found.covariance, found.doubts)


def parameter_values(parameters: Sequence[Parameter], weights: Mapping[str, Array]) -> dict[str, Array]:
    """Each declared parameter in its own units and bounds, from the free weight behind it, in float64."""
    bound = {item.name: torch.tensor(weights[item.name], dtype=torch.float64) for item in parameters}
    values = evaluate([item.value for item in parameters], bound)
    return {item.name: value.numpy() for item, value in zip(parameters, values, strict=True)}


def _laplace(model: Model, dataset: Dataset | None, weights: Mapping[str, Array]) -> StandardErrors | None:
    if model.training is None or dataset is None:
        return None
    from isocline_compiler.training.laplace import laplace

    return laplace(model, dataset.train, weights)


def _fitted(
    parameter: Parameter,
    value: Array,
    error: Array | None,
    reason: str | None,
    members: Mapping[str, tuple[str, ...]],
) -> FittedParameter:
    low, high = (None if np.isinf(bound) else bound for bound in parameter.bounds)
    known = error is not None and bool(np.isfinite(error).all())
    return FittedParameter(
        parameter.name, value.tolist(), error.tolist() if known and error is not None else None, low, high,
        parameter.unit, parameter.prior, reason, parameter.group, members.get(parameter.group or "", ()),
    )  # fmt: skip
