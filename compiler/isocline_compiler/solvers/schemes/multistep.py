"""Linear multistep schemes: what earlier steps have shown of the field is used again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from itertools import accumulate
from operator import add, mul
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from isocline_compiler.graph import Array, Nodes, Operand
from isocline_compiler.graph.called import LEARNED
from isocline_compiler.solvers.field import Field
from isocline_compiler.solvers.schemes.explicit import HEUN, KUTTA3, RK4
from isocline_compiler.solvers.schemes.problems import KNOWN, OrderProblem
from isocline_compiler.solvers.schemes.scheme import Scheme, Search
from isocline_compiler.solvers.schemes.step import Memory, Step
from isocline_compiler.solvers.schemes.tableau import TOLERANCE, Tableau, runge_kutta_step

STARTERS: dict[int, Tableau] = {1: HEUN, 2: HEUN, 3: KUTTA3, 4: RK4}
"""For the first steps of a scheme of that order: their errors are not multiplied by the number of steps."""


@dataclass(frozen=True)
class Past:
    """One step before: its slopes (of a two-step midpoint its states), and its width, once a state."""

    values: Nodes
    widths: tuple[Operand, ...]


def _adams_weights(nodes: Sequence[Operand]) -> list[Operand]:
    r"""beta_j = int_0^1 prod_{i != j} (s - tau_i)/(tau_j - tau_i) ds, tau_j the times of the slopes from the step's
    begin, in its width.
    """
    found: list[Operand] = []
    for j, tau in enumerate(nodes):
        others = [other for i, other in enumerate(nodes) if i != j]
        powers: list[Operand] = [1.0]  # of prod (s - tau_i), the lowest first
        for other in others:
            shifted: list[Operand] = [0.0, *powers]
            powers = [a - other * b for a, b in zip(shifted, [*powers, 0.0], strict=True)]
        integral = reduce(add, (p * (1 / (k + 1)) for k, p in enumerate(powers)))
        found.append(integral / reduce(mul, (tau - other for other in others), 1.0))
    return found


@dataclass(frozen=True)
class Adams(Scheme):
    r"""Adams's schemes of k steps: x' = x + h sum_j beta_j f_{n-j}, exact where the slopes are polynomials in time.

    `corrected`: predicted so, the slope there is evaluated, and x' is x + h sum_j beta*_j f_{n+1-j} with that slope in
    place of the oldest (predict, evaluate, correct; then once more evaluated). Steps may differ in width. `polynomials`
    are rho and sigma of equal steps, rising powers. The first k - 1 steps are a Runge-Kutta scheme's of the same order.
    Hairer, Norsett, Wanner (1993), III.1, III.5.
    """

    name: str
    steps: int
    reference: str
    corrected: bool = False
    order: float = 0
    divides: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "order", float(self.steps))

    @property
    def entrywise(self) -> bool:
        """It adds multiples of slopes."""
        return True

    @property
    def past(self) -> str:
        """Across a corner of the slopes it is of order 2 at most."""
        return "its slopes of earlier steps reach over the corners that a delay brings back" if self.steps > 2 else ""

    def advance(self, memory: Memory, field: Field, step: Step, x: Nodes) -> tuple[Memory, Nodes]:
        """One step; what is remembered are the slopes of the steps before, the latest first."""
        past: tuple[Past, ...] = memory or ()
        slopes = field(step.t, x)
        kept = (Past(slopes, step.widths), *past)[: self.steps - 1]
        if len(past) < self.steps - 1:
            return kept, runge_kutta_step(STARTERS[self.steps], field, step, x)
        history = [slopes, *(item.values for item in past)]
        moved = self._moved(x, step, past, history, ahead=None)
        if self.corrected:
            moved = self._moved(x, step, past[:-1], history[:-1], ahead=field(step.end, moved))
        return kept, moved

    def _moved(self, x: Nodes, step: Step, past: Sequence[Past], history: list[Nodes], ahead: Nodes | None) -> Nodes:
        """x + h times the Adams sum of these slopes; of one `ahead`, too, where there is one."""
        found = []
        for i, h in enumerate(step.widths):
            back = accumulate((step.ratio(item.widths[i], i) for item in past), add)
            nodes = [*(() if ahead is None else (1.0,)), 0.0, *(-1.0 * tau for tau in back)]
            slopes = [*(() if ahead is None else (ahead[i],)), *(item[i] for item in history)]
            terms = [_times(h, beta) * k for beta, k in zip(_adams_weights(nodes), slopes, strict=True)]
            found.append(x[i] + reduce(add, terms))
        return tuple(found)

    @cached_property
    def polynomials(self) -> tuple[Array, Array, Array]:
        """rho of both, sigma of the predictor, sigma of the corrector, for equal steps; rising powers of the shift."""
        k = self.steps
        rho = np.zeros(k + 1)
        rho[k], rho[k - 1] = 1, -1
        explicit = _adams_weights([-float(j) for j in range(k)])
        implicit = _adams_weights([1.0 - j for j in range(k)])
        sigma, star = np.zeros(k + 1), np.zeros(k + 1)
        sigma[:k] = [float(b) for b in explicit[::-1]]  # type: ignore[arg-type]
        star[1:] = [float(b) for b in implicit[::-1]]  # type: ignore[arg-type]
        return rho, sigma, star

    def stability(self, z: Array) -> Array:
        """The largest root of the characteristic polynomial: the growth over a step on x' = lambda x, z = h lambda."""
        rho, sigma, star = self.polynomials
        flat = np.asarray(z, dtype=np.complex128)
        if not self.corrected:
            return largest_root(rho - flat[..., None] * sigma)
        shifted = flat[..., None] * (star - np.eye(len(rho))[-1] * star[-1])
        # x' = x + z (star without its last) + z star_k (x + z sigma)
        predicted = np.eye(len(rho))[-2] + flat[..., None] * sigma
        return largest_root(rho - shifted - flat[..., None] * star[-1] * predicted)


