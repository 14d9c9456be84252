"""The solver that `train` names: one of torchdiffeq's, or a scheme of ours on the grid that will be deployed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, inf

from isocline_compiler.graph import Graph, Node, value_of
from isocline_compiler.graph.called import Called
from isocline_compiler.graph.delay import delays_of, remembers
from isocline_compiler.graph.fractional import has_order, is_fractional
from isocline_compiler.graph.solve import Solve, choice_of, spec_of
from isocline_compiler.model import TrainingPlan
from isocline_compiler.solvers.grid import Discretisation, discretise
from isocline_compiler.solvers.reversible import irreversible, reversible_schemes
from isocline_compiler.solvers.side_by_side import side_by_side
from isocline_compiler.solvers.unroll import unroll
from isocline_compiler.training.integrate import AdaptiveIntegrator
from isocline_compiler.training.integrate_noise import NoiseIntegrator
from isocline_compiler.training.path_noise import PathNoise
from isocline_compiler.training.reversible import ReversibleSteps
from isocline_compiler.training.solver_fit import (
    ORDERED,
    STEPS,
    SUBSTEPS,
    intervals_of,
    noise_misfit,
    scheme_for_noise,
    solver_faults,
    solves_of,
    takes,
)
from isocline_compiler.training.steering import Steering
from isocline_compiler.vocabulary.options import ADAPTIVE, ADAPTIVE_WITH_NOISE
from isocline_dsl.diagnostics import IsoclineError
from isocline_dsl.messages import fitting as messages


@dataclass(frozen=True)
class TrainingSolver:
    """What steps the solves whose scheme is not part of the model: a fixed scheme where it is meant for them, or else
    the integrator; solves with noise for which no solver is named, a scheme and a grid that fit.
    """

    fixed: Called | None
    integrator: AdaptiveIntegrator
    seed: int = 0

    def unrolled(self, graph: Graph) -> tuple[Graph, PathNoise]:
        """The graph with every solve of fixed steps in place, and what fills its noise; those left belong to the
        integrator.
        """
        choices = {choice_of(node): self.choose(node) for node in solves_of(graph)}
        known = {name: choice for name, choice in choices.items() if choice is not None}
        walked = self._walked_back(graph, known)
        found = unroll(graph, {name: choice for name, choice in known.items() if name not in walked})
        noise = PathNoise.of(graph, found.inputs, known, self.seed)
        apart, reversible = side_by_side(found.graph), self.integrator.reversible
        return (apart if reversible is None else reversible.left_to_it(apart, walked)), noise

    def _walked_back(self, graph: Graph, known: Mapping[str, Discretisation]) -> dict[str, Discretisation]:
        """The choices of the solves whose steps are undone for their gradient: all where that is asked for.

        Raises E468 for one that cannot be.
        """
        if self.integrator.reversible is None:
            return {}
        for node in solves_of(graph):
            reason = irreversible(Solve.of(node), self.named(node))
            if reason is not None:
                names = reversible_schemes()
                raise IsoclineError([messages.gradient_not_reversible(node.span, spec_of(node).field, reason, names)])
        return dict(known)

    def choose(self, node: Node) -> Discretisation | None:
        """The author's own scheme, else the training scheme, else None. Raises E455 or what the grid raises."""
        spec = spec_of(node)
        choice = self.named(node)
        if choice is None:
            return None
        if spec.scheme is None and self.integrator.steering.width:
            raise IsoclineError([messages.steer_needs_adaptive(node.span, spec.field, choice.name)])
        return discretise(
            spec.interval,
            choice.name,
            _steps(choice),
            intervals=intervals_of(node),
            span=choice.span or node.span,
            options=choice.options,
        )

    def named(self, node: Node) -> Called | None:
        """The scheme of a solve as it would be written."""
        spec = spec_of(node)
        if spec.scheme is not None:
            return spec.scheme
        if self.fixed is not None and takes(self.fixed, spec):
            return self.fixed
        driven = self.integrator.driven
        left = driven is not None and noise_misfit(driven.method, spec) is None
        if is_fractional(node):
            return scheme_for_order(node)
        if remembers(node):
            return scheme_for_delays(node)
        return scheme_for_noise(node) if spec.noises and not left else None

    def notes(self, graph: Graph) -> tuple[str, ...]:
        """Which solves are stepped by what nobody named, for the screen."""
        found = {}
        for node in solves_of(graph):
            spec, named = spec_of(node), self.named(node)
            if named not in (None, spec.scheme, self.fixed):
                what = "noise" if spec.noises else "fractional order" if has_order(spec) else "delays"
                found[spec.choice] = (
                    f"no solver is named for the {what} of `{spec.field}`: training steps it as by `solver {named}`"
                )
        return tuple(found.values())


