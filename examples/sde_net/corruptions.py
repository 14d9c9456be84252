"""Images that went wrong, by numpy alone, in the spirit of MNIST-C (Mu and Gilmer 2019) and with our own severities.

Each takes images (n, 28, 28) from 0 to 1 and a generator of random numbers; what it gives is clipped to 0 ... 1. Where
a size has a range, it is drawn for each image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np

Corruption: TypeAlias = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def gaussian_noise(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Normal errors of deviation 0.25: an eighth of the noise that training calls no digit."""
    return x + 0.25 * rng.standard_normal(x.shape)


def impulse_noise(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One pixel in ten becomes black or white."""
    return np.where(rng.random(x.shape) < 0.1, rng.integers(0, 2, x.shape), x)


def blur(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The binomial kernel of seven points along both axes, a deviation of 1.2 pixels."""
    kernel = np.array([1, 6, 15, 20, 15, 6, 1]) / 64
    for axis in (1, 2):
        padded = np.pad(x, [(3, 3) if i == axis else (0, 0) for i in range(3)])
        x = np.asarray(sum(w * np.roll(padded, -i, axis) for i, w in enumerate(kernel)))
        x = np.take(x, range(28), axis)
    return x


def rotate(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """By 30 to 60 degrees, to either side."""
    angle = rng.choice([-1, 1], len(x)) * rng.uniform(np.pi / 6, np.pi / 3, len(x))
    return warped(x, np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]))


def shear(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A row is moved by 0.4 to 0.8 of its distance from the middle, to either side."""
    amount, one = rng.choice([-1, 1], len(x)) * rng.uniform(0.4, 0.8, len(x)), np.ones(len(x))
    return warped(x, np.array([[one, 0 * one], [amount, one]]))


def brighten(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Gray added everywhere, 0.2 to 0.4."""
    return x + rng.uniform(0.2, 0.4, (len(x), 1, 1))


def fade(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """White becomes gray, of 0.3 to 0.5."""
    return x * rng.uniform(0.3, 0.5, (len(x), 1, 1))


def stripe(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Five columns inverted, anywhere in the middle half."""
    begin = rng.integers(7, 17, (len(x), 1, 1))
    column = np.arange(28)
    return np.where((begin <= column) & (column < begin + 5), 1 - x, x)


CORRUPTIONS: Mapping[str, Corruption] = {
    "gaussian noise": gaussian_noise, "impulse noise": impulse_noise, "blur": blur, "rotate": rotate, "shear": shear,
    "brighten": brighten, "fade": fade, "stripe": stripe,
}  # fmt: skip


def warped(x: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """Images read, between their pixels bilinearly, where the matrices `maps` (2, 2, n) send (row, column) from the
    middle; black outside.
    """
    middle = (np.array(x.shape[1:]) - 1) / 2
    at = np.stack(
        np.meshgrid(*(np.arange(size) - half for size, half in zip(x.shape[1:], middle, strict=True)), indexing="ij")
    )
    places = np.einsum("ijn,jrc->inrc", maps, at) + middle[:, None, None, None] + 1
    padded = np.pad(x, [(0, 0), (1, 2), (1, 2)])
    row, column = (np.clip(place, 0, size + 1) for place, size in zip(places, x.shape[1:], strict=True))
    top, left = row.astype(int), column.astype(int)
    down, right = row - top, column - left
    image = np.arange(len(x))[:, None, None]
    upper = (1 - right) * padded[image, top, left] + right * padded[image, top, left + 1]
    lower = (1 - right) * padded[image, top + 1, left] + right * padded[image, top + 1, left + 1]
    return np.asarray((1 - down) * upper + down * lower)


def corrupted(images: np.ndarray, name: str, seed: int) -> np.ndarray:
    """Gray values (n, 1, 28, 28) from 0 to 255, gone wrong; each corruption has random numbers of its own."""
    rng = np.random.default_rng([seed, list(CORRUPTIONS).index(name)])
    found = CORRUPTIONS[name](images[:, 0] / 255, rng)
    return np.clip(255 * found, 0, 255).astype(np.float32)[:, None]
