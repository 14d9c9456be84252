"""E4xx: parameters, and what `data`, `train` and `deploy` declare."""

from __future__ import annotations

from collections.abc import Collection

from isocline_dsl.messages.message import Draft, did_you_mean, message
from isocline_dsl.tree import Span


@message("E401")
def missing_loss(span: Span | None) -> Draft:
    """`train` has no loss: nothing says what training should make small.

    train { loss mean((forecast - pelts)^2) }
    """
    return Draft(span, "`train` has no loss", "write `loss mean((forecast - target)^2)`")


@message("E403")
def missing_output(span: Span | None) -> Draft:
    """The file declares no output, so the model would compute nothing.

    output forecast = stack(path.hare, path.lynx, axis=-1)
    """
    return Draft(span, "the model has no output", "write `output NAME = ...`")


@message("E404")
def missing_data(span: Span | None) -> Draft:
    """`train` needs data, but the file has no `data` block.

    data { source "pelts.csv"; first = row(0, hare, lynx); pelts = rows(hare, lynx) }
    """
    return Draft(span, "training needs data, but there is no `data` block", 'add `data { source "..." }`')


@message("E405")
def unknown_optimizer(span: Span | None, name: str, known: Collection[str]) -> Draft:
    """An optimizer that does not exist. `docs/language.md` lists those that do, with their options."""
    return Draft(span, f"there is no optimizer `{name}`", did_you_mean(name, known))


@message("E406")
def unknown_schedule(span: Span | None, name: str, known: Collection[str]) -> Draft:
    """A schedule of the learning rate that does not exist."""
    return Draft(span, f"there is no schedule `{name}`", did_you_mean(name, known))


@message("E407")
def unknown_solver(span: Span | None, name: str, known: Collection[str]) -> Draft:
    """A solver that does not exist.

    `train` may use adaptive solvers and schemes with fixed steps, `deploy` only the latter.
    """
    return Draft(span, f"there is no solver `{name}`", did_you_mean(name, known))


@message("E408")
def unknown_regularizer(span: Span | None, name: str, known: Collection[str], losses: Collection[str] = ()) -> Draft:
    """A regularizer that does not exist. `docs/language.md` lists those that do, with their formulas."""
    hint = f"it is a loss: `loss {name}(...)`" if name in losses else did_you_mean(name, known)
    return Draft(span, f"there is no regularizer `{name}`", hint)


@message("E409")
def unknown_attribution(span: Span | None, name: str, known: Collection[str]) -> Draft:
    """An attribution method that does not exist.

    `saliency`, `input_x_gradient`, `integrated_gradients`, `smoothgrad` and `expected_gradients` follow the gradient,
    `occlusion` does without it, `adjoint_path` shows when an outcome was decided, `parameter_sensitivity` what it owes
    to the declared parameters.
    """
    return Draft(span, f"there is no attribution method `{name}`", did_you_mean(name, known))


@message("E410")
def unknown_distribution(span: Span | None, name: str, known: Collection[str]) -> Draft:
    """A distribution that does not exist, in a prior or a draw."""
    return Draft(span, f"there is no distribution `{name}`", did_you_mean(name, known))


@message("E411")
def adaptive_solver_in_deploy(span: Span | None, name: str) -> Draft:
    """`deploy` names an adaptive solver.

    The deployed graph has a fixed number of steps, so that its time and its result do not depend on anything but the
    input. `auto(error=1e-3)` finds the cheapest scheme and number of steps that stay within an error; `rk4(steps=40)`
    names them.
    """
    return Draft(
        span,
        f"`{name}` is adaptive and cannot be deployed",
        f"write `auto(error=1e-3)`, or `{name}(steps=40)` with fixed steps",
    )


@message("E412")
def bad_bounds(span: Span | None, low: str, high: str) -> Draft:
    """The lower bound is not below the upper one.

    param k: real in (10, 0) # write in (0, 10)
    """
    return Draft(span, f"the bounds ({low}, {high}) hold nothing between them", "the lower bound comes first")


@message("E413")
def initial_outside_bounds(span: Span | None, name: str, value: str, low: str, high: str) -> Draft:
    """The initial value of a parameter is not strictly inside its bounds.

    Bounds hold by a smooth bijection that reaches its ends only at infinity, so an initial value on a bound is outside,
    too.

        param k: positive = 0    # write a small number, 1e-3
    """
    return Draft(span, f"`{name}` starts at {value}, outside ({low}, {high})", "start strictly between the bounds")


