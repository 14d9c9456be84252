"""An attribution method as a record: how it builds its results, and what it is, in numbers, by its definition."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

from isocline_compiler.attribution.problem import Background, Problem
from isocline_compiler.graph import Array, Node
from isocline_compiler.vocabulary.functions.kinds import WordCall
from isocline_compiler.vocabulary.functions.record import Callee, call

ResultKind: TypeAlias = Literal["attribution", "residual", "path", "times", "sensitivity", "deviation"]


@dataclass(frozen=True, eq=False)
class Result:
    """One output of the attribution graph. `of` is what it belongs to: an input, a parameter, a state."""

    kind: ResultKind
    node: Node
    of: str | None = None


Build: TypeAlias = Callable[[Problem], tuple[Result, ...]]


class Oracle(Protocol):
    """The score of the deployed graph at any points, in float64: what a definition is measured with.

    Arrays have a leading axis of N samples. Of each input only some flat `entries` are looked at, k of them.
    """

    @property
    def inputs(self) -> Mapping[str, Array]:
        """The attributed inputs of the samples, (N, *input)."""
        ...

    @property
    def entries(self) -> Mapping[str, Array]:
        """By input, the k flat indices that are looked at."""
        ...

    @property
    def noise(self) -> Mapping[str, Array]:
        """By input, the draws that the method was given, (N, draws, *input)."""
        ...

    @property
    def background(self) -> Background | None:
        """The stored samples, where there are data."""
        ...

    def score(self, points: Mapping[str, Array]) -> Array:
        """S at m points of each sample: (N, m, *input) by input -> (N, m)."""
        ...

    def slopes(self, name: str, points: Mapping[str, Array]) -> Array:
        """dS/d(entry) by central differences: (N, m, *input) by input -> (N, m, k)."""
        ...


Definition: TypeAlias = Callable[[Oracle], Mapping[str, Array]]
"""The attributions of the entries, (N, k) by input, from scores and their finite differences alone."""


@dataclass(frozen=True)
class Method(Callee):
    """`build` takes the author's options and gives a function of the problem; `definition` gives that of the oracle.

    `axioms` are those the method satisfies, in the words of Sundararajan, Taly, Yan (2017) where they are theirs;
    `cost` is in evaluations of the model, a gradient counting as three. `shares` of the score are in its units.
    """

    axioms: tuple[str, ...] = ()
    cost: str = ""
    definition: Callable[..., Definition] | None = None
    compares_with_data: bool = False
    shares: bool = False

    def results(self, problem: Problem, options: Mapping[str, Any]) -> tuple[Result, ...]:
        """The results for a problem. Raises `Fault`."""
        build: Build = call(self, (), options.items())
        return build(problem)

    def needs_data(self, options: Mapping[str, Any]) -> bool:
        """Whether these options ask for samples of the training data."""
        baseline = options.get("baseline")
        return self.compares_with_data or (isinstance(baseline, WordCall) and baseline.name == "mean")

    def defined(self, options: Mapping[str, Any]) -> Definition | None:
        """What the certificate compares the results with; None where it measures them in another way."""
        return None if self.definition is None else self.definition(**options)
