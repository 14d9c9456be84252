"""Tabulation: what a loop computes from the clock alone -> a table, computed in float64 while compiling."""

from __future__ import annotations

from math import prod

import numpy as np

from isocline_compiler.graph import (
    ARGUMENT,
    Array,
    Graph,
    Node,
    Region,
    constant,
    leaf,
    substitute,
    topological,
    value_of,
)
from isocline_compiler.graph.invariant import frontier
from isocline_compiler.graph.scan import SCAN
from isocline_compiler.graph.solve import parts
from isocline_compiler.passes.prune import without_unread
from isocline_compiler.passes.rewrite import rewrite, with_attrs

LARGEST = 1 << 22
"""Entries of the tables of one loop: a few of them for each step of a million."""


def tabulate(graph: Graph) -> Graph:
    """A term of a scan's body that depends on rows of literals alone -> a row of a table of its values.

    Laid out, such terms are literals of their steps. Here too they are computed in float64 and rounded once, so that
    cos(w t) is as exact at the end of a long solve as at its start.
    """
    return rewrite(graph, _tabulated)


def _tabulated(node: Node, inputs: tuple[Node, ...]) -> Node:
    node = node.rebuilt(inputs)
    if node.op is not SCAN or not isinstance(node.attrs["length"], int):
        return node  # a table has a row for each of so many iterations
    region: Region = node.attrs["region"]
    first = len(node.inputs) - len(parts(node).stacked)
    pairs = zip(region.arguments[first:], node.inputs[first:], strict=True)
    known = {argument: value for argument, item in pairs if (value := value_of(item)) is not None}
    moving = [argument for argument in region.arguments if argument not in known]
    terms = [item for item in frontier(region.results, moving) if item.inputs and _fits(item, node)]
    tables = _tables([item for item in terms if not known.keys().isdisjoint(topological([item]))], known)
    if not tables:
        return node
    fresh = {term: leaf(ARGUMENT, f"t{len(region.arguments) + i}", term.type) for i, term in enumerate(tables)}
    changed = Region((*region.arguments, *fresh.values()), substitute(region.results, fresh))
    stacked = node.attrs["stacked"] + len(fresh)
    return without_unread(with_attrs(node, (*node.inputs, *tables.values()), region=changed, stacked=stacked))


def _fits(term: Node, node: Node) -> bool:
    sizes = [size for size in term.shape if isinstance(size, int)]
    if len(sizes) < len(term.shape) or prod(sizes) * int(node.attrs["length"]) > LARGEST:
        return False
    return all(item.op.training is None for item in topological([term]))


def _tables(terms: list[Node], known: dict[Node, Array]) -> dict[Node, Node]:
    """The values of each term, a row an iteration; only of terms that are finite in all of them."""
    from isocline_compiler.ops.evaluation import applied_by_row  # torch is loaded when something folds, not before

    if not terms:
        return {}
    try:
        values = applied_by_row(terms, known)
    except RuntimeError:
        return {}  # computed where the model is run, as exactly as that can
    pairs = zip(terms, values, strict=True)
    return {term: constant(rows) for term, rows in pairs if rows.dtype.kind != "f" or bool(np.isfinite(rows).all())}
