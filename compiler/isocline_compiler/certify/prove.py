"""Everything that is claimed of a deployed model, measured: the certificate, and what in it misses its bound."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from isocline_compiler.certify.certificate import AttributionProof, Certificate
from isocline_compiler.certify.choose import choose
from isocline_compiler.certify.deployed import (
    compare,
    deployed_solve,
    evaluate_check,
    graph_facts,
    latency,
    missed_checks,
    run_deployed,
)
from isocline_compiler.certify.enclosure import finite
from isocline_compiler.certify.evaluation import AGREED, Choices, Evaluator, scheme_steps
from isocline_compiler.certify.events import event_facts, event_faults, set_apart
from isocline_compiler.certify.measures import Spread, figures, moved_by
from isocline_compiler.certify.newton import fewest_iterations, newton_residuals
from isocline_compiler.certify.order import ObservedOrder, model_order, observed_orders
from isocline_compiler.certify.posterior import TOLERANCE, Posterior, posterior
from isocline_compiler.certify.proofs import prove, unproved
from isocline_compiler.certify.rare import Rare, rare_samples
from isocline_compiler.certify.samples import Samples, are_drawable, drawn, held_out
from isocline_compiler.certify.second_steps import NoSecondWalk
from isocline_compiler.certify.stability import stability
from isocline_compiler.certify.steppers import SAME, SecondWalk, steppable
from isocline_compiler.certify.sweep import MARGIN
from isocline_compiler.certify.trials import trial
from isocline_compiler.certify.undone import restored
from isocline_compiler.certify.versions import versions
from isocline_compiler.certify.work_precision import Before, Trial
from isocline_compiler.certify.worst import search_worst
from isocline_compiler.data import Dataset
from isocline_compiler.graph import Array, Graph
from isocline_compiler.graph.called import Called
from isocline_compiler.graph.delay import delays_of
from isocline_compiler.graph.fractional import has_order
from isocline_compiler.model import FittedParameter, Model, Port
from isocline_compiler.solvers.grid import Discretisation, halved
from isocline_dsl import messages
from isocline_dsl.diagnostics import Diagnostic, IsoclineError
from isocline_dsl.tree import Span
from isocline_runtime import Session

Progress = Callable[[str], None]

PARITY, AT_MOST = 0.1, 0.5
"""The part of the stated error that rounding may be, and what it may be where single precision needs it."""
SINGLE, LEAST_PARITY = 5e-6, 1e-6
"""What single precision usually keeps, and below which no bound is set."""
NAMED_PARITY = 1e-5
"""The bound on rounding where the scheme is the model's or the author's, and no error is promised."""
REFINED = 8
"""How often a grid is chosen anew because the search found inputs on which it misses."""
MEASURED = 512
"""Samples on which schemes are chosen, and discretisation and parity measured."""


def parity_of(error: float) -> float:
    """The bound on rounding beside a stated error: a tenth of it, but what float32 keeps where that is below a half."""
    return max(PARITY * error, min(AT_MOST * error, SINGLE), LEAST_PARITY)


@dataclass
class Proving:
    """One model with its weights and the samples on which it is measured."""

    model: Model
    weights: Mapping[str, Array]
    dataset: Dataset | None
    override: Called | None = None
    tried: int = 0
    """Inputs that were tried in search of the worst."""

    @cached_property
    def samples(self) -> Samples:
        """Held-out data, or draws from the inputs' bounds, in the precision of the deployed model."""
        return self.given.rounded(self.model.deployment.dtype)

    @cached_property
    def given(self) -> Samples:
        """The same as the user has them, in double precision."""
        return self.own_inputs

    @cached_property
    def own_inputs(self) -> Samples:
        """The inputs of the model, and the targets where there are data."""
        if self.dataset is None:
            draws, rare = self._draws, self.rare  # what rounds an input away from a zero is not the model's fault
            return draws if rare is None else draws.joined(rare.samples, f"{draws.origin}, and {rare.samples.origin}")
        return held_out(self.dataset, self.model.inputs, self.model.targets)

    @cached_property
    def _draws(self) -> Samples:
        return drawn(self.model.inputs, self.model.source)

    @cached_property
    def _rare(self) -> Rare | None:
        return rare_samples(self.model, self.weights, self._draws) if are_drawable(self.model.inputs) else None

    @cached_property
    def rare(self) -> Rare | None:
        """Samples near zeros of divisors and the like, in the precision of the deployed model."""
        return None if self._rare is None else self._rare.rounded(self.model.deployment.dtype)

    def _near_zero(self, row: int) -> str | None:
        """In words where a measured sample is, if it is one of those near a zero."""
        place = row - self._draws.count if self.dataset is None and self._rare is not None else -1
        if self._rare is None or not 0 <= place < len(self._rare.words) or self.samples.count > MEASURED:
            return None
        return self._rare.words[place]

    @cached_property
    def _evaluators(self) -> dict[int, Evaluator]:
        return {}

    def evaluator(self, samples: Samples) -> Evaluator:
        """The float64 model on these samples, the same one for the same samples: it remembers its reference."""
        if id(samples) not in self._evaluators:
            self._evaluators[id(samples)] = Evaluator(self.model, self.weights, samples, self.model.deployment.error)
        return self._evaluators[id(samples)]

    @cached_property
    def measured(self) -> Samples:
        """The samples on which errors are measured, before the worst have been searched for."""
        return set_apart(self.evaluator(self.samples.first(MEASURED)))

    @cached_property
    def measuring(self) -> Evaluator:
        """The evaluator on all samples on which errors are measured; a search puts the worst of them here."""
        return self.evaluator(self.measured)

    def paths(self, session: Session) -> dict[str, Array]:
        """Outputs for one input and many draws of the noise; none where there is no noise."""
        return {}

    def row_numbers(self, places: Array) -> Array | None:
        """Which rows of noise the measured samples at these places have; None where no noise drives the model."""
        return None

    @property
    def solution(self) -> dict[str, Array]:
        """The outputs of the reference on the measured samples; nothing where no solve is open."""
        return self.measuring.reference if self.measuring.open else {}

    @property
    def parity(self) -> float:
        """The bound on rounding: the author's; else a tenth of the error that is stated of a grid, which hides less."""
        plan = self.model.deployment
        if plan.parity is not None:
            return plan.parity
        is_open = any(solve.spec.scheme is None for solve in self.evaluator(self.measured).solves)
        return parity_of(plan.error) if is_open and self._is_bounded else NAMED_PARITY

    def choose(self, progress: Progress) -> tuple[dict[str, Discretisation], tuple[Trial, ...]]:
        """A discretisation for every solve: the model's own, the author's, or the cheapest that meets the error."""
        plan = self.model.deployment
        evaluator = self.evaluator(self.measured)
        if self.override is not None:
            return {solve.spec.choice: scheme_steps(solve, self.override) for solve in evaluator.solves}, ()
        if plan.solver is not None or not evaluator.open:
            named = plan.solver
            chosen = {
                solve.spec.choice: scheme_steps(solve, named, evaluator.jumps(solve))
                for solve in evaluator.open
                if named is not None
            }
            if named is not None and "iterations" not in named.said:
                chosen = fewest_iterations(self.evaluator(self.samples.first(8)), chosen, plan.error)
            return {**evaluator.stated, **chosen}, ()
        progress("solving the equations by two references")
        rounding = self.parity if plan.dtype == "float32" else float("inf")
        trials, before = tuple[Trial, ...](), Before()
        for _ in range(REFINED):
            found, tried = choose(self.measuring, plan.error, plan.of, progress, rounding, before)
            chosen, trials = {**evaluator.stated, **found}, (*trials, *tried)
            if self._search(chosen, progress) <= plan.error * (1 + MARGIN) / 2:
                break
        return chosen, trials

    def _search(self, choices: Choices, progress: Progress) -> float:
        """The largest error of a grid that a search of the inputs' box finds; those inputs are measured from now on.

        With data the promise is on those: nothing is searched.
        """
        if self.dataset is not None or not are_drawable(self.model.inputs):
            return 0.0
        plan, known = self.model.deployment, self.measuring
        progress("searching the inputs' bounds for the worst")
        outputs = plan.of or tuple(known.graph.outputs)

        def on(samples: Samples) -> Evaluator:
            return Evaluator(self.model, self.weights, samples, plan.error, known.quickest())

        worst = search_worst(known, choices, outputs, self.model.inputs, on)
        self.tried += worst.tried
        origin = f"{self.measured.origin}, and the worst of {self.tried} in a search"
        found = Evaluator(self.model, self.weights, worst.samples, plan.error, known.alike())
        self.measuring = known.joined(found, origin)
        return float(worst.errors.max())

    def certificate(
        self,
        session: Session,
        choices: Choices,
        trials: tuple[Trial, ...],
        model_file: Path,
        parameters: tuple[FittedParameter, ...],
        explained: tuple[AttributionProof, ...],
        emitted: Graph,
    ) -> Certificate:
        """Measure everything that is claimed; what holds within all bounds is proved of the graph that was emitted."""
        plan, evaluator = self.model.deployment, self.measuring
        measured = evaluator.samples
        agreed = evaluator.agreed  # first: where the equations have no answer, it says why
        exact, deployed = evaluator.run(choices), run_deployed(session, measured)
        everything = run_deployed(session, self.samples) if plan.checks else {}
        graph, is_open = self.model.graph, bool(evaluator.open)
        return Certificate(
            model=self.model.name,
            samples=measured.origin + ("" if self.samples.count <= MEASURED else f", {MEASURED} of them measured"),
            parity=compare(deployed, exact, graph),
            parity_bound=self.parity,
            dtype=plan.dtype,
            discretisation=compare(exact, evaluator.reference, graph) if is_open else {},
            stated_error=plan.error,
            error_is_stated=self._is_bounded,
            reference=agreed.first,
            second_reference=agreed.second,
            references_apart=agreed.apart,
            solves=tuple(deployed_solve(solve, choices[solve.spec.choice]) for solve in evaluator.solves),
            work_precision=trials,
            step_halving=_halving(evaluator, exact, choices),
            stability=stability(self.evaluator(self.samples.first(8)), choices),
            newton=newton_residuals(self.evaluator(self.samples.first(8)), choices),
            checks=tuple(evaluate_check(check, everything, self.samples) for check in plan.checks),
            proofs=prove(self.model, self.weights, choices),
            parameters=parameters,
            data_notes=self.dataset.notes if self.dataset else (),
            graph=graph_facts(session, model_file),
            latency=latency(session, measured, plan.batch or 1),
            versions=versions(),
            attribution=explained,
            deployed=compare(deployed, evaluator.reference, graph) if is_open else {},
            beyond=self._beyond(choices) if is_open else {},
            orders=_orders(evaluator, choices),
            second_walk=self._second_walk(evaluator, exact),
            restored=restored(evaluator, choices),
            inputs_rounded=self._inputs_rounded(choices),
            largest_inputs=self.given.first(MEASURED).largest,
            posterior=self._posterior(evaluator),
            events=event_facts(evaluator, choices),
            finite=finite(emitted, self._ports, plan.dtype, self.model.source),
        )

    @property
    def _ports(self) -> Sequence[Port]:
        """What the deployed graph reads."""
        return self.model.inputs

    def _posterior(self, evaluator: Evaluator) -> Posterior:
        """Errors that are known for certain, where a differential equation is open."""
        if not evaluator.open:
            return Posterior({}, {}, 0, "the scheme is the model's own")
        if any(delays_of(solve) or has_order(solve.spec) for solve in evaluator.open):
            return Posterior({}, {}, 0, "the equations read their past")
        return posterior(evaluator)

    def _second_walk(self, evaluator: Evaluator, exact: Mapping[str, Array]) -> dict[str, float]:
        """How far the outputs are from an independent walk of the model's own steps; empty where there is none."""
        own = [solve for solve in evaluator.solves if solve.spec.scheme is not None]
        if self.override is not None or evaluator.open or not own or not all(map(steppable, own)):
            return {}
        try:
            found = evaluator.outputs(evaluator.graph, SecondWalk(evaluator.known))
        except NoSecondWalk:
            return {}
        return {name: item.maximum for name, item in compare(exact, found, evaluator.graph).items()}

    def _inputs_rounded(self, choices: Choices) -> dict[str, dict[str, float]]:
        """How far each output moves when an input is rounded to the deployed precision, by input and output.

        Measured in double precision, and of all inputs together ("") first: of each alone where that is too much.
        """
        if self.model.deployment.dtype == "float64":
            return {}
        given = self.given.first(MEASURED)
        exact = trial(self.evaluator(given), choices)
        real = [port.name for port in self.model.inputs if given.inputs[port.name].dtype.kind == "f"]

        def moved(names: Sequence[str]) -> dict[str, float]:
            rounded = {name: given.rounded("float32").inputs[name] if name in names else array
                       for name, array in given.inputs.items()}  # fmt: skip
            found = trial(Evaluator(self.model, self.weights, Samples(rounded, {}, given.origin)), choices)
            return {name: moved_by(found[name], array) for name, array in exact.items() if array.dtype.kind == "f"}

        together = {"": moved(real)} if real else {}
        if any(not value <= self.parity for item in together.values() for value in item.values()):
            together |= {name: moved([name]) for name in real}
        return together

    def _beyond(self, choices: Choices) -> dict[str, Spread]:
        """The error of the grid on draws from the inputs' bounds: data may cover little of what a caller may give.

        Empty without data (then the samples are such draws already), without finite bounds, and where no reference
        solution can be had.
        """
        if self.dataset is None or not are_drawable(self.model.inputs):
            return {}
        evaluator = self.evaluator(drawn(self.model.inputs, self.model.source).rounded(self.model.deployment.dtype))
        try:
            return compare(evaluator.run(choices), evaluator.reference, self.model.graph)
        except IsoclineError:
            return {}  # the bounds reach where the equations have no solution: nothing is claimed there

    def missed(self, certificate: Certificate) -> list[Diagnostic]:
        """A diagnostic for every bound that is missed; a number that is none misses it."""
        plan = self.model.deployment
        spans = {port.name: port.span for port in self.model.outputs}
        missed = [
            _parity_missed(spans[name], name, certificate, item, self._near_zero(item.worst_sample))
            for name, item in certificate.parity.items()
            if not item.maximum <= certificate.parity_bound
        ]
        missed += [
            messages.input_rounded(spans[output], name, output, *figures(value, certificate.parity_bound))
            for name, moved in certificate.inputs_rounded.items()
            for output, value in moved.items()
            if name and not value <= certificate.parity_bound
        ]
        bounded = plan.of or tuple(certificate.deployed)
        missed += [
            messages.error_bound_missed(spans[name], name, *figures(item.maximum, certificate.stated_error))
            for name, item in certificate.deployed.items()
            if name in bounded and self._is_bounded and not item.maximum <= certificate.stated_error
        ]
        missed += [
            messages.halving_too_large(spans[name], name, *figures(moved, certificate.stated_error))
            for name, moved in certificate.step_halving.items()
            if name in bounded and self._is_bounded and not moved <= certificate.stated_error
        ]
        missed += [
            messages.references_differ(
                spans[name], name, *figures(apart, AGREED * certificate.stated_error), certificate.reference,
                f"DOP853 of scipy, rtol = {TOLERANCE:.0e}, one sample at a time",
            )
            for name, apart in certificate.posterior.apart.items()
            if name in bounded
            and self._is_bounded
            and certificate.posterior.refutes(name, AGREED * certificate.stated_error)
        ]  # fmt: skip
        missed += [
            messages.order_differs(plan.span, item.scheme, item.on, f"{item.observed:.2f}", f"{item.declared:g}")
            for item in certificate.orders
            if item.differs and (self._is_bounded or item.on != "the model")
        ]
        missed += [
            messages.steps_differ(spans[name], name, *figures(difference, SAME))
            for name, difference in certificate.second_walk.items()
            if not difference <= SAME
        ]
        missed += event_faults(self.measuring, certificate.events)
        return missed + missed_checks(plan.checks, certificate.checks) + unproved(plan.proved, certificate.proofs)

    @property
    def _is_bounded(self) -> bool:
        """Whether the error of the grid is a promise; when the author names a grid, it is a fact that is stated."""
        return self.model.deployment.solver is None and self.override is None


