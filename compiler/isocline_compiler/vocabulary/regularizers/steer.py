"""STEER: a random end time in training, so that solutions do not hang on the exact one."""

from __future__ import annotations

from isocline_compiler.vocabulary.functions.kinds import Positive
from isocline_compiler.vocabulary.regularizers.record import LossTerm, Regularizer, TrainingSetting


def steer(width: Positive) -> LossTerm:
    """While training, each solve ends at a time drawn uniformly within `width` of its own end.

    A setting: it adds nothing to the loss, and takes no factor.

    Example: steer(0.25)

    Ghosh, Behl, Dupont, Torr, Namboodiri (2020).
    """
    return lambda context: TrainingSetting("steer", {"width": width})


STEER = Regularizer(steer)
