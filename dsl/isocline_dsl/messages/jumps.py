"""E258, E259, E300, E357 to E359, E377, E398, E399: states that are replaced at known times."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from isocline_dsl.messages.message import Draft, did_you_mean, message
from isocline_dsl.tree import Span


@message("E258")
def jump_state_shape(span: Span | None, state: str, found: str, expected: str) -> Draft:
    """A jump replaces a state by a value of another shape.

    A number is the same for every entry: `x = 0` empties a state of any shape.
    """
    hint = f"let the new value be {expected}, or a number for every entry"
    return Draft(span, f"`{state}` is {expected} and jumps to {found}", hint)


@message("E300")
def jump_statement(span: Span | None, what: str) -> Draft:
    """The braces of a jump hold something other than assignments to states.

    At the time of a jump nothing moves: there are no equations, no `dt` and no noise, only new values for the states,
    one after the other. The velocity of a state of second order is replaced by `q' = ...`.

    at doses { gut = gut + 100 }
    """
    return Draft(span, f"{what} cannot stand in a jump", "write what a state becomes: `gut = gut + 100`")


@message("E259")
def jump_of_no_state(span: Span | None, name: str, field: str, states: Collection[str]) -> Draft:
    """A jump assigns to a name that is no state of its field."""
    return Draft(span, f"`{name}` is no state of `{field}`", did_you_mean(name, states))


@message("E398")
def jumps_outside(span: Span | None, first: str, last: str, start: str, stop: str) -> Draft:
    """None of the times of a jump lies within the solve, so that nothing would ever jump.

    Times before the beginning and after the end of a solve do nothing; those of both ends are within. A solve with
    jumps goes forward in time.
    """
    times = f"at {first}" if first == last else f"from {first} to {last}"
    if float(stop) < float(start):
        hint = "let the solve go forward: a jump cannot be undone"
        return Draft(span, f"a field that jumps is solved backwards, from {start} to {stop}", hint)
    hint = "let the solve cover these times, or leave the jump out"
    return Draft(span, f"no jump lies within the solve: these are {times}, and it goes from {start} to {stop}", hint)


@message("E357")
def jump_row_name(span: Span | None) -> Draft:
    """Between `at (` and `) over` stand names: the first of the time of a jump, the others of what comes with it.

    at (tau, a) over (doses, amounts) { gut = gut + a }
    """
    return Draft(span, "the rows of a jump are given names here", "write `at (tau, a) over (doses, amounts) { ... }`")


@message("E358")
def jump_names(span: Span | None, found: int, expected: int, given: Sequence[str]) -> Draft:
    """A jump has more or fewer names than values that it goes over: each has one, and the first is that of the time."""
    letters = ("tau", *"abcdefgh")[:expected]
    names = "name" if found == 1 else "names"
    hint = f"write `at ({', '.join(letters)}) over ({', '.join(given)})`"
    return Draft(span, f"{found} {names} for {', '.join(given)}: expected {expected}", hint)


@message("E359")
def jump_lengths(span: Span | None, length: str, times: str) -> Draft:
    """What comes with the times of a jump has another length than these."""
    return Draft(span, f"this has {length} rows for {times} times", "give one row for each time")


@message("E377")
def jump_times(span: Span | None, found: str) -> Draft:
    """States jump at something that is no list of times.

    The times are a list of numbers, `const doses = [0, 12, 24]`, or an input `time[5]`, in any order. A single time
    stands in brackets.
    """
    return Draft(span, f"a jump needs a list of times, and this is {found}", "write `[3]` for a single time")


@message("E399")
def jumps_with_noise(span: Span | None, field: str) -> Draft:
    """A field that noise drives jumps at given times. Its increments would have to be numbered over all stretches.

    Jumps of a random process are a noise themselves: `noise N: poisson(rate)`.
    """
    return Draft(span, f"`{field}` is driven by noise and cannot jump at given times")
