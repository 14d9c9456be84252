"""Error estimates of the steps: where they are small, an adaptive solver takes long steps."""

from __future__ import annotations

from isocline_compiler.graph import Node, Nodes, as_node
from isocline_compiler.ops.elementwise import ABS
from isocline_compiler.solvers.field import Field
from isocline_compiler.solvers.schemes.scheme import Scheme
from isocline_compiler.solvers.schemes.step import Step
from isocline_compiler.solvers.schemes.tableau import Tableau, combined, runge_kutta_slopes
from isocline_compiler.vocabulary.functions.kinds import SolutionName
from isocline_compiler.vocabulary.regularizers.path_integral import length, square
from isocline_compiler.vocabulary.regularizers.record import LossTerm, Regularizer
from isocline_compiler.vocabulary.regularizers.step_measure import over_steps, own


def step_error(solution: SolutionName) -> LossTerm:
    r"""The sum over the steps of a solution of |h| |h sum_i (b_i - b*_i) k_i|, b* the embedded weights of its scheme.

    The second factor is the difference of the two solutions of the scheme, its estimate of the error of the step; |.|
    is the Euclidean length over all states of a sample. It is of schemes with an embedded solution, and of steps of our
    own: `solver tsit5(steps=20)` in `train`, or `with` behind the solve.

    Example: 10 * step_error(populations)

    Pal, Ma, Shah, Rackauckas (2021): R_E.
    """
    return over_steps("step_error", solution, estimate, "an embedded solution", has_embedded)


def has_embedded(scheme: Scheme) -> bool:
    """Whether a scheme has a second solution."""
    return isinstance(scheme, Tableau) and scheme.embedded is not None


def estimate(scheme: Scheme, field: Field, step: Step, before: Nodes, after: Nodes) -> Node:
    """|h| |h sum_i (b_i - b*_i) k_i| of one step."""
    assert isinstance(scheme, Tableau)
    assert scheme.embedded is not None
    slopes = runge_kutta_slopes(scheme, field, step, before, range(scheme.stages))
    apart = tuple(float(b) - float(second) for b, second in zip(scheme.b, scheme.embedded, strict=True))
    difference = own(field, combined(step.widths, apart, slopes))
    return ABS(as_node(step.h)) * length(square("step_error", difference))


STEP_ERROR = Regularizer(step_error)
