r"""Gradients of reversible steps, their states found again on the way back instead of kept.

    x_i = Phi_i^{-1}(x_{i+1}),   a_i = (dPhi_i/dx)^T a_{i+1},   dL/dw = sum_i (dPhi_i/dw)^T a_{i+1}

Going back, a step is undone by the adjoint scheme with -h, then evaluated and differentiated alone. What is kept of a
solve are its ends: memory does not grow with the number of steps, and each step costs its adjoint and one more of
itself. Gomez, Ren, Urtasun, Grosse (2017), NeurIPS; Sander, Ablin, Blondel, Peyre (2021), ICML.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from isocline_compiler.backends.to_torch import FieldProgram, TorchField
from isocline_compiler.graph import ARGUMENT, Graph, Node, Nodes, Region, leaf, transform
from isocline_compiler.graph.solve import SOLVE, Solve, choice_of, spec_of
from isocline_compiler.solvers.field import Field
from isocline_compiler.solvers.grid import Discretisation, Grid
from isocline_compiler.solvers.reversible import exact_adjoint
from isocline_compiler.solvers.schemes.measured import Measured
from isocline_compiler.solvers.schemes.scheme import Scheme
from isocline_compiler.solvers.schemes.step import Step, beside
from isocline_compiler.solvers.unroll.controlled import lookups_of_steps, with_rows_of_controls
from isocline_compiler.solvers.unroll.time_span import steps_of
from isocline_dsl.diagnostics import IsoclineError
from isocline_dsl.messages import fitting as messages

Tensors = tuple[Tensor, ...]
RESTORED = 1e-3
"""How far from where it began a solve may come back, relative to the largest entry of a state at its two ends:
gradients at other states are other gradients."""


@dataclass
class ReversibleSteps:
    """Walks solves whose steps are undone in closed form, by the discretisations of their `choices`.

    Raises E469 on the way back where rounding has led it astray.
    """

    choices: dict[str, Discretisation] = field(default_factory=dict)

    def left_to_it(self, graph: Graph, choices: Mapping[str, Discretisation]) -> Graph:
        """The graph whose solves read the pieces of their controls, a row for each step, as unrolled ones do."""
        self.choices.update(choices)

        def visit(node: Node, inputs: Nodes) -> Node:
            again = node.rebuilt(inputs)
            if node.op is not SOLVE or choice_of(node) not in choices:
                return again
            solve, choice = Solve.of(again), choices[choice_of(node)]
            return with_rows_of_controls(solve, choice, lookups_of_steps(solve, choice)).node()

        outputs = transform(tuple(graph.outputs.values()), visit)
        return graph.with_outputs(dict(zip(graph.outputs, outputs, strict=True)))

    @cached_property
    def _walks(self) -> dict[Node, _Walk]:
        return {}

    def __call__(
        self, node: Node, bound: TorchField, initial: Tensors, captured: Tensors, stacked: Tensors, times: Tensor | None
    ) -> Tensors:
        """Each state at the end, or at all times on an axis after the batch axis."""
        if node not in self._walks:
            self._walks[node] = _Walk.of(Solve.of(node), self.choices[choice_of(node)])
        walk = self._walks[node]
        run = bound.bound.run
        ahead, behind = (program.bind(run, captured) for program in (walk.ahead, walk.behind))
        clock = walk.clock(initial[0], times)
        found = _there_and_back(walk, ahead, behind, *initial, *clock, *stacked, *ahead.parameters)
        count = len(initial)
        kept = [found[i : i + count] for i in range(0, len(found), count)]
        if not spec_of(node).interval.everywhere:
            return tuple(kept[-1])
        batched = [type_.batched for type_ in node.types]
        return tuple(torch.stack(x, dim=int(has)) for x, has in zip(zip(*kept, strict=True), batched, strict=True))


@dataclass(frozen=True, eq=False)
class _Walk:
    """One step of a solve as a program, that which undoes it, and how the steps lie.

    Both are over (t, states..., captured..., slices..., end, h).
    """

    solve: Solve
    choice: Discretisation
    ahead: FieldProgram
    behind: FieldProgram

    @classmethod
    def of(cls, solve: Solve, choice: Discretisation) -> _Walk:
        adjoint = exact_adjoint(choice.scheme)
        assert adjoint is not None, "what is not reversible is unrolled"
        held = len(solve.initial), len(solve.captured)
        ahead, behind = (_stepped(solve, scheme) for scheme in (Measured.of(choice.scheme, solve.spec), adjoint))
        return cls(solve, choice, FieldProgram(ahead, *held), FieldProgram(behind, *held))

    @property
    def count(self) -> int:
        """Steps in all."""
        return steps_of(self.solve, self.choice)

    @cached_property
    def keep(self) -> tuple[int, ...]:
        """After how many steps states are kept; the last is the end."""
        grid = self.choice.grid
        if not self.solve.spec.interval.everywhere:
            return (self.count,)
        return grid.keep if isinstance(grid, Grid) else tuple(range(0, self.count + 1, grid))

    def clock(self, like: Tensor, times: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Begin, end and width of each step, (steps,) or with times that come with the input (steps, batch)."""
        grid = self.choice.grid
        if isinstance(grid, Grid):
            parts = grid.begins, grid.ends, grid.widths
            begins, ends, widths = (torch.tensor(part, dtype=like.dtype, device=like.device) for part in parts)
            return begins, ends, widths
        assert times is not None, "a number of substeps is a discretisation for times that come with the input"
        nodes = times.movedim(-1, 0)
        widths = (nodes[1:] - nodes[:-1]) / grid
        inner = [nodes[:-1] + j * widths for j in range(grid)]
        begins = torch.stack(inner, dim=1).flatten(0, 1)
        return begins, torch.cat([begins[1:], nodes[-1:]]), widths.repeat_interleave(grid, dim=0)

    def slices(self, stacked: Tensors, i: int) -> list[tuple[int, Tensor]]:
        """What step i reads of each stack: the place, and the slice."""
        rows = self.solve.spec.rows
        places = [row.index(i, self.count, len(x)) for row, x in zip(rows, stacked, strict=True)]
        return [(place, x[place]) for place, x in zip(places, stacked, strict=True)]


