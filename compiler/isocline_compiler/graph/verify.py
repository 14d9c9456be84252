"""The invariants of a graph, stated once; run between passes in the tests."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from isocline_compiler.graph import (
    ARGUMENT,
    CONSTANT,
    INPUT,
    WEIGHT,
    Fault,
    Graph,
    Node,
    Region,
    regions_of,
    topological,
)
from isocline_compiler.graph.scan import SCAN, row_of
from isocline_compiler.graph.solve import PICK, SOLVE, Solve, parts
from isocline_compiler.graph.tensor_type import TensorType, broadcast


class InvalidGraph(AssertionError):
    """A graph breaks an invariant: the compiler is at fault, not the file."""


def verify(graph: Graph) -> None:
    """Raise InvalidGraph, naming the invariant and the node, unless all of these hold.

    Input names are distinct, and an input that is used is declared with its type. Each weight's name has one type. The
    types of every node are those that its operation infers. Literals are float64, int64 or bool, and finite. Only
    `pick` reads a node with several results, and one that it has. Nothing but its own arguments, weights and literals
    is free in a region, and a solve's or a scan's region fits its arguments; that of a scan has no free weight, and its
    states keep their types. No argument is free in the graph.
    """
    declared = {node.attrs["name"]: node.type for node in graph.inputs}
    _require(len(declared) == len(graph.inputs), "input names are distinct", graph.name)
    _require(all(node.op is INPUT for node in graph.inputs), "the inputs are inputs", graph.name)
    weights: dict[str, TensorType] = {}
    _verify_nodes(graph.outputs.values(), (), declared, weights)


def _require(holds: bool, invariant: str, where: object) -> None:
    if not holds:
        raise InvalidGraph(f"{invariant}: not so at {where!r}")


def _verify_nodes(
    roots: Iterable[Node], arguments: tuple[Node, ...], inputs: dict[str, TensorType], weights: dict[str, TensorType]
) -> None:
    for node in topological(roots):
        _verify_types(node)
        _verify_leaf(node, arguments, inputs, weights)
        several = [item for item in node.inputs if len(item.types) > 1]
        _require(not several or node.op is PICK, "only `pick` reads a node with several results", node)
        if node.op is PICK:
            source, index = node.inputs[0], node.attrs["index"]
            _require(0 <= index < len(source.types), "a picked result exists", node)
            _require(source.types[index] == node.type, "a picked result has the type stated", node)
        if node.op is SOLVE:
            _verify_solve(node)
        if node.op is SCAN:
            _verify_scan(node)
        for region in regions_of(node):
            _verify_nodes(region.results, region.arguments, {}, weights)


def _verify_types(node: Node) -> None:
    """Re-infer: the rules raise faults on arguments that do not fit."""
    try:
        types = node.op.infer(*(item.type for item in node.inputs), **node.attrs)
    except Fault as fault:
        raise InvalidGraph(f"arguments fit their operation: not so at {node!r}: {fault}") from fault
    _require(
        (types if isinstance(types, tuple) else (types,)) == node.types,
        "the types are those the operation infers",
        node,
    )


def _verify_leaf(
    node: Node, arguments: tuple[Node, ...], inputs: dict[str, TensorType], weights: dict[str, TensorType]
) -> None:
    if node.op is INPUT:
        name = node.attrs["name"]
        _require(inputs.get(name) == node.type, f"input {name} is declared where it is used, with its type", node)
    elif node.op is ARGUMENT:
        _require(node in arguments, f"argument {node.attrs['name']} belongs to the region around it", node)
    elif node.op is WEIGHT:
        known = weights.setdefault(node.attrs["name"], node.type)
        _require(known == node.type, f"weight {node.attrs['name']} has one type", node)
    elif node.op is CONSTANT:
        value = node.attrs["value"]
        _require(value.dtype in (np.float64, np.int64, np.bool_), "literals are float64, int64 or bool", node)
        _require(value.dtype.kind != "f" or bool(np.isfinite(value).all()), "literals are finite", node)


def _verify_solve(node: Node) -> None:
    """The region's arguments are (t, states, captured values, one slice of each row the field reads)."""
    solve = Solve.of(node)
    region, spec = solve.region, solve.spec
    time, *given = [item.type for item in region.arguments]
    _require(time.kind == "real" and time.sample == (), "the time of a field is a number", node)
    _require(given == list(solve.argument_types), "a region's arguments fit the solve's", node)
    _require(len(set(region.arguments)) == len(region.arguments), "a region's arguments are distinct", node)
    names = [state.name for state in spec.states]
    _require(len(set(names)) == len(names), "the states of a solve have names of their own", node)
    places = [place for term in spec.terms for place in term.states]
    results = sum(term.results for term in spec.terms)
    _require(len(region.results) == results, "a region has one result for each state of each term", node)
    for event in spec.events:
        _require(region.results[event.switch].type.sample == (), "a switch is a number", node)
    _require(set(range(len(names))) <= set(places), "every state has a term", node)
    known = {noise.name: noise.size for noise in spec.noises}
    for term, place, at in spec.by_term():
        result, shape = region.results[at].shape, solve.state_arguments[place].shape
        if term.kind != "diffusion":
            _require(broadcast(result, shape) == shape, "a slope has the shape of its state", node)
            continue
        _require(term.noise in known, "a diffusion belongs to a noise of its solve", node)
        wide = (*shape, known[str(term.noise)]) if term.product == "matrix" else shape
        _require(broadcast(result, wide) == wide, "a diffusion has the shape of its state, and of its noise", node)


def _verify_scan(node: Node) -> None:
    """The region's arguments are (states, captured values, one row of each stacked value), in their types."""
    region: Region = node.attrs["region"]
    roles = parts(node)
    expected = [*(x.type for x in (*roles.initial, *roles.captured)), *(row_of(x.type) for x in roles.stacked)]
    _require([item.type for item in region.arguments] == expected, "a region's arguments fit the scan's", node)
    _require(len(set(region.arguments)) == len(region.arguments), "a region's arguments are distinct", node)
    _require(all(x.size(0) == node.attrs["length"] for x in roles.stacked), "a stacked value has its rows", node)
    following = [item.type for item in region.results[: len(roles.initial)]]
    _require(following == [x.type for x in roles.initial], "a state of a scan keeps its type", node)
    free = [item for item in topological(region.results, region.arguments) if item.op is WEIGHT]
    _require(not free, "nothing but literals is free in the body of a scan", node)
