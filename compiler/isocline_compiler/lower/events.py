r"""Jumps at a state: `when a < b { x = ... }` as a switch, g = a - b, and what replaces states where g falls below 0.

`and` is the larger of two switches, `or` the smaller. The statements of the body follow one another as those of `at`
do; a definition of the field means what it does just before the jump.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from isocline_compiler.graph import Node, at
from isocline_compiler.graph.solve import State
from isocline_compiler.graph.tensor_type import TensorType, describe
from isocline_compiler.lower.conform import conform
from isocline_compiler.lower.expressions import Expressions, Frame
from isocline_compiler.lower.faults import LowerError, Poisoned
from isocline_compiler.ops.arithmetic import MAXIMUM, MINIMUM
from isocline_dsl import messages
from isocline_dsl.tree import Assign, Binary, Equation, Event, Expression, Field


@dataclass(frozen=True)
class Switched:
    """A switch, and the new values of states by their names."""

    switch: Node
    jumps: dict[str, Node]


def events_of(declaration: Field) -> tuple[Event, ...]:
    """The jumps at a state of a field, in the order of the file."""
    return tuple(item for item in declaration.body if isinstance(item, Event))


def switched(event: Event, states: Sequence[State], frame: Frame, within: Callable[[Frame], Expressions]) -> Switched:
    """The event in the frame of its field; `within` lowers in another frame. Raises LowerError."""
    with at(event.condition.span):
        switch = _switch(event.condition, within(frame))
    inside = Frame(frame.scope, frame.lookup, {state.name: frame.names[state.name] for state in states}, frame.states)
    expressions = within(inside)
    shapes = {state.name: state.shape for state in states}
    jumps: dict[str, Node] = {}
    for line in event.body:
        if not isinstance(line, Assign | Equation):
            raise Poisoned  # reported where names are resolved
        name = line.name.text if isinstance(line, Assign) else line.state.text + "'" * line.order
        with at(line.value.span):
            value = expressions.value(line.value)
            if name in shapes:
                found = expressions.node(line.value)
                node = conform(found, shapes[name])
                if node is None:
                    expected = describe(TensorType("real", shapes[name]))
                    raise LowerError(messages.equation_shape(line.value.span, name, describe(found.type), expected))
                value = jumps[name] = node
        inside.names[name] = value
    return Switched(switch, jumps)


def _switch(condition: Expression, expressions: Expressions) -> Node:
    """What falls below zero where a condition begins to hold. Raises LowerError."""
    match condition:
        case Binary(operator="and" | "or" as word, left=left, right=right):
            join = MAXIMUM if word == "and" else MINIMUM
            return join(_switch(left, expressions), _switch(right, expressions))
        case Binary(operator="<" | "<=", left=low, right=high) | Binary(operator=">" | ">=", left=high, right=low):
            return _number(low, expressions) - _number(high, expressions)
        case Binary(operator="==" | "!="):
            raise LowerError(messages.event_condition(condition.span, "an equality, which nothing crosses into"))
    raise LowerError(messages.event_condition(condition.span, "none"))


def _number(side: Expression, expressions: Expressions) -> Node:
    node = expressions.node(side)
    if node.type.kind != "real" or node.type.sample:
        raise LowerError(messages.event_condition(side.span, f"about {describe(node.type)}"))
    return node