def _stepped(solve: Solve, scheme: Scheme) -> Region:
    """One step of a scheme, over (t, states..., captured..., slices..., end, h)."""
    end, h = (leaf(ARGUMENT, name, solve.time.type) for name in ("end", "h"))
    arguments = solve.region.arguments
    # captured values stay arguments: what they alone decide is computed once a solve, by the program that binds them
    free = replace(solve, region=Region((solve.time, *solve.state_arguments, *solve.row_arguments),
                                        solve.region.results), captured=())  # fmt: skip
    states = solve.state_arguments
    widths = tuple(beside(h, x) for x in states)
    field = Field(free, solve.row_arguments)
    _, moved = scheme.advance(scheme.start(field, states), field, Step(solve.time, end, h, widths), states)
    return Region((*arguments, end, h), moved)


# ---------------------------------------------------------------------------------------------------- there and back


class _Reversible(torch.autograd.Function):
    """The states after the kept steps; their gradient by steps that are undone."""

    @staticmethod
    def forward(ctx: Any, walk: _Walk, ahead: TorchField, behind: TorchField, *given: Tensor) -> Tensors:
        states, clock, stacked, _ = _roles(walk, given)
        x, found = states, [states] if walk.keep[0] == 0 else []
        for i in range(walk.count):
            t, end, h = (part[i] for part in clock)
            x = ahead(t, x, (*(item for _, item in walk.slices(stacked, i)), end, h))
            if i + 1 in walk.keep:
                found.append(x)
        device = x[0].device.type
        ctx.cast = device, torch.get_autocast_dtype(device), torch.is_autocast_enabled(device)
        ctx.walk, ctx.ahead, ctx.behind = walk, ahead, behind
        ctx.save_for_backward(*x, *given)
        return tuple(value.clone() if value is start else value for kept in found
                     for value, start in zip(kept, states, strict=True))  # fmt: skip

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        walk, count = ctx.walk, len(ctx.walk.solve.initial)
        x, given = ctx.saved_tensors[:count], ctx.saved_tensors[count:]
        back = _Backward(walk, ctx.ahead, ctx.behind, *_roles(walk, given))
        device, dtype, enabled = ctx.cast
        with torch.autocast(device, dtype, enabled):
            found = back(x, {place: grads[k * count : (k + 1) * count] for k, place in enumerate(walk.keep)})
        needed = ctx.needs_input_grad[3:]
        return None, None, None, *(value if need else None for value, need in zip(found, needed, strict=True))


