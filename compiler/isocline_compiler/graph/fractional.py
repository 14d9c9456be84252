"""The fractional orders of a solve's equations: results of its region, one for each Caputo derivative."""

from __future__ import annotations

from isocline_compiler.graph import Node, value_of
from isocline_compiler.graph.solve import Solve, SolveSpec, spec_of


def orders_of(solve: Solve) -> dict[int, Node]:
    """The order of each equation of fractional order, by the place of its state."""
    found = solve.spec.results("order")
    return {place: solve.region.results[results[0]] for place, results in found.items()}


def order_results(spec: SolveSpec) -> frozenset[int]:
    """Which results of the region are orders."""
    return frozenset(result for results in spec.results("order").values() for result in results)


def has_order(spec: SolveSpec) -> bool:
    """Whether an equation is of fractional order: then the solve remembers all that was since its start."""
    return any(term.kind == "order" for term in spec.terms)


def is_fractional(solve: Node) -> bool:
    """The same of a solve node."""
    return has_order(spec_of(solve))


def known_order(order: Node) -> float | None:
    """The order where it is a number by now."""
    value = value_of(order)
    return None if value is None else float(value)


__all__ = ["has_order", "is_fractional", "known_order", "order_results", "orders_of"]
