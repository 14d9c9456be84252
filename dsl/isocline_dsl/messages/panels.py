"""Panels: data whose rows belong to subjects, and parameters that each subject has."""

from __future__ import annotations

from collections.abc import Collection

from isocline_dsl.messages.message import Draft, did_you_mean, message
from isocline_dsl.tree import Span


@message("E414")
def group_without_prior(span: Span, name: str, group: str) -> Draft:
    """A parameter of each member of a group has no prior.

    `param ka[subject]: positive ~ lognormal(m, s)` is one number for each subject. What they have in common is their
    distribution, which also says what a subject has that nobody measured. Its own parameters may be parameters. Where
    the subjects have nothing in common, each is a model of its own.

        param m: real
        param s: positive
        param ka[subject]: positive ~ lognormal(m, s)
    """
    return Draft(span, f"`{name}` of each `{group}` has no distribution", f"write `~ normal(m, s)` behind `{name}`")


@message("E417")
def group_of_no_input(span: Span, name: str, kind: str, known: Collection[str]) -> Draft:
    """The brackets behind the name of a parameter do not hold an input of type `group`.

    The input says whose number is meant, in training and when the model is run; its type says how many there are.

        input subject: group[59]
        param ka[subject]: positive ~ lognormal(0, 1)
    """
    what = f"`{name}` is {'an' if kind[:1] in 'aeiou' else 'a'} {kind}" if kind else f"nothing is called `{name}` here"
    near = did_you_mean(name, known) if not kind else None
    hint = near or f"declare `input {name}: group[n]`, n the number of its members"
    return Draft(span, f"{what}, where an input of type `group` says whose number it is", hint)


@message("E418")
def group_prior(span: Span, reason: str) -> Draft:
    """The distribution of a parameter of each member of a group cannot be used.

    It is `normal`, `lognormal`, `student_t` or `cauchy`: around a middle, which is the value of a member that was never
    seen. Its arguments are numbers or parameters of the whole population, and the same for all members; what differs
    with a covariate of each stands where the parameter is used.

        param m: real
        param s: positive
        param ka[subject]: positive ~ lognormal(m, s)
        clearance = ka*weight
    """
    return Draft(span, f"the members of a group have one distribution around a middle: {reason}")


@message("E438")
def marginal_without_density(span: Span | None, reason: str) -> Draft:
    """Parameters of a group are fitted by the likelihood of the population, and the loss is none.

    How much the members differ is estimated from the density of all that was observed, whatever their own parameters
    are. So the loss is a negative log density, such as `gaussian_nll(mean, observed, std)` with `std` a parameter.
    """
    return Draft(
        span,
        f"parameters of a group need a loss that is a log density: {reason}",
        "write `gaussian_nll(mean, observed, std)`",
    )


@message("E439")
def marginal_setting(span: Span | None, setting: str, found: str, expected: str) -> Draft:
    """A setting of `train` that parameters of a group do not go with.

    The likelihood of the population integrates over the parameters of each member, around their most probable values,
    which are found anew at each evaluation by Newton's method. That takes all rows of a member together, second
    derivatives, and float64.
    """
    return Draft(span, f"parameters of a group are fitted with `{setting} {expected}`, found {found}")


@message("E534")
def group_count(span: Span | None, name: str, found: int, expected: int) -> Draft:
    """The data have another number of subjects than the type of the input says.

    `input subject: group[59]` has 59 members, each a different value in the column that it is bound to.
    """
    return Draft(
        span,
        f"the column of `{name}` names {found} members, and its type {expected}",
        f"declare `{name}: group[{found}]`",
    )


@message("E535")
def group_form(span: Span | None, name: str, form: str) -> Draft:
    """The members of a group are read from one column, a row after another: `subject = column(id)`."""
    return Draft(span, f"`{name}` says whose rows they are, and is bound by `{form}`", f"write `{name} = column(...)`")


@message("E536")
def group_rows_differ(span: Span | None, port: str, first: str, rows: int, other: str, found: int) -> Draft:
    """`rows` of subjects of which some have more rows than others.

    With `group`, `rows(a)` is a sample for each subject: all of its rows. An array has one length; where the subjects
    have different numbers of rows, let each row be a sample (`column`), or windows of one length (`past`, `future`).
    """
    return Draft(
        span, f"`{port}` takes all rows of a subject, and {first} has {rows}, {other} {found}",
        "let each row be a sample: `column(...)`, or a window: `past(n, ...)`",
    )  # fmt: skip


@message("E537")
def group_apart(span: Span | None, path: str, line: int, column: str, member: str) -> Draft:
    """The rows of a subject do not stand together.

    Windows, and samples of all rows, take rows that follow one another. Sort the file by subject, and by time within.
    """
    return Draft(
        span,
        f"{path}, line {line}: `{column}` is {member} again, after rows of others",
        "sort the file by subject first",
    )


@message("E538")
def group_too_short(span: Span | None, path: str, needed: int, longest: int) -> Draft:
    """No subject has as many rows as a window needs. Windows never run from one subject into the next."""
    return Draft(span, f"{path}: a window needs {needed} rows of one subject, and none has more than {longest}")


@message("E539")
def several_groups(span: Span, name: str, first: str) -> Draft:
    """Parameters of two groups.

    The likelihood of the population is a product over the members of one group. Where subjects are nested in centres,
    or observed on several occasions, parameters of the larger group are not in the language.
    """
    return Draft(span, f"parameters of `{name}` stand beside those of `{first}`", "let all be of one group")
