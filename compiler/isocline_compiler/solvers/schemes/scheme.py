"""What every family of schemes says about itself, and how it steps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar, Literal, TypeAlias

from isocline_compiler.graph import Array, Nodes
from isocline_compiler.graph.delay import delays_of
from isocline_compiler.graph.fractional import has_order
from isocline_compiler.graph.noise import NoiseKind
from isocline_compiler.graph.solve import Solve, SolveSpec
from isocline_compiler.solvers.field import Field
from isocline_compiler.solvers.schemes.cost import Cost, emitted_cost
from isocline_compiler.solvers.schemes.problems import KNOWN, OrderProblem
from isocline_compiler.solvers.schemes.step import Memory, Step
from isocline_compiler.solvers.schemes.stochastic_problems import WITH_NOISE
from isocline_dsl import messages
from isocline_dsl.diagnostics import Diagnostic
from isocline_dsl.tree import Span

Misfit: TypeAlias = "Callable[[Span | None], Diagnostic]"
"""Why a scheme cannot solve something, for a place in the file."""


Search: TypeAlias = Literal["always", "stiff", "named"]
COMMON = ("steps", "compensated")
"""Options that say how a scheme is used, not which it is."""


DENSE_ORDER = 4
"""The order up to which the cubic between the ends of a step is as good as the step: events are found on it."""


def events_misfit(scheme: Scheme, spec: SolveSpec) -> Misfit | None:
    """Why a scheme cannot find the events of a solve; None where it can, or there are none."""
    if not spec.events or (scheme.finds_events and scheme.order <= DENSE_ORDER):
        return None
    reason = f"its order {scheme.order:g} would be lost at the jumps, which are found to order {DENSE_ORDER}"
    if not scheme.finds_events:
        reason = "the field jumps at a state, and it cannot begin anew inside of a step"
    return lambda span: messages.scheme_does_not_fit(span, scheme.name, reason)


class Scheme(ABC):
    """A one-step or multistep scheme on a fixed grid, deterministic or stochastic.

    A solve runs `memory = scheme.start(field, x)` once and then, for each step in turn,
    `memory, x = scheme.advance(memory, field, step, x)`. A Runge-Kutta scheme remembers nothing, a multistep one keeps
    earlier slopes with their steps (its first steps, while the memory is short, are its own business), a partitioned
    one asks the field for a part of the states, an implicit one for its Jacobian, a stochastic one for its diffusion.
    What it costs is counted on what it emits, and its order is measured on its `problems`.
    """

    name: str
    order: float
    """p, when the global error is O(h^p); where noise decides, the least of the strong orders."""
    reference: str
    options: ClassVar[Mapping[str, Any]] = MappingProxyType({"steps": None})
    """What a call of it takes, with defaults; None: it must be said."""
    learnable: ClassVar[Mapping[str, tuple[float, float]]] = MappingProxyType({})
    """Options that may be `learned`, a number for each step, and between which numbers they are drawn at first."""
    normals: int = 0
    """Standard normals that a step reads of every entry of a noise."""

    search: ClassVar[Search] = "always"
    """Whether `auto` tries it: where a solve is stiff, everywhere, or only where its name stands in the file."""

    divides: ClassVar[bool] = False
    """Whether it divides by the width of a step, or by that of one before."""

    fractional: ClassVar[bool] = False
    """Whether it is for Caputo derivatives, and for no others."""

    finds_events: ClassVar[bool] = False
    """Whether a step of any width, from any state, is the scheme's own: jumps at a state are found inside of such."""

    halvings: ClassVar[int] = 4
    """How often the steps of a model are halved before its order is said to differ from the scheme's."""

    @property
    def past(self) -> str:
        """Why its order does not hold where a field reads states at earlier times; nothing where it does."""
        return ""

    @property
    def splits(self) -> bool:
        """Whether what is marked as stiff is stepped otherwise than the rest: then R(z) is that of the marked part."""
        return False

    @property
    def entrywise(self) -> bool:
        """Whether it does the same to every entry of every state, and asks the field for slopes alone: then it steps
        several states as one.
        """
        return False

    @property
    def title(self) -> str:
        """Its name, with the options that are not as they are by default."""
        said = {key: getattr(self, key, value) for key, value in self.options.items() if key not in COMMON}
        told = [f"{key}={value}" for key, value in said.items() if value != self.options[key]]
        return f"{self.name}({', '.join(told)})" if told else self.name

    def variants(self) -> tuple[Scheme, ...]:
        """The scheme with the options that `auto` tries."""
        return (self,)

    def cheaper(self) -> tuple[Scheme, ...]:
        """The scheme with options that cost less, the least first: what `auto` tries on the grid that it has found."""
        return ()

    def onto(self, times: Sequence[float]) -> Scheme:
        """The scheme on a grid of these nodes, where what it reads in a step depends on all of them."""
        return self

    def tabled(self, solve: Solve) -> Solve:
        """The solve with what each step reads of the scheme's own tables, as rows."""
        return solve

    def of_step(self, i: int) -> Scheme:
        """The scheme of step i on its grid: another one where steps have coefficients of their own."""
        return self

    def start(self, field: Field, x: Nodes) -> Memory:
        """What is remembered before the first step."""
        return None

    @abstractmethod
    def advance(self, memory: Memory, field: Field, step: Step, x: Nodes) -> tuple[Memory, Nodes]:
        """The memory and the states after one step."""

    def increments(self, memory: Memory, field: Field, step: Step, x: Nodes) -> tuple[Memory, Nodes, Nodes] | None:
        """The memory after one step, what it adds to each state, and what of that is lost because its coefficients are
        rounded; None of a scheme that has no such form.
        """
        return None

    def fits(self, solve: Solve) -> Misfit | None:
        """Why it cannot take these equations; None where it can."""
        spec = solve.spec
        if spec.noises and not self.normals:
            return lambda span: messages.scheme_does_not_fit(span, self.name, "the field has noise, and it knows none")
        if self.fractional != has_order(spec):
            what = "it is for equations of fractional order" if self.fractional else "it knows no fractional order"
            return lambda span: messages.scheme_does_not_fit(span, self.name, what)
        if self.past and delays_of(solve):
            return lambda span: messages.scheme_does_not_fit(span, self.name, f"the field has delays, and {self.past}")
        if self.normals and not spec.noises:
            return lambda span: messages.scheme_does_not_fit(span, self.name, "it is for a field with noise")
        return events_misfit(self, spec)

    def with_options(self, options: Mapping[str, Any]) -> Scheme:
        """The scheme as a call of it asks for: with the values of its own options."""
        return self

    def strong_order(self, kinds: frozenset[NoiseKind]) -> float:
        """p on equations whose noise is of these kinds, where the order depends on it."""
        return self.order

    def stability(self, z: Array) -> Array | None:
        """R(z): the growth over a step on x' = lambda x with z = h lambda; None where there is no such function."""
        return None

    def cost(self, solve: Solve) -> Cost:
        """What a step of it takes on these equations, counted on an emitted step."""
        return emitted_cost(self, solve)

    @cached_property
    def problems(self) -> tuple[OrderProblem, ...]:
        """Equations with known solutions, on which its order is measured."""
        known = WITH_NOISE if self.normals else KNOWN
        fitting = tuple(item for item in known if self.fits(item.solve()) is None)
        assert fitting, f"{self.name} fits no problem that its order could be measured on: it has to state one"
        return fitting

    @cached_property
    def evaluations(self) -> int:
        """Evaluations of the field a step, once started."""
        return self.cost(self.problems[0].solve()).evaluations
