"""What `train` and `deploy` ask for, held against the equations: told by `check`, before anything is built."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from isocline_compiler.graph import Graph
from isocline_compiler.graph.called import Called
from isocline_compiler.lower.called import BESPOKE
from isocline_compiler.model import DeploymentPlan, StreamPlan, TrainingPlan
from isocline_compiler.solvers.grid import require_multiple
from isocline_compiler.solvers.schemes import SCHEMES
from isocline_compiler.solvers.schemes.bespoke import Bespoke
from isocline_compiler.solvers.schemes.explicit import RK4
from isocline_compiler.solvers.unroll.forms import solves_of
from isocline_compiler.streaming.outputs import outputs_of_steps
from isocline_compiler.training import solver_fit
from isocline_dsl import messages
from isocline_dsl.diagnostics import Diagnostic, IsoclineError
from isocline_dsl.messages import noise, streaming


def plan_faults(graph: Graph, deployment: DeploymentPlan, training: Sequence[TrainingPlan]) -> Iterator[Diagnostic]:
    """What is wrong with the solvers and the stream of a model whose outputs are `graph`."""
    for plan in training:
        yield from list(solver_fit.solver_faults(plan.solver, plan.losses))[:1]
    if deployment.solver is not None:
        yield from _solver_faults(graph, deployment.solver)
    if deployment.stream is not None:
        yield from _stream_faults(graph, deployment.stream)


def _solver_faults(graph: Graph, solver: Called) -> Iterator[Diagnostic]:
    """E372 where the scheme cannot solve the equations of a solve that names none, else E315 where its steps do not
    divide among the times; of one solve alone.
    """
    learned = solver.name == BESPOKE.name
    scheme = Bespoke.starting(RK4, (0.0, 1.0)) if learned else SCHEMES[solver.name]
    if learned and all(solve.spec.scheme is not None for solve in solves_of(graph)):
        yield messages.nothing_to_learn(solver.span)
    for solve in solves_of(graph):
        if solve.spec.scheme is not None:
            continue
        misfit = scheme.fits(solve)
        if misfit is not None:
            reason = misfit(solver.span).message.split(": ", 1)[-1]
            fitting = [name for name, item in SCHEMES.items() if item.fits(solve) is None]
            yield noise.no_fitting_scheme(solver.span, solver.name, reason, fitting)
            return
        times = solve.spec.interval.times
        count = len(times) if times is not None else solve.times.size(-1) if solve.times is not None else None
        if isinstance(count, int) and solver.options["steps"] is not None:
            try:
                require_multiple(int(solver.options["steps"]), count - 1, solver.span)
            except IsoclineError as error:
                yield error.diagnostics[0]
                return


def _stream_faults(graph: Graph, plan: StreamPlan) -> Iterator[Diagnostic]:
    """E694 where every output needs the whole path."""
    told = outputs_of_steps(graph, plan.loop, plan.span)
    if not told.along and not told.ends:
        yield streaming.nothing_along(plan.span, told.loop, list(graph.outputs))


__all__ = ["plan_faults"]
