"""A solve as one node of the graph: the field is a region, the scheme and the grid are data that may come later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from isocline_compiler.graph import Node, Op, Stop, here
from isocline_compiler.graph.tensor_type import BATCH, Shape, Size, TensorType
from isocline_dsl.tree import Span

Options: TypeAlias = "tuple[tuple[str, Any], ...]"


@dataclass(frozen=True)
class SchemeChoice:
    """A scheme as the author names it: `euler(steps=8)` is `SchemeChoice("euler", (("steps", 8),))`."""

    name: str
    options: Options = ()
    span: Span | None = None

    def option(self, name: str, default: Any = None) -> Any:
        return dict(self.options).get(name, default)


@dataclass(frozen=True)
class Interval:
    """Where a solve goes, in the order of travel; `times[0]` is where it starts, backwards in time when decreasing.

    `times` are float64 numbers, known when compiling. None: they are the solve's last argument, a value of shape
    (batch, n) or (n,). `everywhere`: keep the solution at every time (a leading time axis), else at the last only.
    """

    times: tuple[float, ...] | None
    everywhere: bool


def _solve_types(*types: TensorType, interval: Interval, states: int, **_: Any) -> tuple[TensorType, ...]:
    """Each state, with the time axis after the batch axis when the solution is kept everywhere."""
    if not interval.everywhere:
        return types[:states]
    count: Size = len(interval.times) if interval.times is not None else types[-1].shape[-1]
    return tuple(state.with_shape(_with_time(state, count)) for state in types[:states])


def _with_time(state: TensorType, count: Size) -> Shape:
    return (BATCH, count, *state.sample) if state.batched else (count, *state.sample)


def _no_torch(*_: Any, **__: Any) -> Any:
    raise AssertionError("a solve is integrated or unrolled, never applied as an operation")


SOLVE = Op(
    "solve",
    _solve_types,
    _no_torch,
    None,
    Stop("unroll the solve first"),
    """x(t) with x' = region(t, x) from the initial states.

    Arguments: the initial states, the captured values, the stacked weights (steps, ...), the times if not known.
    Attributes: `region` over (t, states..., captured..., one slice of each stacked weight...), `interval`, how many
    `states`, `captured` and `stacked` there are, `field` (its name), `scheme` (when the scheme is part of the model).
    """,
)


def _pick_type(*_: TensorType, index: int, of: TensorType) -> TensorType:
    return of


PICK = Op(
    "pick", _pick_type, _no_torch, None, Stop("unroll the solve first"), "One result of an operation with several."
)


def pick(node: Node, index: int) -> Node:
    """Result `index` of a node with several results."""
    return Node(PICK, (node,), {"index": index, "of": node.types[index]}, (node.types[index],), here())


@dataclass(frozen=True)
class SolveParts:
    """The arguments of a solve node by role."""

    initial: tuple[Node, ...]
    captured: tuple[Node, ...]
    stacked: tuple[Node, ...]
    times: Node | None


def parts(node: Node) -> SolveParts:
    """Take a solve node's arguments apart."""
    states, captured, stacked = (node.attrs[key] for key in ("states", "captured", "stacked"))
    first, second = states + captured, states + captured + stacked
    inputs = node.inputs
    times = inputs[second] if len(inputs) > second else None
    return SolveParts(inputs[:states], inputs[states:first], inputs[first:second], times)
