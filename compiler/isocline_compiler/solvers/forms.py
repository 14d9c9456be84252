"""Which solves are laid out step by step, and which become loops with how many steps in their bodies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal, TypeAlias

from isocline_compiler.graph import Node, Region, topological
from isocline_compiler.solvers.grid import Discretisation
from isocline_compiler.solvers.schemes.scheme import Scheme
from isocline_compiler.solvers.unroll.segments import Segments

Unrolling: TypeAlias = "int | Literal['auto', 'all']"
"""Steps in the body of every loop; `all`: no loops; `auto`: loops for solves that are large."""

LAID_OUT = 1_000
"""Operations of a solve that is still laid out: it loads in some 20 ms and runs as fast as a loop would."""
BODY = 60
"""Operations of a body. A large one saves a tenth of the time forwards and loses as much backwards: there it is three
times as large, and leaves the processor's cache.
"""


def with_segments(choices: Mapping[Node, Discretisation], unrolling: Unrolling) -> dict[Node, Discretisation]:
    """The same schemes and grids, each solve laid out or with the number of steps that its loop's body holds."""
    return {node: _with_segment(node, choice, unrolling) for node, choice in choices.items()}


def _with_segment(node: Node, choice: Discretisation, unrolling: Unrolling) -> Discretisation:
    asked = _automatic(node, choice) if unrolling == "auto" else None if unrolling == "all" else unrolling
    if asked is None:
        return choice
    segments = Segments.of(node, replace(choice, segment=asked))
    return replace(choice, segment=segments.steps if segments.count > 1 else None)


def _automatic(node: Node, choice: Discretisation) -> int | None:
    size = step_operations(node, choice.scheme)
    total = size * Segments.of(node, replace(choice, segment=1)).travelled
    return max(BODY // size, 1) if total > LAID_OUT else None


def step_operations(node: Node, scheme: Scheme) -> int:
    """Operations of one step: an estimate, for nothing is simplified yet."""
    region: Region = node.attrs["region"]
    moving = set(region.arguments)
    field = sum(1 for item in topological(region.results) if item.inputs and item not in moving)
    return scheme.evaluations * field + combination_operations(scheme)


def combination_operations(scheme: Scheme) -> int:
    """Multiplications and additions a step that combine slopes, for a scheme with a tableau."""
    rows = [*getattr(scheme, "a", ()), getattr(scheme, "b", ())]
    return sum(2 * sum(1 for item in row if item) for row in rows)
