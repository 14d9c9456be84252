"""What a program consists of, and the program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from isocline_dsl.tree.blocks import Block
from isocline_dsl.tree.expressions import (
    Assign,
    Call,
    Expression,
    Identifier,
    Interval,
    NoiseDeclaration,
    Number,
    Statement,
    TypeName,
)
from isocline_dsl.tree.node import Node


@dataclass(frozen=True)
class Argument(Node):
    """`z: real[2]`; several names may share a type in the text (`q, p: real`), the tree has one node each.
    The time argument of a field has no type."""

    name: Identifier
    type: TypeName | None = None


@dataclass(frozen=True)
class Use(Node):
    """`use "rates.dyn"`: the declarations of another file; the path is relative to the file that uses it."""

    path: str


@dataclass(frozen=True)
class Const(Node):
    """`const k = 8.53`, `const A: real[2, 2] = [[...], [...]]`."""

    name: Identifier
    value: Expression
    type: TypeName | None = None


@dataclass(frozen=True)
class Input(Node):
    """`input image: real[1, 28, 28] in (0, 1) = 0.5 unit "lux" "what it is"`; `default` stands where none is given."""

    name: Identifier
    type: TypeName
    bounds: Interval | None = None
    default: Expression | None = None
    unit: str | None = None
    description: str | None = None


@dataclass(frozen=True)
class Target(Node):
    """`target label: class[10]`: known in training data only."""

    name: Identifier
    type: TypeName
    unit: str | None = None
    description: str | None = None


@dataclass(frozen=True)
class Param(Node):
    """`param birth, death: positive = 0.5 ~ lognormal(0, 1) unit "1/year" "..."`.

    `param ka[subject]: positive ~ lognormal(m, s)`: `group` is `subject`, one number for each of its members.
    """

    names: tuple[Identifier, ...]
    type: TypeName
    bounds: Interval | None = None
    initial: Expression | None = None
    prior: Call | None = None
    unit: str | None = None
    description: str | None = None
    group: Identifier | None = None


@dataclass(frozen=True)
class Net(Node):
    """`net f(z: real[2]) -> real[2] = z |> dense(16) |> ...` or a block of assignments that ends in the result."""

    name: Identifier
    arguments: tuple[Argument, ...]
    result: Expression
    result_type: TypeName | None = None
    body: tuple[Assign, ...] = ()


@dataclass(frozen=True)
class Function(Net):
    """`function f(x: real) -> real = x/(1 + x)`: a net without weights; it reads its arguments and constants alone."""


@dataclass(frozen=True)
class Field(Node):
    """`field f(t, x: real[2]) [weights per step] { ... }`; the first argument is time and has no type."""

    name: Identifier
    time: Identifier
    states: tuple[Argument, ...]
    body: tuple[Statement, ...]
    per_step: bool = False


@dataclass(frozen=True)
class Control(Node):
    """`control X = hermite(xs, at=ts)`."""

    name: Identifier
    value: Call


@dataclass(frozen=True)
class Output(Node):
    """`output forecast = ...`; `output logits` alone names a value that exists (then `value` is None)."""

    name: Identifier
    value: Expression | None = None
    unit: str | None = None
    description: str | None = None


Declaration: TypeAlias = (
    Use | Const | Input | Target | Param | Net | Field | Control | Assign | Output | Block | NoiseDeclaration
)


@dataclass(frozen=True)
class Program(Node):
    """One file: `dyn 1`, `model name "description"`, declarations in order.

    A file of declarations that others use may go without its `model`: then `name` is empty.
    """

    version: Number
    name: Identifier
    description: str | None = None
    declarations: tuple[Declaration, ...] = ()
