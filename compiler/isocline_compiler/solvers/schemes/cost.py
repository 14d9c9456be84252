"""What a step of a scheme costs: counted on a step that is emitted, so that no scheme can state it wrongly."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TypeAlias
from weakref import WeakKeyDictionary

from isocline_compiler.derivatives.reverse_forward import dependent
from isocline_compiler.graph import ARGUMENT, Node, Region, leaf, topological
from isocline_compiler.graph.noise import Noise
from isocline_compiler.graph.solve import Solve, SolveSpec
from isocline_compiler.graph.tensor_type import BATCH, TensorType
from isocline_compiler.solvers.field import Field
from isocline_compiler.solvers.schemes.events import Cut
from isocline_compiler.solvers.schemes.memory import replaced, same_form, values_of
from isocline_compiler.solvers.schemes.step import Memory, Step, Stepping

CALL = 0.5e-6
"""Seconds that onnxruntime takes to call one operation on one core, whatever it computes."""
LONGEST_START = 32
"""Steps after which a scheme remembers the same in each step as in the one before."""


@dataclass(frozen=True)
class Cost:
    """Operations that depend on the state, evaluations of the field, and of its diffusion, in each step once started;
    and the nanoseconds of one core that the operations take for each sample, besides what calling them takes.
    """

    nodes: int
    evaluations: int
    per_sample: float = 0.0
    diffusions: int = 0

    def seconds(self, samples: int) -> float:
        """What a step is predicted to take on so many samples."""
        return self.nodes * CALL + samples * self.per_sample * 1e-9


Counted: TypeAlias = "dict[tuple[Stepping, SolveSpec, tuple[TensorType, ...]], Cost]"
_KNOWN: WeakKeyDictionary[Region, Counted] = WeakKeyDictionary()
"""What was counted, for as long as the field is there: a search asks for the same step at every grid it tries."""


def emitted_cost(scheme: Stepping, solve: Solve) -> Cost:
    """One step on leaves: its operations are counted before any pass simplifies them, so the number is an estimate."""
    known = _KNOWN.setdefault(solve.region, {})
    key = scheme, solve.spec, tuple(value.type for value in (*solve.initial, *solve.stacked))
    if key not in known:
        known[key] = _counted(Cut(scheme) if solve.spec.events else scheme, solve)
    return known[key]


def _counted(scheme: Stepping, solve: Solve) -> Cost:
    fresh = Field.of(solve)
    slices = [leaf(ARGUMENT, "row", item.type) for item in solve.row_arguments]
    step = symbolic_step(scheme, solve)
    memory, x = scheme.start(fresh.at(slices), solve.state_arguments), solve.state_arguments
    for _ in range(LONGEST_START):
        before = memory
        memory, x = scheme.advance(memory, fresh.at(slices), step, solve.state_arguments)
        if same_form(before, memory):
            break
    remembered = [_stand_in(value) for value in values_of(memory)]
    memory = replaced(memory, iter(remembered))
    field = fresh.at(slices)
    after, x = scheme.advance(memory, field, step, solve.state_arguments)
    results = [item for item in (*x, *values_of(after)) if isinstance(item, Node)]
    leaves = [*solve.state_arguments, *slices, *step.rows.values()]
    leaves += [item for item in remembered if isinstance(item, Node)]
    moving = dependent(topological(results), leaves) - set(leaves)
    return Cost(max(len(moving), 1), field.evaluations, sum(map(_price, moving)), field.diffusions)


def _price(node: Node) -> float:
    """Nanoseconds for one sample."""
    entries = prod(size for size in node.shape if isinstance(size, int))
    return entries * (node.op.price(node) if callable(node.op.price) else node.op.price)


def symbolic_step(scheme: Stepping, solve: Solve) -> Step:
    """A step of a known grid, or of one that comes with the samples' times."""
    h = 0.125
    rows = {noise.name: leaf(ARGUMENT, noise.name, _increments_type(scheme, noise)) for noise in solve.spec.noises}
    mine = [(row, value) for row, value in zip(solve.spec.rows, solve.stacked, strict=True) if not row.read_by_field]
    rows |= {row.name: leaf(ARGUMENT, row.name, value.type.with_shape(value.shape[1:])) for row, value in mine}
    return Step(solve.time, solve.time + h, h, (h,) * len(solve.initial), rows, even=True)


def _increments_type(scheme: Stepping, noise: Noise) -> TensorType:
    """What one step reads of a noise, (batch, channels)."""
    return TensorType("real", (BATCH, noise.size * (scheme.normals if noise.process == "brownian" else 1)))


def _stand_in(value: Memory) -> Memory:
    return leaf(ARGUMENT, "m", value.type) if isinstance(value, Node) else value
