"""E36x: noise, and what is stochastic."""

from __future__ import annotations

from collections.abc import Collection

from isocline_dsl.messages.message import Draft, did_you_mean, message
from isocline_dsl.tree import Span

LISTED = 14
"""Names that a hint lists."""


@message("E360")
def unknown_process(span: Span | None, name: str, known: Collection[str]) -> Draft:
    """A noise of a kind that does not exist.

    noise W: brownian[2]              # normal increments of variance h
    noise N: poisson(3)               # counts: three jumps in a unit of time
    noise L: stable(1.5)[2]           # heavy tails
    """
    return Draft(span, f"there is no noise `{name}`", did_you_mean(name, known) or f"there are {', '.join(known)}")


@message("E361")
def process_parameter(span: Span | None, process: str, expected: str, found: str) -> Draft:
    """A noise with a parameter that it cannot have, or without the one it needs.

    `poisson(rate)` has the expected number of jumps in a unit of time, `stable(alpha)` the index of its tails, from 0.1
    to 2: 2 is normal, 1 is Cauchy's. `brownian` has none: scale it where it drives, `sigma dW`. Both are numbers that
    are known when compiling.
    """
    return Draft(span, f"`{process}` {found}", f"expected {expected}")


@message("E362")
def unknown_calculus(span: Span | None, name: str) -> Draft:
    """A word behind the type of a noise that names no calculus.

    noise W: brownian[2] stratonovich

    `ito` reads what multiplies the noise at the beginning of each step, `stratonovich` in its middle. Ito's is meant
    where nothing is said.
    """
    return Draft(span, f"`{name}` is no calculus", did_you_mean(name, ("ito", "stratonovich")) or "ito or stratonovich")


@message("E363")
def two_calculi(span: Span | None, field: str) -> Draft:
    """Noises of one field in Ito's and in Stratonovich's calculus.

    A scheme converges to one of them: rewrite the others.
    From Stratonovich's to Ito's the drift grows by half the sum of (dg/dx) g over the entries of the noise.
    """
    return Draft(span, f"the noises of `{field}` have two calculi", "write all of them for one")


@message("E364")
def noise_shape(span: Span | None, state: str, found: str, expected: str, noise: str, entries: str) -> Draft:
    """What stands before a differential does not fit its state and its noise.

    noise W: brownian[2]
    ds = 0.1*s dW               # s is real[2]: entry by entry, diagonal noise
    dv = 0.3*v dW[0]            # v is real: one entry of the noise
    dx = g @ dW                 # x is real[3], g is real[3, 2]: general noise
    """
    hint = f"one entry of it is `d{noise}[0]`, a matrix times it `g @ d{noise}`"
    return Draft(span, f"{found} does not fit `{state}` and {entries} of `{noise}`: expected {expected}", hint)


@message("E365")
def noise_entry(span: Span | None, noise: str, entry: int, size: int) -> Draft:
    """An entry that a noise does not have. `noise W: brownian[2]` has `dW[0]` and `dW[1]`."""
    return Draft(span, f"`{noise}` has no entry {entry}", f"its entries are 0 to {size - 1}")


@message("E366")
def differential_out_of_place(span: Span | None, differential: str) -> Draft:
    """A differential inside of an expression.

    It stands last in a term of a differential equation, `dx = -x dt + sigma*x dW`, as `dW[0]`, or behind `g @`. What it
    multiplies stands before it; a function of it has no meaning.
    """
    return Draft(span, f"`{differential}` stands inside of an expression", f"write the term as `factor {differential}`")


@message("E367")
def entry_of_time(span: Span | None, differential: str) -> Draft:
    """An entry of, or a matrix times, what has no entries. Only a noise with a size, `brownian[2]`, has entries."""
    return Draft(span, f"`{differential}` has no entries")


@message("E368")
def samples_without_noise(span: Span | None, field: str) -> Draft:
    """`samples` of a solve without noise: all of them would be the same.

    field market(t, s: real) {
      noise W: brownian
      ds = 0.05*s dt + 0.2*s dW
    }
    paths = solve market from s = 1 over 0..1 samples 256
    """
    return Draft(span, f"`{field}` has no noise: its samples would be the same", "take `samples` away")


@message("E369")
def samples_out_of_range(span: Span | None, count: int, most: int) -> Draft:
    """A number of samples below one, or more than the generator can number."""
    return Draft(span, f"{count} samples", f"expected 1 to {most}")


