"""Solutions that do not hang on the exact end time."""

from __future__ import annotations

from isocline_compiler.vocabulary.functions.kinds import Positive
from isocline_compiler.vocabulary.regularizers.record import Regularizer, Setting, Term


def steer(width: Positive) -> Term:
    """While training, each solve ends at a time drawn uniformly within `width` of its own end.

    A setting: it adds nothing to the loss, and takes no factor.

    Example: steer(0.25)

    Ghosh, Behl, Dupont, Torr, Namboodiri (2020).
    """
    return lambda context: Setting("steer", {"width": width})


STEER = Regularizer(steer)
