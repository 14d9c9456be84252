"""E47x: checks that are proved of the equations, and not measured on data."""

from __future__ import annotations

from collections.abc import Collection

from isocline_dsl.messages.message import Draft, did_you_mean, message
from isocline_dsl.tree import Span


@message("E470")
def proof_subject(span: Span | None, check: str, name: str, expected: str, known: Collection[str]) -> Draft:
    """What is proved is proved of something that the file declares.

    check lipschitz(f) <= 1          # a net, or an output
    check contracting(swing)         # a field that something solves
    check stable(path)               # what a solve is called
    """
    hint = did_you_mean(name, known) or (f"known: {', '.join(sorted(known))}" if known else None)
    return Draft(span, f"`{check}` is about {expected}, and `{name}` is none", hint)


@message("E471")
def proof_form(span: Span | None, check: str, form: str) -> Draft:
    """`lipschitz` is bounded by a number from above; `contracting` and `stable` hold or do not, and stand alone.

    check lipschitz(f) <= 1
    check contracting(swing, rate=0.1)
    check stable(path)
    """
    return Draft(span, f"a check of `{check}` has another form", f"write `check {form}`")


@message("E472")
def proof_domain(span: Span | None, check: str, name: str, known: Collection[str]) -> Draft:
    """The range of an argument of the net, or of a state of the field, goes by its name.

    check lipschitz(f, x=[-1, 1]) <= 2
    check contracting(swing, angle=[-1, 1])
    """
    hint = did_you_mean(name, known) or f"known: {', '.join(sorted(known))}"
    return Draft(span, f"`{check}` knows nothing by the name of `{name}`", hint)


@message("E473")
def proof_range(span: Span | None, name: str) -> Draft:
    """A range is two numbers that are known when compiling, the lower one first; it holds for every entry.

    check lipschitz(f, x=[-1, 1]) <= 2
    """
    return Draft(span, f"the range of `{name}` is not two numbers with the lower one first", f"write `{name}=[-1, 1]`")


@message("E474")
def not_proved(span: Span | None, text: str, found: str, asked: str, how: str, met: str) -> Draft:
    """A check that is to be proved, and the bound that was found is not good enough.

    The check may still be true: a bound is never below what it bounds, and often above. The message says what was met
    in samples besides: where that misses the check too, the check is false. Otherwise give the weights a form that
    keeps the bound (`weight=spectral(0.9)`, `antisymmetric(damping=0.1)`, `dissipative`), state a smaller range of the
    arguments (`x=[-1, 1]`), name a scheme of one step (`solver rk4(steps=40)`) for `stable`, or ask for less.
    """
    return Draft(
        span,
        f"`{text}` is not proved: {found}, and the check asks for {asked}",
        f"{how}; {met}",
    )


@message("E475")
def no_bound(span: Span | None, text: str, why: str) -> Draft:
    """A check that is to be proved, of something that no bound is known for.

    Bounds go through linear maps, convolutions, activations and arithmetic. Where a function jumps there is no bound,
    and where a slope grows without limit (x^2, exp) there is one only within a range: `check lipschitz(f, x=[-1, 1])`.
    """
    return Draft(span, f"`{text}` cannot be proved: {why}", "`isocline explain E475` says what bounds go through")
