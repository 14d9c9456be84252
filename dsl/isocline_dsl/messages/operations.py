"""E25x and E65x: an operation of the graph that cannot be typed, differentiated or deployed."""

from __future__ import annotations

from isocline_dsl.messages.message import Draft, message
from isocline_dsl.tree import Span


@message("E250")
def operands_do_not_fit(span: Span | None, operation: str, found: str, expected: str) -> Draft:
    """The shapes or kinds that an operation is given do not fit it, or do not fit each other.

        y = concat(a, b)       # a is real[3, 4], b is real[2, 5]: the other axes must agree

    The message names the operation as the compiler knows it, what it was given and what it takes. Shapes are of one
    sample: the batch axis is not shown.
    """
    return Draft(span, f"`{operation}` cannot take {found}", f"it takes {expected}")


@message("E251")
def axis_absent(span: Span | None, operation: str, axis: int, shape: str) -> Draft:
    """An operation along an axis that its argument does not have.

        s = softmax(x, axis=2)       # x is real[3, 4]: its axes are 0 and 1

    Axes are counted from 0, or from -1 backwards.
    """
    return Draft(span, f"`{operation}` works along axis {axis}, which {shape} does not have")


@message("E253")
def size_not_known(span: Span | None, operation: str, size: str) -> Draft:
    """An operation needs the size of an axis that is known only when the model is run.

        y = xs[1:]       # xs is real[T, 3]: the result would have T - 1 rows, a size without a name

    Give the axis a number in the declaration, or write the computation so that it keeps the axis whole.
    """
    return Draft(span, f"`{operation}` needs the size of axis {size}, which is not known when compiling")


@message("E255")
def matrix_not_square(span: Span | None, callee: str, found: str) -> Draft:
    """Equations are solved, and determinants taken, of square matrices: as many equations as unknowns.

        x = solve_linear(A, b)           # A: real[3, 3], b: real[3] or real[3, 2]

    Of more equations than unknowns `solve_linear(transpose(A) @ A, transpose(A) @ b)` is the least squares.
    """
    return Draft(span, f"`{callee}` takes a square matrix, found {found}", "it is `real[n, n]`")


@message("E256")
def matrix_too_large(span: Span | None, callee: str, rows: int, most: int) -> Draft:
    """An elimination is written out, a column at a time, so that it runs wherever ONNX does: for small matrices.

    The operators grow with the rows, the work with their cube. Where a large matrix has structure (blocks, a diagonal
    and a few columns), solve for its parts.
    """
    return Draft(
        span, f"`{callee}` takes matrices of at most {most} rows, found {rows}", "solve for its blocks one by one"
    )


@message("E257")
def singular_matrix(span: Span | None, callee: str) -> Draft:
    """A matrix that is known when compiling, and has no inverse: some of its rows are a combination of the others.

        const A = [[1, 2], [2, 4]]       # the second row is twice the first

    A matrix that becomes singular where the model runs gives values that are not finite there, for that sample alone.
    """
    return Draft(span, f"`{callee}` of a matrix that is singular", "its rows depend on each other: check its entries")


@message("E651")
def no_float64_kernel(span: Span | None, operation: str) -> Draft:
    """The model asks to be deployed in float64, but onnxruntime computes this operation in float32 only.

    Most operations are written in terms of others where that keeps the accuracy; the error function, the inverse
    trigonometric functions, convolution and average pooling cannot be.

        deploy { dtype float64 }

    Deploy in float32 (the default), or write the model without this operation.
    """
    return Draft(span, f"`{operation}` cannot be deployed in float64", "deploy with `dtype float32`")


@message("E652")
def not_emitted(span: Span | None, operation: str) -> Draft:
    """An operation that has no form in ONNX is still in the graph when it is emitted.

    A solve is replaced by the steps of a fixed-step scheme before the graph is emitted; a solve over times that are
    known only when the model is run has no such form yet.
    """
    return Draft(span, f"`{operation}` has no form in ONNX")


@message("E653")
def not_in_c(span: Span | None, reason: str) -> Draft:
    """Something of the model has no form in C: an operation nobody has written, or a size known only when it runs.

    The arrays of generated C have their sizes when it is compiled, and each sample is computed by itself.
    """
    return Draft(span, f"the model has no form in C: {reason}")


@message("E654")
def native_not_measured(span: Span | None, reason: str) -> Draft:
    """`deploy { native }` asks that the model in C is measured, and it cannot be built here.

    Without that word the C is written all the same, and nothing is claimed of it.
    """
    hint = "install a C compiler, or take `native` out of the `deploy` block"
    return Draft(span, f"the model in C cannot be measured: {reason}", hint)


@message("E656")
def target_not_built(span: Span | None, target: str, source: str, reason: str) -> Draft:
    """`deploy { native aarch64 }` asks for a library that cannot be built here.

    A library for the kind of processor that compiles is built by its own C compiler; for others the one of
    `pip install isocline[native]` is needed, which compiles for all of them.
    """
    hint = 'install the compiler of `pip install "isocline[native]"`, or take the name out of the `deploy` block'
    return Draft(span, f"no library of {source} for {target}: {reason}", hint)


@message("E655")
def native_parity_missed(span: Span | None, output: str, compiler: str, found: str, bound: str) -> Draft:
    """The model in C differs from the same model in float64 by more than rounding may.

    It is measured as the ONNX file is, on the same samples, and has the same bound.
    """
    text = f"`{output}` of the model in C ({compiler}) is {found} from the float64 model, the bound is {bound}"
    return Draft(span, text, "write `dtype float64`, or a larger `parity`, into the `deploy` block")
