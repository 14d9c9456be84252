"""Taylor regularization, the integral of |d^k x/dt^k|^2 along the solution: what a scheme of order k - 1 leaves out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from isocline_compiler.derivatives.reverse_forward import jvp
from isocline_compiler.graph import Fault, Node, Nodes, constant, topological
from isocline_compiler.ops.broadcasting import broadcast_like
from isocline_compiler.vocabulary.functions.kinds import Count, SolutionName
from isocline_compiler.vocabulary.regularizers.path_integral import augment, require_smooth, square, summed
from isocline_compiler.vocabulary.regularizers.record import LossTerm, Regularizer
from isocline_dsl import messages
from isocline_dsl.diagnostics import Diagnostic
from isocline_dsl.tree import Span

MOST_OPERATIONS = 3_000
"""More than these are not differentiated once more."""


def taylor(solution: SolutionName, order: Count) -> LossTerm:
    r"""The integral of |d^k x/dt^k|^2 along a solution, k the `order`: what is small here takes few steps there.

    x' = f, and each further derivative is that of the one before along the solution, d/dt = d/dt + f . d/dx, by forward
    mode; |.| is over all entries of all states. Of order 1 it is the kinetic energy times their number. An expression
    grows two to three times with each order.

    Example: 1e-3 * taylor(populations, order=2)

    Kelly, Bettencourt, Johnson, Duvenaud (2020).
    """

    def extend(node: Node) -> tuple[Node, int]:
        require_smooth("taylor", node)
        return augment(node, lambda t, states, slopes: square("taylor", derivative(t, states, slopes, order)))

    return lambda context: summed(context, solution, extend)


def derivative(t: Node, states: Sequence[Node], slopes: Sequence[Node], order: int) -> Nodes:
    """d^k x/dt^k of every state along the solution."""
    found = tuple(slopes)
    wrt = (t, *states)
    along = (broadcast_like(constant(1.0), t), *slopes)
    for reached in range(1, order):
        if len(topological(found)) > MOST_OPERATIONS:
            raise Fault(partial(_too_large, order, reached))
        found = jvp(found, wrt, along)
    return found


def _too_large(order: int, reached: int, span: Span | None) -> Diagnostic:
    return messages.order_of_derivative(span, "taylor", order, reached, MOST_OPERATIONS)


TAYLOR = Regularizer(taylor)
