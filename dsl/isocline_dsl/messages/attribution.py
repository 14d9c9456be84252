"""E62x: `attribute` in `deploy`, and what the certificate says of explanations."""

from __future__ import annotations

from isocline_dsl.messages.message import Draft, message
from isocline_dsl.tree import Span


@message("E621")
def nothing_to_attribute(span: Span | None, output: str, name: str) -> Draft:
    """The output does not change with this input, so there is nothing to explain by it.

    Either it is not used on the way to the output, or only through operations whose derivative is zero wherever it
    exists: rounding, comparing, `argmax`. Explain the scores from which a class is chosen, not the class.
    """
    return Draft(
        span,
        f"no derivative of `{output}` with respect to `{name}` reaches it",
        "explain another output, or leave this input out",
    )


@message("E622")
def attribution_type(span: Span | None, what: str, name: str, found: str) -> Draft:
    """Attributions are of real outputs with respect to real inputs, and of known sizes.

    A class or a truth value has no derivative. Explain the scores from which it is chosen; leave inputs that count or
    switch out of `wrt`.
    """
    return Draft(span, f"the {what} `{name}` is {found}; an attribution needs real numbers of known sizes")


@message("E623")
def attribution_missed(span: Span | None, result: str, found: str, bound: str) -> Draft:
    """An attribution differs from its definition, measured with finite differences of the deployed graph.

    At fresh perturbed samples the score was evaluated on both sides of each of some entries, in float64, and the
    attribution computed from that by its definition. Either rounding in float32 grew along a long solve (try
    `dtype float64`), or a derivative is wrong: then the compiler is at fault.
    """
    return Draft(span, f"`{result}` differs from finite differences by {found}; the bound is {bound}")


@message("E624")
def attribution_constant(span: Span | None, result: str) -> Draft:
    """An attribution is the same for different samples, although finite differences say that it should differ.

    A gradient that was frozen into the graph when it was traced looks like this. It is a fault of the compiler.
    """
    return Draft(span, f"`{result}` is the same for different samples, and their finite differences are not")


@message("E625")
def no_background(span: Span | None, method: str) -> Draft:
    """This method compares with samples of the training data, and the file has none.

    Give the file a `data` block, or use a method with a fixed baseline: `integrated_gradients(baseline=zeros)`.
    """
    return Draft(span, f"`{method}` needs training data to compare with", "use `integrated_gradients(baseline=zeros)`")


@message("E626")
def too_many_points(span: Span | None, method: str, found: int, limit: int) -> Draft:
    """The method would evaluate the model at too many points of each sample.

    All points go through the model in one pass, so that memory grows with them. Take larger patches or fewer samples.
    """
    return Draft(
        span,
        f"`{method}` needs {found} points of each sample; the limit is {limit}",
        "take larger patches, fewer samples",
    )


@message("E627")
def attribution_not_finite(span: Span | None, result: str) -> Draft:
    """An attribution is infinite or not a number when it is tried.

    Nearly always the model has no value at the baseline: a logarithm or a quotient of zeros. Compare with
    `baseline=mean`, the mean of the training samples, instead of `zeros`.
    """
    return Draft(span, f"`{result}` is not finite", "try `baseline=mean`")
