"""Models whose scheme is their own, stepped a second time: by torchdiffeq where it has the scheme, else plainly.

Nothing here knows of graphs, segments, tables or memories of schemes. It reads the field, the times, the number of
steps and, for explicit Runge-Kutta, the coefficients, whose order the observed order checks. Of other families the
coefficients are written anew (`second_steps.py`, `second_implicit.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import torch
import torchdiffeq
from torch import Tensor

from isocline_compiler.backends.to_torch import FieldProgram, Integrator, TorchField
from isocline_compiler.certify.delayed import DelayedField, Recorded
from isocline_compiler.certify.rows import Rows
from isocline_compiler.certify.second_events import cut_steps
from isocline_compiler.certify.second_fractional import EVEN, second_fractional
from isocline_compiler.certify.second_fractional import STEPS as FRACTIONAL_STEPS
from isocline_compiler.certify.second_implicit import STEPS
from isocline_compiler.certify.second_steps import Equations, Slopes
from isocline_compiler.graph import Node, Region, topological
from isocline_compiler.graph.called import Called
from isocline_compiler.graph.delay import delays_of, remembers
from isocline_compiler.graph.fractional import has_order
from isocline_compiler.graph.solve import Solve, SolveSpec, spec_of
from isocline_compiler.ops.lookup import LOOKUPS
from isocline_compiler.solvers.schemes import SCHEMES
from isocline_compiler.solvers.schemes.tableau import Tableau

THEIRS = {"euler": "euler", "midpoint": "midpoint", "rk38": "rk4", "heun": "heun2"}
"""Our name and torchdiffeq's; its `rk4` is the 3/8 rule."""
MOST_SUMMED, MOST_UNEVEN = 10_000, 2000
"""Steps of fractional order that are walked again, on even grids and on others: each sums over all before it, and where
steps differ with weights of its own.
"""
SAME = 1e-9
"""The largest relative difference between two walks of the same steps in float64."""

Tensors = tuple[Tensor, ...]
Coefficients: TypeAlias = "tuple[list[list[float]], list[float], list[float]]"
Slope: TypeAlias = "Callable[[Tensor, Tensors, Sequence[Tensor]], Sequence[Tensor]]"


def steppable(solve: Solve) -> bool:
    """Whether there is a second implementation of a solve's own scheme."""
    spec = solve.spec
    if spec.scheme is None or spec.noises:
        return False
    known = SCHEMES[spec.scheme.name]
    if has_order(spec):
        most = MOST_SUMMED if _is_even(spec) else MOST_UNEVEN
        return spec.scheme.name in FRACTIONAL_STEPS and int(spec.scheme.options["steps"]) <= most
    if delays_of(solve):
        return isinstance(known, Tableau) and known.explicit
    plain = all(state.role == "own" for state in spec.states) and spec.interval.times is not None
    if isinstance(known, Tableau) and known.explicit:
        return True
    return plain and spec.scheme.name in STEPS and not spec.events


def _is_even(spec: SolveSpec) -> bool:
    """Whether the times that are kept are known and equally far apart."""
    if spec.interval.times is None:
        return False
    gaps = np.diff(spec.interval.times)
    return bool(np.allclose(gaps, gaps.mean(), rtol=EVEN, atol=0))


@dataclass(frozen=True)
class SecondWalk:
    """Integrates solves that name their scheme, the others by `otherwise`."""

    otherwise: Integrator

    def __call__(
        self, node: Node, field: TorchField, initial: Tensors, captured: Tensors, stacked: Tensors, times: Tensor | None
    ) -> Tensors:
        spec = spec_of(node)
        if spec.scheme is None or not steppable(Solve.of(node)):
            return self.otherwise(node, field, initial, captured, stacked, times)
        count = int(spec.scheme.options["steps"])
        known = times if times is not None else torch.tensor(spec.interval.times, dtype=torch.float64)
        if has_order(spec):
            path = second_fractional(node, field, initial, known.tolist(), count)
        elif remembers(node):
            told = Recorded(DelayedField(node, field), initial, float(known[0]))
            path = _by_hand(spec, _tableau(spec.scheme), told, initial, stacked, known, count, told.note)
        elif spec.events:
            tableau = SCHEMES[spec.scheme.name]
            assert isinstance(tableau, Tableau)
            path = cut_steps(node, field, initial, captured, times, tableau, count)
        elif spec.scheme.name in STEPS:
            path = _by_second_steps(Solve.of(node), field, initial, stacked, known.tolist(), count)
        elif times is None and not stacked and spec.scheme.name in THEIRS and not inset(field):
            path = _by_torchdiffeq(THEIRS[spec.scheme.name], field, initial, known, count)
        else:
            edge = inset(field)
            path = _by_hand(spec, _tableau(spec.scheme, edge), field, initial, stacked, known, count)
        if not spec.interval.everywhere:
            return tuple(states[-1] for states in path)
        return tuple(x.movedim(0, 1) if t.batched else x for x, t in zip(path, node.types, strict=True))


