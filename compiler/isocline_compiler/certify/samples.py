"""The inputs that a model is proved on: held-out data, or draws from the declared bounds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from isocline_compiler.data import Dataset, Split
from isocline_compiler.graph import Array
from isocline_compiler.model import Port
from isocline_dsl import messages
from isocline_dsl.diagnostics import IsoclineError, Source

FEW_ENTRIES, NEAR = 4, 1e-3
"""Up to so many entries every corner of the box is a sample; how far inside, as a part of the box."""
DRAWN = 64
"""How many starts are drawn when there is no data."""


@dataclass(frozen=True)
class Samples:
    """Arrays by port, samples first, and in words where they come from."""

    inputs: Mapping[str, Array]
    targets: Mapping[str, Array]
    origin: str

    @property
    def count(self) -> int:
        return next((len(array) for array in self.inputs.values()), 1)

    def spread(self, count: int) -> Array:
        """The places of at most `count` samples, evenly over all of them."""
        if self.count <= count:
            return np.arange(self.count)
        chosen: Array = np.linspace(0, self.count - 1, count).round().astype(int)
        return chosen

    def taken(self, places: Array) -> Samples:
        """The samples at these places."""
        return Samples(
            {name: array[places] for name, array in self.inputs.items()},
            {name: array[places] for name, array in self.targets.items()},
            self.origin,
        )

    def joined(self, other: Samples, origin: str | None = None) -> Samples:
        """These samples and others behind them, without targets."""
        inputs = {name: np.concatenate([array, other.inputs[name]]) for name, array in self.inputs.items()}
        return Samples(inputs, {}, origin or self.origin)

    def first(self, count: int) -> Samples:
        """At most `count` samples, spread evenly over all of them."""
        if self.count <= count:
            return self
        return self.taken(self.spread(count))

    @property
    def largest(self) -> dict[str, float]:
        """The largest magnitude of each real input."""
        real = {name: array for name, array in self.inputs.items() if array.dtype.kind == "f"}
        return {name: float(np.abs(array).max(initial=0.0)) for name, array in real.items()}

    def rounded(self, dtype: str) -> Samples:
        """Real inputs as a caller can give them to a model of this precision, still float64.

        So the parity of a model is its own rounding, not how far the equations carry that of an input.
        """
        inputs = {
            name: array.astype(dtype).astype(np.float64) if array.dtype.kind == "f" else array
            for name, array in self.inputs.items()
        }
        return Samples(inputs, self.targets, self.origin)


def held_out(dataset: Dataset, inputs: Sequence[Port], targets: Sequence[Port]) -> Samples:
    """The held-out split. Its origin says so when there is none and the training samples had to do."""
    return of_split(dataset.held_out, inputs, targets, _origin(dataset.held_out.count, dataset.held_out_is_training))


def of_split(split: Split, inputs: Sequence[Port], targets: Sequence[Port], origin: str) -> Samples:
    """All samples of a part of the data."""
    arrays = {
        name: np.broadcast_to(array, (split.count, *array.shape)) if name in split.shared else array
        for name, array in split.arrays.items()
    }
    return Samples(
        {port.name: arrays[port.name] for port in inputs},
        {port.name: arrays[port.name] for port in targets if port.name in arrays},
        origin,
    )


def _origin(count: int, is_training: bool) -> str:
    samples = "sample" if count == 1 else "samples"
    if not is_training:
        return f"{count} held-out {samples}"
    return f"{count} training {samples} (nothing was kept aside)"


def drawn(inputs: Sequence[Port], source: Source, seed: int = 0, count: int = DRAWN) -> Samples:
    """Uniform draws between the declared bounds, so many of them; one evaluation when there are no inputs.

    Raises E607 for an input that has no finite bounds, which says how to give it some.
    """
    generator = np.random.default_rng(seed)
    faults = [messages.no_starts(port.span, port.name, _unknown(port)) for port in inputs if not _drawable(port)]
    if faults:
        raise IsoclineError(faults, source)
    if not inputs:
        return Samples({}, {}, "the one trajectory of the file")
    draws = Samples(
        {port.name: _draw(port, generator, count) for port in inputs}, {}, f"{count} draws from the inputs' bounds"
    )
    corners = _corners(inputs, draws, generator)
    if corners is not None:
        draws = draws.joined(corners, f"{draws.origin} and {corners.count} of their corners")
    return _with_defaults(inputs, draws)


def _with_defaults(inputs: Sequence[Port], draws: Samples) -> Samples:
    """One more sample where inputs have defaults: these, and of the others what the first draw has."""
    if not any(port.default for port in inputs):
        return draws
    defaults = {port.name: port.default_sample for port in inputs}
    found = {name: draws.inputs[name][:1] if sample is None else sample[None] for name, sample in defaults.items()}
    return draws.joined(Samples(found, {}, draws.origin), f"{draws.origin} and the defaults")


def _corners(inputs: Sequence[Port], draws: Samples, generator: np.random.Generator) -> Samples | None:
    """Inputs just inside the corners of the box: all of them where they are few, else some; None where none is real.

    The other inputs are those of draws.
    """
    real = [port for port in inputs if port.kind == "real"]
    entries = sum(math.prod(int(size) for size in port.shape) for port in real)
    if not entries:
        return None
    if entries <= FEW_ENTRIES:
        sides = np.array(list(product((0, 1), repeat=entries)))
    else:
        sides = generator.integers(0, 2, (2**FEW_ENTRIES, entries))
    found = {port.name: draws.inputs[port.name][: len(sides)] for port in inputs}
    place = 0
    for port in real:
        assert port.bounds is not None
        low, high = port.bounds
        inside = NEAR * (high - low)
        size = math.prod(int(size) for size in port.shape)
        chosen = sides[:, place : place + size].reshape(len(sides), *(int(size) for size in port.shape))
        found[port.name] = np.where(chosen == 1, high - inside, low + inside)
        place += size
    return Samples(found, {}, draws.origin)


def are_drawable(inputs: Sequence[Port]) -> bool:
    """Whether every input has finite bounds to draw between."""
    return bool(inputs) and all(_drawable(port) for port in inputs)


def _unknown(port: Port) -> str | None:
    """The first size that only data could tell."""
    return next((size for size in port.shape if isinstance(size, str)), None)


def _drawable(port: Port) -> bool:
    if not all(isinstance(size, int) for size in port.shape):
        return False
    if port.kind in ("class", "bool"):
        return True
    return port.bounds is not None and all(map(math.isfinite, port.bounds))


def _draw(port: Port, generator: np.random.Generator, count: int) -> Array:
    shape = (count, *(int(size) for size in port.shape))
    if port.kind == "class":
        return generator.integers(0, port.classes or 2, shape)
    if port.kind == "bool":
        return generator.integers(0, 2, shape).astype(bool)
    assert port.bounds is not None
    values = generator.uniform(*port.bounds, shape)
    return np.sort(values, axis=-1) if port.kind == "time" else values
