"""From the axes of one sample, which the author counts, to the axes of the graph, where the batch comes first."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from isocline_compiler.graph import Fault, Node
from isocline_compiler.graph.tensor_type import BATCH, Shape, Size, describe
from isocline_compiler.ops import OPS
from isocline_compiler.ops.comparison import CAST
from isocline_compiler.ops.shaping import RESHAPE, SPREAD
from isocline_dsl import messages
from isocline_dsl.messages import calls, operations


def offset(x: Node) -> int:
    """Where the first axis of a sample is: 1 behind a batch, else 0."""
    return int(x.type.batched)


def sample_rank(x: Node) -> int:
    return len(x.type.sample)


def sample_axis(callee: str, x: Node, axis: int) -> int:
    """An axis of a sample, counted from 0. Raises `Fault` when there is none."""
    rank = sample_rank(x)
    if not -rank <= axis < rank:
        raise Fault(lambda span: calls.no_such_axis(span, callee, axis, describe(x.type), rank))
    return axis % rank


def sample_axes(callee: str, x: Node, axes: Sequence[int]) -> tuple[int, ...]:
    """Several axes of a sample, in the order given. Raises `Fault` when one is missing or named twice."""
    found = [sample_axis(callee, x, axis) for axis in axes]
    twice = next((axis for axis in found if found.count(axis) > 1), None)
    if twice is not None:
        raise Fault(lambda span: calls.axis_twice(span, callee, twice))
    return tuple(found)


def graph_axis(callee: str, x: Node, axis: int) -> int:
    """An axis of a sample as an axis of the graph."""
    return sample_axis(callee, x, axis) + offset(x)


def graph_axes(callee: str, x: Node, axes: Sequence[int]) -> tuple[int, ...]:
    """Axes of a sample as axes of the graph, in increasing order."""
    return tuple(sorted(axis + offset(x) for axis in sample_axes(callee, x, axes)))


def reshape_sample(x: Node, shape: Shape) -> Node:
    """The same entries, each sample in another shape."""
    if shape == x.type.sample:
        return x
    return RESHAPE(x, shape=(BATCH, *shape) if x.type.batched else tuple(shape))


def insert_axis(x: Node, axis: int) -> Node:
    """A new axis of size 1 before `axis` of a sample, 0 <= axis <= rank."""
    shape = x.type.sample
    return reshape_sample(x, (*shape[:axis], 1, *shape[axis:]))


def align(*nodes: Node) -> tuple[Node, ...]:
    """Reshape so that numpy's rule broadcasts *samples*, batched or not, against each other.

    A batched (batch, 3) beside a sample of shape (2, 3) becomes (batch, 1, 3): its batch axis must not meet the 2.
    """
    rank = max(map(sample_rank, nodes))
    return tuple(_raised(node, rank) for node in nodes)


def _raised(node: Node, rank: int) -> Node:
    if not node.type.batched:
        return node
    return reshape_sample(node, (1,) * (rank - sample_rank(node)) + node.type.sample)


def spread(*nodes: Node) -> tuple[Node, ...]:
    """Give each node the batch axis when one has it, without changing samples."""
    batched = next((node for node in nodes if node.type.batched), None)
    if batched is None:
        return nodes
    return tuple(node if node.type.batched else SPREAD(node, batched) for node in nodes)


def with_batch(x: Node, build: Callable[[Node], Node]) -> Node:
    """`build` on a node that surely has a leading sample axis: an unbatched value is a batch of one meanwhile."""
    if x.type.batched:
        return build(x)
    y = build(RESHAPE(x, shape=(1, *x.shape)))
    return RESHAPE(y, shape=y.shape[1:])


def as_real(x: Node) -> Node:
    """Truth values as the numbers 0 and 1. Raises `Fault` for a class, which is no number."""
    if x.type.kind == "int":
        name = x.attrs.get("name", "this value")
        raise Fault(lambda span: messages.class_as_number(span, name))
    return x if x.type.kind == "real" else CAST(x, kind="real")


def elementwise(op: str, *nodes: Node) -> Node:
    """An operation on real numbers, entry by entry, samples broadcast."""
    return OPS[op](*align(*map(as_real, nodes)))


def known_size(callee: str, size: Size) -> int:
    """A size as a number. Raises `Fault` for a symbolic one."""
    if isinstance(size, str):
        raise Fault(lambda span: operations.size_not_known(span, callee, size))
    return size


def known_sample(callee: str, x: Node) -> tuple[int, ...]:
    """The shape of a sample in numbers."""
    return tuple(known_size(callee, size) for size in x.type.sample)
