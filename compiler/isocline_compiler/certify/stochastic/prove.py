"""A stochastic model proved: errors on the same paths of noise as a finer grid, rounding on the noise that is drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from pathlib import Path

import numpy as np

from isocline_compiler.certify.certificate import AttributionProof, Certificate
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
from isocline_compiler.certify.evaluation import Choices, Evaluator, scheme_steps
from isocline_compiler.certify.measures import figures
from isocline_compiler.certify.order import observed_orders
from isocline_compiler.certify.posterior import Posterior
from isocline_compiler.certify.proofs import prove, unproved
from isocline_compiler.certify.prove import MEASURED, NAMED_PARITY, Proving, parity_of
from isocline_compiler.certify.rare import Rare
from isocline_compiler.certify.samples import Samples
from isocline_compiler.certify.stochastic.choose import Stated, choose_stochastic
from isocline_compiler.certify.stochastic.doubling import doubling
from isocline_compiler.certify.stochastic.ensemble import ensemble
from isocline_compiler.certify.stochastic.errors import FINER, Nested, measured_errors
from isocline_compiler.certify.stochastic.moments import NoiseMoments, noise_moments
from isocline_compiler.certify.stochastic.record import DrivenSolve, PathErrors, Stochastic
from isocline_compiler.certify.stochastic.seeded import SeededNoise, seeded_noises
from isocline_compiler.certify.undone import restored
from isocline_compiler.certify.versions import versions
from isocline_compiler.certify.work_precision import Trial
from isocline_compiler.graph import Array, Graph
from isocline_compiler.graph.noise import Noise
from isocline_compiler.graph.solve import Solve
from isocline_compiler.model import FittedParameter, Port
from isocline_compiler.solvers.grid import Discretisation
from isocline_compiler.solvers.schemes.stochastic_scheme import Stochastic as StochasticScheme
from isocline_compiler.solvers.schemes.stochastic_scheme import kind_of
from isocline_dsl import messages
from isocline_dsl.diagnostics import Diagnostic
from isocline_dsl.tree import Span
from isocline_runtime import Session

SEED = 0
"""The seed of the noise on which rounding is measured; row i of the samples is row i of the noise."""
ALONE = 16
"""Rows of a model that has no inputs."""
LARGEST = 1 << 24
"""Standard numbers of all measured rows together."""
WIDEST = 8.3
"""No normal of the generator is larger."""


@dataclass
class StochasticProving(Proving):
    """One stochastic model with its weights and the samples on which it is measured."""

    choices: dict[str, Discretisation] = field(default_factory=dict)

    @cached_property
    def plain(self) -> Evaluator:
        """The float64 model on the samples without their noise."""
        given = self.own_inputs.rounded(self.model.deployment.dtype)
        return Evaluator(self.model, self.weights, given.first(MEASURED), self.model.deployment.error)

    @cached_property
    def driven(self) -> tuple[Solve, ...]:
        """The solves that noise drives."""
        return tuple(solve for solve in self.plain.solves if solve.spec.noises)

    @cached_property
    def nested(self) -> Nested:
        """The samples on nested grids."""
        return Nested(self.plain, self.driven)

    def choose(self, progress: Callable[[str], None]) -> tuple[dict[str, Discretisation], tuple[Trial, ...]]:
        """A discretisation for every solve: the model's own, the author's, or the cheapest that meets the error."""
        plan, evaluator = self.model.deployment, self.plain
        named = self.override or plan.solver
        trials: tuple[Trial, ...] = ()
        self.choices = dict(evaluator.stated)
        if self.override is not None:
            self.choices = {solve.spec.choice: scheme_steps(solve, self.override) for solve in evaluator.solves}
        elif named is not None:
            self.choices |= {solve.spec.choice: scheme_steps(solve, named) for solve in evaluator.open}
        elif evaluator.open:
            found, trials = choose_stochastic(self.nested, self.stated, plan.batch or 1, progress)
            self.choices |= found
        return self.choices, trials

    @property
    def stated(self) -> Stated:
        """What the author asks of the grid."""
        plan = self.model.deployment
        outputs = plan.of or tuple(self.model.graph.outputs)
        if plan.weak is not None:
            return Stated("weak", plan.weak, outputs)
        return Stated("strong", plan.error, outputs)

    @property
    def _promised(self) -> bool:
        return self._is_bounded and bool(self.plain.open)

    # ------------------------------------------------------------------------------------------------ samples

    @cached_property
    def given(self) -> Samples:
        """The inputs and the noise of each row, as the runtime draws it."""
        base = self.own_inputs
        rows = min(base.count if base.inputs else ALONE, self._rows)
        if not base.inputs:
            return self._with_noise(base, range(rows), f"{rows} rows of noise")
        kept = f"{rows} of {base.origin}" if rows < base.count else base.origin
        return self._with_noise(base.first(rows), range(rows), f"{kept}, each with noise of its own")

    @property
    def _rows(self) -> int:
        """How many rows have their noise at the same time."""
        return max(1, LARGEST // sum(prod(item.shape) for item in self.seeded))

    def _with_noise(self, base: Samples, rows: range, words: str) -> Samples:
        """Samples as these rows of the noise."""
        noise = {item.name: item.made(item.draws(SEED), rows) for item in self.seeded}
        return Samples({**base.inputs, **noise}, base.targets, words)

    def _whole_split(self, session: Session) -> tuple[Samples, dict[str, Array]]:
        """All held-out samples, and what the deployed model answers to them, their noise made some rows at a time."""
        base = self.own_inputs
        if not base.inputs or base.count <= self._rows:
            return self.samples, run_deployed(session, self.samples)
        parts = []
        for start in range(0, base.count, self._rows):
            places = range(start, min(start + self._rows, base.count))
            some = self._with_noise(base.taken(np.array(places)), places, base.origin)
            parts.append(run_deployed(session, some.rounded(self.model.deployment.dtype)))
        batched = {name: node.type.batched for name, node in self.model.graph.outputs.items()}
        joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0] if batched[name]}
        return base, {**parts[0], **joined}

    @property
    def seeded(self) -> tuple[SeededNoise, ...]:
        """The inputs of noise on the grids that were chosen."""
        return seeded_noises(self.driven, self.choices)

    @cached_property
    def _rare(self) -> Rare | None:
        """None: samples near zeros have no noise of their own."""
        return None

    @property
    def _ports(self) -> Sequence[Port]:
        return (*self.model.inputs, *noise_ports(self.seeded))

    @cached_property
    def measuring(self) -> Evaluator:
        """The float64 model on the samples with their noise."""
        return self.evaluator(self.measured)

    def paths(self, session: Session) -> dict[str, Array]:
        """Outputs of the deployed model for its first inputs and many draws of the noise."""
        return ensemble(session, self.model.graph, self.plain.samples, self.seeded, SEED)

    def row_numbers(self, places: Array) -> Array:
        """Row i of the noise is that of sample i, of which some were measured."""
        return np.asarray(self.samples.spread(MEASURED)[places])

    @property
    def solution(self) -> dict[str, Array]:
        """No solution is known for one row of noise."""
        return {}

    @property
    def parity(self) -> float:
        """The bound on rounding: the author's; else a tenth of a stated strong error, or what float32 keeps."""
        plan = self.model.deployment
        if plan.parity is not None:
            return plan.parity
        return parity_of(self.stated.bound) if self._promised else NAMED_PARITY

    # ------------------------------------------------------------------------------------------------ certificate

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
        """Measure everything that is claimed."""
        plan, evaluator = self.model.deployment, self.measuring
        exact = evaluator.run(choices)
        whole, everything = self._whole_split(session) if plan.checks else (self.samples, {})
        schemes = {choice.scheme.name: choice.scheme for choice in choices.values()}
        return Certificate(
            model=self.model.name,
            samples=evaluator.samples.origin,
            parity=compare(run_deployed(session, evaluator.samples), exact, self.model.graph),
            parity_bound=self.parity,
            dtype=plan.dtype,
            discretisation={},
            stated_error=self.stated.bound,
            error_is_stated=self._promised,
            reference=f"a grid of {FINER} times as many steps on the same paths of noise",
            solves=tuple(deployed_solve(solve, choices[solve.spec.choice]) for solve in evaluator.solves),
            work_precision=trials,
            proofs=prove(self.model, self.weights, choices),
            checks=tuple(evaluate_check(check, everything, whole) for check in plan.checks),
            parameters=parameters,
            data_notes=self.dataset.notes if self.dataset else (),
            graph=graph_facts(session, model_file),
            latency=latency(session, evaluator.samples, plan.batch or 1),
            versions=versions(),
            attribution=explained,
            orders=tuple(item for scheme in schemes.values() for item in observed_orders(scheme)),
            largest_inputs=self.own_inputs.first(MEASURED).largest,
            posterior=Posterior({}, {}, 0, "the equations are stochastic"),
            restored=restored(evaluator, choices),
            finite=finite(emitted, self._ports, plan.dtype, self.model.source),
            stochastic=self._stochastic(choices),
        )

    def _stochastic(self, choices: Choices) -> Stochastic:
        errors = measured_errors(self.nested, choices)
        samples = max(solve.spec.samples or 1 for solve in self.driven)
        solves = tuple(_driven(solve, choices[solve.spec.choice]) for solve in self.driven)
        states = self.stated.kind if self._promised else ""
        return Stochastic(
            errors, solves, self.nested.rows * samples, self.nested.rows, FINER, states,
            doubling(self.plain, choices), tuple(noise_moments(item) for item in self.seeded),
        )  # fmt: skip

    def missed(self, certificate: Certificate) -> list[Diagnostic]:
        """A diagnostic for every bound that is missed; a number that is none misses it."""
        plan, spans = self.model.deployment, {port.name: port.span for port in self.model.outputs}
        missed = [
            messages.parity_missed(
                spans[name], name, certificate.dtype, *figures(item.maximum, certificate.parity_bound)
            )
            for name, item in certificate.parity.items()
            if not item.maximum <= certificate.parity_bound
        ]
        assert certificate.stochastic is not None
        driven = certificate.stochastic.solves
        names = {solve.name for solve in driven}
        schemes = "+".join(dict.fromkeys(solve.scheme for solve in certificate.solves if solve.name in names))
        for name, item in certificate.stochastic.errors.items():
            if item.walk is not None and item.allowed is not None and not item.walk <= item.allowed:
                missed.append(messages.walks_differ(spans[name], name, *figures(item.walk, item.allowed)))
            if item.stands:
                found, declared = f"{item.order:.2f}", f"{min(solve.strong_order for solve in driven):g}"
                missed.append(messages.order_differs(spans[name], schemes, f"`{name}`", found, declared))
            if self._promised and name in self.stated.outputs:
                missed += self._beyond_stated(name, item)
        missed += [
            messages.order_differs(plan.span, item.scheme, item.on, f"{item.observed:.2f}", f"{item.declared:g}")
            for item in certificate.orders
            if item.differs
        ]
        missed += noises_that_differ(plan.span, certificate.stochastic.moments)
        return missed + missed_checks(plan.checks, certificate.checks) + unproved(plan.proved, certificate.proofs)

    def _beyond_stated(self, name: str, item: PathErrors) -> list[Diagnostic]:
        """The error of other paths than those that chose the grid, less what chance may add to it."""
        stated = self.stated
        found = item.strong - 2 * item.strong_error if stated.kind == "strong" else item.weak - item.weak_interval
        if found <= stated.bound:
            return []
        span = next(port.span for port in self.model.outputs if port.name == name)
        return [messages.error_bound_missed(span, name, *figures(found, stated.bound))]


