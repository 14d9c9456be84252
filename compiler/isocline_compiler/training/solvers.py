"""The solver that `train` names: one of torchdiffeq's, or a scheme of ours on the grid that will be deployed."""

from __future__ import annotations

from dataclasses import dataclass

from isocline_compiler.graph import Graph, Node, everything
from isocline_compiler.graph.called import Called
from isocline_compiler.graph.solve import SOLVE, choice_of, parts, spec_of
from isocline_compiler.model import TrainingPlan
from isocline_compiler.solvers.grid import Discretisation, discretise
from isocline_compiler.solvers.unroll import unroll
from isocline_compiler.training.integrate import AdaptiveIntegrator
from isocline_compiler.training.steering import Steering
from isocline_compiler.vocabulary.options import ADAPTIVE
from isocline_dsl.diagnostics import IsoclineError
from isocline_dsl.messages import fitting as messages


@dataclass(frozen=True)
class TrainingSolver:
    """What steps the solves whose scheme is not part of the model: a fixed scheme, or else the integrator."""

    fixed: Called | None
    integrator: AdaptiveIntegrator

    def unrolled(self, graph: Graph) -> Graph:
        """The graph with every solve of fixed steps in place; those left belong to the integrator."""
        solves = [node for node in everything(graph.outputs.values()) if node.op is SOLVE]
        choices = {choice_of(node): self.choose(node) for node in solves}
        return unroll(graph, {name: choice for name, choice in choices.items() if choice is not None}).graph

    def choose(self, node: Node) -> Discretisation | None:
        """The author's own scheme, else the training scheme, else None. Raises E455 or what the grid raises."""
        spec = spec_of(node)
        choice = spec.scheme or self.fixed
        if choice is None:
            return None
        if spec.scheme is None and self.integrator.steering.width:
            raise IsoclineError([messages.steer_needs_adaptive(node.span, spec.field, choice.name)])
        return discretise(
            spec.interval, choice.name, _steps(choice), intervals=_intervals(node), span=choice.span or node.span
        )


def _steps(choice: Called) -> int:
    steps = choice.get("steps")
    if steps is None:
        raise IsoclineError([messages.fixed_solver_without_steps(choice.span, choice.name)])
    return int(steps)


def _intervals(node: Node) -> int:
    """How many intervals the times of a solve make, when they come with the data."""
    times = parts(node).times
    count = times.size(-1) if times is not None else 2
    return count - 1 if isinstance(count, int) else 1


def training_solver(plan: TrainingPlan) -> TrainingSolver:
    """The solver of a `train` block. `dopri5(steps=20)` is a fixed scheme, `dopri5(rtol=1e-6)` an adaptive solver."""
    option = plan.solver
    steering = Steering(plan.steer or 0.0)
    if option.name not in ADAPTIVE or "steps" in option.options:
        return TrainingSolver(option, AdaptiveIntegrator(steering=steering))
    return TrainingSolver(None, adaptive(option, plan.gradient == "adjoint", steering))


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
