"""Solutions that jump at known times: their states, what their field defines along them, integrals along them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

from isocline_compiler.graph import Fault, Node, at
from isocline_compiler.lower.along import Along
from isocline_compiler.lower.delays import History
from isocline_compiler.lower.expressions import Expressions, Frame, IntegralCall, Solution
from isocline_compiler.lower.faults import LowerError
from isocline_compiler.lower.field_body import FieldBody
from isocline_compiler.lower.jumps import BETWEEN, Integrand, JumpLowering
from isocline_compiler.lower.scans import ScanLowering
from isocline_compiler.lower.solves import SolveLowering, states_of
from isocline_compiler.lower.weights import LayerScope
from isocline_compiler.ops.indexing import SELECT
from isocline_dsl.tree import Call, Expression, Field, Name, Solve
from isocline_dsl.tree import Node as Tree

Continuous = Callable[[str, Solve, Field, Expressions], Solution]
"""(name, solve, field, what is around it) -> the solution of its equations, whatever jumps there are."""


@dataclass(frozen=True)
class Jumping:
    """Lowers solves of a field with jumps at known times; what it needs of the file around them."""

    solving: SolveLowering
    continuous: Continuous
    integral: IntegralCall
    excerpt: Callable[[Tree], str]

    def solution(self, name: str, solve: Solve, declaration: Field, expressions: Expressions) -> Solution:
        """The solution with the jumps of its field, and what the field defines along it. Raises LowerError."""
        found, stops = self._lowered(name, solve, declaration, expressions, None, None)
        states = states_of(declaration, self.solving.numbers)
        body = FieldBody(self.solving.around, declaration, states, None, History())
        kept = tuple(found.states[state.name] for state in states)
        return Solution(found.states, Along(body, kept, stops, solve.everywhere))

    def integrated(
        self, name: str, solve: Solve, declaration: Field, call: Call, value: Expression, outer: Expressions
    ) -> Node:
        """`integral(value, over=name)`: the sum of the integrals from each time to the next, in a loop of its own.

        The integrals find their layers where the call stands. Raises LowerError.
        """
        scope = outer.frame.scope
        begun, latest = Counter(scope.counts), scope.counts

        def inside(stretch: Call, arguments: tuple[Expression, ...], body: Expressions) -> Node:
            nonlocal latest
            latest = Counter(begun)
            around, body.frame.scope = body.frame.scope, replace(scope, counts=latest)
            try:
                return self.integral(stretch, arguments, body)
            finally:
                body.frame.scope = around

        frame = Frame(LayerScope(scope.table, name), outer.frame.lookup)
        within = Expressions(frame, outer.numbers, outer.nets, outer.call_net, integral=inside)
        first = Name(BETWEEN, span=call.span)
        frame.names[first.text] = self.continuous(name, solve, declaration, within)
        shape = within.node(Integrand(call, value, ()).over(first)).type.sample
        del frame.names[first.text]
        sizes = tuple(int(size) for size in shape)
        frame.scope = LayerScope(scope.table, name)
        found, _ = self._lowered(name, solve, declaration, within, Integrand(call, value, sizes), inside)
        scope.counts.update(latest - begun)
        total = found.states[Integrand.state]
        return SELECT(total, axis=int(total.type.batched), index=-1) if solve.everywhere else total

    def _lowered(
        self, name: str, solve: Solve, declaration: Field, expressions: Expressions,
        integrand: Integrand | None, integral: IntegralCall | None,
    ) -> tuple[Solution, Node]:  # fmt: skip
        """The states, and the times at which they are kept."""

        def between(name: str, step: Solve, inside: Expressions) -> Solution:
            return self.continuous(name, step, declaration, inside)

        with at(solve.span):
            try:
                stops = self.solving.stops(solve, expressions)
                scans = ScanLowering(self.solving.around.table, between, frozenset(), self.excerpt, integral=integral)
                lowering = JumpLowering(scans, self.solving.numbers)
                return lowering.lower(name, solve, declaration, stops, expressions, integrand), stops
            except Fault as fault:
                raise LowerError(fault.make(solve.span)) from None


__all__ = ["Jumping"]
