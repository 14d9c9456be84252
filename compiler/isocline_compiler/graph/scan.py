r"""A loop as one node of the graph: (x_{i+1}, y_i) = body(x_i, c, s_i) for i = 0 ... n-1.

The states x go round, the captured values c stay, of the stacked values s each iteration takes its row, and the results
y are stacked in turn. A body is closed: nothing but literals is free in it, so a loop depends on its arguments alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from isocline_compiler.graph import ARGUMENT, CONSTANT, Node, Nodes, Op, Region, Stop, leaf, substitute, topological
from isocline_compiler.graph.invariant import frontier
from isocline_compiler.graph.solve import PICK, parts, pick
from isocline_compiler.graph.tensor_type import Size, TensorType

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
    """The results of a scan that its author asked for: the states after the last iteration, and what was stacked."""

    last: Nodes
    stacked: Nodes


def scan(
    initial: Sequence[Node],
    captured: Sequence[Node],
    stacked: Sequence[Node],
    body: Body,
    *,
    length: Size,
    names: Sequence[str] = (),
    rows_named: Sequence[str] = (),
    storing: bool = True,
) -> Scanned:
    """A loop whose body is written by `body` on arguments made for it. For readers `names` are those of its states, and
    `rows_named` those of its rows.

    What the body reads besides becomes a captured value. For whoever reverses the loop it is `storing`: it stacks all
    that it computes from its states, and these themselves, until what nothing reads is pruned: see `stored_by`.
    """
    arguments = (
        _arguments("x", [item.type for item in initial], names),
        _arguments("c", [item.type for item in captured]),
        _arguments("s", [row_of(item.type) for item in stacked], rows_named),
    )
    states, held, rows = arguments
    following, results = body(*arguments)
    asked = (*following, *results)
    found = (*asked, *states, *_moving(asked, states)) if storing else asked
    outside = [item for item in frontier(found, (*states, *held, *rows)) if item.op is not CONSTANT]
    fresh = _arguments("f", [item.type for item in outside])
    region = Region((*states, *held, *fresh, *rows), substitute(found, dict(zip(outside, fresh, strict=True))))
    node = SCAN(
        *initial, *captured, *outside, *stacked, region=region, states=len(states),
        captured=len(held) + len(fresh), stacked=len(rows), length=length,
    )  # fmt: skip
    picked = tuple(pick(node, index) for index in range(len(asked)))
    return Scanned(picked[: len(states)], picked[len(states) :])


def last_row(stacked: Node) -> Node | None:
    """The last row of a stacked result as the state that it is; None where it is no state's next value."""
    if stacked.op is not PICK or stacked.inputs[0].op is not SCAN:
        return None
    node = stacked.inputs[0]
    region: Region = node.attrs["region"]
    result, states = region.results[stacked.attrs["index"]], region.results[: node.attrs["states"]]
    return pick(node, states.index(result)) if result in states else None


def closed(node: Node) -> Node:
    """The same scan with what is free in its body, weights that a field read, as captured values."""
    region: Region = node.attrs["region"]
    outside = [x for x in frontier(region.results, region.arguments) if x.op is not CONSTANT]
    if not outside:
        return node
    roles, last = parts(node), len(region.arguments) - node.attrs["stacked"]
    fresh = tuple(leaf(ARGUMENT, f"c{node.attrs['captured'] + i}", item.type) for i, item in enumerate(outside))
    inside = substitute(region.results, dict(zip(outside, fresh, strict=True)))
    changed = Region((*region.arguments[:last], *fresh, *region.arguments[last:]), inside)
    attrs = {**node.attrs, "region": changed, "captured": node.attrs["captured"] + len(fresh)}
    return Node(SCAN, (*roles.initial, *roles.captured, *outside, *roles.stacked), attrs, node.types, node.span)


def stored_by(node: Node) -> dict[Node, int]:
    """By node of a scan's body, which result holds its value in every iteration."""
    region: Region = node.attrs["region"]
    states = node.attrs["states"]
    return {result: states + i for i, result in enumerate(region.results[states:])}


def stored_again(node: Node) -> Node:
    """The same scan, run again to store what was pruned."""
    roles, region, states = parts(node), node.attrs["region"], node.attrs["states"]

    def body(x: Nodes, c: Nodes, s: Nodes) -> tuple[Nodes, Nodes]:
        results = region(*x, *c, *s)
        return results[:states], results[states:]

    names = [str(item.attrs["name"]) for item in region.arguments[:states]]
    again = scan(roles.initial, roles.captured, roles.stacked, body, length=node.attrs["length"], names=names)
    return again.last[0].inputs[0]


def _moving(results: Sequence[Node], states: Nodes) -> list[Node]:
    """What is computed from the states on the way to the results."""
    depends = set(states)
    for node in topological(results, states):
        if any(item in depends for item in node.inputs):
            depends.add(node)
    return [node for node in topological(results, states) if node in depends and len(node.types) == 1]


def _arguments(letter: str, types: Sequence[TensorType], names: Sequence[str] = ()) -> Nodes:
    """Leaves of these types, by their names, or a letter and a number where there are none."""
    numbered = (*names, *(f"{letter}{i}" for i in range(len(names), len(types))))
    return tuple(leaf(ARGUMENT, name, type_) for name, type_ in zip(numbered, types, strict=True))
