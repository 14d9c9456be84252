"""`path.current`: what a field defines for itself, at every kept time of a solution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce

from isocline_compiler.graph import ARGUMENT, CONSTANT, Node, Region, leaf, substitute, topological
from isocline_compiler.graph.delay import DELAYED
from isocline_compiler.lower.faults import LowerError
from isocline_compiler.lower.field_body import Derived, FieldBody
from isocline_compiler.ops.indexing import SELECT
from isocline_compiler.ops.lookup import LOOKUP
from isocline_compiler.ops.points import MERGE_POINTS, SPLIT_POINTS
from isocline_compiler.ops.shaping import EXPAND, RESHAPE, SPREAD
from isocline_compiler.solvers.points import enlarged, repeated
from isocline_compiler.vocabulary.functions.shaping import stack
from isocline_dsl import messages
from isocline_dsl.tree import Assign, Span


@dataclass(frozen=True)
class Along:
    """Evaluates the definitions of a field along one solution: paths and times are further samples of one evaluation.

    `states` are the states of the field, (batch, samples, times, *state): without the axis of `samples` where it is
    None, without that of times where the solution is not kept `everywhere`. `times` are real[n] or (batch, n).
    """

    body: FieldBody
    states: tuple[Node, ...]
    times: Node
    everywhere: bool
    samples: int | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """What the field defines."""
        return tuple(item.name.text for item in self.body.declaration.body if isinstance(item, Assign))

    def __call__(self, name: str, span: Span) -> Node:
        """A definition at the end, or at all kept times, on an axis after those of the states. Raises LowerError."""
        batched = self.states[0].type.batched
        derived = self.body.lower(batched, (batched and self.everywhere) or self.times.type.batched, local=name)
        _require_plain(derived, name, span)
        if not self.everywhere and self.samples is None:
            return self._at(derived, None)
        count = self.times.size(-1)
        if not isinstance(count, int):
            raise LowerError(messages.not_available_yet(span, f"`{name}` along a solution whose length has a name"))
        if not batched:
            return stack(*(self._at(derived, i) for i in range(count)))
        return self._at_once(derived, [x for x in (self.samples, count if self.everywhere else None) if x is not None])

    def _time(self, index: int) -> Node:
        return SELECT(self.times, axis=self.times.type.rank - 1, index=index)

    def _at(self, derived: Derived, index: int | None) -> Node:
        """At the end, or at one of the times of a solution without samples."""
        states = self.states if index is None else [SELECT(x, axis=0, index=index) for x in self.states]
        values = (self._time(-1 if index is None else index), *states, *derived.captured)
        (found,) = substitute(derived.region.results, dict(zip(derived.region.arguments, values, strict=True)))
        return found

    def _at_once(self, derived: Derived, counts: Sequence[int]) -> Node:
        """On all paths and at all times, as further samples: so many on each of the axes before those of the state."""
        like = self.states[0]
        derived, pieces = self._looked_up(derived) if self.everywhere else (derived, [])
        pieces = [_merged(_repeated(x, counts[:-1]), len(counts)) for x in pieces]
        time = self.times if self.everywhere else self._time(-1)
        if self.everywhere or derived.region.arguments[0].type.batched:
            time = time if time.type.batched else SPREAD(time, like)
        if self.everywhere:  # (batch, times): a path has them all
            first, whole = counts[:-1], counts[-1:]
            time = _merged(_repeated(time, first), len(first) + len(whole))
        elif time.type.batched:
            time = _merged(_repeated(time, counts), len(counts))
        captured = (_merged(_repeated(x, counts), len(counts)) if x.type.batched else x for x in derived.captured)
        region = reduce(enlarged, counts[::-1], derived.region)
        values = (time, *(_merged(x, len(counts)) for x in self.states), *captured, *pieces)
        (found,) = substitute(region.results, dict(zip(region.arguments, values, strict=True)))
        if found.type.batched:
            return reduce(lambda x, count: SPLIT_POINTS(x, count=count), counts[::-1], found)
        single = RESHAPE(found, shape=(*(1 for _ in counts), *found.shape))
        return SPREAD(EXPAND(single, shape=(*counts, *found.shape)), like)

    def _looked_up(self, derived: Derived) -> tuple[Derived, list[Node]]:
        """The pieces of controls at all times, (batch, times, ...), in place of their tables: a table is not repeated
        for every time.
        """
        region = derived.region
        outside = dict(zip(region.arguments[1 + len(self.states) :], derived.captured, strict=True))
        outside[region.arguments[0]] = self.times
        found = {
            x: LOOKUP(*(outside.get(item, item) for item in x.inputs), **x.attrs, listed=True)
            for x in topological(region.results)
            if x.op is LOOKUP and x.inputs[0].type.batched and x.inputs[2] is region.arguments[0]
            and all(item in outside or item.op is CONSTANT for item in x.inputs)
        }  # fmt: skip
        inside = {x: leaf(ARGUMENT, f"piece~{i}", x.type) for i, x in enumerate(found)}
        results = substitute(region.results, inside)
        return replace(derived, region=Region((*region.arguments, *inside.values()), results)), list(found.values())


def _repeated(x: Node, counts: Sequence[int]) -> Node:
    """(batch, ...) as (batch, m, n, ...), the same everywhere."""
    return reduce(repeated, counts[::-1], x)


def _merged(x: Node, axes: int) -> Node:
    """(batch, m, n, ...) as (batch m n, ...): so many axes become samples."""
    return reduce(lambda y, _: MERGE_POINTS(y), range(axes), x)


def _require_plain(derived: Derived, name: str, span: Span) -> None:
    past = any(item.op is DELAYED for item in topological(derived.region.results))
    for wrong, reason in (
        (bool(derived.stacked), "has weights of its own in every step, and a kept time belongs to no step"),
        (past, "reads the past, and between the times that are kept only its steps know the states"),
    ):
        if wrong:
            raise LowerError(messages.not_along(span, name, reason))


__all__ = ["Along"]
