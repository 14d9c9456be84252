"""The proof of a model whose steps are learned: as of any other, and of what is particular to learned coefficients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from isocline_compiler.certify.bespoke.facts import Beside, LearnedProof, LearnedSolve, holding
from isocline_compiler.certify.bespoke.gradient import Answers
from isocline_compiler.certify.bespoke.learn import Learned
from isocline_compiler.certify.bespoke.lessons import FACTORS, Lessons, entries_of, lessons_of
from isocline_compiler.certify.bespoke.search import Sought, classical
from isocline_compiler.certify.certificate import AttributionProof, Certificate
from isocline_compiler.certify.choose import choose
from isocline_compiler.certify.evaluation import Choices, Evaluator
from isocline_compiler.certify.measures import figures
from isocline_compiler.certify.prove import Progress, Proving
from isocline_compiler.certify.samples import Samples
from isocline_compiler.certify.sweep import MARGIN, worst_error
from isocline_compiler.certify.work_precision import Trial
from isocline_compiler.graph import Graph
from isocline_compiler.graph.called import Called
from isocline_compiler.model import FittedParameter, Model
from isocline_compiler.solvers.grid import Discretisation
from isocline_compiler.solvers.schemes.bespoke import Bespoke, clock
from isocline_compiler.solvers.unroll.forms import solves_of
from isocline_compiler.solvers.unroll.time_span import steps_of
from isocline_dsl import messages
from isocline_dsl.diagnostics import Diagnostic, IsoclineError
from isocline_runtime import Session

LEAST = 1e-12
"""Classical schemes are not sought for less than this error, which is made of rounding."""


def learns(model: Model, override: Called | None) -> bool:
    """Whether the steps of a model are learned: `bespoke` is asked for, and nothing takes its place."""
    solver = model.deployment.solver
    open_ = any(solve.spec.scheme is None for solve in solves_of(model.graph))
    return override is None and open_ and solver is not None and solver.name == Bespoke.name


@dataclass
class LearnedProving(Proving):
    """One model whose open solves have learned schemes."""

    learned: Learned | None = None
    refined: int = 0
    """How many numbers of steps seemed enough."""

    @property
    def asked(self) -> Called:
        """The call of `bespoke`."""
        solver = self.model.deployment.solver
        assert solver is not None, "that is when this class is taken"
        return solver

    @property
    def _is_bounded(self) -> bool:
        """`bespoke(error=e)` promises e; with `steps` the error is a fact."""
        return "error" in self.asked.said

    @cached_property
    def lessons(self) -> Lessons:
        """The samples that have a part in learning, and those that have none."""
        shapes = [[int(size) for size in state.shape] for solve in self.measuring.open for state in solve.spec.states]
        return lessons_of(self.model, self.dataset, self.measured, entries_of(shapes))

    def _answers(self, samples: Samples, believed: bool = True) -> Answers:
        """With the reference that agreed with another one on the samples of the certificate; in a hurry where the
        numbers are not believed.
        """
        error, known = self.model.deployment.error, self.evaluator(self.measured)
        of = self.model.deployment.of or tuple(known.graph.outputs)
        by = known.alike() if believed else known.quickest()
        return Answers.of(Evaluator(self.model, self.weights, samples, error, by), of)

    def choose(self, progress: Progress) -> tuple[dict[str, Discretisation], tuple[Trial, ...]]:
        """Learned schemes and grids for all open solves; beside them, what classical ones need for the same error."""
        evaluator = self.evaluator(self.measured)
        self._refuse_jumps(evaluator)
        lessons = self.lessons
        progress("solving the equations by two references")
        assert evaluator.agreed
        lesson, other = (self._answers(samples, believed=False) for samples in (lessons.lesson, lessons.other))
        sought = Sought(self.asked, lesson, other, progress)
        if self._is_bounded:
            self.learned = sought.fewest(self.model.deployment.error, lambda found: self._worst(found, progress))
        else:
            self.learned = sought.learned(None)
            self._worst(self.learned.choices, progress)
        chosen = dict(self.learned.choices)
        return {**evaluator.stated, **chosen}, (*self._own_trials(chosen), *self._classical_trials(chosen, progress))

    def _worst(self, chosen: Choices, progress: Progress) -> float:
        """The largest error on the samples of the certificate, which those join that a search of the inputs' bounds
        finds, and on draws that had no part in anything before.
        """
        self._search({**self.measuring.stated, **chosen}, progress)
        error = self._error(chosen)
        if self.lessons.tried is None or not self._is_bounded:
            return error
        self.refined += 1
        return max(error, self._answers(self.lessons.tried(self.refined)).error(chosen))

    def _error(self, chosen: Choices) -> float:
        """The largest error on the samples of the certificate."""
        return worst_error(self.measuring, chosen, self.model.deployment.of or tuple(self.measuring.reference))

    def _refuse_jumps(self, evaluator: Evaluator) -> None:
        """Raises E687 where a field jumps at a time that all samples share."""
        for solve in evaluator.open:
            jumps = evaluator.jumps(solve)
            if jumps.times and jumps.margin:
                fault = messages.learned_grid_has_jumps(self.asked.span, solve.spec.field, f"{jumps.times[0]:.6g}")
                raise IsoclineError([fault], self.model.source)

    def _own_trials(self, chosen: Choices) -> list[Trial]:
        """The rows of the table for what was learned."""
        error, batch, rows = self._error(chosen), self.model.deployment.batch or 1, []
        for solve in self.measuring.open:
            choice = chosen[solve.spec.choice]
            count, cost = steps_of(solve, choice), choice.scheme.cost(solve)
            rows.append(
                Trial(
                    solve.spec.choice, choice.scheme.name, choice.scheme.order, count, count * cost.evaluations,
                    count * cost.nodes, error, count * cost.seconds(batch),
                )
            )  # fmt: skip
        return rows

    def _classical_trials(self, chosen: Choices, progress: Progress) -> tuple[Trial, ...]:
        """What `auto` tries for the error that the learned schemes have; none where it finds nothing."""
        progress("what classical schemes need for the same error")
        error = max(self._error(chosen) / MARGIN, LEAST)
        try:
            return choose(self.measuring, error, self.model.deployment.of, progress)[1]
        except IsoclineError:
            return ()

    def certificate(
        self,
        session: Session,
        choices: Choices,
        trials: tuple[Trial, ...],
        model_file: Path,
        parameters: tuple[FittedParameter, ...],
        explained: tuple[AttributionProof, ...],
        emitted: Graph,
    ) -> Certificate:
        """That of any model; halved steps are told among what is particular, since they bound nothing."""
        found = super().certificate(session, choices, trials, model_file, parameters, explained, emitted)
        return replace(found, step_halving={}, learned=self._proof(choices, found.step_halving))

    def missed(self, certificate: Certificate) -> list[Diagnostic]:
        """As of any model; and the stated error holds on the samples that had no part in learning."""
        missed, learned = super().missed(certificate), certificate.learned
        if learned is None or not self._is_bounded:
            return missed
        told = {port.name: port.span for port in self.model.outputs}
        return missed + [
            messages.error_bound_missed(told[name], name, *figures(item.maximum, certificate.stated_error))
            for name, item in learned.held_out.learned.items()
            if not item.maximum <= certificate.stated_error
        ]

    def _proof(self, choices: Choices, halved: Mapping[str, float]) -> LearnedProof:
        assert self.learned is not None, "schemes are chosen before they are proved"
        lessons, limit = self.lessons, self.model.deployment.error if self._is_bounded else None
        held_out, *shifted = self._sides
        return LearnedProof(
            tuple(_solve(name, choice) for name, choice in choices.items() if isinstance(choice.scheme, Bespoke)),
            lessons.lesson.origin, lessons.other.origin, self.learned.updates, self.learned.update, self.learned.error,
            held_out, tuple(shifted), limit, holding(held_out, tuple(shifted), limit), halved,
        )  # fmt: skip

    @cached_property
    def _sides(self) -> tuple[Beside, ...]:
        """Learned and classical errors on samples that had no part in learning, and on those of wider bounds."""
        lessons = self.lessons
        found = [self._beside(lessons.fresh, 1.0)]
        if lessons.shifted is not None:
            found += [self._beside(lessons.shifted(factor), factor) for factor in FACTORS]
        return tuple(found)

    def _beside(self, samples: Samples, factor: float) -> Beside:
        assert self.learned is not None, "schemes are chosen before they are proved"
        chosen = self.learned.choices
        try:
            answers = self._answers(samples)
            found = answers.errors(chosen), answers.errors(classical(self.measuring, chosen))
        except IsoclineError as error:
            return Beside(samples.origin, factor, {}, {}, error.diagnostics[0].message)
        return Beside(samples.origin, factor, *found)


def _solve(name: str, choice: Discretisation) -> LearnedSolve:
    scheme = choice.scheme
    assert isinstance(scheme, Bespoke)
    weights, rows, second = (max(item) for item in zip(*scheme.violations, strict=True))
    return LearnedSolve(
        name, scheme.base.name, scheme.steps, scheme.stages, weights, rows, second, clock(scheme), scheme.times,
        scheme.a, scheme.b,
    )  # fmt: skip


__all__ = ["LearnedProving", "learns"]
