"""The typed dataflow graph: operations that hold their arguments, regions, and the walks over them.

A `Node` is one operation; its arguments are nodes, so a value *is* the expression that makes it. Nodes are immutable
and compared by identity; a pass never changes one, it makes new ones. A graph is what its outputs reach.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from isocline_compiler.graph.c_form import CForm
from isocline_compiler.graph.tensor_type import Kind, Shape, Size, TensorType
from isocline_dsl.diagnostics import Diagnostic
from isocline_dsl.tree import Span

if TYPE_CHECKING:
    import networkx as nx

Attrs: TypeAlias = Mapping[str, Any]
Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

_SPAN: ContextVar[Span | None] = ContextVar("span", default=None)


@contextmanager
def at(span: Span | None) -> Iterator[None]:
    """Nodes made inside come from this place in the source."""
    token = _SPAN.set(span)
    try:
        yield
    finally:
        _SPAN.reset(token)


def here() -> Span | None:
    """The place in the source that nodes made now come from."""
    return _SPAN.get()


class Fault(Exception):
    """Arguments that an operation cannot take: makes its diagnostic once the place in the source is known."""

    def __init__(self, make: Callable[[Span | None], Diagnostic]) -> None:
        self.make = make
        super().__init__(make(None).message)


@dataclass(frozen=True)
class Stop:
    """No derivative, and why."""

    reason: str


FLAT = Stop("piecewise constant")
"""Zero wherever there is a derivative."""


@dataclass(frozen=True, eq=False)
class Example:
    """Arguments an operation can be tried on: their types, the attributes, and the open interval each is drawn from.

    `within` holds one interval for all arguments, or one for each. Named sizes are chosen by whoever draws.
    """

    types: tuple[TensorType, ...]
    attrs: Attrs = field(default_factory=dict)
    within: tuple[tuple[float, float], ...] = ((-2.0, 2.0),)


@dataclass(frozen=True, eq=False)
class Op:
    """One operation: everything the compiler knows about it.

    `infer(*types, **attrs)` gives the type of the result (a tuple for several results) or raises `Fault`.
    `torch` is a name in torch, or a function of (torch, *tensors, **attrs).
    `onnx` is an operator's name, or a function of (emitter, node, argument names) that returns the result's name; None
    for an operation that must be gone before emission.
    `vjp(g, y, *xs, **attrs)` gives the gradients of the arguments *in the graph language*, None where one is zero, or
    is a `Stop`; None when nobody has written it yet. Its results need not be simplified: passes do that.
    `training(torch, record, *tensors, **attrs)` replaces `torch` while training, where the two differ;
    `record(position, value)` asks for the weight at that argument to be updated.
    `examples` are what the tests try it on. What passes need to know of it: `commutative`: f(a, b) = f(b, a);
    `broadcasts`: it repeats its arguments to one shape itself; `repeats`: the result is the first argument, repeated;
    `moves`: its entries are some of the first argument's, in other places; `smooth`: it has all derivatives everywhere.
    `piece(y, *xs, **attrs)`, of one made of smooth pieces, numbers the piece that arguments and result lie on.
    `enclose(precision, *xs, **attrs)` gives the interval of the result from those of the arguments, with one sample in
    place of the batch (`graph/interval.py`); without it nothing is known of the result.
    `slopes(**attrs)`, of a function of one number, are the least and the largest slope it has anywhere.
    `price`, or `price(node)`, is the nanoseconds of one core that an entry takes. `c` is the form in C (`c_form.py`).
    """

    name: str
    infer: Callable[..., TensorType | tuple[TensorType, ...]]
    torch: str | Callable[..., Any]
    onnx: str | Callable[..., str] | None
    vjp: Callable[..., tuple[Node | None, ...]] | Stop | None = None
    doc: str = ""
    training: Callable[..., Any] | None = None
    examples: tuple[Example, ...] = ()
    commutative: bool = False
    broadcasts: bool = False
    repeats: bool = False
    moves: bool = False
    smooth: bool = True
    piece: Callable[..., Any] | None = None
    enclose: Callable[..., Any] | None = None
    slopes: Callable[..., tuple[float, float]] | None = None
    price: float | Callable[[Node], float] = 0.2
    c: CForm | None = None

    def __call__(self, *arguments: Operand, **attrs: Any) -> Node:
        """Apply to nodes; plain numbers become constants."""
        nodes = tuple(as_node(item) for item in arguments)
        types = self.infer(*(node.type for node in nodes), **attrs)
        return Node(self, nodes, attrs, types if isinstance(types, tuple) else (types,), here())


OPERATORS: dict[str, Op] = {}
"""What is behind `a + b`, by name: the op table, which stands above the graph, enters them."""


class Node:
    """One operation applied to its arguments. Equality is identity."""

    __slots__ = ("attrs", "inputs", "op", "span", "types")

    def __init__(
        self, op: Op, inputs: tuple[Node, ...], attrs: Attrs, types: tuple[TensorType, ...], span: Span | None
    ) -> None:
        self.op = op
        self.inputs = inputs
        self.attrs = MappingProxyType(dict(attrs))
        self.types = types
        self.span = span

    @property
    def type(self) -> TensorType:
        """The type of the first (nearly always the only) result."""
        return self.types[0]

    @property
    def shape(self) -> Shape:
        return self.types[0].shape

    def size(self, axis: int) -> Size:
        return self.types[0].shape[axis]

    def rebuilt(self, inputs: tuple[Node, ...]) -> Node:
        """The same operation on other arguments, or this node when they are the same."""
        if all(a is b for a, b in zip(inputs, self.inputs, strict=True)):
            return self
        if all(a.types == b.types for a, b in zip(inputs, self.inputs, strict=True)):
            return Node(self.op, inputs, self.attrs, self.types, self.span)
        types = self.op.infer(*(node.type for node in inputs), **self.attrs)
        return Node(self.op, inputs, self.attrs, types if isinstance(types, tuple) else (types,), self.span)

    def __repr__(self) -> str:
        return f"<{self.op.name} {self.type}>"

    def __add__(self, other: Operand) -> Node:
        return OPERATORS["add"](self, other)

    def __radd__(self, other: Operand) -> Node:
        return OPERATORS["add"](other, self)

    def __sub__(self, other: Operand) -> Node:
        return OPERATORS["sub"](self, other)

    def __rsub__(self, other: Operand) -> Node:
        return OPERATORS["sub"](other, self)

    def __mul__(self, other: Operand) -> Node:
        return OPERATORS["mul"](self, other)

    def __rmul__(self, other: Operand) -> Node:
        return OPERATORS["mul"](other, self)

    def __truediv__(self, other: Operand) -> Node:
        return OPERATORS["div"](self, other)

    def __rtruediv__(self, other: Operand) -> Node:
        return OPERATORS["div"](other, self)

    def __pow__(self, other: Operand) -> Node:
        return OPERATORS["pow"](self, other)

    def __neg__(self) -> Node:
        return OPERATORS["neg"](self)

    def __matmul__(self, other: Operand) -> Node:
        return OPERATORS["matmul"](self, other)


Operand: TypeAlias = "Node | float | int"
Nodes: TypeAlias = "tuple[Node, ...]"


# ---------------------------------------------------------------------------------------------------- leaves


def _stated_type(*, of: TensorType, **_: Any) -> TensorType:
    return of


def _never(*_: Any, **__: Any) -> Any:
    raise AssertionError("a leaf is bound by whoever evaluates the graph")


INPUT = Op("input", _stated_type, _never, None, Stop("a leaf"), "A value the caller gives: `name`.")
WEIGHT = Op("weight", _stated_type, _never, None, Stop("a leaf"), "A trained or fitted value: `name`.")
ARGUMENT = Op("argument", _stated_type, _never, None, Stop("a leaf"), "A formal argument of a region: `name`.")


def _constant_type(*, value: Array, name: str | None = None) -> TensorType:
    kinds: dict[str, Kind] = {"f": "real", "i": "int", "b": "bool"}
    return TensorType(kinds[value.dtype.kind], value.shape)


CONSTANT = Op(
    "constant", _constant_type, _never, None, Stop("a constant"),
    "A literal array `value`: float64, int64 or bool; `name` when it was a weight.",
)  # fmt: skip


def leaf(op: Op, name: str, type_: TensorType) -> Node:
    """An `INPUT`, `WEIGHT` or `ARGUMENT`."""
    return op(name=name, of=type_)


def constant(value: Any, name: str | None = None) -> Node:
    """A literal: reals stay float64 until the graph is emitted. `name`, if any, is kept for readers of the result."""
    array = np.asarray(value)
    if array.dtype.kind not in "fib":
        raise TypeError(f"no constant of dtype {array.dtype}")
    wide = {"f": np.float64, "i": np.int64, "b": np.bool_}[array.dtype.kind]
    if array.flags.writeable or array.dtype != wide:
        array = np.array(array, dtype=wide)
    array.setflags(write=False)  # a view that repeats one number, `np.broadcast_to(0.0, shape)`, takes no memory
    return CONSTANT(value=array) if name is None else CONSTANT(value=array, name=name)


def as_node(value: Operand) -> Node:
    """A plain number becomes a real constant: integers in formulas are numbers, not indices."""
    return value if isinstance(value, Node) else constant(float(value))


def value_of(node: Node) -> Array | None:
    """The array of a constant, None for anything else."""
    return node.attrs["value"] if node.op is CONSTANT else None


# ---------------------------------------------------------------------------------------------------- graphs


@dataclass(frozen=True, eq=False)
class Region:
    """A function as data: `results` in terms of `arguments` (leaves), weights and constants only.

    A vector field is a region over (t, states..., captured values...). Nothing else may be free in it.
    """

    arguments: tuple[Node, ...]
    results: tuple[Node, ...]

    def __call__(self, *values: Node) -> tuple[Node, ...]:
        """The results with `values` in place of the arguments."""
        return substitute(self.results, dict(zip(self.arguments, values, strict=True)))


@dataclass(frozen=True, eq=False)
class Graph:
    """Named outputs, and the inputs they may depend on, in the order of the file."""

    inputs: tuple[Node, ...]
    outputs: Mapping[str, Node]
    name: str = field(default="graph")

    def nodes(self) -> list[Node]:
        """Every node the outputs reach, arguments first; the order is a function of the graph alone."""
        return topological(self.outputs.values())

    def weights(self) -> list[Node]:
        """The distinct weight leaves, regions included, in the order they are met."""
        seen: dict[str, Node] = {}
        for node in everything(self.outputs.values()):
            if node.op is WEIGHT:
                seen.setdefault(node.attrs["name"], node)
        return list(seen.values())

    def to_networkx(self) -> nx.DiGraph[int]:
        """The structure alone, for networkx's algorithms: arrows from arguments to what reads them.

        Number i is `nodes()[i]`; its attributes are `op`, `type`, `name` (None where it has none), `span`, and
        `regions`, a list of such structures. `positions` of an arrow are the places of the argument: two in x * x.
        """
        return _structure(self.outputs.values())

    def with_outputs(self, outputs: Mapping[str, Node]) -> Graph:
        if all(outputs[name] is node for name, node in self.outputs.items()) and len(outputs) == len(self.outputs):
            return self
        return Graph(self.inputs, outputs, self.name)


def topological(roots: Iterable[Node], known: Iterable[Node] = ()) -> list[Node]:
    """Nodes reachable from `roots`, arguments before uses, without entering regions; iterative, for deep chains.

    The `known` nodes, and what is reached only through them, are left out.
    """
    order: list[Node] = []
    done: set[Node] = set(known)
    stack = [(root, False) for root in reversed(list(roots))]
    while stack:
        node, ready = stack.pop()
        if node in done:
            continue
        if ready:
            done.add(node)
            order.append(node)
            continue
        stack.append((node, True))
        stack.extend((item, False) for item in reversed(node.inputs) if item not in done)
    return order


def users(graph: Graph) -> dict[Node, tuple[Node, ...]]:
    """For each node the nodes that read it, each once, in topological order; regions are not entered."""
    found: dict[Node, list[Node]] = {node: [] for node in graph.nodes()}
    for node in found:
        for item in dict.fromkeys(node.inputs):
            found[item].append(node)
    return {node: tuple(readers) for node, readers in found.items()}


def _structure(roots: Iterable[Node]) -> nx.DiGraph[int]:
    import networkx as nx  # here, and not above: most compilations need none of its algorithms

    structure: nx.DiGraph[int] = nx.DiGraph()
    number: dict[Node, int] = {}
    for node in topological(roots):
        number[node] = key = len(number)
        regions = [_structure(region.results) for region in regions_of(node)]
        structure.add_node(
            key, op=node.op, type=node.type, name=node.attrs.get("name"), span=node.span, regions=regions
        )
        for item in dict.fromkeys(node.inputs):
            positions = tuple(i for i, other in enumerate(node.inputs) if other is item)
            structure.add_edge(number[item], key, positions=positions)
    return structure


def regions_of(node: Node) -> Iterator[Region]:
    """The regions that a node holds among its attributes."""
    return (value for value in node.attrs.values() if isinstance(value, Region))


def everything(roots: Iterable[Node]) -> Iterator[Node]:
    """Nodes reachable from `roots`, those inside regions included, each once."""
    seen: set[Node] = set()
    for node in topological(roots):
        inner = (item for region in regions_of(node) for item in everything(region.results))
        for item in itertools.chain(inner, (node,)):
            if item not in seen:
                seen.add(item)
                yield item


def transform(
    roots: Sequence[Node], visit: Callable[[Node, tuple[Node, ...]], Node], known: Mapping[Node, Node] | None = None
) -> tuple[Node, ...]:
    """Rebuild what `roots` reach: `visit(node, new_inputs)` gives each node's replacement, arguments first.

    `known` maps nodes to replacements decided beforehand; nothing above them is visited for their sake.
    """
    new: dict[Node, Node] = dict(known or {})
    stack = list(reversed(roots))
    while stack:
        node = stack[-1]
        if node in new:
            stack.pop()
            continue
        missing = [item for item in node.inputs if item not in new]
        if missing:
            stack.extend(reversed(missing))
            continue
        new[node] = visit(node, tuple(new[item] for item in node.inputs))
        stack.pop()
    return tuple(new[root] for root in roots)


def substitute(roots: Sequence[Node], known: Mapping[Node, Node]) -> tuple[Node, ...]:
    """`roots` with nodes replaced; what does not depend on them stays the very same node, and so is computed once."""
    return transform(roots, lambda node, inputs: node.rebuilt(inputs), known)
