"""When the outcome was decided: the sensitivity of the score to the state, all along a solution."""

from __future__ import annotations

from collections.abc import Sequence

from isocline_compiler.attribution.problem import Problem, Trajectory
from isocline_compiler.attribution.record import Build, Method, Result
from isocline_compiler.graph import Node
from isocline_compiler.ops import OPS


def adjoint_path() -> Build:
    """The sensitivity of the score to the state at each step: a(t_i) = dS/dx(t_i), with the times t_i.

    Of every solve on the way to the output. What a disturbance at t_i would change; it is the adjoint of the equations
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
        Result("path", _stacked(problem.gradients(problem.score, nodes)), f"{trajectory.field}.{state}")
        for state, nodes in trajectory.states.items()
    ]
    return [*found, Result("times", _stacked(trajectory.times), trajectory.field)]


def _stacked(nodes: Sequence[Node]) -> Node:
    """(batch, ...) n times -> (batch, n, ...); numbers without a batch axis -> (n,)."""
    head = nodes[0].shape[:1] if nodes[0].type.batched else ()
    slabs = [OPS["reshape"](node, shape=(*head, 1, *node.type.sample)) for node in nodes]
    return OPS["concat"](*slabs, axis=len(head))


ADJOINT_PATH = Method(adjoint_path, axioms=("implementation invariance",), cost="one gradient")
