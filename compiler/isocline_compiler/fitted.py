"""Declared parameters after training: their values, and how well the data determine them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from isocline_compiler.certify.certificate import FittedParameter
from isocline_compiler.data import Dataset
from isocline_compiler.graph import Array
from isocline_compiler.model import Model, Parameter
from isocline_compiler.to_torch import evaluate


def fitted_parameters(
    model: Model, dataset: Dataset | None, weights: Mapping[str, Array]
) -> tuple[FittedParameter, ...]:
    """Each declared parameter with its value and, when it was trained, its standard error."""
    if not model.parameters:
        return ()
    bound = {name: torch.tensor(value) for name, value in weights.items()}
    values = evaluate([parameter.value for parameter in model.parameters], bound)
    errors = _standard_errors(model, dataset, weights)
    return tuple(
        _fitted(parameter, value.numpy(), *errors.get(parameter.name, (None, "not trained")))
        for parameter, value in zip(model.parameters, values, strict=True)
    )


def _standard_errors(
    model: Model, dataset: Dataset | None, weights: Mapping[str, Array]
) -> dict[str, tuple[Array | None, str | None]]:
    if model.training is None or dataset is None:
        return {}
    from isocline_compiler.training.laplace import standard_errors

    return standard_errors(model, dataset, weights)


def _fitted(parameter: Parameter, value: Array, error: Array | None, reason: str | None) -> FittedParameter:
    low, high = (None if np.isinf(bound) else bound for bound in parameter.bounds)
    known = error is not None and bool(np.isfinite(error).all())
    return FittedParameter(
        parameter.name, value.tolist(), error.tolist() if known and error is not None else None, low, high,
        parameter.unit, parameter.prior, reason,
    )  # fmt: skip