def _parity_missed(
    span: Span | None, name: str, certificate: Certificate, item: Spread, where: str | None
) -> Diagnostic:
    """E602; E674 where the worst sample is near a zero of a divisor, which loses the digits."""
    found, bound = figures(item.maximum, certificate.parity_bound)
    if where is not None:
        return messages.digits_lost(span, name, certificate.dtype, found, bound, where)
    return messages.parity_missed(span, name, certificate.dtype, found, bound)


def _orders(evaluator: Evaluator, choices: Choices) -> tuple[ObservedOrder, ...]:
    """Of every scheme that is deployed, on its problems; of what is open, on the model itself."""
    schemes = {choice.scheme.name: choice.scheme for choice in choices.values()}
    found = tuple(item for scheme in schemes.values() for item in observed_orders(scheme))
    return found + (model_order(evaluator, choices) if evaluator.open else ())


def _halving(evaluator: Evaluator, exact: Mapping[str, Array], choices: Choices) -> dict[str, float]:
    """How far the outputs move when every step of an open solve is halved."""
    if not evaluator.open:
        return {}
    finer = trial(evaluator, {solve.spec.choice: halved(choices[solve.spec.choice]) for solve in evaluator.open})
    return {name: item.maximum for name, item in compare(exact, finer, evaluator.graph).items()}
