"""Explanations proved: what `attribute.onnx` answers, against definitions made of scores and finite differences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from isocline_compiler.attribution.baseline import ZEROS, baseline_of
from isocline_compiler.attribution.explain import Explained, ExplanationGraph
from isocline_compiler.attribution.record import Result
from isocline_compiler.certify.certificate import AttributionProof, Curve
from isocline_compiler.certify.curves import curves
from isocline_compiler.certify.deployed import run_deployed, taken_by
from isocline_compiler.certify.fresh_samples import FreshSamples, fresh_samples
from isocline_compiler.certify.measures import figures
from isocline_compiler.certify.oracle import DeployedOracle
from isocline_compiler.certify.rare import Rare
from isocline_compiler.certify.samples import Samples
from isocline_compiler.graph import Array
from isocline_compiler.graph.delay import delays_of
from isocline_compiler.model import Model
from isocline_compiler.solvers.unroll.forms import solves_of
from isocline_dsl import messages
from isocline_dsl.diagnostics import Diagnostic
from isocline_runtime import Session

BOUNDS: Mapping[str, float] = {"float32": 1e-3, "float64": 1e-6}
"""The largest relative difference from finite differences, by the precision of the deployed model."""
ROWS, MEASURED, ENTRIES, NODES = 32, 6, 6, 3
"""Samples that are explained; of those, how many are measured at so many entries of an input or nodes of a grid."""
RARE = 24
"""Samples near zeros that are measured besides."""
LEAST_SHARE = 1e-2
"""Shares smaller than this part of the score are measured against that part: float32 subtracts scores."""
SAME = 1e-6
"""Attributions of two samples that differ relatively by less are the same."""


def prove_attribution(
    model: Model,
    explanations: ExplanationGraph,
    weights: Mapping[str, Array],
    session: Session,
    samples: Samples,
    progress: Callable[[str], None],
    rare: Rare | None = None,
) -> tuple[AttributionProof, ...]:
    """Every result of `attribute.onnx` measured, on fresh samples and on rare ones; of a long solve in minutes."""
    rows = model.deployment.batch or min(ROWS, max(MEASURED, samples.count))  # repeated, and moved apart, when few
    near = rare.first(RARE) if rare is not None else None
    fresh = fresh_samples(model, explanations, weights, samples, rows, near)
    answers = run_deployed(session, Samples(taken_by(session, fresh.feed()), {}, samples.origin))
    found = {name: array.astype(np.float64) for name, array in answers.items()}
    late = any(map(delays_of, solves_of(model.graph)))
    trial = AttributionTrial(weights, fresh, found, BOUNDS[model.deployment.dtype], late)
    proofs: list[AttributionProof] = []
    for item in explanations.applied:
        progress(f"proving {item.method.name} of {item.plan.output}")
        proofs += trial.proofs(item)
    return tuple(proofs)


def missed_attributions(model: Model, proofs: Sequence[AttributionProof]) -> list[Diagnostic]:
    """A diagnostic for each result that misses its bound, or is constant where it should not be."""
    spans = {plan.output: plan.span for plan in model.deployment.attributions}
    dtype = model.deployment.dtype
    missed = []
    for proof in proofs:
        span = spans.get(proof.output, model.deployment.span)
        if float("inf") in (proof.error, proof.completeness):
            missed.append(messages.attribution_not_finite(span, proof.result))
        elif proof.error is not None and proof.bound is not None and not proof.error <= proof.bound:
            if proof.near is not None:
                facts = (*figures(proof.error, proof.bound), proof.near)
                missed.append(messages.digits_lost(span, proof.result, dtype, *facts))
                continue
            missed.append(messages.attribution_missed(span, proof.result, *figures(proof.error, proof.bound)))
        if proof.varies is False:
            missed.append(messages.attribution_constant(span, proof.result))
    return missed


@dataclass(frozen=True, eq=False)
class AttributionTrial:
    """One run of `attribute.onnx`: what was given, what was found, and the bound that it is held to. `late`: a solve
    reads its past, and its steps have a corner where a delay is that for which their grid was made.
    """

    weights: Mapping[str, Array]
    fresh: FreshSamples
    found: Mapping[str, Array]
    bound: float
    late: bool = False

    def proofs(self, item: Explained) -> list[AttributionProof]:
        """Of the results of one method."""
        oracle = self.oracle(item, MEASURED + len(self.fresh.rare))
        pairs = self._pairs(item, oracle)
        found = [self._compared(item, name, *pair, oracle) for name, pair in pairs.items()]
        residuals = [name for name, result in item.results.items() if result.kind == "residual"]
        return found + [self._completeness(item, name) for name in residuals]

    def oracle(self, item: Explained, rows: int) -> DeployedOracle:
        """Scores at the first samples, for the method's own noise."""
        prefix = f"{item.problem.label}_noise_"
        noise = {name.removeprefix(prefix): a[:rows] for name, a in self.fresh.noise.items() if name.startswith(prefix)}
        known = {name: array[:rows] for name, array in self.fresh.inputs.items()}
        index = self.fresh.index[str(item.problem.index.attrs["name"])][:rows]
        entries = {
            str(result.of): _entries(self.found[name][:rows])
            for name, result in item.results.items()
            if result.kind == "attribution"
        }
        return DeployedOracle(item.problem, self.weights, known, index, entries, noise)

    def _pairs(self, item: Explained, oracle: DeployedOracle) -> dict[str, tuple[Array, Array]]:
        """By result: what was found at some entries, and what it should be, (N, k) each."""
        definition = item.method.defined(item.option.options)
        defined = definition(oracle) if definition is not None else {}
        pairs: dict[str, tuple[Array, Array]] = {}
        for name, result in item.results.items():
            found = self.found[name][: len(oracle.index)]
            of = str(result.of)
            if result.kind == "attribution" and of in defined:
                pairs[name] = np.take(found.reshape(len(found), -1), oracle.entries[of], axis=1), defined[of]
            elif result.kind == "path":
                pairs[name] = _along_path(item, result, found, oracle)
            elif result.kind == "sensitivity":
                pairs[name] = _by_parameter(item, result, found, oracle, self.late)
        return pairs

    def _compared(
        self, item: Explained, name: str, found: Array, expected: Array, oracle: DeployedOracle
    ) -> AttributionProof:
        rows, result = len(found), item.results[name]
        scale = np.maximum(np.abs(self.found[name][:rows]).reshape(rows, -1).max(axis=1), np.abs(expected).max(axis=1))
        if item.method.shares:
            score = oracle.score({key: array[:, None] for key, array in oracle.inputs.items()})[:, 0]
            scale = np.maximum(scale, LEAST_SHARE * np.abs(score))
        near = len(self.fresh.rare)
        scale[:near] = np.maximum(scale[:near], LEAST_SHARE * scale.max())  # that of sin(x)/x vanishes at 0
        error = np.abs(found - expected).max(axis=1) / np.where(scale > 0, scale, 1.0)
        worst = int(np.nan_to_num(error, nan=np.inf).argmax())
        return AttributionProof(
            name, item.plan.output, item.method.name, result.of, rows,
            error=_largest(error), bound=self.bound,
            varies=_vary(found) if _vary(expected) else None, curves=self._curves(item, name, result),
            near=self.fresh.rare[worst] if worst < near else None,
        )  # fmt: skip

    def _curves(self, item: Explained, name: str, result: Result) -> tuple[Curve, ...]:
        """Of a classifier's inputs with more than one entry."""
        if not item.problem.classifier or result.kind != "attribution" or self.found[name][0].size < 2:
            return ()
        oracle, of = self.oracle(item, self.fresh.count), str(result.of)
        word = item.option.options.get("baseline", ZEROS)
        baseline = baseline_of(item.method.name, word, item.problem.background, of, item.problem.shape(of))
        return curves(lambda points: oracle.score({of: points}), self.fresh.inputs[of], self.found[name], baseline)

    def _completeness(self, item: Explained, name: str) -> AttributionProof:
        """|S(x) - S(x0) - sum of the shares|, relative to |S(x) - S(x0)|."""
        shares = [self.found[key] for key, result in item.results.items() if result.kind == "attribution"]
        near = len(self.fresh.rare)  # the score may be that of the baseline there
        shares, residual = [array[near:] for array in shares], self.found[name][near:]
        change = np.abs(residual + sum(array.reshape(len(array), -1).sum(axis=1) for array in shares))
        relative = np.abs(residual) / np.where(change > 0, change, 1.0)
        return AttributionProof(
            name, item.plan.output, item.method.name, None, len(residual), completeness=_largest(relative)
        )


