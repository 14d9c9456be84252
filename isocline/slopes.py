"""What gradients should be, from the answers of the deployed model alone: central differences, extrapolated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isocline_runtime import Session, load
from isocline_runtime.manifest import AttributionResult, ExplainedOutput

Array = NDArray[Any]
Run = Callable[[Mapping[str, Array]], Mapping[str, Array]]

ROWS, ENTRIES = 4, 4
"""Samples, and entries of an input with the largest attributions, at which differences are taken."""
WIDTHS: Mapping[str, float] = {"float32": 1e-2, "float64": 1e-3}
"""Half the width of a difference, relative to the size of what is moved: truncation and rounding are then alike."""
BOUND = 1e-2
"""The largest difference from a gradient, relative to the largest attribution of the sample, rounding aside."""
OF_GRADIENT: Mapping[str, Callable[[Array, Array], Array]] = {
    "saliency": lambda slope, x: np.abs(slope),
    "input_x_gradient": lambda slope, x: slope * x,
}
"""What a method makes of a slope at x, where that is all it makes."""


@dataclass(frozen=True, eq=False)
class Slopes:
    """Some samples, what `attribute.onnx` answers to them, and the deployed model to take differences of."""

    session: Session
    inputs: Mapping[str, Array]
    found: Mapping[str, Array]
    run: Run

    def error(self, name: str, method: str) -> tuple[float, float] | None:
        """How far a result is from differences, and how far it may be; None for what is not a gradient at an input, and
        where the output has corners all over.
        """
        info = self.session.manifest.attribution if self.session.manifest else None
        result = next((item for item in info.results if item.name == name), None) if info else None
        if info is None or result is None or result.kind != "attribution" or method not in OF_GRADIENT:
            return None
        explained = next(item for item in info.explained if item.output == result.explains)
        return self._compared(result, explained, OF_GRADIENT[method])

    def incompleteness(self, residual: str) -> float:
        """What the shares of a method leave of the change of the score, relative to it, at the worst of the samples."""
        assert self.session.manifest is not None
        assert self.session.manifest.attribution is not None
        results = self.session.manifest.attribution.results
        method, explains = next((item.method, item.explains) for item in results if item.name == residual)
        shares = [
            self.found[item.name].reshape(len(self.found[item.name]), -1).astype(np.float64).sum(axis=1)
            for item in results
            if (item.kind, item.method, item.explains) == ("attribution", method, explains)
        ]
        left = self.found[residual].astype(np.float64)
        change = np.abs(left + sum(shares))
        return float((np.abs(left) / np.where(change > 0, change, 1.0)).max())

    def _compared(
        self, result: AttributionResult, explained: ExplainedOutput, of_gradient: Callable[[Array, Array], Array]
    ) -> tuple[float, float] | None:
        x = self.inputs[str(result.of)].astype(np.float64)
        attributions = self.found[result.name].reshape(len(x), -1).astype(np.float64)
        entries = np.argsort(-np.abs(attributions).max(axis=0), kind="stable")[:ENTRIES]
        half = WIDTHS[self._dtype] * max(float(np.abs(x).mean()), 1e-3)
        chosen, size = self._score(explained, self.inputs)
        pairs: list[tuple[float, float]] = []
        scale = np.maximum(np.abs(attributions).max(axis=1), 1e-30)
        for entry in entries:
            at = x.reshape(len(x), -1)[:, entry]
            slope, corners = self._slope(explained, chosen, str(result.of), int(entry), half)
            errors = np.abs(attributions[:, entry] - of_gradient(slope, at)) / scale
            rounding = 8 * np.finfo(self._dtype).eps * size / half
            allowed = BOUND + np.abs(of_gradient(rounding, at)) / scale
            smooth = np.abs(of_gradient(corners, at)) / scale <= BOUND
            pairs += zip(errors[smooth].tolist(), allowed[smooth].tolist(), strict=True)
        if not pairs:
            return None
        return max(pairs, key=lambda pair: pair[0] - pair[1] if pair[0] == pair[0] else np.inf)

    @property
    def _dtype(self) -> str:
        assert self.session.manifest is not None
        return self.session.manifest.dtype

    def _score(self, explained: ExplainedOutput, inputs: Mapping[str, Array]) -> tuple[Array | None, Array]:
        """The predicted class of a classifier, which differences keep to; and the size of what the score is made of."""
        flat = self._flat(explained, inputs)
        return (flat.argmax(axis=1) if explained.classifier else None), np.abs(flat).sum(axis=1)

    def _flat(self, explained: ExplainedOutput, inputs: Mapping[str, Array]) -> Array:
        answer = np.asarray(self.run(inputs)[explained.output], dtype=np.float64)
        return answer.reshape(len(next(iter(inputs.values()))), -1)

    def _slope(
        self, explained: ExplainedOutput, chosen: Array | None, name: str, entry: int, half: float
    ) -> tuple[Array, Array]:
        """(4 D(h) - D(2h))/3, with D(h) a central difference whose width is the one that the precision really gave; and
        what a corner within 2h, as of `relu`, adds to it.

        With the second differences S(h) = (f(x+h) - 2f(x) + f(x-h))/h, that is (2S(h) - S(2h))/2 - 2(D(h) - D(2h))/3 up
        to signs. Where f is smooth, it is of order h^2.
        """
        middle = self._summed(self._flat(explained, self.inputs), chosen)

        def differences(step: float) -> tuple[Array, Array]:
            above, below = (self._moved(name, entry, sign * step) for sign in (1, -1))
            width = (above[name] - below[name]).reshape(len(above[name]), -1)[:, entry]
            high, low = (self._summed(self._flat(explained, point), chosen) for point in (above, below))
            return (high - low) / width, 2 * (high - 2 * middle + low) / width

        (near, bent), (far, further) = differences(half), differences(2 * half)
        corners: Array = np.abs(2 * bent - further) / 2 + 2 * np.abs(near - far) / 3
        return (4 * near - far) / 3, corners

    def _moved(self, name: str, entry: int, by: float) -> dict[str, Array]:
        moved = self.inputs[name].astype(np.float64, copy=True)
        moved.reshape(len(moved), -1)[:, entry] += by
        return {**self.inputs, name: moved.astype(self._dtype).astype(np.float64)}

    def _summed(self, flat: Array, chosen: Array | None) -> Array:
        return flat.sum(axis=1) if chosen is None else flat[np.arange(len(flat)), chosen]


def measured_slopes(session: Session, inputs: Mapping[str, Array], run: Run) -> Slopes:
    """Some of the samples, with what is attributed to them."""
    some = _inner(session, inputs)
    rows = len(next(iter(some.values())))
    found = session.attribute(_filled(session, some))
    return Slopes(session, some, {name: array[:rows] for name, array in found.items()}, run)


def _inner(session: Session, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Some of the samples, so far from the bounds of the inputs that differences stay within them, if there are any."""
    wide = WIDTHS[session.manifest.dtype] if session.manifest else 0.0
    inside = np.ones(len(next(iter(inputs.values()))), dtype=bool)
    for port in session.inputs:
        array = inputs[port.name].astype(np.float64)
        room = 8 * wide * max(float(np.abs(array).mean()), 1e-3) if array.dtype.kind == "f" else 0.0
        fits = (array - room > (-np.inf if port.low is None else port.low)) & (
            array + room < (np.inf if port.high is None else port.high)
        )
        inside &= fits.reshape(len(array), -1).all(axis=1)
    most = min(ROWS, _fixed_batch(session) or ROWS)
    rows = np.flatnonzero(inside)[:most] if inside.any() else np.arange(min(most, len(inside)))
    return {name: array[rows] for name, array in inputs.items()}


