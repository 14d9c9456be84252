r"""Solve nodes with noise by the solvers of torchsde, which step along a Brownian path that is refined as they ask.

    dx = f(t, x) dt + g(t, x) dW

The states stand side by side in one vector (batch, d). Where each entry has a channel of noise of its own g is one too,
else a matrix (batch, d, m) over all channels of all noises. The clock of the solver counts steps, t = t(s) with t' = h,
negative backwards and of each sample where times come with the data: dx = h f ds + sqrt|h| g dW(s).

Li, Wong, Chen, Duvenaud (2020), AISTATS, PMLR 108, 3870-3882; Kidger, Foster, Li, Lyons (2021), NeurIPS 34.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any, TypeAlias

import torch
from torch import Tensor

from isocline_compiler.backends.to_torch import FieldProgram, TorchField
from isocline_compiler.graph import Node, Region
from isocline_compiler.graph.solve import Solve, SolveSpec, spec_of
from isocline_compiler.graph.terms import Term
from isocline_compiler.training.clock import Clock, States
from isocline_compiler.training.solver_fit import ITO, form_of
from isocline_compiler.training.steering import Steering
from isocline_compiler.training.watched_field import describe_states
from isocline_dsl.diagnostics import IsoclineError
from isocline_dsl.messages import fitting as messages

Brownian: TypeAlias = Callable[[float, float, tuple[int, int], torch.Tensor], Any]
"""A Brownian motion between two times, (batch, channels), of the type and on the device of a tensor."""

STEPS = 100
"""Steps of a solve whose first or only step is not stated."""
SMALLEST = 1e-6
"""The shortest step that is tried, as a part of the horizon."""
LEVY = {"srk": "space-time"}
"""What a solver asks of the path besides increments."""


@dataclass
class NoiseIntegrator:
    """Paths of a stochastic equation by a solver of torchsde; one path each of the batch.

    `dt` is its step, or its first one where it chooses them by `rtol` and `atol`; every time that is kept is stepped
    onto. The Brownian motion is a function of `seed`, the place in the batch and what is asked of it. With `adjoint`
    the gradient solves the adjoint equation backwards along the same path, in constant memory. Raises E452, E453, E457.
    """

    method: str
    rtol: float | None = None
    atol: float | None = None
    dt: float | None = None
    allowed: int = 100_000
    adjoint: bool = False
    steering: Steering = field(default_factory=lambda: Steering(0.0))
    seed: int = 0
    brownian: Brownian | None = None
    programs: dict[Node, FieldProgram] = field(default_factory=dict)

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
        spec = spec_of(node)
        assert spec.samples is None
        assert not stacked
        clock = Clock.of(node, times, None if times is not None else self.steering.times(node))
        states = [x.reshape(len(x), -1) for x in initial]
        start = torch.cat(states, dim=1)
        path = [start]
        if len(clock.stops) > 1:
            equation = _Equation(node, self._bound(node, field, captured), initial, self)
            path += self._path(equation, start, clock)
        whole = torch.stack(path, dim=1) if spec.interval.everywhere else path[-1]
        parts = torch.split(whole, [x.shape[1] for x in states], dim=-1)
        return tuple(p.reshape(*p.shape[:-1], *x.shape[1:]) for p, x in zip(parts, initial, strict=True))

    def _bound(self, node: Node, field: TorchField, captured: States) -> TorchField:
        """The field with its diffusions behind its slopes."""
        if node not in self.programs:
            solve = Solve.of(node)
            diffusions = tuple(solve.region.results[place] for _, _, place in diffusions_of(solve.spec))
            region = Region(solve.region.arguments, (*solve.slopes(), *diffusions))
            self.programs[node] = FieldProgram(region, len(solve.initial), len(solve.captured))
        return self.programs[node].bind(field.bound.run, captured)

    def _path(self, equation: _Equation, start: Tensor, clock: Clock) -> list[Tensor]:
        """The vector of states at every stop but the first, interval by interval.

        Time is counted in steps: sums of a step that is not a binary fraction miss the end by a rounding, torchsde then
        takes a step of no length, and after one a reversible scheme is another.
        """
        intervals = [self._steps(clock, place) for place in range(len(clock.stops) - 1)]
        total = sum(count for _, _, count in intervals)
        size = (len(start), equation.channels(start.shape[1]))
        motion = (self.brownian or self._interval)(0.0, float(total), size, start)
        found, x, memory, s = [], start, None, 0
        for place, (begin, h, count) in enumerate(intervals):
            equation.follow(begin, h, s)
            ts = torch.tensor([s, s + count], dtype=torch.float64, device=x.device)
            if place and not torch.equal(torch.as_tensor(intervals[place - 1][1]), torch.as_tensor(h)):
                memory = None  # what a reversible scheme remembers are slopes by the step
            settings = {"dt": 1.0, "dt_min": SMALLEST * total, "extra_solver_state": memory}
            x, memory = self._solve(equation, x, ts, motion, settings)
            found.append(x)
            s += count
        return found

    def _steps(self, clock: Clock, place: int) -> tuple[Tensor | float, Tensor | float, int]:
        """Where an interval begins, its step, negative backwards, and how many there are; the first two in the time of
        the file, for each sample where the times come with the data.
        """
        if clock.given is None:
            start, end = clock.stops[place], clock.stops[place + 1]
            count = self._count(abs(end - start), clock.horizon)
            # equal steps up to rounding are the same number, so that what is remembered is kept
            return start, float(f"{(end - start) / count:.13g}"), count
        begin, width = clock.given[..., place], clock.given[..., place + 1] - clock.given[..., place]
        whole = float((clock.given[..., -1] - clock.given[..., 0]).abs().max())
        count = self._count(float(width.abs().max()), whole)
        return begin, width / count, count

    def _count(self, longest: float, horizon: float) -> int:
        return max(1, ceil(longest / (self.dt or horizon / STEPS) * (1 - 1e-9)))

    def _interval(self, start: float, end: float, size: tuple[int, int], like: Tensor) -> Any:
        import torchsde

        return torchsde.BrownianInterval(
            start, end, size, dtype=like.dtype, device=like.device, entropy=self.seed,
            levy_area_approximation=LEVY.get(self.method, "none"),
        )  # fmt: skip

    def _solve(
        self, equation: _Equation, x: Tensor, ts: Tensor, motion: Any, settings: dict[str, Any]
    ) -> tuple[Tensor, States | None]:
        """torchsde over one interval: the states at its end, and what a reversible solver remembers there."""
        import torchsde

        given: dict[str, Any] = {"bm": motion, "method": self.method, "extra": True, **settings}
        if self.rtol is not None:
            given |= {"adaptive": True, "rtol": self.rtol, "atol": self.atol}
        if self.adjoint and self.rtol is not None:
            given |= {"adjoint_adaptive": True, "adjoint_rtol": self.rtol, "adjoint_atol": self.atol}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the smallest step, which the bound on evaluations answers for
            if self.adjoint:
                path, memory = torchsde.sdeint_adjoint(equation, x, ts, adjoint_params=equation.parameters, **given)
            else:
                path, memory = torchsde.sdeint(equation, x, ts, **given)
        return path[-1], tuple(memory) or None


def diffusions_of(spec: SolveSpec) -> list[tuple[Term, int, int]]:
    """The terms that noise drives: each with the place of its state, and its own among the results."""
    return [item for item in spec.by_term() if item[0].kind == "diffusion"]


class _Equation:
    """One interval of the equation as torchsde sees it: drift and diffusion of a vector (batch, d)."""

    def __init__(self, node: Node, field: TorchField, initial: States, by: NoiseIntegrator) -> None:
        self.node, self.field, self.by = node, field, by
        self.spec = spec_of(node)
        self.shapes = [x.shape[1:] for x in initial]
        self.sizes = [x[0].numel() for x in initial]
        self.noise_type = form_of(self.spec)
        self.sde_type = "ito" if by.method in ITO else "stratonovich"
        self.terms = diffusions_of(self.spec)
        self.parameters = tuple(item for item in field.parameters if item.requires_grad)
        self.evaluations = 0
        self.clock: Callable[[Tensor], tuple[Tensor, Tensor]] = lambda s: (s, torch.ones_like(s))

    def channels(self, entries: int) -> int:
        return entries if self.noise_type == "diagonal" else sum(noise.size for noise in self.spec.noises)

    def follow(self, begin: Tensor | float, h: Tensor | float, first: int) -> None:
        """The time of the file t(s) on one interval, and dt/ds = h; s counts steps."""
        self.clock = lambda s: (begin + (s - first) * h, torch.as_tensor(h, dtype=s.dtype, device=s.device))

    def f_and_g(self, s: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """t' f and sqrt|t'| g."""
        t, speed = (item.to(y.dtype) for item in self.clock(s))
        self._require_few(t)
        self._require_finite(t, y)
        parts = torch.split(y, self.sizes, dim=1)
        states = tuple(p.reshape(len(y), *shape) for p, shape in zip(parts, self.shapes, strict=True))
        results = self.field(t, states)
        drift = torch.cat([self._flat(x, y, i) for i, x in enumerate(results[: len(self.sizes)])], dim=1)
        spread = self._diagonal if self.noise_type == "diagonal" else self._matrix
        g = spread(y, results[len(self.sizes) :])
        speed = speed.reshape(-1, *(1,) * (drift.ndim - 1)) if speed.ndim else speed
        root = speed.abs().sqrt()
        return speed * drift, (root[..., None] if root.ndim and g.ndim == 3 else root) * g

    def f(self, s: Tensor, y: Tensor) -> Tensor:
        """t' f alone."""
        return self.f_and_g(s, y)[0]

    def g(self, s: Tensor, y: Tensor) -> Tensor:
        """sqrt|t'| g alone."""
        return self.f_and_g(s, y)[1]

    def _flat(self, x: Tensor, y: Tensor, place: int) -> Tensor:
        """A value of the shape of a state, with or without batch axis, as (batch, entries)."""
        shape = self.shapes[place]
        return x.expand(len(y), *shape).reshape(len(y), self.sizes[place])

    def _diagonal(self, y: Tensor, values: Sequence[Tensor]) -> Tensor:
        found = [y.new_zeros(len(y), size) for size in self.sizes]
        for (_, state, _), g in zip(self.terms, values, strict=True):
            found[state] = self._flat(g, y, state)
        return torch.cat(found, dim=1)

    def _matrix(self, y: Tensor, values: Sequence[Tensor]) -> Tensor:
        """A row an entry and a column a channel, the noises one after another."""
        first: dict[str | None, int] = {}
        count = 0
        for noise in self.spec.noises:
            first[noise.name], count = count, count + noise.size
        rows = [y.new_zeros(len(y), size, count) for size in self.sizes]
        for (term, state, _), g in zip(self.terms, values, strict=True):
            size, start = self.sizes[state], first[term.noise]
            if term.product == "entry":
                block = self._flat(g, y, state)[..., None]
                start += term.entry
            elif term.product == "each":
                block = torch.diag_embed(self._flat(g, y, state))
            else:
                wide = g.expand(len(y), *self.shapes[state], g.shape[-1])
                block = wide.reshape(len(y), size, g.shape[-1])
            width = block.shape[-1]
            rows[state] = rows[state] + torch.nn.functional.pad(block, (start, count - start - width))
        return torch.cat(rows, dim=1)

    def _require_finite(self, t: Tensor, y: Tensor) -> None:
        """A solver of torchsde goes on for ever from what is not finite. Raises E452."""
        if not bool(torch.isfinite(y).all()):
            told = (self.spec.field, f"{float(t.max()):.6g}", describe_states((y,)), self.by.method)
            raise IsoclineError([messages.solve_stalled(self.node.span, *told)])

    def _require_few(self, t: Tensor) -> None:
        """Raises E453."""
        self.evaluations += 1
        if self.evaluations > self.by.allowed:
            told = (self.spec.field, f"{float(t.max()):.6g}", self.by.allowed, self.by.method)
            raise IsoclineError([messages.solve_too_long(self.node.span, *told)])
