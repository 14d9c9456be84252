"""E376, E378, E381 to E384, E388, E389: recurrences over observations."""

from __future__ import annotations

from collections.abc import Sequence

from isocline_dsl.messages.message import Draft, message
from isocline_dsl.tree import Span


@message("E376")
def scan_state_shape(span: Span | None, state: str, found: str, expected: str) -> Draft:
    """What a scan carries on has another shape than what it began with.

    The states of a scan keep their shapes from observation to observation. Where a start is a number for each entry,
    write `zeros(32)`.
    """
    hint = f"let `{state}` begin as {found}, or be {expected} again"
    return Draft(span, f"`{state}` begins as {expected} and becomes {found}", hint)


@message("E378")
def scan_of_no_sequence(span: Span | None, found: str) -> Draft:
    """A scan goes over a value that has no axis of observations.

    The first axis of each value after `over` counts the observations: `real[T, 12]`, `time[T]`, `bool[20]`.
    """
    return Draft(span, f"a scan cannot go over {found}", "its first axis counts the observations: `real[T, 12]`")


@message("E381")
def scan_names(span: Span | None, found: int, expected: Sequence[str], given: Sequence[str]) -> Draft:
    """A scan has more or fewer names than its values have rows.

    Each value after `over` has one name, that of its row. Times, an input `time[T]`, what is made of it and of numbers,
    or a list of numbers, have two: the time of the observation before and that of this one. Before the first there is
    none: there both are the first time.

    h = scan (t0, t1, x) over (ts, xs) from h = zeros(32) { ... }
    """
    values = ", ".join(given)
    hint = f"write `scan ({', '.join(expected)}) over ({values})`"
    if found > len(expected) == len(given):
        hint += "; what is declared as `time[T]` has two names"
    names = "name" if found == 1 else "names"
    return Draft(span, f"{found} {names} for {values}: expected {len(expected)}", hint)


@message("E382")
def scan_name_twice(span: Span | None, name: str) -> Draft:
    """Two rows or states of a scan have the same name."""
    return Draft(span, f"the scan names `{name}` twice", "give each row and each state a name of its own")


@message("E383")
def scan_lengths(span: Span | None, length: str, first: str, expected: str) -> Draft:
    """The values that a scan goes over do not have as many rows as one another."""
    hint = "all values of a scan have one row for each observation"
    return Draft(span, f"this has {length} rows, and {first} has {expected}", hint)


@message("E384")
def scan_statement(span: Span | None, what: str) -> Draft:
    """The body of a scan holds something other than assignments.

    What happens at an observation is written as assignments, one after the other; what happens between two is a field
    that is solved.

    h = scan (t0, t1, x) over (ts, xs) from h = zeros(32) {
      h = solve f from h = h over t0..t1
      h = gru_cell(h, x)
    }
    """
    return Draft(span, f"{what} cannot stand in a scan", "write assignments, and put equations into a field")


@message("E388")
def times_not_numbers(span: Span | None, found: str) -> Draft:
    """A solve between two values that are no single numbers.

    In `over t0..t1` both ends are numbers, the same for all samples or one for each: names of a scan, or inputs.
    """
    return Draft(span, f"a solve begins and ends at a number, and this is {found}", "name a single time")


@message("E389")
def scan_noise(span: Span | None, field: str) -> Draft:
    """A field that noise drives is solved in a scan. Its increments would have to be numbered over all observations.

    Solve it once through all the times instead, with what is observed as a `control`; or draw at every observation, by
    `gaussian_noise` in the body, which `samples` in `deploy` keeps.
    """
    hint = "solve it once through all the times, with what is observed as a `control`"
    return Draft(span, f"`{field}` is driven by noise and cannot be solved in a scan", hint)
