"""`x(t - tau)` in a field, and where a state was before the start: `from x(s) = cos(s)`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import ceil, inf
from typing import TypeAlias

import numpy as np

from isocline_compiler.graph import Node, constant, topological, value_of
from isocline_compiler.graph.delay import DELAYED
from isocline_compiler.graph.solve import Interval, Solve, State
from isocline_compiler.graph.tensor_type import TensorType, describe
from isocline_compiler.lower.conform import conform
from isocline_compiler.lower.expressions import Expressions
from isocline_compiler.lower.faults import LowerError
from isocline_dsl import messages, tree
from isocline_dsl.tree import Binary, Call, Name

WIDER = 1e-9
"""By how much of itself a step may be wider than the shortest delay: both are rounded."""

Within: TypeAlias = "Callable[[Mapping[str, Node]], Expressions]"
"""Expressions of the file in which these further names have a value."""


@dataclass(frozen=True)
class History:
    """Where the states of a solve were up to its start: their first value, or what the author says of each time."""

    initial: Mapping[str, Node] = field(default_factory=dict)
    said: Mapping[str, tree.Binding] = field(default_factory=dict)

    @classmethod
    def of(cls, solve: tree.Solve, initial: Mapping[str, Node]) -> History:
        """Of a solve whose states start so."""
        given = (item for item in solve.initial if item.time is not None)
        return cls(initial, {item.name.text + "'" * item.order: item for item in given})


def past(binding: tree.Binding, when: Node, within: Within, state: State) -> Node:
    """The value of a history at a time. Raises LowerError."""
    assert binding.time is not None, "a history names its time"
    node = within({binding.time.text: when}).node(binding.value)
    fitted = conform(node, state.shape)
    if fitted is None:
        expected = describe(TensorType("real", state.shape))
        raise LowerError(messages.start_shape(binding.value.span, state.name, describe(node.type), expected))
    return fitted


@dataclass
class Late:
    """Lowers the states at earlier times of one field; `moving` are its arguments for the time and the states."""

    name: str
    time: str
    moving: Mapping[str, Node]
    states: Sequence[State]
    history: History
    within: Within
    held: Callable[[Node, str], Node]
    found: list[Node] = field(default_factory=list)

    def __call__(self, call: Call, expressions: Expressions) -> Node:
        """x(t - lag). Raises LowerError."""
        name = call.name.text
        lag = self._lag(call, expressions)
        place = next(i for i, state in enumerate(self.states) if state.name == name)
        node = DELAYED(self.moving[name], lag, self._before(self.states[place], lag), state=place)
        self.found.append(node)
        return node

    def _before(self, state: State, lag: Node) -> Node:
        """The state at t - lag, where that is up to the start."""
        binding = self.history.said.get(state.name)
        if binding is None:
            return self.held(self.history.initial.get(state.name, constant(np.zeros(state.shape))), state.name)
        return past(binding, self.moving[self.time] - lag, self.within, state)

    def _lag(self, call: Call, expressions: Expressions) -> Node:
        name = call.name.text
        given = call.arguments[0] if len(call.arguments) == 1 and not call.keywords else None
        match given:
            case Binary(operator="-", left=Name(text=self.time), right=right):
                known_number = expressions.numbers.is_known(right)
                lag = constant(float(expressions.numbers.real(right))) if known_number else expressions.node(right)
            case Name(text=self.time):
                raise LowerError(messages.delay_not_positive(call.span, name, "0"))
            case None:
                count = len(call.arguments) + len(call.keywords)
                raise LowerError(messages.delay_form(call.span, name, self.time, f"with {count} arguments"))
            case _:
                raise LowerError(messages.delay_form(given.span, name, self.time, "at another time"))
        if lag.type.kind != "real" or lag.type.sample:
            raise LowerError(
                messages.delay_form(right.span, name, self.time, f"with {describe(lag.type)} as its delay")
            )
        reached = set(topological([lag]))
        read = next((key for key, node in self.moving.items() if node in reached), None)
        read = next((call.name.text for item in self.found if item in reached), read)
        if read is not None:
            raise LowerError(messages.delay_reads(right.span, name, read))
        known = value_of(lag)
        if known is not None and not known > 0:
            raise LowerError(messages.delay_not_positive(right.span, name, f"{float(known):g}"))
        return lag

    def require_read(self) -> None:
        """Raises LowerError for a history that nothing reads."""
        read = {self.states[node.attrs["state"]].name for node in self.found}
        for name, binding in self.history.said.items():
            if name not in read:
                raise LowerError(messages.history_not_read(binding.span, name, self.name))


def require_followed(solve: Solve, delayed: Sequence[Node], span: tree.Span | None) -> None:
    """Raises LowerError where a solve cannot remember what its field reads, or its steps are wider than a delay."""
    if not delayed:
        return
    times = solve.spec.interval.times
    for wrong, why in (
        (bool(solve.spec.noises) or solve.spec.samples is not None, "noise drives it"),
        (bool(solve.spec.events), "its states jump"),
        (times is None, "its times come with each sample, or lie between jumps or observations"),
        (times is not None and times[-1] < times[0], "the solve goes backwards, where the past is what comes"),
    ):
        if wrong:
            raise LowerError(messages.delays_not_here(span, solve.spec.field, why))
    scheme = solve.spec.scheme
    lags = [value_of(node.inputs[1]) for node in delayed]
    least = min((float(lag) for lag in lags if lag is not None), default=inf)
    if scheme is not None:
        width, steps = _widest(solve.spec.interval, scheme.options["steps"])
        if width > least * (1 + WIDER):
            told = ceil(steps * width / least * (1 - WIDER))
            raise LowerError(messages.delay_below_step(scheme.span, solve.spec.field, f"{least:g}", f"{width:g}", told))


def _widest(interval: Interval, steps: int) -> tuple[float, int]:
    """The widest step of so many, equally many between two kept times, and how many there are."""
    times = interval.times
    assert times is not None
    each = steps // (len(times) - 1)
    return max(abs(b - a) for a, b in pairwise(times)) / each, steps
