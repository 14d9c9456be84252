"""Solve nodes by the adaptive solvers of torchdiffeq: known times, times that come with the data, either direction."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from isocline_compiler.backends.forcing import forcing_of
from isocline_compiler.backends.to_torch import TorchField, solution_of
from isocline_compiler.graph import Node
from isocline_compiler.graph.solve import spec_of
from isocline_compiler.training.breaks import Breaks
from isocline_compiler.training.clock import Clock, Leg, States
from isocline_compiler.training.integrate_noise import NoiseIntegrator
from isocline_compiler.training.reversible import ReversibleSteps
from isocline_compiler.training.sizes import moving_sizes
from isocline_compiler.training.steering import Steering
from isocline_compiler.training.watched_field import Halt, WatchedField

_INTERPOLATES_WELL = frozenset({"dopri5"})
"""Solvers whose values between steps are as good as their steps; the others must step onto every time that is kept,
or the solution there is 100 times further off than the tolerances say."""
FIRST = 1e-3
"""The first step, as a part of its leg: a solver's own guess looks beyond the end when time is in nanoseconds."""
WIDER = 4.0
"""The first step of a further leg, in the longest that was accepted of the one before, which its end may have cut."""
LONGEST = 1 / 16
"""The longest step through a field that reads the time, as a part of the horizon."""
WINDOWS, NOISE, LEAST = 16, 1e-16, 1e-290
"""Windows in which the size of a state is found; one far below the others is rounding."""
OVERFLOWED = 1e6
"""By how much a step that overflows is said to exceed its tolerance: it is tried again, shorter."""
SAFETY, GROWTH = 0.9, 10.0
"""The next step is min(GROWTH, SAFETY / e^(1/p)) times the last, whose error was e times its tolerance, and no longer
than the longest."""
POWERS = {"dopri8": 8}
"""The p of the solvers that references use."""


@dataclass(frozen=True)
class Solved:
    """The states at the stops, (stops, ...), and how large they were on the way (see `Watch.sizes`).

    `slack`: with all tolerances up to so many times smaller each step would have been the same; with larger ones, too.
    `evaluations` of the field were made.
    """

    path: States
    sizes: States
    slack: float = 0.0
    evaluations: int = 0


