"""`solve F from ... over|at ... [with scheme]` to a solve node whose field is a region."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from isocline_compiler.graph import Node, at, constant, here
from isocline_compiler.graph.called import Called
from isocline_compiler.graph.noise import Noise, Ordering
from isocline_compiler.graph.solve import Interval, Row, SolveSpec, State, pick
from isocline_compiler.graph.solve import Solve as SolveRecord
from isocline_compiler.graph.tensor_type import Shape, TensorType, describe
from isocline_compiler.lower.along import Along
from isocline_compiler.lower.called import scheme_called
from isocline_compiler.lower.coefficients import with_coefficients
from isocline_compiler.lower.conform import conform, spread
from isocline_compiler.lower.controls import check_reach
from isocline_compiler.lower.delays import History, past, require_followed
from isocline_compiler.lower.events import events_of
from isocline_compiler.lower.expressions import Expressions, Solution
from isocline_compiler.lower.faults import LowerError, Poisoned
from isocline_compiler.lower.field_body import Around, FieldBody
from isocline_compiler.lower.fractional import require_remembered
from isocline_compiler.lower.known_numbers import Numbers
from isocline_compiler.ops.points import MERGE_POINTS
from isocline_compiler.solvers.companions import with_companions
from isocline_compiler.solvers.grid import discretise
from isocline_compiler.solvers.noise_kinds import noise_kinds
from isocline_compiler.solvers.points import at_points
from isocline_compiler.solvers.schemes import SCHEMES
from isocline_compiler.vocabulary.functions.ensembles import has_samples
from isocline_compiler.vocabulary.functions.shaping import stack
from isocline_dsl import messages
from isocline_dsl.diagnostics import IsoclineError
from isocline_dsl.tree import Argument, Binding, Equation, Expression, Field, Name, Range, Solve, walk

MOST_SAMPLES = 2**24
"""More than this the generator of noise cannot number."""
ORDERINGS: Mapping[str, Ordering] = {
    "independent": "independent", "antithetic": "antithetic", "lattice": "lattice",
    "antithetic_lattice": "antithetic_lattice",
}  # fmt: skip


@dataclass
class SolveLowering:
    """What a solve needs of the file around it."""

    around: Around
    taken: set[str]
    """The names of inputs that are taken already, those of noises too."""

    @property
    def numbers(self) -> Numbers:
        return self.around.numbers

    def lower(
        self, name: str, solve: Solve, declaration: Field, expressions: Expressions, undone: bool = False
    ) -> Solution:
        """The solution called `name`, a value a state. `expressions` lowers what is around it. Of a path that `inverse`
        undoes, what the scheme remembers is kept. Raises LowerError.
        """
        states = states_of(declaration, self.numbers)
        count = None if solve.samples is None else self.numbers.integer(solve.samples)
        interval, times = self._interval(solve, expressions)
        initial, apart = self._initial(solve, states, expressions, count, interval)
        scheme = scheme_called(solve.scheme, self.numbers, own=True) if solve.scheme is not None else None
        if scheme is not None:
            _check_steps(scheme, interval, times)
        if declaration.per_step and scheme is None:
            raise LowerError(messages.weights_per_step_without_scheme(solve.span, declaration.name.text))
        starts = {state.name: node for state, node in zip(states, initial, strict=True)}
        body = FieldBody(self.around, declaration, states, scheme, History.of(solve, starts))
        batched = any(node.type.batched for node in initial) or (times is not None and times.type.batched)
        driven = bool(body.noises)
        apart_in_time = (times is not None and times.type.batched) or (batched and bool(events_of(declaration)))
        derived = body.lower(batched or driven, apart_in_time)
        if not (batched or driven) and (derived.touches_batch or any(node.type.batched for node in derived.captured)):
            batched = True
            derived = body.lower(batched, bool(events_of(declaration)))
        if events_of(declaration):
            _require_plain(solve, declaration, driven)
        for path in derived.controls:
            check_reach(path, interval.times, solve.times.span)
        if batched:
            initial = tuple(spread(node, _batch_source(initial, derived.captured, times)) for node in initial)
        samples, ordering = self._samples(solve, derived.noises, apart)
        jumping = any(noise.process == "poisson" for noise in derived.noises)
        if jumping and interval.times is None:
            what = "a Poisson process between times that come with each sample"
            raise LowerError(messages.not_available_yet(solve.times.span, what))
        spec = SolveSpec(
            name, declaration.name.text, states, interval, scheme,
            terms=derived.terms,
            rows=_weights_of_steps(derived.stacked, interval),
            noises=self._sources(name, derived.noises), samples=samples, apart=apart, ordering=ordering,
        )  # fmt: skip
        record = SolveRecord(spec, derived.region, initial, derived.captured, derived.stacked, times, here())
        if undone and driven:
            record = with_companions(record)
        if driven:
            record = record.rebuilt(spec=replace(record.spec, kinds=noise_kinds(record)))
        require_remembered(record, declaration.per_step, solve.span)
        if scheme is not None:
            _check_fit(scheme, record)
        require_followed(record, derived.delayed, solve.span)
        node = with_coefficients(record, self.around.table).node()
        picked = {state.name: pick(node, i) for i, state in enumerate(states)}
        kept = record.times if interval.times is None else constant(np.array(interval.times))
        assert kept is not None, "times are known or given"
        return Solution(picked, Along(body, tuple(picked.values()), kept, interval.everywhere, record.spec.samples))

    def stops(self, solve: Solve, expressions: Expressions) -> Node:
        """The times of a solve as a value; they rise. Raises LowerError."""
        interval, times = self._interval(solve, expressions)
        if interval.times is None:
            assert times is not None
            return times
        if interval.times[0] > interval.times[-1]:
            raise LowerError(messages.jumps_not_here(solve.times.span, solve.field.text, "the solve goes backwards"))
        return constant(np.array(interval.times))

    def rehearse(self, declaration: Field) -> None:
        """Lower a field for itself, to find its mistakes when no solve gets as far. Raises LowerError."""
        if not declaration.per_step:
            FieldBody(self.around, declaration, states_of(declaration, self.numbers), None).lower(True, False)

    def _sources(self, name: str, noises: Sequence[Noise]) -> tuple[Noise, ...]:
        """The noises with the names of their inputs: their own, or behind that of the solution where it is taken."""
        found = []
        for noise in noises:
            free = noise.name not in self.taken
            source = noise.name if free else f"{name}_{noise.name}"
            self.taken.add(source)
            found.append(replace(noise, source=source))
        return tuple(found)

    def _samples(self, solve: Solve, noises: Sequence[Noise], apart: bool) -> tuple[int | None, Ordering]:
        if solve.samples is None:
            return None, "independent"
        if not noises and not apart:
            raise LowerError(messages.samples_without_noise(solve.samples.span, solve.field.text))
        count = self.numbers.integer(solve.samples)
        if not 1 <= count <= MOST_SAMPLES:
            raise LowerError(messages.samples_out_of_range(solve.samples.span, count, MOST_SAMPLES))
        word = solve.ordering
        if word is not None and word.text not in ORDERINGS:
            raise LowerError(messages.unknown_ordering(word.span, word.text, tuple(ORDERINGS)[1:]))
        ordering = "independent" if word is None else ORDERINGS[word.text]
        heavy = next((noise.name for noise in noises if noise.process == "stable"), None)
        if word is not None and heavy is not None and "lattice" in ordering:
            raise LowerError(messages.no_lattice(word.span, ordering, heavy))
        return count, ordering

    def _initial(
        self, solve: Solve, states: Sequence[State], expressions: Expressions, count: int | None, interval: Interval
    ) -> tuple[tuple[Node, ...], bool]:
        """The start of each state; and whether one of them has samples of its own: then all are for each of the `count`
        samples, (count batch, ...).
        """
        given: dict[str, Binding] = {item.name.text + "'" * item.order: item for item in solve.initial}
        if not given.keys() <= {state.name for state in states}:
            raise Poisoned  # the start of something that is no state: reported where names are resolved
        nodes = []
        for state in states:
            if state.name not in given:
                raise LowerError(messages.state_without_start(solve.span, state.name, solve.field.text))
            binding = given[state.name]
            if binding.time is None:
                nodes.append(_start(state, binding.value, expressions, count))
            else:
                nodes.append(past(binding, _begin(interval, solve), expressions.within, state))
        apart = [node.op is MERGE_POINTS for node in nodes]
        if count is None or not any(apart):
            return tuple(nodes), False
        return tuple(
            node if own or not node.type.batched else at_points(node, count)
            for node, own in zip(nodes, apart, strict=True)
        ), True

    def _interval(self, solve: Solve, expressions: Expressions) -> tuple[Interval, Node | None]:
        if isinstance(solve.times, Range):
            between = self._between(solve, solve.times, expressions)
            if between is not None:
                return Interval(None, everywhere=False), between
            if solve.times.step is not None and not solve.everywhere:
                raise LowerError(messages.step_without_at(solve.times.step.span))
            if solve.times.step is None and solve.everywhere:
                raise LowerError(messages.at_without_step(solve.times.span))
            return Interval(self.numbers.times(solve.times), solve.everywhere), None
        node = expressions.node(solve.times)
        if node.type.kind != "real" or len(node.type.sample) != 1:
            raise LowerError(messages.times_not_a_list(solve.times.span, describe(node.type)))
        return self._listed(solve, node)

    def _between(self, solve: Solve, times: Range, expressions: Expressions) -> Node | None:
        """`over t0..t1` in a scan, where a row or a state names an end: the times of the solve, (batch, 2) or (2,).

        None where both ends are known numbers. Raises LowerError.
        """
        ends = times.start, times.stop
        names = {node.text for end in ends for node in walk(end) if isinstance(node, Name)}
        if solve.everywhere or times.step is not None or names.isdisjoint(expressions.frame.known):
            return None
        nodes = [expressions.node(end) for end in ends]
        for node, end in zip(nodes, ends, strict=True):
            if node.type.kind != "real" or node.type.sample:
                raise LowerError(messages.times_not_numbers(end.span, describe(node.type)))
        return stack(*nodes)

    def _listed(self, solve: Solve, node: Node) -> tuple[Interval, Node | None]:
        known = node.attrs.get("value")
        if node.type.sample == (1,):
            raise LowerError(messages.times_not_a_list(solve.times.span, "a single time"))
        if known is None:
            return Interval(None, solve.everywhere), node
        times = tuple(float(item) for item in known)
        if not all(map(math.isfinite, times)):
            raise LowerError(messages.times_not_finite(solve.times.span))
        forward = len(times) < 2 or times[1] > times[0]
        for before, after in pairwise(times):
            if before == after or (after > before) != forward:
                raise LowerError(messages.times_not_increasing(solve.times.span, f"{before:g}", f"{after:g}"))
        if len(times) < 2:
            raise LowerError(messages.times_not_a_list(solve.times.span, "a single time"))
        return Interval(times, solve.everywhere), None


def states_of(declaration: Field, numbers: Numbers) -> tuple[State, ...]:
    """The first-order states in the order of the declaration: `q`, followed by its velocity `q'` where its equation is
    second order.
    """
    orders = {item.state.text: item.order for item in declaration.body if isinstance(item, Equation)}
    found: list[State] = []
    for argument in declaration.states:
        shape = _state_shape(argument, numbers)
        order = orders.get(argument.name.text, 1)
        found.extend(State(argument.name.text + "'" * k, shape) for k in range(order))
    return tuple(found)


def _begin(interval: Interval, solve: Solve) -> Node:
    """Where a history ends. Raises LowerError."""
    if interval.times is None:
        why = "its times come with each sample, or lie between jumps or observations"
        raise LowerError(messages.delays_not_here(solve.span, solve.field.text, why))
    return constant(interval.times[0])


def _start(state: State, value: Expression, expressions: Expressions, count: int | None) -> Node:
    """The start of a state in its shape, or of each of `count` samples, side by side. Raises LowerError."""
    with at(value.span):
        found = expressions.node(value)
        node = conform(found, state.shape)
        if node is not None:
            return node
        several = found.type.kind == "real" and has_samples(found) and found.type.sample[1:] == state.shape
        if several and found.type.sample[0] == count:
            return MERGE_POINTS(found)
    samples = found.type.sample[0] if several else None
    expected = describe(TensorType("real", state.shape))
    raise LowerError(messages.start_shape(value.span, state.name, describe(found.type), expected, samples))


def _state_shape(argument: Argument, numbers: Numbers) -> Shape:
    if argument.type is None or argument.type.kind.text not in ("real", "positive"):
        raise LowerError(messages.state_type(argument.span, argument.name.text))
    return numbers.sizes(argument.type)


def _check_steps(scheme: Called, interval: Interval, times: Node | None) -> None:
    """The steps must divide evenly among the stretches between the times. Raises LowerError."""
    size = 2 if times is None else times.size(-1)
    if not isinstance(size, int):
        return  # known only when the model runs
    count = size - 1 if interval.times is None else len(interval.times) - 1
    steps = scheme.options["steps"]
    if steps % count:  # else there is nothing to say, and a grid of a million steps is not made for it
        try:
            discretise(interval, scheme.name, steps, intervals=count, span=scheme.span)
        except IsoclineError as error:
            raise LowerError(*error.diagnostics) from None
    if interval.times is not None and _too_fine(interval.times, steps // count):
        raise LowerError(messages.bad_range_step(scheme.span, "these times", f"of 1/{steps // count} of an interval"))


def _too_fine(times: Sequence[float], substeps: int) -> bool:
    """Whether substeps of some interval are shorter than what tells two times apart."""
    return any(abs(b - a) / substeps <= math.ulp(max(abs(a), abs(b))) for a, b in pairwise(times))


def _require_plain(solve: Solve, declaration: Field, driven: bool) -> None:
    """Raises LowerError for a field whose events no step can be cut at."""
    weights = "its steps have weights of their own, and a step that is cut in two would have those of both"
    for wrong, why in ((driven, "it has noise"), (declaration.per_step, weights)):
        if wrong:
            raise LowerError(messages.events_not_here(solve.span, declaration.name.text, why))


def _check_fit(scheme: Called, solve: SolveRecord) -> None:
    """A scheme in the model that cannot solve these equations, and the ones that do. Raises LowerError."""
    misfit = SCHEMES[scheme.name].fits(solve)
    if misfit is not None:
        fault = misfit(scheme.span)
        fitting = [name for name, item in SCHEMES.items() if item.fits(solve) is None]
        reason = fault.message.split(": ", 1)[-1]
        raise LowerError(messages.no_fitting_scheme(scheme.span, scheme.name, reason, fitting))


def _batch_source(initial: Sequence[Node], captured: Sequence[Node], times: Node | None) -> Node:
    candidates = [*initial, *captured, *(() if times is None else (times,))]
    batched: Node = next(node for node in candidates if node.type.batched)
    return batched


def _weights_of_steps(stacked: Sequence[Node], interval: Interval) -> tuple[Row, ...]:
    """Each piece of time has its weights, so that a solve that goes back in time meets those of the last first."""
    back = interval.times is not None and interval.times[-1] < interval.times[0]
    names = [str(item.attrs.get("name", f"row{i}")) for i, item in enumerate(stacked)]
    return tuple(Row(name, indexing="backwards" if back else "piecewise") for name in names)