def _times(h: Operand, beta: Operand) -> Operand:
    return h * beta


def largest_root(coefficients: Array) -> Array:
    """Of polynomials, (..., powers rising), the root of largest modulus, by the companion matrix."""
    leading = coefficients[..., -1:]
    rest = -coefficients[..., :-1] / leading
    count = rest.shape[-1]
    companion = np.zeros((*rest.shape[:-1], count, count), dtype=np.complex128)
    companion[..., np.arange(1, count), np.arange(count - 1)] = 1
    companion[..., :, -1] = rest
    roots = np.linalg.eigvals(companion)
    return np.asarray(np.take_along_axis(roots, np.abs(roots).argmax(-1)[..., None], -1)[..., 0])


@dataclass(frozen=True)
class TwoStepMidpoint(Scheme):
    r"""The two-step midpoint rule: x_{n+1} = x_{n-1} + 2 h f(t_n, x_n).

    Time-symmetric, weakly unstable on what decays: its second root is -1. Of widths whose ratio is r = h / h_{n-1} it
    is (1 - r^2) x_n + r^2 x_{n-1} + (1 + r) h f_n. The first step is Heun's. Hairer, Norsett, Wanner (1993), II.9.
    """

    name: str
    order: float
    reference: str
    search: ClassVar[Search] = "named"
    divides: ClassVar[bool] = True

    def advance(self, memory: Memory, field: Field, step: Step, x: Nodes) -> tuple[Memory, Nodes]:
        """One step; what is remembered are the states before."""
        kept = Past(x, step.widths)
        if memory is None:
            return kept, runge_kutta_step(HEUN, field, step, x)
        slopes, found = field(step.t, x), []
        for i, (value, before, h) in enumerate(zip(x, memory.values, step.widths, strict=True)):
            ratio = 1.0 / step.ratio(memory.widths[i], i)
            if isinstance(ratio, float) and abs(ratio - 1) < TOLERANCE:
                found.append(before + (2.0 * h) * slopes[i])
            else:
                square = ratio * ratio
                found.append((1.0 - square) * value + square * before + ((1.0 + ratio) * h) * slopes[i])
        return kept, tuple(found)

    def stability(self, z: Array) -> Array:
        """The larger root of r^2 - 2 z r - 1."""
        flat = np.asarray(z, dtype=np.complex128)
        return largest_root(np.stack([-np.ones_like(flat), -2 * flat, np.ones_like(flat)], axis=-1))