@message("E370")
def unknown_ordering(span: Span | None, name: str, known: Collection[str]) -> Draft:
    """A word behind the number of samples that says nothing of how they are drawn.

    solve market from s = 1 over 0..1 samples 256 antithetic

    `antithetic` pairs each path with its mirror image, `lattice` spreads the paths evenly, `antithetic_lattice` does
    both.
    """
    return Draft(span, f"`{name}` is no way to draw samples", did_you_mean(name, known) or f"one of {', '.join(known)}")


@message("E380")
def no_lattice(span: Span | None, ordering: str, noise: str) -> Draft:
    """Samples of a stable noise from a lattice.

    A lattice spreads single numbers evenly, and a stable number is made of two. Draw its paths independently, or as
    mirror images: `samples 256 antithetic`.
    """
    return Draft(span, f"`{ordering}` cannot draw the stable noise `{noise}`", "leave it out, or write `antithetic`")


@message("E371")
def noise_outside_field(span: Span | None, noise: str) -> Draft:
    """A noise that is declared outside of a field. Declare it in the field that it drives; each solve has its own."""
    return Draft(span, f"`{noise}` is declared outside of a field", "move it into the braces of the field it drives")


@message("E372")
def no_fitting_scheme(span: Span | None, scheme: str, reason: str, fitting: Collection[str]) -> Draft:
    """A scheme that cannot solve these equations, or does not converge to their solution.

    Schemes that move states in turn (leapfrog) need equations in two groups that read each other alone. Exponential and
    implicit-explicit ones need a part that is marked, `x' = f(x) + stiff(A @ x)`. Implicit ones solve for all
    numbers that are coupled at once, and for no more than 256; of cells along a line, each coupled with its neighbours,
    there may be a thousand.

    Schemes for ordinary equations know no noise. Of those for stochastic ones, some converge to Ito's integral and some
    to Stratonovich's, and some need noise that is additive (what multiplies it reads no state), diagonal (each entry
    drives one state, by a factor that reads that state alone), scalar (one entry in all) or commutative. `isocline
    check` shows what the noise of a field is.
    """
    names = list(fitting)
    more = f", and {len(names) - LISTED} more in the table of the language" if len(names) > LISTED + 2 else ""
    told = ", ".join(names[:LISTED] if more else names)
    return Draft(span, f"`{scheme}` cannot solve this field: {reason}", f"these can: {told}{more}")


@message("E379")
def weak_without_noise(span: Span | None) -> Draft:
    """A weak error for a model without noise.

    deploy { solver auto(weak=1e-2) }

    The weak error is that of means over paths, and there are none. State `auto(error=1e-3)`.
    """
    return Draft(span, "`weak` is stated, and no solve has noise", "write `auto(error=1e-3)`")


@message("E680")
def no_grid_for_paths(span: Span | None, kind: str, bound: str, nearest: str, scheme: str, steps: int) -> Draft:
    """No grid that was tried meets the stated error on the paths of noise.

    A strong error compares path by path, and falls with the square root of the step where noise is multiplied by the
    state: a hundredth of the error takes ten thousand times the steps. Where means, quantiles or other statistics over
    samples are what counts, state their weak error instead; it falls with the step itself. Or name the scheme and the
    steps: the certificate then says how far they are, and promises nothing.

        deploy { solver auto(weak=1e-2) }
        deploy { solver milstein(steps=256) }
    """
    other = "`auto(weak=...)` bounds the means over paths, " if kind == "strong" else ""
    hint = f"{other}`solver {scheme}(steps={steps})` takes what was nearest"
    found = f"no grid has a {kind} error of {bound}; the nearest was {nearest}, {scheme} with {steps} steps"
    return Draft(span, found, hint)


@message("E681")
def no_scheme_for_noise(span: Span | None, field: str) -> Draft:
    """No scheme converges for this noise.

    Jumps and heavy tails are taken by `euler_maruyama` in Ito's calculus alone; several noises of one field have one
    calculus.
    """
    return Draft(span, f"no scheme converges for the noise of `{field}`")


