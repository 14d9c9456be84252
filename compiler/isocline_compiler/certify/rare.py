"""Inputs near the zeros of denominators and of arguments of log, sqrt and powers: draws never come near them.

The graph knows these values. Where one has opposite signs at two draws, the straight line between them is bisected;
where it only comes near 0, the smallest of the draws is followed downhill. Around each zero that is found, inputs at
three distances on both sides are samples like any other, so that a quotient of small numbers is met.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from isocline_compiler.backends.to_torch import TorchProgram
from isocline_compiler.certify.culprit import shown
from isocline_compiler.certify.samples import Samples
from isocline_compiler.derivatives.reverse_forward import dependent
from isocline_compiler.graph import Array, Graph, Node, topological, value_of
from isocline_compiler.graph.scan import SCAN
from isocline_compiler.graph.solve import SOLVE
from isocline_compiler.model import Model, Port

DISTANCES = (1e-6, 1e-4, 1e-2)
"""How far from a zero samples are taken, as parts of the box."""
COLUMNS, PAIRS = 64, 3
"""Entries of values that are followed, and zeros that are looked for in each."""
HALVINGS, ROUNDS, TRIED = 60, 24, 32
"""Halvings of a line; rounds of a search downhill, and inputs tried in each."""
SMALL = 1e-4
"""A value that comes down to this part of its usual size has a zero there."""
MOST = 32
"""Zeros around which samples are taken."""
FACTORS = frozenset(("mul", "neg", "abs", "square", "sqrt", "sum"))


@dataclass(frozen=True, eq=False)
class Zero:
    """Where a value vanishes: its node, the inputs by name, one sample each, and the direction across, in boxes."""

    node: Node
    inputs: Mapping[str, Array]
    across: Mapping[str, Array]


def critical(graph: Graph) -> tuple[Node, ...]:
    """The real values, outside of fields and of what solves give, near whose zeros a quotient or a root loses digits.

    Of a product, a square or a magnitude its factors, whose zeros are crossed.
    """
    order = topological(graph.outputs.values())
    moved = dependent(order, graph.inputs)
    solved = dependent(order, [node for node in order if node.op in (SOLVE, SCAN)])
    found: dict[Node, None] = {}
    waiting = [item for node in order for item in _arguments(node)]
    while waiting:
        node = waiting.pop()
        if node in found or node not in moved or node in solved or node.type.kind != "real" or not node.type.batched:
            continue
        found[node] = None
        if node.op.name in FACTORS or (node.op.name == "pow" and value_of(node.inputs[1]) is not None):
            waiting += [item for item in node.inputs if item.type.kind == "real"]
    return tuple(found)


def _arguments(node: Node) -> tuple[Node, ...]:
    if node.op.name == "div":
        return (node.inputs[1],)
    if node.op.name in ("log", "sqrt"):
        return (node.inputs[0],)
    if node.op.name == "pow":
        power = value_of(node.inputs[1])
        return () if power is not None and (power >= 1).all() and (power == np.round(power)).all() else node.inputs[:1]
    return ()


@dataclass(frozen=True, eq=False)
class Search:
    """Zeros of the critical values of a model, from draws of its inputs."""

    model: Model
    weights: Mapping[str, Array]
    draws: Samples

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        return critical(self.model.graph)

    @cached_property
    def _ports(self) -> list[Port]:
        return [port for port in self.model.inputs if port.kind == "real" and port.bounds is not None]

    @cached_property
    def _program(self) -> TorchProgram:
        return TorchProgram(Graph(self.model.graph.inputs, {str(i): node for i, node in enumerate(self.nodes)}))

    def _values(self, inputs: Mapping[str, Array]) -> list[Array]:
        """Of every critical value its entries, (N, k)."""
        bound = {
            name: torch.tensor(np.asarray(array, dtype=np.float64) if array.dtype.kind == "f" else array)
            for name, array in {**self.weights, **inputs}.items()
        }
        with torch.no_grad():
            found = self._program(bound)
        return [found[str(i)].reshape(len(found[str(i)]), -1).numpy() for i in range(len(self.nodes))]

    def zeros(self) -> list[Zero]:
        """At most `MOST` of them."""
        found: list[Zero] = []
        if not self.nodes or not self._ports:
            return found
        values = self._values(self.draws.inputs)
        columns = [(i, j) for i, value in enumerate(values) for j in range(value.shape[1])][:COLUMNS]
        for i, j in columns:
            column = values[i][:, j]
            pairs = list(self._opposite(column))
            found += [zero for pair in pairs for zero in self._bisected(i, j, *pair)]
            if not pairs:
                found += self._downhill(i, j, column)
        return found[:MOST]

    def _scaled(self, inputs: Mapping[str, Array]) -> Array:
        """Inputs side by side in units of the box, (N, n)."""
        parts = [inputs[p.name].reshape(len(inputs[p.name]), -1) / _width(p) for p in self._ports]
        return np.concatenate(parts, axis=1)

    def _opposite(self, column: Array) -> Iterator[tuple[int, int]]:
        """Pairs of draws at which a value has opposite signs, the nearest to each other first."""
        below, above = np.flatnonzero(column < 0), np.flatnonzero(column > 0)
        if not len(below) or not len(above):
            return
        points = self._scaled(self.draws.inputs)
        apart = np.linalg.norm(points[below][:, None] - points[above][None], axis=2)
        used: list[int] = []
        for flat in np.argsort(apart, axis=None):
            a, b = int(below[flat // len(above)]), int(above[flat % len(above)])
            if a not in used and b not in used:
                used += [a, b]
                yield a, b
            if len(used) >= 2 * PAIRS:
                return

    def _bisected(self, i: int, j: int, a: int, b: int) -> list[Zero]:
        """On the straight line from a draw below zero to one above; empty where the value jumps across."""
        low, high = ({name: array[k : k + 1] for name, array in self.draws.inputs.items()} for k in (a, b))
        start, end = dict(low), dict(high)
        for _ in range(HALVINGS):
            middle = {**low, **{p.name: (low[p.name] + high[p.name]) / 2 for p in self._ports}}
            low, high = (middle, high) if self._values(middle)[i][0, j] < 0 else (low, middle)
        here, there = (abs(self._values(inputs)[i][0, j]) for inputs in (low, high))
        if not max(here, there) <= SMALL * abs(self._values(end)[i][0, j] - self._values(start)[i][0, j]):
            return []
        across = {p.name: (end[p.name] - start[p.name]) / _width(p) for p in self._ports}
        return [Zero(self.nodes[i], low, _unit(across))]

    def _downhill(self, i: int, j: int, column: Array) -> list[Zero]:
        """Where a value of one sign comes down to 0, by a search with a shrinking step; empty where it does not."""
        generator = np.random.default_rng(2)
        best, radius = int(np.nanargmin(np.abs(column))), 0.25
        usual, least = float(np.nanmedian(np.abs(column))), float(np.abs(column[best]))
        place = {name: array[best : best + 1] for name, array in self.draws.inputs.items()}
        for _ in range(ROUNDS):
            tried = {name: np.repeat(array, TRIED, axis=0) for name, array in place.items()}
            for port in self._ports:
                assert port.bounds is not None
                moved = tried[port.name] + radius * _width(port) * generator.standard_normal(tried[port.name].shape)
                tried[port.name] = np.clip(moved, *port.bounds)
            sizes = np.abs(self._values(tried)[i][:, j])
            k = int(np.nanargmin(sizes)) if np.isfinite(sizes).any() else 0
            if sizes[k] < least:
                place, least = {name: array[k : k + 1] for name, array in tried.items()}, float(sizes[k])
            else:
                radius *= 0.5
        if not least <= SMALL * usual:
            return []
        across = {p.name: generator.standard_normal(place[p.name].shape) for p in self._ports}
        return [Zero(self.nodes[i], place, _unit(across))]


def _width(port: Port) -> float:
    assert port.bounds is not None
    return port.bounds[1] - port.bounds[0]


def _unit(across: Mapping[str, Array]) -> dict[str, Array]:
    largest = max((float(np.abs(item).max()) for item in across.values()), default=0.0) or 1.0
    return {name: item / largest for name, item in across.items()}


@dataclass(frozen=True, eq=False)
class Rare:
    """Samples near zeros, and of each in words where it is: `v = -23.0001, where `exp(v/5) - 1` comes to 0`."""

    samples: Samples
    words: tuple[str, ...]

    def first(self, count: int) -> Rare:
        """At most `count`, evenly over all."""
        places = self.samples.spread(count)
        return Rare(self.samples.taken(places), tuple(self.words[i] for i in places))

    def rounded(self, dtype: str) -> Rare:
        return Rare(self.samples.rounded(dtype), self.words)


def near(zeros: Sequence[Zero], model: Model) -> Rare | None:
    """Samples on both sides of each zero at three distances, within the bounds."""
    bounds = {port.name: port.bounds for port in model.inputs if port.kind == "real" and port.bounds is not None}
    rows: list[dict[str, Array]] = []
    words: list[str] = []
    for zero in zeros:
        for distance in (sign * part for part in DISTANCES for sign in (-1.0, 1.0)):
            row = dict(zero.inputs)
            for name, across in zero.across.items():
                low, high = bounds[name]
                row[name] = zero.inputs[name] + distance * (high - low) * across
            if all(((row[name] > low) & (row[name] < high)).all() for name, (low, high) in bounds.items()):
                rows.append(row)
                words.append(f"{_place(row, bounds)}, where {_written(zero.node, model)} comes to 0")
    if not rows:
        return None
    inputs = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    return Rare(Samples(inputs, {}, f"{len(rows)} near zeros of divisors and of what is under log, sqrt and powers"),
                tuple(words))  # fmt: skip


def _place(row: Mapping[str, Array], names: Iterable[str]) -> str:
    return ", ".join(shown(name, torch.from_numpy(row[name]), 0, True) for name in names)


def _written(node: Node, model: Model) -> str:
    """The text of a value, on one line."""
    if node.span is None:
        return f"an argument of `{node.op.name}`"
    return f"`{' '.join(model.source.text[node.span.start : node.span.stop].split())}`"


def rare_samples(model: Model, weights: Mapping[str, Array], draws: Samples) -> Rare | None:
    """Samples near the zeros that a search from these draws finds; None where there are none."""
    return near(Search(model, weights, draws).zeros(), model)


__all__ = ["Rare", "rare_samples"]