@dataclass
class AdaptiveIntegrator:
    """x(t) with x' = f(t, x), the local error of a step kept below atol + rtol |x| in every sample and every state.

    The error of a state is the root mean square over its entries. What the field reads of the time alone is searched
    for jumps, which no step crosses, and for narrow features, which none steps over. `allowed` bounds the evaluations
    of a solve, `longest` the steps, as a part of the horizon. With `adjoint` the gradient is the solution of
    a' = -(df/dx)^T a backwards in time (Chen et al. 2018), in constant memory and to the solver's own tolerance;
    without, it is the derivative of the numerical solution. What noise drives is left to `driven`, steps
    on a grid that are undone for their gradient to `reversible`. Raises E452 (the
    solution runs away), E453 (too many evaluations), E457 (times out of order).
    """

    method: str = "dopri5"
    rtol: float = 1e-6
    atol: float = 1e-6
    allowed: int = 100_000
    adjoint: bool = False
    steering: Steering = dataclasses.field(default_factory=lambda: Steering(0.0))
    longest: float | None = None
    known: dict[str, tuple[States, Breaks]] = dataclasses.field(default_factory=dict)
    look: Callable[[Halt], None] | None = None
    driven: NoiseIntegrator | None = None
    reversible: ReversibleSteps | None = None

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
        if self.driven is not None and spec_of(node).noises:
            return self.driven(node, field, initial, captured, stacked, times)
        if self.reversible is not None and spec_of(node).choice in self.reversible.choices:
            return self.reversible(node, field, initial, captured, stacked, times)
        path = self.solve(node, field, initial, stacked, times).path
        if not spec_of(node).interval.everywhere:
            return tuple(states[-1] for states in path)
        return tuple(
            states.movedim(0, 1) if type_.batched else states for states, type_ in zip(path, node.types, strict=True)
        )

    def clock(self, node: Node, times: Tensor | None) -> Clock:
        """The clock of a solve. Raises E457 for times out of order."""
        return Clock.of(node, times, None if times is not None else self.steering.times(node))

    def breaks(self, node: Node, field: TorchField, clock: Clock) -> Breaks:
        """Where the field jumps and is busy, searched for anew when what it depends on has changed."""
        given = () if clock.given is None else (clock.given,)
        reads = (*forcing_of(field.bound).reads(field.bound), torch.tensor(clock.stops, dtype=torch.float64), *given)
        name = solution_of(node, field)
        before = self.known.get(name)
        if before is None or not _same(before[0], reads):
            before = tuple(item.detach().clone() for item in reads), clock.breaks(field)
            self.known[name] = before
        return before[1]

    def solve(
        self,
        node: Node,
        field: TorchField,
        initial: States,
        stacked: States,
        times: Tensor | None,
        absolute: States | None = None,
    ) -> Solved:
        """The states at every stop. `absolute` is the absolute tolerance of each state, instead of `atol`."""
        clock = self.clock(node, times)
        path = [tuple(state[None] for state in initial)]
        if len(clock.stops) == 1:
            return Solved(path[0], initial)
        breaks = self.breaks(node, field, clock)
        given = () if clock.given is None else (clock.given,)
        longest = self._longest(field, clock)
        batched = tuple(type_.batched for type_ in node.types[: len(initial)])
        watch = _Watch(absolute, batched, longest, POWERS.get(self.method))
        x, constants = initial, (*field.parameters, *stacked, *given)
        evaluations = 0
        for leg in clock.legs(node, stacked, breaks):
            slopes = clock.slopes(node, field, stacked, leg)
            watched = WatchedField(
                slopes, node, self.method, self.allowed, clock.time, watch.accept, evaluations, self.look
            )
            found = self._leg(watched, x, leg, constants, self._settings(leg, longest, watch))
            evaluations, x = watched.evaluations, tuple(states[-1] for states in found)
            watched.evaluations = 0  # the adjoint evaluates the field again, with the same bound
            path.append(tuple(states[_places(leg)] for states in found))
            watch.see(leg.end, x)
        whole = tuple(torch.cat(states) for states in zip(*path, strict=True))
        return Solved(whole, watch.sizes(clock), watch.slack, evaluations)

    def _leg(
        self,
        watched: WatchedField,
        initial: States,
        leg: Leg,
        constants: Sequence[Tensor],
        settings: dict[str, Any],
    ) -> States:
        """torchdiffeq on one leg, its failures turned into ours: the states at its start, its stops and its end."""
        times = torch.tensor(sorted({leg.start, *leg.stops, leg.end}, reverse=leg.end < leg.start), dtype=torch.float64)
        times = times.to(initial[0].device)
        try:
            path = self._integrate(watched, initial, times, constants, settings)
        except AssertionError as error:
            # torchdiffeq asserts that a step advances and that the state is finite; nothing else is a solve's fault.
            if not any(words in str(error) for words in ("underflow in dt", "non-finite")):
                raise
            raise watched.stalled(initial, times[0]) from None
        return path

    def _longest(self, field: TorchField, clock: Clock) -> float:
        driven = bool(forcing_of(field.bound).nodes)
        return clock.horizon * (self.longest if self.longest is not None else LONGEST if driven else 1.0)

    def _settings(self, leg: Leg, longest: float, watch: _Watch) -> dict[str, Any]:
        """What torchdiffeq is told: tolerances, the norm, the first and the longest step, what it steps onto."""
        onto = set(leg.features) | {leg.end}
        if self.method not in _INTERPOLATES_WELL:
            onto |= {stop for stop in leg.stops if stop != leg.start}
        options = {
            "norm": watch.norm, "first_step": watch.begun(abs(leg.end - leg.start)), "max_step": longest,
            "step_t": torch.tensor(sorted(onto), dtype=torch.float64), "safety": SAFETY, "ifactor": GROWTH,
        }  # fmt: skip
        absolute = self.atol if watch.absolute is None else tuple(item.reshape(-1) for item in watch.absolute)
        return {"rtol": self.rtol, "atol": absolute, "method": self.method, "options": options}

    def _integrate(
        self,
        watched: WatchedField,
        initial: States,
        times: Tensor,
        constants: Sequence[Tensor],
        settings: dict[str, Any],
    ) -> States:
        import torchdiffeq

        if not self.adjoint:
            return tuple(torchdiffeq.odeint(watched, initial, times, **settings))
        moved = tuple(item for item in constants if item.requires_grad)
        return tuple(torchdiffeq.odeint_adjoint(watched, initial, times, adjoint_params=moved, **settings))


