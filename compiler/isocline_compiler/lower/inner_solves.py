"""A solve in a field: an inner equation is stepped to its end wherever the outer one asks for its slope.

Its scheme and steps are stated, and are a part of the outer equation: they are emitted as that is lowered, so that the
region of a field holds arithmetic and loops only. Whatever solves, differentiates or bounds the outer equation meets no
solve. An adaptive solver within another's steps would give a slope that is not smooth in the state, and every estimate
of an error would be one of that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from isocline_compiler.graph import Graph, Node
from isocline_compiler.graph.delay import remembers
from isocline_compiler.graph.fractional import has_order
from isocline_compiler.graph.solve import Solve as SolveRecord
from isocline_compiler.graph.solve import spec_of
from isocline_compiler.lower.events import events_of
from isocline_compiler.lower.expressions import Expressions, Solution, Value
from isocline_compiler.lower.faults import LowerError, Poisoned
from isocline_compiler.lower.field_body import Around
from isocline_compiler.lower.jumps import jumps_of
from isocline_compiler.lower.solves import SolveLowering
from isocline_compiler.solvers.grid import discretise
from isocline_compiler.solvers.unroll import unroll
from isocline_compiler.solvers.unroll.forms import with_forms
from isocline_dsl import messages
from isocline_dsl.tree import Field, NoiseDeclaration, Solve, Span
from isocline_dsl.tree import Node as Tree

STEPS = "write its scheme and steps: `with rk4(steps=8)`"


@dataclass
class InnerSolves:
    """Lowers the solves in fields; `begun` are the fields that are being lowered for one."""

    around: Around
    declared: Mapping[str, Tree]
    taken: set[str]
    begun: list[str] = field(default_factory=list)

    def __call__(
        self, name: str, solve: Solve, expressions: Expressions, outer: Callable[[str, Span], Value]
    ) -> Solution:
        """The solution called `name` as values of the field around it; what the inner field reads of the file are
        values of the outer one, by `outer`. Raises LowerError E299.
        """
        declaration = self.declared.get(solve.field.text)
        if not isinstance(declaration, Field):
            raise Poisoned  # not a field, or unknown: reported where names are resolved
        _require_plain(solve, declaration)
        with self._within(solve):
            inner = SolveLowering(replace(self.around, outer=outer, inner=self), self.taken)
            found = inner.lower(name, solve, declaration, expressions)
        return Solution(_stepped(found, solve))

    @contextmanager
    def _within(self, solve: Solve) -> Iterator[None]:
        """Raises Poisoned where a field is solved in itself, by whatever way."""
        name = solve.field.text
        if name in self.begun:
            raise Poisoned  # a circle: reported where names are resolved
        self.begun.append(name)
        try:
            yield
        finally:
            self.begun.pop()


def _require_plain(solve: Solve, declaration: Field) -> None:
    """Raises LowerError for what has no fixed steps, or a memory of its own."""
    name, body = declaration.name.text, declaration.body
    if any(isinstance(item, NoiseDeclaration) for item in body) or solve.samples is not None:
        raise LowerError(messages.inner_solve(solve.span, name, "has noise, of which the outer steps say nothing", ""))
    if jumps_of(declaration) or events_of(declaration):
        raise LowerError(messages.inner_solve(solve.span, name, "jumps, so that the outer slope would, too", ""))
    if solve.scheme is None:
        raise LowerError(messages.inner_solve(solve.span, name, "does not say its steps", STEPS))


def _stepped(found: Solution, solve: Solve) -> Mapping[str, Node]:
    """Each state by the steps of the solve's own scheme, laid out or as a loop."""
    node = found.solve
    assert node is not None, "a solve without jumps is one node"
    record, spec = SolveRecord.of(node), spec_of(node)
    assert spec.scheme is not None, "required before"
    if remembers(node) or has_order(spec):
        raise LowerError(messages.inner_solve(solve.span, spec.field, "reads its past, and has none here", ""))
    scheme, times = spec.scheme, spec.interval.times
    count = len(times) if times is not None else record.times.size(-1) if record.times is not None else 2
    if not isinstance(count, int):
        raise LowerError(messages.inner_solve(solve.span, spec.field, "has a number of times that has a name", ""))
    grid = discretise(
        spec.interval, scheme.name, scheme.options["steps"], intervals=count - 1, span=scheme.span,
        options=scheme.options,
    )  # fmt: skip
    graph = Graph((), dict(found.states))
    choices = with_forms(graph, {spec.choice: grid}, "auto")
    return dict(unroll(graph, choices).graph.outputs)


__all__ = ["InnerSolves"]
