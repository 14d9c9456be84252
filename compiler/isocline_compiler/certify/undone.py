"""How near a solve that undoes another comes to where that one began, in the precision that is deployed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from isocline_compiler.certify.evaluation import Choices, Evaluator
from isocline_compiler.certify.measures import relative_errors
from isocline_compiler.certify.trials import trial
from isocline_compiler.graph import Array, Graph, Node, Nodes
from isocline_compiler.graph.solve import PICK, SOLVE, Solve, pick, spec_of
from isocline_compiler.ops.indexing import SELECT
from isocline_compiler.ops.points import MERGE_POINTS, SPLIT_POINTS
from isocline_compiler.solvers.points import repeated


def restored(evaluator: Evaluator, choices: Choices) -> dict[str, float]:
    """By the name of the solve that goes back from the other's own end: the largest relative error of a sample,
    over all states together. It is what single precision leaves, and of an implicit adjoint what its iterations do.
    """
    solves = {spec_of(node).name: node for node in evaluator.graph.nodes() if node.op is SOLVE}
    found = {}
    for name, node in solves.items():
        undoes = solves.get(spec_of(node).undoes or "")
        if undoes is not None and _goes_on(Solve.of(node).initial, undoes):
            found[name] = _apart(evaluator, choices, _starts(Solve.of(undoes)), node)
    return found


def _goes_on(initial: Nodes, solve: Node) -> bool:
    """Whether all states begin where the solve ends."""
    ends = [_behind(x) for x in initial]
    return all(x.op is PICK and x.inputs[0] is solve for x in ends)


def _behind(x: Node) -> Node:
    """What a value is taken of: the last of several times, all samples of it side by side."""
    return _behind(x.inputs[0]) if x.op in (SELECT, MERGE_POINTS) else x


def _starts(solve: Solve) -> Nodes:
    """Where its own states begin, with an axis of samples where it has one; other states may be solved beside them."""
    own, samples = (solve.initial[i] for i in solve.spec.own), solve.spec.samples
    if samples is None:
        return tuple(own)
    apart = solve.spec.apart
    return tuple(SPLIT_POINTS(x, count=samples) if apart else repeated(x, samples) for x in own)


def _apart(evaluator: Evaluator, choices: Choices, starts: Nodes, back: Node) -> float:
    outputs = {f"start {i}": x for i, x in enumerate(starts)}
    outputs |= {f"back {i}": pick(back, i) for i in range(len(starts))}
    model = replace(evaluator.model, graph=Graph(evaluator.graph.inputs, outputs, evaluator.graph.name))
    dtype = torch.float64 if model.deployment.dtype == "float64" else torch.float32
    found = trial(Evaluator(model, evaluator.weights, evaluator.samples, evaluator.error), choices, dtype)
    batched = any(x.type.batched for x in starts)
    got, given = (np.concatenate([_rows(found[f"{which} {i}"], batched) for i in range(len(starts))], axis=1)
                  for which in ("back", "start"))  # fmt: skip
    return float(relative_errors(got, given, batched).max())


def _rows(x: Array, batched: bool) -> Array:
    return x.reshape(len(x) if batched else 1, -1)


__all__ = ["restored"]
