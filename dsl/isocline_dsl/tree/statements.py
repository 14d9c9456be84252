"""What stands in the braces of a field or a scan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from isocline_dsl.tree.expressions import Expression, Identifier
from isocline_dsl.tree.node import Node
from isocline_dsl.tree.type_names import TypeName


@dataclass(frozen=True)
class Assign(Node):
    """`h = expression`; several names take a tuple apart: `q, p = ...` is not in the language, so always one."""

    name: Identifier
    value: Expression


@dataclass(frozen=True)
class Equation(Node):
    """`hare' = ...`, `q'' = ...`: order 1 or 2 (more are reported by the checker)."""

    state: Identifier
    order: int
    value: Expression


@dataclass(frozen=True)
class Term(Node):
    """`mu*s dt`: a factor and the differential it stands before."""

    sign: str
    factor: Expression | None
    differential: Identifier


@dataclass(frozen=True)
class Differential(Node):
    """`ds = mu*s dt + sigma*s dW`: `state` is `s` (the name without its `d`)."""

    state: Identifier
    terms: tuple[Term, ...]


@dataclass(frozen=True)
class NoiseDeclaration(Node):
    """`noise W: brownian[5]` with an optional `stratonovich`."""

    name: Identifier
    type: TypeName
    convention: Identifier | None = None


Statement: TypeAlias = Assign | Equation | Differential | NoiseDeclaration
