"""The order that a scheme shows: on equations with known solutions, and on the model itself.

A scheme that says order p divides its error by 2^p when its steps are halved, once they are small enough. What is
measured here are steps as they are emitted, run in float64; solutions are closed forms, and for noise the same Brownian
path is walked on both grids.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from math import inf, isfinite, log2

import numpy as np
import torch

from isocline_compiler.backends.to_torch import TorchProgram
from isocline_compiler.certify.evaluation import Choices, Evaluator
from isocline_compiler.certify.measures import relative_errors
from isocline_compiler.certify.stochastic.paths import coarsened, drawn_path, nodes
from isocline_compiler.certify.trials import trial
from isocline_compiler.graph import INPUT, Array, Graph, everything
from isocline_compiler.graph.delay import delays_of
from isocline_compiler.graph.fractional import has_order
from isocline_compiler.graph.solve import Interval, pick
from isocline_compiler.passes.prune import prune
from isocline_compiler.solvers.grid import Discretisation, Grid, halved
from isocline_compiler.solvers.schemes.problems import OrderProblem
from isocline_compiler.solvers.schemes.scheme import Scheme
from isocline_compiler.solvers.unroll import unroll

PATHS = 4000
"""Brownian paths over which a strong error is averaged."""
NEAR = 0.35
"""How far below the declared order an observed one may lie."""
STEPS = (4, 8, 16, 32, 64, 128)
"""Steps of the grids on which a scheme is tried."""
COARSE, REFINED = 16, 4
"""Steps of the coarser of two grids for noise, and by how much the other is finer."""
ROUNDED = 1e-11
"""Errors below this are made of rounding."""


@dataclass(frozen=True)
class ObservedOrder:
    """The order that a scheme showed on an equation. `observed` is None where rounding or the reference hides it."""

    scheme: str
    on: str
    declared: float
    observed: float | None

    @property
    def differs(self) -> bool:
        return self.observed is not None and not self.observed >= self.declared - NEAR


@cache
def observed_orders(scheme: Scheme) -> tuple[ObservedOrder, ...]:
    """The order of a scheme on each of its problems, in loops: a step is emitted once."""
    return tuple(
        ObservedOrder(scheme.name, problem.name, declared_order(scheme, problem), observed_order(scheme, problem))
        for problem in scheme.problems
    )


def declared_order(scheme: Scheme, problem: OrderProblem) -> float:
    """What the scheme says for the noise of this problem."""
    return scheme.strong_order(problem.solve().spec.kinds)


def observed_order(scheme: Scheme, problem: OrderProblem) -> float | None:
    """log2(e(n) / e(2 n)) over the trajectory, at the finest grids whose error rounding does not hide.

    Of noise it is the strong order, on the same Brownian paths. None where even the coarsest grids are exact.
    """
    if problem.diffusion is not None:
        return _strong_order(scheme, problem)
    found, before = None, trajectory_error(scheme, problem, STEPS[0])
    for steps in STEPS[1:]:
        after = trajectory_error(scheme, problem, steps)
        if after < ROUNDED:
            break
        found = log2(before / after) if isfinite(before) and isfinite(after) else -inf
        before = after
    return found


def _strong_order(scheme: Scheme, problem: OrderProblem) -> float:
    steps = COARSE * REFINED
    (noise,) = problem.solve().spec.noises
    widths = np.full(steps, problem.end / steps)
    fine = drawn_path(noise, (PATHS, 1, steps), widths, scheme.normals == 2, np.random.default_rng(0))
    coarse = trajectory_error(scheme, problem, COARSE, coarsened(fine, noise, REFINED))
    return log2(coarse / trajectory_error(scheme, problem, steps, fine)) / log2(REFINED)


def trajectory_error(
    scheme: Scheme, problem: OrderProblem, steps: int, normals: Array | None = None, segment: int = 1
) -> float:
    """The root mean square error over the trajectory, where at one point the leading terms may cancel.

    `normals`, (paths, 1, steps, channels), drive the steps; the closed form is taken on the path that they make.
    """
    end = problem.end
    times = (*(end * i / steps for i in range(steps)), end)
    solve = problem.solve()
    solve = solve.rebuilt(spec=replace(solve.spec, interval=Interval(times, everywhere=True)))
    node = solve.node()
    inputs = tuple(item for item in solve.initial if item.op is INPUT)
    graph = Graph(inputs, {name: pick(node, i) for i, name in enumerate(problem.states)})
    choice = Discretisation(scheme, Grid(times, tuple(range(steps + 1))), segment)
    stepped = prune(unroll(graph, {solve.spec.name: choice}).graph)
    paths = 1 if normals is None else len(normals)
    bound = {name: torch.tensor(array) for name, array in problem.start(paths).items()}
    brownian = None
    if normals is not None:
        (noise,) = solve.spec.noises
        brownian = nodes(normals, noise, np.diff(times))[:, 0].transpose(2, 0, 1)
        bound[noise.input] = torch.tensor(normals)
    with torch.no_grad():
        found = TorchProgram(stepped)(bound)
    exact = problem.exact(np.array(times), brownian)
    differences = [found[name].numpy() - x for name, x in zip(problem.states, exact, strict=True)]
    return float(np.sqrt(np.mean([np.mean(item**2) for item in differences])))


# ---------------------------------------------------------------------------------------------------- on the model

RISING = 8
"""How often the steps of a model are halved while what shows still rises."""
FIRST = 64
"""Samples on which the order of a model is measured."""
KINKED = 2
"""The order of any scheme across a jump of the second derivative within a step."""
HIDDEN = 1e-11
"""Changes below this are made of rounding, and say nothing about a grid."""


def model_order(evaluator: Evaluator, choices: Choices) -> tuple[ObservedOrder, ...]:
    """log2 of the factor by which the change of the outputs shrinks when all steps are halved once more.

    The steps are halved until the order shows, or until rounding hides it: then nothing is said. Steps as long as the
    stated error allows may be far from where the order rules, and what shows rises as they are halved. No reference has
    a part in it, so that one which is wrong is not taken for a scheme that is. Where the field has corners (a
    comparison, a rectifier) no order is expected beyond the first, and beyond the second where each sample has delays
    of its own: its second derivative jumps within a step.
    """
    few = Evaluator(evaluator.model, evaluator.weights, evaluator.samples.first(FIRST), evaluator.error, evaluator.by)
    own = {solve.spec.choice: choices[solve.spec.choice] for solve in evaluator.open}
    declared = min(choice.scheme.order for choice in own.values())
    late = any(item.type.batched for solve in evaluator.open for node in delays_of(solve) for item in node.inputs[1:2])
    smooth = min(declared, KINKED) if late else declared
    begun = any(has_order(solve.spec) for solve in evaluator.open)  # like t^a, whatever the scheme
    expected = min(declared, 1) if begun or _has_corners(evaluator.graph) else smooth
    names = "+".join(dict.fromkeys(choice.scheme.name for choice in own.values()))
    patience = max(choice.scheme.halvings for choice in own.values())
    outputs, before, found = trial(few, own), None, None
    for count in range(1, RISING + 1):
        own = {name: halved(choice) for name, choice in own.items()}
        finer = trial(few, own)
        after = _change(evaluator.graph, outputs, finer)
        if not isfinite(after) or after <= HIDDEN:
            break
        if before is not None:
            earlier, found = found, log2(before / after)
            if found >= expected - NEAR:
                break
            rises = earlier is not None and found > earlier and count < RISING
            if count >= patience and not rises:
                return (ObservedOrder(names, "the model", expected, found),)
        outputs, before = finer, after
    shown = found if found is not None and found >= expected - NEAR else None
    return (ObservedOrder(names, "the model", expected, shown),)


def _change(graph: Graph, coarse: Mapping[str, Array], fine: Mapping[str, Array]) -> float:
    """The largest relative change over outputs: of each sample, then their root mean square."""
    real = [name for name in fine if fine[name].dtype.kind == "f"]
    changes = [relative_errors(coarse[name], fine[name], graph.outputs[name].type.batched) for name in real]
    return max((float(np.sqrt(np.mean(item**2))) for item in changes), default=0.0)


def _has_corners(graph: Graph) -> bool:
    """Whether an operation of the graph, or of a field, is not smooth."""
    return not all(node.op.smooth for node in everything(graph.outputs.values()))
