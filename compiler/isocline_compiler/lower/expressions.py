"""Expressions to nodes. Types come from the operations' own shape rules, so a shape is stated in one place."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from isocline_compiler.graph import INPUT, Fault, Node, at, constant
from isocline_compiler.graph.solve import PICK, SOLVE
from isocline_compiler.graph.tensor_type import describe
from isocline_compiler.lower.calls import Evaluation, call_function, word
from isocline_compiler.lower.faults import LowerError, Poisoned
from isocline_compiler.lower.indexing import index_node
from isocline_compiler.lower.known_numbers import NAMED, Numbers
from isocline_compiler.lower.marked import STIFF
from isocline_compiler.lower.products import product
from isocline_compiler.lower.weights import LayerScope
from isocline_compiler.ops import OPS
from isocline_compiler.ops.arithmetic import NEG
from isocline_compiler.ops.comparison import NOT
from isocline_compiler.vocabulary.controls import ControlPath
from isocline_compiler.vocabulary.functions import FUNCTIONS
from isocline_compiler.vocabulary.functions.broadcasting import align
from isocline_compiler.vocabulary.functions.kinds import WordCall
from isocline_compiler.vocabulary.functions.record import call
from isocline_compiler.vocabulary.integral import INTEGRAL
from isocline_compiler.vocabulary.transition_nll import FIELD_LOSSES
from isocline_dsl import messages
from isocline_dsl.messages import driven, noise
from isocline_dsl.tree import (
    Array,
    Attribute,
    Binary,
    Call,
    Derivative,
    Expression,
    Index,
    Name,
    Number,
    Pipe,
    Slice,
    Span,
    Unary,
)

_ELEMENTWISE: Mapping[str, str] = {
    "+": "add", "-": "sub", "*": "mul", "/": "div", "^": "pow",
    "<": "less", "<=": "less_equal", ">": "greater", ">=": "greater_equal",
    "==": "equal", "!=": "not_equal", "and": "and", "or": "or",
}  # fmt: skip


class Definitions(Protocol):
    """What a field defines for itself, along a solution."""

    @property
    def names(self) -> tuple[str, ...]: ...

    def __call__(self, name: str, span: Span) -> Node: ...


@dataclass(frozen=True)
class Solution:
    """What `solve` gives: one value a state, and the velocities of second-order states under `name'`; and `along` it
    what its field defines.
    """

    states: Mapping[str, Node]
    along: Definitions | None = None

    def only(self) -> Node | None:
        """The value itself when there is one state."""
        plain = [node for name, node in self.states.items() if not name.endswith("'")]
        return plain[0] if len(plain) == 1 else None

    @property
    def solve(self) -> Node | None:
        """The solve whose states these are; None where a loop goes on from solve to solve."""
        first = next(iter(self.states.values()))
        return first.inputs[0] if first.op is PICK and first.inputs[0].op is SOLVE else None


Value: TypeAlias = "Node | Solution | ControlPath"

DEEPEST = 500
"""Expressions within one another, those of called nets included."""
_DEPTH: ContextVar[int] = ContextVar("depth", default=0)


@contextmanager
def room_to_nest() -> Iterator[None]:
    """Python's own limit raised to what `DEEPEST` needs: a level of an expression takes some ten calls."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, 20 * DEEPEST))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


@dataclass
class Frame:
    """What names mean in one place: local ones first, then `outer`, which raises Poisoned where there is no value."""

    scope: LayerScope
    outer: Callable[[str, Span], Value]
    names: dict[str, Value] = field(default_factory=dict)
    states: frozenset[str] = frozenset()
    late: Callable[[Call, Expressions], Node] | None = None
    """The value of a state at an earlier time, in a field."""
    bodies: frozenset[str] = frozenset()
    """What the bodies of scans around this one name."""

    @property
    def known(self) -> frozenset[str]:
        """The names that are no definitions of the file: those of this place and of the bodies around it."""
        return self.bodies | self.names.keys()

    def lookup(self, name: str, span: Span) -> Value:
        return self.names[name] if name in self.names else self.outer(name, span)


IntegralCall: TypeAlias = "Callable[[Call, tuple[Expression, ...], Expressions], Node]"
NetCall: TypeAlias = Callable[[str, "tuple[Node, ...]", WordCall | None, Span], Node]
Special: TypeAlias = "Mapping[str, Callable[[Call], Node]]"
"""Names that mean something in one place only, such as regularizers in `regularize`."""


