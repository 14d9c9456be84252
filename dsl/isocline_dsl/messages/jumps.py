"""Messages about jumps: states that are replaced at known times."""

from __future__ import annotations

from collections.abc import Sequence

from isocline_dsl.messages.message import Draft, did_you_mean, message
from isocline_dsl.tree import Span


@message("E398")
def jump_statement(span: Span | None) -> Draft:
    """In the braces of `at`, states are given new values, one after another; equations stand outside.

    Where the equation is of second order, `q' = -0.5*q'` gives the velocity a new value.

    at doses {
      gut = gut + amount
    }
    """
    return Draft(span, "in the braces of `at` stand assignments alone", "write `gut = gut + amount`, without a prime")


@message("E399")
def jump_changes_nothing(span: Span | None, name: str, states: Sequence[str]) -> Draft:
    """What stands in the braces of `at` gives no state a new value.

    at doses { gut = gut + amount }       # gut is a state of the field
    """
    told = ", ".join(f"`{state}`" for state in states)
    hint = did_you_mean(name, states) or f"assign one of the states: {told}"
    return Draft(span, f"no state jumps here{f': `{name}` is none' if name else ''}", hint)


@message("E357")
def jump_names(span: Span | None, names: int, over: int) -> Draft:
    """`at (tau, a) over (doses, amounts)` has a name for the time and one for an entry of each further list."""
    return Draft(span, f"{names} names for {over} lists", "name the time first, then an entry of each further list")


@message("E358")
def jump_times(span: Span | None, found: str) -> Draft:
    """Jumps happen at a list of times whose length is known: a constant, an input `time[k]`, or `real[k]`.

    const doses = [0, 8, 16]
    input doses: time[3]

    A dose that a subject does not get lies behind the end of the solve: jumps outside of it do nothing.
    """
    return Draft(span, f"jumps need a list of times of known length, and this is {found}")


@message("E359")
def jump_amounts(span: Span | None, found: str, count: int) -> Draft:
    """Behind the times of `at (tau, a) over (doses, amounts)` stand lists of as many entries.

    An entry may be an array: of `real[4, 2]` at four times, each has a `real[2]`.
    """
    return Draft(span, f"this is {found}, and there are {count} times", f"give it an entry for each: `real[{count}]`")


@message("E377")
def jumps_not_here(span: Span | None, field: str, why: str) -> Draft:
    """A field with jumps is solved forwards, from one to the next, by equations without noise."""
    return Draft(span, f"the jumps of `{field}` cannot be followed here: {why}")


@message("E300")
def jumps_outside(span: Span | None, first: str, last: str, start: str, end: str) -> Draft:
    """No time of a list of known ones lies within the solve, so that nothing would ever jump.

    Times before the start and behind the end of a solve do nothing; those of both ends are within.
    """
    told = f"at {first}" if first == last else f"from {first} to {last}"
    hint = "let the solve cover these times, or leave the jump out"
    return Draft(span, f"no jump lies within the solve: they are {told}, and it goes from {start} to {end}", hint)
