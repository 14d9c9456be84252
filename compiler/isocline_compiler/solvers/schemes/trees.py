"""Rooted trees and their order conditions. Butcher (1963); Hairer, Norsett, Wanner (1993), II.2."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from math import prod
from typing import TypeAlias

import numpy as np

from isocline_compiler.graph import Array

Tree: TypeAlias = "tuple[Tree, ...]"
"""A rooted tree is the sorted tuple of the trees that hang from its root; `()` is the single vertex."""


def vertices(tree: Tree) -> int:
    """The order r(tree)."""
    return 1 + sum(map(vertices, tree))


def density(tree: Tree) -> int:
    r"""gamma(tree) = r(tree) prod_i gamma(tree_i): the exact solution contributes 1 / gamma."""
    return vertices(tree) * prod(map(density, tree))


@lru_cache(maxsize=16)
def trees(order: int) -> tuple[Tree, ...]:
    """All rooted trees with `order` vertices: 1, 1, 2, 4, 9, 20, 48, 115 for orders 1 to 8."""
    return tuple(_forests(order - 1, order - 1))


def _forests(total: int, largest: int) -> Iterator[Tree]:
    """Multisets of trees with `total` vertices, none larger than `largest`, as sorted tuples, each once."""
    if total == 0:
        yield ()
        return
    for size in range(min(total, largest), 0, -1):
        for copies in range(1, total // size + 1):
            for chosen in _multisets(trees(size), copies):
                for rest in _forests(total - copies * size, size - 1):
                    yield (*chosen, *rest)


def _multisets(items: Sequence[Tree], count: int) -> Iterator[Tree]:
    """Choices of `count` items, repetition allowed, order ignored."""
    if count == 0:
        yield ()
        return
    for place, item in enumerate(items):
        for rest in _multisets(items[place:], count - 1):
            yield (item, *rest)


def show(tree: Tree) -> str:
    """Butcher's bracket notation: `.` is the vertex, `[..]` a root with two leaves."""
    return "[" + "".join(map(show, tree)) + "]" if tree else "."


def elementary_weights(a: Array, order: int) -> Iterator[tuple[Tree, Array]]:
    r"""Each tree with at most `order` vertices, and the vector prod_i (A Phi(tree_i)) over the stages."""
    known: dict[Tree, Array] = {}
    for size in range(1, order + 1):
        for tree in trees(size):
            known[tree] = np.prod([a @ known[child] for child in tree], axis=0) * np.ones(len(a))
            yield tree, known[tree]


def failed_condition(a: Array, b: Array, order: int, tolerance: float = 1e-12) -> str | None:
    r"""The first order condition sum_i b_i Phi_i(tree) = 1 / gamma(tree) that does not hold, in words; None
    when all do.
    """
    for tree, weight in elementary_weights(a, order):
        found, expected = float(b @ weight), 1 / density(tree)
        if abs(found - expected) > tolerance:
            condition = f"order {vertices(tree)} condition of the tree {show(tree)}"
            return f"{condition}: {found!r} instead of 1/{density(tree)}"
    return None


def failed_partitioned_condition(
    a: Array, weights: Array, b: Array, moment_weights: Array, order: int, tolerance: float = 1e-12
) -> str | None:
    r"""The first order condition that does not hold of a partitioned scheme for q' = f(p), p' = g(q), in words.

    The slopes of one group read the other alone, so the colours of a tree's vertices alternate, and the colour of the
    root decides: Phi_q(tree) = prod_i B Phi_p(tree_i), Phi_p(tree) = prod_i A Phi_q(tree_i). Hairer, Lubich, Wanner
    (2006), III.2.
    """
    known: dict[tuple[str, Tree], Array] = {}
    for size in range(1, order + 1):
        for tree in trees(size):
            for root, below, matrix in (("q", "p", b), ("p", "q", a)):
                parts = [matrix @ known[below, child] for child in tree]
                known[root, tree] = np.prod(parts, axis=0) * np.ones(len(a))
            for root, chosen in (("q", weights), ("p", moment_weights)):
                found, expected = float(chosen @ known[root, tree]), 1 / density(tree)
                if abs(found - expected) > tolerance:
                    condition = f"order {size} condition of the tree {show(tree)} with the root {root}"
                    return f"{condition}: {found!r} instead of 1/{density(tree)}"
    return None
