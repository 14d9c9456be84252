"""The right side of a solve as one call of onnxruntime, in double precision: a reference asks a hundred thousand times.

Torch takes a call for each of its operations. The Jacobian is compiled as well: df/dx v for as many directions v as
there are colours of columns, all as samples beside each other (Curtis, Powell, Reid 1974).

Of stiff equations both references ask here, and the deployed grid is measured against them by torch: an operation that
the two compute otherwise is seen there, and in parity.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from math import prod
from typing import Any

import numpy as np
import torch
from scipy.sparse import csc_array
from torch import Tensor

from isocline_compiler.backends.to_torch import TorchField
from isocline_compiler.certify.runner import Runner, runner
from isocline_compiler.derivatives.reverse_forward import jvp
from isocline_compiler.graph import CONSTANT, INPUT, Array, Graph, Node, Region, leaf, substitute, topological
from isocline_compiler.graph.invariant import frontier
from isocline_compiler.graph.scan import SCAN
from isocline_compiler.graph.solve import SOLVE
from isocline_compiler.solvers.sparsity import Sparsity, pattern
from isocline_compiler.training.clock import Clock

WORTH = 24
"""Operations from which on a field is compiled."""

Tensors = tuple[Tensor, ...]


class Compiled:
    """A region over (t, states..., captured..., slices...), and its tangent along the states, as graphs of inputs.

    What the captured values decide comes in from outside, as it does in a `FieldProgram`.
    """

    def __init__(self, region: Region, states: int, captured: int) -> None:
        arguments = region.arguments
        moving = (*arguments[: 1 + states], *arguments[1 + states + captured :])
        given = (*moving, *frontier(region.results, moving))
        places = tuple(leaf(INPUT, f"x{i}", node.type) for i, node in enumerate(given))
        self.states = places[1 : 1 + states]
        self.slopes = substitute(
            region.results, {node: place for node, place in zip(given, places, strict=True) if node.op is not CONSTANT}
        )
        self.places = places

    @cached_property
    def run(self) -> Runner | None:
        """x' of every state."""
        return self._runner(self.places, self.slopes)

    @cached_property
    def run_tangent(self) -> Runner | None:
        """(df/dx) v, where v are the last of the inputs."""
        return self._runner((*self.places, *self._probes), self._tangent)

    @cached_property
    def _probes(self) -> tuple[Node, ...]:
        return tuple(leaf(INPUT, f"v{i}", item.type) for i, item in enumerate(self.states))

    @cached_property
    def _tangent(self) -> tuple[Node, ...]:
        return tuple(jvp(self.slopes, self.states, self._probes))

    @cached_property
    def sparsity(self) -> Sparsity:
        """Which slopes read which states, of one sample."""
        return Sparsity(pattern(self._tangent, self._probes))

    def _runner(self, inputs: Sequence[Node], results: Sequence[Node]) -> Runner | None:
        read = set(topological(results))
        outputs = {f"y{i}": node for i, node in enumerate(results)}
        return runner(Graph(tuple(node for node in inputs if node in read), outputs), {}, "float64", threads=1)


@lru_cache(maxsize=16)
def _compiled(region: Region, states: int, captured: int) -> Compiled | None:
    """None where it is not worth it, or not possible."""
    order = topological(region.results)
    if sum(bool(node.inputs) for node in order) < WORTH or any(node.op in (SOLVE, SCAN) for node in order):
        return None
    found = Compiled(region, states, captured)
    return found if found.run is not None else None


class CompiledField:
    """A `TorchField` that is computed by onnxruntime."""

    def __init__(self, compiled: Compiled, of: TorchField) -> None:
        self.compiled = compiled
        self.bound, self.fixed, self.parameters = of.bound, of.fixed, of.parameters
        first = len(compiled.places) - len(of.fixed)
        self.known = {f"x{first + i}": value.numpy() for i, value in enumerate(of.fixed)}

    def __call__(self, t: Tensor, states: Sequence[Tensor], slices: Sequence[Tensor] = ()) -> Tensors:
        moving = {f"x{i}": value.numpy() for i, value in enumerate((t, *states, *slices))}
        run = self.compiled.run
        assert run is not None
        return tuple(torch.from_numpy(value) for value in run({**self.known, **moving}).values())

    @property
    def differentiated(self) -> Differentiated | None:
        """Its Jacobian; None where that has no compiled form, or states are shared by all samples."""
        batched = all(item.type.batched for item in self.compiled.states)
        return Differentiated(self) if batched and self.compiled.run_tangent is not None else None


