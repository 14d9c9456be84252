"""Total variation in depth: how much the states change from step to step."""

from __future__ import annotations

from isocline_compiler.graph import Node, Nodes, constant
from isocline_compiler.ops.elementwise import ABS
from isocline_compiler.solvers.field import Field
from isocline_compiler.solvers.schemes.scheme import Scheme
from isocline_compiler.solvers.schemes.step import Step
from isocline_compiler.vocabulary.functions.kinds import SolutionName
from isocline_compiler.vocabulary.functions.reductions import reduce
from isocline_compiler.vocabulary.regularizers.record import LossTerm, Regularizer
from isocline_compiler.vocabulary.regularizers.step_measure import over_steps, own


def total_variation(solution: SolutionName) -> LossTerm:
    """The sum of |x_(k+1) - x_k| over the steps of a solution and over all entries of its states.

    For the layers of a residual network, whose states differ in few steps and few entries then. Of an entry that goes
    one way only it is how far it goes. It is of steps of our own: `with` behind the solve, or a scheme for `solver` in
    `train`; whatever the steps, `path_length` is that of the equation.

    Example: 1e-3 * total_variation(block)

    Rudin, Osher, Fatemi (1992), Physica D 60, 259-268.
    """
    return over_steps("total_variation", solution, variation)


def variation(scheme: Scheme, field: Field, step: Step, before: Nodes, after: Nodes) -> Node:
    """sum |x_(k+1) - x_k| over the entries of the author's states."""
    found = constant(0.0)
    for x, y in zip(own(field, before), own(field, after), strict=True):
        found = found + reduce("reduce_sum", ABS(y - x), tuple(range(int(x.type.batched), x.type.rank)))
    return found


TOTAL_VARIATION = Regularizer(total_variation)
