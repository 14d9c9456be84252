r"""The spread of the noise of a field: S = sum_k g_k g_k^T over the entries of all states, and what is made of S.

Where each entry is driven by a channel of its own, S is diagonal and everything goes entry by entry; else S is formed
for each sample and factorised.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from isocline_compiler.graph import Fault, Node, Nodes, constant
from isocline_compiler.graph.solve import SolveSpec
from isocline_compiler.ops.elementwise import ABS, LOG, SQUARE
from isocline_compiler.ops.indexing import SELECT
from isocline_compiler.ops.reduction import REDUCE_SUM
from isocline_compiler.ops.shaping import RESHAPE, SPREAD
from isocline_compiler.solvers.field import Field
from isocline_compiler.solvers.noise_kinds import channels_apart
from isocline_compiler.vocabulary.gaussian import Factors, total
from isocline_dsl.messages import noise as messages

MOST = 16
"""Entries of states whose noise is mixed: the factors are written out, a third of the cube of this in operations."""


@dataclass(frozen=True)
class Spread:
    """S at some states: either the deviations of single entries, |g| of each state, or the factors of S."""

    places: tuple[int, ...]
    deviations: Nodes = ()
    factors: Factors | None = None

    def square(self, r: Sequence[Node]) -> Node:
        """r^T S^{-1} r, one number for each sample; r has an entry for each of the `places`."""
        if self.factors is not None:
            return self.factors.square(flat_entries(r))
        return total([_summed(SQUARE(x / g)) for x, g in zip(r, self.deviations, strict=True)])

    def log_determinant(self) -> Node:
        """log det S."""
        if self.factors is not None:
            return self.factors.log_determinant()
        return total([_summed(2.0 * LOG(g)) for g in self.deviations])


def entries_of(spec: SolveSpec, place: int) -> int:
    """Numbers in a state."""
    return prod(int(size) for size in spec.states[place].shape)


def spread_of(callee: str, field: Field, t: Node, x: Nodes) -> Spread:
    """S at these states. Raises `Fault` where it has no inverse, or the noise is not Brownian."""
    spec = field.spec
    if not spec.noises:
        raise _without(callee, spec, "has no noise")
    for noise in spec.noises:
        if noise.process != "brownian":
            raise _without(callee, spec, f"is driven by `{noise.name}`, which is not Brownian")
    places = tuple(sorted({state for term, state, _ in spec.by_term() if term.kind == "diffusion"}))
    if channels_apart(spec):
        ones = {item.name: SPREAD(constant(np.ones(item.size)), x[0]) for item in spec.noises}
        stirred = field.stir(t, x, ones)
        return Spread(places, tuple(ABS(_stirred(stirred[place])) for place in places))
    count = sum(entries_of(spec, place) for place in places)
    channels = sum(item.size for item in spec.noises)
    if channels < count:
        raise _without(callee, spec, f"drives {count} entries of its states by {channels} of noise")
    if count > MOST:
        raise _without(callee, spec, f"mixes the noise of {count} entries of its states, more than {MOST}")
    columns = [flat_entries(column) for column in columns_of(field, t, x, places)]
    matrix = [[total([column[i] * column[j] for column in columns]) for j in range(i + 1)] for i in range(count)]
    return Spread(places, factors=Factors.of(matrix))


def _without(callee: str, spec: SolveSpec, reason: str) -> Fault:
    return Fault(lambda span: messages.density_without_noise(span, callee, spec.field, reason))


def columns_of(field: Field, t: Node, x: Nodes, places: Sequence[int]) -> list[Nodes]:
    """g_k of every channel k, in the shapes of the states at these places."""
    found = []
    for noise in field.spec.noises:
        for k in range(noise.size):
            unit = {noise.name: SPREAD(constant(np.eye(noise.size)[k]), x[0])}
            stirred = field.stir(t, x, unit)
            column = (0.0 * x[place] if stirred[place] is None else _stirred(stirred[place]) for place in places)
            found.append(tuple(column))
    return found


def _stirred(node: Node | None) -> Node:
    assert node is not None
    return node


def flat_entries(parts: Sequence[Node]) -> list[Node]:
    """The entries of values one after another, (batch,) each."""
    found: list[Node] = []
    for part in parts:
        size = prod(int(item) for item in part.type.sample)
        flat = RESHAPE(part, shape=(part.shape[0], size))
        found += [SELECT(flat, axis=1, index=i) for i in range(size)]
    return found


def beside(h: Node, x: Node) -> Node:
    """A number for each sample, shaped to stand beside x."""
    return RESHAPE(h, shape=(h.shape[0], *(1,) * (x.type.rank - 1)))


def _summed(x: Node) -> Node:
    axes = tuple(range(1, x.type.rank))
    return REDUCE_SUM(x, axes=axes, keepdims=False) if axes else x
