"""E67x: why equations have no solution to measure against, and numbers that are none."""

from __future__ import annotations

from isocline_dsl.messages.message import Draft, message
from isocline_dsl.tree import Span

DEFINED = {
    "sqrt": "keep its argument from falling below 0, `sqrt(clip(x, 0))`",
    "log": "keep its argument above 0, `log(clip(x, 1e-6))`",
    "/": "keep its divisor away from 0",
    "^": "keep its base above 0, or take a whole number as the power",
    "asin": "keep its argument between -1 and 1, `clip(x, -1, 1)`",
    "acos": "keep its argument between -1 and 1, `clip(x, -1, 1)`",
    "exp": "keep its argument below 700, `exp(clip(x, -80, 80))`",
}
"""By operation, what keeps it to numbers."""


def _kept(operation: str) -> str:
    way = DEFINED.get(operation, "keep its numbers small")
    return f"{way}, or narrow the inputs' bounds to what has an answer"


@message("E609")
def not_finite(span: Span | None, operation: str, met: str, output: str, where: str) -> Draft:
    """A value is infinite or not a number when the compiled model is tried.

    The operation that is named was given numbers for which it has no answer: the root or the logarithm of a negative
    one, a quotient by zero, a power that overflows. The inputs that are tried lie within the declared bounds.
    Narrow the bounds, or write the formula so that it has an answer everywhere within them.
    """
    return Draft(span, f"`{operation}` met {met} on the way to `{output}`{where}", _kept(operation))


@message("E670")
def field_not_finite(span: Span | None, operation: str, met: str, field: str, where: str) -> Draft:
    """An operation of a field met numbers for which it has no answer, where a solution goes.

    The field has been evaluated operation by operation at the last state that the solver reached, and just beyond it:
    the one that is named is the first whose result is infinite or not a number.
    """
    return Draft(span, f"`{operation}` met {met} in the field `{field}`{where}", _kept(operation))


@message("E671")
def runs_away(span: Span | None, field: str, t: str, state: str, slope: str) -> Draft:
    """A solution runs away to infinity, or its slope does, before the end of the solve.

    x' = x^2 from x = 1 is infinite at t = 1; x' = -1/x from x = 1 meets an infinite slope at t = 1/2. No scheme goes
    beyond. Two solvers of different families stopped there.
    """
    return Draft(
        span,
        f"the solution of `{field}` runs away near t = {t}: {state} moves at {slope} there",
        f"end the solve before t = {t}, narrow the inputs' bounds, or write a field that saturates",
    )


@message("E672")
def stiff(span: Span | None, field: str, t: str, rate: str, horizon: str, steps: str) -> Draft:
    """The equations are stiff: they pull back to their solution much faster than the solution itself moves.

    An explicit step longer than a few times 1/rate grows instead of decaying, however smooth the solution is. The rate
    is the largest magnitude of an eigenvalue with a negative real part of the Jacobian of the field, measured at states
    along the solution. Implicit schemes have no such bound; here they do not apply, or do not get through either.

    Shorten the solve; or replace what is fast by the value that it settles at: of `b' = 1e4*(a - b)` that is `b = a`,
    an expression instead of a state.
    """
    return Draft(
        span,
        f"`{field}` is stiff: at t = {t} it decays at a rate of {rate}, and the solve is {horizon} long, "
        f"which is {steps} times 1/rate",
        "implicit schemes solve it, as `solver rodas4(steps=100)`, of states of a few hundred coupled numbers; or "
        "shorten the solve, slow the fastest rates down, or write the fast states as the values that they settle at",
    )


@message("E673")
def switches(span: Span | None, operation: str, field: str, where: str) -> Draft:
    """A field jumps wherever the solution is: it switches back and forth, or has no solution beyond.

    x' = -sign(x) comes to 0 and is sent back from both sides. A switch that is crossed once is found and stepped onto;
    one that pushes the solution back onto itself cannot be.

    Write a steep, smooth function in its place: `tanh(x/width)` instead of `sign(x)`.
    """
    return Draft(
        span,
        f"the solution of `{field}` cannot leave the switch of `{operation}`{where}",
        "write a steep, smooth function in its place: `tanh(x/width)` instead of `sign(x)`",
    )


@message("E608")
def reference_failed(span: Span | None, field: str, t: str, reason: str, hint: str) -> Draft:
    """The reference solution could not be computed.

    A solver of adaptive steps did not reach the end of the solve, although the field is finite where it stopped, is not
    stiff, and does not run away. Nearly always there is far more to follow than any grid can hold: thousands of
    oscillations.
    """
    return Draft(span, f"no reference solution of `{field}`: at t = {t} {reason}", hint)


INSTEAD = (
    "write `exprel(x)` for `(exp(x) - 1)/x`, `expm1(x)` for `exp(x) - 1` and `log1p(x)` for `log(1 + x)`; near "
    "the zero take the limit or a series, "
    "`where(abs(x) < 0.1, 1 - x/2 + x^2/12, x/where(abs(x) < 0.1, 1, expm1(x)))`; or deploy with `dtype float64`"
)
"""What keeps the digits of a quotient of small numbers."""


@message("E674")
def digits_lost(span: Span | None, result: str, dtype: str, found: str, bound: str, where: str) -> Draft:
    """Near a zero of a divisor, or of what a root or a logarithm is taken of, the deployed precision loses its digits.

    x/(exp(x) - 1) has the limit 1 at 0, and yet single precision knows exp(x) - 1 to 4 digits at x = 1e-3, and the
    derivative of the quotient to none. Such places are found on the graph, and tried on both sides, at a millionth, a
    ten-thousandth and a hundredth of the inputs' bounds.

    Write `1/exprel(x)` for that quotient and `expm1(x)` for `exp(x) - 1`; elsewhere a series near the zero in place of
    the quotient, and inside of the quotient keep the divisor from 0, since both branches of `where` are computed.
    1 - x/2 + x^2/12 is good to 2e-7 up to 0.1, its derivative to 6e-6.
    """
    return Draft(span, f"`{result}` in {dtype} is off by {found} at {where}; the bound is {bound}", INSTEAD)


@message("E675")
def paces_differ(span: Span | None, field: str, alone: int, count: int, together: int) -> Draft:
    """A stiff solution is fast at other times for other inputs, so that one grid would have to be fine everywhere.

    A grid is one for all inputs: its steps are short where the solution of any input is fast. An implicit method that
    takes the solutions of several inputs side by side shows how much that is: where they are fast together, it takes
    as many steps as for one. Relaxation oscillations whose fronts move with the inputs are the usual case.

    Narrow the bounds until the fronts come together, or end the solve before the first of them. Along its orbit a
    solution has no fronts: with `x' = f/v; time' = 1/v`, where v is the length of f, the time becomes a state, and the
    solution is asked for at lengths.
    """
    return Draft(
        span,
        f"`{field}` is stiff, and fast at other times for other inputs: an implicit method takes {alone} steps for one "
        f"input and {together} for {count} together, and a grid is one for all",
        "narrow the inputs' bounds, end the solve before it becomes fast, or take the length of the orbit for the time",
    )
