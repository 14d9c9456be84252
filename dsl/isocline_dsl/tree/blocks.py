"""`data`, `train` and `deploy`, and what stands in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from isocline_dsl.tree.expressions import Binding, Call, Expression, Identifier, Keyword, TypeName
from isocline_dsl.tree.node import Node


@dataclass(frozen=True)
class Setting(Node):
    """`epochs 600`, `solver dopri5(rtol=1e-6)`, `stream`: a key and its values, in a block."""

    key: Identifier
    values: tuple[Expression, ...] = ()


@dataclass(frozen=True)
class Draw(Node):
    """`draw z: normal[2]` or `draw t0: uniform(0.001, 1)[3]` in `train`: a distribution and its sizes, as a type, with
    its arguments.
    """

    name: Identifier
    type: TypeName
    arguments: tuple[Expression, ...] = ()
    keywords: tuple[Keyword, ...] = ()


@dataclass(frozen=True)
class Attribution(Node):
    """`attribute forecast wrt first by saliency, integrated_gradients(steps=32)`."""

    output: Identifier
    wrt: tuple[Identifier, ...]
    methods: tuple[Call, ...]


BlockItem: TypeAlias = Setting | Binding | Draw | Attribution


@dataclass(frozen=True)
class Block(Node):
    """`data { ... }`, `train { ... }` or `deploy { ... }`: the kind and its items in order. `train` may have a name."""

    kind: str
    items: tuple[BlockItem, ...] = ()
    name: Identifier | None = None