@dataclass(frozen=True)
class LinearTwoStep(Scheme):
    r"""The step of an LM-ResNet: x_{n+1} = (1 - k) x_n + k x_{n-1} + h f(t_n, x_n), the first step Euler's.

    A network's step before a solver's: small steps tend to (1 + k) x' = f, so that its order on x' = f is 1 where
    k = 0 (Euler's scheme) and 0 elsewhere. Stable near h = 0 for -1 < k <= 1. Where k is learned each step has its own,
    k_n, drawn from -0.1 to 0 at first, as in the paper's code. Lu, Zhong, Li, Dong (2018), ICML, (5).
    """

    name: str
    reference: str
    k: float | str = 0.0
    order: float = 1.0
    options: ClassVar[Mapping[str, Any]] = MappingProxyType({"steps": None, "k": 0.0})
    learnable: ClassVar[Mapping[str, tuple[float, float]]] = MappingProxyType({"k": (-0.1, 0.0)})
    search: ClassVar[Search] = "named"

    def __post_init__(self) -> None:
        object.__setattr__(self, "order", 0.0 if self.k else 1.0)  # of Euler's scheme, else of another equation

    def with_options(self, options: Mapping[str, Any]) -> Scheme:
        """With the k that is asked for."""
        k = options.get("k", self.k)
        return replace(self, k=k if k == LEARNED else float(k))

    @cached_property
    def problems(self) -> tuple[OrderProblem, ...]:
        """Those of every scheme; with the mean of what is drawn at first for a coefficient that is learned."""
        means = tuple((key, (low + high) / 2) for key, (low, high) in self.learnable.items() if self.k == LEARNED)
        fitting = (problem for problem in KNOWN if self.fits(problem.solve()) is None)
        return tuple(replace(problem, coefficients=means) for problem in fitting)

    def advance(self, memory: Memory, field: Field, step: Step, x: Nodes) -> tuple[Memory, Nodes]:
        """One step; what is remembered are the states before."""
        moves = [h * slope for h, slope in zip(step.widths, field(step.t, x), strict=True)]
        if not self.k:
            return None, tuple(value + move for value, move in zip(x, moves, strict=True))
        kept = Past(x, step.widths)
        if memory is None:
            return kept, tuple(value + move for value, move in zip(x, moves, strict=True))
        k = step.rows["k"] if isinstance(self.k, str) else self.k
        blended = [(1.0 - k) * value + k * old for value, old in zip(x, memory.values, strict=True)]
        return kept, tuple(value + move for value, move in zip(blended, moves, strict=True))

    def stability(self, z: Array) -> Array | None:
        """The larger root of r^2 - (1 - k + z) r - k; None where each step has its own k."""
        if isinstance(self.k, str):
            return None
        flat = np.asarray(z, dtype=np.complex128)
        one = np.ones_like(flat)
        return largest_root(np.stack([-self.k * one, self.k - 1 - flat, one], axis=-1))


# fmt: off
MULTISTEP = (
    TwoStepMidpoint(
        name="midpoint2", order=2,
        reference="Gragg (1965), SIAM J. Numer. Anal. 2, 384-403: two-step midpoint, explicit; leapfrog of one group",
    ),
    Adams("ab2", 2, "Bashforth, Adams (1883); Hairer, Norsett, Wanner (1993), III.1"),
    Adams("ab3", 3, "Bashforth, Adams (1883); Hairer, Norsett, Wanner (1993), III.1"),
    Adams("ab4", 4, "Bashforth, Adams (1883); Hairer, Norsett, Wanner (1993), III.1"),
    Adams("abm", 4, "Moulton (1926); Hairer, Norsett, Wanner (1993), III.1: PECE of four steps", corrected=True),
    LinearTwoStep("lm2", "Lu, Zhong, Li, Dong (2018), ICML: LM-ResNet; Euler's where k = 0, of order 0 elsewhere"),
)
