r"""Derivatives through a solve: a solve of the state together with how it varies.

x' = f(t, x, c) varies along a direction (v0, w) of the start and of what the field captures by the linear equation

    v' = (df/dx) v + (df/dc) w,   v(0) = v0,

solved beside x as more states of one solve. A Runge-Kutta or multistep scheme applied to both gives v exactly as the
derivative of the numbers that the same scheme on the same grid gives for x: discretising and differentiating commute.
So nothing below knows of derivatives: what unrolls, certifies or trains a solve does so to this one.

Hairer, Norsett, Wanner (1993), I.14; Bock (1987) for the commuting.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from isocline_compiler.graph import ARGUMENT, Fault, Node, Region, at, constant, everything, leaf, substitute
from isocline_compiler.graph.solve import parts
from isocline_compiler.ops.broadcasting import broadcast_like
from isocline_dsl import messages

Tangents: TypeAlias = "tuple[Node | None, ...]"
Push: TypeAlias = "Callable[[Sequence[Node], Sequence[Node], Sequence[Tangents]], list[Tangents]]"
"""Forward derivatives of outputs with respect to values, along several directions; None for zero."""


def mentions(solve: Node, values: set[Node]) -> bool:
    """Whether the field of a solve is written in terms of any of these values."""
    return any(node in values for node in everything(solve.attrs["region"].results))


@dataclass(frozen=True, eq=False)
class _Read:
    """A value that a solve reads, its leaf in the region, and its tangent along each direction."""

    argument: Node
    value: Node
    tangents: Tangents


@dataclass(frozen=True, eq=False)
class _Shadow:
    """The tangent of a value along one direction, as the field reads it."""

    of: Node
    direction: int
    argument: Node
    value: Node


def varied(solve: Node, tangents: Sequence[Tangents], free: Sequence[tuple[Node, Tangents]], push: Push) -> Node:
    """The solve of the states and their variations: results (x..., v_1..., v_2..., ...), a group for each direction.

    `tangents` holds, for each direction, the tangent of every argument of `solve`; `free`, for values that the region
    mentions itself, the tangents along every direction. Raises `Fault` when the times of the solve vary.
    """
    roles, region = parts(solve), solve.attrs["region"]
    if roles.times is not None and any(along[-1] is not None for along in tangents):
        raise Fault(lambda span: messages.not_available_yet(span, "a derivative with respect to the times of a solve"))
    with at(solve.span):
        read = [
            _Read(*item) for item in zip(region.arguments[1:], solve.inputs, zip(*tangents, strict=True), strict=False)
        ]
        first, second = len(roles.initial), len(roles.initial) + len(roles.captured)
        own = [_Read(leaf(ARGUMENT, f"own_{i}", x.type), x, along) for i, (x, along) in enumerate(free)]
        results = substitute(region.results, {item.value: item.argument for item in own})
        groups = (read[:first], [*read[first:second], *own], read[second:])
        return _assembled(solve, results, groups, len(tangents), push)


def _assembled(
    solve: Node, results: Sequence[Node], groups: Sequence[Sequence[_Read]], directions: int, push: Push
) -> Node:
    """`groups`: the states, the captured values, the stacked weights."""
    shadows = [_shadows(group, directions, states=group is groups[0]) for group in groups]
    slopes = _slopes(results, [item for group in shadows for item in group], directions, push)
    pairs: list[list[_Read | _Shadow]] = [[*group, *shadow] for group, shadow in zip(groups, shadows, strict=True)]
    region = Region(
        (solve.attrs["region"].arguments[0], *(item.argument for group in pairs for item in group)),
        (*results, *slopes),
    )
    times = parts(solve).times
    inputs = (*(item.value for group in pairs for item in group), *(() if times is None else (times,)))
    counts = dict(zip(("states", "captured", "stacked"), map(len, pairs), strict=True))
    kept = {key: solve.attrs[key] for key in ("interval", "scheme", "field")}
    return solve.op(*inputs, region=region, **kept, **counts)


def _shadows(read: Sequence[_Read], directions: int, *, states: bool) -> list[_Shadow]:
    """The tangents that are not zero, direction by direction; those of states all of them, for they become so."""
    found = []
    for i in range(directions):
        for item in read:
            tangent = item.tangents[i]
            if tangent is None and states:
                tangent = broadcast_like(constant(0.0), item.value)
            if tangent is not None:
                name = f"{item.argument.attrs['name']}_{i}"
                found.append(_Shadow(item.argument, i, leaf(ARGUMENT, name, item.argument.type), tangent))
    return found


def _slopes(results: Sequence[Node], shadows: Sequence[_Shadow], directions: int, push: Push) -> list[Node]:
    """v' along each direction."""
    of = list(dict.fromkeys(item.of for item in shadows))
    table = {(item.direction, item.of): item.argument for item in shadows}
    along = [tuple(table.get((i, x)) for x in of) for i in range(directions)]
    return [
        broadcast_like(constant(0.0), slope) if moved is None else moved
        for pushed in push(results, of, along)
        for slope, moved in zip(results, pushed, strict=True)
    ]
