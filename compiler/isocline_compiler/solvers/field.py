"""The field of a solve as schemes see it: nodes in, nodes out, with its parts and its derivatives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from math import prod
from operator import is_
from typing import TypeAlias

from isocline_compiler.derivatives.reverse_forward import jvp, push_forward
from isocline_compiler.graph import ARGUMENT, Node, Nodes, Region, constant, leaf, substitute, transform, value_of
from isocline_compiler.graph.delay import DELAYED
from isocline_compiler.graph.solve import Solve, SolveSpec
from isocline_compiler.graph.tensor_type import TensorType
from isocline_compiler.graph.terms import Term, TermKind
from isocline_compiler.ops.arithmetic import MUL
from isocline_compiler.ops.broadcasting import broadcast_like
from isocline_compiler.ops.indexing import SELECT
from isocline_compiler.ops.reduction import REDUCE_SUM
from isocline_compiler.ops.shaping import RESHAPE, TRANSPOSE

Stirred: TypeAlias = "tuple[Node | None, ...]"
"""One entry a state, None where nothing stirs it."""
Recalling: TypeAlias = "Callable[[int, Node | float, Node, Node], Node]"
"""(the place of a state, t, lag, the state up to the start) -> the state at t - lag."""


def met(term: Term, g: Node, increment: Node, state: TensorType) -> Node:
    """What a diffusion makes of the increments (batch, m) of its noise, in the shape of its state."""
    sizes = tuple(int(size) for size in state.sample)
    batch = increment.shape[0]
    if term.product == "each":
        return _product(g, increment, lambda dw: RESHAPE(dw, shape=(batch, *sizes)))
    if term.product == "entry":
        shape = (batch, *(1,) * len(sizes))
        return _product(g, increment, lambda dw: RESHAPE(SELECT(dw, axis=1, index=term.entry), shape=shape))
    if g.type.batched:
        wide = RESHAPE(increment, shape=(batch, *(1,) * len(sizes), increment.size(1)))
        return REDUCE_SUM(g * wide, axes=(len(sizes) + 1,), keepdims=False)
    if len(sizes) > 1:
        g = RESHAPE(g, shape=(prod(sizes), increment.size(1)))
    column = TRANSPOSE(g, perm=(1, 0)) if sizes else RESHAPE(g, shape=(increment.size(1), 1))
    return RESHAPE(increment @ column, shape=(batch, *sizes))


def _product(g: Node, increment: Node, part: Callable[[Node], Node]) -> Node:
    """g times a part of the increments, and single numbers that scale both as one: (a s)(b xi) = (s xi)(a b)."""
    (a, s), (b, x) = _scale(g), _scale(increment)
    if b == 1.0 or not MODERATE[0] < abs(a) < MODERATE[1]:
        return g * part(increment)
    return (s * part(x)) * (a * b)


MODERATE = (1e-4, 1e4)
"""Numbers in here can be multiplied last: what they scale stays in the range of single precision."""


def _scale(node: Node) -> tuple[float, Node]:
    """(a, x) of a x for a single number a, else (1, x)."""
    if node.op is MUL:
        for number, x in (node.inputs, node.inputs[::-1]):
            value = value_of(number)
            if value is not None and value.shape == () and value_of(x) is None:
                return float(value), x
    return 1.0, node


class Field:
    """x' = f(t, x), one entry a state; captured values and what this step reads of the rows are filled in.

    A solve binds its captured values once, so that what they alone decide stays one node for all steps.
    """

    def __init__(self, solve: Solve, rows: Nodes = (), recall: Recalling | None = None) -> None:
        self.solve = solve
        self.rows = rows
        self._recall = recall
        self._noted: tuple[Node | float, Nodes, Nodes] | None = None
        self.slopes_taken = 0
        self.diffusions = 0
        self._evaluated: dict[tuple[Node | float, ...], Nodes] = {}

    @classmethod
    def of(cls, solve: Solve) -> Field:
        """The field of a solve, its captured values bound."""
        results = substitute(solve.region.results, dict(zip(solve.captured_arguments, solve.captured, strict=True)))
        arguments = (solve.time, *solve.state_arguments, *solve.row_arguments)
        return cls(solve.rebuilt(region=Region(arguments, results), captured=()))

    def at(self, rows: Sequence[Node]) -> Field:
        """The field of one step, which reads these slices of the rows."""
        return Field(self.solve, tuple(rows), self._recall)

    def recalling(self, recall: Recalling) -> Field:
        """The same field, told what the states were at earlier times."""
        return Field(self.solve, self.rows, recall)

    def noting(self, t: Node | float, x: Nodes, slopes: Nodes) -> Field:
        """The same field, which evaluates nothing at (t, x)."""
        found = Field(self.solve, self.rows, self._recall)
        found._noted = t, x, slopes
        return found

    @property
    def spec(self) -> SolveSpec:
        return self.solve.spec

    @property
    def evaluations(self) -> int:
        """Evaluations of the field: as many slopes as it has states are one."""
        return -(-self.slopes_taken // len(self.spec.states))

    @cached_property
    def _slopes(self) -> Nodes:
        return self.solve.slopes()

    def __call__(self, t: Node | float, x: Nodes) -> Nodes:
        """x' of every state: drift and stiff part together, noise aside."""
        return self.part(range(len(self.spec.states)), t, x)

    def part(self, places: Sequence[int], t: Node | float, x: Nodes) -> Nodes:
        """x' of the states at these places alone."""
        if self._noted is not None and self._noted[0] is t and all(map(is_, self._noted[1], x)):
            return tuple(self._noted[2][place] for place in places)
        self.slopes_taken += len(places)
        return self.filled([self._slopes[place] for place in places], t, x)

    def stiff(self, t: Node | float, x: Nodes) -> Stirred:
        """What the author marked as stiff of x', one entry a state; None where nothing is."""
        return self._term("stiff", t, x)

    def rest(self, t: Node | float, x: Nodes) -> Stirred:
        """x' without what is marked as stiff; None where all of it is."""
        self.slopes_taken += len(x)
        return self._term("drift", t, x)

    def _term(self, kind: TermKind, t: Node | float, x: Nodes) -> Stirred:
        found = self.solve.parts(kind)
        filled = iter(self.filled([item for item in found if item is not None], t, x))
        return tuple(None if item is None else next(filled) for item in found)

    def stir(self, t: Node | float, x: Nodes, increments: Mapping[str, Node]) -> Stirred:
        """g(t, x) dW, summed over the noises, one entry a state; None where no noise reaches.

        `increments` hold (batch, m) for a noise, and need not be increments: g is what multiplies them.
        """
        return self._met(self._factors(t, x), increments)

    def stir_jvp(self, t: Node | float, x: Nodes, increments: Mapping[str, Node], v: Stirred) -> Stirred:
        """(dg/dx v) dW: how g(t, x) dW changes along v, the increments held; None where it does not."""
        self.diffusions += 1
        probes = tuple(leaf(ARGUMENT, f"v{i}", item.type) for i, item in enumerate(self.solve.state_arguments))
        moving = [i for i, value in enumerate(v) if value is not None]
        arguments = [self.solve.state_arguments[i] for i in moving]
        (moved,) = push_forward(self._spread, arguments, [tuple(probes[i] for i in moving)])
        known = {probes[i]: broadcast_like(value, x[i]) for i in moving if (value := v[i]) is not None}
        filled = iter(substitute(self.filled([g for g in moved if g is not None], t, x), known))
        return self._met([None if g is None else next(filled) for g in moved], increments)

    def _factors(self, t: Node | float, x: Nodes) -> Nodes:
        """What multiplies increments at (t, x): evaluated once, however many increments it meets there."""
        place = (t, *x)
        if place not in self._evaluated:
            self.diffusions += 1
            self._evaluated[place] = self.filled(self._spread, t, x)
        return self._evaluated[place]

    @cached_property
    def _diffusions(self) -> tuple[tuple[Term, int, int], ...]:
        return tuple(item for item in self.spec.by_term() if item[0].kind == "diffusion")

    @cached_property
    def _spread(self) -> Nodes:
        """The results that multiply increments."""
        return tuple(self.solve.region.results[place] for _, _, place in self._diffusions)

    def _met(self, values: Sequence[Node | None], increments: Mapping[str, Node]) -> Stirred:
        found: dict[int, Node] = {}
        for (term, state, _), g in zip(self._diffusions, values, strict=True):
            if g is not None and term.noise is not None and term.noise in increments:
                moved = met(term, g, increments[term.noise], self.solve.state_arguments[state].type)
                found[state] = found[state] + moved if state in found else moved
        return tuple(found.get(place) for place in range(len(self.spec.states)))

    def result(self, place: int, t: Node | float, x: Nodes) -> Node:
        """One result of the region at (t, x): a switch, or what a state jumps to."""
        return self.filled([self.solve.region.results[place]], t, x)[0]

    def result_jvp(self, place: int, t: Node | float, x: Nodes, dt: Node, v: Nodes) -> Node:
        """dr/dt dt + (dr/dx) v: how a result r of the region changes along (dt, v)."""
        arguments = (self.solve.time, *self.solve.state_arguments)
        probes = tuple(leaf(ARGUMENT, f"v{i}", item.type) for i, item in enumerate(arguments))
        (moved,) = jvp([self.solve.region.results[place]], arguments, probes)
        return substitute(self.filled([moved], t, x), dict(zip(probes, (dt, *v), strict=True)))[0]

    def jvp(self, t: Node | float, x: Nodes, v: Nodes) -> Nodes:
        """(df/dx) v: how x' changes along v."""
        self.slopes_taken += len(v)
        probes = tuple(leaf(ARGUMENT, f"v{i}", item.type) for i, item in enumerate(self.solve.state_arguments))
        moved = jvp(self._slopes, self.solve.state_arguments, probes)
        return substitute(self.filled(moved, t, x), dict(zip(probes, v, strict=True)))

    def jacobian(self, t: Node | float, x: Nodes) -> tuple[tuple[Node, ...], ...]:
        """df_i/dx_j for states that are numbers: rows of numbers, one for each sample."""
        count = len(x)
        units = [tuple(constant(float(i == j)) * (0.0 * item + 1.0) for i, item in enumerate(x)) for j in range(count)]
        columns = [self.jvp(t, x, unit) for unit in units]
        return tuple(tuple(column[i] for column in columns) for i in range(count))

    def filled(self, results: Sequence[Node], t: Node | float, x: Nodes) -> Nodes:
        """Nodes of the region at (t, x): with the slices of this step's rows, too."""
        time = t if isinstance(t, Node) else constant(float(t))
        known = {self.solve.time: time, **dict(zip(self.solve.state_arguments, x, strict=True))}
        known |= dict(zip(self.solve.row_arguments, self.rows, strict=True))
        recall = self._recall
        if recall is None:
            return substitute(results, known)

        def visit(node: Node, inputs: Nodes) -> Node:
            if node.op is not DELAYED:
                return node.rebuilt(inputs)
            now, lag, before = inputs
            return recall(node.attrs["state"], t, lag, broadcast_like(before, now))

        return transform(results, visit, known)
