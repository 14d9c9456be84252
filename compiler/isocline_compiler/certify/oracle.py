"""The score of the deployed graph in float64, anywhere: what attributions are measured against.

Torch computes it, operation by operation; onnxruntime where loops make that slow. Neither has any part in a gradient:
that is made of differences.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from isocline_compiler.attribution.problem import Background, Problem
from isocline_compiler.backends.to_torch import TorchProgram, evaluate
from isocline_compiler.certify.runner import Runner, runner
from isocline_compiler.certify.trials import WORTH, operations_of
from isocline_compiler.graph import INPUT, Array, Graph, Node, leaf, substitute
from isocline_compiler.graph.tensor_type import is_batch

STEP = 1e-5
"""Of a central difference, relative to the magnitude of what is moved: rounding and curvature both stay below 1e-9."""
ROWS, NUMBERS = 2048, 1 << 22
"""Points evaluated at a time, and the numbers that they may hold of one input: noise is large."""
MOVED = "moved value"
"""The name of a value inside of the graph, where it is an input."""


@dataclass(frozen=True, eq=False)
class DeployedOracle:
    """Scores and their slopes at the samples of `known`, all inputs of the model, for one entry of the output each."""

    problem: Problem
    weights: Mapping[str, Array]
    known: Mapping[str, Array]
    index: Array
    entries: Mapping[str, Array]
    noise: Mapping[str, Array]

    @property
    def background(self) -> Background | None:
        return self.problem.background

    @cached_property
    def inputs(self) -> dict[str, Array]:
        return {name: self.known[name] for name in self.problem.wrt}

    def score(self, points: Mapping[str, Array]) -> Array:
        """S at m points of each sample, (N, m)."""
        rows, count = next((len(array), array.shape[1]) for array in points.values())
        flat = {name: array.reshape(rows * count, *array.shape[2:]) for name, array in points.items()}
        held = {name: array for name, array in self._everything.items() if name not in flat}
        each = max((array[:1].size for array in held.values()), default=1)
        found = []
        for start in range(0, rows * count, size := max(1, min(ROWS, NUMBERS // each))):
            part = np.arange(start, min(start + size, rows * count))
            kept = {name: array[part // count] for name, array in held.items()}
            found.append(self._evaluated({**{name: array[part] for name, array in flat.items()}, **kept}))
        return np.concatenate(found).reshape(rows, count)

    def slopes(self, name: str, points: Mapping[str, Array]) -> Array:
        """dS/d(entry) at each point, (N, m, k)."""
        h = STEP * _magnitude(self.known[name])
        columns = []
        for entry in self.entries[name]:
            moved = [self.score({**points, name: _moved(points[name], int(entry), sign * h)}) for sign in (1, -1)]
            columns.append((moved[0] - moved[1]) / (2 * h))
        return np.stack(columns, axis=-1)

    def node_slopes(
        self, node: Node, place: tuple[int, ...] = (), *, entries: Array, scale: Node | None = None, side: int = 0
    ) -> Array:
        """dS/d(entry) of any value inside the graph, or of the part of it at a place on its first axes: (N, k).

        It moves relative to its own magnitude, or to that of `scale`. One without a batch axis moves for all samples at
        once, and one of several paths of each sample for all of these. With a `side`, 1 or -1, it is the derivative
        from that side alone.
        """
        value, size = (self._values([item], {})[0].numpy() for item in (node, scale or node))
        part = value[place]
        batched = any(map(is_batch, node.shape[len(place) :][:1]))
        flat = part.reshape(len(part), -1) if batched else part.reshape(1, -1)
        h = STEP * _magnitude(size)

        def moved(entry: int, by: float) -> Array:
            shift = np.zeros_like(flat)
            shift[:, entry] = by
            return self._score_with(node, place, flat + shift, value)

        def difference(entry: int, step: float) -> Array:
            ahead, behind = moved(entry, (side or 1) * step), moved(entry, (2 * side or -1) * step)
            found: Array = side * (4 * ahead - behind - 3 * begun) if side else ahead - behind
            return found / (2 * step)

        begun = moved(0, 0.0) if side else np.zeros(())
        # Richardson: what h^2 leaves of a central difference is not small where the score turns quickly, as after a
        # long solve
        columns = [(4 * difference(int(entry), h) - difference(int(entry), 2 * h)) / 3 for entry in entries]
        return np.stack(columns, axis=-1)

    def _score_with(self, node: Node, place: tuple[int, ...], part: Array, value: Array) -> Array:
        """S where a value, or a part of it, is another."""
        changed = value.copy()
        changed[place] = part.reshape(value[place].shape)
        quick = self._from(node)
        if quick is not None:
            return quick({**self._everything, MOVED: changed})["score"]
        found: Array = self._values([self.problem.score], {node: torch.tensor(changed)})[0].numpy()
        return found

    @cached_property
    def _quick(self) -> Runner | None:
        """The score by onnxruntime, where it is of many operations."""
        graph = Graph((*self.problem.graph.inputs, self.problem.index), {"score": self.problem.score})
        return runner(graph, self.weights, "float64") if operations_of(graph) > WORTH else None

    def _from(self, node: Node) -> Runner | None:
        """The same from a value inside of the graph on, which is then one more input."""
        if self._quick is None:
            return None
        if node not in self._starts:
            moved = leaf(INPUT, MOVED, node.type)
            (score,) = substitute([self.problem.score], {node: moved})
            self._starts[node] = runner(
                Graph((*self.problem.graph.inputs, self.problem.index, moved), {"score": score}),
                self.weights,
                "float64",
            )
        return self._starts[node]

    @cached_property
    def _starts(self) -> dict[Node, Runner | None]:
        return {}

    @property
    def _everything(self) -> dict[str, Array]:
        """The samples, and which entry of the output is scored."""
        return {**self.known, str(self.problem.index.attrs["name"]): self.index}

    @cached_property
    def _program(self) -> TorchProgram:
        return TorchProgram(Graph(self.problem.graph.inputs, {"score": self.problem.score}))

    @cached_property
    def _bound(self) -> dict[str, Tensor]:
        return {name: torch.tensor(np.asarray(array, dtype=np.float64)) for name, array in self.weights.items()}

    def _evaluated(self, arrays: Mapping[str, Array]) -> Array:
        if self._quick is not None:
            return self._quick(arrays)["score"]
        bound = {**self._bound, **{name: _tensor(array) for name, array in arrays.items()}}
        with torch.no_grad():
            found: Array = self._program(bound)["score"].numpy()
        return found

    def _values(self, nodes: list[Node], given: Mapping[Node, Tensor]) -> tuple[Tensor, ...]:
        arrays = self._everything
        bound: dict[Node | str, Tensor] = {}
        bound.update(self._bound.items())
        bound.update(given.items())
        bound.update({name: _tensor(array) for name, array in arrays.items()})
        with torch.no_grad():
            return evaluate(nodes, bound)


def flat_output(problem: Problem, weights: Mapping[str, Array], arrays: Mapping[str, Array]) -> Array:
    """The output that is explained, flattened, for samples of all inputs: (N, entries)."""
    bound = {name: _tensor(np.asarray(array)) for name, array in {**weights, **arrays}.items()}
    with torch.no_grad():
        (found,) = evaluate([problem.graph.outputs[problem.output]], bound)
    return found.reshape(len(found), -1).numpy()


def _tensor(array: Array) -> Tensor:
    return torch.tensor(np.asarray(array, dtype=np.float64) if array.dtype.kind == "f" else array)


def _magnitude(values: Array) -> float:
    return max(float(np.abs(values).mean()), 1e-3)


def _moved(points: Array, entry: int, by: float) -> Array:
    """(N, m, *input) with one flat entry moved."""
    moved = points.astype(np.float64, copy=True)
    moved.reshape(*moved.shape[:2], -1)[:, :, entry] += by
    return moved
