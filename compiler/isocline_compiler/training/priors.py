"""How much the log prior weighs beside the loss.

The most probable weights minimise n E L - log p(w) when E L, the mean loss of a sample times its entries, is a negative
log density. A mean
of squares is none until the variance of the noise is known; with it unknown too, N residuals and L = w SSE / n,

    -log posterior = (N / 2) log L - log p(w),    whose gradient is that of   L - (2 L / N) log p(w)   times N / (2 L),

so that the prior weighs 2 L / N, with L held fixed: much beside a poor fit, little beside a good one.
Box and Tiao (1973), Bayesian inference in statistical analysis, 1.3 (the noninformative prior of a variance).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from isocline_compiler.graph import Node, constant
from isocline_compiler.model import TrainingPlan
from isocline_compiler.ops.reduction import REDUCE_SUM
from isocline_compiler.training.least_squares import NotSquares, Squares, sum_of_squares
from isocline_compiler.training.whole_sample import NoDensity, entries_of, require_no_draws

_SQUARES = "squares of residuals "


@dataclass(frozen=True)
class PriorWeight:
    """The factor of the log prior beside the mean loss of `samples` samples of so many `entries`, or made of `squares`.

    `doubt` says why nothing tells how much the prior should weigh, where that is so.
    """

    samples: int
    squares: tuple[Squares, ...] = ()
    entries: float = 1.0
    doubt: str | None = None

    @classmethod
    def of(cls, plan: TrainingPlan, targets: frozenset[str], samples: int, sizes: Mapping[str, int]) -> PriorWeight:
        try:
            require_no_draws(plan)
            if plan.likelihood is not None:
                return cls(samples, entries=entries_of(plan.likelihood, sizes))
            return cls(samples, sum_of_squares(plan.losses, targets, sizes))
        except (NoDensity, NotSquares) as error:
            return cls(samples, doubt=str(error))

    def outputs(self) -> dict[str, Node]:
        """What must be evaluated besides the loss."""
        return {f"{_SQUARES}{index}": term.node for index, term in enumerate(self.squares)}

    def take(self, outputs: dict[str, Tensor], count: int) -> Tensor | float:
        """The factor, from the evaluated `outputs` of `count` samples, which are taken out of the dict."""
        if not self.squares:
            return 1 / (self.samples * self.entries)
        found = [outputs.pop(name).detach().sum() for name in self.outputs()]
        residuals = self.samples * sum(term.count for term in self.squares)
        total: Tensor = sum(found[1:], start=found[0])
        return 2 * self.squares[0].weight * total / (count * residuals)

    def node(self, outputs: Mapping[str, Node], share: Node) -> Node:
        """The same factor in a graph, of a batch of which a sample is the part `share`."""
        if not self.squares:
            return constant(1 / (self.samples * self.entries))
        found = [_total(outputs[name]) for name in self.outputs()]
        residuals = self.samples * sum(term.count for term in self.squares)
        return sum(found[1:], start=found[0]) * share * (2 * self.squares[0].weight / residuals)


def _total(term: Node) -> Node:
    return REDUCE_SUM(term, axes=tuple(range(term.type.rank))) if term.type.rank else term


def terms_of(outputs: Mapping[str, object]) -> tuple[str, ...]:
    """The named terms of a loss, as a report shows them."""
    return tuple(name for name in outputs if name != "loss" and not name.startswith(_SQUARES))
