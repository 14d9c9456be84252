"""Replace each solve by the steps of a scheme on a grid: after this, the graph holds arithmetic and loops only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from isocline_compiler.graph import INPUT, Graph, Node, Nodes, Region, at, substitute, topological, transform
from isocline_compiler.graph.collecting import uncollected
from isocline_compiler.graph.scan import SCAN, closed
from isocline_compiler.graph.solve import PICK, SOLVE, Solve, choice_of
from isocline_compiler.solvers.delays import Remembering
from isocline_compiler.solvers.grid import Discretisation, Grid
from isocline_compiler.solvers.schemes.located import Located
from isocline_compiler.solvers.schemes.measured import Measured
from isocline_compiler.solvers.schemes.resting import Resting
from isocline_compiler.solvers.side_by_side import split
from isocline_compiler.solvers.trajectory import Trajectory
from isocline_compiler.solvers.unroll.forms import LAID_OUT, form_of
from isocline_compiler.solvers.unroll.time_span import as_value
from isocline_dsl.diagnostics import IsoclineError


@dataclass(frozen=True, eq=False)
class Unrolled:
    """A graph with steps in place of solves; its further `inputs` are those of noise; `trajectories` by the names of
    the solves, where they were asked for.
    """

    graph: Graph
    inputs: tuple[Node, ...] = ()
    trajectories: tuple[Trajectory, ...] = ()


@uncollected()
def unroll(graph: Graph, choices: Mapping[str, Discretisation], *, trajectories: bool = False) -> Unrolled:
    """solve -> the steps of `choices[name]`, one after another, or a loop over segments of them.

    A solve without a choice stays, for a solver that is not ours; one that varies another shares that one's choice.
    Regions are entered: solves in fields and in bodies of loops are unrolled too, without trajectories. What does not
    depend on state, time or step stays one node. The combinations of slopes carry the span of the solve, the nodes of
    the field their own. The same graph comes back when it holds no solve. Raises IsoclineError where a scheme does not
    fit the equations.
    """
    work = _Unrolling(choices, trajectories)
    outputs = work.unrolled(tuple(graph.outputs.values()), observed=trajectories)
    further = tuple(node for node in topological(outputs) if node.op is INPUT and node not in graph.inputs)
    inputs = {str(node.attrs["name"]): node for node in further[::-1]}
    found = work.found
    if len(inputs) < len(further):
        outputs, found = _sharing(outputs, found, {node: inputs[str(node.attrs["name"])] for node in further})
    own = tuple(node for node in further if node in inputs.values())
    stepped = graph.with_outputs(dict(zip(graph.outputs, outputs, strict=True)))
    if own:
        stepped = Graph((*graph.inputs, *own), stepped.outputs, stepped.name)
    return Unrolled(stepped, own, tuple(found))


def _sharing(
    outputs: Nodes, found: Sequence[Trajectory], inputs: Mapping[Node, Node]
) -> tuple[Nodes, list[Trajectory]]:
    """With one input where solves read one path of noise, forth and back."""
    every = [outputs, *(part for item in found for part in ((item.times,), *item.states.values()))]
    moved = iter(substitute([node for part in every for node in part], inputs))
    results, *parts = (tuple(next(moved) for _ in part) for part in every)
    left = iter(parts)
    return results, [Trajectory(item.name, next(left)[0], {name: next(left) for name in item.states}) for item in found]


@dataclass
class _Unrolling:
    choices: Mapping[str, Discretisation]
    observe: bool
    found: list[Trajectory] = field(default_factory=list)

    @cached_property
    def results(self) -> dict[Node, Nodes]:
        return {}

    def unrolled(self, roots: Sequence[Node], observed: bool) -> tuple[Node, ...]:
        def visit(node: Node, inputs: tuple[Node, ...]) -> Node:
            if node.op is PICK and node.inputs[0] in self.results:
                index: int = node.attrs["index"]
                return self.results[node.inputs[0]][index]
            again = self._with_regions(node).rebuilt(inputs)
            if node.op is SCAN:
                return closed(again)
            if node.op is not SOLVE or choice_of(node) not in self.choices:
                return again
            with at(node.span):
                self.results[node] = self._steps(Solve.of(again), self.choices[choice_of(node)], observed)
            return as_value(self.results[node][0])

        return transform(roots, visit)

    def _with_regions(self, node: Node) -> Node:
        """The node with the solves in its regions unrolled."""
        changed = {}
        for key, value in node.attrs.items():
            if isinstance(value, Region):
                results = self.unrolled(value.results, observed=False)
                if any(new is not old for new, old in zip(results, value.results, strict=True)):
                    changed[key] = Region(value.arguments, results)
        return Node(node.op, node.inputs, {**node.attrs, **changed}, node.types, node.span) if changed else node

    def _steps(self, solve: Solve, choice: Discretisation, observed: bool) -> Nodes:
        choice = fitted(solve, choice)
        observed = observed and bool(solve.spec.own)
        emitted = form_of(choice).steps(solve, choice, observed) or LAID_OUT.steps(solve, choice, observed)
        assert emitted is not None
        results, trajectory = emitted
        if trajectory is not None:
            self.found.append(trajectory)
        results = split(results, solve.spec.samples)
        types = tuple(result.type for result in results)
        expected = solve.node().types
        assert types == expected, f"the grid keeps {types}, the solve has {expected}"
        return results


def fitted(solve: Solve, choice: Discretisation) -> Discretisation:
    """The choice with all that goes around its scheme for this solve. Raises IsoclineError where it does not fit."""
    misfit = choice.scheme.fits(solve)
    if misfit is not None:
        raise IsoclineError([misfit(solve.span)])
    stepping = choice.scheme.onto(choice.grid.times) if isinstance(choice.grid, Grid) else Resting.of(choice.scheme)
    cut = Measured.of(Located.of(stepping, solve.spec), solve.spec)
    return replace(choice, scheme=Remembering.of(cut, solve, choice))


__all__ = ["Unrolled", "fitted", "unroll"]
