"""Estimates of stiffness from the stages of the steps: where they are small, explicit schemes are stable."""

from __future__ import annotations

from isocline_compiler.graph import Node, Nodes, constant
from isocline_compiler.ops.comparison import GREATER, WHERE
from isocline_compiler.solvers.field import Field
from isocline_compiler.solvers.schemes.scheme import Scheme
from isocline_compiler.solvers.schemes.step import Step
from isocline_compiler.solvers.schemes.tableau import Tableau, combined, runge_kutta_slopes
from isocline_compiler.vocabulary.functions.kinds import SolutionName
from isocline_compiler.vocabulary.regularizers.path_integral import length, square
from isocline_compiler.vocabulary.regularizers.record import LossTerm, Regularizer
from isocline_compiler.vocabulary.regularizers.step_measure import over_steps, own


def stiffness(solution: SolutionName) -> LossTerm:
    r"""The sum over the steps of a solution of |k_j - k_i|/|g_j - g_i|, i and j two stages at the same time.

    k = f(t, g) are the slopes and g the states of the last two stages with one c: an estimate of the largest eigenvalue
    of df/dx, found by no further evaluation. Where both stages are at the same state it counts as 0. |.| is the
    Euclidean length over all states of a sample. It is of schemes with two such stages, and of steps of our own:
    `solver dopri5(steps=20)` in `train`, or `with` behind the solve.

    Example: 1e-3 * stiffness(populations)

    Shampine (1977), SIAM J. Numer. Anal. 14, 1045-1053; Hairer, Wanner (1996), IV.2; Pal, Ma, Shah, Rackauckas (2021):
    R_S.
    """
    return over_steps("stiffness", solution, ratio, "two stages at the same time", lambda x: twins(x) is not None)


def twins(scheme: Scheme) -> tuple[int, int] | None:
    """The last two stages at the same time of a step."""
    if not isinstance(scheme, Tableau):
        return None
    pairs = [(i, j) for j in range(scheme.stages) for i in range(j) if scheme.nodes[i] == scheme.nodes[j]]
    return pairs[-1] if pairs else None


def ratio(scheme: Scheme, field: Field, step: Step, before: Nodes, after: Nodes) -> Node:
    """|k_j - k_i|/|g_j - g_i| of one step: the stages apart by h sum_l (a_jl - a_il) k_l."""
    pair = twins(scheme)
    assert isinstance(scheme, Tableau)
    assert pair is not None
    i, j = pair
    slopes = runge_kutta_slopes(scheme, field, step, before, range(scheme.stages))
    row = tuple(float(x) for x in scheme.matrix[j] - scheme.matrix[i])
    stages = square("stiffness", own(field, combined(step.widths, row, slopes)))
    moved = square("stiffness", own(field, tuple(b - a for a, b in zip(slopes[i], slopes[j], strict=True))))
    apart = GREATER(stages, 0.0)
    return WHERE(apart, length(moved) / WHERE(apart, length(stages), constant(1.0)), constant(0.0))


STIFFNESS = Regularizer(stiffness)
