"""The cheapest scheme and grid for stochastic equations whose strong, or weak, error is within what is stated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from time import monotonic

from isocline_compiler.certify.evaluation import Choices, Evaluator, intervals
from isocline_compiler.certify.stochastic.errors import Nested, difference
from isocline_compiler.certify.work_precision import Trial
from isocline_compiler.graph import Array
from isocline_compiler.graph.solve import Solve
from isocline_compiler.solvers.grid import Discretisation, discretise
from isocline_compiler.solvers.schemes import SCHEMES
from isocline_compiler.solvers.schemes.stochastic_scheme import Stochastic
from isocline_compiler.solvers.unroll.time_span import steps_of
from isocline_dsl import messages
from isocline_dsl.diagnostics import Diagnostic, IsoclineError

ROUNDS = {
    "strong": ((1 << 9, 1), (1 << 11, 1), (1 << 13, 1), (1 << 15, 1)),
    "weak": ((1 << 9, 1), (1 << 9, 8), (1 << 11, 2), (1 << 13, 2), (1 << 15, 1)),
}
"""Steps of the finest grids that are tried in turn, over all intervals, and how many times more rows: a strong error
is hidden by coarse steps, a weak one by chance.
"""
FINER = 16
"""By how much a grid that is judged is coarser than the finest, at least."""
BESIDE = "rk4"
"""The scheme of equations without noise that stand beside, on as many steps."""
CONFIDENT = 2.0
"""Standard errors of a strong error that are kept from the bound."""


@dataclass(frozen=True)
class Stated:
    """What is promised of a grid: a bound on the "strong" or the "weak" error of these outputs."""

    kind: str
    bound: float
    outputs: tuple[str, ...]


def choose_stochastic(
    nested: Nested, stated: Stated, batch: int, progress: Callable[[str], None]
) -> tuple[dict[str, Discretisation], tuple[Trial, ...]]:
    """A scheme and as many steps in every open solve, the fastest by prediction of those that meet the bound.

    Every grid has a power of two of steps in each interval, so that all of them see the same paths. Raises E680 where
    none of them does.
    """
    evaluator = nested.evaluator
    slots = max(intervals(solve) for solve in evaluator.open)
    trials: dict[tuple[str, int], Trial] = {}
    grids: dict[tuple[str, int], dict[str, Discretisation]] = {}
    admitted = _admitted(nested)
    if not admitted:
        raise IsoclineError([_none_fits(nested)], evaluator.model.source)
    sharpest = max(admitted, key=lambda scheme: _order(scheme, nested))
    elapsed = before = 0.0
    for total, more in ROUNDS[stated.kind]:
        if elapsed * total * more > LONGEST * before:
            break
        most = max(total // slots // FINER, 1)
        most = 1 << (most.bit_length() - 1)
        nested = replace(nested, more=more)
        known = trials if more == 1 else {}
        fresh = [(s, n) for s in admitted for n in _powers(most) if (s.name, n) not in known]
        if not fresh:
            continue
        progress(f"walking {nested.rows} rows with {most * FINER * slots} steps, and {len(fresh)} coarser grids")
        begun = monotonic()
        walked = {(s.name, n): _grids(evaluator, s, n) for s, n in fresh}
        finest = _grids(evaluator, sharpest, most * FINER)
        found = nested.outputs({f"{name} {n}": choices for (name, n), choices in walked.items()}, finest, walk=False)
        for (name, n), choices in walked.items():
            error = _error(nested, found[f"{name} {n}"], found["finest"], stated)
            trials[name, n] = _trial(evaluator, choices, name, error, batch)
            grids[name, n] = choices
        best = min((key for key, item in trials.items() if item.error <= stated.bound), key=_cost(trials), default=None)
        if best is not None:
            progress(
                f"{trials[best].scheme} with {trials[best].steps} steps: {stated.kind} error {trials[best].error:.1e}"
            )
            return grids[best], tuple(trials.values())
        elapsed, before = monotonic() - begun, total * more
    nearest = min(trials.values(), key=lambda item: item.error)
    fault = messages.no_grid_for_paths(
        nested.solves[0].span, stated.kind, f"{stated.bound:.1e}", f"{nearest.error:.1e}", nearest.scheme, nearest.steps
    )
    raise IsoclineError([fault], evaluator.model.source)


LONGEST = 45.0
"""Seconds: a round that would take longer, by what the one before took, is not begun."""


def _admitted(nested: Nested) -> list[Stochastic]:
    """The schemes that converge for the noise of every open solve."""
    driven = [solve for solve in nested.evaluator.open if solve.spec.noises]
    known = [scheme for scheme in SCHEMES.values() if isinstance(scheme, Stochastic)]
    return [scheme for scheme in known if all(scheme.fits(solve) is None for solve in driven)]


def _order(scheme: Stochastic, nested: Nested) -> float:
    """The least strong order over the noises that it is to walk."""
    return min(scheme.strong_order(solve.spec.kinds) for solve in nested.evaluator.open if solve.spec.noises)


def _powers(most: int) -> list[int]:
    return [1 << k for k in range(most.bit_length())]


def _grids(evaluator: Evaluator, scheme: Stochastic, substeps: int) -> dict[str, Discretisation]:
    """So many steps in every interval of every open solve."""
    return {
        solve.spec.choice: discretise(
            solve.spec.interval, scheme.name if solve.spec.noises else BESIDE, substeps * intervals(solve),
            intervals=intervals(solve), span=solve.span,
        )
        for solve in evaluator.open
    }  # fmt: skip


def _error(nested: Nested, coarse: Mapping[str, Array], fine: Mapping[str, Array], stated: Stated) -> float:
    """The largest error over the outputs that are promised, with what chance may hide of it."""
    worst = 0.0
    for name in stated.outputs:
        if coarse[name].dtype.kind != "f":
            continue
        value, chance = getattr(difference(nested, name, coarse[name], fine[name]), stated.kind)
        found = value + (CONFIDENT if stated.kind == "strong" else 1.0) * chance
        worst = max(worst, found if found == found else float("inf"))
    return worst


def _trial(evaluator: Evaluator, choices: Choices, name: str, error: float, batch: int) -> Trial:
    steps = evaluations = nodes = 0
    seconds = 0.0
    for solve in evaluator.open:
        choice = choices[solve.spec.choice]
        count, cost = steps_of(solve, choice), choice.scheme.cost(solve)
        steps, evaluations, nodes = steps + count, evaluations + count * cost.evaluations, nodes + count * cost.nodes
        seconds += count * cost.seconds(batch * (solve.spec.samples or 1))
    first = next(solve for solve in evaluator.open if solve.spec.noises)
    return Trial(
        first.spec.choice, name, SCHEMES[name].strong_order(first.spec.kinds), steps, evaluations, nodes, error, seconds
    )


def _cost(trials: Mapping[tuple[str, int], Trial]) -> Callable[[tuple[str, int]], tuple[float, float]]:
    return lambda key: (trials[key].seconds, -trials[key].order)


def _none_fits(nested: Nested) -> Diagnostic:
    solve: Solve = nested.solves[0]
    return messages.no_scheme_for_noise(solve.span, solve.spec.field)
