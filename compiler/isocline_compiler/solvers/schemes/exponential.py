"""Exponential integrators: the linear part of x' = L x + n(t, x) is solved exactly."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from isocline_compiler.graph import Nodes, Operand
from isocline_compiler.graph.solve import Solve
from isocline_compiler.solvers.field import Field
from isocline_compiler.solvers.schemes.linear_part import StepOperators, linear_part
from isocline_compiler.solvers.schemes.problems import FORCED_DECAY, GATED, ROTATED, OrderProblem
from isocline_compiler.solvers.schemes.scheme import Misfit, Scheme
from isocline_compiler.solvers.schemes.step import Memory, Step
from isocline_dsl import messages


@dataclass(frozen=True)
class Exponential(Scheme, ABC):
    r"""An exponential scheme: sums of phi_k(c h L) over values of n, with L what the author marked as stiff.

    x(t + h) = e^{hL} x + h int_0^1 e^{(1-s)hL} n ds, phi_k(z) = int_0^1 e^{(1-s)z} s^{k-1}/(k-1)! ds. Where L is
    constant its functions are numbers by the time the model is deployed. Hochbruck, Ostermann (2010), Acta Numerica 19.
    """

    name: str
    order: float
    reference: str

    @cached_property
    def problems(self) -> tuple[OrderProblem, ...]:
        """Two with a constant linear part, one of them a matrix."""
        return FORCED_DECAY, ROTATED

    def fits(self, solve: Solve) -> Misfit | None:
        """The marked part must be linear; but for the scheme of first order, it must not change on the way."""
        part, fault = linear_part(solve), linear_part(solve).fault
        if fault is None and part.varies and self.order > 1:
            fault = (
                "its rates change with a state or the time, so that `exponential_euler` alone, which freezes them, fits"
            )
        if fault is None and part.varies and solve.spec.places("tangent"):
            fault = "the derivative of its steps is not a step of the varied equations where rates depend on states"
        if fault is None and part.matrix is not None and solve.times is not None:
            fault = "the exponential of its matrix needs widths that are known, and its times come with the input"
        if fault is None:
            return super().fits(solve)
        return lambda span: messages.scheme_does_not_fit(span, self.name, str(fault))

    def advance(self, memory: Memory, field: Field, step: Step, x: Nodes) -> tuple[Memory, Nodes]:
        """One step with the operators of its begin."""
        return self.moved(memory, StepOperators(field, linear_part(field.solve), step.t, x, step.widths), step, x)

    @abstractmethod
    def moved(self, memory: Memory, of: StepOperators, step: Step, x: Nodes) -> tuple[Memory, Nodes]:
        """The memory and the states after one step."""


def _sum(*terms: Nodes) -> Nodes:
    total = terms[0]
    for term in terms[1:]:
        total = tuple(a + b for a, b in zip(total, term, strict=True))
    return total


def _wide(step: Step, v: Nodes, part: float = 1.0) -> Nodes:
    """c h v."""
    return tuple((h if part == 1 else part * h) * a for h, a in zip(step.widths, v, strict=True))


def _difference(a: Nodes, b: Nodes) -> Nodes:
    return tuple(x - y for x, y in zip(a, b, strict=True))


class ExponentialEuler(Exponential):
    """The exponential Euler scheme: x' = e^{hL} x + h phi_1(hL) n(t, x).

    Where rates depend on other states they are those of the step's begin: Rush and Larsen's for gates. With the
    logarithm of the signal-to-noise ratio as the time of a diffusion model it is DDIM, DPM-Solver-1.
    """

    @cached_property
    def problems(self) -> tuple[OrderProblem, ...]:
        """And one whose rate depends on a state."""
        return (*super().problems, GATED)

    def moved(self, memory: Memory, of: StepOperators, step: Step, x: Nodes) -> tuple[Memory, Nodes]:
        """One step; nothing is remembered."""
        return None, _sum(of.phi(0, 1, x), _wide(step, of.phi(1, 1, of.rest(step.t, x))))


class ExponentialMidpoint(Exponential):
    """The exponential midpoint scheme: x' = e^{hL} x + h phi_1(hL) n(t + h/2, e^{hL/2} x + h/2 phi_1(hL/2) n(t, x)).

    In log-SNR it is DPM-Solver-2.
    """

    def moved(self, memory: Memory, of: StepOperators, step: Step, x: Nodes) -> tuple[Memory, Nodes]:
        """One step; nothing is remembered."""
        half = _sum(of.phi(0, 0.5, x), _wide(step, of.phi(1, 0.5, of.rest(step.t, x)), 0.5))
        return None, _sum(of.phi(0, 1, x), _wide(step, of.phi(1, 1, of.rest(step.time(0.5), half))))


class EtdRk2(Exponential):
    """ETD2RK: a = e^{hL} x + h phi_1(hL) n(t, x), x' = a + h phi_2(hL) (n(t + h, a) - n(t, x))."""

    def moved(self, memory: Memory, of: StepOperators, step: Step, x: Nodes) -> tuple[Memory, Nodes]:
        """One step; nothing is remembered."""
        n = of.rest(step.t, x)
        a = _sum(of.phi(0, 1, x), _wide(step, of.phi(1, 1, n)))
        return None, _sum(a, _wide(step, of.phi(2, 1, _difference(of.rest(step.end, a), n))))


