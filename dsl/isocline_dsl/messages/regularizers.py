"""Messages about regularizers: what is kept small along a solution, from step to step, or from weight to weight."""

from __future__ import annotations

from collections.abc import Sequence

from isocline_dsl.messages.message import Draft, message
from isocline_dsl.tree import Span


@message("E480")
def regularizer_of_noise(span: Span | None, callee: str, field: str) -> Draft:
    """A regularizer of smooth paths, of a field with noise.

    A path that noise drives has no derivative and no finite length: what would be found is a matter of the steps. Of
    its drift there are `kinetic_energy(f)` and `jacobian_norm(f)`, of its divergence from a prior `path_kl(f, prior)`.
    """
    return Draft(
        span,
        f"`{callee}` is of smooth paths, and `{field}` is driven by noise",
        "`kinetic_energy` and `jacobian_norm` are of the drift alone",
    )


@message("E481")
def jacobian_too_wide(span: Span | None, callee: str, count: int, most: int) -> Draft:
    """The exact norm of a Jacobian takes a pass for each entry of the states.

    Hutchinson's estimate takes one for each random vector, whatever their number: jacobian_norm(f, probes=1).
    """
    return Draft(
        span,
        f"`{callee}` would take {count} passes, one for each entry of the states, more than {most}",
        "estimate it: `probes=1`",
    )


@message("E482")
def order_of_derivative(span: Span | None, callee: str, order: int, reached: int, most: int) -> Draft:
    """A derivative along the solution of so high an order that its expression grows out of hand.

    Each order is two to three times as large as the one before.
    """
    return Draft(
        span,
        f"the derivative of order {order} in `{callee}` is too large an expression: that of order {reached} has over "
        f"{most} operations",
        f"write `order={reached}`, or less",
    )


@message("E483")
def measure_needs_steps(span: Span | None, callee: str, solution: str, solver: str) -> Draft:
    """What only the steps of a scheme know, of a solve whose steps an adaptive solver chooses while training.

    train { loss ...; regularize 0.1*step_error(path); solver tsit5(steps=20) }      # steps of our own
    """
    return Draft(
        span,
        f"`{callee}` is of the steps of a scheme, and in training `{solver}` chooses those of `{solution}` as it goes",
        "name a scheme and its steps: `solver tsit5(steps=20)`, or `with` behind the solve",
    )


@message("E484")
def measure_without_tableau(span: Span | None, callee: str, scheme: str, needs: str, known: Sequence[str]) -> Draft:
    """An estimate that not every scheme gives.

    `step_error` needs a scheme with a second, embedded solution; `stiffness` one that evaluates the field twice at the
    same time of a step.
    """
    listed = ", ".join(f"`{name}`" for name in known)
    return Draft(span, f"`{callee}` needs {needs}, and `{scheme}` has none", f"these have: {listed}")


@message("E485")
def weights_of_no_step(span: Span | None, callee: str, field: str) -> Draft:
    """Neighbouring steps are compared where each step has weights of its own.

    field block(t, h: real[8]) weights per step { h' = h |> dense(8) |> tanh }
    """
    return Draft(
        span, f"`{field}` has the same weights in every step", f"declare it `weights per step`, or leave `{callee}` out"
    )


@message("E486")
def solution_not_in_loss(span: Span | None, name: str) -> Draft:
    """A regularizer of a solution that no loss reads.

    train { loss mse(path, observed); regularize kinetic_energy(path) }
    """
    return Draft(span, f"no loss of this block reads the solution `{name}`", "regularize one that a loss reads")
