"""The grids of solves that name their scheme and its steps."""

from __future__ import annotations

from isocline_compiler.certify.evaluation import scheme_steps
from isocline_compiler.graph import Graph
from isocline_compiler.solvers.grid import Discretisation
from isocline_compiler.solvers.unroll.forms import solves_of


def stated(graph: Graph) -> dict[str, Discretisation]:
    """By the choice of each solve, as the file has it."""
    found = {}
    for solve in solves_of(graph):
        assert solve.spec.scheme is not None, f"`{solve.spec.name}` names no scheme"
        found[solve.spec.choice] = scheme_steps(solve, solve.spec.scheme)
    return found
