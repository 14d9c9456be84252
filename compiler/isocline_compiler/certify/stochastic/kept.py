"""An ensemble proved: a function of its inputs and its noise, with the noise that the runtime draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from pathlib import Path

import numpy as np

from isocline_compiler.certify.certificate import AttributionProof, Certificate
from isocline_compiler.certify.deployed import deployed_solve
from isocline_compiler.certify.evaluation import Choices, Evaluator, scheme_steps
from isocline_compiler.certify.measures import Spread
from isocline_compiler.certify.order import observed_orders
from isocline_compiler.certify.posterior import Posterior
from isocline_compiler.certify.prove import MEASURED, Progress, Proving
from isocline_compiler.certify.rare import Rare
from isocline_compiler.certify.samples import Samples
from isocline_compiler.certify.stochastic.doubling import doubling
from isocline_compiler.certify.stochastic.moments import noise_moments
from isocline_compiler.certify.stochastic.prove import ALONE, LARGEST, SEED, noise_ports, noises_that_differ
from isocline_compiler.certify.stochastic.record import KeptDraws, Stochastic
from isocline_compiler.certify.stochastic.seeded import SeededNoise, kept_noises
from isocline_compiler.certify.work_precision import Trial
from isocline_compiler.graph import Array, Graph
from isocline_compiler.graph.called import Called
from isocline_compiler.graph.noise import Noise
from isocline_compiler.model import FittedParameter, Model, Port
from isocline_compiler.solvers.ensemble import EnsembleModel, ensemble_model, noisy_solves
from isocline_compiler.solvers.unroll.forms import with_forms
from isocline_compiler.streaming.ensembles import as_streamed
from isocline_dsl.diagnostics import Diagnostic, IsoclineError
from isocline_dsl.messages.ensemble import too_many_draws
from isocline_runtime import Session
from isocline_runtime.randomness.draws import MOST_STEPS


def ensemble_of(model: Model, override: Called | None = None) -> Model:
    """The ensemble that `deploy` asks for, solves with its noise in their fields as the steps of their schemes; any
    other model is what it is.
    """
    plan = model.deployment
    if plan.samples is None:
        return model
    choices = {}
    for name, solve in noisy_solves(model.graph).items():
        named = override or solve.spec.scheme or plan.solver
        assert named is not None, "noise in a field without a scheme is refused where the file is read"
        choices[name] = scheme_steps(solve, named)
    choices = with_forms(model.graph, choices, plan.unroll, (plan.batch or 1) * plan.samples)
    if plan.stream is not None and plan.unroll != "all":
        choices = as_streamed(model.graph, choices, plan.stream.loop, plan.stream.span)
    found = ensemble_model(model, choices)
    for item in found.kept:
        if item.steps > MOST_STEPS:
            fault = too_many_draws(plan.span, item.noise.name, f"{item.steps:,} draws", f"{MOST_STEPS:,}")
            raise IsoclineError([fault], model.source)
    return found


@dataclass
class EnsembleProving(Proving):
    """One ensemble with its weights and the samples on which it is measured, each with noise of its own."""

    @property
    def ensemble(self) -> EnsembleModel:
        assert isinstance(self.model, EnsembleModel)
        return self.model

    @cached_property
    def seeded(self) -> tuple[SeededNoise, ...]:
        """The inputs of noise."""
        return kept_noises(self.ensemble.kept)

    @cached_property
    def given(self) -> Samples:
        """The inputs and the noise of each row, as the runtime draws it."""
        base = self.own_inputs
        most = max(1, LARGEST // sum(prod(item.shape) for item in self.seeded))
        kept = base.first(most) if base.inputs else base
        rows = kept.count if base.inputs else min(ALONE, most)
        noise = {item.name: item.made(item.draws(SEED), range(rows)) for item in self.seeded}
        words = f"{kept.origin}, each with noise of its own" if base.inputs else f"{rows} rows of noise"
        return Samples({**kept.inputs, **noise}, kept.targets, words)

    @cached_property
    def _rare(self) -> Rare | None:
        """None: samples near zeros have no noise of their own."""
        return None

    @property
    def _ports(self) -> Sequence[Port]:
        return (*self.model.inputs, *noise_ports(self.seeded))

    def row_numbers(self, places: Array) -> Array:
        """Row i of the noise is that of sample i, of which some were measured."""
        return np.asarray(self.samples.spread(MEASURED)[places])

    def _search(self, choices: Choices, progress: Progress) -> float:
        """Nothing is searched: the promise is on the samples and their noise."""
        return 0.0

    def _beyond(self, choices: Choices) -> dict[str, Spread]:
        return {}

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
        """What is claimed of any model, for this noise; then the noise itself, and what more samples would bring."""
        found = super().certificate(session, choices, trials, model_file, parameters, explained, emitted)
        stepped = self.ensemble.stepped
        known = {item.scheme for item in found.orders}
        schemes = {choice.scheme.name: choice.scheme for _, choice in stepped if choice.scheme.name not in known}
        own = {port.name for port in self.model.inputs}
        return replace(
            found,
            solves=(*(deployed_solve(solve, choice) for solve, choice in stepped), *found.solves),
            orders=(*found.orders, *(item for scheme in schemes.values() for item in observed_orders(scheme))),
            largest_inputs={name: value for name, value in found.largest_inputs.items() if name in own},
            stochastic=self._stochastic(choices),
        )

    def _posterior(self, evaluator: Evaluator) -> Posterior:
        return Posterior({}, {}, 0, "each sample has noise of its own")

    def _stochastic(self, choices: Choices) -> Stochastic:
        given = self.own_inputs.rounded(self.model.deployment.dtype).first(MEASURED)
        plain = Evaluator(self.model, self.weights, given, self.model.deployment.error)
        return Stochastic(
            {}, (), 0, 0, 0, doubling=doubling(plain, choices),
            moments=tuple(noise_moments(item) for item in self.seeded),
            kept=tuple(_told(item) for item in self.seeded),
        )  # fmt: skip

    def missed(self, certificate: Certificate) -> list[Diagnostic]:
        """A diagnostic for every bound that is missed, and for noise that is none of its law."""
        assert certificate.stochastic is not None
        differ = noises_that_differ(self.model.deployment.span, certificate.stochastic.moments)
        return super().missed(certificate) + differ


LAWS: Mapping[str, str] = {"brownian": "normal", "uniform": "uniform"}


def _told(item: SeededNoise) -> KeptDraws:
    samples, steps, channels = item.shape
    return KeptDraws(item.name, _law(item.noise), steps, channels, samples)


def _law(noise: Noise) -> str:
    return f"bernoulli({noise.parameter:g})" if noise.process == "bernoulli" else LAWS[noise.process]