class EtdRk4(Exponential):
    """Krogstad's ETDRK4-B, of stiff order 3 and classical order 4."""

    def moved(self, memory: Memory, of: StepOperators, step: Step, x: Nodes) -> tuple[Memory, Nodes]:
        """One step; nothing is remembered."""
        half = step.time(0.5)
        n1 = of.rest(step.t, x)
        middle = of.phi(0, 0.5, x)
        a = _sum(middle, _wide(step, of.phi(1, 0.5, n1), 0.5))
        n2 = of.rest(half, a)
        b = _sum(a, _wide(step, of.phi(2, 0.5, _difference(n2, n1))))
        n3 = of.rest(half, b)
        whole = _sum(of.phi(0, 1, x), _wide(step, of.phi(1, 1, n1)))
        c = _sum(whole, _wide(step, of.phi(2, 1, _difference(n3, n1)), 2.0))
        n4 = of.rest(step.end, c)
        inner = _difference(_difference(_sum(n2, n2, n3, n3), _sum(n1, n1, n1)), n4)  # 2 n2 + 2 n3 - 3 n1 - n4
        outer = _difference(_sum(n1, n4), _sum(n2, n3))
        return None, _sum(whole, _wide(step, of.phi(2, 1, inner)), _wide(step, of.phi(3, 1, outer), 4.0))


@dataclass(frozen=True)
class _Before:
    """n of the step before, and its width once a state."""

    n: Nodes
    widths: tuple[Operand, ...]


class TwoStep(Exponential):
    """Two-step schemes: of n at the begin of this step and of the one before; the first step is of one evaluation."""

    divides: ClassVar[bool] = True

    def moved(self, memory: Memory, of: StepOperators, step: Step, x: Nodes) -> tuple[Memory, Nodes]:
        """One step; what is remembered are n and h."""
        n = of.rest(step.t, x)
        kept = _Before(n, step.widths)
        known = _sum(of.phi(0, 1, x), _wide(step, of.phi(1, 1, n)))
        if memory is None:
            return kept, known
        slope = tuple(
            (1.0 / step.ratio(before, i)) * (a - b)
            for i, (before, a, b) in enumerate(zip(memory.widths, n, memory.n, strict=True))
        )
        return kept, _sum(known, _wide(step, self.weighted(of, slope)))

    def weighted(self, of: StepOperators, slope: Nodes) -> Nodes:
        """What h n' counts for."""
        return of.phi(2, 1, slope)


class DpmSolver2M(TwoStep):
    """DPM-Solver++(2M): x' = e^{hL} x + h phi_1(hL) (n_i + r (n_i - n_{i-1})/2), r = h_i / h_{i-1}.

    For a diffusion model in log-SNR with the states in units of the signal, y = x/alpha, and n the predicted data.
    """

    def weighted(self, of: StepOperators, slope: Nodes) -> Nodes:
        """phi_1/2 in place of phi_2."""
        return of.phi(1, 1, tuple(0.5 * item for item in slope))


# fmt: off
EXPONENTIAL = (
    ExponentialEuler(
        name="exponential_euler", order=1,
        reference="Pope (1963), Comm. ACM 6, 491; Rush, Larsen (1978); DDIM: Song, Meng, Ermon (2021), ICLR",
    ),
    ExponentialMidpoint(
        name="exponential_midpoint", order=2,
        reference="Hochbruck, Ostermann (2010), Acta Numerica 19, 209; DPM-Solver-2: Lu et al. (2022), NeurIPS",
    ),
    EtdRk2(
        name="etd_rk2", order=2,
        reference="Cox, Matthews (2002), J. Comput. Phys. 176, 430-455: ETD2RK",
    ),
    TwoStep(
        name="etd_ab2", order=2,
        reference="Cox, Matthews (2002), J. Comput. Phys. 176, 430-455: ETD2",
    ),
    DpmSolver2M(
        name="dpm_solver_2m", order=2,
        reference="Lu et al. (2022), arXiv 2211.01095: DPM-Solver++(2M), for x' = L x + n in log-SNR",
    ),
    EtdRk4(
        name="etd_rk4", order=4,
        reference="Krogstad (2005), J. Comput. Phys. 203, 72-88: ETDRK4-B",
    ),
)