def _largest(errors: Array) -> float:
    return float(errors.max()) if np.isfinite(errors).all() else float("inf")


def _entries(found: Array) -> Array:
    """Flat entries to measure: half of them those with the largest attributions, the others at random."""
    size = np.abs(found.reshape(len(found), -1)).max(axis=0)
    ranked = np.argsort(-size, kind="stable")
    others = np.random.default_rng(0).permutation(ranked[ENTRIES // 2 :])
    return np.concatenate([ranked[: ENTRIES // 2], others[: ENTRIES - ENTRIES // 2]])


def _along_path(item: Explained, result: Result, found: Array, oracle: DeployedOracle) -> tuple[Array, Array]:
    """dS/dx(t_i) at the first, a middle and the last node of the grid, at one entry each."""
    name, _, state = str(result.of).rpartition(".")
    trajectory = next(one for one in item.problem.trajectories if one.name == name)
    count = trajectory.count(state)
    places = sorted({0, count // 2, count - 1})[:NODES]
    here = found.reshape(len(found), count, -1)
    entries = [int(np.abs(here[:, place]).max(axis=0).argmax()) for place in places]
    measured = [
        oracle.node_slopes(*trajectory.place(state, i), entries=np.array([entry]), scale=trajectory.states[state][0])
        for i, entry in zip(places, entries, strict=True)
    ]
    return here[:, places, entries], np.concatenate(measured, axis=1)


def _by_parameter(
    item: Explained, result: Result, found: Array, oracle: DeployedOracle, corners: bool
) -> tuple[Array, Array]:
    """dS/dp at the numbers of a declared parameter that matter most; at a corner anything between both sides."""
    parameter = next(one for one in item.problem.parameters if one.name == result.of)
    entries = _entries(found)[:NODES]
    at = np.take(found.reshape(len(found), -1), entries, axis=1)
    if not corners:
        return at, oracle.node_slopes(parameter.value, entries=entries)
    sides = [oracle.node_slopes(parameter.value, entries=entries, side=side) for side in (1, -1)]
    return at, np.clip(at, np.minimum(*sides), np.maximum(*sides))


def _vary(values: Array) -> bool:
    """Whether two samples differ."""
    scale = float(np.abs(values).max())
    return bool(np.ptp(values, axis=0).max() > SAME * scale)
