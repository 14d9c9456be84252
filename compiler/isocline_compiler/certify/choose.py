"""`auto`: the cheapest scheme and number of steps that meets the stated error on the samples."""

from __future__ import annotations

from isocline_compiler.certify.evaluation import Evaluator, intervals
from isocline_compiler.certify.measures import figures
from isocline_compiler.certify.sweep import MARGIN, ROUNDING, Progress, Sweep, worst_error
from isocline_compiler.certify.work_precision import Before, Trial
from isocline_compiler.graph.solve import Solve
from isocline_compiler.solvers.grid import NO_JUMPS, Discretisation, Jumps, discretise
from isocline_dsl import messages
from isocline_dsl.diagnostics import IsoclineError

SHARES = 6
"""How often the shares of the solves are halved."""


def choose(
    evaluator: Evaluator,
    error: float,
    of: tuple[str, ...] | None,
    progress: Progress,
    rounding: float = float("inf"),
    before: Before | None = None,
) -> tuple[dict[str, Discretisation], tuple[Trial, ...]]:
    """A discretisation for every open solve, so that together they meet `error`, and every trial that was made.

    Each solve may use an equal share of the error; when the shares do not add up, they are halved. Of those that meet
    it, one that float32 keeps within `rounding` is taken. `before` holds what searches on some of the samples found.
    Raises E611 when no scheme reaches the error within the limit on operations, E632 when float32 rounds every one that
    does too much.
    """
    outputs, before = of or tuple(evaluator.reference), before or Before()
    trials: dict[tuple[str, str, int], Trial] = {}
    share = error * MARGIN / max(len(evaluator.open), 1)
    for _ in range(SHARES):
        chosen: dict[str, Discretisation] = {}
        for solve in evaluator.open:
            sweep = Sweep(evaluator, solve, chosen, share, outputs, progress, rounding * ROUNDING, before)
            best = sweep.best()
            trials.update({(item.solve, item.scheme, item.steps): item for item in sweep.trials.values()})
            if best is None:
                raise _unreachable(evaluator, solve, error, rounding, sweep)
            chosen[solve.spec.choice] = sweep.grids[best]
        if not chosen or worst_error(evaluator, chosen, outputs) <= error * MARGIN:
            return chosen, tuple(trials.values())
        share /= 2
    raise _unreachable(evaluator, evaluator.open[-1], error, rounding, sweep)


def discretisation(
    solve: Solve, scheme: str, steps: int, jumps: Jumps = NO_JUMPS, compensated: bool = False
) -> Discretisation:
    """`steps` steps of a scheme in each interval of a solve, and nodes on every jump."""
    slots = intervals(solve)
    return discretise(
        solve.spec.interval, scheme, steps * slots, intervals=slots, span=solve.span, jumps=jumps,
        options={"compensated": compensated},
    )  # fmt: skip


def _unreachable(evaluator: Evaluator, solve: Solve, error: float, rounding: float, sweep: Sweep) -> IsoclineError:
    """E602 where grids are exact enough and float32 rounds every one of them too much; else E611."""
    exact = [trial for trial in sweep.rounded if trial.error <= sweep.bound]
    if exact:
        best = min(exact, key=lambda item: sweep.rounded[item])
        rounds = figures(sweep.rounded[best], rounding)
        told = (sweep.worst[best], best.scheme, best.steps, f"{best.error:.0e}", *rounds)
        fault = messages.single_precision_rounds(solve.span, *told)
        return IsoclineError([fault], evaluator.model.source)
    best = min(sweep.trials.values(), key=lambda item: item.error)
    fault = messages.no_scheme_reaches(solve.span, f"{error:.1e}", f"{best.error:.1e}", best.scheme, best.steps)
    return IsoclineError([fault], evaluator.model.source)
