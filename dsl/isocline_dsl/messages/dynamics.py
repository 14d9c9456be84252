"""E3xx: fields, equations, solves and their schemes."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from isocline_dsl.messages.message import Draft, declared, did_you_mean, message
from isocline_dsl.tree import Span


@message("E299")
def inner_solve(span: Span | None, field: str, why: str, hint: str) -> Draft:
    """A solve in a field that is not a plain one with steps of its own.

    Wherever the outer equation asks for its slope, the inner one is stepped to its end: its scheme and its steps are
    part of the outer equation. The inner field may have neither noise nor jumps nor a past, and is not the outer one.

    field relax(t, y, x: real) { y' = cos(x) - y; x' = 0 }
    field slow(t, x: real) {
      fast = solve relax from y = 0, x = x over 0..5 with rk4(steps=8)
      x' = -fast.y*x
    }
    """
    return Draft(span, f"the inner equation `{field}` {why}", hint or None)


@message("E301")
def state_without_equation(span: Span | None, state: str, field: str) -> Draft:
    """A state of a field has no equation.

    Each state needs exactly one: how it changes with time.

        field f(t, x: real, y: real) {
          x' = -y                # and y?
        }

    Write its equation (`y' = 0` when it stays as it is), or hand the value in as a parameter or a captured name.
    """
    return Draft(span, f"the state `{state}` of `{field}` has no equation", f"write `{state}' = ...`")


@message("E302")
def equation_without_state(span: Span | None, state: str, field: str, known: Collection[str]) -> Draft:
    """An equation for something that is not a state of its field.

    field f(t, x: real) { y' = -x }
    """
    hint = did_you_mean(state, known) or f"add `{state}: real` to the states of `{field}`"
    return Draft(span, f"`{state}` is not a state of `{field}`", hint)


@message("E303")
def equation_twice(span: Span | None, state: str, first: Span | None) -> Draft:
    """Two equations for one state. Together they say more than can be true: keep one, or add their right sides."""
    return Draft(span, f"a second equation for `{state}`", "keep one", declared("the first stands", first))


@message("E305")
def order_too_high(span: Span | None, state: str, order: int) -> Draft:
    """An equation of third or higher order.

    Equations have order one, `x' = ...`, or two, `x'' = ...`. For more, name the derivatives as states:

        x' = v; v' = a; a' = ...
    """
    return Draft(
        span,
        f"the equation for `{state}` has order {order}",
        "orders 1 and 2 exist; name the higher derivatives as states",
    )


@message("E306")
def derivative_of_first_order(span: Span | None, state: str) -> Draft:
    """`x'` is used as a value, but x has an equation of first order.

    For an equation of second order, `q'' = -k*q - c*q'`, the velocity `q'` is a state and has a value.
    For one of first order, `x'` is the right side of its equation: give that a name and use the name.
    """
    return Draft(
        span,
        f"`{state}'` has no value of its own here",
        "only a state with an equation of second order has a velocity",
    )


@message("E307")
def unknown_differential(span: Span | None, differential: str, known: Collection[str]) -> Draft:
    """A differential of something that is neither the time, nor a noise, nor a control path.

    field market(t, s: real) {
      noise W: brownian
      ds = mu*s dt + sigma*s dV       # did you mean `dW`?
    }
    """
    return Draft(span, f"`{differential}` is not a differential here", did_you_mean(differential, known))


@message("E308")
def solve_of_no_field(span: Span | None, name: str, kind: str, known: Collection[str]) -> Draft:
    """`solve` names something that is not a field.

    path = solve populations from hare = 30 over 0..20
    """
    found = f"`{name}` is {kind}, not a field" if kind else f"there is no field `{name}`"
    return Draft(span, found, did_you_mean(name, known))


@message("E309")
def state_without_start(span: Span | None, state: str, field: str) -> Draft:
    """A solve does not say where a state starts.

        path = solve pendulum from q = q0 over 0..1      # and p?

    The velocity of a state with an equation of second order starts with `q' = v0`.
    """
    return Draft(
        span,
        f"the solve of `{field}` does not say where `{state}` starts",
        f"add `{state} = ...` after `from`",
    )


@message("E310")
def start_of_no_state(span: Span | None, name: str, field: str, known: Collection[str]) -> Draft:
    """`from` names something that is not a state of the field."""
    return Draft(span, f"`{name}` is not a state of `{field}`", did_you_mean(name, known))


@message("E311")
def start_twice(span: Span | None, state: str, first: Span | None) -> Draft:
    """`from` gives a state two starting values."""
    return Draft(span, f"`{state}` is started twice", "keep one", declared("first started", first))


@message("E312")
def start_shape(span: Span | None, state: str, found: str, expected: str, samples: int | str | None = None) -> Draft:
    """The starting value of a state has another shape than the state.

    field f(t, h: real[5]) { ... }
    h = solve f from h = x over 0..1         # x is real[2]: pad(x, 3) makes it real[5]

    The result of a solve with samples has them as its first axis. A solve with as many goes on from there, each sample
    from its own:

    early = solve market from s = 1 over 0..1 samples 256
    late  = solve market from s = early over 1..2 samples 256
    """
    hint = None if samples is None else f"it has {samples} samples: go on from each with `samples {samples}`"
    return Draft(span, f"`{state}` starts from {found}, expected {expected}", hint)


@message("E313")
def equation_shape(span: Span | None, state: str, found: str, expected: str) -> Draft:
    """The right side of an equation has another shape than its state.

    The derivative of a state has the shape of the state.
    """
    return Draft(span, f"the right side for `{state}` is {found}, expected {expected}")


@message("E316")
def empty_range(span: Span | None, start: str, stop: str) -> Draft:
    """A range of times that begins where it ends, or whose ends are not finite.

    over 0..0                # nothing happens
    """
    return Draft(span, f"the range {start}..{stop} has no length")


@message("E317")
def bad_range_step(span: Span | None, range_: str, step: str) -> Draft:
    """The step of a range is zero, longer than the range, or leads away from its end.

    A range that runs backwards has a negative step: `1..0 step -0.1`.
    """
    return Draft(
        span,
        f"the step {step} does not lead through {range_}",
        "a range that runs backwards has a negative step",
    )


@message("E318")
def too_many_times(span: Span | None, count: str) -> Draft:
    """A range with more than a million times. Perhaps its step is too small by some powers of ten."""
    return Draft(span, f"{count} times are too many", "the limit is a million; take a longer step")


@message("E331")
def times_not_finite(span: Span | None) -> Draft:
    """A solve goes on to an infinite time.

    Steps lead to finite times only. For where a solution comes to rest, take a time long after it has: `over 0..1000`.
    """
    return Draft(span, "these times are not all finite", "let the solve end at a number")


@message("E319")
def unknown_state(span: Span | None, name: str, known: Collection[str]) -> Draft:
    """A solution has no state of this name: `path.hare` needs a state, or a definition, `hare` in the field."""
    return Draft(span, f"the solution has no state `{name}`", did_you_mean(name, known))


@message("E279")
def not_along(span: Span | None, name: str, reason: str) -> Draft:
    """What a field defines is asked for along a solution, and the states that are kept do not say what it is.

    `path.late` is computed from the states at the kept times. What reads the past, `x(t - 1)`, needs the states in
    between, which the steps of the solver know for a while; what has weights of its own in every step belongs to a step
    and not to a time. As a state it is integrated along: `total' = late`.
    """
    hint = "compute it from the states that are kept, or integrate it: `total' = ...`"
    return Draft(span, f"`{name}` along a solution {reason}", hint)


@message("E320")
def solution_needs_state(span: Span | None, states: Sequence[str]) -> Draft:
    """A solution with several states is used as one value.

    Say which state: `path.hare`, or put them together: `stack(path.hare, path.lynx, axis=-1)`.
    """
    return Draft(span, "a solution with several states is used as one value", f"its states: {', '.join(states)}")


@message("E322")
def times_not_increasing(span: Span | None, before: str, after: str) -> Draft:
    """The times of a solution do not run in one direction. They may be listed in any spacing, each once, in order."""
    return Draft(span, f"the time {after} follows {before}", "times increase, or decrease, from first to last")


@message("E323")
def scheme_needs_steps(span: Span | None, scheme: str) -> Draft:
    """A scheme in a model without its number of steps.

    With `with`, the scheme and its steps are part of the model.

        h = solve f from h = h0 over 0..1 with euler(steps=8)
    """
    return Draft(span, f"`{scheme}` does not say how many steps it takes", f"write `{scheme}(steps=8)`")


@message("E332")
def stiff_inside(span: Span | None) -> Draft:
    """`stiff(...)` marks a summand of the right side of an equation, and stands nowhere else.

    x' = f(x) + stiff(-1000*x)

    Implicit-explicit schemes solve what is marked implicitly, exponential ones exactly. Inside of a product, a function
    or a definition there is no summand to mark: write `stiff(2*x)` in place of `2*stiff(x)`.
    """
    return Draft(
        span,
        "`stiff` marks a summand of an equation's right side",
        "write it around a whole summand, as in `x' = f(x) + stiff(-1000*x)`",
    )


@message("E333")
def stiff_takes_one(span: Span | None) -> Draft:
    """`stiff(...)` holds one expression, the part of the equation that it marks.

    x' = f(x) + stiff(A @ x - k*x)
    """
    return Draft(span, "`stiff` takes one expression", "join several with `+`, as in `stiff(A @ x - k*x)`")


@message("E325")
def adaptive_scheme_in_model(span: Span | None, scheme: str) -> Draft:
    """`with` names an adaptive solver.

    `with` makes the scheme part of the model: its steps are fixed. An adaptive solver chooses them as it
    goes; leave `with` out, and name the solver in `train`.
    """
    return Draft(span, f"`{scheme}` with tolerances cannot be part of a model", "give it `steps=`, or leave `with` out")


@message("E326")
def weights_per_step_without_scheme(span: Span | None, field: str) -> Draft:
    """A field with weights for each step is solved without saying how many steps there are.

    h = solve block from h = h0 over 0..8 with euler(steps=8)
    """
    return Draft(
        span,
        f"`{field}` has weights for each step, but the solve does not fix the steps",
        "add `with euler(steps=8)`",
    )


@message("E327")
def noise_unused(span: Span | None, noise: str) -> Draft:
    """A noise that no equation of its field uses. Use its differential, `dW`, or take the declaration away."""
    return Draft(span, f"the noise `{noise}` drives no equation", f"use `d{noise}` in an equation")


@message("E328")
def field_not_solved(span: Span | None, field: str) -> Draft:
    """A field that nothing solves.

    path = solve populations from hare = 30, lynx = 4 at 0..20 step 1
    """
    return Draft(span, f"the field `{field}` is never solved", "solve it, or take it away")


@message("E329")
def net_recursion(span: Span | None, kind: str, cycle: Sequence[str]) -> Draft:
    """Nets or functions that call each other in a circle. A graph has no recursion: it could not be unrolled."""
    return Draft(span, f"the {kind} `{cycle[0]}` calls itself: {' -> '.join([*cycle, cycle[0]])}")


@message("E330")
def scan_carries_nothing(span: Span | None, name: str) -> Draft:
    """A `scan` starts a value that its body never changes. Assign it in the body, or use it without carrying it."""
    return Draft(span, f"the scan carries `{name}` but never changes it", f"assign `{name} = ...` in the body")


@message("E334")
def statistic_within(span: Span | None, name: str) -> Draft:
    """`standardize` or `unstandardize` of what a field moves, or of a draw.

    Mean and deviation are fitted to the training data before anything is solved, and are the same at every time. What
    reads a state, the time or the weights of a step has no value then: the field would have to be solved with them
    first. A `draw` is another number at each step. Standardize what a solve starts from; `layernorm` and `groupnorm`
    normalise each value by itself.

    field f(t, h: real[4]) { h' = h |> layernorm |> dense(4) }
    h = solve f from h = x |> standardize over 0..1
    """
    return Draft(
        span, f"mean and deviation are fitted before anything is solved or drawn, and `{name}` has no value then",
        "standardize what a solve starts from; `layernorm` normalises a value by itself",
    )  # fmt: skip


@message("E335")
def batch_within(span: Span | None) -> Draft:
    """`batchnorm` in a field, or in a net that one calls.

    Its mean and variance are of the batch while training, so that a solution would depend on the company in which it is
    computed, and of all times at once when deployed. `layernorm` and `groupnorm` normalise each sample by itself.

    field f(t, h: real[8, 5]) { h' = h |> groupnorm(4) |> tanh |> conv(8, kernel=3, pad=1) }
    """
    return Draft(
        span, "`batchnorm` in a field makes a solution depend on the other samples of its batch",
        "normalise by `groupnorm` or `layernorm`, or before the solve",
    )  # fmt: skip


@message("E385")
def integral_over_no_solution(span: Span | None) -> Draft:
    """An integral goes along a solution, which `over` names.

    path = solve decay from c = dose over 0..24
    output exposure = integral(c, over=path)
    """
    return Draft(span, "an integral goes along a solution, and this is none", "name a `solve`: `over=path`")


@message("E386")
def integral_out_of_place(span: Span | None) -> Draft:
    """An integral along a solution is a value of the file: it stands in a definition, an output or a loss.

    Within a field, a net or another integral, give it a name outside, and use that; in `check`, make it an output.
    """
    return Draft(
        span, "an integral along a solution cannot stand here", "give it a name outside: `total = integral(...)`"
    )


@message("E387")
def slope_of_higher_order(span: Span | None, state: str, order: int) -> Draft:
    """Within an integral along a solution, x' is how the state x moves, and x'' where its equation is of second order.

    path = solve decay from c = dose over 0..24          # c' = -rate*c
    output effort = integral(c'^2, over=path)
    """
    said = state + "'" * order
    return Draft(
        span, f"the equation for `{state}` says what `{said}` is, and nothing of higher order", f"use `{said}`"
    )
