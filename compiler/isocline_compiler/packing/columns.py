"""States side by side: q (batch, n) and p (batch, m) as one value (batch, n + m)."""

from __future__ import annotations

from isocline_compiler.graph import Node, Nodes, substitute
from isocline_compiler.graph.solve import Solve
from isocline_compiler.graph.tensor_type import TensorType
from isocline_compiler.ops.broadcasting import broadcast_like
from isocline_compiler.ops.indexing import CONCAT, SLICE
from isocline_compiler.ops.shaping import RESHAPE
from isocline_compiler.packing.layouts import Layout
from isocline_compiler.solvers.grid import Discretisation


def _fits(solve: Solve, choice: Discretisation) -> bool:
    """Numbers and vectors of each sample."""
    return all(x.type.kind == "real" and x.type.batched and _vector(x.type) for x in solve.initial)


def _vector(type_: TensorType) -> bool:
    return type_.rank in (1, 2) and all(isinstance(size, int) for size in type_.sample)


def _widths(solve: Solve) -> list[int]:
    return [int(x.shape[1]) if x.type.rank == 2 else 1 for x in solve.initial]


def _type(solve: Solve) -> TensorType:
    first = solve.initial[0].type
    return first.with_shape((first.shape[0], sum(_widths(solve))))


def _initial(solve: Solve) -> Node:
    return CONCAT(*map(_column, solve.initial), axis=1)


def _column(x: Node) -> Node:
    return x if x.type.rank == 2 else RESHAPE(x, shape=(x.shape[0], 1))


def _slope(solve: Solve, z: Node) -> Node:
    arguments = solve.state_arguments
    parts = _parts(solve, z)
    slopes = substitute(solve.slopes(), dict(zip(arguments, parts, strict=True)))
    return CONCAT(*(_column(broadcast_like(k, x)) for k, x in zip(slopes, parts, strict=True)), axis=1)


def _parts(solve: Solve, z: Node) -> Nodes:
    """The states, or what is kept of them, along the last axis of z."""
    start, found = 0, []
    for x, width in zip(solve.initial, _widths(solve), strict=True):
        part = SLICE(z, axis=z.type.rank - 1, start=start, stop=start + width)
        found.append(part if x.type.rank == 2 else RESHAPE(part, shape=z.shape[:-1]))
        start += width
    return tuple(found)


COLUMNS = Layout("columns", _fits, _type, _initial, _slope, _parts)
