"""How stiff a solve is, measured where it starts and where it is kept, and where an implicit method steps along it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor

from isocline_compiler.backends.to_torch import FieldProgram, Run, TorchField, namespace_of
from isocline_compiler.certify.evaluation import Evaluator
from isocline_compiler.certify.multistep import Multistep
from isocline_compiler.certify.reference import LONGEST, LOOSE
from isocline_compiler.certify.spectrum import clock_time, spectra
from isocline_compiler.certify.stiff_reference import AdaptiveImplicit
from isocline_compiler.graph import Array, Graph, Region
from isocline_compiler.graph.delay import delays_of
from isocline_compiler.graph.fractional import has_order
from isocline_compiler.graph.solve import Interval, Solve, pick
from isocline_compiler.solvers.schemes.linear_systems import entries_of
from isocline_dsl.diagnostics import IsoclineError

MOST_ENTRIES, LOOKED_AT = 1024, 8
"""Numbers of the states that are looked at, and samples."""
FEW = 16
"""Samples along which the pace of an implicit method is taken."""
STOPS = 4
"""Times at which the spectrum is looked at, the start and the end among them."""


def stiffness(evaluator: Evaluator, solve: Solve) -> float:
    """The fastest decay of df/dx times the horizon; 0 in loops, where the times come with the input, and where states
    are of two kinds.

    An explicit scheme needs about a third as many steps, however smooth the solution is. Of the median over the places
    that are looked at: what is stiff in passing alone does not count.
    """
    times = solve.spec.interval.times
    batched = [x.type.batched for x in solve.initial]
    if (
        times is None
        or solve.spec.choice in evaluator.looped
        or has_order(solve.spec)  # nor with the orders of a fractional derivative
        or delays_of(solve)  # its decay is no matter of the state now alone
        or (any(batched) and not all(batched))
        or entries_of(solve) > MOST_ENTRIES
    ):
        return 0.0
    implicit, breaks = solve.spec.choice in evaluator.agreed.paces, evaluator.agreed.breaks
    evaluator = Evaluator(evaluator.model, evaluator.weights, evaluator.samples.first(LOOKED_AT), evaluator.error)
    roots = {f"r{i}": x for i, x in enumerate((*solve.initial, *solve.captured, *(v for _, v in solve.field_rows)))}
    stops = np.linspace(0, 1, STOPS)[1:]
    kept = [times[0], *(times[0] + (times[-1] - times[0]) * float(part) for part in stops[:-1]), times[-1]]
    spec = solve.spec.__class__(**{**vars(solve.spec), "interval": Interval(tuple(kept), everywhere=True)})
    node = solve.rebuilt(spec=spec).node()
    roots |= {f"s{i}": pick(node, i) for i in range(len(solve.initial))}
    graph = Graph(evaluator.graph.inputs, roots)
    try:
        loose = AdaptiveImplicit(LOOSE) if implicit else Multistep(LOOSE, LONGEST, breaks)
        found = evaluator.outputs(_stepped(evaluator, graph), loose.integrator)
    except IsoclineError:
        return 0.0
    first, second = len(solve.initial), len(solve.initial) + len(solve.captured)
    values = [torch.from_numpy(np.asarray(found[f"r{i}"])) for i in range(len(roots) - first)]
    field = _field(evaluator, solve, tuple(values[first:second]))
    rates = []
    for i, t in enumerate(kept):
        states = tuple(
            torch.from_numpy(np.asarray(found[f"s{k}"][:, i] if batched[k] else found[f"s{k}"][i]))
            for k in range(first)
        )
        slices = tuple(
            w[row.index(0, 1, len(w))] for (row, _), w in zip(solve.field_rows, values[second:], strict=True)
        )
        slopes = partial(field, clock_time(solve, t), slices=slices)
        rates.append(max(_decay(eigenvalues) for eigenvalues, _ in spectra(slopes, states, batched[0])))
    return float(np.median(rates)) * abs(times[-1] - times[0])


def _stepped(evaluator: Evaluator, graph: Graph) -> Graph:
    from isocline_compiler.passes.prune import prune
    from isocline_compiler.solvers.unroll import unroll

    return prune(unroll(graph, evaluator.stated).graph)


def _field(evaluator: Evaluator, solve: Solve, captured: tuple[Tensor, ...]) -> TorchField:
    region = Region(solve.region.arguments, solve.slopes())
    program = FieldProgram(region, len(solve.initial), len(solve.captured))
    return program.bind(Run(evaluator.bound, namespace_of(evaluator.bound)), captured)


def _decay(eigenvalues: Array) -> float:
    """The largest magnitude among those that decay rather than turn."""
    decaying = eigenvalues[(eigenvalues.real < 0) & (np.abs(eigenvalues.real) >= np.abs(eigenvalues.imag))]
    return float(np.abs(decaying).max()) if decaying.size else 0.0


def pace(evaluator: Evaluator, solve: Solve, told: Callable[[str], None]) -> Array | None:
    """The times to which an implicit method steps along the solutions of some samples; None where it cannot."""
    if solve.spec.interval.times is None or solve.spec.choice in evaluator.looped:
        return None
    known = evaluator.agreed.paces.get(solve.spec.choice)
    if known is not None:
        return known
    told(f"{solve.spec.choice}: where it is fast, by Radau IIA")
    few = Evaluator(evaluator.model, evaluator.weights, evaluator.samples.first(FEW), evaluator.error)
    implicit = AdaptiveImplicit(LOOSE)
    few._solve_by(implicit)
    try:
        few.run({})
    except IsoclineError:
        return None
    return implicit.paces.get(solve.spec.choice)
