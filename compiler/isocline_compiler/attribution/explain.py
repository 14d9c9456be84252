"""Explanations of a compiled model: the graph of `attribute.onnx`, built on the very steps that are deployed.

Unrolled once, with the states of each solve at hand; every method adds its results; then all of them, with the model's
own activations, go through the passes together, so that what they share is computed once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from isocline_compiler.attribution.methods import METHODS
from isocline_compiler.attribution.problem import Background, Problem
from isocline_compiler.attribution.record import Method, Result
from isocline_compiler.data import Split
from isocline_compiler.graph import INPUT, Array, Fault, Graph, Node, at, leaf, topological
from isocline_compiler.graph.called import Called
from isocline_compiler.graph.tensor_type import BATCH, TensorType, is_batch, points_in
from isocline_compiler.model import AttributionPlan, Model
from isocline_compiler.passes import optimise
from isocline_compiler.passes.bind import bind
from isocline_compiler.solvers.grid import Discretisation
from isocline_compiler.solvers.unroll import unroll
from isocline_compiler.vocabulary.functions.record import call_text
from isocline_dsl.diagnostics import IsoclineError
from isocline_runtime.manifest import AttributionResult, ExplainedOutput


@dataclass(frozen=True, eq=False)
class Explained:
    """One method applied: its problem, its options, and its results by the names they have in `attribute.onnx`."""

    method: Method
    option: Called
    plan: AttributionPlan
    problem: Problem
    results: Mapping[str, Result]


@dataclass(frozen=True, eq=False)
class ExplanationGraph:
    """All that a file asks to be explained: `graph` is bound and optimised, `applied` stands on the graph before."""

    graph: Graph
    applied: tuple[Explained, ...]
    scores: Mapping[str, Problem]

    @property
    def noise(self) -> tuple[str, ...]:
        """Inputs of standard normal draws."""
        names = [str(node.attrs["name"]) for node in self.graph.inputs]
        return tuple(
            name for name in names if any(name.startswith(f"{item.problem.label}_noise_") for item in self.applied)
        )

    @property
    def explained(self) -> tuple[ExplainedOutput, ...]:
        """The outputs, each with its methods as they were asked for."""
        return tuple(self._explained(problem) for problem in self.scores.values())

    @property
    def results(self) -> tuple[AttributionResult, ...]:
        """What each output of the graph is, in the graph's order."""
        known = {name: AttributionResult(name, problem.output, "", "score") for name, problem in self.scores.items()}
        for item in self.applied:
            for name, result in item.results.items():
                known[name] = AttributionResult(name, item.plan.output, item.method.name, result.kind, result.of)
        return tuple(known[name] for name in self.graph.outputs)

    def _explained(self, problem: Problem) -> ExplainedOutput:
        own = [item for item in self.applied if item.plan.output == problem.output]
        wrt = dict.fromkeys(name for item in own for name in item.plan.wrt)
        methods = dict.fromkeys(call_text(item.option.name, item.option.options) for item in own)
        index = str(problem.index.attrs["name"])
        return ExplainedOutput(problem.output, index, problem.entries, problem.classifier, tuple(wrt), tuple(methods))


@dataclass(frozen=True, eq=False)
class StoredSamples:
    """Samples of the training data: `count` of them, drawn with a fixed seed, or all."""

    train: Split

    def __call__(self, name: str, count: int | None) -> Array:
        array = self.train.arrays[name]
        if name in self.train.shared:
            return np.broadcast_to(array, (count or 1, *array.shape))
        if count is None:
            return array
        rows = np.random.default_rng(0).choice(len(array), count, replace=count > len(array))
        chosen: Array = array[rows]
        return chosen


def explain(
    model: Model,
    choices: Mapping[str, Discretisation],
    weights: Mapping[str, Array],
    background: Background | None = None,
    covariance: Array | None = None,
) -> ExplanationGraph | None:
    """The explanations that a model's file asks for, or None when it asks for none. Raises IsoclineError."""
    plans = model.deployment.attributions
    if not plans:
        return None
    unrolled = unroll(model.graph, choices, trajectories=True)
    problems = {
        output: Problem(
            unrolled.graph, output, (), _index_of(output), background=background, parameters=model.parameters,
            covariance=covariance, trajectories=unrolled.trajectories,
            classifier=any(plan.classifier for plan in plans if plan.output == output),
        )
        for output in dict.fromkeys(plan.output for plan in plans)
    }  # fmt: skip
    applied = tuple(_applied(model, plans, problems))
    return _assembled(model, weights, problems, applied)


def sizes_of(graph: Graph, batch: int | None) -> dict[str, int]:
    """The numbers of the named batch sizes of a graph, when the number of samples is fixed."""
    if batch is None:
        return {}
    named = {str(node.shape[0]) for node in graph.nodes() if node.shape and is_batch(node.shape[0])}
    return {BATCH: batch, **{name: batch * points_in(name) for name in named}}


def _index_of(output: str) -> Node:
    return leaf(INPUT, f"{output}_index", TensorType("int", (BATCH,)))


def _free(name: str, taken: set[str]) -> str:
    count, found = 1, name
    while found in taken:
        count += 1
        found = f"{name}_{count}"
    taken.add(found)
    return found


def _applied(model: Model, plans: tuple[AttributionPlan, ...], problems: Mapping[str, Problem]) -> Iterator[Explained]:
    """Every method of every plan, built; a name that is taken gets a number."""
    taken: set[str] = set()
    for plan in plans:
        shared = problems[plan.output]
        prefix = "" if len(problems) == 1 else f"{plan.output}_"
        for option in plan.methods:
            method = METHODS[option.name]
            label = _free(prefix + method.name, taken)
            problem = shared.about(plan.wrt, label)
            try:
                with at(option.span):
                    results = method.results(problem, option.options)
            except Fault as fault:
                raise IsoclineError([fault.make(option.span)], model.source) from None
            yield Explained(method, option, plan, problem, {_named(label, item): item for item in results})


def _named(label: str, result: Result) -> str:
    """`saliency_first`, `integrated_gradients_residual`, `adjoint_path_populations_hare`."""
    of = "" if result.of is None else "_" + result.of.replace(".", "_").replace("'", "_dot")
    own = {"residual": "_residual", "deviation": "_deviation", "times": "_times"}
    return label + of + own.get(result.kind, "")


def _assembled(
    model: Model, weights: Mapping[str, Array], problems: Mapping[str, Problem], applied: tuple[Explained, ...]
) -> ExplanationGraph:
    several = len(problems) > 1
    scores = {f"{output}_score" if several else "score": problem for output, problem in problems.items()}
    outputs = {name: problem.score for name, problem in scores.items()}
    outputs |= {name: result.node for item in applied for name, result in item.results.items()}
    known = (*model.graph.inputs, *(problem.index for problem in problems.values()))
    further = [node for node in topological(outputs.values()) if node.op is INPUT and node not in known]
    graph = Graph((*known, *further), outputs, f"{model.name}_attribution")
    return ExplanationGraph(optimise(bind(graph, weights)), applied, scores)