@message("E415")
def setting_value(span: Span | None, key: str, found: str, expected: str) -> Draft:
    """A setting with a value of the wrong kind.

    train { epochs many }    # expected a whole number
    """
    return Draft(span, f"`{key}` is {found}, expected {expected}")


@message("E416")
def loss_not_scalar(span: Span | None, found: str) -> Draft:
    """The loss is not one number.

    `mean`, `sum` or a loss function reduces an array to a number a sample; the mean over the batch is taken for you.
    """
    return Draft(span, f"this term of the loss is {found}, expected a number", "take the `mean` of it")


@message("E419")
def check_missed(span: Span | None, left: str, relation: str, right: str) -> Draft:
    """A `check` of the file does not hold on the held-out data.

    The build stops: a model that misses what its author demanded is not deployed. Train longer, change the
    model, or change the demand.
    """
    return Draft(span, f"the check fails: {left} is not {relation} {right}")


@message("E420")
def check_not_a_comparison(span: Span | None, alone: str | None = None) -> Draft:
    """`check` needs a comparison, unless it is one of those that are proved of a field or a solution.

    check relative_rmse(forecast, pelts) < 0.4
    check stable(path)
    """
    hint = f"did you mean `check {alone}(...)`?" if alone else "write `check ERROR < BOUND`"
    return Draft(span, "`check` needs a comparison", hint)


@message("E422")
def const_shape(span: Span | None, name: str, found: str, expected: str) -> Draft:
    """The value of a constant has another shape than its type says."""
    return Draft(span, f"the value of `{name}` is {found}, expected {expected}")


@message("E426")
def loss_without_weights(span: Span | None, flat: str | None) -> Draft:
    """Training moves parameters and weights along the derivative of the loss, and the loss depends on none of them.

        train { loss mean(z^2) }     # z is data: nothing that is trained changes it

    Steps such as `floor`, `argmax`, a comparison or `accuracy` are flat between their jumps: through them no derivative
    comes back. Compare an output of the model with a target by a loss that is not flat, `mse` or `cross_entropy`.
    """
    if flat is not None:
        found = f"the loss depends on what is trained only through `{flat}`, whose derivative is zero"
        return Draft(
            span, found, "use a loss that is not flat, such as `mse(y, target)` or `cross_entropy(scores, label)`"
        )
    cure = "compare an output of the model with a target: `loss mse(y, target)`"
    return Draft(span, "the loss depends on nothing that is trained", cure)


@message("E427")
def repeated_term(span: Span | None, text: str) -> Draft:
    """The same text stands twice among the terms of the loss and the regularizers.

    Terms are added, and the table of an epoch shows each of them by its text. Give the term a factor, or take it away.

        train { loss 2*mse(y, seen) }
    """
    return Draft(
        span, f"`{text}` is a term of the loss already", f"write `2*({text})` to count it twice, or take it away"
    )


@message("E434")
def only_nothing(span: Span | None, name: str, known: Collection[str]) -> Draft:
    """`only` names what a block trains: a net, a parameter, a field or a value with weights of its own.

    train drift { loss mse(path, next); only drift_net, speed }
    """
    return Draft(span, f"nothing that is trained goes by `{name}`", did_you_mean(name, known))


@message("E435")
def unknown_train_block(span: Span | None, name: str, known: Collection[str]) -> Draft:
    """`alternate` names another block `train` of the file, one that no further block takes turns with.

    train critic { loss mean(score(made)) - mean(score(seen)); only score }
    train generator { loss -mean(score(made)); only generator_net; alternate critic(updates=5); epochs 100 }
    """
    return Draft(span, f"there is no block `train {name}` to take turns with", did_you_mean(name, known))


@message("E436")
def setting_of_turns(span: Span | None, key: str, block: str) -> Draft:
    """A block that another takes turns with is trained on the other's batches, as long as the other is.

    train critic { loss mean(score(made)) - mean(score(seen)); only score; epochs 50 }    # the epochs of which?
    """
    return Draft(span, f"`{key}` in a block that takes turns", f"write it in `train {block}`, or leave it out")


@message("E437")
def turns_without_only(span: Span | None, block: str) -> Draft:
    """Blocks that take turns share what they compute, so each says with `only` which weights are its own.

    Without it the one would train the other's weights, in a game of two against their loss.
    """
    return Draft(span, f"`train {block}` takes turns, and does not say what it trains", "write `only NAME`")
