"""Gradient descent on the coefficients and the grid of a scheme, against the reference on draws of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import cos, isfinite, pi
from time import monotonic

import torch

from isocline_compiler.certify.bespoke.gradient import Answers, Gradient
from isocline_compiler.certify.bespoke.parameters import Parameters, unlearned
from isocline_compiler.solvers.grid import Discretisation, Grid
from isocline_compiler.solvers.schemes.bespoke import Bespoke

UPDATES, RATE, LAST = 600, 1e-2, 0.01
"""Updates of Adam, and its rate, which falls along half a cosine to the last part of itself."""
LOOKED = 20
"""Updates between two looks at the draws that decide when to stop."""
QUIET = 2.0
"""Seconds without a word."""

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Learned:
    """Schemes on their grids by the choice of their solve, after which update they were taken, and their largest error
    on the draws that decided.
    """

    choices: Mapping[str, Discretisation]
    update: int
    error: float
    updates: int


def learn(
    starts: Mapping[str, Discretisation], lesson: Answers, other: Answers, progress: Progress, enough: float = 0.0
) -> Learned:
    """Adam (Kingma, Ba 2015) on the log of the mean squared relative error over the samples of a lesson.

    The schemes that are taken are those with the least largest error on the `other` draws, looked at every so many
    updates; the first look is before any update, and one that finds the error `enough` is the last. Nothing is drawn:
    the same starts give the same schemes.
    """
    kept = {solve.spec.choice: solve.spec.interval.times for solve in lesson.evaluator.open}
    parameters = {}
    for name, choice in starts.items():
        times, scheme = kept[name], choice.scheme
        assert times is not None, "times that come with the input were refused before"
        assert isinstance(scheme, Bespoke), "learning begins with such a scheme"
        parameters[name] = Parameters.of(unlearned(scheme, name), times)
    gradient = Gradient.of(starts, parameters, lesson)
    optimizer = torch.optim.Adam([x for item in parameters.values() for x in item.varying], lr=RATE)
    best, told = Learned({}, 0, float("inf"), UPDATES), monotonic()
    for update in range(UPDATES + 1):
        if update % LOOKED == 0:
            error = gradient.largest(other)
            if error < best.error or not best.choices:
                found = {name: _on_its_grid(item.scheme(), starts[name]) for name, item in parameters.items()}
                best = Learned(found, update, error, UPDATES)
            if best.error <= enough:
                break
            if monotonic() - told > QUIET:
                progress(f"{', '.join(starts)}: {_steps(starts)}, update {update} of {UPDATES}, error {best.error:.1e}")
                told = monotonic()
        for group in optimizer.param_groups:
            group["lr"] = RATE * (LAST + (1 - LAST) * (1 + cos(pi * update / UPDATES)) / 2)
        optimizer.zero_grad()
        if not isfinite(gradient.descend()):
            break  # it has run away: the best so far is taken
        optimizer.step()
        for item in parameters.values():
            item.project()
    return best


def _on_its_grid(scheme: Bespoke, start: Discretisation) -> Discretisation:
    """A learned scheme; what is kept of the solution is kept at the same places."""
    assert isinstance(start.grid, Grid)
    return Discretisation(scheme, Grid(scheme.times, start.grid.keep))


def _steps(starts: Mapping[str, Discretisation]) -> str:
    counts = [choice.grid.steps for choice in starts.values() if isinstance(choice.grid, Grid)]
    return f"learning {' and '.join(map(str, counts))} steps"


__all__ = ["UPDATES", "Learned", "Progress", "learn"]