class Differentiated:
    """The Jacobian of a compiled field, for each sample the entries that are not always zero."""

    def __init__(self, of: CompiledField) -> None:
        self.of = of
        self.bound, self.fixed, self.parameters = of.bound, of.fixed, of.parameters

    def __call__(self, t: Tensor, states: Sequence[Tensor], slices: Sequence[Tensor] = ()) -> Tensors:
        """(samples, entries): those of `places`, one after the other."""
        run = self.of.compiled.run_tangent
        assert run is not None
        rows, count = len(states[0]), len(self._seeds)
        moving = {f"x{i}": value.numpy() for i, value in enumerate((t, *states, *slices))}
        given = self._repeated({**self.of.known, **moving}, count)
        ends = np.cumsum([prod(state.shape[1:]) for state in states])[:-1]
        for i, (state, seeds) in enumerate(zip(states, np.split(self._seeds, ends, axis=1), strict=True)):
            given[f"v{i}"] = np.repeat(seeds, rows, axis=0).reshape(count * rows, *state.shape[1:])
        found = [np.broadcast_to(item, (count * rows, *item.shape[1:])) for item in run(given).values()]
        columns = np.concatenate([item.reshape(count, rows, -1) for item in found], axis=2)
        here, there = self.places
        return (torch.from_numpy(columns[self.colours[there], :, here].T.copy()),)

    def _repeated(self, values: Mapping[str, Array], count: int) -> dict[str, Array]:
        """What the tangent reads, for every direction what the samples have."""
        found = {}
        for item in self.of.compiled.places:
            name, times = str(item.attrs["name"]), count if item.type.batched else 1
            if name in values:
                value = values[name]
                found[name] = np.tile(value, (times, *(1,) * (value.ndim - 1))) if times > 1 else value
        return found

    @cached_property
    def places(self) -> tuple[Array, Array]:
        """The rows and columns of the entries, column after column."""
        columns, rows = np.nonzero(self.of.compiled.sparsity.entries.T)
        return rows, columns

    @property
    def colours(self) -> Array:
        found: Array = self.of.compiled.sparsity.colours
        return found

    @cached_property
    def _seeds(self) -> Array:
        """(colours, numbers of the states): one where the column has that colour."""
        every = np.arange(int(self.colours.max(initial=0)) + 1)
        found: Array = (self.colours == every[:, None]).astype(np.float64)
        return found

    def beside(self, entries: Array) -> Any:
        """The samples side by side: a sparse matrix of a block for each."""
        (i, j), samples = self.places, len(entries)
        size = len(self.colours)
        starts = np.concatenate([[0], np.cumsum(np.bincount(j, minlength=size))])
        indices = (i + size * np.arange(samples)[:, None]).reshape(-1)
        pointers = np.append((starts[:-1] + len(i) * np.arange(samples)[:, None]).reshape(-1), len(i) * samples)
        return csc_array((entries.reshape(-1), indices, pointers), shape=(size * samples, size * samples))

    def banded(self, entries: Array, band: int) -> Array:
        """The same in a band: the entry of row i and column j is in row i - j + band of column j."""
        (i, j), samples = self.places, len(entries)
        size = len(self.colours)
        found = np.zeros((2 * band + 1, size * samples))
        found[i - j + band, j + size * np.arange(samples)[:, None]] = entries
        return found


def quick(of: TorchField, clock: Clock) -> TorchField:
    """The same field compiled, where that pays; not where the times come with the input, one for each sample."""
    working, device = of.bound.run.setting.working, of.bound.run.setting.device
    if clock.given is not None or working != torch.float64 or device.type != "cpu" or of.parameters:
        return of
    if not all(isinstance(item, Tensor) for item in of.fixed):
        return of
    compiled = _compiled(of.bound.region, of.bound.states, len(of.bound.captured))
    return of if compiled is None else CompiledField(compiled, of)


__all__ = ["CompiledField", "Differentiated", "quick"]
