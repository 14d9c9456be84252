r"""A loop as one node of the graph: (x_{i+1}, y_i) = body(x_i, c, s_i) for i = 0 ... n-1.

The states x go round, the captured values c stay, of the stacked values s each iteration takes its row, and the results
y are stacked in turn. A body is closed: nothing but literals is free in it, so a loop depends on its arguments alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from isocline_compiler.frontier import frontier
from isocline_compiler.graph import ARGUMENT, CONSTANT, Node, Op, Region, Stop, leaf, substitute
from isocline_compiler.solve_node import pick
from isocline_compiler.tensor_type import Size, TensorType

Nodes: TypeAlias = "tuple[Node, ...]"
Body: TypeAlias = "Callable[[Nodes, Nodes, Nodes], tuple[Sequence[Node], Sequence[Node]]]"
"""(states, captured values, rows of the stacked values) -> (the next states, what is stacked)."""


def row_of(stacked: TensorType) -> TensorType:
    """The type of one row: the first axis, which counts the iterations, is gone."""
    return stacked.with_shape(stacked.shape[1:])


def _scan_types(*types: TensorType, region: Region, states: int, length: Size, **_: Any) -> tuple[TensorType, ...]:
    rows = (result.type for result in region.results[states:])
    return (*types[:states], *(row.with_shape((length, *row.shape)) for row in rows))


def _no_torch(*_: Any, **__: Any) -> Any:
    raise AssertionError("a scan is run iteration by iteration, never applied as an operation")


SCAN = Op(
    "scan",
    _scan_types,
    _no_torch,
    None,
    Stop("it is reversed as a whole"),
    """(x_{i+1}, y_i) = region(x_i, c, s_i), from the first row of s to the last.

    Arguments: the first states x_0, the captured values c, the stacked values s of shape (length, ...).
    Results: the last states, then each y, stacked.
    Attributes: `region` over (states..., captured..., a row of each stacked value...), how many `states`, `captured`
    and `stacked` there are, and the `length` of s.
    """,
)


@dataclass(frozen=True)
class Scanned:
    """The results of a scan: the states after the last iteration, what was stacked, the states at the start of each."""

    last: Nodes
    stacked: Nodes
    starts: Nodes


def scan(
    initial: Sequence[Node],
    captured: Sequence[Node],
    stacked: Sequence[Node],
    body: Body,
    *,
    length: int,
) -> Scanned:
    """A loop whose body is written by `body` on arguments made for it.

    What the body reads besides becomes a captured value. The scan keeps the states at the start of each iteration, of
    shape (length, *state), for whoever reverses it.
    """
    arguments = (
        _arguments("x", [item.type for item in initial]),
        _arguments("c", [item.type for item in captured]),
        _arguments("s", [row_of(item.type) for item in stacked]),
    )
    states, held, rows = arguments
    following, results = body(*arguments)
    found = (*following, *results, *states)
    outside = [item for item in frontier(found, (*states, *held, *rows)) if item.op is not CONSTANT]
    fresh = _arguments("f", [item.type for item in outside])
    region = Region((*states, *held, *fresh, *rows), substitute(found, dict(zip(outside, fresh, strict=True))))
    node = SCAN(
        *initial, *captured, *outside, *stacked, region=region, states=len(states),
        captured=len(held) + len(fresh), stacked=len(rows), length=length,
    )  # fmt: skip
    picked = tuple(pick(node, index) for index in range(len(node.types)))
    first, second = len(states), len(states) + len(results)
    return Scanned(picked[:first], picked[first:second], picked[second:])


def starts_of(node: Node) -> list[int | None]:
    """By state, which result of a scan holds it at the start of each iteration; None where that was pruned."""
    region: Region = node.attrs["region"]
    states = node.attrs["states"]
    rows = region.results[states:]
    return [next((states + i for i, y in enumerate(rows) if y is x), None) for x in region.arguments[:states]]


def _arguments(letter: str, types: Sequence[TensorType]) -> Nodes:
    return tuple(leaf(ARGUMENT, f"{letter}{i}", type_) for i, type_ in enumerate(types))
