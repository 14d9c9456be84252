"""The schemes that a fixed grid can be walked with, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from isocline_compiler.solvers.schemes.explicit import EXPLICIT
from isocline_compiler.solvers.schemes.scheme import Scheme


def index(*schemes: Scheme) -> Mapping[str, Scheme]:
    """Schemes by name; two of one name raise ValueError."""
    table: dict[str, Scheme] = {}
    for scheme in schemes:
        if scheme.name in table:
            raise ValueError(f"two schemes are called {scheme.name}")
        table[scheme.name] = scheme
    return MappingProxyType(table)


SCHEMES: Mapping[str, Scheme] = index(*EXPLICIT)
