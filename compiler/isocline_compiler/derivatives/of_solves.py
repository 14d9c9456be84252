r"""Tangent solves, derivatives through a solve: a solve of the state together with how it varies.

x' = f(t, x, c) varies along a direction (v0, w) of the start and of what the field captures by the linear equation

    v' = (df/dx) v + (df/dc) w,   v(0) = v0,

solved beside x as more states of one solve. A Runge-Kutta or multistep scheme applied to both gives v exactly as the
derivative of the numbers that the same scheme on the same grid gives for x: discretising and differentiating commute.
So nothing below knows of derivatives: what unrolls, certifies or trains a solve does so to this one.

Hairer, Norsett, Wanner (1993), I.14; Bock (1987) for the commuting.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from isocline_compiler.graph import ARGUMENT, Fault, Node, Region, at, constant, everything, leaf, substitute
from isocline_compiler.graph.delay import remembers
from isocline_compiler.graph.fractional import order_results
from isocline_compiler.graph.solve import Row, Solve, SolveSpec, State
from isocline_compiler.graph.terms import Term
from isocline_compiler.ops.broadcasting import broadcast_like
from isocline_dsl import messages
from isocline_dsl.messages import fractional

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
class _Tangent:
    """The tangent of a value along one direction, as the field reads it; `place` is its value's among its kind."""

    of: Node
    place: int
    direction: int
    argument: Node
    value: Node


def varied(node: Node, tangents: Sequence[Tangents], free: Sequence[tuple[Node, Tangents]], push: Push) -> Node:
    """The tangent solve: the states with their tangents, results (x..., v_1..., v_2..., ...), a group a direction.

    `tangents` holds, for each direction, the tangent of every argument of the solve; `free`, for values that the region
    mentions itself, the tangents along every direction. It varies what the solve varies, and so shares its scheme and
    grid. Raises `Fault` when the times of the solve, or the coefficients of its scheme, vary.
    """
    if remembers(node):
        raise Fault(lambda span: messages.not_available_yet(span, "a derivative along a solve that reads its past"))
    solve = Solve.of(node)
    solve.refuse_events(
        "a sensitivity that is solved for jumps with the time of the event, which its equations do not say"
    )
    first, second = len(solve.initial), len(solve.initial) + len(solve.captured)
    along = list(zip(*tangents, strict=True))
    if solve.times is not None and any(item is not None for item in along[-1]):
        raise Fault(lambda span: messages.not_available_yet(span, "a derivative with respect to the times of a solve"))
    stacked = list(zip(solve.spec.rows, solve.stacked, along[second:], strict=False))
    if any(not row.read_by_field and any(item is not None for item in found) for row, _, found in stacked):
        raise Fault(
            lambda span: messages.not_available_yet(span, "a derivative with respect to a scheme's coefficients")
        )
    with at(solve.span):
        states = _read(solve.state_arguments, solve.initial, along[:first])
        captured = _read(solve.captured_arguments, solve.captured, along[first:second])
        mine = [(value, found) for row, value, found in stacked if row.read_by_field]
        rows = _read(solve.row_arguments, [value for value, _ in mine], [found for _, found in mine])
        own = [_Read(leaf(ARGUMENT, f"own_{i}", x.type), x, found) for i, (x, found) in enumerate(free)]
        results = substitute(solve.region.results, {item.value: item.argument for item in own})
        read = Solve.of(node).rebuilt(region=Region(solve.region.arguments, results))
        read = read.with_captured([item.value for item in own], [item.argument for item in own])
        return _with_tangents(read, (states, [*captured, *own], rows), len(tangents), push).node()


def _read(arguments: Sequence[Node], values: Sequence[Node], tangents: Sequence[Tangents]) -> list[_Read]:
    return [_Read(*item) for item in zip(arguments, values, tangents, strict=True)]


def _with_tangents(solve: Solve, groups: Sequence[Sequence[_Read]], directions: int, push: Push) -> Solve:
    """`groups`: the states, the captured values, the rows that the field reads."""
    states, captured, rows = (_tangents(group, directions, states=group is groups[0]) for group in groups)
    results = solve.region.results
    slopes = _slopes(results, [*states, *captured, *rows], directions, push, order_results(solve.spec))
    spec = solve.spec
    taken = max((number for state in spec.states for number in state.direction), default=-1) + 1
    records = [_state(spec, item, taken) for item in states]
    read = [row for row in spec.rows if row.read_by_field]
    kinds = [Row(item.argument.attrs["name"], read[item.place].kind, read[item.place].indexing) for item in rows]
    found = solve.with_captured([item.value for item in captured], [item.argument for item in captured])
    found = found.with_rows(kinds, [item.value for item in rows], [item.argument for item in rows])
    found = found.with_states(records, [item.value for item in states], [item.argument for item in states], slopes)
    terms = (*spec.terms, *(_moved(term, len(spec.states) * (1 + i)) for i in range(directions) for term in spec.terms))
    name, varies = f"{spec.name}_varied", spec.varies or spec.name
    return found.rebuilt(spec=replace(found.spec, name=name, terms=terms, varies=varies))


def _state(spec: SolveSpec, tangent: _Tangent, taken: int) -> State:
    """The record of a tangent: directions are numbered after those that the solve has already."""
    of = spec.states[tangent.place]
    direction = (*of.direction, taken + tangent.direction)
    return State(str(tangent.argument.attrs["name"]), of.shape, "tangent", of.name, direction, of.group)


def _moved(term: Term, by: int) -> Term:
    """The same term of the tangents along one direction."""
    return replace(term, states=tuple(by + state for state in term.states))


def _tangents(read: Sequence[_Read], directions: int, *, states: bool) -> list[_Tangent]:
    """The tangents that are not zero, direction by direction; those of states all of them, for they become so.

    No author can write their names: a tangent is never taken for a state of the file.
    """
    found = []
    for i in range(directions):
        for place, item in enumerate(read):
            tangent = item.tangents[i]
            if tangent is None and states:
                tangent = broadcast_like(constant(0.0), item.value)
            if tangent is not None:
                name = f"{item.argument.attrs['name']}~{i}"
                found.append(_Tangent(item.argument, place, i, leaf(ARGUMENT, name, item.argument.type), tangent))
    return found


def _slopes(
    results: Sequence[Node], tangents: Sequence[_Tangent], directions: int, push: Push, orders: frozenset[int]
) -> list[Node]:
    """v' along each direction: the forward derivative of every term. A tangent has the order of what it varies, which
    must not vary itself. Raises `Fault` where it does.
    """
    of = list(dict.fromkeys(item.of for item in tangents))
    table = {(item.direction, item.of): item.argument for item in tangents}
    along = [tuple(table.get((i, x)) for x in of) for i in range(directions)]
    found = []
    for pushed in push(results, of, along):
        for i, (slope, moved) in enumerate(zip(results, pushed, strict=True)):
            if i in orders and moved is not None:
                raise Fault(fractional.order_varied)
            rest = slope if i in orders else broadcast_like(constant(0.0), slope)
            found.append(rest if moved is None else moved)
    return found
