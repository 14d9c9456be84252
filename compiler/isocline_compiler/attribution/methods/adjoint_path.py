"""Adjoint sensitivity along a path: when the outcome was decided, by how the score depends on the state over time."""

from __future__ import annotations

from collections.abc import Sequence

from isocline_compiler.attribution.problem import Problem
from isocline_compiler.attribution.record import Build, Method, Result
from isocline_compiler.graph import Node
from isocline_compiler.graph.tensor_type import BATCH, is_batch
from isocline_compiler.ops.indexing import CONCAT
from isocline_compiler.ops.points import SPLIT_POINTS
from isocline_compiler.ops.reduction import REDUCE_SUM
from isocline_compiler.ops.shaping import RESHAPE, TRANSPOSE
from isocline_compiler.solvers.trajectory import Trajectory, points_in


def adjoint_path() -> Build:
    """The sensitivity of the score to the state at each step: a(t_i) = dS/dx(t_i), with the times t_i.

    Of every solve on the way to the output, and of all its paths together where noise gives it several, the noise
    held. What a disturbance at t_i would change; it is the adjoint of the equations
    as they are deployed, step by step. Where a solution is observed along the way, a(t_i) holds what is still to come
    and what is observed at t_i itself.

    Pontryagin et al. (1962), The mathematical theory of optimal processes; Chen, Rubanova, Bettencourt, Duvenaud
    (2018), Neural ordinary differential equations.

    Example: attribute y wrt x by adjoint_path
    """

    def build(problem: Problem) -> tuple[Result, ...]:
        return tuple(item for trajectory in problem.trajectories for item in _along(problem, trajectory))

    return build


def _along(problem: Problem, trajectory: Trajectory) -> list[Result]:
    found = [
        Result("path", _of_paths(_joined(problem.gradients(problem.score, nodes))), f"{trajectory.name}.{state}")
        for state, nodes in trajectory.states.items()
    ]
    return [*found, Result("times", trajectory.times, trajectory.name)]


def _joined(parts: Sequence[Node]) -> Node:
    """Values (batch, *state) and blocks (segments, steps, batch, *state), one after another: (batch, n, *state)."""
    return CONCAT(*map(_with_times, parts), axis=1)


def _of_paths(gradient: Node) -> Node:
    """(paths batch, n, *state) summed over the paths of each sample: (batch, n, *state)."""
    while is_batch(gradient.shape[0]) and gradient.shape[0] != BATCH:
        count = int(str(gradient.shape[0]).partition("*")[0])
        gradient = REDUCE_SUM(SPLIT_POINTS(gradient, count=count), axes=(1,), keepdims=False)
    return gradient


def _with_times(part: Node) -> Node:
    if part.type.batched:
        return RESHAPE(part, shape=(part.shape[0], 1, *part.type.sample))
    flat = RESHAPE(part, shape=(points_in(part), *part.shape[2:]))
    return TRANSPOSE(flat, perm=(1, 0, *range(2, flat.type.rank)))


ADJOINT_PATH = Method(adjoint_path, axioms=("implementation invariance",), cost="one gradient")
