"""E238 to E241: the default of an input, `input dose: real in (0, 500) = 100`."""

from __future__ import annotations

from isocline_dsl.messages.message import Draft, message
from isocline_dsl.tree import Span


@message("E238")
def default_outside_bounds(span: Span | None, name: str, value: str, low: str, high: str) -> Draft:
    """The default of an input is not strictly inside its bounds, so that every run without the input would be refused.

    Bounds are open, and the default is meant as the model holds it: in float32, 0.99999999 is 1.

        input dose: real in (0, 500) = 500    # 499, or in (0, 501)
    """
    return Draft(span, f"the default of `{name}` is {value}, outside ({low}, {high})", "choose it between the bounds")


@message("E239")
def default_not_finite(span: Span | None, name: str, value: str) -> Draft:
    """The default of an input is a finite number, as every value that a caller gives. In float32 it is below 3.4e38."""
    return Draft(span, f"the default of `{name}` is {value}, expected a finite number")


@message("E240")
def default_of_open_size(span: Span | None, name: str, size: str) -> Draft:
    """An input whose size is known only when the model runs has no default: how long would it be?

    Other inputs may share the name of the size, and say how many entries there are; this one is given then, too.

        input series: real[T] = 0        # real[24] = 0
    """
    return Draft(
        span,
        f"`{name}` has no default: its size `{size}` is known only when the model runs",
        f"write a number in place of `{size}`, or leave the default out",
    )


@message("E241")
def default_value(span: Span | None, name: str, found: str, expected: str) -> Draft:
    """The default of an input is no value of its type.

    That of `class[10]` is a whole number from 0 to 9, that of `bool` is `true` or `false`, and times do not decrease.
    """
    return Draft(span, f"the default of `{name}` is {found}, expected {expected}")
