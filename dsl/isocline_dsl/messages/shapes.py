"""E210 to E249: shapes, sizes, indices and numbers that must be known when compiling."""

from __future__ import annotations

from isocline_dsl.messages.message import Draft, counted, declared, message
from isocline_dsl.tree import Span


@message("E210")
def broadcast_mismatch(span: Span | None, left_shape: str, right_shape: str) -> Draft:
    """The two sides of an elementwise operation have shapes that do not fit.

    Shapes are compared from the last axis backwards; two sizes fit when they are equal or one of them is 1, and an axis
    that only one side has fits always.

        x: real[3], y: real[2]
        z = x + y                # 3 and 2 do not fit

    Take a part of the longer one, `reshape`, or `stack` the values you meant.
    """
    return Draft(
        span,
        f"the shapes {left_shape} and {right_shape} do not fit",
        "sizes must be equal, or one of them 1, from the last axis on",
    )


@message("E211")
def shape_differs(span: Span | None, name: str, found: str, expected: str, declared_at: Span | None = None) -> Draft:
    """A value has another shape than its declaration says.

        output forecast: the value is real[20, 2], the target real[21, 2]

    Correct the declaration, or the expression: `docs/language.md` states the shape that each function and layer gives.
    """
    notes = declared(f"`{name}` is declared", declared_at)
    return Draft(span, f"`{name}` is {found}, expected {expected}", notes=notes)


@message("E212")
def net_argument_shape(
    span: Span | None, net: str, argument: str, found: str, expected: str, several: bool = False
) -> Draft:
    """A net is called with an argument of another shape than it declares.

    net f(z: real[2]) -> real = ...
    y = f(x)                 # x is real[3]

    `f(paths, over=samples)` is the net of each sample of a stochastic solve.
    """
    hint = f"`{net}(..., over=samples)` is the net of each sample of the solve" if several else None
    return Draft(span, f"`{argument}` of `{net}` is {found}, expected {expected}", hint)


@message("E213")
def net_argument_count(span: Span | None, net: str, found: int, expected: int) -> Draft:
    """A net is called with too few or too many arguments.

    In a pipeline the value on the left of `|>` is the first argument.
    """
    return Draft(span, f"`{net}` is called with {found} arguments, expected {expected}")


@message("E214")
def matmul_mismatch(span: Span | None, left_shape: str, right_shape: str, left_size: str, right_size: str) -> Draft:
    """The two sides of `@` do not fit.

    `A @ x` joins the last axis of A with the first axis of x when x is a vector, and with the last but one when it is a
    matrix: their sizes must be equal.

        const W: real[3, 4] = ...
        y = W @ x                # x is real[3]: 4 and 3 do not fit

    Perhaps the other order or the transpose was meant: `x @ W`, `transpose(W) @ x`.
    """
    return Draft(
        span,
        f"the two sides of `@` do not fit: {left_shape} and {right_shape}",
        f"`@` joins the last axis of the left side ({left_size}) with the first axis of the right side ({right_size})",
    )


@message("E215")
def index_out_of_range(span: Span | None, index: int, size: int) -> Draft:
    """An index beyond the end of its axis.

    Indices count from 0; negative ones count from the end, -1 is the last entry.

        x: real[3]
        y = x[3]                 # the entries are x[0], x[1], x[2]
    """
    return Draft(
        span,
        f"the index {index} is outside an axis of size {size}",
        f"indices run from {-size} to {size - 1}",
    )


@message("E216")
def too_many_indices(span: Span | None, shape: str, count: int) -> Draft:
    """More indices than the value has axes.

    The batch axis is implicit and is never indexed.
    """
    return Draft(span, f"{count} indices for a value of shape {shape}")


@message("E217")
def empty_slice(span: Span | None, size: int | str) -> Draft:
    """A slice that selects nothing.

    x: real[3]
    y = x[2:2]               # the end is not included
    """
    return Draft(span, f"this slice of an axis of size {size} is empty", "the end of a slice is not included")


@message("E218")
def bad_slice_step(span: Span | None, step: int) -> Draft:
    """The step of a slice is not positive.

    To turn an axis around use `flip(x, axis=0)`.
    """
    return Draft(span, f"the step of a slice is {step}, expected at least 1")


@message("E219")
def slice_of_symbolic_axis(span: Span | None, size: str) -> Draft:
    """An axis whose size is not known is sliced or indexed at a fixed place.

    A size such as `T` is known only when the model runs; the entry 5 need not exist. The first entry always does.
    """
    return Draft(span, f"the size of this axis, `{size}`, is not known when compiling", "only `[0]` is sure to exist")


@message("E220")
def ragged_array(span: Span | None) -> Draft:
    """The rows of a matrix written in brackets have different lengths.

    const A: real[2, 2] = [[1, 2], [3]]
    """
    return Draft(span, "the rows of this array have different lengths")


@message("E221")
def empty_array(span: Span | None) -> Draft:
    """An array without entries.

    Brackets stack their entries along a new first axis; without entries there is nothing to stack.
    `zeros(n)` makes an array of zeros.
    """
    return Draft(span, "this array has no entries")


@message("E222")
def not_a_known_number(span: Span | None, named: str | None = None) -> Draft:
    """A number is needed that is known when compiling.

    Sizes, counts, axes, times of a solve and options of layers shape the graph. They are numbers, names of `const`, or
    arithmetic over them; a value that depends on an input or a parameter is known only later.

        h = x |> dense(n)        # const n = 16, not param n

    A `const` is such a number, or an array of them. What a function makes of numbers is a definition, without `const`;
    it is computed once, when compiling.

        x = linspace(0, 1, 5)
    """
    hint = "write a number, a `const`, or arithmetic over them"
    if named is not None:
        hint = f"leave `const` away: `{named} = ...` is computed once, when compiling"
    return Draft(span, "this is not known when compiling", hint)


