"""Registries: tables of records by their names."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol, TypeVar


class Named(Protocol):
    """A record that has a name."""

    @property
    def name(self) -> str: ...


Record = TypeVar("Record", bound=Named)


def by_name(*records: Record, kind: str = "records") -> Mapping[str, Record]:
    """Records by their names, in order; a name that is taken raises ValueError."""
    table: dict[str, Record] = {}
    for record in records:
        if record.name in table:
            raise ValueError(f"two {kind} are named {record.name!r}")
        table[record.name] = record
    return MappingProxyType(table)