_there_and_back: Callable[..., Tensors] = _Reversible.apply


def _roles(walk: _Walk, given: Sequence[Tensor]) -> tuple[Tensors, Tensors, Tensors, Tensors]:
    """States, clock, stacks and parameters."""
    first = len(walk.solve.initial)
    second, third = first + 3, first + 3 + len(walk.solve.spec.rows)
    return tuple(given[:first]), tuple(given[first:second]), tuple(given[second:third]), tuple(given[third:])


@dataclass
class _Backward:
    """The way back of one solve: `sums` hold the gradients of the clock, the stacks and the parameters so far."""

    walk: _Walk
    ahead: TorchField
    behind: TorchField
    states: Tensors
    clock: Tensors
    stacked: Tensors
    parameters: Tensors

    def __call__(self, x: Tensors, kept: Mapping[int, Tensors]) -> Tensors:
        """The gradients of the states at first, the clock, the stacks and the parameters. Raises E469."""
        ends = x
        a = tuple(map(torch.zeros_like, x))
        clock, stacked, parameters = (
            [torch.zeros_like(item) for item in items] for items in (self.clock, self.stacked, self.parameters)
        )
        for i in reversed(range(self.walk.count)):
            a = _plus(a, kept.get(i + 1))
            slices = self.walk.slices(self.stacked, i)
            t, end, h = (part[i] for part in self.clock)
            rows = [item for _, item in slices]
            with torch.no_grad():
                x = self.behind(end, x, (*rows, t, -h))
            moved, times, read, shared = self._alone(x, (t, end, h), rows, a)
            a = moved
            for total, gradient in zip(clock, times, strict=True):
                total[i] += gradient
            for total, (place, _), gradient in zip(stacked, slices, read, strict=True):
                total[place] += gradient
            for total, gradient in zip(parameters, shared, strict=True):
                total += gradient
        self._require_restored(x, ends)
        return (*_plus(a, kept.get(0)), *clock, *stacked, *parameters)

    def _alone(
        self, x: Tensors, times: Tensors, rows: Sequence[Tensor], a: Tensors
    ) -> tuple[Tensors, Tensors, Tensors, Tensors]:
        """a^T times the derivatives of one step by its states, times, slices and parameters."""
        with torch.enable_grad():
            own = [item.detach().requires_grad_() for item in (*x, *times, *rows)]
            first, second = len(x), len(x) + len(times)
            t, end, h = own[first:second]
            after = self.ahead(t, own[:first], (*own[second:], end, h))
            moving = [(value, grad) for value, grad in zip(after, a, strict=True) if value.requires_grad]
            wanted = (*own, *self.ahead.parameters)
            found = torch.autograd.grad(
                [value for value, _ in moving], wanted, [grad for _, grad in moving],
                allow_unused=True, materialize_grads=True,
            )  # fmt: skip
        third = len(own)
        return found[:first], found[first:second], found[second:third], found[third:]

    def _require_restored(self, x: Tensors, ends: Tensors) -> None:
        """Raises E469 where the states that the walk ends at are not those that the solve began with."""
        solve = self.walk.solve
        for state, found, start, end in zip(solve.spec.states, x, self.states, ends, strict=True):
            if state.role == "measure" or not start.numel():
                continue  # nothing reads a sum over the steps: it is not found again
            size = torch.maximum(start.abs().amax(), end.abs().amax()).clamp(min=torch.finfo(start.dtype).tiny)
            apart = float((found - start).abs().amax() / size)
            if not apart <= RESTORED:
                scheme = self.walk.choice.scheme.name
                told = solve.spec.field, state.name, scheme, self.walk.count, f"{apart:.1e}"
                raise IsoclineError([messages.states_not_restored(solve.span, *told)])


def _plus(a: Tensors, grads: Tensors | None) -> Tensors:
    return a if grads is None else tuple(x + g for x, g in zip(a, grads, strict=True))
