"""Paths of a sample as a larger batch: solves with samples, side by side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from isocline_compiler.graph import INPUT, Graph, Node, Nodes, topological, transform
from isocline_compiler.graph.solve import PICK, SOLVE, Solve, SolveSpec, pick, spec_of
from isocline_compiler.ops.points import MERGE_POINTS, SPLIT_POINTS
from isocline_compiler.ops.shaping import SPREAD
from isocline_compiler.solvers.points import enlarged, repeated


def with_samples(solve: Solve, count: int) -> Solve:
    """The solve of a batch that holds `count` copies of each sample side by side; starts that are apart are there."""

    def many(x: Node) -> Node:
        return MERGE_POINTS(repeated(x, count)) if x.type.batched else x

    return solve.rebuilt(
        region=enlarged(solve.region, count),
        initial=solve.initial if solve.spec.apart else tuple(map(many, solve.initial)),
        captured=tuple(map(many, solve.captured)),
        times=None if solve.times is None else many(solve.times),
    )


def split(results: Nodes, samples: int | None) -> Nodes:
    """The results of a solve with their axis of samples: (batch samples, ...) -> (batch, samples, ...)."""
    return results if samples is None else tuple(SPLIT_POINTS(x, count=samples) for x in results)


def of_points(graph: Graph) -> Graph:
    """solve without noise from the samples of another -> solve of a larger batch, its results split again."""
    return side_by_side(graph, lambda spec: spec.apart and not spec.noises)


def side_by_side(graph: Graph, wanted: Callable[[SolveSpec], bool] = lambda spec: True) -> Graph:
    """solve with samples -> solve of a larger batch, its results split again: for a solver that is not ours.

    Starts of solves with noise get their batch axis. The same graph comes back when there is none.
    """
    roots = tuple(graph.outputs.values())
    batched = next((x for x in topological(roots) if x.op is INPUT and x.type.batched), None)
    done: dict[Node, tuple[Node, int | None]] = {}

    def visit(node: Node, inputs: tuple[Node, ...]) -> Node:
        if node.op is PICK and node.inputs[0] in done:
            larger, count = done[node.inputs[0]]
            return split((pick(larger, node.attrs["index"]),), count)[0]
        again = node.rebuilt(inputs)
        if node.op is not SOLVE or not wanted(spec_of(node)) or not (spec_of(node).noises or spec_of(node).apart):
            return again
        solve, count = Solve.of(again), spec_of(node).samples
        like = next((x for x in (*solve.initial, *solve.captured) if x.type.batched), batched)
        assert like is not None, "noise that drives no sample"
        solve = solve.rebuilt(initial=tuple(x if x.type.batched else SPREAD(x, like) for x in solve.initial))
        if count is not None:
            solve = with_samples(solve, count)
            solve = solve.rebuilt(spec=replace(solve.spec, samples=None, apart=False))
        done[node] = solve.node(), count
        return done[node][0]

    outputs = transform(roots, visit)
    return graph.with_outputs(dict(zip(graph.outputs, outputs, strict=True))) if done else graph
