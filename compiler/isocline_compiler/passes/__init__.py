"""The passes, and their order. A pass is a pure function from graph to graph, a file each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from isocline_compiler.graph import Graph
from isocline_compiler.graph.collecting import uncollected
from isocline_compiler.graph.verify import InvalidGraph, verify
from isocline_compiler.passes.bind import bind
from isocline_compiler.passes.defer import defer
from isocline_compiler.passes.fold import fold
from isocline_compiler.passes.freeze import freeze
from isocline_compiler.passes.hoist import hoist
from isocline_compiler.passes.prune import prune
from isocline_compiler.passes.share import share
from isocline_compiler.passes.simplify import simplify
from isocline_compiler.passes.sink import sink
from isocline_compiler.passes.tabulate import tabulate

Pass: TypeAlias = "Callable[[Graph], Graph]"

CLEANING: tuple[Pass, ...] = (
    fold,  # first: what depends on time or weights alone becomes a literal
    simplify,  # needs literals: 0 x, x + 0, 1 x
    defer,  # after simplify, which has removed multiplications by repeated ones; what it takes out folds next round
    share,  # after simplify, else equal terms still differ
    sink,  # after fold, which makes captured values literals; what comes of it is simplified in the next round
    tabulate,  # after sink: a term of literals and of the clock is one term
    hoist,  # after share, so that a term which several equations use leaves the field once
    prune,  # last: everything above leaves captured values that nothing reads
)
"""Changes no meaning, in training or deployment."""

PIPELINE: tuple[Pass, ...] = (
    freeze,  # before all others: the affine form of a normalisation folds
    *CLEANING,
)
"""What a deployed graph goes through."""


@uncollected()
def optimise(graph: Graph, pipeline: Sequence[Pass] = PIPELINE, *, check: bool = False, rounds: int = 4) -> Graph:
    """Run the passes in order, again until none changes anything, `rounds` times at most.

    `check` verifies the graph after each pass; the message names the pass and the one before it. The same object comes
    back when nothing changed.
    """
    before = "the graph as given"
    for _ in range(rounds):
        start = graph
        for step in pipeline:
            graph = step(graph)
            if check:
                _check(graph, step.__name__, before)
            before = step.__name__
        if graph is start:
            break
    return graph


def _check(graph: Graph, name: str, before: str) -> None:
    try:
        verify(graph)
    except InvalidGraph as error:
        raise InvalidGraph(f"after {name} (before it: {before}): {error}") from error


__all__ = [
    "CLEANING",
    "PIPELINE",
    "Pass",
    "bind",
    "defer",
    "fold",
    "freeze",
    "hoist",
    "optimise",
    "prune",
    "share",
    "simplify",
    "sink",
    "tabulate",
]
