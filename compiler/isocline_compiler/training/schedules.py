"""The learning rate as a function of progress: rate = factor(e) lr, e the epochs done, fractions included.

A schedule remembers nothing, so that a resumed run has the rates of one that was not stopped. `plateau`,
which must look back, keeps its memory in the checkpoint.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from isocline_compiler.graph.called import Called
from isocline_compiler.vocabulary.options import SCHEDULES as CHOICES

Factor = Callable[[float, float, Mapping[str, Any]], float]
"""(epochs done, epochs in all, options) to the factor."""


def _constant(done: float, total: float, at: Mapping[str, Any]) -> float:
    return 1.0


def _cosine(done: float, total: float, at: Mapping[str, Any]) -> float:
    """f + (1 - f) (1 + cos(pi e / E)) / 2, from 1 to f = final. Loshchilov and Hutter (2017), without restarts."""
    return float(at["final"] + (1 - at["final"]) * (1 + math.cos(math.pi * min(done / total, 1))) / 2)


def _step(done: float, total: float, at: Mapping[str, Any]) -> float:
    """factor^floor(e / every)."""
    return float(at["factor"] ** (done // at["every"]))


def _exponential(done: float, total: float, at: Mapping[str, Any]) -> float:
    """factor^floor(e)."""
    return float(at["factor"] ** math.floor(done))


def _warmup_cosine(done: float, total: float, at: Mapping[str, Any]) -> float:
    """Linear from nearly 0 to 1 over `warmup` epochs, then half a cosine to `final`."""
    warmup = float(at["warmup"])
    if done < warmup:
        return (done + 1e-3 * warmup) / (1.001 * warmup)
    return _cosine(done - warmup, max(total - warmup, 1e-9), at)


def _onecycle(done: float, total: float, at: Mapping[str, Any]) -> float:
    """Half cosines: from 1 up to `peak` within the share `warmup`, then down to 1/1000. Smith (2018)."""
    progress, peak, share = min(done / total, 1), float(at["peak"]), float(at["warmup"])
    if progress < share:
        return 1 + (peak - 1) * (1 - math.cos(math.pi * progress / share)) / 2
    fall = (progress - share) / max(1 - share, 1e-9)
    return 1e-3 + (peak - 1e-3) * (1 + math.cos(math.pi * fall)) / 2


FACTORS: Mapping[str, Factor] = {
    "constant": _constant,
    "cosine": _cosine,
    "step": _step,
    "exponential": _exponential,
    "warmup_cosine": _warmup_cosine,
    "onecycle": _onecycle,
}


@dataclass
class Plateau:
    """Times `factor` whenever the validation loss has not improved for `patience` epochs."""

    factor: float
    patience: int
    best: float = math.inf
    waited: int = 0
    current: float = 1.0

    def observe(self, loss: float) -> None:
        """One epoch's validation loss."""
        if loss < self.best:
            self.best, self.waited = loss, 0
            return
        self.waited += 1
        if self.waited > self.patience:
            self.current, self.waited = self.current * self.factor, 0


class Schedule:
    """The factor of the learning rate, whichever kind the file names."""

    def __init__(self, option: Called, epochs: int) -> None:
        self.options = {**CHOICES[option.name].defaults, **option.options}
        self.epochs = epochs
        self.formula = FACTORS.get(option.name)
        self.plateau: Plateau | None = None
        if self.formula is None:
            self.plateau = Plateau(float(self.options["factor"]), int(self.options["patience"]))

    def factor(self, done: float) -> float:
        """The factor after `done` epochs."""
        if self.plateau is not None:
            return self.plateau.current
        assert self.formula is not None
        return self.formula(done, float(self.epochs), self.options)

    def observe(self, loss: float) -> None:
        if self.plateau is not None:
            self.plateau.observe(loss)

    def memory(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return asdict(self.plateau) if self.plateau is not None else {}

    def restore(self, memory: Mapping[str, Any]) -> None:
        if self.plateau is not None:
            self.plateau = Plateau(**memory)
