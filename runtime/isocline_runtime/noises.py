"""The noise of a call: drawn from a seed for the rows of the batch, or given.

A number depends on the seed, the stream of its input, and its own row, sample, step and channel (docs/noise.md). So a
row of any batch is the same alone, as long as it keeps its number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isocline_runtime import messages_input, messages_run
from isocline_runtime.feeds import Feed, as_array, convert, nearest
from isocline_runtime.manifest import NoiseInfo, Port
from isocline_runtime.randomness import Draws, bernoulli, normals, poisson, stable, uniforms
from isocline_runtime.randomness.draws import row_numbers

Array = NDArray[Any]
Rows: TypeAlias = Any
"""The numbers of the rows of a batch; one number for a single sample; None counts them from 0."""


@dataclass(frozen=True)
class Asked:
    """What a call says of its noise; None where it says nothing."""

    seed: int | None = None
    rows: Rows = None
    noise: Mapping[str, ArrayLike] | None = None


def draw_noise(info: NoiseInfo, seed: int, rows: Rows) -> Array:
    """The numbers of one noise, (rows, samples, steps, channels), in its dtype."""
    return draw_steps(info, seed, rows, 0, info.steps)


def draw_steps(info: NoiseInfo, seed: int, rows: Rows, first: int, count: int) -> Array:
    """The numbers of so many steps from the `first` on. The points of a lattice depend on all steps: of a noise with
    one they are drawn together.
    """
    if info.lattice and count < info.steps:
        return np.ascontiguousarray(draw_noise(info, seed, rows)[:, :, first : first + count])
    draws = Draws(
        seed, info.stream, info.samples, count, info.channels, first_step=first, antithetic=info.antithetic,
        lattice=info.lattice,
    )  # fmt: skip
    if info.distribution == "poisson":
        rates = info.rates if len(info.rates) == 1 else np.array(info.rates)[first : first + count, None]
        return poisson(draws, rows, rates, info.dtype)
    if info.alpha is not None:
        return stable(draws, rows, info.alpha, info.dtype)
    if info.probability is not None:
        return bernoulli(draws, rows, info.probability, info.dtype)
    if info.distribution == "uniform":
        return uniforms(draws, rows, info.dtype)
    return normals(draws, rows, info.dtype)


def check_seed(seed: Any) -> int:
    """A seed of 64 bits. Raises InputError E744."""
    whole = isinstance(seed, int | np.integer) and not isinstance(seed, bool)
    if not whole or not 0 <= int(seed) < 2**64:
        raise messages_input.wrong_seed(repr(seed))
    return int(seed)


def is_one(rows: Rows) -> bool:
    """Whether a single row is meant, without an axis of rows."""
    return rows.ndim == 0 if isinstance(rows, np.ndarray) else not hasattr(rows, "__len__")


def check_rows(rows: Rows) -> NDArray[np.uint64]:
    """The numbers of rows, one for a single sample. Raises InputError E745."""
    try:
        return row_numbers([rows] if is_one(rows) else rows)
    except (ValueError, TypeError, OverflowError):
        raise messages_input.wrong_rows(_shown(rows), None) from None


@dataclass(frozen=True)
class Noises:
    """The noises of a model; `ports` are the inputs that they fill, of one batch."""

    model: str
    infos: tuple[NoiseInfo, ...]
    ports: tuple[Port, ...]

    def drawn(self, rows: Rows, seed: int, memory: int, without: Sequence[str] = ()) -> dict[str, Array]:
        """Those that are not given. Raises InputError E744 and E745, RunError E784 when there is no room for them."""
        seed, numbers = check_seed(seed), check_rows(rows)
        wanted = [info for info in self.infos if info.name not in without]
        each = sum(info.samples * info.steps * info.channels * np.dtype(info.dtype).itemsize for info in wanted)
        if len(numbers) * each > memory:
            raise messages_run.out_of_memory(self.model, memory, "its noise")
        return {info.name: draw_noise(info, seed, numbers) for info in wanted}

    def check_asked(self, given: Mapping[str, ArrayLike], asked: Asked) -> None:
        """Names are in their places. Raises InputError E743, E746 and E748."""
        names = [info.name for info in self.infos]
        if not names:
            said = [word for word in ("seed", "rows", "noise") if getattr(asked, word) is not None]
            if said:
                raise messages_input.no_noise(self.model, said[0])
        for name in given:
            if name in names:
                raise messages_input.noise_as_input(name)
        for name in asked.noise or ():
            if name not in names:
                raise messages_input.unknown_noise(str(name), tuple(names), nearest(str(name), names))

    def fill(self, inputs: Sequence[Port], feed: Feed, asked: Asked, memory: int) -> Feed:
        """A feed of the user's inputs with the noise added, whose names are checked.

        The inputs say how many samples there are, else the rows, else the noise that is given; where none of them has
        an axis for it, there is one sample and its outputs have no such axis either. Raises InputError E744 to E747.
        """
        if not self.infos:
            return feed
        given = {name: as_array(self._port(name), value) for name, value in (asked.noise or {}).items()}
        count, single = self._count(inputs, feed, asked)
        rows = range(count) if asked.rows is None else asked.rows
        if len(check_rows(rows)) != count:
            raise messages_input.wrong_rows(_shown(rows), count)
        arrays = self.drawn(rows, 0 if asked.seed is None else asked.seed, memory, tuple(given))
        arrays |= {name: self._checked(self._port(name), array, count) for name, array in given.items()}
        return Feed({**feed.arrays, **{port.name: arrays[port.name] for port in self.ports}}, single, feed.narrowed)

    def _port(self, name: str) -> Port:
        return next(port for port in self.ports if port.name == name)

    def asked_rows(self, asked: Asked) -> int | None:
        """How many samples the rows, or else the noise that is given, say there are; None where they say nothing."""
        if asked.rows is not None:
            return None if is_one(asked.rows) else len(asked.rows)
        given = [(self._port(name), value) for name, value in (asked.noise or {}).items()]
        arrays = [(port, as_array(port, value)) for port, value in given]
        return next((len(array) for port, array in arrays if array.ndim == len(port.shape)), None)

    def _count(self, inputs: Sequence[Port], feed: Feed, asked: Asked) -> tuple[int, bool]:
        """How many samples there are, and whether it is one without an axis that counts it."""
        fixed = self.ports[0].shape[0]
        if isinstance(fixed, int):
            return fixed, feed.single
        counted = next((len(feed.arrays[port.name]) for port in inputs if port.batched), None)
        if counted is not None:
            return counted, feed.single
        rows = self.asked_rows(asked)
        return (1, True) if rows is None else (rows, False)

    def _checked(self, port: Port, array: Array, count: int) -> Array:
        expected = (count, *port.shape[1:])
        if count == 1 and array.shape == expected[1:]:
            array = array[np.newaxis]
        if array.shape != expected:
            raise messages_input.wrong_noise(port.name, array.shape, expected)
        return convert(port, array)


def _shown(rows: object) -> str:
    text = repr(rows.tolist() if isinstance(rows, np.ndarray) else rows)
    return text if len(text) < 60 else text[:57] + "..."
