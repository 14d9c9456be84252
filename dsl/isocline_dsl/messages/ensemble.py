"""E39x: noise that regularizes, kept when deployed, in an ensemble of samples."""

from __future__ import annotations

from isocline_dsl.messages.message import Draft, message
from isocline_dsl.tree import Span


@message("E390")
def nothing_to_keep(span: Span | None) -> Draft:
    """`samples` of a model in which no output meets noise that regularizes.

    logits = x |> dense(16) |> relu |> dropout(0.2) |> dense(3)
    output probability = softmax(logits)
    deploy { samples 32 }

    `dropout`, `gaussian_noise`, `depth`, `shake` and `shake_drop` are random while training; with `samples` they are
    when deployed, too. Without one of them all samples are the same. The samples of a stochastic equation are stated
    behind its solve.
    """
    return Draft(
        span, "no output meets noise that could be kept: all samples would be the same",
        "take `samples` away, or use `dropout`, `gaussian_noise`, `depth`, `shake` or `shake_drop`",
    )  # fmt: skip


@message("E391")
def noise_without_steps(span: Span | None, layer: str, field: str) -> Draft:
    """Noise to be kept in a field whose solve does not say its steps.

    h = solve block from h = x over 0..8 with euler(steps=8)
    deploy { samples 32 }

    Each evaluation of the field has a draw of its own, and the finer the steps, the less is left of the noise: no grid
    converges to an equation that has it. So the steps are part of the model, as in a residual network.
    """
    return Draft(
        span, f"`{layer}` cannot be kept in `{field}`: its solve does not say its steps",
        "write `with euler(steps=8)` behind the solve",
    )  # fmt: skip


@message("E392")
def label_of_samples(span: Span | None, output: str) -> Draft:
    """An output of labels or truth values that differs from sample to sample.

    probability = softmax(logits)
    output label = argmax(mean(probability, over=samples))
    deploy { samples 32 }

    An output is the mean over the samples, and labels have none: say what becomes of them.
    """
    return Draft(
        span, f"`{output}` has a label for each sample, and labels have no mean",
        "take the mean of what it is made of: `argmax(mean(p, over=samples))`",
    )  # fmt: skip


@message("E393")
def ensemble_of_paths(span: Span | None, field: str) -> Draft:
    """`samples` of the block `deploy` in a model that has a stochastic solve.

    path = solve market from s = 1 over 0..1 samples 256

    The paths of a solve are stated behind it. That each of them meets noise that regularizes besides is not available.
    """
    return Draft(
        span, f"`samples` in `deploy` keeps noise that regularizes, and `{field}` is stochastic itself",
        "write `samples` behind its solve, and take this away",
    )  # fmt: skip


@message("E394")
def noise_without_row(span: Span | None, layer: str) -> Draft:
    """Noise to be kept on a value that depends on no input.

    The noise of an ensemble belongs to a sample: so any row can be replayed alone, whatever its batch. A weight, or a
    state that starts from a constant, has no row. Disturb what depends on an input; a start may be `0*x`.
    """
    return Draft(
        span, f"`{layer}` disturbs a value that depends on no input, so its noise belongs to no row",
        "disturb what depends on an input",
    )  # fmt: skip


@message("E395")
def samples_out_of_place(span: Span | None, where: str) -> Draft:
    """`over=samples` where there are no samples of `deploy`.

    output doubt = std(probability, over=samples)
    deploy { samples 32; check mean(doubt) < 0.1 }

    While training each row has one draw, so a loss uses the value itself. A field is evaluated for each sample, and
    knows no other. A check is about outputs: declare one.
    """
    hint = {
        "a loss": "while training a row has one draw: use the value itself",
        "a check": "declare an output with it, and check that",
    }.get(where, "go over the samples of what comes of the solve")
    return Draft(span, f"{where} has no samples to go over", hint)


@message("E396")
def too_many_draws(span: Span | None, layer: str, found: str, most: str) -> Draft:
    """More numbers than the generator can tell apart: of one draw, or draws of one layer in all steps of a solve."""
    return Draft(span, f"`{layer}` cannot be kept: it has {found}", f"at most {most}")
