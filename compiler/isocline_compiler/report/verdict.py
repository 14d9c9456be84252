"""What was proved, each in a number and a sentence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from markupsafe import Markup

from isocline_compiler.certify.certificate import Certificate, CheckResult
from isocline_compiler.certify.measures import Spread
from isocline_compiler.report.typeset import number


@dataclass(frozen=True)
class Proof:
    """One card: a short name, the number with its bound, and a sentence for a person in a hurry."""

    name: str
    figure: Markup
    sentence: Markup
    holds: bool = True


def proofs(certificate: Certificate, of: tuple[str, ...] | None = None) -> list[Proof]:
    """Parity, discretisation of the outputs `of`, stability, finite outputs, the checks, as far as they are there."""
    return [
        *_parity(certificate),
        *_steps(certificate),
        *_discretisation(certificate, of),
        *_learned(certificate),
        *_paths(certificate, of),
        *_seeds(certificate),
        *_stability(certificate),
        *_posterior(certificate),
        *_finite(certificate),
        *_checks(certificate),
        *_proved(certificate),
    ]


def _parity(certificate: Certificate) -> Iterator[Proof]:
    if certificate.parity:
        name, worst = _worst(certificate.parity)
        yield Proof(
            "Same numbers",
            _bounded(worst.maximum, "≤", certificate.parity_bound),
            Markup(
                "The deployed graph answers what the model answers in double precision: measured on {}, they differ by "
                "a relative {} at most, at the output <code>{}</code>. {} was allowed."
            ).format(certificate.samples, number(worst.maximum), name, number(certificate.parity_bound)),
            worst.maximum <= certificate.parity_bound,
        )


def _steps(certificate: Certificate) -> Iterator[Proof]:
    """One step at a time against the whole."""
    found = certificate.stream
    if found is None:
        return
    name = max(found.errors, key=lambda item: found.errors[item] / found.bounds[item])
    exact = len(found.same) == len(found.errors)
    figure = Markup("the same bits") if exact else _bounded(found.errors[name], "≤", found.bounds[name])
    lacking = Markup(" No step has {}: the whole path is needed.").format(_named(found.whole))
    known = Markup(" The whole of {} is given before the first step.").format(_named(found.known))
    yield Proof(
        "Step by step",
        figure,
        Markup(
            "{} steps of <code>{}</code>, one after another with the state that each leaves, give what the model gives "
            "at once, measured on {} of the samples.{}{}"
        ).format(
            number(found.steps), found.loop, found.samples, lacking if found.whole else "", known if found.known else ""
        ),
        all(found.errors[item] <= found.bounds[item] for item in found.errors),
    )


def _named(names: tuple[str, ...]) -> Markup:
    return Markup(", ").join(Markup("<code>{}</code>").format(item) for item in names)


def _discretisation(certificate: Certificate, of: tuple[str, ...] | None) -> Iterator[Proof]:
    """The bound is a promise where the compiler chose the grid for it (there are trials), else a fact."""
    errors = {name: item for name, item in certificate.deployed.items() if of is None or name in of}
    if not errors or all(solve.declared == "discrete" for solve in certificate.solves):
        return
    name, worst = _worst(errors)
    promised = bool(certificate.work_precision) and certificate.error_is_stated
    figure = _bounded(worst.maximum, "≤", certificate.stated_error) if promised else number(worst.maximum)
    stated = Markup(", where {} was stated").format(number(certificate.stated_error)) if promised else ""
    sentence = Markup(
        "Fixed steps and rounding miss the true solution by a relative {} at most, at the output <code>{}</code>{}. "
        "Measured on {} against {}.{}"
    ).format(number(worst.maximum), name, stated, certificate.samples, certificate.reference, _beyond(certificate))
    yield Proof("True to the equation", figure, sentence, not promised or worst.maximum <= certificate.stated_error)


def _learned(certificate: Certificate) -> Iterator[Proof]:
    """Errors on samples that had no part in learning, beside those of the scheme that it began with."""
    found = certificate.learned
    if found is None or found.held_out.why:
        return
    learned, classical = found.held_out.largest
    bases = ", ".join(dict.fromkeys(solve.base for solve in found.solves))
    reach = Markup("inputs up to {} times as wide").format(number(found.holds_to))
    limit = Markup("within {}").format(number(found.limit)) if found.limit is not None else Markup("better than that")
    sentence = Markup(
        "Coefficients and grid were learned on {}. On {}, which had no part in that, they miss the solution by a "
        "relative {} at most, and {} with as many even steps by {}. They stay {} on {}."
    ).format(
        found.lesson, found.held_out.samples, number(learned), bases, number(classical), limit,
        reach if found.holds_to > 1 else "inputs like these alone" if found.holds_to else "none that were tried",
    )  # fmt: skip
    yield Proof("Learned steps", number(learned), sentence, found.holds_to >= 1)


def _paths(certificate: Certificate, of: tuple[str, ...] | None) -> Iterator[Proof]:
    """The error of a stochastic grid that is promised; the strong one where none is."""
    found = certificate.stochastic
    errors = {} if found is None else {k: item for k, item in found.errors.items() if of is None or k in of}
    if found is None or not errors:
        return
    weak, promised = found.states == "weak", bool(found.states)
    values = {name: item.weak if weak else item.strong for name, item in errors.items()}
    name = max(values, key=lambda key: values[key])
    item = errors[name]
    kind = "Means over paths" if weak else "Path by path, fixed steps"
    figure = _bounded(values[name], "≤", certificate.stated_error) if promised else number(values[name])
    chance = item.weak_interval if weak else item.strong_error
    yield Proof(
        "True to the equation",
        figure,
        Markup(
            "{} miss the equation by a relative {} (± {}{}) at most, at the output <code>{}</code>: measured against a "
            "grid of {} times as many steps on the same {} paths of noise."
        ).format(
            kind, number(values[name]), number(chance), ", 95 %" if weak else ", standard error", name,
            number(found.finer), number(found.paths),
        ),
        not promised or values[name] - 2 * chance <= certificate.stated_error,
    )  # fmt: skip


def _seeds(certificate: Certificate) -> Iterator[Proof]:
    """How much another seed changes an output that is made of samples."""
    spreads = {} if certificate.stochastic is None else certificate.stochastic.doubling.outputs
    if certificate.stochastic is None or not spreads:
        return
    name = max(spreads, key=lambda key: spreads[key].spread)
    yield Proof(
        "From seed to seed",
        number(spreads[name].spread),
        Markup(
            "With {} samples <code>{}</code> has this relative standard deviation from one seed to the next; with "
            "twice as many it is {}."
        ).format(number(certificate.stochastic.doubling.samples), name, number(spreads[name].doubled)),
    )


def _beyond(certificate: Certificate) -> Markup:
    """What is known outside the data, which nothing promises."""
    if not certificate.beyond:
        return Markup("")
    _, worst = _worst(certificate.beyond)
    return Markup(
        " On draws from the inputs' declared bounds, which reach further, the grid misses it by up to {}."
    ).format(number(worst.maximum))


def _stability(certificate: Certificate) -> Iterator[Proof]:
    if not certificate.stability:
        return
    worst = max(certificate.stability, key=lambda item: item.decaying)
    if worst.decaying == 0:
        fastest = max(certificate.stability, key=lambda item: item.largest)
        told = Markup("No direction that was met decays; the fastest grows by {} a step, in <code>{}</code>.").format(
            number(fastest.largest), fastest.solve
        )
        yield Proof("Stable steps", number(fastest.largest), told)
        return
    kept = "What the equation makes decay, the steps make decay too"
    lost = "Some of what the equation makes decay grows from step to step"
    told = Markup("{}: where it was looked at, the largest factor a step is {}, in <code>{}</code>.").format(
        kept if worst.decaying <= 1 else lost, number(worst.decaying), worst.solve
    )
    yield Proof("Stable steps", _bounded(worst.decaying, "≤", 1), told, worst.decaying <= 1)


def _posterior(certificate: Certificate) -> Iterator[Proof]:
    """A card where a bound says something."""
    if certificate.posterior.bounds:
        name = max(certificate.posterior.bounds, key=lambda item: certificate.posterior.bounds[item])
        largest, apart = certificate.posterior.bounds[name], max(certificate.posterior.apart.values(), default=0.0)
        yield Proof(
            "A bound, not a comparison",
            Markup("{}").format(number(largest)),
            Markup(
                "A third solution, DOP853 of scipy on {} samples, is at most this far from the exact one, relative to "
                "the sizes of the states in <code>{}</code>: its defect, and how far the equations let it grow. The "
                "reference is {} from it."
            ).format(certificate.posterior.samples, name, number(apart)),
        )


def _finite(certificate: Certificate) -> Iterator[Proof]:
    """A card where it is proved: that a proof was not found speaks neither for the model nor against it."""
    if certificate.finite.proved:
        yield Proof(
            "Always a number",
            Markup("proved"),
            Markup(
                "Every output is a finite number for every input within its bounds: intervals with outward rounding "
                "were carried through the whole deployed graph."
            ),
        )


def _checks(certificate: Certificate) -> Iterator[Proof]:
    for check in certificate.checks:
        verb = "holds" if check.holds else "does not hold"
        yield Proof(
            "A check of the file",
            _bounded(check.left, check.operator, check.right),
            Markup("<code>{}</code> {} on what the deployed model answers.").format(_told(check), verb),
            check.holds,
        )


def _proved(certificate: Certificate) -> Iterator[Proof]:
    """A card for each check that is proved, with what was met in samples."""
    for item in certificate.proofs:
        if item.bound is None:
            continue
        met = Markup("") if item.met is None else Markup(" In samples up to {} was met.").format(number(item.met))
        yield Proof(
            "Proved of the equations",
            _bounded(item.bound, "≤", item.asked),
            Markup("<code>{}</code> {} for {}: {}.{}").format(
                item.text, "holds" if item.holds else "is not proved", item.assumes, item.how, met
            ),
            item.holds,
        )


def _told(check: CheckResult) -> str:
    return check.text.removeprefix("check ").strip()


def _worst(errors: Mapping[str, Spread]) -> tuple[str, Spread]:
    return max(errors.items(), key=lambda item: item[1].maximum)


def _bounded(value: float, sign: str, bound: float) -> Markup:
    shown = {"<=": "≤", ">=": "≥", "==": "=", "!=": "≠"}.get(sign, sign)
    return Markup('{} <span class="bound">{} {}</span>').format(number(value), shown, number(bound))


def headline(certificate: Certificate) -> str:
    """The deployed solves in a sentence."""
    solves = [
        f"{solve.name} by {solve.scheme} in {solve.steps:,} step{'' if solve.steps == 1 else 's'}"
        + (" (the scheme is part of the model)" if solve.declared == "discrete" else "")
        for solve in certificate.solves
    ]
    return f"Deployed: {', '.join(solves)}." if solves else ""
