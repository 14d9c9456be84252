"""Sums over the steps of a scheme, such as that of its error estimates, as further states of a solve."""

from __future__ import annotations

from dataclasses import dataclass

from isocline_compiler.graph import Array, Nodes
from isocline_compiler.graph.solve import Solve, SolveSpec
from isocline_compiler.solvers.field import Field
from isocline_compiler.solvers.schemes.around import Around
from isocline_compiler.solvers.schemes.compensated import Compensated
from isocline_compiler.solvers.schemes.scheme import Misfit, Scheme
from isocline_compiler.solvers.schemes.step import Memory, Step


@dataclass(frozen=True)
class Measured(Around):
    """A scheme that adds to each state with a measure what the measure says of the step.

    m' = m + measure(scheme, f, step, x_k, x_(k+1)): what is common to both, the slopes, is evaluated once, as soon as
    equal terms are shared. All other states are stepped by the scheme as they are.
    """

    @classmethod
    def of(cls, inner: Scheme, spec: SolveSpec) -> Scheme:
        """The same scheme, beside what a solve measures of its steps: itself where that is nothing."""
        if all(state.measure is None for state in spec.states):
            return inner
        return cls(inner, inner.name, inner.order, inner.reference, inner.normals)

    def advance(self, memory: Memory, field: Field, step: Step, x: Nodes) -> tuple[Memory, Nodes]:
        """One step of the scheme, then what is measured of it."""
        memory, after = self.inner.advance(memory, field, step, x)
        plain = self.inner.inner if isinstance(self.inner, Compensated) else self.inner
        found = list(after)
        for place, state in enumerate(field.spec.states):
            if state.measure is not None:
                found[place] = x[place] + state.measure(plain, field, step, x, after)
        return memory, tuple(found)

    def fits(self, solve: Solve) -> Misfit | None:
        """What the scheme says."""
        return self.inner.fits(solve)

    def stability(self, z: Array) -> Array | None:
        """That of the scheme."""
        return self.inner.stability(z)