def _places(leg: Leg) -> list[int]:
    """Where the stops of a leg stand among its start, its stops and its end."""
    inner = sorted({leg.start, *leg.stops, leg.end}, reverse=leg.end < leg.start)
    return [inner.index(stop) for stop in leg.stops]


@dataclass
class _Watch:
    """What one solve keeps in mind from leg to leg: how states are measured, and how large they were."""

    absolute: States | None
    batched: tuple[bool, ...]
    longest: float
    power: int | None
    seen: list[tuple[float, States]] = dataclasses.field(default_factory=list)
    errors: list[Tensor] = dataclasses.field(default_factory=list)
    """Of the steps that were tried since one was accepted."""
    slack: float = torch.inf
    widest: float = 0.0
    """The longest step of the leg that is walked."""

    def begun(self, length: float) -> float:
        """The first step of a leg of this length, as the leg before would have gone on."""
        first, self.widest = min(WIDER * self.widest, length, self.longest) or FIRST * length, 0.0
        return first

    def norm(self, states: States) -> Tensor:
        """The largest, over samples and states, of the root mean square over the entries of a state."""
        rows = zip(states, self.batched, strict=True)
        found = torch.stack([self._rows(x, has).square().mean(dim=1).amax().sqrt() for x, has in rows]).amax()
        found = torch.nan_to_num(found, nan=OVERFLOWED, posinf=OVERFLOWED)
        if self.absolute is not None:
            self.errors.append(found)
        return found

    def _rows(self, x: Tensor, batched: bool) -> Tensor:
        return x.reshape(len(x), -1) if batched and x.ndim else x.reshape(1, -1)

    def accept(self, t: float, states: States, step: float) -> None:
        """A step from these states was accepted. It leaves as much slack as its error may grow before the next step
        is another: none when it was not the first that was tried.
        """
        self.see(t, states)
        self.widest = max(self.widest, abs(step))
        if self.absolute is not None:
            growth = min(GROWTH, self.longest / abs(step))
            allowed = (SAFETY / growth) ** self.power if self.power and len(self.errors) == 1 else 0.0
            self.slack = min(self.slack, allowed / max(float(self.errors[-1]), LEAST))
            self.errors.clear()

    def see(self, t: float, states: States) -> None:
        """The largest entry of each state of each sample at a time."""
        if self.absolute is not None:
            rows = zip(states, self.batched, strict=True)
            self.seen.append((t, tuple(self._rows(x.detach(), has).abs().amax(dim=1) for x, has in rows)))

    def sizes(self, clock: Clock) -> States:
        """How large each state of each sample always is now and then: the least, over windows of the horizon, of the
        largest in a window. An error far below it is of no account anywhere. Windows in which a state is still at rest,
        or gone, do not count.
        """
        if not self.seen:
            return ()
        windows: dict[int, States] = {}
        for t, sizes in self.seen:
            place = min(int(abs(t - clock.stops[0]) / clock.horizon * WINDOWS), WINDOWS - 1)
            before = windows.get(place)
            windows[place] = sizes if before is None else tuple(map(torch.maximum, before, sizes))
        every = [torch.stack(values) for values in zip(*windows.values(), strict=True)]
        moving = [torch.from_numpy(moving_sizes(item.cpu().numpy())).to(item) for item in every]
        most = max(float(item.amax()) for item in every)
        return tuple(x.clamp(min=most * NOISE + LEAST) for x in moving)


def _same(left: States, right: States) -> bool:
    return len(left) == len(right) and all(
        a.shape == b.shape and torch.equal(a, b) for a, b in zip(left, right, strict=True)
    )
