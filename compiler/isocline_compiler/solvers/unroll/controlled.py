"""What control paths add to a solve that is unrolled: the rows of their tables, looked up for all steps at once.

Where every knot is a node of the grid, a step stays on one piece of the path, that at its middle: its rows are looked
up before the first step, and a stage at the very end of a step does not meet the next piece. Elsewhere each stage looks
up its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from isocline_compiler.graph import ARGUMENT, Array, Node, Region, constant, leaf, substitute, topological, value_of
from isocline_compiler.graph.solve import Row, Solve
from isocline_compiler.ops.indexing import SLICE
from isocline_compiler.ops.lookup import LOOKUP
from isocline_compiler.ops.shaping import RESHAPE, TRANSPOSE
from isocline_compiler.solvers.grid import Discretisation, Grid

NEAR = 1e-9
"""A knot is a node of the grid where they differ by no more, relative to the times."""


def lookups_of_steps(solve: Solve, choice: Discretisation) -> tuple[int, ...]:
    """The lookups of the field, by their places among them, at its own time and with all knots on nodes of the grid."""
    held = dict(zip(solve.captured_arguments, solve.captured, strict=True))
    moving = {solve.time, *solve.state_arguments, *solve.row_arguments}
    lookups = [node for node in topological(solve.region.results) if node.op is LOOKUP]
    return tuple(
        place
        for place, node in enumerate(lookups)
        if node.inputs[2] is solve.time
        and moving.isdisjoint(topological(node.inputs[:2]))
        and _on_nodes(node.inputs[1], held.get(node.inputs[1]), solve, choice)
    )


def _on_nodes(knots: Node, held: Node | None, solve: Solve, choice: Discretisation) -> bool:
    if not isinstance(choice.grid, Grid):
        return held is not None and held is solve.times
    known = value_of(knots)
    if known is None:
        return False
    times = np.array(choice.grid.times)
    low, high = times.min(), times.max()
    inside = known[(known > low) & (known < high)]
    near = NEAR * max(abs(low), abs(high))
    return all(float(np.abs(times - knot).min()) <= near for knot in inside)


def with_rows_of_controls(solve: Solve, choice: Discretisation, places: Sequence[int]) -> Solve:
    """The solve with a row for each of its lookups, numbered in `places`, in their place."""
    if not places:
        return solve
    lookups = [node for node in topological(solve.region.results) if node.op is LOOKUP]
    chosen = [lookups[place] for place in places]
    held = dict(zip(solve.captured_arguments, solve.captured, strict=True))
    middles = middle_times(solve, choice)
    fresh: dict[Node, Node] = {}
    stacked = []
    for number, node in enumerate(chosen):
        table, knots = substitute(node.inputs[:2], held)
        rows = LOOKUP(table, knots, middles, **{**node.attrs, "listed": True})
        lead = int(rows.type.batched)
        stacked.append(TRANSPOSE(rows, perm=(lead, *range(lead), *range(lead + 1, rows.type.rank))))
        fresh[node] = leaf(ARGUMENT, f"piece{number}", node.type)
    region = Region(solve.region.arguments, substitute(solve.region.results, fresh))
    names = [Row(f"piece{number}", "control", "each") for number in range(len(chosen))]
    return solve.rebuilt(region=region).with_rows(names, stacked, list(fresh.values()))


def middle_times(solve: Solve, choice: Discretisation) -> Node:
    """The middle of each step: (n,), or with times that come with the input (batch, n)."""
    if isinstance(choice.grid, Grid):
        times: Array = np.array(choice.grid.times)
        return constant((times[1:] + times[:-1]) / 2)
    x, substeps = solve.times, choice.grid
    assert x is not None, "a number of substeps is a discretisation for times that come with the input"
    axis, count = x.type.rank - 1, int(x.size(-1))
    here, there = (
        RESHAPE(SLICE(x, axis=axis, start=i, stop=count - 1 + i), shape=(*x.shape[:-1], count - 1, 1)) for i in (0, 1)
    )
    parts = constant((np.arange(substeps) + 0.5) / substeps)
    return RESHAPE(here + (there - here) * parts, shape=(*x.shape[:-1], (count - 1) * substeps))
