"""What `draw` in `train` may draw from: one Python function each, its docstring the documentation.

Called with its parameters, a function gives the values as a function of standard numbers, which are those of the
runtime's noise (docs/noise.md): `build(low=1, high=2)(standard)`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from isocline_compiler.graph import Fault
from isocline_compiler.graph.naming import by_name
from isocline_compiler.graph.tensor_type import Kind
from isocline_compiler.vocabulary.functions.kinds import Count, Positive, Real
from isocline_compiler.vocabulary.functions.record import Callee
from isocline_dsl import messages


class Standard(Protocol):
    """Independent standard numbers of the shape that is drawn, the same at each call, as tensors in float64."""

    def uniforms(self) -> Any:
        """In (0, 1)."""
        ...

    def normals(self) -> Any:
        """Of mean 0 and variance 1."""
        ...


Values: TypeAlias = "Callable[[Standard], Any]"


@dataclass(frozen=True)
class DrawKind(Callee):
    """`build(**parameters)(standard)` gives the values; `kind` is theirs. Parameters are known when compiling."""

    kind: Kind = "real"


def normal(mean: Real = 0.0, std: Positive = 1.0) -> Values:
    """Independent normal numbers.

    Example: draw z: normal[4]
    """
    return lambda standard: mean + std * standard.normals()


def uniform(low: Real = 0.0, high: Real = 1.0) -> Values:
    """Independent numbers, uniform between `low` and `high`.

    Example: draw s: uniform(0.001, 1)
    """
    if not low < high:
        raise Fault(lambda span: messages.bad_bounds(span, f"{low:g}", f"{high:g}"))
    return lambda standard: low + (high - low) * standard.uniforms()


def rademacher() -> Values:
    """Independent signs, -1 or 1 with probability 1/2 each.

    Example: draw n: rademacher[4]
    """
    return lambda standard: 1.0 - 2.0 * (standard.uniforms() < 0.5)


def categorical(classes: Count) -> Values:
    """A class, 0 to `classes` - 1 with the same probability each: a label, like one of type `class[10]`.

    Example: draw k: categorical(10)
    """
    return lambda standard: (classes * standard.uniforms()).floor().long()


DRAWS: Mapping[str, DrawKind] = by_name(
    DrawKind(normal), DrawKind(uniform), DrawKind(rademacher), DrawKind(categorical, "int")
)
