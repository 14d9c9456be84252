"""Solve nodes by the adaptive solvers of torchdiffeq: known times, times that come with the data, either direction."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from isocline_compiler.backends.to_torch import TorchField
from isocline_compiler.graph import Node
from isocline_compiler.graph.solve import spec_of
from isocline_compiler.training.steering import Steering
from isocline_compiler.training.watched_field import FieldFunction, States, WatchedField
from isocline_dsl.diagnostics import IsoclineError
from isocline_dsl.messages import fitting as messages

_INTERPOLATES_WELL = frozenset({"dopri5"})
"""Solvers whose values between steps are as good as their steps; the others must step onto every time that is kept,
or the solution there is 100 times further off than the tolerances say."""


@dataclass
class AdaptiveIntegrator:
    """x(t) with x' = f(t, x), the local error of a step kept below atol + rtol |x| (rms over all samples).

    `allowed` bounds the evaluations of a solve. With `adjoint` the gradient is the solution of
    a' = -(df/dx)^T a backwards in time (Chen et al. 2018), in constant memory and to the solver's own
    tolerance; without, it is the derivative of the numerical solution. Raises E452 (the solution runs away),
    E453 (too many evaluations), E457 (times out of order).
    """

    method: str = "dopri5"
    rtol: float = 1e-6
    atol: float = 1e-6
    allowed: int = 100_000
    adjoint: bool = False
    steering: Steering = dataclasses.field(default_factory=lambda: Steering(0.0))

    def __call__(
        self,
        node: Node,
        field: TorchField,
        initial: States,
        captured: States,
        stacked: States,
        times: Tensor | None,
    ) -> States:
        """Each state at the end, or at all times on an axis after the batch axis."""
        interval = spec_of(node).interval
        if times is None:
            path = self._at_known_times(node, field, initial, stacked)
        else:
            path = self._at_given_times(node, field, initial, stacked, times)
        if not interval.everywhere:
            return tuple(states[-1] for states in path)
        return tuple(
            states.movedim(0, 1) if type_.batched else states for states, type_ in zip(path, node.types, strict=True)
        )

    def _at_known_times(self, node: Node, field: TorchField, initial: States, stacked: States) -> States:
        """One solve through all times, which every sample shares: states of shape (times, ...)."""
        known = torch.tensor(self.steering.times(node), dtype=torch.float64, device=initial[0].device)
        if len(known) == 1:
            return tuple(state[None] for state in initial)
        start, length = known[0], known[-1] - known[0]

        def slopes(t: Tensor, states: States) -> States:
            return field(t, states, _slices(node, stacked, float((t - start) / length)) if stacked else ())

        return self._solve(slopes, node, initial, known, (*field.parameters, *stacked))

    def _at_given_times(self, node: Node, field: TorchField, initial: States, stacked: States, times: Tensor) -> States:
        """Interval by interval, each on its own clock s in [0, 1]: dx/ds = h f(a + s h, x), with h = b - a."""
        _check_order(node, times)
        path, count = [initial], times.shape[-1]
        clock = torch.tensor([0.0, 1.0], dtype=torch.float64, device=initial[0].device)
        constants = (*field.parameters, *stacked, times)
        for index in range(count - 1):
            begin, end = times[..., index], times[..., index + 1]
            slopes = _rescaled(field, begin, end, _slices(node, stacked, (index + 0.5) / (count - 1)))
            report = partial(_between, begin, end)
            path.append(tuple(s[-1] for s in self._solve(slopes, node, path[-1], clock, constants, report)))
        return tuple(torch.stack(states) for states in zip(*path, strict=True))

    def _solve(
        self,
        slopes: FieldFunction,
        node: Node,
        initial: States,
        times: Tensor,
        constants: Sequence[Tensor],
        report: Callable[[Tensor], Tensor] | None = None,
    ) -> States:
        """torchdiffeq, its failures turned into ours; `report` turns its clock into the time of the file."""
        watched = WatchedField(slopes, node, self.method, self.allowed, report)
        try:
            path = self._integrate(watched, initial, times, constants)
        except AssertionError as error:
            # torchdiffeq asserts that a step advances and that the state is finite; nothing else is a solve's fault.
            if not any(words in str(error) for words in ("underflow in dt", "non-finite")):
                raise
            raise watched.stalled(initial, times[0]) from None
        watched.evaluations = 0  # the adjoint evaluates the field again, with the same bound
        return path

    def _integrate(self, watched: WatchedField, initial: States, times: Tensor, constants: Sequence[Tensor]) -> States:
        import torchdiffeq

        settings: dict[str, Any] = {"rtol": self.rtol, "atol": self.atol, "method": self.method}
        if self.method not in _INTERPOLATES_WELL:
            settings["options"] = {"step_t": times[1:]}
        if not self.adjoint:
            return tuple(torchdiffeq.odeint(watched, initial, times, **settings))
        moved = tuple(item for item in constants if item.requires_grad)
        return tuple(torchdiffeq.odeint_adjoint(watched, initial, times, adjoint_params=moved, **settings))


def _between(begin: Tensor, end: Tensor, s: Tensor) -> Tensor:
    return begin + s * (end - begin)


def _rescaled(field: TorchField, begin: Tensor, end: Tensor, slices: States) -> FieldFunction:
    """f on the clock of one interval: h f(a + s h, x), where a and h are one number a sample, or one for all."""
    width = end - begin

    def slopes(s: Tensor, states: States) -> States:
        values = field(begin + s * width, states, slices)
        return tuple(_over(width, value) * value for value in values)

    return slopes


def _over(width: Tensor, value: Tensor) -> Tensor:
    """(batch,) as (batch, 1, ..., 1), of the rank of `value`."""
    return width.reshape(*width.shape, *(1,) * (value.ndim - width.ndim))


def _slices(node: Node, stacked: States, progress: float) -> States:
    """What the field reads of its rows, with p in [0, 1] how far the solve is."""
    rows = spec_of(node).rows
    return tuple(item[row.at(progress, len(item))] for row, item in zip(rows, stacked, strict=True))


def _check_order(node: Node, times: Tensor) -> None:
    """Every sample travels one way and may stand still. Raises E457."""
    steps = times.detach().diff(dim=-1)
    forwards, backwards = (steps >= 0).all(dim=-1), (steps <= 0).all(dim=-1)
    if not bool((forwards | backwards).all()) or not bool(torch.isfinite(times).all()):
        raise IsoclineError([messages.times_not_in_order(node.span, spec_of(node).field)])
