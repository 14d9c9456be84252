"""Messages about delays: states at earlier times, and where they were before the start."""

from __future__ import annotations

from isocline_dsl.messages.message import Draft, message
from isocline_dsl.tree import Span


@message("E270")
def delay_form(span: Span | None, state: str, time: str, found: str) -> Draft:
    """A state is called at an earlier time, and that is written as the time of the field less a delay.

    field f(t, x: real) { x' = 0.2*x(t - 17) / (1 + x(t - 17)^10) - 0.1*x }

    The delay is a number, a parameter, an input, or what is made of them. A state now is `x`, without a time.
    """
    return Draft(span, f"`{state}` is called {found}", f"write `{state}({time} - delay)`, with a delay above 0")


@message("E271")
def delay_reads(span: Span | None, state: str, read: str) -> Draft:
    """A delay that depends on a state, or on the time, is not solved: where such a solution breaks is not known before.

    Delays are numbers, parameters, inputs, and what is made of them.
    """
    return Draft(
        span, f"the delay of `{state}` reads `{read}`", "let it depend on numbers, parameters and inputs alone"
    )


@message("E272")
def delay_not_positive(span: Span | None, state: str, delay: str) -> Draft:
    """A state is called at an earlier time: its delay is above 0, a time in the unit of the file."""
    return Draft(span, f"the delay of `{state}` is {delay}", f"a state now is written `{state}`, without a time")


@message("E273")
def delay_neutral(span: Span | None, state: str) -> Draft:
    """An equation that reads a slope at an earlier time is neutral.

    Its solution never becomes smooth: each jump of a slope comes again after each delay, for ever, and a scheme has no
    order there unless all of its steps end where these are. Such equations are not solved.
    """
    return Draft(
        span, f"the slope of `{state}` at an earlier time makes a neutral equation", f"read `{state}` there instead"
    )


@message("E274")
def delays_not_here(span: Span | None, field: str, why: str) -> Draft:
    """States at earlier times are remembered along one solve that goes forwards, between times that are known."""
    return Draft(span, f"the delays of `{field}` cannot be followed here: {why}")


@message("E275")
def delay_below_step(span: Span | None, field: str, delay: str, step: str, steps: int) -> Draft:
    """A step reads the past, and no delay may be shorter than the step: it would reach into what is not known yet."""
    hint = f"take {steps} steps or more"
    return Draft(span, f"the shortest delay of `{field}` is {delay}, and a step is {step} wide", hint)


@message("E276")
def history_not_read(span: Span | None, state: str, field: str) -> Draft:
    """Where a state was before the start is read by nothing: no equation of the field has it at an earlier time.

    h = solve f from x = 1 over 0..10
    """
    return Draft(
        span, f"`{field}` never reads `{state}` at an earlier time", f"give its start alone: `from {state} = ...`"
    )


@message("E277")
def scan_history(span: Span | None, state: str) -> Draft:
    """A state of a `scan` has no past before its first row: it starts with a value."""
    return Draft(
        span, f"`{state}` is carried by a `scan`, which has no times before its start", f"write `{state} = ...`"
    )


@message("E278")
def delays_need_steps(span: Span | None, field: str, solver: str) -> Draft:
    """Equations with delays are trained on fixed steps: an adaptive solver does not remember where it was.

    train { solver rk4(steps=100) }
    """
    return Draft(
        span, f"`{solver}` does not remember the past that `{field}` reads", "name a scheme: `solver rk4(steps=100)`"
    )
