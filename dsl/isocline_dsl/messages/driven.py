"""E33x, E34x: what drives a field from outside: control paths."""

from __future__ import annotations

from collections.abc import Collection

from isocline_dsl.messages.message import Draft, did_you_mean, message
from isocline_dsl.tree import Span


@message("E336")
def unknown_interpolation(span: Span | None, name: str, known: Collection[str]) -> Draft:
    """A control path of a kind that does not exist.

    control u = hold(us, at=ts)        # the last value given
    control u = linear(us, step=0.1)   # straight lines
    control u = hermite(xs, at=ts)     # smooth, and blind to what comes later
    control u = cubic(xs, step=0.5)    # the natural spline
    control u = log_signature(xs, at=ts, window=8)
    """
    return Draft(span, f"there is no control `{name}`", did_you_mean(name, known) or f"there are {', '.join(known)}")


@message("E337")
def control_usage(span: Span | None, name: str, found: str) -> Draft:
    """A control path that is not given its values, or not one of `at=` and `step=`.

    A control goes through values at times: `at=ts` names the times, `step=0.1` puts them evenly from 0 on.

    control u = linear(us, at=ts)
    """
    return Draft(span, f"`{name}` {found}", f"write `{name}(values, at=times)` or `{name}(values, step=0.1)`")


@message("E338")
def control_values(span: Span | None, name: str, found: str) -> Draft:
    """The values of a control have no axis of times.

    Their first axis counts the times: `real[20]` is a number at each of 20 times, `real[20, 3]` are three.
    """
    return Draft(span, f"the values of `{name}` are {found}", "their first axis is that of the times: `real[20, 3]`")


@message("E339")
def control_times(span: Span | None, found: str, expected: str) -> Draft:
    """The times of a control do not fit its values.

    There is one time for each row of the values, in increasing order: a list of numbers, a constant, or an input
    `ts: time[20]`.
    """
    return Draft(span, f"the times of the control are {found}", f"expected {expected}")


@message("E340")
def control_times_not_increasing(span: Span | None, before: str, after: str) -> Draft:
    """The times of a control that are known when compiling do not increase."""
    return Draft(span, f"the times of the control go from {before} to {after}", "let each time be later than the last")


@message("E341")
def too_few_knots(span: Span | None, name: str, found: int, least: int) -> Draft:
    """A control path has fewer times than its kind can go through: a line needs two, a spline three."""
    return Draft(span, f"`{name}` needs at least {least} times, and has {found}")


@message("E342")
def held_control_has_no_rate(span: Span | None, name: str, written: str) -> Draft:
    """The differential `dX`, or the slope `X'(t)`, of a control that is held: it jumps, and has no rate of change.

    control X = linear(xs, at=ts)
    field g(t, z: real[8]) { dz = F(z) dX }
    """
    return Draft(span, f"`{name}` is held between its times: it jumps, and `{written}` means nothing",
                 "let the control be `linear` or `hermite`")  # fmt: skip


@message("E234")
def control_slope_of_higher_order(span: Span | None, name: str) -> Draft:
    """A second derivative of a control, `u''(t)`. A control has a slope, `u'(t)`, and no curvature that is told.

    That of lines is none, and that of `hermite` jumps at every time.
    """
    return Draft(
        span, f"`{name}` has one derivative, `{name}'(t)`", f"write `{name}'(t)`, or give the curvature's values"
    )


@message("E343")
def control_as_value(span: Span | None, name: str) -> Draft:
    """A control stands where a value is needed: it is a function of time.

    x' = -k*x + u(t)
    """
    return Draft(span, f"`{name}` is a control, a function of time", f"write `{name}(t)`")


@message("E344")
def control_call(span: Span | None, name: str, found: str) -> Draft:
    """A control is called with something else than one time: `u(t)`, `u(t - 0.5)`."""
    return Draft(span, f"`{name}` is called with {found}", f"a control is read at one time: `{name}(t)`")


@message("E345")
def control_shape(span: Span | None, state: str, found: str, expected: str, control: str) -> Draft:
    """The factor of a control's differential does not fit the state.

    In `dz = F dX` with a state `real[32]` and a control of 12 channels, F is `real[32, 12]`: what of each channel moves
    which entry of the state.
    """
    return Draft(span, f"`d{control}` in the equation of `{state}` has the factor {found}", f"expected {expected}")


@message("E346")
def control_left_behind(span: Span | None, control: str, first: str, last: str, begin: str, end: str) -> Draft:
    """A solve goes to times at which its control is not given.

    A control that is `linear`, `hermite` or `cubic` would go on as its last piece does, further and further from
    anything that was measured. A control that is held keeps its last value, and may be left behind.
    """
    return Draft(
        span,
        f"the solve goes from {begin} to {end}, and the control `{control}` is given from {first} to {last}",
        "give the control over the whole solve, hold it, or solve no further",
    )


@message("E347")
def spline_of_unknown_knots(span: Span | None) -> Draft:
    """A natural spline through times that come with the input.

    Its pieces depend on all values at once, by a matrix that is made of the times: they are to be known when compiling.
    """
    return Draft(span, "`cubic` needs times that are known when compiling", "use `hermite`, whose pieces are local")


@message("E348")
def spline_of_many_knots(span: Span | None, found: int, most: int) -> Draft:
    """A natural spline or a log-signature over very many times: its matrix grows with their square."""
    return Draft(span, f"{found} times; at most {most} here", "use `hermite`, whose pieces are local")


@message("E349")
def log_signature_usage(span: Span | None, found: str) -> Draft:
    """A log-signature without its window, or of values that have no channels, or at times that are not known.

    control X = log_signature(xs, at=ts, window=8)

    It goes over so many pieces of the straight lines through the values at once, and has m + m(m - 1)/2 channels: the
    increments of the m channels and the areas between each two of them.
    """
    return Draft(span, f"`log_signature` {found}", "write `log_signature(xs, at=ts, window=8)`, xs: real[n, m]")
