"""E6xx: from a checked program to a proven artifact."""

from __future__ import annotations

from isocline_dsl.messages.message import Draft, message
from isocline_dsl.tree import Span


@message("E601")
def error_bound_missed(span: Span | None, output: str, found: str, bound: str) -> Draft:
    """The deployed grid misses the solution of the equations by more than the stated error.

    The result of the deployed graph was compared with a reference solution two orders tighter, on held-out data. The
    certificate holds the work-precision table from which the scheme and its steps were chosen.

    Allow more steps, a larger error, or regularize the field in training so that it is easier to solve.
    """
    return Draft(
        span,
        f"`{output}` misses its solution by {found}; the bound is {bound}",
        "allow more steps or a larger error",
    )


@message("E602")
def parity_missed(span: Span | None, output: str, dtype: str, found: str, bound: str) -> Draft:
    """onnxruntime in the deployed precision and the graph in float64 differ by more than the bound.

    Rounding grew along the way: a difference of large numbers, an exponential of a large one, a long unstable solve.
    Narrow the inputs' bounds to what really occurs, deploy in double precision (`deploy { dtype float64 }`), or, when
    the difference does not matter for the use, state a larger bound (`deploy { parity 1e-4 }`).
    """
    return Draft(
        span,
        f"`{output}` in {dtype} differs from float64 by {found}; the bound is {bound}",
        "narrow the inputs' bounds, deploy with `dtype float64`, or state another bound with `parity`",
    )


@message("E603")
def too_many_nodes(span: Span | None, found: int, limit: int) -> Draft:
    """A solve that is laid out has more operations than allowed.

    Laid out, every step writes the operations of the field once more. `unroll auto` in `deploy` makes a loop of a
    large solve, whose graph does not grow with the steps.

        deploy { solver rk4(steps=100000); unroll auto }
    """
    return Draft(
        span,
        f"laid out step by step, the solve has {found} operations; the limit is {limit}",
        "say `unroll auto` in `deploy`, or take fewer steps",
    )


@message("E604")
def not_available_yet(span: Span | None, what: str) -> Draft:
    """The language has this form, but this version of the compiler cannot compile it yet.

    Programs that use it are read, checked and printed. `isocline doctor` shows the version that is installed.
    """
    return Draft(span, f"{what} is not available yet")


@message("E605")
def missing_weights(span: Span | None, name: str) -> Draft:
    """A weight of the model is not in the file of weights.

    The weights come from another model, or from an earlier version of this one. Train again, or compile
    with the weights of this model.
    """
    return Draft(span, f"the weight `{name}` is missing", "train again, or give the right file with `--weights`")


@message("E606")
def weights_shape(span: Span | None, name: str, found: str, expected: str) -> Draft:
    """A weight in the file has another shape than in the model: the file belongs to another version of the model."""
    return Draft(span, f"the weight `{name}` is {found}, expected {expected}")


@message("E607")
def no_starts(span: Span | None, input_: str, size: str | None = None) -> Draft:
    """There are neither data nor bounds from which to try the compiled model.

    To measure the error of the deployed grid the compiler solves from many starting points: held-out data, or points
    drawn from the declared bounds of the inputs.

        input x0: real[2] in (-2, 2)

    A size that is a name, `time[N]`, is known from data only: bounds alone do not say how many to draw.
    """
    if size is not None:
        known = f"the size `{size}` of the input `{input_}` is not known, so that the model cannot be tried"
        return Draft(span, known, f"give data, or a number in its place: `const {size} = 10`")
    return Draft(
        span,
        f"the input `{input_}` has neither data nor bounds to try the model on",
        "declare bounds: `in (-1, 1)`",
    )


@message("E610")
def opset_out_of_range(span: Span | None, found: int, low: int, high: int) -> Draft:
    """`deploy` asks for an operator set that is not written."""
    return Draft(span, f"opset {found} is not written", f"choose one from {low} to {high}")


@message("E611")
def no_scheme_reaches(span: Span | None, error: str, best: str, scheme: str, steps: int) -> Draft:
    """`auto` found no scheme and number of steps that stay within the stated error.

    Every scheme was tried with more and more steps, until a single run of the model would take seconds. Where the best
    is near enough for the use, the hint has the line to write.
    """
    return Draft(
        span,
        f"no scheme reaches the error {error}; the nearest, {scheme} with {steps} steps, reaches {best}",
        f"write `solver {scheme}(steps={steps})` to have that one, allow a larger error, or shorten the solve",
    )


@message("E612")
def weights_unreadable(span: Span | None, file: str, reason: str) -> Draft:
    """The file of weights cannot be read.

    `isocline train` writes `weights.safetensors` into its run's folder; give that file with `--weights`.
    """
    return Draft(
        span, f"cannot read the weights in {file}: {reason}", "give the weights.safetensors that `train` wrote"
    )


