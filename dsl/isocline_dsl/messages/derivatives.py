"""E35x: `grad`, `jacobian` and the other derivatives of the language."""

from __future__ import annotations

from isocline_dsl.messages.message import Draft, message
from isocline_dsl.tree import Span


@message("E350")
def no_derivative(span: Span | None, operation: str, reason: str) -> Draft:
    """A derivative was asked for through an operation that has none.

    Rounding, comparing and counting are constant between their jumps: their derivative is zero wherever it exists,
    and a gradient that is always zero is nearly always a mistake. Use a smooth form instead, such as `sigmoid(k*x)`
    for a step.
    """
    return Draft(span, f"`{operation}` has no derivative: it is {reason}", "use a smooth operation in its place")


@message("E351")
def derivative_of_array(span: Span | None, found: str) -> Draft:
    """`grad`, `hessian` and `laplacian` are of one number, and this is an array.

    `grad(H, q)` needs H to be one number for each sample. For a vector use `jacobian(y, x)`, or sum it first.
    """
    return Draft(span, f"this derivative is of one number, and this is {found}", "use `jacobian`, or `sum` it first")


@message("E352")
def no_dependence(span: Span | None, function: str) -> Draft:
    """The derivative is zero for every input: what is differentiated does not depend on the second argument.

    A value is what its name stands for: `grad(H, q)` works where H was computed from q. `grad(H, q[0])` does not,
    since `q[0]` makes a new value that H was not computed from; take `grad(H, q)[0]`. A second derivative of what
    is linear is zero, too.
    """
    return Draft(
        span,
        f"`{function}` is zero for every input: its first argument does not depend on the second",
        "give the name of a value that the first argument was computed from",
    )


@message("E353")
def derivative_shapes(span: Span | None, function: str, left: str, right: str) -> Draft:
    """The arguments of this derivative need the same shape.

    `divergence(y, x)` is the trace of dy/dx, so y and x have the same shape. In `jvp(y, x, v)` the direction v has
    the shape of x, in `vjp(y, x, u)` u has that of y.
    """
    return Draft(span, f"`{function}` needs two values of the same shape, and these are {left} and {right}")


@message("E354")
def derivative_too_large(span: Span | None, function: str, count: int, most: int) -> Draft:
    """A matrix of derivatives is computed a row or a column at a time, whichever are fewer, each as large as the graph.

    Ask for a product with it instead: `jvp(y, x, v)` or `vjp(y, x, u)` cost one pass each.
    """
    return Draft(
        span, f"`{function}` would take {count} passes through the graph; the limit is {most}", "use `jvp` or `vjp`"
    )


@message("E355")
def derivative_of_too_much(span: Span | None, function: str, count: int, most: int) -> Draft:
    """What is differentiated has more operations than can be: mostly since it is a derivative of a derivative itself.

    Each derivative is two to three times as large as what it is of, so ten in one another are ten thousand times as
    large. Where a high derivative is needed, solve for it, or write it by hand.
    """
    return Draft(
        span,
        f"`{function}` is of an expression of {count} operations, more than {most}",
        "nest fewer derivatives: each makes the expression two to three times as large",
    )


@message("E356")
def not_a_solution(span: Span | None, function: str) -> Draft:
    """The Jacobian of a solve is that of its end with respect to its start, so it is asked for by the name of a solve.

        z = solve flow from x = data over 1..0
        volume = logdet_jacobian(z)              # not of z[0], or of what was computed from z

    Of any other value take `logdet(jacobian(y, x))`.
    """
    return Draft(
        span, f"`{function}` is of a solution", "give the name of a solve; of other values `logdet(jacobian(y, x))`"
    )
