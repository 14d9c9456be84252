"""Insertion and deletion: whether the entries that an attribution ranks highest are those that the score rests on.

Petsiuk, Das, Saenko (2018), RISE: randomized input sampling for explanation of black-box models.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from isocline_compiler.certify.certificate import Curve
from isocline_compiler.graph import Array

FRACTIONS = tuple(float(item) for item in np.linspace(0, 1, 11))
"""Of the entries that are replaced or restored."""

Score = Callable[[Array], Array]


def curves(score: Score, x: Array, attribution: Array, baseline: Array) -> tuple[Curve, Curve]:
    """The mean score of (N, m, *input) as entries of x go, or come, in the order of the attribution.

    The other entries are those of the baseline. Entries in random order are measured beside them.
    """
    order = np.argsort(-attribution.reshape(len(x), -1), axis=1, kind="stable")
    shuffled = np.random.default_rng(0).permuted(order, axis=1)
    start = np.broadcast_to(baseline, x.shape)
    return _curve("deletion", score, x, start, order, shuffled), _curve("insertion", score, start, x, order, shuffled)


def _curve(kind: str, score: Score, old: Array, new: Array, order: Array, shuffled: Array) -> Curve:
    """`old` with the first entries of the order replaced by those of `new`."""
    scores, random = (score(_replaced(old, new, ranks)).mean(axis=0) for ranks in (order, shuffled))
    return Curve(kind, FRACTIONS, tuple(map(float, scores)), _area(scores), _area(random))


def _replaced(old: Array, new: Array, order: Array) -> Array:
    """(N, m, *input): one point for each fraction."""
    count = order.shape[1]
    ranks = np.argsort(order, axis=1)  # of each entry, its place in the order
    flat_old, flat_new = old.reshape(len(old), -1), new.reshape(len(new), -1)
    points = [np.where(ranks < round(part * count), flat_new, flat_old) for part in FRACTIONS]
    return np.stack(points, axis=1).reshape(len(old), len(FRACTIONS), *old.shape[1:])


def _area(scores: Array) -> float:
    """By the trapezoidal rule over (0, 1)."""
    return float(np.trapezoid(scores, FRACTIONS))
