"""The operation whose result is the first that is not a number: which it is, what it was given, for which sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from isocline_compiler.backends.to_torch import Run, StraightLineProgram
from isocline_compiler.graph import CONSTANT, Node, Region, topological
from isocline_compiler.graph.scan import SCAN
from isocline_compiler.graph.solve import SOLVE

SIGNS = {"add": "+", "sub": "-", "mul": "*", "div": "/", "pow": "^", "matmul": "@"}
"""Operations as they are written where that is not their name."""
SHOWN = 4
"""Numbers that are shown of each state or input."""


@dataclass(frozen=True, eq=False)
class Culprit:
    """A node, in words what it was given, and the sample, where there are some."""

    node: Node
    met: str
    row: int

    @property
    def operation(self) -> str:
        return SIGNS.get(self.node.op.name, self.node.op.name)


def find_culprit(values: Mapping[Node, Any], run: Run) -> Culprit | None:
    """Of values in topological order, the first that is not finite; inside of a loop, in its first iteration."""
    for node, value in values.items():
        found = [item for item in (value if isinstance(value, tuple) else (value,)) if _bad(item).any()]
        if node.op is CONSTANT or not found:
            continue
        if node.op is SCAN:
            return _in_loop(node, [values[item] for item in node.inputs], run)
        if node.op is SOLVE:
            return None
        return _culprit(node, found[0], [values[item] for item in node.inputs])
    return None


def _culprit(node: Node, value: Tensor, given: Sequence[Tensor]) -> Culprit:
    place = tuple(int(i) for i in torch.nonzero(_bad(value))[0])
    met = " and ".join(f"{_at(item, value, place):.6g}" for item in given if not isinstance(item, tuple))
    return Culprit(node, met or "nothing", place[0] if node.type.batched and place else 0)


def _at(item: Tensor, value: Tensor, place: tuple[int, ...]) -> float:
    """The entry of an argument from which an entry of the result comes; of a sum or a product, the least."""
    if item.ndim <= value.ndim and all(n in (1, m) for n, m in zip(item.shape[::-1], value.shape[::-1], strict=False)):
        return float(item.expand(value.shape)[place])
    row = item[place[0]] if place and item.ndim and len(item) == len(value) else item
    return float(row.min())


def _bad(value: Any) -> Tensor:
    if not isinstance(value, Tensor) or not value.is_floating_point():
        return torch.zeros((), dtype=torch.bool)
    return ~torch.isfinite(value)


def _in_loop(node: Node, given: Sequence[Any], run: Run) -> Culprit | None:
    region: Region = node.attrs["region"]
    states, last = node.attrs["states"], node.attrs["states"] + node.attrs["captured"]
    now, held, stacked = tuple(given[:states]), tuple(given[states:last]), given[last:]
    for i in range(len(stacked[0]) if stacked else node.attrs["length"]):
        arguments = (*now, *held, *(item[i] for item in stacked))
        values = values_of(region, arguments, run)
        found = find_culprit(values, run)
        if found is not None:
            return found
        now = tuple(values[result] for result in region.results[:states])
    return None


def values_of(region: Region, arguments: Sequence[Any], run: Run) -> dict[Node, Any]:
    """Every value of a region for these arguments, in topological order."""
    nodes = topological(region.results, region.arguments)
    found = StraightLineProgram(nodes, region.arguments)(run, arguments)
    return {**dict(zip(region.arguments, arguments, strict=True)), **dict(zip(nodes, found, strict=True))}


def shown(name: str, value: Any, row: int, batched: bool) -> str:
    """`x = 0.3`, the first numbers of a sample: `x = [0.3, 1, ...]`."""
    entries = (value[row] if batched else value).reshape(-1)
    numbers = [f"{float(entry):.6g}" for entry in entries[:SHOWN]]
    if len(entries) == 1:
        return f"{name} = {numbers[0]}"
    return f"{name} = [{', '.join(numbers)}{', ...' if len(entries) > SHOWN else ''}]"


__all__ = ["Culprit", "find_culprit", "shown", "values_of"]