def _filled(session: Session, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """As many samples as a model with a fixed batch takes."""
    size = _fixed_batch(session)
    return {name: np.resize(array, (size or len(array), *array.shape[1:])) for name, array in inputs.items()}


def _fixed_batch(session: Session) -> int | None:
    return next((port.shape[0] for port in session.inputs if port.shape and isinstance(port.shape[0], int)), None)


def derivative_error(session: Session, file: str, inputs: Mapping[str, Array], run: Run) -> tuple[float, float]:
    """u^T J v by `adj_model.onnx` or `fwd_model.onnx` and by differences of the deployed model along v: how far apart
    they are, and how far they may be, relative to the sum of the magnitudes of the terms."""
    assert session.manifest is not None
    dtype, prefix = session.manifest.dtype, file[:4]
    x = {name: array.astype(np.float64) for name, array in _filled(session, _inner(session, inputs)).items()}
    real = [port.name for port in session.inputs if port.dtype == dtype]
    generator = np.random.default_rng(1)
    v = {name: generator.normal(size=x[name].shape) * _size(x[name]) for name in real}
    outputs = [port.name for port in session.outputs if port.dtype == dtype]

    def difference(step: float) -> dict[str, Array]:
        ends = [run({**x, **{name: x[name] + sign * step * v[name] for name in real}}) for sign in (1, -1)]
        return {name: (ends[0][name].astype(float) - ends[1][name].astype(float)) / (2 * step) for name in outputs}

    half = WIDTHS[dtype]
    narrow, wide = difference(half), difference(2 * half)
    slopes = {name: (4 * narrow[name] - wide[name]) / 3 for name in outputs}
    u = {name: generator.normal(size=slope.shape) / _size(slope) for name, slope in slopes.items()}
    derived = load(session.path / file, allow_nonfinite=True)
    columns = {port.name: int(port.shape[-1]) for port in derived.inputs if port.name.startswith(prefix)}
    given, weights = (u, v) if prefix == "adj_" else (v, u)
    seeds = {prefix + name: array.reshape(-1, columns[prefix + name]) for name, array in given.items()}
    rows = range(len(next(iter(x.values()))))
    noise = {name: array for name, array in session.noise(rows).items() if name in {p.name for p in derived.inputs}}
    answers = derived.run({**x, **seeds, **noise})
    products = {name: answers[prefix + name].reshape(-1) * array.reshape(-1) for name, array in weights.items()}
    found = sum(float(product.sum()) for product in products.values())
    terms = {name: (u[name] * slope).reshape(-1) for name, slope in slopes.items()}
    scale = max(sum(float(np.abs(term).sum()) for term in terms.values()), 1e-30)
    rounding = sum(float((np.abs(u[name]) * np.abs(run(x)[name])).sum()) for name in outputs)
    floor = 8 * float(np.finfo(dtype).eps) * rounding / half / scale
    return abs(found - sum(float(term.sum()) for term in terms.values())) / scale, BOUND + floor


def _size(array: Array) -> float:
    """The typical magnitude of an entry."""
    return max(float(np.abs(array).mean()), 1e-6)
