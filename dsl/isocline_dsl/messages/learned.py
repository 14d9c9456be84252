"""E676, E684 to E689: schemes whose coefficients are learned when the model is compiled."""

from __future__ import annotations

from isocline_dsl.messages.message import Draft, message
from isocline_dsl.tree import Span

USAGE = "`solver bespoke(steps=8)` or `solver bespoke(error=1e-3)`"


@message("E676")
def learning_begins_astray(span: Span | None, steps: int) -> Draft:
    """With so few steps the scheme that learning begins with runs to infinity on some of the inputs.

    There is no error to descend from. More steps begin nearer to the solution; narrower bounds leave out the inputs on
    which the steps run away.
    """
    return Draft(
        span, f"{steps} steps run to infinity on some of the inputs before anything is learned",
        f"write more steps, `bespoke(steps={2 * steps})`, or narrow the inputs' bounds",
    )  # fmt: skip


@message("E684")
def steps_or_error(span: Span | None, both: bool) -> Draft:
    """`bespoke` is told either how many steps it learns, or which error they have to reach.

    With `steps=n` the coefficients of so many steps are learned, and the certificate says how exact they are. With
    `error=e` the fewest steps are sought with which they stay within the relative error e, and the build stops where
    the emitted model does not.
    """
    told = "takes `steps` or `error`, not both" if both else "has to be told `steps` or `error`"
    return Draft(span, f"`bespoke` {told}", f"write {USAGE}")


@message("E685")
def learned_scheme_out_of_place(span: Span | None) -> Draft:
    """`bespoke` learns coefficients for the trained model, when it is compiled; it stands in `deploy` alone.

    In training the field still changes, and with it what would be learned; behind `with` the scheme is the model
    itself, and has no solution to be learned from. `--solver` takes the place of every scheme in the file, also of
    those.

        deploy { solver bespoke(error=1e-3) }
    """
    return Draft(span, "`bespoke` is learned for a trained model, in `deploy` alone", f"in `deploy`, write {USAGE}")


@message("E686")
def nothing_to_learn(span: Span | None) -> Draft:
    """Every solve of the model names its scheme with `with`: that is the model, and no grid is chosen for it.

    `bespoke` learns the steps of solves without `with`, which are differential equations and have a solution.
    """
    return Draft(
        span, "every solve of this model has a scheme of its own: `bespoke` has nothing to learn",
        "leave `solver` out, or take `with ...` from a solve",
    )  # fmt: skip


@message("E687")
def learned_grid_has_jumps(span: Span | None, field: str, time: str) -> Draft:
    """A field that jumps at a time needs a node there, and steps that read it on one side only.

    Grids of `auto` and of named schemes have them. A learned grid is free between the times at which the solution is
    kept, and its stages may lie anywhere in their steps.
    """
    return Draft(
        span, f"`{field}` jumps at t = {time}, and `bespoke` learns grids for fields that do not jump",
        "write `solver auto(error=1e-3)`, or cut the solve in two at that time",
    )  # fmt: skip


@message("E688")
def nothing_to_learn_from(span: Span | None, name: str | None) -> Draft:
    """`bespoke` learns on inputs, and is measured on others: it needs bounds to draw from, or data with a part aside.

    Without data the inputs are drawn between their declared bounds. With data it learns on the training samples, and
    the certificate measures on those that were held out; where none were, it would be measured on what it has seen.

        input x0: real[2] in (-1, 1)
        data { source "paths.csv"; split fraction(train=0.8) }
    """
    if name is None:
        return Draft(
            span, "`bespoke` learns on some inputs and is measured on others, and this model has none",
            "write `solver auto(error=1e-3)`: there is one trajectory",
        )  # fmt: skip
    return Draft(
        span, f"`bespoke` has no inputs to learn on beside those it is measured on: `{name}` has no finite bounds",
        f"give it bounds, `input {name}: ... in (low, high)`, or hold data out, `split fraction(train=0.8)`",
    )  # fmt: skip


@message("E689")
def learned_steps_miss(span: Span | None, error: str, steps: int, found: str) -> Draft:
    """No number of steps whose coefficients can be learned in reasonable time stays within the stated error.

    A learned scheme is worth its while for errors of some 1e-2 to 1e-5. Below that schemes of a high order need fewer
    evaluations, and `auto` finds them.
    """
    return Draft(
        span, f"`bespoke` does not reach the error {error}; the nearest, {steps} steps, reaches {found}",
        f"write `solver auto(error={error})`, or `solver bespoke(steps={steps})` to have that one",
    )  # fmt: skip