def noise_ports(seeded: Sequence[SeededNoise]) -> list[Port]:
    """The noise as inputs with bounds, where its distribution has some."""
    bounds: dict[str, tuple[float, float]] = {
        "brownian": (-WIDEST, WIDEST), "uniform": (0.0, 1.0), "bernoulli": (0.0, 1.0)
    }  # fmt: skip
    return [Port(item.name, "real", item.shape, bounds=bounds.get(item.noise.process)) for item in seeded]


def noises_that_differ(span: Span | None, moments: Sequence[NoiseMoments]) -> list[Diagnostic]:
    """E683 for each noise that has not the moments of its law."""
    return [
        messages.noise_differs(
            span, item.name, worst.name, f"{worst.found:.5g}", f"{worst.expected:.5g}", f"{worst.off:.1f}"
        )
        for item in moments
        if not (worst := item.worst).holds
    ]


def _driven(solve: Solve, choice: Discretisation) -> DrivenSolve:
    spec, scheme = solve.spec, choice.scheme
    assert isinstance(scheme, StochasticScheme)
    return DrivenSolve(
        spec.choice, tuple(_told(noise) for noise in spec.noises), spec.calculus, kind_of(spec.kinds),
        scheme.strong_order(spec.kinds), scheme.weak_order(spec.kinds), spec.samples, spec.ordering,
    )  # fmt: skip


def _told(noise: Noise) -> str:
    kind = {
        "brownian": "brownian",
        "poisson": f"poisson({noise.parameter:g})",
        "stable": f"stable({noise.parameter:g})",
    }
    return f"{noise.input}: {kind[noise.process]}[{noise.size}]"