@message("E682")
def walks_differ(span: Span | None, output: str, found: str, bound: str) -> Draft:
    """The finest grid of the scheme and an independent walk on the same paths go apart.

    Both converge to the equation, so that on thousands of steps they must agree as well as the walk agrees with itself
    on half as many. They do not: the scheme solves another equation, or neither has converged, since what multiplies
    the noise grows faster than its state, or is not smooth. Take shorter times, or `tamed_euler`; if neither helps,
    this is a fault of the compiler, and worth a report.
    """
    return Draft(
        span, f"`{output}` is {found} from an independent walk on the same paths; at most {bound} was expected"
    )


@message("E373")
def no_ensemble(span: Span | None, callee: str, found: str) -> Draft:
    """`over=samples` of a value that comes from no solve with samples, in a file that deploys no ensemble.

    paths = solve market from s = 1 over 0..1 samples 256
    output price = mean(paths, over=samples)
    output last  = mean(history, axis=0)      # along an axis of any other value

    `samples` behind a stochastic solve adds that axis, or `deploy { samples 32 }`, which keeps noise such as `dropout`.
    """
    return Draft(
        span, f"`{callee}` has no samples to go over: {found} comes from no solve with `samples`",
        "write `axis=...` to go along another axis",
    )  # fmt: skip


@message("E374")
def ensemble_axis_gone(span: Span | None, callee: str, found: str, counts: Collection[int]) -> Draft:
    """`over=samples` of a value whose first axis does not hold the samples any more.

    The samples of a solve are the first axis of its result, and of what is computed from it entry by entry. What has
    been summed over them, indexed or reshaped has lost it.
    """
    stated = " or ".join(map(str, counts))
    return Draft(
        span, f"`{callee}` finds no axis of {stated} samples in {found}",
        "they are the first axis of the result of the solve",
    )  # fmt: skip


@message("E375")
def over_and_axis(span: Span | None, callee: str) -> Draft:
    """An axis beside `over=samples`, which names one already. Reduce over the one, then over the other."""
    return Draft(span, f"`{callee}` is given an axis and `over`", "`over=samples` is the axis of the samples")


@message("E683")
def noise_differs(span: Span | None, noise: str, what: str, found: str, expected: str, off: str) -> Draft:
    """The noise that the runtime makes has not the moments of its distribution.

    Numbers of a seed are looked at before they are trusted: their mean, variance and fourth moment, and whether those
    of neighbouring rows, samples, steps and channels are independent. Chance misses by five standard deviations once in
    two million. The runtime is at fault, or its files were changed.
    """
    return Draft(span, f"the noise `{noise}` has a {what} of {found}, not {expected}: {off} standard deviations off")


@message("E429")
def density_without_noise(span: Span | None, callee: str, field: str, reason: str) -> Draft:
    """`transition_nll` and `path_kl` weigh what a field does by the spread of its noise, and it has no inverse.

    Every state needs a Brownian noise, and together they need as many entries of noise as the states have. A state
    that follows from others without noise of its own has no density beside theirs.
    """
    return Draft(span, f"`{callee}` has no density to take: `{field}` {reason}")


@message("E430")
def loss_function_outside(span: Span | None, callee: str) -> Draft:
    """`transition_nll` is for `loss`: it weighs observations under a field, and is no value of the model."""
    return Draft(span, f"`{callee}` stands in `loss` alone", f"write it in `train {{ loss {callee}(...) }}`")


@message("E431")
def observations_shape(span: Span | None, field: str, found: str, expected: str) -> Draft:
    """What `transition_nll` observes is a row for each time, which holds the entries of all states in their order.

    loss transition_nll(heston, stack(prices, variances, axis=-1), step=1/252)
    """
    return Draft(span, f"the observations of `{field}` are {found}, and should be {expected}")


@message("E432")
def observation_times(span: Span | None, reason: str) -> Draft:
    """`transition_nll` needs the times of its observations: a list of them, or the step between any two.

    loss transition_nll(ou, seen, at=times)
    loss transition_nll(ou, seen, step=0.1)
    """
    return Draft(span, f"the times of the observations {reason}", "write `at=times` or `step=0.1`")


@message("E433")
def prior_of_other_states(span: Span | None, posterior: str, prior: str, reason: str) -> Draft:
    """`path_kl(posterior, prior)` compares two fields along the solutions of the first.

    They have the same states and the same noise: the divergence of two diffusions with different factors is infinite.
    Write the factor once, as a net or in the same words, or leave the noise out of the prior.
    """
    return Draft(span, f"`{prior}` is no prior for `{posterior}`: {reason}")
