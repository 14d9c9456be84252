"""How far two answers are apart, in numbers that a certificate can state."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isocline_compiler.graph import Array

DEFINITION = (
    "of each sample, the largest difference divided by the largest magnitude of the reference, "
    "over all entries of the output"
)

SHOWN = 1e-6
"""How near a bound its figures are."""


@dataclass(frozen=True)
class Spread:
    """Relative errors over samples: the largest, and percentiles."""

    maximum: float
    p99: float
    median: float
    worst_sample: int


def relative_errors(found: Array, reference: Array, batched: bool) -> Array:
    """One number a sample: max |found - reference| / max |reference|; infinite where `found` is not finite."""
    rows = len(reference) if batched else 1
    a = np.asarray(found, dtype=np.float64).reshape(rows, -1)
    b = np.asarray(reference, dtype=np.float64).reshape(rows, -1)
    scale = np.abs(b).max(axis=1)
    difference = np.abs(a - b).max(axis=1)
    with np.errstate(over="ignore"):  # a grid that runs away
        errors = np.where(scale > 0, difference / np.where(scale > 0, scale, 1.0), difference)
    return np.where(np.isfinite(a).all(axis=1), errors, np.inf)


def spread(errors: Array) -> Spread:
    """Maximum and percentiles of errors by sample."""
    with np.errstate(invalid="ignore"):
        most = float(np.quantile(errors, 0.99))
    if np.isnan(most) and not np.isnan(errors).any():
        most = np.inf  # numpy subtracts two infinite errors to go from one to the other
    return Spread(float(errors.max()), most, float(np.median(errors)), int(errors.argmax()))


def moved_by(found: Array, exact: Array) -> float:
    """The largest difference, relative to how large the output usually is: some sample may be near zero by chance."""
    usual = float(np.sqrt(np.mean(np.square(exact))))
    return float(np.abs(found - exact).max()) / usual if usual > 0 else 0.0


def figures(found: float, bound: float) -> tuple[str, str]:
    """A number and the bound that it misses as they are read: with as many digits as tell them apart."""
    written = (f"{bound:.{digits}e}" for digits in range(17))
    stated = next((text for text in written if abs(float(text) - bound) <= SHOWN * bound), f"{bound:e}")
    for digits in range(1, 17):
        shown = f"{found:.{digits}e}"
        if not float(shown) <= float(stated):
            break
    return shown, stated
