"""E28x and E29x: a function, a layer or another callable thing is called with arguments it cannot take."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from isocline_dsl.messages.message import Draft, counted, did_you_mean, message
from isocline_dsl.tree import Span


@message("E280")
def unknown_keyword(span: Span | None, callee: str, keyword: str, known: Iterable[str]) -> Draft:
    """A named argument that the function does not have.

        x |> dense(16, bais=false)       # did you mean `bias`?

    `isocline explain dense` prints the arguments of a function and their defaults.
    """
    return Draft(span, f"`{callee}` has no argument `{keyword}`", did_you_mean(keyword, known))


@message("E281")
def too_many_arguments(span: Span | None, callee: str, given: int, most: int, usage: str) -> Draft:
    """More arguments than the function takes.

    In a pipeline the value on the left of `|>` is the first argument: `x |> tanh(x)` gives `tanh` two.
    """
    return Draft(span, f"`{callee}` takes {_count(most)}, found {given}", f"usage: {usage}")


@message("E282")
def argument_missing(span: Span | None, callee: str, name: str, usage: str) -> Draft:
    """An argument without a default is not given.

    x |> dense                       # how many units?
    """
    return Draft(span, f"`{callee}` needs the argument `{name}`", f"usage: {usage}")


@message("E283")
def argument_given_twice(span: Span | None, callee: str, name: str) -> Draft:
    """An argument is given by its place and by its name.

    x |> dense(16, units=16)
    """
    return Draft(span, f"`{name}` of `{callee}` is given twice, by its place and by its name")


@message("E284")
def wrong_argument(span: Span | None, callee: str, name: str, expected: str, found: str) -> Draft:
    """An argument of the wrong kind.

    Numbers such as a count of units, an axis or a size shape the graph, so they must be known when compiling: a
    number, a `const`, or arithmetic over them. A value that depends on an input or a weight is not known then.

        x |> dense(2.5)                  # a count is a whole number
    """
    return Draft(span, f"`{name}` of `{callee}` is {found}, expected {expected}")


@message("E285")
def unknown_word(span: Span | None, callee: str, name: str, word: str, known: Iterable[str]) -> Draft:
    """An argument that is one of several words is given another one.

    x |> dense(16, init=glorto)      # did you mean `glorot`?
    """
    known = tuple(known)
    hint = did_you_mean(word, known)
    if hint is None:
        hint = f"known: {', '.join(sorted(known))}"
    return Draft(span, f"`{word}` is no choice for `{name}` of `{callee}`", hint)


@message("E286")
def no_such_axis(span: Span | None, callee: str, axis: int, type_: str, rank: int) -> Draft:
    """An axis that the value does not have.

    Axes are counted from 0 in a single sample; the batch axis is implicit and is not counted. -1 is the last axis.

        mean(x, axis=2)                  # x: real[3, 4] has the axes 0 and 1
    """
    if rank == 0:
        return Draft(span, f"`{callee}` has no axis {axis} to work along: the value is {type_}, a single number")
    hint = "its only axis is 0" if rank == 1 else f"the axes are 0 to {rank - 1}, or -{rank} to -1 from the end"
    return Draft(span, f"`{callee}` has no axis {axis} to work along: the value is {type_}", hint)


@message("E287")
def axis_twice(span: Span | None, callee: str, axis: int) -> Draft:
    """The same axis is named twice.

    transpose(x, 0, 0)
    """
    return Draft(span, f"`{callee}` is given the axis {axis} twice", "-1 and the last axis are the same one")


@message("E288")
def wrong_rank(span: Span | None, callee: str, expected: str, found: str) -> Draft:
    """A value with another number of axes than the function works on.

    image |> conv(16)                # conv takes [channels, length] or [channels, height, width]
    """
    return Draft(span, f"`{callee}` takes {expected}, found {found}")


@message("E289")
def shapes_differ(span: Span | None, callee: str, left: str, right: str, expected: str) -> Draft:
    """Arguments whose shapes do not go together in this function."""
    return Draft(span, f"the arguments of `{callee}` do not fit: {left} and {right}", expected)


@message("E290")
def not_square(span: Span | None, form: str, inputs: int, units: int) -> Draft:
    """A weight that is symmetric, antisymmetric, negative definite or dissipative is a square matrix.

    h |> dense(32, weight=antisymmetric(damping=0.1))      # h: real[64] needs dense(64, ...)
    """
    return Draft(
        span,
        f"{_article(form)} {form} weight is square, but it would map {inputs} to {units}",
        f"write dense({inputs}, ...)",
    )


@message("E297")
def kernel_not_square(span: Span | None, form: str) -> Draft:
    """A symmetric or antisymmetric convolution maps a signal to one of its own shape.

    image |> conv(16, kernel=3, pad=1, weight=antisymmetric)     # image: real[16, 32, 32]

    Its transpose must be a convolution with a kernel of the same window: as many channels out as in, in one group, an
    odd kernel, stride 1, and dilation*(kernel - 1)/2 as `pad`.
    """
    return Draft(
        span,
        f"{_article(form)} {form} convolution keeps the shape of its signal, and this one does not",
        "as many channels out as in, an odd `kernel`, `pad` half of it, no `stride` and no `groups`",
    )


@message("E291")
def not_divisible(span: Span | None, callee: str, what: str, count: int, groups: int) -> Draft:
    """Groups must divide the channels.

    image |> groupnorm(3)            # 16 channels do not fall into 3 equal groups
    """
    divisors = ", ".join(str(n) for n in range(1, min(count, 512) + 1) if count % n == 0)
    return Draft(
        span,
        f"`{callee}` cannot divide {count} {what} into {groups} groups",
        f"{count} is divisible by {divisors}",
    )


@message("E292")
def not_a_class(span: Span | None, callee: str, found: str) -> Draft:
    """A label must be of type `class[n]`: a whole number from 0 to n - 1.

    target label: class[10]
    loss cross_entropy(logits, label)
    """
    return Draft(span, f"`{callee}` needs a class, found {found}", "declare it as `class[n]`")


@message("E295")
def too_many_entries(span: Span | None, callee: str, count: int, most: int) -> Draft:
    """An array that no model needs, and that would not fit into memory. Mostly a zero too many."""
    return Draft(span, f"`{callee}` would make {counted(count)} entries, more than {most}", "check the sizes")


@message("E296")
def sequence_too_long(span: Span | None, callee: str, length: int, most: int) -> Draft:
    """A recurrent layer over a sequence so long that its graph would be.

    The layer is written out step by step, so that the deployed graph holds no loop. Shorten the sequence, with a
    strided convolution or a mean over windows, before it.
    """
    return Draft(span, f"`{callee}` would go over {length} steps, more than {most}", "shorten the sequence before it")


@message("E293")
def reshape_count(span: Span | None, found: str, wanted: str) -> Draft:
    """Reshaping keeps the number of entries.

    reshape(x, 5, 5)                 # x: real[24]
    """
    return Draft(
        span,
        f"{found} cannot be reshaped to {wanted}",
        "the products of the sizes must be equal; one size may be -1",
    )


@message("E294")
def window_too_large(span: Span | None, callee: str, size: int, window: int) -> Draft:
    """A kernel that is larger than what it slides over.

    The kernel, spread by its dilation, must fit into the padded length at least once.
    """
    return Draft(
        span,
        f"the window of `{callee}` covers {window}, but there are only {size}",
        "make the kernel smaller, or pad",
    )


@message("E298")
def learned_out_of_place(span: Span | None, scheme: str, key: str, known: Sequence[tuple[str, str]]) -> Draft:
    """A coefficient is learned where the scheme is part of the model, behind `with`: it is a weight of each step.

    In `train` and `deploy` a scheme is how an equation is solved, and has nothing to learn; nor have the numbers of
    most schemes, which follow from their order.

        h = solve block from h = x over 0..1 with lm2(steps=8, k=learned)
    """
    told = ", ".join(f"`{option}` of `{name}`" for name, option in known)
    return Draft(span, f"`{key}` of `{scheme}` cannot be learned here", f"behind `with` of a solve these can: {told}")


def _article(word: str) -> str:
    return "an" if word[:1] in "aeiou" else "a"


def _count(most: int) -> str:
    return "no argument" if most == 0 else "1 argument" if most == 1 else f"{most} arguments"
