"""How many steps are learned: as many as were asked for, or the fewest that reach an error."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import ceil, isfinite

from isocline_compiler.certify.bespoke.gradient import Answers
from isocline_compiler.certify.bespoke.learn import Learned, Progress, learn
from isocline_compiler.certify.evaluation import Evaluator, intervals
from isocline_compiler.certify.sweep import MARGIN
from isocline_compiler.graph.called import Called
from isocline_compiler.graph.solve import Solve
from isocline_compiler.solvers.grid import Discretisation, Grid, evenly
from isocline_compiler.solvers.schemes.bespoke import BASES, Bespoke
from isocline_compiler.solvers.unroll.time_span import steps_of
from isocline_dsl import messages
from isocline_dsl.diagnostics import IsoclineError

GAIN = 8.0
"""How much less error learning usually leaves: the scheme it begins with is tried with this many times the error."""
MOST_OPERATIONS = 4000
"""Operations of all steps of the largest scheme that is learned: with more of them it would take minutes."""
MORE = 1.25
"""The growth of the number of steps where learned ones miss, and each after a search of the worst inputs has failed."""
REFINED = 6
"""How often steps are added because the search found inputs on which they miss."""

Chosen = Mapping[str, Discretisation]


def unlearned_steps(solve: Solve, called: Called, each: int | None = None) -> Discretisation:
    """Where learning begins: an even grid with the coefficients of the base; `each` steps between two kept times."""
    slots = intervals(solve)
    steps = each * slots if each is not None else int(called.options["steps"] or slots)
    base = BASES[int(called.options["stages"])]
    even = evenly(solve.spec.interval, base, steps, intervals=slots, span=called.span or solve.span)
    assert isinstance(even.grid, Grid), "times that come with the input were refused"
    return Discretisation(Bespoke.starting(base, even.grid.times), even.grid)


def classical(evaluator: Evaluator, choices: Chosen) -> dict[str, Discretisation]:
    """The scheme that the learning began with, on even grids of as many steps; other solves as they are."""
    found = dict(choices)
    for solve in evaluator.open:
        choice = choices[solve.spec.choice]
        if isinstance(choice.scheme, Bespoke):
            count, slots = steps_of(solve, choice), intervals(solve)
            found[solve.spec.choice] = evenly(solve.spec.interval, choice.scheme.base, count, intervals=slots)
    return found


@dataclass
class Sought:
    """Learned schemes by their number of steps between two kept times, each learned once."""

    called: Called
    lesson: Answers
    other: Answers
    progress: Progress
    known: dict[int, Learned] = field(default_factory=dict)
    worst: dict[int, float] = field(default_factory=dict)

    @property
    def evaluator(self) -> Evaluator:
        return self.lesson.evaluator

    def starts(self, each: int | None) -> dict[str, Discretisation]:
        """Where the solves begin; as many steps as were named where `each` is None."""
        return {solve.spec.choice: unlearned_steps(solve, self.called, each) for solve in self.evaluator.open}

    def learned(self, each: int | None) -> Learned:
        """The schemes of so many steps, learned to the end. Raises E676 where steps that were named run away."""
        if each is None:
            found = learn(self.starts(None), self.lesson, self.other, self.progress)
            if not isfinite(found.error):
                fault = messages.learning_begins_astray(self.called.span, int(self.called.options["steps"]))
                raise IsoclineError([fault], self.evaluator.model.source)
            return found
        if each not in self.known:
            self.known[each] = learn(self.starts(each), self.lesson, self.other, self.progress)
            self._tell(each, self.known[each].error)
        return self.known[each]

    def reaches(self, each: int, error: float) -> bool:
        """Whether so many steps reach the error on the draws that decide: learned no further than that."""
        if each not in self.known:
            found = learn(self.starts(each), self.lesson, self.other, self.progress, error)
            if found.error <= error:
                self._tell(each, found.error, "or less")
                return True
            self.known[each] = found
            self._tell(each, found.error)
        return self.known[each].error <= error

    def _tell(self, each: int, error: float, more: str = "") -> None:
        self.progress(f"bespoke with {self.steps(each)} steps has the error {error:.1e} {more}".rstrip())

    def steps(self, each: int) -> int:
        """Of all solves together."""
        return sum(each * intervals(solve) for solve in self.evaluator.open)

    @property
    def most(self) -> int:
        """Steps between two kept times that can be learned."""
        every = self.starts(1)
        nodes = sum(
            intervals(solve) * every[solve.spec.choice].scheme.cost(solve).nodes for solve in self.evaluator.open
        )
        return max(MOST_OPERATIONS // nodes, 1)

    def fewest(self, error: float, worst: Callable[[Chosen], float]) -> Learned:
        """The fewest steps with which the largest error on the draws that decide leaves some of the error for what was
        not seen, and the `worst` on other samples does. Raises E689 where no number of steps does.
        """
        each = self._reaching(error)
        for _ in range(REFINED):
            found = self.learned(each)
            self.worst[each] = worst(found.choices)
            if self.worst[each] <= error * (1 + MARGIN) / 2:
                return found
            if each >= self.most:
                break
            each = min(max(each + 1, each * 9 // 8), self.most)
        raise self._missed(error)

    def _reaching(self, error: float) -> int:
        """By bisection between numbers of steps that miss and that reach, from those with which the base is near."""
        failed, tried = 0, self._near(error)
        while not self.reaches(tried, error * MARGIN):
            if tried >= self.most:
                raise self._missed(error)
            failed, tried = tried, min(max(tried + 1, ceil(tried * MORE)), self.most)
        passed = tried
        while passed - failed > 1:
            middle = (failed + passed) // 2 if failed else max(passed * 4 // 5, 1)
            middle = min(middle, passed - 1)
            if self.reaches(middle, error * MARGIN):
                passed = middle
            else:
                failed = middle
        return passed

    def _near(self, error: float) -> int:
        """Steps with which the base has so many times the error."""
        low, high = 0, 1
        while self.other.error(self.starts(high)) > GAIN * error and high < self.most:
            low, high = high, min(2 * high, self.most)
        while high - low > 1:
            middle = (low + high) // 2
            if self.other.error(self.starts(middle)) > GAIN * error:
                low = middle
            else:
                high = middle
        return high

    def _missed(self, error: float) -> IsoclineError:
        met = {each: max(item.error, self.worst.get(each, 0.0)) for each, item in self.known.items()}
        best = min(met, key=lambda each: met[each])
        facts = (f"{error:.0e}", self.steps(best), f"{met[best]:.1e}")
        return IsoclineError([messages.learned_steps_miss(self.called.span, *facts)], self.evaluator.model.source)


__all__ = ["Sought", "classical", "unlearned_steps"]
