"""Fitted parameters taken apart into single numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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


@dataclass(frozen=True)
class MemberTable:
    """The parameters that each member of a group has: a row a member, a value with its error for each parameter.

    `distributions` are the parameters with the distribution that the members share, `unlisted` the members left out.
    """

    group: str
    columns: tuple[str, ...]
    distributions: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, tuple[Scalar, ...]], ...]
    unlisted: int


MOST_MEMBERS = 200


def member_tables(parameters: Sequence[FittedParameter]) -> list[MemberTable]:
    """One for each group that has parameters."""
    groups = dict.fromkeys(item.group for item in parameters if item.group is not None)
    return [_member_table(group, [item for item in parameters if item.group == group]) for group in groups]


def _member_table(group: str, parameters: Sequence[FittedParameter]) -> MemberTable:
    cells: dict[int, list[Scalar]] = {}
    columns: dict[str, None] = {}
    for parameter in parameters:
        for item in scalars(parameter):
            place, _, rest = item.name.removeprefix(f"{parameter.name}[").removesuffix("]").partition(", ")
            columns[f"{parameter.name}[{rest}]" if rest else parameter.name] = None
            cells.setdefault(int(place), []).append(item)
    names = next((item.members for item in parameters if item.members), ())
    rows = [
        (names[place] if place < len(names) else str(place), tuple(found)) for place, found in sorted(cells.items())
    ]
    distributions = tuple((item.name, item.prior or "") for item in parameters)
    return MemberTable(
        group, tuple(columns), distributions, tuple(rows[:MOST_MEMBERS]), max(len(rows) - MOST_MEMBERS, 0)
    )


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
