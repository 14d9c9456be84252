"""The log density of a whole sample, from the loss, which is a mean over its entries.

A term c mean_i(-log p_i) over the n entries of a sample is c/n of the sample's -log p: the loss L stands for
-log p(sample) = (n/c) L when that ratio is one for all of its terms, and for no density when it is not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from isocline_compiler.data import Split
from isocline_compiler.model import Likelihood, Port, TrainingPlan


class NoDensity(Exception):
    """The loss is made of log densities and still is none; the text says why, and what to write."""


def named_sizes(ports: Sequence[Port], split: Split) -> dict[str, int]:
    """The sizes that have names, as the data fix them."""
    found: dict[str, int] = {}
    for port in ports:
        array = split.arrays.get(port.name)
        if array is not None:
            sample = array.shape[1:] if port.batched else array.shape
            named = zip(port.shape, sample, strict=False)
            found |= {size: count for size, count in named if isinstance(size, str)}
    return found


def require_no_draws(plan: TrainingPlan) -> None:
    """Raises NoDensity: the mean over what a loss draws is not the log density of what was observed."""
    if plan.draws:
        raise NoDensity("the loss draws random values, so it is the log density of nothing")


def entries_of(likelihood: Likelihood, sizes: Mapping[str, int]) -> float:
    """n/c: how often the loss of a sample is in its -log p. Raises NoDensity."""
    if not likelihood.pure:
        raise NoDensity("the loss adds a log density to what is none, so it is the log density of nothing")
    ratios = [term.entries(sizes) / term.factor for term in likelihood.terms]
    if max(ratios) > min(ratios) * (1 + 1e-9):
        counts = [term.entries(sizes) for term in likelihood.terms]
        raise NoDensity(
            "the loss weighs the entries of its log densities differently, so it is the log density of no sample: "
            f"give its terms the factors {' and '.join(map(str, counts))}, as many entries as each has"
        )
    return ratios[0]