def _by_second_steps(
    solve: Solve, field: TorchField, initial: Tensors, stacked: Tensors, times: list[float], count: int
) -> Tensors:
    """The kept states by the steps that `second_implicit` lists."""
    scheme, rows = solve.spec.scheme, Rows(solve, initial)
    assert scheme is not None
    each = count // (len(times) - 1)
    nodes = [a + (b - a) * j / each for a, b in pairwise(times) for j in range(each)] + [times[-1]]
    stiff = _marked(solve, field)
    owner = np.repeat(np.arange(len(initial)), [shape.numel() for shape in rows.shapes])

    def slices(i: int) -> list[Tensor]:
        read = zip(solve.spec.rows, met(solve.spec, stacked, i, count), strict=True)
        return [value for row, value in read if row.read_by_field]

    learned = {row.name: value for row, value in zip(solve.spec.rows, stacked, strict=True) if not row.read_by_field}

    edge = inset(field)
    equations = Equations(
        _within(rows.slopes(field, slices), nodes, edge),
        None if stiff is None else _within(rows.slopes(stiff, slices), nodes, edge),
        owner,
        {**SCHEMES[scheme.name].options, **scheme.options, **learned},
    )
    path = STEPS[scheme.name](equations, rows.joined(initial), nodes)
    return tuple(torch.stack(states) for states in zip(*map(rows.apart, path[::each]), strict=True))


def _within(slopes: Slopes, nodes: list[float], edge: float) -> Slopes:
    """The same slopes, read no nearer to the ends of a step than so much of it."""
    if not edge:
        return slopes

    def of(t: float | Tensor, x: Tensor, i: int) -> Tensor:
        h = nodes[i + 1] - nodes[i]
        low, high = sorted((nodes[i] + edge * h, nodes[i + 1] - edge * h))
        return slopes(t.clamp(low, high) if isinstance(t, Tensor) else min(max(t, low), high), x, i)

    return of


def _marked(solve: Solve, field: TorchField) -> TorchField | None:
    """What is marked as stiff of the slopes; None where nothing is."""
    parts = solve.parts("stiff")
    if all(item is None for item in parts):
        return None
    results = tuple(0.0 * x if v is None else v for v, x in zip(parts, solve.state_arguments, strict=True))
    program = FieldProgram(Region(solve.region.arguments, results), len(solve.initial), len(solve.captured))
    return program.bind(field.bound.run, field.bound.captured)


def _by_torchdiffeq(method: str, field: TorchField, initial: Tensors, times: Tensor, count: int) -> Tensors:
    """The kept states, (times, ...), by torchdiffeq's own fixed grid, equally many steps between neighbouring times."""
    each = count // (len(times) - 1)
    parts = [torch.linspace(float(a), float(b), each + 1, dtype=torch.float64) for a, b in pairwise(times)]
    nodes = torch.cat([parts[0][:1], *(part[1:] for part in parts)])
    found = torchdiffeq.odeint(lambda t, x: field(t, x), initial, nodes, method=method)
    return tuple(states[::each] for states in found)


def met(spec: SolveSpec, stacked: Tensors, step: int, count: int) -> list[Tensor]:
    """What a step reads of each stack of rows: equal parts of the way in turn, from the last one on going back."""
    progress = (step + 0.5) / count
    parts = (1 - progress if row.indexing == "backwards" else progress for row in spec.rows)
    return [rows[int(part * len(rows))] for part, rows in zip(parts, stacked, strict=True)]


def _tableau(scheme: Called, edge: float = 0.0) -> Coefficients:
    """Rows, weights and nodes of a scheme; no node nearer to the ends of a step than so much of it."""
    tableau = SCHEMES[scheme.name]
    assert isinstance(tableau, Tableau)
    return tableau.matrix.tolist(), tableau.weights.tolist(), tableau.nodes.clip(edge, 1 - edge).tolist()


def _by_hand(
    spec: SolveSpec, coefficients: Coefficients, field: Slope, initial: Tensors, stacked: Tensors, times: Tensor,
    count: int, begun: Callable[[Tensor, Tensors, Sequence[Tensor]], None] = lambda t, x, slices: None,
) -> Tensors:  # fmt: skip
    """k_i = f(t + c_i h, x + h sum_j a_ij k_j), x' = x + h sum_i b_i k_i, written out; the kept states.

    `begun` is told where each step begins.
    """
    a, b, c = coefficients
    kept, x, done = [initial], initial, 0
    for index in range(times.shape[-1] - 1):
        begin, end = times[..., index], times[..., index + 1]
        each = count // (times.shape[-1] - 1)
        for j in range(each):
            h = (end - begin) / each
            slices = met(spec, stacked, done, count)
            begun(begin + j * h, x, slices)
            slopes: list[Tensors] = []
            for i in range(len(b)):
                if not (b[i] or any(row[i] for row in a)):
                    continue
                moved = tuple(
                    _plus(value, h, [(a[i][m], k[s]) for m, k in enumerate(slopes)]) for s, value in enumerate(x)
                )
                slopes.append(tuple(field(begin + (j + c[i]) * h, moved, slices)))
            x = tuple(_plus(value, h, [(b[m], k[s]) for m, k in enumerate(slopes)]) for s, value in enumerate(x))
            done += 1
        kept.append(x)
    return tuple(torch.stack(states) for states in zip(*kept, strict=True))


def inset(field: TorchField) -> float:
    """How far, in parts of a step, stages stay from its ends: on a path in pieces, which may jump at knots there."""
    nodes = topological(field.bound.region.results)
    return 1e-12 if any(node.op in LOOKUPS for node in nodes) else 0.0


def _plus(value: Tensor, h: Tensor, terms: list[tuple[float, Tensor]]) -> Tensor:
    width = h.reshape(*h.shape, *(1,) * (value.ndim - h.ndim)) if h.ndim else h
    for coefficient, slope in terms:
        if coefficient:
            value = value + width * coefficient * slope
    return value
