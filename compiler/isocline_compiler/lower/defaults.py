"""The default of an input: what it is where a caller or the data leave it out."""

from __future__ import annotations

import numpy as np

from isocline_compiler.graph import Array
from isocline_compiler.graph.tensor_type import Kind, TensorType, describe
from isocline_compiler.lower.faults import LowerError
from isocline_compiler.lower.known_numbers import Numbers
from isocline_compiler.model import Port
from isocline_dsl import messages
from isocline_dsl.tree import Array as Brackets
from isocline_dsl.tree import Expression, Name

_TRUTHS = {"true": 1.0, "false": 0.0}
_KINDS: dict[str, Kind] = {"class": "int", "bool": "bool"}


def default_of(expression: Expression, port: Port, numbers: Numbers) -> tuple[float, ...]:
    """The entries of one sample, row by row; a single number is that of every entry.

    Raises LowerError where they are not known, not finite, not of the declared shape, kind or bounds, and where a size
    of the input is known only when the model runs.
    """
    opened = [size for size in port.shape if isinstance(size, str)]
    if opened:
        raise LowerError(messages.default_of_open_size(expression.span, port.name, opened[0]))
    shape = tuple(size for size in port.shape if isinstance(size, int))
    value = _truths(expression, port.name) if port.kind == "bool" else numbers.array(expression)
    if value.shape not in ((), shape):
        kind = _KINDS.get(port.kind, "real")
        found, expected = (describe(TensorType(kind, item)) for item in (value.shape, shape))
        raise LowerError(messages.shape_differs(expression.span, port.name, found, expected, port.span))
    _check_values(expression, port, value)
    return tuple(np.broadcast_to(value, shape).ravel().tolist())


def check_held(expression: Expression, port: Port, dtype: str) -> None:
    """What is left of a default in the deployed precision is within the bounds, too. Raises LowerError."""
    if port.kind not in ("class", "bool"):
        with np.errstate(over="ignore"):
            held = np.array(port.default).astype(dtype)
        _check_finite_and_inside(expression, port, held, f" in {dtype}")


def _check_values(expression: Expression, port: Port, value: Array) -> None:
    if port.kind == "class":
        wrong = (value != np.floor(value)) | (value < 0) | (value >= (port.classes or 2))
        _require(~wrong, expression, port.name, value, f"a class from 0 to {(port.classes or 2) - 1}")
    elif port.kind != "bool":
        _check_finite_and_inside(expression, port, value, "")
    if port.kind == "time" and value.ndim:
        late = np.flatnonzero(np.diff(value.ravel()) < 0)
        if len(late):
            before, after = value.ravel()[late[0] : late[0] + 2]
            found = f"{after:g} behind {before:g}"
            raise LowerError(messages.default_value(expression.span, port.name, found, "times in their order"))


def _check_finite_and_inside(expression: Expression, port: Port, value: Array, held: str) -> None:
    if not np.isfinite(value).all():
        found = f"{_first(value, ~np.isfinite(value))}{held}"
        raise LowerError(messages.default_not_finite(expression.span, port.name, found))
    low, high = port.bounds or (-np.inf, np.inf)
    outside = ~((low < value) & (value < high))
    if outside.any():
        found = f"{_first(value, outside)}{held}"
        raise LowerError(messages.default_outside_bounds(expression.span, port.name, found, f"{low:g}", f"{high:g}"))


def _require(fits: Array, expression: Expression, name: str, value: Array, expected: str) -> None:
    if not fits.all():
        raise LowerError(messages.default_value(expression.span, name, _first(value, ~fits), expected))


def _first(value: Array, wrong: Array) -> str:
    return f"{value[wrong].flat[0]:g}"


def _truths(expression: Expression, name: str) -> Array:
    """Nested brackets of `true` and `false` as 1 and 0."""
    if isinstance(expression, Brackets):
        rows = [_truths(item, name) for item in expression.items]
        if len({row.shape for row in rows}) > 1:
            raise LowerError(messages.ragged_array(expression.span))
        return np.stack(rows) if rows else np.zeros(0)
    if isinstance(expression, Name) and expression.text in _TRUTHS:
        return np.asarray(_TRUTHS[expression.text])
    raise LowerError(messages.default_value(expression.span, name, "no truth value", "true or false"))