class Expressions:
    """Lowers expressions in one frame. `call_net` inlines a net of the file; `nets` are their names. `integral` lowers
    an integral along a solution where one may stand.
    """

    def __init__(
        self,
        frame: Frame,
        numbers: Numbers,
        nets: frozenset[str],
        call_net: NetCall,
        special: Special | None = None,
        regularizing: bool = False,
        integral: IntegralCall | None = None,
    ) -> None:
        self.special = special or {}
        self.regularizing = regularizing
        self.integral = integral
        self.frame = frame
        self.numbers = numbers
        self.nets = nets
        self.call_net = call_net

    def node(self, expression: Expression) -> Node:
        """The value of an expression; a solution with one state is that state."""
        value = self.value(expression)
        if isinstance(value, Node):
            return value
        if isinstance(value, ControlPath):
            raise LowerError(driven.control_as_value(expression.span, value.name))
        only = value.only()
        if only is None:
            raise LowerError(messages.solution_needs_state(expression.span, sorted(value.states)))
        return only

    def within(self, names: Mapping[str, Node]) -> Expressions:
        """Expressions in which these names mean something, too."""
        frame = Frame(self.frame.scope, self.frame.lookup, dict(names))
        return Expressions(frame, self.numbers, self.nets, self.call_net)

    def _any_state(self, expression: Expression) -> Node:
        """A state of a solution, which leads to all of it."""
        value = self.value(expression)
        return next(iter(value.states.values())) if isinstance(value, Solution) else self.node(expression)

    def value(self, expression: Expression) -> Value:
        """The value of an expression. Raises LowerError with the narrowest place that is known."""
        depth = _DEPTH.get()
        if depth > DEEPEST:
            raise LowerError(messages.nested_too_deeply(expression.span, DEEPEST))
        token = _DEPTH.set(depth + 1)
        try:
            with at(expression.span):
                return self._value(expression)
        except Fault as fault:
            raise LowerError(fault.make(expression.span)) from None
        finally:
            _DEPTH.reset(token)

    def _value(self, expression: Expression) -> Value:
        match expression:
            case Number():
                return constant(expression.value)
            case Name(text=text) if text in NAMED and text not in self.frame.names:
                return constant(NAMED[text])
            case Name(text="true" | "false" as text):
                return constant(text == "true")
            case Name(text=text):
                return self.frame.lookup(text, expression.span)
            case Derivative(name=name, order=order):
                return self._velocity(expression.span, name.text + "'" * order)
            case Unary(operator="not", operand=operand):
                return NOT(self._condition(operand))
            case Unary(operand=operand):
                return NEG(self._number(operand))
            case Binary():
                return self._binary(expression)
            case Array(items=items):
                return self._stack(expression, items)
            case Call():
                return self._call(expression, None)
            case Pipe(value=value, stage=stage):
                return self._stage(stage, value)
            case Index(value=value, items=items):
                return self._index(self.node(value), items)
            case Attribute():
                return self._attribute(expression)
        raise LowerError(messages.expression_out_of_place(expression.span, type(expression).__name__.lower()))

    def _stage(self, stage: Call, value: Expression) -> Node:
        """A stage of a pipeline: its faults are marked there, not where the pipeline begins."""
        with at(stage.span):
            try:
                return self._call(stage, value)
            except Fault as fault:
                raise LowerError(fault.make(stage.span)) from None

    def _binary(self, expression: Binary) -> Node:
        read = {"and": self._condition, "or": self._condition, "==": self.node, "!=": self.node}
        operand = read.get(expression.operator, self._number)
        left, right = operand(expression.left), operand(expression.right)
        if expression.operator == "@":
            return product(left, right)
        return OPS[_ELEMENTWISE[expression.operator]](*align(left, right))

    def _condition(self, expression: Expression) -> Node:
        node = self.node(expression)
        if node.type.kind != "bool":
            raise LowerError(messages.condition_expected(expression.span, describe(node.type)))
        return node

    def _number(self, expression: Expression) -> Node:
        """A value to compute with: not a condition, and not a label, which is known by standing under its name."""
        node = self.node(expression)
        if node.type.kind == "bool":
            raise LowerError(messages.number_expected(expression.span))
        if node.op is INPUT and node.type.kind == "int":
            raise LowerError(messages.class_as_number(expression.span, str(node.attrs["name"])))
        return node

    def _stack(self, expression: Array, items: tuple[Expression, ...]) -> Node:
        if self.numbers.is_known(items[0]) if items else False:
            try:
                return constant(self.numbers.array(expression))
            except LowerError as error:
                if error.diagnostics[0].code == messages.ragged_array.code:
                    raise
                # a later item is not a known number: a vector of values
        if not items:
            raise LowerError(messages.empty_array(expression.span))
        stacked = call(FUNCTIONS["stack"], [self.node(item) for item in items], [("axis", 0)], self.frame.scope)
        assert isinstance(stacked, Node)
        return stacked

    def _index(self, node: Node, items: tuple[Expression | Slice, ...]) -> Node:
        return index_node(node, items, self.numbers)

    def _velocity(self, span: Span, name: str) -> Value:
        if name not in self.frame.names:
            raise LowerError(messages.derivative_of_first_order(span, name.rstrip("'")))
        return self.frame.names[name]

    def _attribute(self, expression: Attribute) -> Node:
        value = self.value(expression.value)
        name = expression.name.text + "'" * expression.order
        if not isinstance(value, Solution):
            raise LowerError(messages.attribute_of_value(expression.span, name))
        if name in value.states:
            return value.states[name]
        defined = value.along.names if value.along is not None else ()
        if value.along is not None and name in defined:
            return value.along(name, expression.span)
        raise LowerError(messages.unknown_state(expression.name.span, name, sorted((*value.states, *defined))))

    def _call(self, call: Call, piped: Expression | None) -> Node:
        name = call.name.text
        arguments = (() if piped is None else (piped,)) + call.arguments
        if name in self.special and piped is None:
            return self.special[name](call)
        if name in self.nets:
            return self.call_net(name, tuple(self.node(item) for item in arguments), self._over(call), call.span)
        if name.removesuffix("'") in self.frame.scope.table.controls:
            return self._control(call, arguments)
        if name == INTEGRAL.name:
            if self.integral is None:
                raise LowerError(messages.integral_out_of_place(call.name.span))
            return self.integral(call, arguments, self)
        if name in self.frame.states and self.frame.late is not None:
            return self.frame.late(call, self)
        if name == STIFF:
            raise LowerError(messages.stiff_inside(call.name.span))
        if name in FIELD_LOSSES and not self.regularizing:
            raise LowerError(noise.loss_function_outside(call.name.span, name))
        if name not in FUNCTIONS:
            raise self._unknown(call)
        return call_function(
            FUNCTIONS[name], call, arguments, Evaluation(self.node, self._any_state, self.numbers, self.frame.scope)
        )

    def _control(self, call: Call, arguments: tuple[Expression, ...]) -> Node:
        """`u(t)`, `u'(t)`: the value of a control at a time, and its slope there."""
        name = call.name.text
        path = self.frame.lookup(name.removesuffix("'"), call.name.span)
        assert isinstance(path, ControlPath), "the name of a control is that of a path"
        if len(arguments) != 1 or call.keywords:
            count = f"{len(arguments) + len(call.keywords)} arguments"
            raise LowerError(driven.control_call(call.span, path.name, count))
        time = self.node(arguments[0])
        if time.type.kind != "real" or time.type.sample:
            raise LowerError(driven.control_call(arguments[0].span, path.name, describe(time.type)))
        if name == path.name:
            return path.at(time)
        try:
            return path.rate(time, name)
        except Fault as fault:
            raise LowerError(fault.make(call.span)) from None

    def _over(self, call: Call) -> WordCall | None:
        """The only named argument of a net: `over=samples`."""
        over = None
        for item in call.keywords:
            if item.name.text != "over" or over is not None:
                raise LowerError(messages.net_keyword(item.span, call.name.text, item.name.text))
            over = word(item.value, call.name.text, self.numbers)
        return over

    def _unknown(self, call: Call) -> Exception:
        """Names in `regularize` and `check` are looked up here, all others where names are resolved."""
        name, span = call.name.text, call.name.span
        if self.regularizing:
            return LowerError(messages.unknown_regularizer(span, name, sorted(self.special), tuple(FIELD_LOSSES)))
        if self.frame.scope.whole_split:
            return LowerError(messages.unknown_function(span, name, sorted(FUNCTIONS)))
        return Poisoned()