@message("E223")
def not_an_integer(span: Span | None, found: str) -> Draft:
    """A whole number is needed: a size, a count, an index or an axis."""
    return Draft(span, f"found {found}, expected a whole number")


@message("E224")
def arithmetic_fault(span: Span | None, reason: str) -> Draft:
    """Arithmetic over known numbers fails: a division by zero, the logarithm of a negative number, an overflow."""
    return Draft(span, f"this cannot be computed: {reason}")


@message("E236")
def type_too_large(span: Span | None, count: int, most: int) -> Draft:
    """A type of more entries than fit into a model: of one sample, ten million at most. Mostly a zero too many.

    input x: real[1000000000]        # eight gigabytes for each sample
    """
    return Draft(span, f"this type has {counted(count)} entries, more than {most}", "check the sizes")


@message("E237")
def inlined_too_large(span: Span | None, name: str, parts: int, most: int) -> Draft:
    """Nets and fields that would be larger than any model, once each call is written out.

    A call of a net puts its body there. Nets that call others twice each double with every level:

        net a(z: real) = tanh(z)
        net b(z: real) = a(a(z))          # twice as large as a
        net c(z: real) = b(b(z))          # four times

    A value that is used twice is computed once when it has a name: `u = a(z)`.
    """
    what = f"`{name}`, with what it calls written out," if name else "this, with the nets it calls written out,"
    found = f"{what} has {counted(parts)} parts, more than {most}"
    return Draft(span, found, "call fewer nets, or repeat by a `solve` of steps")


@message("E225")
def size_name_not_capital(span: Span | None, name: str) -> Draft:
    """A size that is neither a number, nor a constant, nor a symbolic size.

    A name with a capital letter, such as `T`, stands for a size that is known only when the model runs. Any other name
    must be a `const`.

        input x: real[n]         # const n = 3, or real[N]
    """
    return Draft(
        span,
        f"the size `{name}` is not known",
        f"declare `const {name} = ...`, or write `{name.capitalize()}` for any size",
    )


@message("E226")
def size_not_positive(span: Span | None, size: int) -> Draft:
    """A size of an axis is zero or negative. Every axis has at least one entry."""
    return Draft(span, f"the size of an axis is {size}, expected at least 1")


@message("E227")
def weight_shape_differs(span: Span | None, name: str, found: str, expected: str) -> Draft:
    """A layer is used twice with values of different shapes.

    A net owns its weights: called twice, it uses the same ones, so both calls must give it the same shapes.
    """
    return Draft(span, f"the weight `{name}` has the shape {found} here, expected {expected}")


@message("E228")
def symbolic_size_in_weight(span: Span | None, size: str) -> Draft:
    """A weight would have a size that is not known when compiling.

        input x: real[T]
        h = x |> dense(8)        # the weight would be [8, T]

    Use an operation that works for any length: `gru`, `mean(axis=...)`, a convolution along the axis.
    """
    return Draft(span, f"a weight cannot have the size `{size}`, which is known only when the model runs")


@message("E229")
def expression_out_of_place(span: Span | None, form: str) -> Draft:
    """A form that has no value of its own where a value belongs.

    A range `0..20` belongs after `over` and `at`. `solve` and `scan` stand alone on the right of a definition
    or an output of the file, which gives the solution its name.
    """
    hint = "give it a name of its own: `h = solve ...`" if form == "solve" else "a value was expected"
    return Draft(span, f"a {form} cannot stand here", hint)


@message("E230")
def net_keyword(span: Span | None, net: str, keyword: str) -> Draft:
    """A net is called with a named argument. The arguments of a net are given in their order.

    The one exception is `over=samples`, for the net of each sample of a stochastic solve.
    """
    return Draft(
        span,
        f"`{net}` is a net of this file and takes no named argument `{keyword}`",
        "give the arguments in their order",
    )


@message("E231")
def attribute_of_value(span: Span | None, name: str) -> Draft:
    """A state is taken from something that is not a solution.

    `path.hare` is the state `hare` of the solution `path = solve ...`. Entries of a vector are taken with `x[0]`.
    """
    return Draft(
        span,
        f"only a solution has states: `.{name}` has nothing to refer to",
        "write `x[0]` for an entry of a vector",
    )


@message("E232")
def class_as_number(span: Span | None, name: str) -> Draft:
    """A class is used as if it were a number.

    `class[10]` is one of ten labels, and arithmetic with labels means nothing. `one_hot(label)` is a vector
    of zeros with a one, `cross_entropy(logits, label)` the usual loss.
    """
    return Draft(span, f"`{name}` is a class, not a number", "use `one_hot` or `cross_entropy`")


@message("E233")
def condition_expected(span: Span | None, found: str) -> Draft:
    """A condition is needed where a number stands, or a number where a condition stands.

    Comparisons give conditions; `and`, `or`, `not` and the first argument of `where` take them.
    """
    return Draft(span, f"found {found}, expected a condition", "compare it: `x > 0`")


@message("E235")
def number_expected(span: Span | None) -> Draft:
    """A condition stands in arithmetic, where true and false are not 1 and 0.

    n = 1 + (x > 0)          # write 1 + where(x > 0, 1, 0)
    """
    return Draft(span, "this is a condition, expected a number", "write `where(condition, 1, 0)`")
