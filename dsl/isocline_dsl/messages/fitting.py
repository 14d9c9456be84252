"""E45x and E46x: what goes wrong while a model is trained."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from isocline_dsl.diagnostics import Note
from isocline_dsl.messages.message import Draft, message
from isocline_dsl.tree import Span


@message("E450")
def nothing_to_train(span: Span | None) -> Draft:
    """Training was asked for, but the file has no block `train`.

    A model of constants is complete as it is: compile it without training.
    """
    return Draft(span, "there is no `train` block", "compile the file without training, or say what to minimise")


@message("E451")
def training_not_finite(
    span: Span | None, what: str, epoch: int, step: int, where: str, before: str, kept: str | None
) -> Draft:
    """The loss, or its gradient, became infinite or not a number.

    The message marks the first equation, in the order of computing, whose value is not finite although
    everything it is made of is. Often the learning rate is too high, a state runs away before the end of the
    solve, or a logarithm or a root meets a value that is not positive. The last weights for which all was
    finite are kept.
    """
    notes = [Note(f"before: {before}")]
    if kept is not None:
        notes.append(Note(f"the last finite weights are in {kept}"))
    return Draft(
        span,
        f"the {what} is not finite in epoch {epoch}, step {step}: {where}",
        "try a lower learning rate, `clip`, or bounds on the parameters",
        tuple(notes),
    )


@message("E452")
def solve_stalled(span: Span | None, field: str, t: str, state: str, solver: str) -> Draft:
    """An adaptive solver made its steps smaller and smaller until time no longer advanced.

    The solution runs away to infinity near that time, jumps, or is not finite: the equations have no solution
    there, or a stiff one. A bound on the parameters, a field that cannot grow faster than its state (`tanh`
    at the end), or looser tolerances help.
    """
    return Draft(
        span,
        f"`{solver}` cannot go on in `{field}` at t = {t}: the steps became too small to advance",
        "bound the parameters, or end the field in `tanh`",
        (Note(f"the last finite state is {state}"),),
    )


@message("E453")
def solve_too_long(span: Span | None, field: str, t: str, evaluations: int, solver: str) -> Draft:
    """An adaptive solver needed more evaluations of the field than allowed.

    The equations became stiff, or the tolerances are tighter than the precision in use can give: float32
    cannot give `rtol=1e-9`. Loosen `rtol` and `atol`, raise `evaluations`, or train with a scheme of fixed
    steps.
    """
    return Draft(
        span,
        f"`{solver}` used {evaluations} evaluations of `{field}` and reached only t = {t}",
        f"loosen the tolerances, or allow more: `{solver}(evaluations={10 * evaluations})`",
    )


@message("E454")
def steer_too_wide(span: Span | None, field: str, width: float, length: float) -> Draft:
    """`steer(b)` draws the end of a solve from t1 - b to t1 + b; the solve itself must be longer than b."""
    return Draft(
        span,
        f"`steer({width:g})` would turn the solve of `{field}` round: it is {length:g} long",
        f"use less than {length:g}",
    )


@message("E455")
def steer_needs_adaptive(span: Span | None, field: str, scheme: str) -> Draft:
    """`steer` moves the end of a solve at random, which a scheme of fixed steps does not follow.

    Its grid is part of the graph. Train with an adaptive solver, or take `steer` away.
    """
    return Draft(span, f"`steer` cannot move the end of `{field}`: `{scheme}` has fixed steps")


@message("E456")
def fixed_solver_without_steps(span: Span | None, scheme: str) -> Draft:
    """A scheme of fixed steps was named for training without the number of steps.

    train { solver rk4(steps=20) }
    """
    return Draft(span, f"`{scheme}` needs its number of steps", f"write `{scheme}(steps=20)`")


@message("E457")
def times_not_in_order(span: Span | None, field: str) -> Draft:
    """Times that come with the data must go one way, forwards or backwards, within a sample."""
    return Draft(span, f"the times of `{field}` turn round within a sample, or are not finite")


@message("E458")
def no_checkpoint(path: object) -> Draft:
    """Training was to be resumed from a folder that holds no checkpoint."""
    return Draft(None, f"there is no checkpoint in {path}", "train without `--resume`")


@message("E459")
def checkpoint_unreadable(path: object, reason: str) -> Draft:
    """The checkpoint is damaged, or was written by another version."""
    return Draft(None, f"cannot read the checkpoint {path}: {reason}", "train without `--resume`")


@message("E460")
def resumed_other_file(span: Span | None, path: object) -> Draft:
    """The `.dyn` file changed since the run that is to be resumed began.

    The weights would go on under other equations, and the result could be had from no file. Comments, layout
    and the block `deploy` may change.
    """
    return Draft(span, f"the run in {path} belongs to another text of this file", "train without `--resume`")


@message("E461")
def resumed_other_data(span: Span | None, path: object) -> Draft:
    """The data changed since the run that is to be resumed began."""
    return Draft(span, f"the run in {path} was trained on other data", "train without `--resume`")


@message("E462")
def stop_needs_validation(span: Span | None) -> Draft:
    """Early stopping, and the schedule `plateau`, watch the loss on samples that no gradient has seen.

    data { split fraction(0.8, validation=0.1) }
    """
    return Draft(
        span,
        "there are no validation samples to watch",
        "add `validation=0.1` to the split, or `validation 0.1`",
    )


@message("E463")
def precision_needs_device(span: Span | None, precision: str) -> Draft:
    """Half precision (`fp16`) scales its gradients, which only a GPU does; `bf16` works everywhere."""
    return Draft(span, f"`{precision}` needs a GPU", "use `bf16` or `float32`")


@message("E464")
def statistic_not_finite(span: Span | None, name: str, found: Sequence[float]) -> Draft:
    """The mean or the deviation of a value that is standardised is not finite over the training samples."""
    return Draft(span, f"`{name}` is not finite over the training samples: {', '.join(f'{v:g}' for v in found)}")


@message("E465")
def data_narrowed(span: Span | None, name: str, does: str) -> Draft:
    """Training computes in single precision unless told otherwise, and cannot tell these values apart there.

    Seconds since 1970 are 128 apart in single precision, kelvins near 300 are 3e-5 apart: what is fitted would be
    fitted to other data. Subtract what the values have in common, or train, and deploy, in double precision.

        train { loss mse(x, seen); precision float64 }
        deploy { dtype float64 }
    """
    return Draft(
        span,
        f"float32 cannot hold the data of `{name}`: rounding them {does}",
        "write `precision float64` in `train` and `dtype float64` in `deploy`, or subtract what they have in common",
    )


@message("E466")
def solver_without_noise(span: Span | None, solver: str, field: str, scheme: str) -> Draft:
    """`train` names an adaptive solver for ordinary differential equations, and the field has noise.

    It chooses its steps by the error of a smooth solution; a path that noise drives is smooth nowhere. Name a scheme
    for noise, which steps on a grid, or leave `solver` out.

        train { solver euler_maruyama(steps=64) }
    """
    return Draft(
        span,
        f"`{solver}` cannot step `{field}`: it is for smooth solutions, and a path that noise drives is smooth nowhere",
        f"write `solver {scheme}`",
    )


@message("E467")
def training_noise_needs_steps(span: Span | None, field: str, solver: str) -> Draft:
    """A field with noise that regularizes, such as `dropout`, is to be stepped by an adaptive solver.

    Such a solver chooses its steps by comparing values of the field, and here two values at one place differ. With
    steps that are fixed, each step has its own draw, as each block of a residual network has.

        h = solve f from h = h0 over 0..1 with euler(steps=16)
        train { solver rk4(steps=16) }
    """
    return Draft(
        span,
        f"`{solver}` cannot step `{field}`: here it is random while training, and differs each time it is evaluated",
        f"write `solver rk4(steps=16)` in `train`, put `with euler(steps=16)` behind the solve of `{field}`, or move "
        "the noise out of the field",
    )


@message("E468")
def gradient_not_reversible(span: Span | None, field: str, reason: str, schemes: Collection[str]) -> Draft:
    """With `gradient reversible` each step is undone on the way back, so that no state of the way there is kept.

    So the steps of every solve of the loss have to be undone in closed form, and a field has to be what it was when it
    is evaluated again: without `dropout`.

        h = solve block from q = x, p = x over 0..1 with coupling(steps=100)
        train { loss mean(h.q^2); gradient reversible }
    """
    return Draft(
        span,
        f"the steps of `{field}` cannot be undone for `gradient reversible`: {reason}",
        f"these can: {', '.join(schemes)}; or write `gradient backprop`, which keeps every step",
    )


@message("E469")
def states_not_restored(span: Span | None, field: str, state: str, scheme: str, steps: int, apart: str) -> Draft:
    """With `gradient reversible` the states of a solve are found again from its end, unless rounding has grown too far.

    A gradient at other states would be another gradient. A step of `momentum` is undone by a division by
    gamma = 1 - h/eps, which multiplies what was rounded: by 2^n in n steps where gamma is 1/2.
    """
    return Draft(
        span,
        f"`{state}` of `{field}`, walked back through {steps} steps of `{scheme}`, is {apart} from where it began",
        "write `precision float64`, take fewer steps or less friction a step, or write `gradient backprop`",
    )


@message("E402")
def events_by_adaptive_solver(span: Span | None, solver: str, field: str) -> Draft:
    """An adaptive solver takes the samples of a batch together, and each jumps at times of its own.

    Train on the steps of a scheme; the deployed grid is still chosen and certified by itself.

    train { solver rk4(steps=100) }
    """
    reason = f"`{solver}` takes all samples at one time, and the states of `{field}` jump at times of each sample"
    return Draft(span, reason, "train on steps: `solver rk4(steps=100)`")
