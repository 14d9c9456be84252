"""What the tests of solves stand on: a solve node from its parts, and choices made by looking at each solve."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from isocline_compiler.graph import Graph, Node, Region, everything, here
from isocline_compiler.graph.called import Called
from isocline_compiler.graph.solve import SOLVE, Interval, Row, Solve, SolveSpec, State
from isocline_compiler.solvers.grid import Discretisation
from isocline_compiler.solvers.unroll import unroll


def solve_node(
    region: Region,
    initial: Sequence[Node],
    interval: Interval,
    *,
    captured: Sequence[Node] = (),
    stacked: Sequence[Node] = (),
    times: Node | None = None,
    scheme: Called | None = None,
    field: str = "f",
    name: str = "path",
) -> Node:
    """A solve whose states have the names of the region's arguments."""
    states = tuple(
        State(str(argument.attrs["name"]), value.type.sample)
        for argument, value in zip(region.arguments[1:], initial, strict=False)
    )
    rows = tuple(Row(f"row{i}") for i in range(len(stacked)))
    spec = SolveSpec(name, field, states, interval, scheme, rows=rows)
    return Solve(spec, region, tuple(initial), tuple(captured), tuple(stacked), times, here()).node()


def unrolled(graph: Graph, choose: Callable[[Solve], Discretisation | None]) -> Graph:
    """The graph with every solve on the grid that `choose` gives it, or left where it gives none."""
    solves = [Solve.of(node) for node in everything(graph.outputs.values()) if node.op is SOLVE]
    choices = {solve.spec.choice: choose(solve) for solve in solves}
    return unroll(graph, {name: choice for name, choice in choices.items() if choice is not None}).graph
