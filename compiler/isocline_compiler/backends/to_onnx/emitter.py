"""What the operations wrote of themselves, before it has its final names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any, Literal, NoReturn, TypeAlias

import numpy as np
import onnx

from isocline_compiler.graph import Array, Node
from isocline_compiler.graph.emission import Emitter
from isocline_compiler.graph.tensor_type import Kind, TensorType
from isocline_dsl.diagnostics import IsoclineError, Source
from isocline_dsl.messages import operations
from isocline_dsl.tree import Span

Precision: TypeAlias = Literal["float32", "float64"]


@dataclass(frozen=True)
class Emitted:
    """One operator of the model, before it has its final names; that of a loop has a body."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attrs: tuple[tuple[str, Any], ...]
    span: Span | None
    body: EmittedBody | None = None


@dataclass(frozen=True)
class EmittedBody:
    """The graph inside of an operator. It sees the names around it; `types` are those of its arguments and results."""

    nodes: Sequence[Emitted]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    types: Mapping[str, TensorType]


class ModelEmitter(Emitter):
    """Collects operators and initializers of one model, each initializer and each literal once."""

    def __init__(self, dtype: Precision, opset: int, source: Source | None, reserved: Iterable[str]) -> None:
        self.wide = dtype == "float64"
        self.opset = opset
        self.nodes: list[Emitted] = []
        self.initializers: dict[str, Array] = {}
        self.span: Span | None = None
        self._source = source
        self._real = np.dtype(dtype)
        self._taken = set(reserved)
        self._numbers = {"n": count(1), "c": count(1)}
        self._by_content: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._literals: dict[tuple[str, Any], str] = {}
        self._readers: dict[str, str] = {}
        self._copies: dict[tuple[str, str], str] = {}
        self._memo: dict[tuple[Any, ...], tuple[str, ...]] = {}

    def node(self, operator: str, *inputs: str, **attrs: Any) -> str:
        """Add an operator with one result."""
        name = self._fresh("n")
        self.nodes.append(Emitted(operator, inputs, (name,), tuple(sorted(attrs.items())), self.span))
        return name

    def loop(self, inputs: Sequence[str], results: int, body: EmittedBody, **attrs: Any) -> tuple[str, ...]:
        """Add a `Scan`."""
        names = tuple(self._fresh("n") for _ in range(results))
        self.nodes.append(Emitted("Scan", tuple(inputs), names, tuple(sorted(attrs.items())), self.span, body))
        return names

    @contextmanager
    def inside(self) -> Iterator[list[Emitted]]:
        """Operators added inside go into the list that is handed out: they are those of a body."""
        outer, memo = self.nodes, self._memo
        self.nodes, self._memo = [], dict(memo)
        try:
            yield self.nodes
        finally:
            self.nodes, self._memo = outer, memo

    def fresh(self) -> str:
        """A name for an argument of a body."""
        return self._fresh("n")

    def once(self, operator: str, *inputs: str, **attrs: Any) -> str:
        """The same, but not again for the same arguments."""
        return self.results(operator, 1, *inputs, **attrs)[0]

    def results(self, operator: str, count: int, *inputs: str, **attrs: Any) -> tuple[str, ...]:
        """Add an operator with several results, not again for the same arguments."""
        key = (operator, inputs, tuple(sorted(attrs.items())))
        if key not in self._memo:
            names = tuple(self._fresh("n") for _ in range(count))
            self.nodes.append(Emitted(operator, inputs, names, key[-1], self.span))
            self._memo[key] = names
        return self._memo[key]

    def ints(self, values: Sequence[int]) -> str:
        """A vector of int64."""
        return self._literal("ints", tuple(values), np.int64)

    def integer(self, value: int) -> str:
        """One int64."""
        return self._literal("int", int(value), np.int64)

    def real(self, value: float) -> str:
        """One real in the precision of the model."""
        return self._literal("real", float(value), np.float64)

    def number(self, value: float, kind: Kind) -> str:
        """One number of this kind."""
        return self.real(value) if kind == "real" else self.integer(int(value))

    def elements(self, kind: Kind) -> int:
        """The element type of a kind in this model."""
        real = onnx.TensorProto.DOUBLE if self.wide else onnx.TensorProto.FLOAT
        return int({"real": real, "int": onnx.TensorProto.INT64, "bool": onnx.TensorProto.BOOL}[kind])

    def refuse_wide(self, node: Node) -> NoReturn:
        """Stop: this operation has no float64 kernel, and no formula of full accuracy."""
        raise IsoclineError([operations.no_float64_kernel(node.span, node.op.name)], self._source)

    def refuse(self, node: Node) -> NoReturn:
        """Stop: this operation has no form in ONNX."""
        raise IsoclineError([operations.not_emitted(node.span, node.op.name)], self._source)

    def array(self, value: Array, name: str | None = None) -> str:
        """An initializer: the one that holds these very entries, or a new one, called `name` if that is free."""
        stored = np.ascontiguousarray(value, dtype=self._real if value.dtype.kind == "f" else value.dtype)
        key = (stored.dtype.str, value.shape, stored.tobytes())
        if key not in self._by_content:
            self._by_content[key] = self._free(name) if name else self._fresh("c")
            self.initializers[self._by_content[key]] = stored.reshape(value.shape)
        return self._by_content[key]

    def apart(self, name: str, operator: str) -> str:
        """An initializer that only this operator reads: a second one, of the same entries, where another does."""
        if name not in self.initializers or self._readers.setdefault(name, operator) == operator:
            return name
        key = (name, operator)
        if key not in self._copies:
            self._copies[key] = self._free(f"{name}.{operator}")
            self.initializers[self._copies[key]] = self.initializers[name]
        return self._copies[key]

    def _literal(self, sort: str, value: Any, dtype: type) -> str:
        key = (sort, value)
        if key not in self._literals:
            self._literals[key] = self.array(np.array(value, dtype=dtype))
        return self._literals[key]

    def _fresh(self, letter: str) -> str:
        return next(name for i in self._numbers[letter] if (name := f"{letter}{i}") not in self._taken)

    def _free(self, name: str) -> str:
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        return name