def scheme_for_delays(node: Node) -> Called:
    """Four stages, of a step that is no wider than the shortest delay that is known; as many in every interval."""
    times, solve = spec_of(node).interval.times, Solve.of(node)
    assert times is not None, "delays are followed between known times"
    known = [value_of(item.inputs[1]) for item in delays_of(solve)]
    least = min((float(lag) for lag in known if lag is not None), default=inf)
    widest = max(b - a for a, b in pairwise(times))
    each = max(SUBSTEPS, -(-STEPS // intervals_of(node)), ceil(widest / least * (1 - 1e-9)))
    return Called("rk4", {"steps": intervals_of(node) * each})


def scheme_for_order(node: Node) -> Called:
    """Predicted and corrected steps with the whole past; as many in every interval."""
    count = intervals_of(node)
    return Called(ORDERED, {"steps": count * max(SUBSTEPS, -(-STEPS // count))})


def _steps(choice: Called) -> int:
    steps = choice.get("steps")
    if steps is None:
        raise IsoclineError([messages.fixed_solver_without_steps(choice.span, choice.name)])
    return int(steps)


def training_solver(plan: TrainingPlan) -> TrainingSolver:
    """The solver of a `train` block. `dopri5(steps=20)` is a fixed scheme, `dopri5(rtol=1e-6)` an adaptive solver.

    Raises E466, E467, or the misfit of a scheme, where it can step nothing of the loss.
    """
    option = plan.solver
    steering, adjoint = Steering(plan.steer or 0.0), plan.gradient == "adjoint"
    if option.name in ADAPTIVE_WITH_NOISE and "steps" not in option.options:
        integrator = AdaptiveIntegrator(steering=steering, adjoint=adjoint)
        integrator.driven = with_noise(option, adjoint, steering, plan.seed)
        solver = TrainingSolver(None, integrator, plan.seed)
    elif option.name in ADAPTIVE and "steps" not in option.options:
        solver = TrainingSolver(None, adaptive(option, adjoint, steering), plan.seed)
    else:
        solver = TrainingSolver(option, AdaptiveIntegrator(steering=steering), plan.seed)
    if plan.gradient == "reversible":
        solver.integrator.reversible = ReversibleSteps()
    for fault in solver_faults(option, plan.losses):
        raise IsoclineError([fault])
    return solver


def adaptive(option: Called, adjoint: bool = False, steering: Steering | None = None) -> AdaptiveIntegrator:
    """An adaptive solver with the defaults of its options filled in."""
    at = {**ADAPTIVE[option.name].defaults, **option.options}
    return AdaptiveIntegrator(
        option.name,
        float(at["rtol"]),
        float(at["atol"]),
        int(at["evaluations"]),
        adjoint,
        steering or Steering(0.0),
    )


def with_noise(option: Called, adjoint: bool, steering: Steering, seed: int) -> NoiseIntegrator:
    """A solver of torchsde with the defaults of its options filled in."""
    at = {**ADAPTIVE_WITH_NOISE[option.name].defaults, **option.options}
    allowed = int(at["evaluations"])
    fixed = PathNoise((), seed).current(training=False)
    return NoiseIntegrator(option.name, at.get("rtol"), at.get("atol"), at["dt"], allowed, adjoint, steering, fixed)
