"""`path.current`: what a field defines for itself, at every kept time of a solution."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from isocline_compiler.graph import Node, constant, substitute, topological
from isocline_compiler.graph.delay import DELAYED
from isocline_compiler.graph.solve import Solve, pick
from isocline_compiler.lower.faults import LowerError
from isocline_compiler.lower.field_body import Derived, FieldBody
from isocline_compiler.ops.indexing import SELECT
from isocline_compiler.ops.points import MERGE_POINTS, SPLIT_POINTS
from isocline_compiler.ops.shaping import EXPAND, RESHAPE, SPREAD
from isocline_compiler.solvers.points import at_points, enlarged
from isocline_compiler.vocabulary.functions.shaping import stack
from isocline_dsl import messages
from isocline_dsl.tree import Assign, Span


@dataclass(frozen=True)
class Along:
    """Evaluates the definitions of a field along one solution: the times are further samples of one evaluation."""

    body: FieldBody
    solve: Solve
    node: Node

    @property
    def names(self) -> tuple[str, ...]:
        """What the field defines."""
        return tuple(item.name.text for item in self.body.declaration.body if isinstance(item, Assign))

    def __call__(self, name: str, span: Span) -> Node:
        """A definition at the end, or at all kept times, on an axis after that of the batch. Raises LowerError."""
        spec = self.solve.spec
        if spec.samples is not None:
            raise LowerError(messages.not_available_yet(span, f"`{name}` along each of several paths"))
        batched = self.solve.initial[0].type.batched
        several = batched and spec.interval.everywhere
        derived = self.body.lower(batched, several or self._times_batched, local=name)
        self._require_plain(derived, name, span)
        if not spec.interval.everywhere:
            return self._at(derived, None)
        count = self._count(name, span)
        if not batched:
            return stack(*(self._at(derived, i) for i in range(count)))
        return self._at_once(derived, count)

    @property
    def _times_batched(self) -> bool:
        return self.solve.times is not None and self.solve.times.type.batched

    def _require_plain(self, derived: Derived, name: str, span: Span) -> None:
        for wrong, why in (
            (bool(derived.stacked), "whose weights are a step's own"),
            (any(item.op is DELAYED for item in topological(derived.region.results)), "which reads the past"),
        ):
            if wrong:
                raise LowerError(messages.not_available_yet(span, f"`{name}` along a solution, {why},"))

    def _count(self, name: str, span: Span) -> int:
        times = self.solve.spec.interval.times
        if times is not None:
            return len(times)
        assert self.solve.times is not None
        count = self.solve.times.size(-1)
        if not isinstance(count, int):
            raise LowerError(messages.not_available_yet(span, f"`{name}` along a solution whose length has a name"))
        return count

    def _time(self, index: int) -> Node:
        known, given = self.solve.spec.interval.times, self.solve.times
        if known is not None:
            return constant(known[index])
        assert given is not None
        return SELECT(given, axis=given.type.rank - 1, index=index)

    def _at(self, derived: Derived, index: int | None) -> Node:
        """At the end, or at one of the times of a solution without samples."""
        states = [pick(self.node, i) for i in self.solve.spec.own]
        if index is not None:
            states = [SELECT(x, axis=0, index=index) for x in states]
        values = (self._time(-1 if index is None else index), *states, *derived.captured)
        (found,) = substitute(derived.region.results, dict(zip(derived.region.arguments, values, strict=True)))
        return found

    def _at_once(self, derived: Derived, count: int) -> Node:
        """At all times, as further samples."""
        known, given = self.solve.spec.interval.times, self.solve.times
        like = self.solve.initial[0]
        times = constant(np.array(known)) if known is not None else given
        assert times is not None
        times = times if times.type.batched else SPREAD(times, like)
        captured = (at_points(x, count) if x.type.batched else x for x in derived.captured)
        values = (MERGE_POINTS(times), *(MERGE_POINTS(pick(self.node, i)) for i in self.solve.spec.own), *captured)
        region = enlarged(derived.region, count)
        (found,) = substitute(region.results, dict(zip(region.arguments, values, strict=True)))
        if found.type.batched:
            return SPLIT_POINTS(found, count=count)
        single = RESHAPE(found, shape=(1, *found.shape))
        return SPREAD(EXPAND(single, shape=(count, *found.shape)), like)


__all__ = ["Along"]
