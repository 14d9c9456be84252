"""Learned steps beside classical ones: evaluations of the field for an error, on fresh starts, against scipy.

    python -m benchmarks.bespoke -o build/bespoke.md

Fields are networks of 4-64-4 with weights of three seeds, over 0..5 from starts in (-1, 1); errors are relative, over
512 starts that nothing was learned from, against DOP853 of scipy. Evaluations are those with which 99 of 100 starts are
below the error: some of these fields have two attractors, and one start near their border decides the largest error of
any scheme. The output holds start and end, so that an end near zero by chance decides nothing either.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from time import perf_counter

import numpy as np
from scipy.integrate import solve_ivp

import isocline
from isocline_compiler.certify.bespoke.gradient import Answers
from isocline_compiler.certify.bespoke.learn import Learned, learn
from isocline_compiler.certify.bespoke.lessons import LESSON, OTHER
from isocline_compiler.certify.evaluation import Evaluator
from isocline_compiler.certify.measures import Spread, relative_errors, spread
from isocline_compiler.certify.samples import Samples, drawn
from isocline_compiler.graph import Array
from isocline_compiler.passes import optimise
from isocline_compiler.solvers.grid import Discretisation, uniform
from isocline_compiler.solvers.schemes import SCHEMES
from isocline_compiler.solvers.schemes.bespoke import BASES, Bespoke
from isocline_compiler.solvers.unroll import unroll
from isocline_compiler.training.initial import initial_weights

NET = """dyn 1
model net
input first: real[4] in (-1, 1)
field f(t, z: real[4]) { z' = (z |> dense(64) |> tanh |> dense(4)) - 0.3*z }
path = solve f from z = first over 0..5
output both = concat(first, path)
deploy { solver auto }
"""
END, SEEDS, STARTS, WIDER, BENT = 5.0, (0, 1, 2), 512, 1.5, 2.0
"""BENT is how much larger than usual the weights are drawn: a field that bends."""
TARGETS = (1e-2, 1e-3)
MOST, GAIN = 40, 300.0
"""Steps that are tried, and the multiple of an error that RK4 may have where learning begins: fewer are not learned."""


@dataclass
class Field:
    """One network, with what it answers."""

    seed: int

    @cached_property
    def model(self) -> isocline.Model:
        return isocline.model(NET)

    @cached_property
    def weights(self) -> Mapping[str, Array]:
        return {name: BENT * x for name, x in initial_weights(self.model.weights, self.seed).items()}

    def exact(self, starts: Array) -> Array:
        """Starts and ends, by scipy, one start at a time."""
        w0, b0, w1, b1 = self.weights.values()

        def slope(_: float, z: Array) -> Array:
            found: Array = np.tanh(z @ w0 + b0) @ w1 + b1 - 0.3 * z
            return found

        ends = [solve_ivp(slope, (0, END), z, "DOP853", rtol=1e-11, atol=1e-13).y[:, -1] for z in starts]
        return np.concatenate([starts, np.array(ends)], axis=1)

    @cached_property
    def fresh(self) -> tuple[Array, Array]:
        """Starts within the bounds, and wider ones."""
        rng = np.random.default_rng(99)
        return rng.uniform(-1, 1, (STARTS, 4)), rng.uniform(-WIDER, WIDER, (STARTS, 4))

    @cached_property
    def ends(self) -> tuple[Array, Array]:
        inside, wider = self.fresh
        return self.exact(inside), self.exact(wider)

    def evaluator(self, starts: Array) -> Evaluator:
        return Evaluator(self.model, self.weights, Samples({"first": starts}, {}, "fresh"), 1e-4)

    @cached_property
    def evaluators(self) -> tuple[Evaluator, Evaluator]:
        inside, wider = self.fresh
        return self.evaluator(inside), self.evaluator(wider)

    def errors(self, choice: Discretisation, place: int = 0) -> Spread:
        """Of steps, on fresh starts within the bounds (0) or on wider ones (1)."""
        found = self.evaluators[place].run({"path": choice})["both"]
        return spread(relative_errors(found, self.ends[place], True))

    def evaluations(self, choice: Discretisation) -> int:
        """How often the laid-out graph computes the field, the first steps of multistep schemes included."""
        stepped = optimise(unroll(self.model.graph, {"path": choice}).graph)
        return sum(node.op.name == "tanh" for node in stepped.nodes())

    @cached_property
    def lessons(self) -> tuple[Answers, Answers]:
        draws = (drawn(self.model.inputs, self.model.source, seed, count) for seed, count in (LESSON, OTHER))
        first, second = (Answers.of(Evaluator(self.model, self.weights, x, 1e-4), ("both",)) for x in draws)
        return first, second

    @cached_property
    def known(self) -> dict[int, tuple[Learned, float]]:
        return {}

    def learned(self, steps: int) -> Discretisation:
        """Steps of four stages, learned once."""
        if steps not in self.known:
            grid, begun = uniform(0.0, END, steps), perf_counter()
            start = Discretisation(Bespoke.starting(BASES[4], grid.times), grid)
            found = learn({"path": start}, *self.lessons, lambda _: None)
            self.known[steps] = found, perf_counter() - begun
        return self.known[steps][0].choices["path"]


def fewest(errors: Callable[[int], Spread], target: float, start: int = 1) -> int | None:
    """The fewest steps, one after another, with which 99 of 100 starts are within the target."""
    return next((steps for steps in range(start, MOST) if errors(steps).p99 <= target), None)


def classical(field: Field, target: float) -> tuple[str, int, int]:
    """The scheme with the fewest evaluations, its steps and those."""
    found = []
    for scheme in SCHEMES.values():
        if scheme.search == "always" and scheme.fits(field.evaluators[0].open[0]) is None:
            steps = fewest(lambda n, s=scheme: field.errors(Discretisation(s, uniform(0.0, END, n))), target)
            if steps is not None:
                found.append((field.evaluations(Discretisation(scheme, uniform(0.0, END, steps))), scheme.name, steps))
    evaluations, name, steps = min(found)
    return name, steps, evaluations


def rows(seed: int) -> Iterator[str]:
    """The table's rows of one network."""
    field = Field(seed)
    for target in TARGETS:
        begun = fewest(lambda n: field.errors(Discretisation(BASES[4], uniform(0.0, END, n))), GAIN * target)
        start = begun or 1
        name, steps, evaluations = classical(field, target)
        found = fewest(lambda n: field.errors(field.learned(n)), target, start)
        if found is None:
            yield f"| {seed} | {target:.0e} | {evaluations} ({name} x {steps}) | none | | | | |"
            continue
        choice = field.learned(found)
        even = Discretisation(BASES[4], uniform(0.0, END, found))
        spreads = [field.errors(item, place) for place in (0, 1) for item in (choice, even)]
        told = " | ".join(f"{x.maximum:.1e} / {x.p99:.1e} / {x.median:.1e}" for x in spreads)
        seconds = field.known[found][1]
        counts = f"{evaluations} ({name} x {steps}) | {field.evaluations(choice)}"
        yield f"| {seed} | {target:.0e} | {counts} | {told} | {seconds:.0f} |"


HEAD = (
    "| seed | error | classical evaluations | learned evaluations | learned: largest / 99 % / median | RK4, as many |"
    " learned, 1.5 times as wide | RK4 there | seconds to learn |\n" + "| --- " * 9 + "|"
)


def main() -> None:
    """Print the table, or write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path)
    asked = parser.parse_args()
    lines = [HEAD]
    for seed in SEEDS:
        for line in rows(seed):
            print(line, flush=True)
            lines.append(line)
    if asked.output is not None:
        asked.output.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
