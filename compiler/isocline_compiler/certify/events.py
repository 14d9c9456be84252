"""Jumps at a state in the certificate: how many there are, how near to one another, and where no grid can be right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from isocline_compiler.certify.evaluation import Choices, Evaluator
from isocline_compiler.certify.event_facts import EventFacts
from isocline_compiler.certify.event_walk import Events
from isocline_compiler.certify.reference import AdaptiveExplicit
from isocline_compiler.certify.samples import Samples
from isocline_compiler.graph import Array, everything
from isocline_compiler.graph.solve import PICK, SOLVE, Solve, spec_of
from isocline_compiler.solvers.grid import Discretisation, Grid
from isocline_dsl import messages
from isocline_dsl.diagnostics import Diagnostic, IsoclineError

GRAZING = 1e-5
"""The least rate at which a switch may fall at an event, in the largest that it has at any."""
NEAR = 0.1
"""How near a jump may be to a time, in parts of the horizon and of the stated error, where grids are measured."""
FEW = 64
"""Samples on which events of a model's own steps are looked for."""


def events_of(evaluator: Evaluator) -> Mapping[str, Events]:
    """The events on the way of a reference on these samples, by the name of the solution."""
    if evaluator.settled is not None:
        return evaluator.settled.events
    return evaluator.by.events if isinstance(evaluator.by, AdaptiveExplicit) else {}


def near_jumps(evaluator: Evaluator) -> Array:
    """The samples whose answer jumps so near the time it is given for that no grid is asked to tell before from behind:
    a state that is kept jumps there, and the time of an event is known to an error, too.
    """
    found = np.zeros(evaluator.samples.count, dtype=bool)
    kept = _kept(evaluator)
    for name, events in events_of(evaluator).items():
        near = events.near(NEAR * evaluator.error, kept.get(name.partition("[")[0], frozenset()))
        found |= near if len(near) == len(found) else near.any()
    return found


def _kept(evaluator: Evaluator) -> dict[str, frozenset[int]]:
    """The states of each solution that something reads, by their places."""
    found: dict[str, set[int]] = {}
    for node in everything(evaluator.graph.outputs.values()):
        if node.op is PICK and node.inputs[0].op is SOLVE:
            found.setdefault(spec_of(node.inputs[0]).name, set()).add(int(node.attrs["index"]))
    return {name: frozenset(places) for name, places in found.items()}


def set_apart(evaluator: Evaluator) -> Samples:
    """The samples without those near jumps; the same where nothing jumps. Raises IsoclineError where none is left."""
    samples = evaluator.samples
    if not any(solve.spec.events for solve in evaluator.open):
        return samples
    evaluator.referred()
    near = near_jumps(evaluator)
    if not near.any():
        return samples
    if near.all():
        solve = next(solve for solve in evaluator.open if solve.spec.events)
        raise IsoclineError(
            [messages.events_at_kept_times(solve.span, solve.spec.field, f"{NEAR * evaluator.error:.0e}")]
        )
    origin = f"{samples.origin}, {int(near.sum())} set apart whose answer jumps at a time it is given for"
    return replace(samples.taken(np.flatnonzero(~near)), origin=origin)


def event_facts(evaluator: Evaluator, choices: Choices) -> dict[str, EventFacts]:
    """What is said of the events of every solve, those of all iterations of a loop together, by the solution's name."""
    found: dict[str, EventFacts] = {}
    for name, events in _walked(evaluator).items():
        solution = name.partition("[")[0]
        solve = _solve(evaluator, solution)
        facts = _facts(events, {**evaluator.stated, **choices}[solve.spec.choice])
        found[solution] = found[solution].joined(facts) if solution in found else facts
    return found


def _facts(events: Events, choice: Discretisation) -> EventFacts:
    grids = [times_of(events, row, choice) for row in range(len(events.happened))]
    gaps = [gap for row, times in enumerate(grids) for gap in _gaps(events, row, times)]
    crowded = [item for row, times in enumerate(grids) if (item := events.nearest(row, times)) is not None]
    rates = _rates(events)
    pairs = [(item, max(own)) for own in rates.values() for item in own]
    slowest = min(pairs, key=_ratio) if pairs else None
    met = (item.t for items in events.happened for item in items if slowest and item.rate == slowest[0])
    return EventFacts(
        max(map(len, events.happened), default=0),
        min(gaps, default=None),
        None if slowest is None else _ratio(slowest),
        len(grids[0]) - 1 if grids else 0,
        max(crowded, default=None),
        next(met, None),
        int(events.held.sum()),
        len(events.held),
    )


def event_faults(evaluator: Evaluator, facts: Mapping[str, EventFacts]) -> Iterator[Diagnostic]:
    """E635 for two events of one kind in one step, E637 for a solution that grazes a condition."""
    for name, item in facts.items():
        solve = _solve(evaluator, name)
        if item.in_one_step is not None:
            count, first, second = item.in_one_step
            told = (f"{first:.6g}", f"{second:.6g}")
            yield messages.events_in_one_step(solve.span, solve.spec.field, count, *told, item.steps)
        if item.slowest is not None and not item.slowest > GRAZING:
            yield messages.event_grazes(solve.span, solve.spec.field, f"{item.slowest_at:.6g}", f"{item.slowest:.1e}")


def _ratio(pair: tuple[float, float]) -> float:
    return pair[0] / pair[1]


def _solve(evaluator: Evaluator, solution: str) -> Solve:
    """The solve of a solution: of those that vary one another there is one, `path_2` for what stayed apart of it."""
    name = solution.partition("[")[0]
    found = (item for item in evaluator.solves if name in (item.spec.name, item.spec.choice))
    return next(found, None) or next(item for item in evaluator.solves if name.startswith(item.spec.name))


def _walked(evaluator: Evaluator) -> Mapping[str, Events]:
    """The events of what is open by its reference; where all schemes are the model's own, by one of their equations."""
    if any(solve.spec.events for solve in evaluator.solves) and not events_of(evaluator):
        few = Evaluator(evaluator.model, evaluator.weights, evaluator.samples.first(FEW), evaluator.error)
        few.outputs(evaluator.graph, few.known)
        return events_of(few)
    return events_of(evaluator)


def _rates(events: Events) -> dict[int, list[float]]:
    found: dict[int, list[float]] = {}
    for items in events.happened:
        for item in items:
            found.setdefault(item.event, []).append(item.rate)
    return found


def _gaps(events: Events, row: int, times: Array) -> Iterator[float]:
    """How many steps lie between events of one kind that follow one another."""
    rising = times if times[-1] >= times[0] else times[::-1]
    before: dict[int, float] = {}
    for item in events.happened[row]:
        place = float(np.interp(item.t, rising, np.arange(len(rising))))
        if item.event in before:
            yield abs(place - before[item.event])
        before[item.event] = place


def times_of(events: Events, row: int, choice: Discretisation) -> Array:
    """The nodes of the grid of one sample."""
    if isinstance(choice.grid, Grid):
        return np.array(choice.grid.times)
    stops, substeps = events.stops[row], choice.grid
    places = np.arange((len(stops) - 1) * substeps + 1) / substeps
    return np.asarray(np.interp(places, np.arange(len(stops)), stops))
