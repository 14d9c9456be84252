"""The forms that the steps of a solve may take in a graph, and which of them is taken."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from isocline_compiler.graph import Graph, Node, Nodes, everything, regions_of, topological
from isocline_compiler.graph.scan import SCAN
from isocline_compiler.graph.solve import SOLVE, Solve, spec_of
from isocline_compiler.solvers.delays import recalled
from isocline_compiler.solvers.grid import Discretisation
from isocline_compiler.solvers.trajectory import Trajectory
from isocline_compiler.solvers.unroll.laid_out import laid_out
from isocline_compiler.solvers.unroll.loop import looped
from isocline_compiler.solvers.unroll.segments import Segments
from isocline_compiler.solvers.unroll.time_span import steps_of

Unrolling: TypeAlias = "int | Literal['auto', 'all']"
"""Steps in the body of every loop; `all`: no loops; `auto`: the cheapest form of each solve."""

EVEN = 1_000
"""Operations of a solve at which a loop begins to pay: laid out it loads in some 20 ms and runs as fast as a loop."""
BODY = 60
"""Operations of a body. A large one saves a tenth of the time forwards and loses as much backwards: there it is three
times as large, and leaves the processor's cache.
"""

Steps: TypeAlias = "Callable[[Solve, Discretisation, bool], tuple[Nodes, Trajectory | None] | None]"


@dataclass(frozen=True)
class Form:
    """How the steps of a solve stand in a graph.

    `fits` says whether a solve can take it, `cost` what it is predicted to cost on so many samples, in operations, and
    `steps` emits it, or gives None where the steps turn out to be too few.
    """

    name: str
    fits: Callable[[Solve, Discretisation], bool]
    cost: Callable[[Solve, Discretisation, int], float]
    steps: Steps


def operations(solve: Solve, choice: Discretisation) -> int:
    """Operations of all steps, in the form that the choice names."""
    return steps_of(solve, choice) * (choice.scheme.cost(solve).nodes + recalled(solve, choice))


def _laid_out_cost(solve: Solve, choice: Discretisation, samples: int) -> float:
    """Loading grows with the operations, and so does each of them once the graph leaves the processor's cache."""
    count = operations(solve, replace(choice, segment=None))
    return count * (1 + count / EVEN)


def _loop_cost(solve: Solve, choice: Discretisation, samples: int) -> float:
    """A body stays in the cache; the loop itself costs as much as some operations."""
    return operations(solve, replace(choice, segment=choice.segment or 1)) + EVEN


def _can_loop(solve: Solve, choice: Discretisation) -> bool:
    return Segments.of(solve, replace(choice, segment=choice.segment or 1)).count > 1


LAID_OUT = Form("laid out", lambda solve, choice: True, _laid_out_cost, laid_out)
LOOP = Form("loop", _can_loop, _loop_cost, looped)
FORMS = (LAID_OUT, LOOP)


def form_of(choice: Discretisation) -> Form:
    """The form that a choice names by its segment."""
    return LAID_OUT if choice.segment is None else LOOP


def cheapest(solve: Solve, choice: Discretisation, samples: int = 1) -> Form:
    """The form with the least predicted cost; of equal ones the first."""
    return min((form for form in FORMS if form.fits(solve, choice)), key=lambda form: form.cost(solve, choice, samples))


def with_forms(
    graph: Graph, choices: Mapping[str, Discretisation], unrolling: Unrolling, samples: int = 1
) -> dict[str, Discretisation]:
    """The same schemes and grids by the solves' names, each with the steps that its loop's body holds, or laid out.

    Of a solve and what varies it, which share a choice, the one with the most operations decides.
    """
    largest: dict[str, Solve] = {}
    for solve in solves_of(graph):
        name = solve.spec.choice
        if name in choices and (name not in largest or len(solve.initial) > len(largest[name].initial)):
            largest[name] = solve
    return {name: _with_form(solve, choices[name], unrolling, samples) for name, solve in largest.items()}


def solves_of(graph: Graph) -> list[Solve]:
    """The solves of a graph, those inside regions included, in the order they are computed."""
    return [Solve.of(node) for node in everything(graph.outputs.values()) if node.op is SOLVE]


def times_solved(graph: Graph) -> dict[str, int]:
    """How often the solves of each choice are solved in one run: once for each iteration of the loops around them."""
    found: dict[str, int] = {}

    def count(roots: Iterable[Node], times: int) -> None:
        for node in topological(roots):
            if node.op is SOLVE:
                found[spec_of(node).choice] = found.get(spec_of(node).choice, 0) + times
            length = node.attrs["length"] if node.op is SCAN else 1
            for region in regions_of(node):
                count(region.results, times * (length if isinstance(length, int) else 1))

    count(graph.outputs.values(), 1)
    return found


def _with_form(solve: Solve, choice: Discretisation, unrolling: Unrolling, samples: int) -> Discretisation:
    if unrolling == "all":
        return choice
    if unrolling == "auto":
        if cheapest(solve, choice, samples) is LAID_OUT:
            return choice
        asked = max(BODY // choice.scheme.cost(solve).nodes, 1)
    else:
        asked = unrolling
    segments = Segments.of(solve, replace(choice, segment=asked))
    return replace(choice, segment=segments.steps if segments.count > 1 else None)
