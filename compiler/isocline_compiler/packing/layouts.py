"""Solves whose states are packed into one value: x_1, ..., x_n -> z, x' = f(t, x) -> z' = g(t, z)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from isocline_compiler.graph import ARGUMENT, CONSTANT, Graph, Node, Nodes, Region, at, leaf, substitute, transform
from isocline_compiler.graph.delay import delays_of
from isocline_compiler.graph.fractional import has_order
from isocline_compiler.graph.solve import PICK, SOLVE, Solve, State, choice_of
from isocline_compiler.graph.tensor_type import TensorType
from isocline_compiler.graph.terms import Term
from isocline_compiler.solvers.grid import Discretisation

Choices: TypeAlias = "Mapping[str, Discretisation]"


class Unpackable(Exception):
    """Equations that a layout cannot take."""


@dataclass(frozen=True)
class Layout:
    """How states lie in one value.

    `type(solve)` is the type of that value, `initial(solve)` its start, `slope(solve, z)` its slope, and
    `results(solve, z)` the solve's results from those of the packed one. `fits(solve, choice)` says whether it can be.
    """

    name: str
    fits: Callable[[Solve, Discretisation], bool]
    type: Callable[[Solve], TensorType]
    initial: Callable[[Solve], Node]
    slope: Callable[[Solve, Node], Node]
    results: Callable[[Solve, Node], Nodes]


def packed(graph: Graph, layout: Layout, choices: Choices) -> Graph:
    """solve(x_1, ..., x_n) -> solve(z), wherever the layout fits; the same graph where it does nowhere.

    Solves in regions stay as they are.
    """
    results: dict[Node, Nodes] = {}

    def visit(node: Node, inputs: Nodes) -> Node:
        if node.op is PICK and node.inputs[0] in results:
            index: int = node.attrs["index"]
            return results[node.inputs[0]][index]
        again = node.rebuilt(inputs)
        if node.op is SOLVE and choice_of(node) in choices:
            solve = Solve.of(again)
            with at(node.span):
                found = _packed(solve, layout, choices[choice_of(node)])
            if found is not None:
                results[node] = found
                return found[0]
        return again

    outputs = transform(tuple(graph.outputs.values()), visit)
    return graph.with_outputs(dict(zip(graph.outputs, outputs, strict=True)))


def _packed(solve: Solve, layout: Layout, choice: Discretisation) -> Nodes | None:
    solve = _without_literals(solve)
    if not _plain(solve, choice) or not layout.fits(solve, choice):
        return None
    type_ = layout.type(solve)
    z = leaf(ARGUMENT, "z", type_)
    try:
        slope = layout.slope(solve, z)
    except Unpackable:
        return None
    arguments = solve.region.arguments
    region = Region((arguments[0], z, *arguments[1 + len(solve.initial) :]), (slope,))
    state = State("+".join(item.name for item in solve.spec.states), type_.sample)
    spec = replace(solve.spec, states=(state,), terms=(Term("drift", (0,)),))
    whole = replace(solve, spec=spec, region=region, initial=(layout.initial(solve),)).node()
    return layout.results(solve, whole)


def _plain(solve: Solve, choice: Discretisation) -> bool:
    """Several equations whose scheme does the same to all of them, and nothing else that goes by their states."""
    spec = solve.spec
    special = spec.noises or spec.events or spec.undoes or spec.samples or spec.apart
    return (
        len(spec.states) > 1
        and not special
        and choice.scheme.entrywise
        and not any(state.role in ("measure", "companion") for state in spec.states)
        and all(term.kind in ("drift", "stiff") for term in spec.terms)
        and not has_order(spec)
        and not delays_of(solve)
    )


def _without_literals(solve: Solve) -> Solve:
    """The solve with the literals that it captures inside of its field."""
    pairs = zip(solve.captured_arguments, solve.captured, strict=True)
    known = {argument: value for argument, value in pairs if value.op is CONSTANT}
    if not known:
        return solve
    region = Region(solve.region.arguments, substitute(solve.region.results, known))
    return replace(solve, region=region)
