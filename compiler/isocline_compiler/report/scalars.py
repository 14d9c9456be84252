"""Fitted parameters taken apart into single numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from isocline_compiler.model import FittedParameter


@dataclass(frozen=True)
class Scalar:
    """One number of a parameter: `k`, or `A[0, 1]`."""

    name: str
    value: float
    standard_error: float | None
    low: float | None
    high: float | None
    unit: str | None
    prior: str | None
    reason: str | None


def scalars(parameter: FittedParameter) -> Iterator[Scalar]:
    """The numbers of a parameter in the order of its entries. Those that are not finite are left out."""
    values = np.asarray(_known(parameter.value), dtype=np.float64)
    errors = np.broadcast_to(np.asarray(_known(parameter.standard_error), dtype=np.float64), values.shape)
    for place in np.ndindex(values.shape):
        value, error = float(values[place]), float(errors[place])
        if np.isfinite(value):
            name = f"{parameter.name}[{', '.join(map(str, place))}]" if place else parameter.name
            known = error if np.isfinite(error) else None
            yield Scalar(
                name, value, known, _finite(parameter.low), _finite(parameter.high),
                parameter.unit, parameter.prior, parameter.reason,
            )  # fmt: skip


def _known(value: Any) -> Any:
    """Absent numbers as NaN, at any depth of lists."""
    if isinstance(value, list | tuple):
        return [_known(item) for item in value]
    return np.nan if value is None else value


def _finite(value: float | None) -> float | None:
    return value if value is not None and np.isfinite(value) else None
