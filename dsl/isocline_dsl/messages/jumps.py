"""Messages about jumps: states are replaced at known times, or where the solution crosses into a condition."""

from __future__ import annotations

from collections.abc import Sequence

from isocline_dsl.messages.message import Draft, did_you_mean, message
from isocline_dsl.tree import Span


@message("E398")
def jump_statement(span: Span | None, word: str) -> Draft:
    """In the braces of `at` and `when`, states are given new values, one after another; equations stand outside.

    Where the equation is of second order, `q' = -0.5*q'` gives the velocity a new value.

    at doses {
      gut = gut + amount
    }
    """
    example = "speed = -0.9*speed" if word == "when" else "gut = gut + amount"
    fact = f"in the braces of `{word}` stand assignments alone"
    return Draft(span, fact, f"write `{example}`, without a prime")


@message("E399")
def jump_changes_nothing(span: Span | None, name: str, states: Sequence[str]) -> Draft:
    """What stands in the braces of `at` or `when` gives no state a new value.

    at doses { gut = gut + amount }       # gut is a state of the field
    when height < 0 { speed = -speed }
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


@message("E304")
def event_condition(span: Span | None, found: str) -> Draft:
    """What stands behind `when` compares numbers: the states jump where the solution crosses into it.

    when height < 0 { speed = -0.9*speed }
    when level > full and t > 2 { level = 0 }

    Each side is one number; of an array, write the entry. Several comparisons are joined by `and` and `or`.
    """
    return Draft(span, f"`when` needs a comparison of numbers, and this is {found}", "write `when height < 0 { ... }`")


@message("E321")
def events_not_here(span: Span | None, field: str, why: str) -> Draft:
    """Jumps at a state are found inside the steps of a scheme that goes forwards or backwards over equations alone.

    They need equations without noise and weights that are those of all steps; sensitivities, densities and integrals
    that go along with the solution do not jump with it.
    """
    return Draft(span, f"the events of `{field}` cannot be followed here: {why}")


@message("E635")
def events_in_one_step(span: Span | None, field: str, count: int, first: str, second: str, steps: int) -> Draft:
    """A step of the grid holds two jumps, and a scheme makes at most one in each: the others would be missed.

    Give the solve more steps, or a condition that is not met again at once.
    """
    fact = f"{count} jumps of `{field}` fall in one of {steps} steps, at t = {first} and {second}; a step makes one"
    return Draft(span, fact, "give it more steps, or end the solve before")


@message("E636")
def events_accumulate(span: Span | None, field: str, count: int, t: str, faster: bool, given: str = "") -> Draft:
    """The jumps of a solution follow one another ever faster, or without end at one time: a Zeno solution. Or there are
    more than a certificate follows.

    A ball that loses a part of its speed at each bounce comes to rest after infinitely many. No number of steps holds
    them: end the solve before, or say in the equations what happens when it is slow.

    when height < 0 and speed < -0.01 { speed = -0.9*speed }
    """
    fact = f"the states of `{field}` jump {count} times up to t = {t}{', ever faster' if faster else ''}"
    cure = "make the last of them a different one" if faster else "narrow the bounds of the inputs"
    return Draft(span, f"{fact}{given and f', for {given}'}", f"end the solve before they accumulate, or {cure}")


@message("E637")
def event_grazes(span: Span | None, field: str, t: str, rate: str) -> Draft:
    """A solution touches the condition of a `when` almost without crossing it: whether it jumps is up to rounding.

    Near such an input the answer is not continuous, and no error bound can hold. Restrict the inputs, or state
    the condition so that it is crossed.
    """
    fact = f"a solution of `{field}` only grazes a condition, at t = {t}: it crosses {rate} times as fast as others do"
    return Draft(span, fact, "restrict the inputs, or state a condition that is crossed")


@message("E638")
def events_at_kept_times(span: Span | None, field: str, error: str) -> Draft:
    """Every sample has a jump at a time for which its states are given, as near as the stated error can tell.

    Just before a jump and just behind it the answer is another, and no grid can say which of both it is. Keep states
    that do not jump, keep fewer times, or state a smaller error.
    """
    fact = f"in every sample a state of `{field}` jumps within {error} of the horizon of a time it is kept at"
    return Draft(span, fact, "keep fewer times, or states that do not jump, or state a smaller error")
