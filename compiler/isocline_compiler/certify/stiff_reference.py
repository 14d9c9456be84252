"""The reference of stiff equations: an implicit Runge-Kutta method, beside which the multistep one is implicit too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.integrate import solve_ivp
from scipy.sparse import block_diag
from torch import Tensor

from isocline_compiler.backends.to_torch import Integrator, TorchField
from isocline_compiler.certify.compiled_field import CompiledField, Differentiated, quick
from isocline_compiler.certify.event_samples import EventSamples
from isocline_compiler.certify.flat_states import FlatField, FlatStates
from isocline_compiler.certify.multistep import FIRST, WINDOWS, Multistep, Walk
from isocline_compiler.certify.reference import LOOSE, kept
from isocline_compiler.certify.spectrum import jacobians
from isocline_compiler.graph import Array, Node
from isocline_compiler.graph.solve import spec_of
from isocline_compiler.training.clock import Clock, FieldFunction

Tensors = tuple[Tensor, ...]
LONGEST = 1 / 64


@dataclass(frozen=True)
class AdaptiveImplicit(Multistep):
    """Radau IIA of order 5, samples together, the error of a step below a bound in the root of the sum of squares.

    So no sample hides among others. The Jacobian is exact, a block for each sample. `paces`, by the name of the solve,
    are the times that it stepped to when it was asked for little: where a solution is fast. Hairer, Wanner (1996), IV.
    """

    longest: float = LONGEST
    paces: dict[str, Array] = field(default_factory=dict)

    @property
    def words(self) -> str:
        return f"Radau IIA, rtol = {self.tolerance:.0e} of all states together"

    @property
    def integrator(self) -> Integrator:
        return self._solved

    def _solved(
        self, node: Node, field: TorchField, initial: Tensors, captured: Tensors, stacked: Tensors, times: Tensor | None
    ) -> Tensors:
        if spec_of(node).events:
            samples = EventSamples(node, field, initial, captured, "Radau", self.tolerance, self.longest)
            return kept(node, samples.solved(times))
        clock = Clock.of(node, times)
        flat = FlatStates.of(node, initial)
        start = flat.joined(initial)
        if len(clock.stops) == 1:
            return kept(node, flat.apart(start[None]))
        evaluations = [self.allowed]
        stop = self._stopping(node, field, initial, stacked, times, flat, evaluations)
        legs, exact = [], []
        compiled = quick(field, clock)
        by_colours = compiled.differentiated if isinstance(compiled, CompiledField) else None
        for leg in clock.legs(node, stacked, self._cuts(node, field)):
            slopes = clock.slopes(node, compiled, stacked, leg, clamped=False)
            legs.append((leg, flat.function(slopes, evaluations, stop)))
            if by_colours is None:
                exact.append(_jacobian(clock.slopes(node, field, stacked, leg, clamped=False), flat))
            else:
                entries = clock.slopes(node, by_colours, stacked, leg, clamped=False)
                exact.append(_sparse_jacobian(entries, by_colours, flat))
        walk = _Implicit(flat, legs, clock.horizon, stop, exact)
        size = walk.guessed(start)
        windows = np.linspace(clock.stops[0], clock.stops[-1], 4 * WINDOWS + 1)
        stops = np.asarray(clock.stops[1:])
        size = walk.sizes(walk.through(start, windows, LOOSE, size, self.longest))
        walk.steps.clear()
        if self.tolerance < LOOSE:
            size = walk.sizes(walk.through(start, windows, LOOSE, size, self.longest))
        else:  # little is asked for: this is the solution
            path = walk.through(start, stops, LOOSE, size, self.longest)
        self.paces[spec_of(node).choice] = np.array([clock.stops[0], *walk.steps])
        if self.tolerance < LOOSE:
            path = walk.through(start, stops, self.tolerance, size, self.longest)
        return kept(node, flat.apart(np.stack([start, *path])))


def _jacobian(slopes: FieldFunction, flat: FlatStates) -> Callable[[float, Array], object]:
    """df/dx of the samples side by side: a block for each, in sparse form where there are several."""

    def at(t: float, x: Array) -> object:
        time = torch.tensor(t, dtype=torch.float64)
        rows = flat.rows if all(flat.batched) else 1
        size = len(x) // rows

        def one(states: Tensor) -> Tensor:
            found = slopes(time, flat.apart_tensor(states.reshape(-1)))
            return flat.joined_tensor(found).reshape(rows, size)

        blocks = jacobians(one, torch.from_numpy(x.reshape(rows, size)))
        return blocks[0] if rows == 1 else block_diag(list(blocks), format="csc")

    return at


def _sparse_jacobian(entries: FieldFunction, of: Differentiated, flat: FlatStates) -> Callable[[float, Array], object]:
    """The same by colours of columns."""

    def at(t: float, x: Array) -> object:
        (found,) = entries(torch.tensor(t, dtype=torch.float64), flat.apart(x))
        return of.beside(found.numpy())

    return at


@dataclass(frozen=True)
class _Implicit(Walk):
    """The way of Radau IIA along legs, each with its field and its Jacobian; it notes where it `steps`."""

    steps: list[float] = field(default_factory=list)

    def through(self, x: Array, at: Array, tolerance: float, size: Array, longest: float) -> list[Array]:
        """The states at these times, all after the start. Raises Unsolved."""
        strict = tolerance / np.sqrt(len(x))
        absolute = strict * np.maximum(size, 1e-16 * float(size.max()) + 1e-290)
        found: list[Array] = []
        width = FIRST * min(abs(self.legs[0][0].end - self.legs[0][0].start), longest * self.horizon)
        forwards = 1.0 if self.legs[-1][0].end > self.legs[0][0].start else -1.0
        for (leg, slopes), jacobian in zip(self.legs, self.jacobians, strict=True):
            before = at[len(found) :]
            inside = before[(before - leg.end) * forwards <= 0]
            begin = leg.start
            for end in np.unique([*inside, leg.end])[:: int(forwards)]:
                if (end - begin) * forwards > 0:
                    x, width = self._to(end, leg, slopes, jacobian, (begin, x), strict, absolute, longest, width)
                    begin = end
                found += [x for _ in range(int(np.count_nonzero(inside == end)))]
            width = FIRST * longest * self.horizon
        return [*found, *(x for _ in at[len(found) :])]

    def _to(
        self, end: float, leg: object, slopes: FlatField, jacobian: Callable[[float, Array], object],
        here: tuple[float, Array], tolerance: float, absolute: Array, longest: float, width: float,
    ) -> tuple[Array, float]:  # fmt: skip
        """The states at the end of a piece, and the width of the last step that no end cut short."""
        begin, x = here
        with np.errstate(all="ignore"):
            walked = solve_ivp(
                slopes, (begin, end), x, "Radau", rtol=max(tolerance, 3e-14), atol=absolute, jac=jacobian,
                max_step=longest * self.horizon, first_step=min(width, abs(end - begin)),
            )  # fmt: skip
        if not walked.success or not np.isfinite(walked.y).all():
            raise self._stopped(leg, x, walked)  # type: ignore[arg-type]
        self.steps.extend(map(float, walked.t[1:]))
        widths = np.abs(np.diff(walked.t))
        return walked.y[:, -1], float(widths[-2] if len(widths) > 1 else widths[-1])