@message("E628")
def order_differs(span: Span | None, scheme: str, where: str, observed: str, declared: str) -> Draft:
    """A scheme that does not converge as fast as it says.

    Halving the steps of a scheme of order p divides its error by 2^p once the steps are small. Here it does not, on an
    equation whose solution is known or on the model itself; a coefficient of the scheme is wrong, or the field is not
    smooth where the solution goes.
    """
    return Draft(span, f"`{scheme}` says order {declared}, and {where} shows {observed}")


@message("E629")
def steps_differ(span: Span | None, output: str, difference: str, bound: str) -> Draft:
    """The deployed steps are not those of the scheme.

    A model whose scheme is its own (`with euler(steps=8)`) is stepped a second time, by code that shares nothing
    with the compiler's. The two must give the same numbers in float64. The compiler is at fault.
    """
    return Draft(span, f"`{output}` is {difference} from a second walk of the same steps; at most {bound} is allowed")


@message("E630")
def references_differ(
    span: Span | None, output: str, found: str, bound: str, first: str, second: str, where: str = ""
) -> Draft:
    """Two reference solutions do not agree, so that no error can be measured.

    One is an explicit Runge-Kutta method, the other a multistep method; both were tightened as far as double precision
    allows. Equations that double every difference many times over within the horizon (chaos), or that switch on the
    state again and again, have no solution that can be computed to this error.

    Shorten the time of the solve, or state a larger error.
    """
    return Draft(
        span,
        f"two reference solutions of `{output}` differ by {found}, and may by {bound}{where}: {first}; {second}",
        "shorten the time of the solve, or state a larger error",
    )


@message("E644")
def next_to_nothing(span: Span | None, output: str, size: str, where: str, begun: str) -> Draft:
    """An output is so near zero that what is left of it is rounding, and an error relative to it says nothing.

    A tank runs empty, a population dies out: what two solvers leave of it differs in the first digit. An error is
    relative to the largest entry of the output: with more of the way in it, the end is measured beside the beginning.

        tank = solve drain from depth = depth0 at 0..24 step 1
    """
    return Draft(
        span,
        f"`{output}` ends as {size}{where}, where the states begin with {begun}: an error relative to it says nothing",
        "keep more of the way, `at a..b step h`: errors are relative to the largest entry of an output",
    )


@message("E631")
def halving_too_large(span: Span | None, output: str, found: str, bound: str) -> Draft:
    """Halving every step moves an output by more than the stated error: the grid has not converged.

    A grid that has converged moves by about its own error. One that moves further, although it is near the reference,
    is near it by chance.

    Name a scheme with more steps, or state a larger error.
    """
    return Draft(
        span,
        f"`{output}` moves by {found} when every step is halved; the stated error is {bound}",
        "name a scheme with more steps, or state a larger error",
    )


@message("E632")
def single_precision_rounds(
    span: Span | None, output: str, scheme: str, steps: int, error: str, rounding: str, bound: str
) -> Draft:
    """Single precision rounds every grid that is exact enough by more than the bound on parity.

    The bound is a tenth of the stated error unless `parity` says otherwise. Equations that magnify small differences,
    or that take very many steps, magnify rounding too. In double precision the same grid keeps it.

        deploy { solver auto(error=1e-3); dtype float64 }
    """
    return Draft(
        span,
        f"{scheme} with {steps} steps solves this to {error}, but float32 rounds `{output}` by {rounding}; "
        f"the bound is {bound}",
        "write `dtype float64` in `deploy`, or state a larger bound with `parity`",
    )


@message("E633")
def jumps_too_close(span: Span | None, field: str, here: str, there: str) -> Draft:
    """Single precision cannot tell two times apart at which a field switches.

    Near 60 its numbers are 4e-6 apart, near 1e9 they are 64 apart. Double precision has nine digits more.

        deploy { solver auto(error=1e-3); dtype float64 }
    """
    return Draft(
        span,
        f"`{field}` switches at {here} and at {there}, which float32 cannot tell apart",
        "write `dtype float64` in `deploy`, or begin to count the time nearer to them",
    )


@message("E634")
def input_rounded(span: Span | None, name: str, output: str, found: str, bound: str) -> Draft:
    """Rounding an input to single precision alone changes the answer by more than the bound on parity.

    The numbers are too large for the differences that count: seconds since 1970 are 128 apart in single precision,
    kelvins near 300 are 3e-5 apart. Subtract what all of them have in common before the model sees them, or let the
    model take and compute double precision.

        deploy { solver auto(error=1e-3); dtype float64 }
    """
    return Draft(
        span,
        f"float32 cannot hold `{name}`: rounding it moves `{output}` by {found}; the bound is {bound}",
        "write `dtype float64` in `deploy`, or subtract what the values have in common before they are given",
    )
