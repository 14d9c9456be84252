"""One solve's search for the cheapest scheme and number of steps that meets its share of the error."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import ceil, inf, log
from time import monotonic

import torch

from isocline_compiler.certify.evaluation import Evaluator, intervals
from isocline_compiler.certify.measures import relative_errors
from isocline_compiler.certify.newton import SHARE, keeps_order, newton_residual
from isocline_compiler.certify.stiffness import pace, stiffness
from isocline_compiler.certify.trials import trial as run_trial
from isocline_compiler.certify.work_precision import Before, Trial
from isocline_compiler.graph import Array
from isocline_compiler.graph.solve import Solve
from isocline_compiler.solvers.grid import Discretisation, at_pace, evenly
from isocline_compiler.solvers.schemes import SCHEMES
from isocline_compiler.solvers.schemes.compensated import Compensated
from isocline_compiler.solvers.schemes.cost import Cost
from isocline_compiler.solvers.schemes.exponential import Exponential
from isocline_compiler.solvers.schemes.imex import Imex
from isocline_compiler.solvers.schemes.scheme import Scheme
from isocline_compiler.solvers.unroll.time_span import steps_of

MARGIN = 0.8
"""The part of the stated error that the samples of the sweep may use; the rest is for samples not seen."""
ROUNDING = 0.7
"""The part of the bound on parity that a trial may use: onnxruntime does not round in the order that torch does."""
MOST_NODES = 2_000_000
"""Operations of a solve, in a loop or not; with more of them it would run for seconds."""
LEAP, CAUTION, SURE = 8, 0.85, 1.25
"""By how much steps grow at most from trial to trial, the part of the predicted number that is tried, and the growth up
to which all of it is.
"""
FINE = 32
"""The fewest steps are found to one part in so many."""
HOPELESS = 0.5
"""An error that says nothing of the solution."""
DRAWN = 20_000
"""Operations up to which a scheme that takes too much is tried a second time: the report draws a line through both."""
ANSWERS = 4
"""Of so many trials the answers are kept: those of a grid are looked at more than once."""
NEAR, FAR = 200.0, 4000.0
"""Decay times horizon from which on implicit schemes are tried, and explicit ones are not: they need a third as many
steps at least.
"""
QUIET = 2.0
"""Seconds without a word of a search."""


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
    rounding: float = inf
    before: Before = field(default_factory=Before)

    def __post_init__(self) -> None:
        self.trials: dict[tuple[str, int], Trial] = {}
        self.answers: deque[tuple[Discretisation, dict[str, Array]]] = deque(maxlen=ANSWERS)
        self.grids: dict[Trial, Discretisation] = {}
        self.rounded: dict[Trial, float] = {}
        self.costs: dict[str, Cost] = {}  # of a step, by scheme
        self.worst: dict[Trial, str] = {}  # the output that float32 rounds most
        self.slots = intervals(self.solve)
        self.jumps = self.evaluator.jumps(self.solve)
        self.name = self.solve.spec.choice
        self.told = monotonic()
        self.pace: Array | None = None

    @cached_property
    def stiffness(self) -> float:
        """The fastest decay times the horizon."""
        if self.name not in self.before.stiffness:
            self.before.stiffness[self.name] = stiffness(self.evaluator, self.solve)
        return self.before.stiffness[self.name]

    @cached_property
    def batch(self) -> int:
        """Samples that a call is predicted for: the declared batch, or one."""
        return self.evaluator.model.deployment.batch or 1

    def best(self) -> Trial | None:
        """The trial that meets the bounds and is predicted to be the fastest. None when there is none."""
        admitted = [scheme for scheme in SCHEMES.values() if scheme.fits(self.solve) is None]
        always = [scheme for scheme in admitted if scheme.search == "always"]
        found = self._fastest(always, None) if self.stiffness < FAR else None
        if self.stiffness > NEAR:
            implicit = [item for scheme in admitted if scheme.search == "stiff" for item in scheme.variants()]
            marked = [item for item in admitted if isinstance(item, Exponential | Imex)]
            self.pace = pace(self.evaluator, self.solve, self._tell)
            found = self._fastest([*implicit, *(marked if self.stiffness >= FAR else ())], found)
        if found is None and self.stiffness >= FAR and self.name not in self.evaluator.agreed.paces:
            self.pace = None
            found = self._fastest(always, None)  # an explicit reference has arrived: one of them may
        best = self._with_less(found) if found is not None else self._last_resort()
        if best is not None:
            self.before.taken[self.name] = best.scheme, best.steps // self.slots
        return best

    def _with_less(self, found: Trial) -> Trial:
        """The same grid with the scheme's options at their least that are exact enough, and round no more."""
        scheme = self.grids[found].scheme
        for cheaper in scheme.cheaper():
            trial = self._try(cheaper, found.steps // self.slots)
            if trial.error <= self.bound and self._rounds(trial) <= self.rounding and self._iterates_enough(trial):
                return trial
        return found

    def _iterates_enough(self, trial: Trial) -> bool:
        """Whether Newton's iterations leave no more than a tenth of the error, and the order."""
        choice = self.grids[trial]
        left = newton_residual(self.evaluator, self.solve, choice, {**self.chosen, self.name: choice})
        return left is None or (left.largest <= SHARE * self.bound and keeps_order(choice.scheme))

    def _fastest(self, schemes: Sequence[Scheme], found: Trial | None) -> Trial | None:
        tried: list[Trial] = []
        first, _ = self.before.taken.get(self.name, ("", 1))
        # what the first cost bounds the search: the one that was taken on fewer samples, or those of high order
        for scheme in sorted(schemes, key=lambda item: (item.title != first, -item.order)):
            candidate = self._fewest(scheme, found)
            self._tell(self._told(scheme, candidate))
            if candidate is not None and (found is None or _cost(candidate) < _cost(found)):
                found = candidate
            tried = [trial for trial in self.trials.values() if trial.scheme in {item.title for item in schemes}]
            if self.pace is None and tried and min(trial.error for trial in tried) > HOPELESS:
                break  # the scheme of the highest order saw nothing of the solution, with all the steps there are
        return found

    def _last_resort(self) -> Trial | None:
        """A grid that uses up what is kept back of the bound on rounding: the certificate decides."""
        kept = [item for item, lost in self.rounded.items() if lost <= self.rounding / ROUNDING]
        return min((item for item in kept if item.error <= self.bound), key=_cost, default=None)

    def _tell(self, words: str) -> None:
        self.progress(words)
        self.told = monotonic()

    def _told(self, scheme: Scheme, candidate: Trial | None) -> str:
        """A line for each scheme: what it takes, or that it takes too much."""
        place = f"{self.name}: {scheme.title}"
        if candidate is not None:
            return f"{place} needs {candidate.steps} steps, {candidate.evaluations} evaluations"
        tried = [trial for (name, _), trial in self.trials.items() if name == scheme.title]
        if not tried:
            return f"{place} would take more"
        last = f"{tried[-1].error:.0e} at {tried[-1].steps} steps"
        for trial in tried:
            if self.rounded.get(trial, 0.0) > self.rounding:
                rounds = f"float32 rounds it by {self.rounded[trial]:.0e}"
                return f"{place} is exact enough with {trial.steps} steps, but {rounds}"
        return f"{place} would take more: {last}"

    def _fewest(self, scheme: Scheme, found: Trial | None) -> Trial | None:
        """The fewest steps with which a scheme meets the bounds, if that can be cheaper than `found`.

        With as many steps as take no longer than `found` it is within them, or it is not cheaper.
        """
        dearest = self._dearest(found)
        if dearest == inf:
            return self._first(scheme)
        most = self._most(scheme, dearest)
        if most < 1:
            return None
        if self._try(scheme, most).error <= self.bound:
            return self._between(scheme, 0, most)
        if most > 1 and self._nodes(scheme, most) <= DRAWN:
            self._try(scheme, most // 2)
        return None

    def _first(self, scheme: Scheme) -> Trial | None:
        """The fewest steps with which a scheme meets the bounds, when none has met them yet.

        A small error is taken to fall as it did last, or with the order of the scheme: so many steps are tried next.
        The first grid that is exact enough and rounds too much ends it: more steps round more.
        """
        title, known = self.before.taken.get(self.name, ("", 1))
        failed, steps = 0, known if title == scheme.title else 1
        while steps > failed and self._nodes(scheme, steps) <= MOST_NODES:
            trial = self._try(scheme, steps)
            if trial.error <= self.bound:
                return self._between(scheme, failed, steps)
            order = scheme.order if failed == 0 else self._observed(scheme, failed, steps)
            failed = steps
            leap = (trial.error / self.bound) ** (1 / order) if trial.error < HOPELESS else 2.0
            leap = max(leap * CAUTION, min(leap, SURE))
            steps = min(max(steps + 1, min(int(steps * leap), steps * LEAP)), self._most(scheme, inf))
        return None

    def _missed(self, scheme: Scheme, steps: int) -> int:
        """The most steps below these that missed the bound on fewer samples, and so miss it on all; 0 for none."""
        paced = self.pace is not None
        return max(
            (
                tried
                for (solve, title, tried, at_pace), trial in self.before.tried.items()
                if (solve, title, at_pace) == (self.name, scheme.title, paced)
                and tried < steps
                and trial.error > self.bound
            ),
            default=0,
        )

    def _most(self, scheme: Scheme, dearest: float) -> int:
        """The most steps that are no more operations than a solve may have, and take no longer than `dearest`."""
        most = MOST_NODES // self._nodes(scheme, 1)
        return most if dearest == inf else min(most, int(dearest / self._seconds(scheme, 1)))

    def _observed(self, scheme: Scheme, few: int, many: int) -> float:
        """The power with which the error fell between two grids, from one half to the scheme's own order."""
        before, after = (self._try(scheme, steps).error for steps in (few, many))
        if not 0 < after < before < HOPELESS:
            return scheme.order
        return min(max(log(before / after) / log(many / few), 0.5), scheme.order)

    def _dearest(self, found: Trial | None) -> float:
        """Seconds above which a grid is not of interest: those of the best so far, or twice those of a grid that was
        exact and rounded too much, since more operations round more.
        """
        rounded = min((2 * trial.seconds for trial in self.rounded), default=inf)
        return found.seconds if found is not None else rounded

    def _between(self, scheme: Scheme, failed: int, passed: int) -> Trial | None:
        """The fewest steps above `failed` that meet the bounds, to one part in many.

        More steps are taken to be more accurate; where a grid is accurate by chance, so that halving its steps moves it
        further, the next one is tried.
        """
        low, high = max(failed, self._missed(scheme, passed)), passed
        while high - low > max(1, high // FINE):
            middle = self._guess(scheme, low, high)
            if self._try(scheme, middle).error <= self.bound:
                high = middle
            else:
                low = middle
        trial = self._try(scheme, high)
        while not self._converges(scheme, high, trial):
            high += max(1, high // 4)
            if self._nodes(scheme, high) > MOST_NODES or high > 2 * passed + 8:
                return None
            trial = self._try(scheme, high)
        return self._kept(scheme, high, trial)

    def _kept(self, scheme: Scheme, steps: int, trial: Trial) -> Trial | None:
        """The grid, or with compensated sums where float32 rounds it too much without; None where it does with them."""
        if self._rounds(trial) <= self.rounding:
            return trial
        summed = Compensated.of(scheme)
        if self.rounding == inf or summed.fits(self.solve) is not None:
            return None
        again = self._try(summed, steps)
        return again if again.error <= self.bound and self._rounds(again) <= self.rounding else None

    def _guess(self, scheme: Scheme, low: int, high: int) -> int:
        """Where a power law through both errors meets the bound, in the middle half of the bracket; one of the scheme's
        order where nothing is known below.
        """
        inside = (low + (high - low) // 4, high - (high - low) // 4)
        below, above = (self._try(scheme, steps).error if steps else inf for steps in (low, high))
        if not 0 < above < 1 or (low and not above < below < 1):
            return (low + high) // 2
        slope = log(below / above) / log(high / low) if low else scheme.order
        guess = ceil(high * float((above / self.bound) ** (1 / slope)))
        return min(max(guess, inside[0], low + 1), inside[1], high - 1)

    def _converges(self, scheme: Scheme, steps: int, trial: Trial) -> bool:
        """Whether with twice the steps, too, the error stays within the bound, and neither was met by chance."""
        if not trial.error <= self.bound:
            return False
        before, after = self._run(trial), self._run(self._try(scheme, 2 * steps))
        moved = max(_errors(self.evaluator, before, after, self.outputs))
        return self._try(scheme, 2 * steps).error <= self.bound and moved <= self.bound / MARGIN

    def _run(self, trial: Trial) -> dict[str, Array]:
        return self._answers(self.grids[trial])

    def _answers(self, choice: Discretisation) -> dict[str, Array]:
        """The outputs with the solve on this grid; those of the last few are remembered."""
        for known, answers in self.answers:
            if known == choice:
                return answers
        found = run_trial(self.evaluator, {**self.chosen, self.name: choice})
        self.answers.append((choice, found))
        return found

    def _rounds(self, trial: Trial) -> float:
        """How far float32 is from float64 on a trial's grid, in what it decides together with grids that are chosen.

        A long step of a scheme with large coefficients of both signs may be accurate and yet round badly.
        """
        choices = {**self.chosen, self.name: self.grids[trial]}
        if self.rounding == inf or not self._decided:
            return 0.0
        if trial not in self.rounded:
            exact = {name: self._run(trial)[name] for name in self._decided.graph.outputs}
            single = run_trial(self._decided, choices, torch.float32)
            errors = dict(zip(exact, _errors(self._decided, single, exact, tuple(exact)), strict=True))
            self.worst[trial] = max(errors, key=lambda name: errors[name])
            self.rounded[trial] = errors[self.worst[trial]]
        return self.rounded[trial]

    @cached_property
    def _decided(self) -> Evaluator | None:
        """Of the outputs that this solve decides, alone or with those that have grids; none where there are none."""
        known = {*self.chosen, *self.evaluator.stated, self.name}
        names = [name for name, behind in self.evaluator.behind.items() if self.name in behind and behind <= known]
        return self.evaluator.showing(names) if names else None

    def _step_cost(self, scheme: Scheme) -> Cost:
        if scheme.title not in self.costs:
            self.costs[scheme.title] = scheme.cost(self.solve)
        return self.costs[scheme.title]

    def _nodes(self, scheme: Scheme, steps: int) -> int:
        return self.slots * steps * self._step_cost(scheme).nodes

    def _seconds(self, scheme: Scheme, steps: float) -> float:
        return self.slots * steps * self._step_cost(scheme).seconds(self.batch)

    def _try(self, scheme: Scheme, steps: int) -> Trial:
        key = (scheme.title, steps)
        if key not in self.trials:
            choice, place = self._grid(scheme, steps), (self.name, *key, self.pace is not None)
            trial = self.before.tried.get(place)
            if self.chosen or trial is None or not trial.error > self.bound:
                trial = self._tried(scheme, steps, choice)
                if not self.chosen:
                    self.before.tried[place] = trial
            self.trials[key], self.grids[trial] = trial, choice
        return self.trials[key]

    def _tried(self, scheme: Scheme, steps: int, choice: Discretisation) -> Trial:
        if monotonic() - self.told > QUIET:
            self._tell(f"{self.name}: trying {scheme.title} with {steps * self.slots} steps")
        error = _worst(self.evaluator, self._answers(choice), self.outputs)
        total, cost = steps_of(self.solve, choice), self._step_cost(scheme)
        return Trial(
            self.name, scheme.title, scheme.order, total, total * scheme.evaluations,
            total * cost.nodes, error, total * cost.seconds(self.batch),
        )  # fmt: skip

    def _grid(self, scheme: Scheme, steps: int) -> Discretisation:
        """So many steps an interval, equal ones unless the pace of an implicit method is known."""
        interval, count = self.solve.spec.interval, steps * self.slots
        if self.pace is not None:
            return at_pace(interval, scheme, count, self.pace, self.jumps)
        return evenly(interval, scheme, count, intervals=self.slots, span=self.solve.span, jumps=self.jumps)


def worst_error(evaluator: Evaluator, choices: Mapping[str, Discretisation], outputs: tuple[str, ...]) -> float:
    """The largest relative error over samples and outputs, against the reference."""
    return _worst(evaluator, run_trial(evaluator, choices), outputs)


def _worst(evaluator: Evaluator, found: Mapping[str, Array], outputs: tuple[str, ...]) -> float:
    return max(float(error) for error in _errors(evaluator, found, evaluator.reference, outputs))


def _errors(
    evaluator: Evaluator, found: Mapping[str, Array], reference: Mapping[str, Array], outputs: tuple[str, ...]
) -> Iterator[float]:
    for name in outputs:
        batched = evaluator.graph.outputs[name].type.batched
        if reference[name].dtype.kind == "f":
            yield float(relative_errors(found[name], reference[name], batched).max())
        else:
            yield 0.0  # a class or a condition: its own scores are compared where they are outputs


def _cost(trial: Trial) -> tuple[float, int]:
    return trial.seconds, trial.evaluations
