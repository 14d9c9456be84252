"""Scores of an ensemble: losses that are least, in the mean, where its members are drawn from the true distribution.

An ensemble has its members on the first axis of a sample, as `solve ... samples m` gives them. `fair=true` leaves out
the pairs of a member with itself: then the mean of a score is that of infinitely many members (Ferro 2014).
"""

from __future__ import annotations

import numpy as np

from isocline_compiler.graph import Fault, Node, constant
from isocline_compiler.graph.tensor_type import describe
from isocline_compiler.ops.comparison import GREATER, WHERE
from isocline_compiler.ops.elementwise import ABS, EXP, SQRT, SQUARE
from isocline_compiler.ops.ordering import SORT
from isocline_compiler.vocabulary.functions.broadcasting import as_real, insert_axis, known_size, offset
from isocline_compiler.vocabulary.functions.kinds import Bandwidths, Flag, Value, listed
from isocline_compiler.vocabulary.functions.record import functions
from isocline_compiler.vocabulary.functions.reductions import average, reduce
from isocline_compiler.vocabulary.functions.scope import Scope
from isocline_dsl.messages import calls


def crps(ensemble: Value, y: Value, fair: Flag = False, *, scope: Scope) -> Node:
    """The continuous ranked probability score of an ensemble, the mean over the entries of y.

    mean_i |x_i - y| - sum_ij |x_i - x_j|/(2 m^2) of m members: the integral of (F - 1(y <= .))^2 of their distribution
    function F. The pairs are summed in order, sum_ij |x_i - x_j| = 2 sum_k (2k - m - 1) x_(k), in O(m log m). `fair`
    divides by m (m - 1) in place of m^2.

    Example: crps(m, y)

    Gneiting, Raftery (2007), section 4.2.
    """
    count = _members("crps", ensemble, fair)
    _check_observed("crps", ensemble, y)
    error = _from_observed(ensemble, y)
    at = offset(error)
    rank = (2.0 * np.arange(count) - (count - 1)) / (count * (count - 1 if fair else count))
    weights = constant(rank.reshape(-1, *(1,) * (error.type.rank - at - 1)))
    # the ranks add up to 0, so that the errors in order have the spread of the members; and less of it cancels
    spread = reduce("reduce_sum", SORT(error, axis=at) * weights, (at,))
    return average(reduce("reduce_mean", ABS(error), (at,)) - spread, scope)


def energy_score(ensemble: Value, y: Value, fair: Flag = False, *, scope: Scope) -> Node:
    """The energy score of an ensemble of vectors: `crps` with the Euclidean norm over all entries of y.

    mean_i |x_i - y| - sum_ij |x_i - x_j|/(2 m^2) of m members, in O(m^2) differences. `fair` divides by m (m - 1) in
    place of m^2. Coinciding members have the derivative 0.

    Example: energy_score(m, y)

    Gneiting, Raftery (2007), section 4.3.
    """
    count = _members("energy_score", ensemble, fair)
    _check_observed("energy_score", ensemble, y)
    distance = _norm(_from_observed(ensemble, y), 1)
    pairs = _total(_norm(_pairs(ensemble, ensemble), 2)) / (2.0 * count * (count - 1 if fair else count))
    return average(reduce("reduce_mean", distance, (offset(distance),)) - pairs, scope)


def mmd(x: Value, y: Value, bandwidth: Bandwidths = 1.0, fair: Flag = False, *, scope: Scope) -> Node:
    """The squared maximum mean discrepancy of two ensembles, 0 where their distributions are one.

    mean_ij k(x_i, x_j) + mean_ij k(y_i, y_j) - 2 mean_ij k(x_i, y_j) with k(a, b) = exp(-|a - b|^2/(2 bandwidth^2)),
    the norm over all entries of a member; of a list of bandwidths the mean of their kernels. `fair` takes the first two
    means over i != j.

    Example: mmd(m, stack(x, y), bandwidth=[0.5, 2])

    Gretton, Borgwardt, Rasch, Schoelkopf, Smola (2012), lemma 6.
    """
    if x.type.sample[1:] != y.type.sample[1:]:
        rule = "their members, the entries of the first axis, have one shape"
        raise Fault(lambda span: calls.shapes_differ(span, "mmd", describe(x.type), describe(y.type), rule))
    within = []
    for ensemble in (x, y):
        count = _members("mmd", ensemble, fair)
        total = _total(_kernel(ensemble, ensemble, bandwidth))
        within.append((total - float(count)) / (count * (count - 1.0)) if fair else total / float(count * count))
    across = _total(_kernel(x, y, bandwidth)) / float(_members("mmd", x, False) * _members("mmd", y, False))
    return average(within[0] + within[1] - 2.0 * across, scope)


def _members(callee: str, ensemble: Node, fair: bool) -> int:
    """How many members there are. Raises `Fault` for a single number, and for a pair that has to be of two."""
    if not ensemble.type.sample:
        raise Fault(
            lambda span: calls.wrong_rank(span, callee, "an ensemble, its members first", describe(ensemble.type))
        )
    count = known_size(callee, ensemble.type.sample[0])
    if fair and count < 2:
        raise Fault(
            lambda span: calls.wrong_argument(span, callee, "fair", "two members or more", "true of one member")
        )
    return count


def _check_observed(callee: str, ensemble: Node, y: Node) -> None:
    if ensemble.type.sample[1:] != y.type.sample:
        rule = "the ensemble has one axis more, its members first"
        raise Fault(lambda span: calls.shapes_differ(span, callee, describe(ensemble.type), describe(y.type), rule))


def _from_observed(ensemble: Node, y: Node) -> Node:
    """x_i - y, (m, ...)"""
    return as_real(ensemble) - insert_axis(as_real(y), 0)


def _pairs(x: Node, y: Node) -> Node:
    """x_i - y_j, (m, n, ...)"""
    return insert_axis(as_real(x), 1) - insert_axis(as_real(y), 0)


def _squares(difference: Node, lead: int) -> Node:
    """The squared norm over all axes of a sample behind the first `lead` ones."""
    return reduce("reduce_sum", SQUARE(difference), tuple(range(offset(difference) + lead, difference.type.rank)))


def _norm(difference: Node, lead: int) -> Node:
    """The norm over all axes behind the first `lead` ones, of derivative 0 at 0, where the root has none."""
    square = _squares(difference, lead)
    apart = GREATER(square, 0.0)
    return WHERE(apart, SQRT(WHERE(apart, square, constant(1.0))), constant(0.0))


def _kernel(x: Node, y: Node, bandwidth: float | tuple[float, ...]) -> Node:
    square, found = _squares(_pairs(x, y), 2), listed(bandwidth)
    kernels = [EXP(square * (-0.5 / width**2)) for width in found]
    total = kernels[0]
    for kernel in kernels[1:]:
        total = total + kernel
    return total / float(len(found)) if len(found) > 1 else total


def _total(pairs: Node) -> Node:
    """The sum over both axes of members."""
    at = offset(pairs)
    return reduce("reduce_sum", pairs, (at, at + 1))


SCORES = functions("loss", crps, energy_score, mmd)
