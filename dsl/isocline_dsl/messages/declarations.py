"""Types and values of declarations, and what the settings of a block may hold: E423 to E425, E44x."""

from __future__ import annotations

from collections.abc import Collection

from isocline_dsl.messages.message import Draft, did_you_mean, message
from isocline_dsl.tree import Span


@message("E440")
def at_without_step(span: Span | None) -> Draft:
    """`solve ... at a..b` keeps the solution at every time of the range, so the range needs a step.

    `at 0..20 step 1` gives 21 values, 0 and 20 included. To keep only the end, write `over 0..20`.
    """
    return Draft(span, "`at` needs the times at which the solution is kept", "write `at a..b step h`, or `over a..b`")


@message("E441")
def step_without_at(span: Span | None) -> Draft:
    """`solve ... over a..b` keeps only the end of the solution, so a step between kept times has no meaning there.

    How many steps the scheme takes is said by the scheme: `with rk4(steps=20)`. To keep the solution every
    h, write `at`.
    """
    return Draft(
        span,
        "`over` keeps only the end, so its range has no step",
        "write `at a..b step h` to keep every time",
    )


@message("E442")
def check_not_a_number(span: Span | None, found: str) -> Draft:
    """A `check` compares two numbers for the whole held-out split, so each side must be one number.

    Write `check rmse(forecast, observed) < 0.1`; a metric such as `rmse` or `accuracy` makes one number of all samples.
    """
    return Draft(span, f"a check compares numbers, and this is {found}", "use a metric, such as `rmse(a, b)`")


@message("E443")
def check_of_inner_value(span: Span | None, name: str, known: Collection[str]) -> Draft:
    """A `check` is about what the deployed model answers, so it may use outputs, inputs and targets,
    nothing from inside.

    If a value inside matters, make it an output: `output name`.
    """
    return Draft(
        span,
        f"a check cannot see `{name}`: it is not an output, an input or a target",
        did_you_mean(name, known),
    )


@message("E444")
def class_without_count(span: Span | None) -> Draft:
    """A class label is a whole number from 0 below the number of classes, so the type says how many there are.

    Write `class[10]` for ten classes; there must be at least two.
    """
    return Draft(span, "a class type says how many classes there are, at least 2", "write `class[10]`")


@message("E445")
def column_name_expected(span: Span | None) -> Draft:
    """In the block `data`, the arguments of `row`, `rows`, `columns`, ... are names of columns of the file.

    A column whose name is not a plain word is written in quotes: `columns("pixel 0")`.
    """
    return Draft(span, "expected the name of a column", 'write a word, or text in quotes: `"pixel 0"`')


@message("E446")
def net_argument_type(span: Span | None, name: str) -> Draft:
    """Every argument of a net states its type, because its weights have sizes that follow from it.

    Write `net f(z: real[2]) = ...`.
    """
    return Draft(span, f"the argument `{name}` has no type", f"write `{name}: real[n]`")


@message("E447")
def param_type(span: Span | None, kind: str) -> Draft:
    """A parameter is trained by gradient, so it is a real number or an array of them.

    Write `param k: real`, `param k: positive` or `param k: real[3] in (0, 1)`.
    """
    return Draft(span, f"a parameter cannot be a `{kind}`", "parameters are `real` or `positive`")


@message("E448")
def state_type(span: Span | None, name: str) -> Draft:
    """A state of a field states its type, and moves continuously, so it is a real number or an array of them.

    Write `field f(t, x: real, h: real[16])`.
    """
    return Draft(span, f"the state `{name}` needs a type `real` or `real[...]`", f"write `{name}: real`")


@message("E449")
def times_not_a_list(span: Span | None, found: str) -> Draft:
    """`at` takes a range with a step, or a list of times: `at [0, 0.5, 2]`, or an input of type `time[n]`."""
    return Draft(span, f"the times of a solve are a range or a list, and this is {found}", "write `at 0..20 step 1`")


@message("E423")
def unknown_data_form(span: Span | None, found: str, known: Collection[str]) -> Draft:
    """A name in the block `data` says how its values are taken from the file.

    `row(i, columns...)` is one row, `rows(columns...)` all rows as one sample, `column(c)` and `columns(a,
    b)` one sample a row, `past(n, c)` and `future(n, c)` are windows of a series, `array(name)` is an array
    of an npz or safetensors file.
    """
    return Draft(span, f"`{found}` is not a way to take values from data", did_you_mean(found, known))


@message("E424")
def regularizer_setting(span: Span | None, name: str) -> Draft:
    """Some regularizers change how a solve is trained and have no value of their own, so they cannot be multiplied.

    Write `regularize 0.01 * kinetic_energy(f) + steer(0.25)`.
    """
    return Draft(span, f"`{name}` has no value: it stands alone, or as a term of a sum", None)


@message("E425")
def unknown_early_stop(span: Span | None, name: str, known: Collection[str]) -> Draft:
    """`early_stop` says when to stop before the last epoch: `early_stop patience(20)` stops when the loss
    on the validation split has not improved for 20 epochs.
    """
    return Draft(span, f"there is no rule `{name}` for stopping early", did_you_mean(name, known))
