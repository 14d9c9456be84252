"""How large a state is on its way: what an error of it is measured by."""

from __future__ import annotations

import numpy as np

from isocline_compiler.graph import Array

RESTING = 1e-12
"""A state below this part of its largest size is at rest, which says nothing of how exact it has to be."""


def moving_sizes(windows: Array) -> Array:
    """The least, over windows, of the largest that a state is in a window: how large it always is now and then.

    (windows, ...) -> (...), of magnitudes. Windows in which a state is at rest, or gone, do not count; 0 where all are.
    """
    moving = np.where(windows > RESTING * windows.max(axis=0), windows, np.inf).min(axis=0)
    return np.where(np.isfinite(moving), moving, 0.0)
