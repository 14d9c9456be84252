"""Dead code elimination: what nothing reads -> nothing."""

from __future__ import annotations

from collections.abc import Mapping

from isocline_compiler.graph import Graph, Node, Region, at, everything, topological, transform
from isocline_compiler.graph.scan import SCAN
from isocline_compiler.graph.solve import PICK, SOLVE, Solve, parts, pick
from isocline_compiler.passes.rewrite import rewrite, with_attrs


def prune(graph: Graph) -> Graph:
    """solve(x, ...) -> the same without the captured values and stacked weights that its field does not read; a scan
    besides without the results that nothing reads, and the states that matter to no result.

    Nothing else can be dead: a graph is what its outputs reach.
    """
    return _without_unread_results(rewrite(graph, _pruned))


def _pruned(node: Node, inputs: tuple[Node, ...]) -> Node:
    node = node.rebuilt(inputs)
    return without_unread(node) if node.op in (SOLVE, SCAN) else node


def without_unread(node: Node) -> Node:
    """A solve or a scan whose captured and stacked values are all read by its region."""
    region: Region = node.attrs["region"]
    read = set(topological(region.results))
    if node.op is SOLVE:
        solve = Solve.of(node)
        reduced = solve.reading(read)
        return node if reduced is solve else reduced.node()
    roles = parts(node)
    first, second = len(roles.initial), len(roles.initial) + len(roles.captured)
    captured = _read(region.arguments[first:second], roles.captured, read)
    stacked = _read(region.arguments[second:], roles.stacked, read)
    if not isinstance(node.attrs["length"], int) and not stacked:  # rows that count the iterations
        stacked = [(region.arguments[second], roles.stacked[0])]
    if len(captured) == len(roles.captured) and len(stacked) == len(roles.stacked):
        return node
    arguments = (*region.arguments[:first], *(a for a, _ in captured), *(a for a, _ in stacked))
    inputs = (*roles.initial, *(v for _, v in captured), *(v for _, v in stacked))
    changed = Region(arguments, region.results)
    return with_attrs(node, inputs, region=changed, captured=len(captured), stacked=len(stacked))


def _read(arguments: tuple[Node, ...], values: tuple[Node, ...], read: set[Node]) -> list[tuple[Node, Node]]:
    """The arguments that are read, each with its value."""
    return [(a, v) for a, v in zip(arguments, values, strict=True) if a in read]


# ---------------------------------------------------------------------------------------------------- results of scans


def _without_unread_results(graph: Graph) -> Graph:
    """The graph with every scan reduced to the results that are read, and to what these need."""
    read: dict[Node, set[int]] = {}
    for node in everything(graph.outputs.values()):
        if node.op is PICK and node.inputs[0].op is SCAN:
            read.setdefault(node.inputs[0], set()).add(node.attrs["index"])
    kept = {node: _needed(node, indices) for node, indices in read.items()}
    if all(len(indices) == len(node.types) for node, indices in kept.items()):
        return graph
    outputs = transform(tuple(graph.outputs.values()), lambda node, inputs: _reduced(node, inputs, kept))
    return graph.with_outputs(dict(zip(graph.outputs, outputs, strict=True)))


def _needed(node: Node, read: set[int]) -> tuple[int, ...]:
    """The results that are read, and the states that these depend on."""
    region: Region = node.attrs["region"]
    states = region.arguments[: node.attrs["states"]]
    needed, seen = set(read), -1
    while len(needed) != seen:
        seen = len(needed)
        reached = set(topological([region.results[i] for i in sorted(needed)]))
        needed |= {i for i, state in enumerate(states) if state in reached}
    return tuple(sorted(needed))


def _reduced(node: Node, inputs: tuple[Node, ...], kept: Mapping[Node, tuple[int, ...]]) -> Node:
    if node.op is PICK and node.inputs[0] in kept:
        with at(node.span):
            return pick(inputs[0], kept[node.inputs[0]].index(node.attrs["index"]))
    if node not in kept or len(kept[node]) == len(node.types):
        return node.rebuilt(inputs)
    region: Region = node.attrs["region"]
    states = node.attrs["states"]
    alive = [i for i in kept[node] if i < states]
    changed = Region(
        (*(region.arguments[i] for i in alive), *region.arguments[states:]),
        tuple(region.results[i] for i in kept[node]),
    )
    return without_unread(
        with_attrs(node, (*(inputs[i] for i in alive), *inputs[states:]), region=changed, states=len(alive))
    )
