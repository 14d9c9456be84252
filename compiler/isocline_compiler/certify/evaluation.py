"""The model in float64: some solves as the steps that are deployed, the others by a reference.

There is one walk of a grid, that of the unrolled graph; the torch back end runs it here as it does in training.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from math import inf, prod

import numpy as np
import torch
from torch import Tensor

from isocline_compiler.backends.to_torch import Integrator, Run, TorchProgram, namespace_of
from isocline_compiler.certify.agreed import Agreed, is_cheaper
from isocline_compiler.certify.cause import Unsolved, cause_of
from isocline_compiler.certify.culprit import find_culprit, shown, values_of
from isocline_compiler.certify.event_walk import Accumulated
from isocline_compiler.certify.measures import relative_errors
from isocline_compiler.certify.multistep import MULTISTEP, Multistep, goes_on
from isocline_compiler.certify.reference import FLOOR, LOOSE, AdaptiveExplicit
from isocline_compiler.certify.remembered import Remembered
from isocline_compiler.certify.samples import Samples
from isocline_compiler.certify.stiff_reference import AdaptiveImplicit
from isocline_compiler.graph import Array, Graph, Region
from isocline_compiler.graph.called import Called
from isocline_compiler.graph.solve import SOLVE, Solve, spec_of
from isocline_compiler.graph.tensor_type import BATCH
from isocline_compiler.model import Model
from isocline_compiler.passes.prune import prune
from isocline_compiler.solvers.grid import NO_JUMPS, Discretisation, Jumps, discretise
from isocline_compiler.solvers.unroll import unroll
from isocline_compiler.solvers.unroll.forms import solves_of
from isocline_dsl import messages
from isocline_dsl.diagnostics import Diagnostic, IsoclineError

AGREED = 0.1
"""The part of the stated error by which two references may differ."""
STIFF, RUNS_AWAY = "E672", "E671"
ASTRAY = (STIFF, RUNS_AWAY)
"""What the explicit reference says of stiff equations: it may leave their solution by its own error, and run away."""
NOTHING = 1e-15
"""An output that is this part of what its states began with is made of rounding, where two references differ."""
ATTEMPTS, HOPELESS = 3, 0.5
"""How often both are tightened, and by how much they have to come nearer each time."""
SEVERAL, EVALUATIONS = 4, 8
"""Samples whose steps together are beside those of one, and evaluations of the field that an implicit step takes."""
MOST_CHECKED, MOST_ENTRIES, ALONE = 64, 4096, 8
"""Samples, states of all of them together, and samples one by one, on which the second reference is computed."""

Choices = Mapping[str, Discretisation]
"""Schemes and grids by the names of solves."""


def scheme_steps(solve: Solve, choice: Called, jumps: Jumps = NO_JUMPS) -> Discretisation:
    """A named scheme with its number of steps, for one solve. Raises IsoclineError when the steps do not fit."""
    place, steps = choice.span or solve.span, choice.options["steps"]
    return discretise(
        solve.spec.interval, choice.name, steps, intervals=intervals(solve), span=place, jumps=jumps,
        options=choice.options,
    )  # fmt: skip


def intervals(solve: Solve) -> int:
    """How many stretches between stated times a solve has."""
    times = solve.spec.interval.times
    if times is not None:
        return len(times) - 1
    assert solve.times is not None
    count = solve.times.size(-1)
    assert isinstance(count, int), "the number of times is known when compiling"
    return count - 1


def _begun(read: Sequence[Tensor | None], kept: Sequence[Tensor]) -> Iterator[Tensor]:
    """The states that a solve began with, of what it read and what it gave."""
    return (item for item, _ in zip(read, kept, strict=False) if item is not None and item.numel())


@dataclass
class Evaluator:
    """Evaluates a rolled graph on some samples with given weights, in float64."""

    model: Model
    weights: Mapping[str, Array]
    samples: Samples
    error: float = 1e-3
    by: AdaptiveExplicit | Multistep | None = None
    """What solves the open solves where no grid is given; the adaptive explicit one unless it is said."""
    settled: Agreed | None = None
    """What was agreed on these samples before, where it was."""
    known: Remembered = field(init=False)

    def __post_init__(self) -> None:
        self._solve_by(self.by or AdaptiveExplicit.to(self.error))

    def _solve_by(self, reference: AdaptiveExplicit | Multistep) -> None:
        """Solve what is open by this reference from now on."""
        if isinstance(reference, AdaptiveExplicit):
            self.by = reference
        self.known = Remembered(reference.integrator)

    @cached_property
    def graph(self) -> Graph:
        return self.model.graph

    @cached_property
    def solves(self) -> tuple[Solve, ...]:
        """The solves of the model, in the order they are computed, one for each that has a choice of its own."""
        found: dict[str, Solve] = {}
        for solve in solves_of(self.graph):
            found.setdefault(solve.spec.choice, solve)
        return tuple(found.values())

    @cached_property
    def looped(self) -> frozenset[str]:
        """The choices of solves in the bodies of loops: what they begin with is a value of an iteration."""
        alone = {spec_of(node).choice for node in self.graph.nodes() if node.op is SOLVE}
        return frozenset(solve.spec.choice for solve in self.solves) - alone

    @cached_property
    def behind(self) -> dict[str, frozenset[str]]:
        """The choices of the solves that each output is computed by."""
        return {
            name: frozenset(solve.spec.choice for solve in solves_of(Graph(self.graph.inputs, {name: node})))
            for name, node in self.graph.outputs.items()
        }

    def showing(self, outputs: Collection[str]) -> Evaluator:
        """The same model of these outputs alone, on the same samples."""
        graph = Graph(self.graph.inputs, {name: self.graph.outputs[name] for name in outputs}, self.graph.name)
        return Evaluator(replace(self.model, graph=graph), self.weights, self.samples, self.error)

    @cached_property
    def stated(self) -> dict[str, Discretisation]:
        """The choices of the solves whose scheme is part of the model."""
        return {
            solve.spec.choice: scheme_steps(solve, solve.spec.scheme)
            for solve in self.solves
            if solve.spec.scheme is not None
        }

    @cached_property
    def open(self) -> tuple[Solve, ...]:
        """The solves of declared differential equations, whose scheme is to be chosen."""
        return tuple(solve for solve in self.solves if solve.spec.choice not in self.stated)

    @cached_property
    def bound(self) -> dict[str, Tensor]:
        """Weights and inputs as float64 (or int64, bool) tensors by name."""
        named = {**self.weights, **{name: self.samples.inputs[name] for name in self.samples.inputs}}
        return {name: torch.tensor(_wide(array)) for name, array in named.items()}

    def run(self, choices: Choices, dtype: torch.dtype = torch.float64) -> dict[str, Array]:
        """The outputs with these solves on their grids, schemes of the model as stated, the rest by the reference.

        In float32 every solve must be on a grid.
        """
        return self.outputs(self.stepped(choices), self.known, dtype)

    def stepped(self, choices: Choices, leaving: Collection[str] = ()) -> Graph:
        """The graph with these solves, and those that state their scheme, as loops of single steps; some are left."""
        every = {name: choice for name, choice in {**self.stated, **choices}.items() if name not in leaving}
        singly = {name: replace(choice, segment=1) for name, choice in every.items()}
        return prune(unroll(self.graph, singly).graph)

    def outputs(self, graph: Graph, integrator: Integrator, dtype: torch.dtype = torch.float64) -> dict[str, Array]:
        """The outputs of a graph on the samples, its solves by an integrator."""
        bound = {name: item.to(dtype) if item.is_floating_point() else item for name, item in self.bound.items()}
        with torch.no_grad():
            outputs = TorchProgram(graph)(bound, integrator=integrator)
        return {name: tensor.detach().cpu().numpy() for name, tensor in outputs.items()}

    @property
    def reference(self) -> dict[str, Array]:
        """The true solution, as far as it can be had. Raises E608, E609 or E67x where it cannot, E630 where references
        differ.
        """
        return self.agreed.outputs

    @cached_property
    def agreed(self) -> Agreed:
        """Two references that are apart by no more than a tenth of the stated error; tightened until they are."""
        if self.settled is not None:
            return self.settled
        assert self.by is not None
        tolerance, longest = self.by.tolerance, Multistep.longest
        few = Evaluator(self.model, self.weights, self.samples.first(self._checked), self.error)
        before = inf
        first: AdaptiveExplicit | AdaptiveImplicit
        stiff, measured = isinstance(self.by, AdaptiveImplicit), dict[str, tuple[Tensor, ...]]()
        sizes = dict(self.by.sizes) if isinstance(self.by, AdaptiveExplicit) else {}
        for _ in range(ATTEMPTS):
            explicit = AdaptiveExplicit(tolerance, sizes=dict(sizes), measured=measured)
            first = AdaptiveImplicit(tolerance) if stiff else explicit
            self._solve_by(first)
            try:
                outputs = self.referred()
            except IsoclineError as error:
                if before == inf and not stiff and error.diagnostics[0].code in ASTRAY:
                    self._require_common_pace(tolerance)
                    stiff, first = True, AdaptiveImplicit(tolerance)
                    self._solve_by(first)
                    try:
                        outputs = self.referred()
                    except IsoclineError as other:
                        raise (other if error.diagnostics[0].code == STIFF else error) from None
                elif before == inf:
                    raise
                else:
                    break  # it went on with a looser tolerance: what is wrong is that both differed then
            if not self.open:
                return Agreed(outputs, "", "", {}, {})
            multistep = Multistep(tolerance, longest, first.breaks)
            few._solve_by(multistep)
            try:
                second = few.referred()
                apart = self._apart(outputs, second)
            except IsoclineError:
                if before == inf:
                    raise
                break
            checked = f"{multistep.words}, on {few.samples.count} of the samples"
            paces = first.paces if isinstance(first, AdaptiveImplicit) else {}
            cheaper = is_cheaper(multistep, first)
            events = first.events if isinstance(first, AdaptiveExplicit) else {}
            found = Agreed(
                outputs, first.words, checked, apart, first.breaks, paces, events, multistep if cheaper else None
            )
            if found.largest <= self.error * AGREED:
                return found
            if found.largest > before * HOPELESS:
                break
            before, tolerance, longest = found.largest, max(tolerance * 1e-3, FLOOR), longest / 4
        raise IsoclineError([self._disagreement(found, second)], self.model.source)

    def _disagreement(self, found: Agreed, second: Mapping[str, Array]) -> Diagnostic:
        """E644 where an output is next to nothing beside the states that it began with, else E630; of which inputs."""
        name = found.worst
        span = next(port.span for port in self.model.outputs if port.name == name)
        rows, row, where = self.samples.spread(self._checked), 0, ""
        first = found.outputs[name]
        if self.graph.outputs[name].type.batched:
            first = first[rows]
            place = int(relative_errors(second[name], first, True).argmax())
            row, first = int(rows[place]), first[place]
            where = f", for {self._given(row)}"
        begun = max(float(x.abs().max()) for read, kept in self.known.solved.values() for x in _begun(read, kept))
        if float(np.abs(first).max()) <= NOTHING * begun:
            return messages.next_to_nothing(span, name, f"{np.abs(first).max():.1e}", where, f"{begun:.3g}")
        facts = (f"{found.largest:.1e}", f"{self.error * AGREED:.0e}", found.first, found.second, where)
        return messages.references_differ(span, name, *facts)

    def _require_common_pace(self, tolerance: float) -> None:
        """Raises E675 where an implicit reference would spend its evaluations on steps that each input needs elsewhere.

        The loose steps of one sample and of a few together are continued in a straight line to all of them; steps at a
        tolerance are as many as its power -1/4, which is that of the embedded error of Radau IIA.
        """
        if self.samples.count <= SEVERAL:
            return
        one, several = (self._loose_steps(count) for count in (1, SEVERAL))
        for solve in self.open:
            alone, together = one.get(solve.spec.choice, 0), several.get(solve.spec.choice, 0)
            steps = together + (together - alone) * (self.samples.count - SEVERAL) / (SEVERAL - 1)
            if steps * (LOOSE / tolerance) ** 0.25 * EVALUATIONS > MULTISTEP:
                fault = messages.paces_differ(solve.span, solve.spec.field, alone, SEVERAL, together)
                raise IsoclineError([fault], self.model.source)

    def _loose_steps(self, count: int) -> dict[str, int]:
        """Steps of a loose implicit reference on so many samples together, by the choice of the solve; none where it
        does not arrive.
        """
        few = Evaluator(self.model, self.weights, self.samples.first(count), self.error)
        implicit = AdaptiveImplicit(LOOSE)
        few._solve_by(implicit)
        try:
            few.run({})
        except IsoclineError:
            return {}
        return {name: len(pace) - 1 for name, pace in implicit.paces.items()}

    @property
    def _checked(self) -> int:
        """On how many samples the second reference is computed: it takes them all at once, in one system."""
        if any(solve.spec.events for solve in self.open):
            return ALONE
        entries = sum(prod(map(int, state.shape)) for solve in self.open for state in solve.spec.states)
        return min(MOST_CHECKED, max(1, MOST_ENTRIES // max(entries, 1)))

    def _apart(self, outputs: Mapping[str, Array], few: Mapping[str, Array]) -> dict[str, float]:
        """How far the second reference is from the first, by output, on the samples that both have."""
        rows = self.samples.spread(self._checked)
        found = {}
        for name, array in few.items():
            if array.dtype.kind == "f":
                batched = self.graph.outputs[name].type.batched
                same = outputs[name][rows] if batched else outputs[name]
                found[name] = float(relative_errors(array, same, batched).max())
        return found

    def referred(self) -> dict[str, Array]:
        """The outputs by the present reference, all finite."""
        try:
            outputs = self.run({})
        except Unsolved as unsolved:
            stuck = unsolved.stuck
            mine = any(type_.shape[:1] == (BATCH,) for type_ in stuck.node.types)
            cause = cause_of(stuck, goes_on, self._given) if mine else cause_of(stuck, goes_on)
            raise IsoclineError([cause], self.model.source) from None
        except Accumulated as found:
            raise IsoclineError([found.told(self._given(found.row))], self.model.source) from None
        for name, array in outputs.items():
            if not np.isfinite(array).all():
                raise IsoclineError([self._not_finite(name)], self.model.source)
        return outputs

    def _not_finite(self, name: str) -> Diagnostic:
        """The operation that spoils an output, found on the graph evaluated node by node."""
        graph = self.stepped({})
        run = Run(self.bound, namespace_of(self.bound), integrator=self.known)
        with torch.no_grad():
            values = values_of(Region((), (graph.outputs[name],)), (), run)
        found = find_culprit(values, run)
        span = next(port.span for port in self.model.outputs if port.name == name)
        if found is None:
            return messages.not_finite(span, "solve", "a solution without an end", name, "")
        given = self._given(found.row)
        where = f", for {given}" if given else ""
        return messages.not_finite(found.node.span or span, found.operation, found.met, name, where)

    def _given(self, row: int) -> str:
        """The inputs of a sample: `x = 0.3, u = [0, 1]`."""
        inputs = [port.name for port in self.model.inputs if port.name in self.samples.inputs]
        return ", ".join(shown(name, self.bound[name], row, True) for name in inputs)

    def alike(self) -> AdaptiveExplicit | AdaptiveImplicit:
        """A reference for other samples, like that of these: explicit, with the sizes it found, or implicit."""
        assert self.by is not None
        if self.agreed.paces or not isinstance(self.by, AdaptiveExplicit):
            return AdaptiveImplicit(self.by.tolerance)
        return AdaptiveExplicit(self.by.tolerance, sizes=dict(self.by.sizes))

    def quickest(self) -> AdaptiveExplicit | Multistep:
        """Of the references that agreed here, the one for a search, where no number is believed for its own sake."""
        cheaper = self.agreed.cheaper
        if cheaper is not None:
            return Multistep(cheaper.tolerance, cheaper.longest)
        first = self.alike()
        return replace(first, hurried=True) if isinstance(first, AdaptiveExplicit) else first

    def joined(self, other: Evaluator, origin: str) -> Evaluator:
        """The same on these samples and those of another, whose references are known."""
        samples = self.samples.joined(other.samples, origin)
        first, second = self.agreed, other.agreed
        outputs = {
            name: np.concatenate([array, second.outputs[name]]) if self.graph.outputs[name].type.batched else array
            for name, array in first.outputs.items()
        }
        apart = {name: max(value, second.apart.get(name, 0.0)) for name, value in first.apart.items()}
        events = {name: item.joined(second.events[name]) for name, item in first.events.items()}
        settled = replace(first, outputs=outputs, apart=apart, events=events)
        return Evaluator(self.model, self.weights, samples, self.error, self.by, settled)

    def jumps(self, solve: Solve) -> Jumps:
        """Where the field of a solve, and of what varies it, jumps for all samples alike: its grid stands on these."""
        times = solve.spec.interval.times
        if times is None:
            return NO_JUMPS
        found_on_the_way = self.agreed.breaks
        alike = {other.spec.name for other in solves_of(self.graph) if other.spec.choice == solve.spec.choice}
        breaks = [item for name, item in found_on_the_way.items() if name.partition("[")[0] in alike]
        shared = [jump for item in breaks for jump in item.jumps if jump.shared]
        found = {jump.after for jump in shared}
        margin = 4 * float(np.finfo(self.model.deployment.dtype).eps) * max(map(abs, times))
        if all(jump.gap == 0 for jump in shared):
            margin = 0.0  # what jumps there is a derivative, and either side may be read
        ordered = sorted(found)
        for here, there in pairwise(ordered):
            if there - here <= 4 * margin and self.model.deployment.dtype == "float32":
                fault = messages.jumps_too_close(solve.span, solve.spec.field, f"{here:.17g}", f"{there:.17g}")
                raise IsoclineError([fault], self.model.source)
        around = sorted({t for item in breaks for t in item.narrow(times[0], times[-1])})
        return Jumps(tuple(ordered), margin, tuple(around))


def _wide(array: Array) -> Array:
    return np.asarray(array, dtype=np.float64) if array.dtype.kind == "f" else np.asarray(array)
