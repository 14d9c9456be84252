"""What a field reads of the time alone, at many times at once: its forcing, and the smooth pieces it is made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
import torch
from torch import Tensor

from isocline_compiler.backends.to_torch import Bound, Run, StraightLineProgram
from isocline_compiler.derivatives.reverse_forward import dependent
from isocline_compiler.graph import INPUT, WEIGHT, Array, Node, Region, topological
from isocline_compiler.graph.solve import SOLVE
from isocline_compiler.ops.arithmetic import ADD, DIV, MUL, NEG, SUB
from isocline_compiler.ops.elementwise import SQUARE
from isocline_compiler.ops.indexing import CONCAT, GATHER
from isocline_compiler.ops.linear import LINEAR, MATMUL
from isocline_compiler.ops.lookup import LOOKUPS
from isocline_compiler.ops.reduction import REDUCE_SUM
from isocline_compiler.ops.shaping import RESHAPE, SPREAD, TRANSPOSE

POLYNOMIAL = (ADD, SUB, MUL, DIV, NEG, SQUARE, MATMUL, LINEAR, REDUCE_SUM, CONCAT, RESHAPE, TRANSPOSE, SPREAD, GATHER)
"""What keeps polynomials of low degree such, as do operations that move entries; a division where nothing but knots
divides."""


@dataclass(frozen=True)
class Reading:
    """Columns over times, (times, n) each.

    `pieces`: the number of the smooth piece on which each switching operation lies, paths with known knots aside;
    `shared`, (n,): whether that is the same for all samples. `signs`: of every intermediate value, whose zeros are
    where narrow features sit. `values`: the forcing itself, as it meets the states.
    """

    pieces: Array
    shared: Array
    signs: Array
    values: Array


class Forcing:
    """The part of a region over (t, states..., captured..., slices...) that depends on t and captured values alone."""

    def __init__(self, region: Region, states: int, captured: int) -> None:
        arguments = region.arguments
        held = arguments[1 + states : 1 + states + captured]
        moving = (*arguments[1 : 1 + states], *arguments[1 + states + captured :])
        order, time = topological(region.results), arguments[0]
        moved, timed = dependent(order, moving), dependent(order, [time])
        moved |= dependent(
            order, [node for node in order if node.op is SOLVE]
        )  # its steps cannot be taken side by side
        self.nodes = tuple(node for node in order if node in timed and node not in moved and node is not time)
        read = {item for node in order if node in moved for item in node.inputs} | set(region.results)
        paths = [node for node in self.nodes if node.op in LOOKUPS and node.inputs[-1] is time]
        along = dependent(order, paths)
        bending = _bending(order, time, paths)
        bent = dependent(order, bending) | set(topological(bending))  # a pulse sits at a zero of what leads to it
        self.written = tuple(node for node in self.nodes if node not in along or node in bent)
        self.read = tuple(node for node in self.written if node in read and node.type.kind == "real")
        self.switching = tuple(node for node in self.nodes if node.op.piece is not None and node not in paths)
        needed = dict.fromkeys((*self.written, *self.switching, *self.read))
        needed.update((item, None) for node in self.switching for item in node.inputs)
        self._roots = tuple(needed)
        self._knots = tuple(dict.fromkeys(node.inputs[-2] for node in paths))
        self._given = (time, *held)
        leaves = set(topological(self._roots))
        self._held = tuple(i for i, node in enumerate(held) if node in leaves)
        self._named = tuple(node.attrs["name"] for node in leaves if node.op in (INPUT, WEIGHT))

    @cached_property
    def _program(self) -> StraightLineProgram:
        return StraightLineProgram(self._roots, self._given)

    @property
    def searched(self) -> bool:
        """Whether there is more than paths whose knots are known."""
        return bool(self.written or self.switching)

    def knots(self, bound: Bound) -> list[Array]:
        """The times at which paths that are looked up at the field's own time go on to their next piece: each (n,) or
        (batch, n).
        """
        if not self._knots:
            return []
        run, captured = self._wide(bound)
        with torch.no_grad():
            found = self._of_knots(run, (torch.zeros((), dtype=torch.float64), *captured))
        return [item.double().cpu().numpy() for item in found]

    @cached_property
    def _of_knots(self) -> StraightLineProgram:
        return StraightLineProgram(self._knots, self._given)

    def reads(self, bound: Bound) -> tuple[Tensor, ...]:
        """The values that decide it: while they stay the same, so does what the search has found."""
        return (*(bound.captured[i] for i in self._held), *(bound.run.bound[name] for name in self._named))

    def reading(self, bound: Bound, times: Array, clock: Callable[[Tensor], Tensor]) -> Reading:
        """All of it at these times of the solver; `clock` turns one into the time of the file, one a sample or one.

        In float64, whatever the model is trained in: jumps are found between neighbouring times.
        """
        run, captured = self._wide(bound)

        def at(s: Tensor) -> tuple[Sequence[Tensor], Sequence[Tensor], Sequence[Tensor]]:
            found = self._program(run, (clock(s), *captured))
            values = dict(zip(self._roots, found, strict=True))
            pieces = [_piece(node, values) for node in self.switching]
            signs = [torch.sign(values[node]) for node in self.written if node.type.kind == "real"]
            return pieces, signs, [values[node] for node in self.read]

        with torch.no_grad():
            pieces, signs, values = torch.vmap(at)(
                torch.tensor(times, dtype=torch.float64, device=bound.run.setting.device)
            )
        sizes = [_columns(item).shape[1] for item in pieces]
        shared = [np.full(size, not node.type.batched) for size, node in zip(sizes, self.switching, strict=True)]
        return Reading(
            _joined(pieces, len(times)), np.concatenate(shared) if shared else np.zeros(0, dtype=bool),
            _joined(signs, len(times)), _joined(values, len(times)),
        )  # fmt: skip

    def _wide(self, bound: Bound) -> tuple[Run, Sequence[Tensor]]:
        """What it reads besides the time, in float64: matrices are not multiplied in two precisions."""
        named = {name: _widened(bound.run.bound[name]) for name in self._named}
        run = replace(bound.run, bound=named, setting=replace(bound.run.setting, working=torch.float64))
        captured = [_widened(item) if i in self._held else item for i, item in enumerate(bound.captured)]
        return run, captured


def _bending(order: Sequence[Node], time: Node, paths: Sequence[Node]) -> list[Node]:
    """What makes more of the time than a polynomial between the knots of paths, whose rows stay while a piece lasts."""
    moving, found = {time}, []
    for node in order:
        if node in paths or moving.isdisjoint(node.inputs):
            continue
        moving.add(node)
        if not (node.op in POLYNOMIAL or node.op.moves) or (node.op is DIV and node.inputs[1] in moving):
            found.append(node)
    return found


def _widened(value: Tensor) -> Tensor:
    return value.double() if value.is_floating_point() else value


def _piece(node: Node, values: dict[Node, Tensor]) -> Tensor:
    assert node.op.piece is not None
    found: Tensor = node.op.piece(values[node], *(values[item] for item in node.inputs), **node.attrs)
    return found


def _columns(value: Tensor) -> Array:
    array: Array = value.reshape(len(value), -1).double().cpu().numpy()
    return array


def _joined(values: Sequence[Tensor], count: int) -> Array:
    return np.concatenate([_columns(item) for item in values], axis=1) if values else np.zeros((count, 0))


@lru_cache(maxsize=64)
def _forcing(region: Region, states: int, captured: int) -> Forcing:
    return Forcing(region, states, captured)


def forcing_of(bound: Bound) -> Forcing:
    """The forcing of a field, taken out of its region once."""
    return _forcing(bound.region, bound.states, len(bound.captured))


__all__ = ["Forcing", "Reading", "forcing_of"]
