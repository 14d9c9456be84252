"""`auto`: the cheapest scheme and number of steps that meets the stated error on the samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from isocline_compiler.certify.evaluation import Evaluator, intervals
from isocline_compiler.certify.measures import relative_errors
from isocline_compiler.graph.solve import Solve
from isocline_compiler.solvers.grid import Discretisation, discretise
from isocline_compiler.solvers.schemes import SCHEMES
from isocline_compiler.solvers.schemes.scheme import Scheme
from isocline_dsl import messages
from isocline_dsl.diagnostics import IsoclineError

STEPS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048)
"""Steps an interval that are tried, before the search closes in on the fewest."""
MARGIN = 0.8
"""The part of the stated error that the samples of the sweep may use; the rest is for samples not seen."""
ROUNDING = 0.7
"""The part of the bound on parity that a trial may use: onnxruntime does not round in the order that torch does."""
MOST_NODES = 500_000
"""Operations of a solve; with more of them it would run too slowly to be of use, also in a loop."""
HALVINGS = 6


@dataclass(frozen=True)
class Trial:
    """One row of the work-precision table: what it costs, what error it has. `nodes` is an estimate for the solve."""

    solve: str
    scheme: str
    order: float
    steps: int
    evaluations: int
    nodes: int
    error: float


Progress = Callable[[str], None]


@dataclass
class Sweep:
    """Trials for one solve, the others as they are in `chosen`."""

    evaluator: Evaluator
    solve: Solve
    chosen: Mapping[str, Discretisation]
    bound: float
    outputs: tuple[str, ...]
    progress: Progress
    rounding: float = float("inf")

    def __post_init__(self) -> None:
        self.trials: dict[tuple[str, int], Trial] = {}
        self.rounded: dict[Trial, bool] = {}
        self.sizes: dict[str, int] = {}
        self.slots = intervals(self.solve)
        self.name = self.solve.spec.choice

    def best(self) -> Trial | None:
        """The cheapest trial that meets the bounds: fewest nodes, then fewest evaluations. None when there is none."""
        found: Trial | None = None
        admitted = [scheme for scheme in SCHEMES.values() if scheme.fits(self.solve.spec) is None]
        for scheme in sorted(admitted, key=lambda item: -item.order):  # what these cost bounds the search
            candidate = self._fewest(scheme, found)
            self.progress(self._told(scheme, candidate))
            if candidate is not None and (found is None or _cost(candidate) < _cost(found)):
                found = candidate
        return found

    def _told(self, scheme: Scheme, candidate: Trial | None) -> str:
        """A line for each scheme: what it takes, or that it takes too much."""
        place = f"{self.name}: {scheme.name}"
        if candidate is not None:
            return f"{place} needs {candidate.steps} steps, {candidate.evaluations} evaluations"
        tried = [trial for (name, _), trial in self.trials.items() if name == scheme.name]
        if not tried:
            return f"{place} would take more"
        last = f"{tried[-1].error:.0e} at {tried[-1].steps} steps"
        if self.rounded.get(tried[-1]) is False:
            return f"{place} is exact enough ({last}), but float32 rounds it too much"
        return f"{place} would take more: {last}"

    def exactly(self) -> Sweep:
        """The same, rounding aside: when float32 cannot keep its bound, it is the certificate that says so."""
        self.rounding = float("inf")
        self.rounded.clear()
        return self

    def _fewest(self, scheme: Scheme, found: Trial | None) -> Trial | None:
        """The fewest steps with which a scheme meets the bounds, if that can be cheaper than `found`."""
        failed = 0
        patience = 2  # more steps may round better, but not much
        for steps in STEPS:
            nodes = self._nodes(scheme, steps)
            if nodes > MOST_NODES or (found is not None and failed and nodes > found.nodes):
                return None
            trial = self._try(scheme, steps)
            if self._meets(trial):
                return self._between(scheme, failed, trial)
            patience -= trial.error <= self.bound
            if not patience:
                return None
            failed = steps
        return None

    def _between(self, scheme: Scheme, failed: int, passed: Trial) -> Trial:
        """Bisection: more steps are taken to be more accurate, which the last trial confirms."""
        low, high, best = failed, passed.steps // self.slots, passed
        while high - low > 1:
            middle = (low + high) // 2
            trial = self._try(scheme, middle)
            if self._meets(trial):
                high, best = middle, trial
            else:
                low = middle
        return best

    def _meets(self, trial: Trial) -> bool:
        """Whether the error of the grid, and what float32 makes of it, stay within their bounds.

        A long step of a scheme with large coefficients of both signs may be accurate and yet round badly.
        """
        if not trial.error <= self.bound:
            return False
        if trial not in self.rounded:
            self.rounded[trial] = self._rounding(trial) <= self.rounding
        return self.rounded[trial]

    def _rounding(self, trial: Trial) -> float:
        """How far float32 is from float64 on a trial's grid; 0 where none asks, or another solve has no grid yet."""
        choices = {**self.chosen, self.name: discretisation(self.solve, trial.scheme, trial.steps // self.slots)}
        if self.rounding == float("inf") or any(solve.spec.choice not in choices for solve in self.evaluator.open):
            return 0.0
        exact = self.evaluator.run(choices)
        return max(_errors(self.evaluator, self.evaluator.run(choices, torch.float32), exact, tuple(exact)))

    def _nodes(self, scheme: Scheme, steps: int) -> int:
        if scheme.name not in self.sizes:
            self.sizes[scheme.name] = scheme.cost(self.solve).nodes
        return self.slots * steps * self.sizes[scheme.name]

    def _try(self, scheme: Scheme, steps: int) -> Trial:
        key = (scheme.name, steps)
        if key not in self.trials:
            choice = discretisation(self.solve, scheme.name, steps)
            error = worst_error(self.evaluator, {**self.chosen, self.name: choice}, self.outputs)
            total = steps * self.slots
            self.trials[key] = Trial(
                self.name, scheme.name, scheme.order, total, total * scheme.evaluations,
                self._nodes(scheme, steps), error,
            )  # fmt: skip
        return self.trials[key]


def choose(
    evaluator: Evaluator,
    error: float,
    of: tuple[str, ...] | None,
    progress: Progress,
    rounding: float = float("inf"),
) -> tuple[dict[str, Discretisation], tuple[Trial, ...]]:
    """A discretisation for every open solve, so that together they meet `error`, and every trial that was made.

    Each solve may use an equal share of the error; when the shares do not add up, they are halved. Of those that meet
    it, one that float32 keeps within `rounding` is taken, if there is any. Raises E611 when no scheme reaches the error
    within the node limit.
    """
    outputs = of or tuple(evaluator.reference)
    trials: dict[tuple[str, str, int], Trial] = {}
    share = error * MARGIN / max(len(evaluator.open), 1)
    for _ in range(HALVINGS):
        chosen: dict[str, Discretisation] = {}
        for solve in evaluator.open:
            sweep = Sweep(evaluator, solve, chosen, share, outputs, progress, rounding * ROUNDING)
            best = sweep.best() or sweep.exactly().best()
            trials.update({(item.solve, item.scheme, item.steps): item for item in sweep.trials.values()})
            if best is None:
                raise _unreachable(evaluator, solve, error, sweep)
            chosen[solve.spec.choice] = discretisation(solve, best.scheme, best.steps // sweep.slots)
        if not chosen or worst_error(evaluator, chosen, outputs) <= error * MARGIN:
            return chosen, tuple(trials.values())
        share /= 2
    raise _unreachable(evaluator, evaluator.open[-1], error, sweep)


def discretisation(solve: Solve, scheme: str, steps: int) -> Discretisation:
    """`steps` steps of a scheme in each interval of a solve."""
    slots = intervals(solve)
    return discretise(solve.spec.interval, scheme, steps * slots, intervals=slots, span=solve.span)


def worst_error(evaluator: Evaluator, choices: Mapping[str, Discretisation], outputs: tuple[str, ...]) -> float:
    """The largest relative error over samples and outputs, against the reference."""
    found, reference = evaluator.run(choices), evaluator.reference
    return max(float(error) for error in _errors(evaluator, found, reference, outputs))


def _errors(
    evaluator: Evaluator, found: Mapping[str, np.ndarray], reference: Mapping[str, np.ndarray], outputs: tuple[str, ...]
) -> Iterator[float]:
    for name in outputs:
        batched = evaluator.graph.outputs[name].type.batched
        if reference[name].dtype.kind == "f":
            yield float(relative_errors(found[name], reference[name], batched).max())
        else:
            yield 0.0  # a class or a condition: its own scores are compared where they are outputs


def _cost(trial: Trial) -> tuple[int, int]:
    return trial.nodes, trial.evaluations


def _unreachable(evaluator: Evaluator, solve: Solve, error: float, sweep: Sweep) -> IsoclineError:
    best = min(sweep.trials.values(), key=lambda item: item.error)
    diagnostic = messages.no_scheme_reaches(solve.span, f"{error:.1e}", f"{best.error:.1e}", best.scheme)
    return IsoclineError([diagnostic], evaluator.model.source)
