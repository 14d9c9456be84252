"""Early stopping, when the validation loss no longer improves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass
class EarlyStop:
    """The best validation loss, and for how many epochs nothing was better by more than `least`.

    `patience` None: the best is followed, and training is never stopped.
    """

    patience: int | None = None
    least: float = 0.0
    best: float = math.inf
    best_epoch: int = 0
    waited: int = 0

    def observe(self, loss: float, epoch: int) -> bool:
        """One epoch's loss; true when it is the best so far."""
        if loss < self.best - self.least:
            self.best, self.best_epoch, self.waited = loss, epoch, 0
            return True
        self.waited += 1
        return False

    @property
    def exhausted(self) -> bool:
        return self.patience is not None and self.waited >= self.patience

    def memory(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return asdict(self)

    @classmethod
    def restored(cls, memory: Mapping[str, Any]) -> EarlyStop:
        return cls(**memory)
