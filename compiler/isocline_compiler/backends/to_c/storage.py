"""Where the entries of a value lie: in variables, in arrays, or nowhere, when they are literals.

A value of few entries is a tuple of atoms, so that moving its entries costs nothing; a larger one lies in an array at a
distance for each axis.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import TypeAlias

import numpy as np

from isocline_compiler.graph import Array
from isocline_compiler.graph.c_form import Sizes
from isocline_compiler.graph.tensor_type import Kind, Shape, is_batch, points_in

FEW = 12
"""Entries of a sample up to which each is a variable of its own."""


class NotInC(Exception):
    """A graph that has no form in C; the text says why."""


def sizes_of(shape: Shape) -> Sizes:
    """The shape of one sample: the batch has one entry."""
    sizes = []
    for size in shape:
        if isinstance(size, str) and not is_batch(size):
            raise NotInC(f"the length `{size}` is known only when the model runs")
        sizes.append(points_in(size) if isinstance(size, str) else size)
    return tuple(sizes)


def depends_on_sample(shape: Shape) -> bool:
    """Whether samples have values of their own."""
    return any(is_batch(size) for size in shape)


@dataclass(eq=False)
class Buffer:
    """An array of `count` entries: each a lane of samples where it is `batched`, else one number for all.

    `data` are the entries of a table; `pointer` is an expression of where the entries are, for a row of another array,
    an input or an output: nothing is declared for it. `scalar`: a variable, alone.
    """

    name: str
    kind: Kind
    count: int
    batched: bool
    data: Array | None = None
    pointer: str | None = None
    scalar: bool = False
    home: int = -1
    """The number of the kernel, counted over the whole program, after which its entries are known."""


@dataclass(frozen=True)
class Literal:
    """A number."""

    value: float
    kind: Kind


@dataclass(frozen=True, eq=False)
class Element:
    """One entry of an array, or the variable that a scalar buffer is."""

    buffer: Buffer
    index: int = 0


Atom: TypeAlias = "Literal | Element"


@dataclass(frozen=True, eq=False)
class Small:
    """The entries of a value, one by one, in row-major order."""

    atoms: tuple[Atom, ...]
    sizes: Sizes


@dataclass(frozen=True, eq=False)
class Strided:
    """Entry (i, j, ...) is at `base` + i strides[0] + j strides[1] + ... of the buffer."""

    buffer: Buffer
    base: int
    strides: tuple[int, ...]
    sizes: Sizes

    @property
    def contiguous(self) -> bool:
        return self.strides == row_major(self.sizes)

    def places(self) -> Array:
        """Where each entry lies, in row-major order."""
        found = np.full(self.sizes, self.base, dtype=np.int64)
        for axis, (size, stride) in enumerate(zip(self.sizes, self.strides, strict=True)):
            shape = [1] * len(self.sizes)
            shape[axis] = size
            found = found + stride * np.arange(size, dtype=np.int64).reshape(shape)
        return found.reshape(-1)


Value: TypeAlias = "Small | Strided"


def row_major(sizes: Sizes) -> tuple[int, ...]:
    """The distances of entries that lie one after another; an axis of one entry has none."""
    return tuple(prod(sizes[axis + 1 :]) if size > 1 else 0 for axis, size in enumerate(sizes))


def strides_of(places: Array) -> tuple[int, ...] | None:
    """The distance along each axis, when all entries keep to it."""
    first = int(places.flat[0])
    strides = []
    for axis, size in enumerate(places.shape):
        start = [0] * places.ndim
        start[axis] = 1
        strides.append(int(places[tuple(start)]) - first if size > 1 else 0)
    view = Strided(Buffer("", "real", 0, False), first, tuple(strides), places.shape)
    return tuple(strides) if (view.places() == places.reshape(-1)).all() else None


@dataclass
class Names:
    """Names of variables and arrays, each once."""

    counts: dict[str, int] = field(default_factory=dict)

    def fresh(self, letter: str) -> str:
        self.counts[letter] = self.counts.get(letter, 0) + 1
        return f"{letter}{self.counts[letter]}"
