"""`attribute forecast wrt first by saliency, integrated_gradients(steps=32)`: to plans, with every option filled in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from isocline_compiler.attribution.methods import METHODS
from isocline_compiler.attribution.record import Method
from isocline_compiler.graph import Fault, Node, topological
from isocline_compiler.graph.called import Called
from isocline_compiler.graph.tensor_type import describe
from isocline_compiler.lower.calls import plain, word
from isocline_compiler.lower.faults import LowerError, Mistakes, Poisoned
from isocline_compiler.lower.values import FileValues
from isocline_compiler.model import AttributionPlan
from isocline_compiler.vocabulary.functions.record import bind, call, check
from isocline_dsl import messages
from isocline_dsl.tree import Attribution, Block, Call, Expression, Identifier, Span, Target


class AttributionLowering:
    """The `attribute` items of one file."""

    def __init__(self, values: FileValues, outputs: dict[str, Node]) -> None:
        self.values = values
        self.outputs = outputs
        self.has_data = any(isinstance(item, Block) and item.kind == "data" for item in values.program.declarations)

    def lower(self, items: Sequence[Attribution], mistakes: Mistakes) -> tuple[AttributionPlan, ...]:
        """A plan for each; what is wrong with one is noted."""
        plans = [mistakes.attempt(self._plan, item) for item in items]
        return tuple(plan for plan in plans if plan is not None)

    def _plan(self, item: Attribution) -> AttributionPlan:
        output = self._output(item.output)
        wrt = tuple(name.text for name in item.wrt)
        for name in item.wrt:
            self._check_input(name, item.output.text, output)
        methods = tuple(self._method(method) for method in item.methods)
        return AttributionPlan(item.output.text, wrt, methods, self._scores_classes(output), item.span)

    def _output(self, name: Identifier) -> Node:
        if name.text not in self.outputs:
            raise Poisoned  # unknown, or at fault: reported where names are resolved, or there
        node = self.outputs[name.text]
        if node.type.kind != "real" or not _known(node):
            raise LowerError(messages.attribution_type(name.span, "output", name.text, describe(node.type)))
        return node

    def _check_input(self, name: Identifier, output: str, node: Node) -> None:
        known = self.values.known.get(name.text)
        if not isinstance(known, Node):
            raise Poisoned
        if known.type.kind != "real" or not _known(known):
            raise LowerError(messages.attribution_type(name.span, "input", name.text, describe(known.type)))
        if not node.type.batched or known not in topological([node]):
            raise LowerError(messages.nothing_to_attribute(name.span, output, name.text))

    def _method(self, item: Call) -> Called:
        if item.name.text not in METHODS:
            raise LowerError(messages.unknown_attribution(item.name.span, item.name.text, sorted(METHODS)))
        method = METHODS[item.name.text]
        try:
            return self._option(method, item)
        except Fault as fault:
            raise LowerError(fault.make(item.span)) from None

    def _option(self, method: Method, item: Call) -> Called:
        options = {parameter.name: parameter.default for parameter in method.parameters}
        given = [(keyword.name.text, keyword.value) for keyword in item.keywords]
        for parameter, expression in bind(method, item.arguments, given):
            value = self._argument(expression, parameter.kind.name, method)
            options[parameter.name] = self._checked(method, parameter, value, expression.span)
        call(method, (), options.items())
        if method.needs_data(options) and not self.has_data:
            raise LowerError(messages.no_background(item.span, method.name))
        return Called(method.name, options, item.span)

    def _argument(self, expression: Expression, kind: str, method: Method) -> Any:
        if kind == "word":
            return word(expression, method.name, self.values.numbers)
        return plain(expression, kind, self.values.numbers)

    @staticmethod
    def _checked(method: Method, parameter: Any, value: Any, span: Span) -> Any:
        try:
            return check(method, parameter, value)
        except Fault as fault:
            raise LowerError(fault.make(span)) from None

    def _scores_classes(self, output: Node) -> bool:
        """Whether the output has one number for each class of a target."""
        targets = [name for name, item in self.values.declared.items() if isinstance(item, Target)]
        counts = [self.values.ports[name].classes for name in targets if name in self.values.ports]
        return any(count is not None and output.type.sample == (count,) for count in counts)


def _known(node: Node) -> bool:
    return all(isinstance(size, int) for size in node.type.sample)
