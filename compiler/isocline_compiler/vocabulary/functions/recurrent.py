"""Recurrent layers in the form, the order of gates and the initial values of PyTorch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from isocline_compiler.graph import Fault, Node, constant
from isocline_compiler.graph.tensor_type import describe
from isocline_compiler.ops.activation import SIGMOID
from isocline_compiler.ops.arithmetic import ADD
from isocline_compiler.ops.elementwise import TANH
from isocline_compiler.ops.indexing import SELECT, SLICE
from isocline_compiler.ops.linear import LINEAR
from isocline_compiler.vocabulary.functions.broadcasting import (
    align,
    as_real,
    insert_axis,
    known_size,
    offset,
    sample_rank,
)
from isocline_compiler.vocabulary.functions.initializers import uniform_within
from isocline_compiler.vocabulary.functions.kinds import Count, Flag, Value
from isocline_compiler.vocabulary.functions.record import functions
from isocline_compiler.vocabulary.functions.scope import Scope
from isocline_compiler.vocabulary.functions.shaping import concat, stack
from isocline_dsl.messages import calls

LONGEST = 5_000
"""The most steps of a recurrence that is written out."""


def gru(x: Value, units: Count, sequence: Flag = False, *, scope: Scope) -> Node:
    """A gated recurrent unit over a sequence [T] or [T, k]: the last hidden state, or all of them with `sequence=true`.

    r = sigmoid(x Wr + br + h Ur + cr), z = sigmoid(x Wz + bz + h Uz + cz),
    n = tanh(x Wn + bn + r*(h Un + cn)), h <- (1 - z)*n + z*h, from h = 0.

    Example: series |> gru(8)

    Cho et al. (2014).
    """
    series = _series("gru", x)
    cell = _cell("gru", series, units, 3, scope)
    return _run(series, cell, lambda h, entry: _gru_step(h, entry, cell), units, sequence)


def lstm(x: Value, units: Count, sequence: Flag = False, *, scope: Scope) -> Node:
    """A long short-term memory over a sequence [T] or [T, k]: the last hidden state, or all with `sequence=true`.

    i, f, o = sigmoid(x W + b + h U + c), g = tanh(x W + b + h U + c), each with its own W, b, U, c;
    m <- f*m + i*g, h <- o*tanh(m), from m = h = 0.

    Example: series |> lstm(8)

    Hochreiter, Schmidhuber (1997).
    """
    series = _series("lstm", x)
    cell = _cell("lstm", series, units, 4, scope)
    memory = [constant(np.zeros(units))]

    def step(h: Node, entry: Node) -> Node:
        memory[0], h = _lstm_step(memory[0], h, entry, cell)
        return h

    return _run(series, cell, step, units, sequence)


def rnn_cell(h: Value, x: Value, *, scope: Scope) -> Node:
    """One step of a plain recurrence: tanh(x W + b + h U + c), the hidden state after seeing x.

    Example: rnn_cell(h, x)

    Elman (1990).
    """
    cell = _cell("rnn_cell", x, _units("rnn_cell", h), 1, scope)
    entry = LINEAR(as_real(x), cell.input_weight, cell.input_bias)
    return TANH(ADD(*align(entry, LINEAR(as_real(h), cell.hidden_weight, cell.hidden_bias))))


def gru_cell(h: Value, x: Value, *, scope: Scope) -> Node:
    """One step of `gru`: the hidden state after seeing x.

    Example: gru_cell(h, x)
    """
    cell = _cell("gru_cell", x, _units("gru_cell", h), 3, scope)
    return _gru_step(as_real(h), LINEAR(as_real(x), cell.input_weight, cell.input_bias), cell)


def lstm_cell(h: Value, x: Value, *, scope: Scope) -> Node:
    """One step of `lstm`. The state is the hidden state and the memory, one after the other: it has 2*units entries.

    Example: lstm_cell(h, x)
    """
    both = _units("lstm_cell", h)
    if both % 2:
        raise Fault(lambda span: calls.not_divisible(span, "lstm_cell", "entries of the state", both, 2))
    hidden, memory = _parts(as_real(h), 2)
    cell = _cell("lstm_cell", x, both // 2, 4, scope)
    entry = LINEAR(as_real(x), cell.input_weight, cell.input_bias)
    memory, hidden = _lstm_step(memory, hidden, entry, cell)
    return concat(hidden, memory, axis=-1)


@dataclass(frozen=True)
class Cell:
    """The weights of a recurrence, gates side by side along the last axis."""

    input_weight: Node
    hidden_weight: Node
    input_bias: Node
    hidden_bias: Node


def _cell(callee: str, x: Node, units: int, gates: int, scope: Scope) -> Cell:
    """Weights that begin uniform within 1/sqrt(units)."""
    if sample_rank(x) == 0:
        raise Fault(lambda span: calls.wrong_rank(span, callee, "a vector", f"{describe(x.type)}: write [x]"))
    inputs = known_size(callee, x.shape[-1])
    first = uniform_within(1.0 / math.sqrt(units))
    return Cell(
        scope.weight("input_weight", (inputs, gates * units), first),
        scope.weight("hidden_weight", (units, gates * units), first),
        scope.weight("input_bias", (gates * units,), first),
        scope.weight("hidden_bias", (gates * units,), first),
    )


def _gru_step(h: Node, entry: Node, cell: Cell) -> Node:
    """`entry` is x W + b of all gates."""
    entry, hidden = align(entry, LINEAR(h, cell.hidden_weight, cell.hidden_bias))
    (r_x, z_x, n_x), (r_h, z_h, n_h) = _parts(entry, 3), _parts(hidden, 3)
    r, z = SIGMOID(r_x + r_h), SIGMOID(z_x + z_h)
    n = TANH(n_x + r * n_h)
    return n + z * (h - n)


def _lstm_step(memory: Node, h: Node, entry: Node, cell: Cell) -> tuple[Node, Node]:
    """The next memory and the next hidden state; `entry` is x W + b of all gates."""
    entry, hidden = align(entry, LINEAR(h, cell.hidden_weight, cell.hidden_bias))
    i, f, g, o = _parts(entry + hidden, 4)
    memory = SIGMOID(f) * memory + SIGMOID(i) * TANH(g)
    return memory, SIGMOID(o) * TANH(memory)


def _run(series: Node, cell: Cell, step: Callable[[Node, Node], Node], units: int, sequence: bool) -> Node:
    """The recurrence over the first axis of a sample; the inputs of all steps meet their weights at once."""
    entries = LINEAR(series, cell.input_weight, cell.input_bias)
    axis = offset(entries)
    h, every = constant(np.zeros(units)), []
    for index in range(int(entries.size(axis))):
        h = step(h, SELECT(entries, axis=axis, index=index))
        every.append(h)
    return stack(*every, axis=0) if sequence else h


def _series(callee: str, x: Node) -> Node:
    """[T] as [T, 1]; T is a number, for the recurrence is unrolled."""
    if sample_rank(x) not in (1, 2):
        raise Fault(lambda span: calls.wrong_rank(span, callee, "a sequence [T] or [T, k]", describe(x.type)))
    length = known_size(callee, x.type.sample[0])
    if length > LONGEST:
        raise Fault(lambda span: calls.sequence_too_long(span, callee, length, LONGEST))
    return as_real(insert_axis(x, 1) if sample_rank(x) == 1 else x)


def _units(callee: str, h: Node) -> int:
    if sample_rank(h) == 0:
        raise Fault(lambda span: calls.wrong_rank(span, callee, "a vector as the state", describe(h.type)))
    return known_size(callee, h.shape[-1])


def _parts(x: Node, count: int) -> tuple[Node, ...]:
    """The last axis in equal parts."""
    size, axis = int(x.shape[-1]) // count, x.type.rank - 1
    return tuple(SLICE(x, axis=axis, start=i * size, stop=(i + 1) * size, step=1) for i in range(count))


RECURRENT = functions("layer", gru, lstm, rnn_cell, gru_cell, lstm_cell)
