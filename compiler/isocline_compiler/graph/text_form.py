"""A graph as text: one line a node, arguments first, the same for the same graph on every machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from isocline_compiler.graph import (
    ARGUMENT,
    CONSTANT,
    INPUT,
    WEIGHT,
    Array,
    Graph,
    Node,
    Region,
    topological,
)
from isocline_compiler.graph.called import Called
from isocline_compiler.graph.solve import Interval, SolveSpec
from isocline_compiler.graph.tensor_type import TensorType

SHORT = 4
"""Constants with so many entries or fewer are written out; of longer ones a digest stands for the entries."""


def to_text(graph: Graph) -> str:
    """The inputs and weights, the operations in order, regions indented below their node, the outputs.

    `%n` is a result, `@name` a weight, a plain name an input or the argument of a region.
    """
    lines = [f"graph {graph.name}"]
    lines += [f"input {_declared(node)}" for node in graph.inputs]
    lines += [f"weight @{_declared(node)}" for node in graph.weights()]
    page = _Page(lines, {})
    page.write(graph.outputs.values(), indent=0)
    lines += [f"output {name} = {page.named(node)} : {node.type}" for name, node in graph.outputs.items()]
    return "\n".join(lines) + "\n"


@dataclass
class _Page:
    """The lines so far and the numbers given to nodes; one numbering for the graph and its regions."""

    lines: list[str]
    numbers: dict[Node, int]

    def write(self, roots: Iterable[Node], indent: int) -> None:
        for node in topological(roots):
            if node.op.name not in LEAVES and node not in self.numbers:
                self.numbers[node] = len(self.numbers)
                self._write_node(node, indent)

    def _write_node(self, node: Node, indent: int) -> None:
        regions = {key: value for key, value in node.attrs.items() if isinstance(value, Region)}
        arguments = [self.named(item) for item in node.inputs]
        arguments += [f"{key}={attribute(value)}" for key, value in _plain(node)]
        types = ", ".join(map(str, node.types))
        head = f"{self.named(node)} = {node.op.name}({', '.join(arguments)}) : {types}"
        self._put(head + (" {" if regions else ""), indent)
        for key, region in regions.items():
            self._write_region(key, region, indent + 2)
        if regions:
            self._put("}", indent)

    def _write_region(self, key: str, region: Region, indent: int) -> None:
        self._put(f"{key}({', '.join(map(_declared, region.arguments))})", indent)
        self.write(region.results, indent + 2)
        self._put(f"return {', '.join(map(self.named, region.results))}", indent + 2)

    def _put(self, line: str, indent: int) -> None:
        self.lines.append(" " * indent + line)

    def named(self, node: Node) -> str:
        """How a node is referred to where it is used."""
        return LEAVES[node.op.name](node.attrs) if node.op.name in LEAVES else f"%{self.numbers[node]}"


def _declared(leaf: Node) -> str:
    return f"{leaf.attrs['name']} : {leaf.type}"


def _plain(node: Node) -> Iterator[tuple[str, Any]]:
    """The attributes that are data, by name; the type of a `pick` stands behind the colon anyway."""
    for key, value in sorted(node.attrs.items()):
        if isinstance(value, SolveSpec):
            yield from _said(value)
        elif not isinstance(value, Region | TensorType) and value is not None:
            yield key, value


def _said(spec: SolveSpec) -> Iterator[tuple[str, Any]]:
    """What the record of a solve says beside the usual: roles that are not the author's, rows, terms, noise."""
    yield "name", spec.name
    yield "field", spec.field
    yield "interval", spec.interval
    if spec.scheme is not None:
        yield "scheme", spec.scheme
    yield "states", [state.name if state.role == "own" else f"{state.name}:{state.role}" for state in spec.states]
    if spec.rows:
        yield "rows", [f"{row.name}:{row.kind}" for row in spec.rows]
    if len({term.kind for term in spec.terms}) > 1:
        yield "terms", [f"{term.kind}:{term.results}" for term in spec.terms]
    if spec.noises:
        yield "noises", [f"{'-' * noise.turned}{noise.name}:{noise.size}" for noise in spec.noises]
    if spec.varies is not None:
        yield "varies", spec.varies


def literal(value: Array) -> str:
    """`0.5`, `[1.0, 2.0]`, or for long ones the type and the first digits of the SHA-256 of the entries."""
    if value.size <= SHORT:
        return str(value.tolist()).lower() if value.dtype.kind == "b" else str(value.tolist())
    kind = {"f": "real", "i": "int", "b": "bool"}[value.dtype.kind]
    little = value.astype(value.dtype.newbyteorder("<"))
    return f"{kind}[{', '.join(map(str, value.shape))}]#{sha256(little.tobytes()).hexdigest()[:8]}"


LEAVES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    INPUT.name: lambda attrs: str(attrs["name"]),
    ARGUMENT.name: lambda attrs: str(attrs["name"]),
    WEIGHT.name: lambda attrs: f"@{attrs['name']}",
    CONSTANT.name: lambda attrs: literal(attrs["value"]),
}
"""Nodes that are written where they are used, not on a line of their own."""


def attribute(value: Any) -> str:
    """The value of an attribute, short and without spaces that mean nothing."""
    if isinstance(value, Interval):
        return _interval(value)
    if isinstance(value, Called):
        return f"{value.name}({', '.join(f'{key}={attribute(item)}' for key, item in value.options.items())})"
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(attribute, value))}]"
    return value if isinstance(value, str) else repr(value)


def _interval(interval: Interval) -> str:
    """`0.0..20.0 at 21 times`: where it is kept, or that the times come with the input."""
    if interval.times is None:
        return "from input" + (" everywhere" if interval.everywhere else "")
    ends = f"{interval.times[0]!r}..{interval.times[-1]!r}"
    return f"{ends} at {len(interval.times)} times" if interval.everywhere else ends
