"""Messages about schemes: which there are, how they step, what they fit, what undoes them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from isocline_dsl.messages.message import Draft, did_you_mean, message
from isocline_dsl.tree import Span


@message("E314")
def unknown_scheme(span: Span | None, scheme: str, known: Collection[str]) -> Draft:
    """A scheme that does not exist.

    `docs/language.md` lists the schemes with their orders.

        h = solve f from h = h0 over 0..1 with rk5(steps=8)      # did you mean `rk4`?

    `auto` is none of them: it chooses a scheme and its steps when a model is deployed.
    """
    if scheme == "auto":
        hint: str | None = "leave it out here and write `deploy { solver auto(error=1e-4) }`: it chooses for each solve"
    else:
        hint = did_you_mean(scheme, known)
    return Draft(span, f"there is no scheme `{scheme}`", hint)


@message("E315")
def steps_not_a_multiple(span: Span | None, steps: int, intervals: int, nearest: Sequence[int]) -> Draft:
    """The number of steps does not divide among the times of the solution.

    With `at 0..20 step 1` there are twenty intervals, and every one is crossed with the same number of
    steps, so `steps` is a positive multiple of twenty.
    """
    hint = f"nearest: {' or '.join(str(n) for n in nearest)}" if nearest else None
    return Draft(span, f"{steps} steps do not divide among {intervals} intervals", hint)


@message("E324")
def scheme_does_not_fit(span: Span | None, scheme: str, reason: str) -> Draft:
    """The scheme cannot solve this field.

    Partitioned schemes such as leapfrog need states in pairs, of which each changes with the other; schemes
    for stiff equations need an equation without noise.
    """
    return Draft(span, f"`{scheme}` cannot solve this field: {reason}")


@message("E397")
def no_inverse(span: Span | None, solution: str, reason: str, schemes: Sequence[str]) -> Draft:
    """`inverse(h)` walks the steps of a solve back, each undone: by the adjoint of its scheme.

    So the solve names its scheme, one that has an adjoint among the schemes. Those whose states move in turn are undone
    exactly; Euler's steps by the iterations of the implicit scheme, of which `inverse(h, iterations=8)` says how many.

        h = solve block from q = a, p = b over 0..1 with coupling(steps=4)
        back = inverse(h)                     # back.q and back.p are a and b again, up to rounding
        other = inverse(h, q=c, p=d)          # the start from which h would end at c and d
    """
    told = ", ".join(f"`{item}`" for item in schemes)
    return Draft(span, f"the steps of `{solution}` cannot be undone: {reason}", f"name one that can be: {told}")
