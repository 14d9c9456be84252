"""Fields beside any solve: what losses that are stated of a field evaluate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from isocline_compiler.graph import Fault, Node
from isocline_compiler.graph.solve import Interval, SolveSpec
from isocline_compiler.graph.solve import Solve as SolveRecord
from isocline_compiler.lower.field_body import Around, FieldBody
from isocline_compiler.lower.solves import states_of
from isocline_compiler.ops.points import MERGE_POINTS
from isocline_compiler.solvers.field import Field
from isocline_compiler.solvers.noise_kinds import noise_kinds
from isocline_compiler.solvers.points import enlarged, repeated
from isocline_dsl import messages, tree


@dataclass(frozen=True)
class FieldValues:
    """The fields of a file by name, lowered for themselves."""

    around: Around
    declared: Mapping[str, Any]

    def record(self, name: str, time_batched: bool = True) -> SolveRecord:
        """A solve of the field from its own arguments: nothing but its region, its terms and its noise is meant."""
        declaration = self.declared[name]
        assert isinstance(declaration, tree.Field)
        if declaration.per_step:
            raise Fault(lambda span: messages.weights_per_step_without_scheme(span, name))
        states = states_of(declaration, self.around.numbers)
        derived = FieldBody(self.around, declaration, states, None).lower(True, time_batched)
        spec = SolveSpec(f"{name}~", name, states, Interval(None, False), terms=derived.terms, noises=derived.noises)
        starts = derived.region.arguments[1 : 1 + len(states)]
        found = SolveRecord(spec, derived.region, starts, derived.captured)
        return found.rebuilt(spec=replace(spec, kinds=noise_kinds(found)))

    def field(self, name: str, count: int) -> Field:
        """The field at `count` points of each sample as one larger batch. Raises `Fault`."""
        solve = self.record(name)
        region = enlarged(solve.region, count)
        captured = tuple(MERGE_POINTS(repeated(item, count)) if item.type.batched else item for item in solve.captured)
        starts = region.arguments[1 : 1 + len(solve.initial)]
        return Field.of(solve.rebuilt(region=region, initial=starts, captured=captured))

    def density(self, mean: Node, shape: tuple[int, ...]) -> None:
        """Say that `mean` is the mean of -log p over the entries of a sample, an array of this shape."""
        self.around.table.densities[mean] = shape
