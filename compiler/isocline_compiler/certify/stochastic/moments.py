r"""Whether the noise that the runtime makes has the moments of its distribution, and is independent.

Normals: E z = 0, E z^2 = 1, E z^4 = 3, with the variances 1/n, 2/n, 96/n of their estimates. Counts of a rate r, with
z = (k - r) / sqrt(r): E z = 0, E z^2 = 1, P(k = 0) = exp(-r). Stable numbers, which have no moments: E cos(t x) =
exp(-t^alpha), E sign x = 0. Uniform numbers, with z = sqrt(12) (u - 1/2): E z = 0, E z^2 = 1, E z^4 = 9/5,
with the variances 1/n, 4/(5n), 144/(25n). 1 with the probability p, else 0: E b = E b^2 = p, with the variance
p (1 - p)/n. Between neighbours along an axis, and between its halves, E s(x) s(x') = 0, with s(x) = z, or the sign of a
stable number.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from isocline_compiler.certify.stochastic.seeded import SeededNoise
from isocline_compiler.graph import Array
from isocline_compiler.graph.noise import Noise

NUMBERS = 1 << 18
"""Numbers that are looked at."""
FURTHEST = 5.0
"""Standard deviations by which an estimate may miss: chance misses by more once in two million."""
FREQUENCIES = (0.5, 1.0, 2.0)
"""Where the characteristic function of stable numbers is looked at."""
AXES = ("rows", "samples", "steps", "channels")


@dataclass(frozen=True)
class Moment:
    """One estimate, what it should be, and the standard deviation that chance gives it."""

    name: str
    found: float
    expected: float
    deviation: float

    @property
    def off(self) -> float:
        """How many standard deviations it misses by."""
        return abs(self.found - self.expected) / self.deviation if self.deviation > 0 else 0.0

    @property
    def holds(self) -> bool:
        return bool(self.off <= FURTHEST)


@dataclass(frozen=True)
class NoiseMoments:
    """What was found of one input of noise, from so many numbers."""

    name: str
    numbers: int
    moments: tuple[Moment, ...]

    @property
    def worst(self) -> Moment:
        """The one that misses by the most standard deviations; a number that is none misses."""
        return max(self.moments, key=lambda item: item.off if item.off == item.off else float("inf"))


def noise_moments(noise: SeededNoise, seed: int = 0) -> NoiseMoments:
    """The moments of what the runtime makes of a seed: of all samples where they are independent, else of one a row.

    Of mirror images, one of each pair. Rows are independent of each other whatever the ordering.
    """
    samples, steps, channels = noise.shape
    if noise.ordering == "independent":
        draws = noise.draws(seed, min(samples, max(NUMBERS // (2 * steps * channels), 1)))
    else:
        draws = noise.draws(seed, 1, (samples - 1) // 2 * 2)
    rows = max(2, NUMBERS // (draws.samples * steps * channels))
    numbers = noise.made(draws, range(rows))
    return NoiseMoments(noise.name, numbers.size, tuple(moments_of(noise.noise, numbers, noise.rates)))


def moments_of(noise: Noise, numbers: Array, rates: Array | None = None) -> Iterator[Moment]:
    """The moments of independent numbers, (rows, samples, steps, channels), and their correlations."""
    match noise.process:
        case "brownian":
            yield from _powers(numbers)
            yield from _correlations(numbers)
        case "poisson":
            assert rates is not None
            yield from _counts(numbers, rates[:, None])
        case "stable":
            yield from _characteristic(numbers, noise.parameter)
            yield from _correlations(np.sign(numbers))

        case "uniform":
            z = 12**0.5 * (numbers - 0.5)
            yield from _powers(z, 9 / 5, 4 / 5, 144 / 25)
            yield from _correlations(z)
        case "bernoulli":
            yield from _trials(numbers, noise.parameter)


def _powers(z: Array, fourth: float = 3.0, of_square: float = 2.0, of_fourth: float = 96.0) -> Iterator[Moment]:
    """Of numbers of mean 0 and variance 1 whose fourth moment is known, with the variances of z^2 and z^4."""
    yield Moment("mean", float(z.mean()), 0.0, float(z.size**-0.5))
    yield Moment("variance", float(np.mean(z**2)), 1.0, float((of_square / z.size) ** 0.5))
    yield Moment("kurtosis", float(np.mean(z**4)), fourth, float((of_fourth / z.size) ** 0.5))


def _trials(b: Array, p: float) -> Iterator[Moment]:
    variance = p * (1 - p)
    yield Moment("mean", float(b.mean()), p, (variance / b.size) ** 0.5)
    yield Moment("mean square", float(np.mean(b**2)), p, (variance / b.size) ** 0.5)
    if variance > 0:
        yield from _correlations((b - p) / variance**0.5)


def _counts(counts: Array, rates: Array) -> Iterator[Moment]:
    some = np.broadcast_to(rates > 0, counts.shape)
    z = np.where(some, (counts - rates) / np.sqrt(np.where(rates > 0, rates, 1.0)), 0.0)
    size = int(some.sum())
    yield Moment("mean", float(z.sum() / size), 0.0, float(size**-0.5))
    wide = float(np.sum(np.where(some, 2 + 1 / np.where(rates > 0, rates, 1.0), 0.0))) ** 0.5
    yield Moment("variance", float(np.sum(z**2) / size), 1.0, wide / size)
    none = np.broadcast_to(np.exp(-rates), counts.shape)
    deviation = float(np.sum(none * (1 - none))) ** 0.5 / counts.size
    yield Moment("no count", float(np.mean(counts == 0)), float(none.mean()), deviation)
    yield from _correlations(z)


def _characteristic(x: Array, alpha: float) -> Iterator[Moment]:
    yield Moment("sign", float(np.sign(x).mean()), 0.0, float(x.size**-0.5))
    for t in FREQUENCIES:
        mean = float(np.exp(-(t**alpha)))
        variance = (1 + float(np.exp(-((2 * t) ** alpha)))) / 2 - mean**2
        yield Moment(f"cos({t:g} x)", float(np.cos(t * x).mean()), mean, float((variance / x.size) ** 0.5))


def _correlations(z: Array) -> Iterator[Moment]:
    """Of neighbours along each axis, and of its halves."""
    for axis, name in enumerate(AXES):
        size = z.shape[axis]
        apart: dict[str, int] = {f"neighbouring {name}": 1} if size > 1 else {}
        if size > 3:
            apart[f"{name} half of them apart"] = size // 2
        for words, lag in apart.items():
            product = np.moveaxis(z, axis, 0)[:-lag] * np.moveaxis(z, axis, 0)[lag:]
            yield Moment(f"correlation of {words}", float(product.mean()), 0.0, float(product.size**-0.5))


__all__ = ["Moment", "NoiseMoments", "moments_of", "noise_moments"]
