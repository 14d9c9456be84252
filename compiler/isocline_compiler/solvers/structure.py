"""What the equations of a solve show of their structure: which states move which, and which may move in turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from isocline_compiler.derivatives.reverse_forward import dependent
from isocline_compiler.graph import topological
from isocline_compiler.graph.solve import Solve

Side: TypeAlias = Literal["position", "momentum", "integral"]


def reads(solve: Solve) -> tuple[frozenset[int], ...]:
    """For each state the places of the states that its x' depends on."""
    slopes, arguments = solve.slopes(), solve.state_arguments
    return tuple(
        frozenset(i for i, x in enumerate(arguments) if slope in dependent(topological([slope]), [x]))
        for slope in slopes
    )


@dataclass(frozen=True)
class Split:
    """States in two groups that move each other: q' = f(t, p), p' = g(t, q). An integral is read by no state.

    `fault` says in words why there are no such groups; then `sides` are of no use.
    """

    sides: tuple[Side, ...]
    fault: str | None = None

    def places(self, *sides: Side) -> tuple[int, ...]:
        """The places of the states on these sides."""
        return tuple(i for i, side in enumerate(self.sides) if side in sides)


def split(solve: Solve, *, friction: bool = False) -> Split:
    """The groups of states that move in turn; of those that depend on each other the first declared is a position.

    With `friction` a momentum may read momenta as well: p' = g(t, q, p).
    """
    found = reads(solve)
    names = [state.name for state in solve.spec.states]
    return _with_friction(found, names) if friction else _in_two(found, names)


def _in_two(found: Sequence[frozenset[int]], names: Sequence[str]) -> Split:
    count = len(found)
    read = frozenset[int]().union(*found)
    own = next((i for i in range(count) if i in found[i]), None)
    if own is not None:
        return Split((), f"the equation of `{names[own]}` reads `{names[own]}` itself")
    sides: dict[int, Side] = {}
    beside = {i: {j for j in range(count) if j in found[i] or (j in read and i in found[j])} for i in range(count)}
    for first in sorted(read):
        if first in sides:
            continue
        sides[first], waiting = "position", [first]
        while waiting:
            here = waiting.pop()
            other: Side = "momentum" if sides[here] == "position" else "position"
            for there in sorted(beside[here] & read):
                if there not in sides:
                    sides[there] = other
                    waiting.append(there)
                elif sides[there] != other:
                    pair = f"`{names[here]}` and `{names[there]}`"
                    return Split(
                        (), f"its states do not move in turn: {pair} would be in one group, and one reads the other"
                    )
    for i in range(count):
        if i not in sides:
            met = {sides[j] for j in found[i]}
            sides[i] = "integral" if len(met) == 2 else "momentum" if met == {"position"} else "position"
    return Split(tuple(sides[i] for i in range(count)))


def _with_friction(found: Sequence[frozenset[int]], names: Sequence[str]) -> Split:
    sides: list[Side] = []
    for i, read in enumerate(found):
        positions = {j for j, side in enumerate(sides) if side == "position"}
        alone = i not in read and not read & positions and not any(i in found[j] for j in positions)
        sides.append("position" if alone else "momentum")
    if "position" not in sides:
        return Split(
            (), f"every equation reads its own state, as that of `{names[0]}`: none is moved by the others alone"
        )
    return Split(tuple(sides))
