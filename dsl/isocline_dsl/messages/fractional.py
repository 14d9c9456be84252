"""Messages about fractional order: `D(x, 0.8) = ...`, the derivative of Caputo."""

from __future__ import annotations

from isocline_dsl.messages.message import Draft, message
from isocline_dsl.tree import Span


@message("E242")
def not_a_derivative(span: Span | None, name: str) -> Draft:
    """An equation gives a derivative: `x' = ...`, `q'' = ...`, or one of fractional order, `D(x, 0.8) = ...`.

    field f(t, x: real) { D(x, 0.8) = -x }
    """
    return Draft(span, f"`{name}(...) = ...` is no equation", "a derivative of fractional order is `D(state, order)`")


@message("E243")
def order_out_of_range(span: Span | None, state: str, order: str) -> Draft:
    """The order of a Caputo derivative is above 0 and at most 1: then a solution is given by its start alone.

    Above 1 it would need the slope at the start as well; an order of 2 is written as two equations.
    """
    return Draft(span, f"the order of `{state}` is {order}", "an order lies above 0 and is at most 1")


@message("E244")
def order_reads(span: Span | None, state: str, read: str) -> Draft:
    """An order that changes along the solution, or from sample to sample, is another kind of derivative.

    An order is a number, a parameter, or what is made of them.
    """
    return Draft(span, f"the order of `{state}` reads `{read}`", "let it depend on numbers and parameters alone")


@message("E245")
def order_form(span: Span | None, state: str, found: str) -> Draft:
    """The order of a derivative is one number.

    Where entries of a state have orders of their own, they are states of their own.
    """
    return Draft(span, f"the order of `{state}` is {found}", "one number, or a parameter: `D(x, 0.8)`, `D(x, a)`")


@message("E246")
def fractional_not_here(span: Span | None, field: str, why: str) -> Draft:
    """A derivative of fractional order remembers all that was since the start of one solve, between known times."""
    return Draft(span, f"the fractional order of `{field}` cannot be followed here: {why}")


@message("E247")
def fractional_needs_steps(span: Span | None, field: str, solver: str, named: str) -> Draft:
    """Equations of fractional order are trained on fixed steps: an adaptive solver does not remember where it was.

    train { solver fractional_abm(steps=100) }
    """
    hint = f"name a scheme: `solver {named}(steps=100)`"
    return Draft(span, f"`{solver}` does not remember the past that `{field}` reads", hint)


@message("E248")
def order_not_bounded(span: Span | None, state: str, low: str, high: str) -> Draft:
    """An order that is learned stays above 0 and below 1 wherever it goes: its bounds say so.

    param a: real in (0.2, 0.95) = 0.7
    field f(t, x: real) { D(x, a) = -x }
    """
    return Draft(
        span, f"the order of `{state}` may be anywhere from {low} to {high}", "bound its parameter: `in (0.2, 0.95)`"
    )


@message("E249")
def grid_not_even(span: Span | None, scheme: str, field: str) -> Draft:
    """The weights of Gruenwald and Letnikov are those of steps that are all as wide."""
    return Draft(
        span, f"`{scheme}` steps `{field}` on equal steps alone, and these differ", "take `l1`, or times that are even"
    )


@message("E200")
def order_varied(span: Span | None) -> Draft:
    """A derivative in the file with respect to the order of `D(x, a)`.

    Derivatives along a solve are states of a solve: v = dx/dx0 moves by D(v, a) = f_x v. By the order itself there is
    no such equation: x = x0 + I^a f, and dI^a/da has the kernel (t - s)^(a-1) (ln(t - s) - digamma(a))/gamma(a), whose
    logarithm no scheme of fractional order steps. Training differentiates the steps that are taken, by their weights,
    which depend on the order: an order is learned so. In a file two solves say it, of orders a little apart.
    """
    hint = "train the order, or take the difference of two solves, of the orders `a + 0.001` and `a - 0.001`"
    return Draft(span, "the derivative of a solution by its fractional order is no solution of such an equation", hint)
