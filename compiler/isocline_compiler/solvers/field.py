"""The field of a solve as schemes see it: nodes in, nodes out, with its parts and its derivatives."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from isocline_compiler.derivatives.reverse_forward import dependent, jvp
from isocline_compiler.graph import ARGUMENT, Node, Nodes, Region, constant, leaf, substitute, topological
from isocline_compiler.graph.solve import Solve, SolveSpec


class Field:
    """x' = f(t, x), one entry a state; captured values and what this step reads of the rows are filled in.

    A solve binds its captured values once, so that what they alone decide stays one node for all steps.
    """

    def __init__(self, solve: Solve, rows: Nodes = ()) -> None:
        self.solve = solve
        self.rows = rows
        self.evaluations = 0

    @classmethod
    def of(cls, solve: Solve) -> Field:
        """The field of a solve, its captured values bound."""
        results = substitute(solve.region.results, dict(zip(solve.captured_arguments, solve.captured, strict=True)))
        arguments = (solve.time, *solve.state_arguments, *solve.row_arguments)
        return cls(solve.rebuilt(region=Region(arguments, results), captured=()))

    def at(self, rows: Sequence[Node]) -> Field:
        """The field of one step, which reads these slices of the rows."""
        return Field(self.solve, tuple(rows))

    @property
    def spec(self) -> SolveSpec:
        return self.solve.spec

    @cached_property
    def _slopes(self) -> Nodes:
        return self.solve.slopes()

    def __call__(self, t: Node | float, x: Nodes) -> Nodes:
        """x' of every state: drift, stiff and linear parts together, noise aside."""
        self.evaluations += 1
        return self._filled(self._slopes, t, x)

    def part(self, places: Sequence[int], t: Node | float, x: Nodes) -> Nodes:
        """x' of the states at these places alone."""
        self.evaluations += 1
        return self._filled([self._slopes[place] for place in places], t, x)

    def diffusion(self, noise: str, t: Node | float, x: Nodes) -> tuple[Node | None, ...]:
        """What multiplies the increments of a noise, one entry a state; None where the noise does not reach."""
        found = self.spec.results("diffusion", noise)
        places = sorted(found)
        values = self._filled([self.solve.region.results[found[place][0]] for place in places], t, x)
        table = dict(zip(places, values, strict=True))
        return tuple(table.get(place) for place in range(len(x)))

    def reads(self, place: int) -> frozenset[int]:
        """The places of the states that x' of one state depends on."""
        order = topological([self._slopes[place]])
        arguments = self.solve.state_arguments
        return frozenset(i for i, x in enumerate(arguments) if self._slopes[place] in dependent(order, [x]))

    def jvp(self, t: Node | float, x: Nodes, v: Nodes) -> Nodes:
        """(df/dx) v: how x' changes along v."""
        self.evaluations += 1
        probes = tuple(leaf(ARGUMENT, f"v{i}", item.type) for i, item in enumerate(self.solve.state_arguments))
        moved = jvp(self._slopes, self.solve.state_arguments, probes)
        return substitute(self._filled(moved, t, x), dict(zip(probes, v, strict=True)))

    def jacobian(self, t: Node | float, x: Nodes) -> tuple[tuple[Node, ...], ...]:
        """df_i/dx_j for states that are numbers: rows of numbers, one for each sample."""
        count = len(x)
        units = [tuple(constant(float(i == j)) * (0.0 * item + 1.0) for i, item in enumerate(x)) for j in range(count)]
        columns = [self.jvp(t, x, unit) for unit in units]
        return tuple(tuple(column[i] for column in columns) for i in range(count))

    def _filled(self, results: Sequence[Node], t: Node | float, x: Nodes) -> Nodes:
        time = t if isinstance(t, Node) else constant(float(t))
        known = {self.solve.time: time, **dict(zip(self.solve.state_arguments, x, strict=True))}
        known |= dict(zip(self.solve.row_arguments, self.rows, strict=True))
        return substitute(results, known)
