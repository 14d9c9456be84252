"""Checks that are proved of the equations: constants of Lipschitz, rates of contraction, the growth of differences.

A bound holds for every pair of points of the stated ranges; beside it stands what was met in samples, which bounds the
same number from below, so that the two say how much is left to know.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from isocline_compiler.certify.enclosure import Unproved
from isocline_compiler.certify.jacobian import jacobian, narrowed, spectral
from isocline_compiler.certify.norms import EUCLIDEAN, logarithmic, step_norms
from isocline_compiler.graph import ARGUMENT, INPUT, Array, Graph, Node, Nodes, everything, leaf, topological
from isocline_compiler.graph.interval import Interval
from isocline_compiler.graph.solve import SOLVE, Solve
from isocline_compiler.graph.tensor_type import BATCH, TensorType
from isocline_compiler.model import Model, Port, ProvedCheck
from isocline_compiler.ops.enclosures import sample_shape
from isocline_compiler.ops.evaluation import evaluated
from isocline_compiler.ops.indexing import SELECT
from isocline_compiler.passes import optimise
from isocline_compiler.passes.bind import bind
from isocline_compiler.solvers.field import Field
from isocline_compiler.solvers.grid import Discretisation, Grid
from isocline_compiler.solvers.schemes.scheme import Scheme
from isocline_compiler.solvers.schemes.step import Step
from isocline_compiler.solvers.unroll.time_span import TimeSpan, walk
from isocline_dsl import messages
from isocline_dsl.diagnostics import Diagnostic

ROOM = 1e-9
"""By which part of itself a bound is raised for what rounding in double precision adds to norms and eigenvalues."""
MOST_STEPS = 100
PAIRS = 10_000
SEED = 0


@dataclass(frozen=True)
class Proof:
    """A check with its bound: `asked` is what it may be, `how` says by which argument, `assumes` where it holds.

    `met` is the largest value in samples, a bound from below in the Euclidean norm; None where none could be had.
    """

    text: str
    kind: str
    subject: str
    bound: float | None
    asked: float
    holds: bool
    how: str
    assumes: str
    met: float | None = None
    why: str = ""


def prove(model: Model, weights: Mapping[str, Array], choices: Mapping[str, Discretisation]) -> tuple[Proof, ...]:
    """Every check of the file that is to be proved, with the weights that are deployed."""
    return tuple(_proof(check, model, weights, choices) for check in model.deployment.proved)


def unproved(checks: Sequence[ProvedCheck], proofs: Sequence[Proof]) -> list[Diagnostic]:
    """A diagnostic for each check that is not proved."""
    return [_told(check, proof) for check, proof in zip(checks, proofs, strict=True) if not proof.holds]


def _told(check: ProvedCheck, proof: Proof) -> Diagnostic:
    if proof.bound is None:
        return messages.no_bound(check.span, proof.text, proof.why)
    named = {"lipschitz": "a constant of Lipschitz of", "contracting": "a rate of change of differences of",
             "stable": "a growth of differences by"}[proof.kind]  # fmt: skip
    relation = "less than" if check.strict or check.kind == "contracting" else "at most"
    met = f"in {PAIRS} pairs of samples {proof.met:.4g} was met" if proof.met is not None else "nothing was sampled"
    found, asked = f"{named} at most {proof.bound:.10g} is", f"{relation} {proof.asked:.10g}"
    return messages.not_proved(check.span, proof.text, found, asked, proof.how, met)


def _proof(
    check: ProvedCheck, model: Model, weights: Mapping[str, Array], choices: Mapping[str, Discretisation]
) -> Proof:
    asked = 0.0 - check.bound if check.kind == "contracting" else check.bound
    where = [f"{name} from {low:g} to {high:g}" for name, (low, high) in check.within.items()]
    assumes = f"{', '.join(where)}, every other value" if where else "every value"
    assumes += ", in exact arithmetic, with the weights as they are deployed"
    try:
        find = {"lipschitz": _lipschitz, "contracting": _contracting, "stable": _stable}[check.kind]
        bound, how, met = find(check, model, weights, choices)
    except Unproved as stop:
        line = None if stop.node.span is None else model.source.line(stop.node.span.start)
        why = stop.why + ("" if line is None else f", at {line}")
        return Proof(check.text, check.kind, check.subject, None, asked, False, "", assumes, why=why)
    holds = bound < asked if check.strict or check.kind == "contracting" else bound <= asked
    return Proof(check.text, check.kind, check.subject, bound, asked, bool(holds), how, assumes, met)


Found: TypeAlias = "tuple[float, str, float | None]"
Boxes: TypeAlias = "dict[Node, Interval]"


@dataclass(frozen=True)
class Map:
    """Results over leaves: `states` that differences are taken of, and everything else with the range it has."""

    results: Nodes
    states: Nodes
    boxes: Boxes


# ---------------------------------------------------------------------------------------------------- lipschitz


def _lipschitz(
    check: ProvedCheck, model: Model, weights: Mapping[str, Array], choices: Mapping[str, Discretisation]
) -> Found:
    """sup |f(x) - f(y)|/|x - y| <= ||J||, by the norms of layers or the entries of the Jacobian."""
    assert check.graph is not None
    graph = bind(check.graph, weights)
    solves = [node for node in everything(graph.outputs.values()) if node.op is SOLVE]
    if solves:
        raise Unproved("a solve lies between: `stable` and `contracting` are of solves and fields", solves[0])
    states = tuple(item for item in graph.inputs if item.type.kind == "real")
    boxes = {item: _box(item, _range_of(item, check, model)) for item in states}
    found = _ready(Map(tuple(graph.outputs.values()), states, boxes), model)
    bound = jacobian(found.results, found.states, found.boxes, _ports(model))
    plain = spectral(bound.matrix) + bound.apart
    by = "the norms of layers" if plain <= bound.norm else "the entries of the Jacobian"
    how = f"the bound is by {by}"
    return bound.norm * (1 + ROOM), how, _sampled(found, lambda dx, dy: np.sqrt(_dot(dy, dy) / _dot(dx, dx)))


def _range_of(item: Node, check: ProvedCheck, model: Model) -> tuple[float, float]:
    """What the check states of an argument, else what the file declares of an input, else all numbers."""
    name = str(item.attrs["name"])
    declared = {port.name: port.bounds for port in model.inputs if port.bounds is not None}
    return check.within.get(name) or (declared.get(name) if item.op is INPUT else None) or (-np.inf, np.inf)


def _box(item: Node, ends: tuple[float, float]) -> Interval:
    low, high = (np.full(sample_shape(item.type), float(end)) for end in ends)
    return Interval(low, high)


def _ports(model: Model) -> dict[str, Port]:
    return {port.name: port for port in model.inputs}


def _ready(found: Map, model: Model) -> Map:
    """The same as it is deployed: what weights alone decide is a literal, in the deployed precision."""
    graph = optimise(Graph(tuple(found.boxes), {str(i): item for i, item in enumerate(found.results)}, "proved"))
    return replace(found, results=narrowed(tuple(graph.outputs.values()), model.deployment.dtype))


# ---------------------------------------------------------------------------------------------------- contracting


def _contracting(
    check: ProvedCheck, model: Model, weights: Mapping[str, Array], choices: Mapping[str, Discretisation]
) -> Found:
    """d|x - y|/dt <= mu |x - y|, mu the logarithmic norm of the Jacobian. Lohmiller, Slotine (1998)."""
    worst: Found = (-np.inf, "", None)
    for solve in _solves(model, weights, lambda item: item.spec.field == check.subject):
        time, states, boxes, solve = _leaves(solve, check)
        depth = max((int(value.shape[0]) for _, value in solve.field_rows), default=1)
        for i in range(depth):
            field = _field(solve, [min(i, int(value.shape[0]) - 1) for _, value in solve.field_rows])
            found = _ready(Map(field(time, states), states, boxes), model)
            bound, scale, norm = logarithmic(jacobian(found.results, states, boxes, _ports(model)))
            if bound + ROOM * scale > worst[0]:
                met = _sampled(found, lambda dx, dy: _dot(dx, dy) / _dot(dx, dx)) if "Euclid" in norm else None
                worst = bound + ROOM * scale, f"the bound is in {norm}", met
    return worst


def _solves(model: Model, weights: Mapping[str, Array], wanted: Callable[[Solve], bool]) -> list[Solve]:
    nodes = everything(bind(model.graph, weights).outputs.values())
    return [solve for node in nodes if node.op is SOLVE and wanted(solve := Solve.of(node))]


def _leaves(solve: Solve, check: ProvedCheck) -> tuple[Node, Nodes, Boxes, Solve]:
    """Leaves for the time and the states, their ranges, and the solve with a leaf for what another solve computes."""
    time = leaf(ARGUMENT, "t", TensorType("real", ()))
    states = tuple(
        leaf(ARGUMENT, item.name, TensorType("real", (BATCH, *start.type.sample)))
        for item, start in zip(solve.spec.states, solve.initial, strict=True)
    )
    boxes = {item: _box(item, check.within.get(str(item.attrs["name"]), (-np.inf, np.inf))) for item in states}
    times = solve.spec.interval.times
    boxes[time] = _box(time, (-np.inf, np.inf) if times is None else (min(times), max(times)))
    captured = []
    for item in solve.captured:
        solved = any(node.op is SOLVE for node in everything([item]))
        captured.append(leaf(ARGUMENT, "captured", item.type) if solved else item)
        if solved:
            boxes[captured[-1]] = _box(item, (-np.inf, np.inf))
    if solve.spec.noises:
        node = solve.node()
        raise Unproved("noise drives the field", node)
    return time, states, boxes, solve.rebuilt(captured=tuple(captured), initial=states)


def _field(solve: Solve, slices: Sequence[int]) -> Field:
    """The field with its captured values, and these slices of what it reads in rows."""
    rows = [SELECT(value, axis=0, index=i) for (_, value), i in zip(solve.field_rows, slices, strict=True)]
    return Field.of(solve).at(rows)


# ---------------------------------------------------------------------------------------------------- stable


def _stable(
    check: ProvedCheck, model: Model, weights: Mapping[str, Array], choices: Mapping[str, Discretisation]
) -> Found:
    """|Phi_n(...Phi_1(x)) - Phi_n(...Phi_1(y))| <= prod ||J_i|| |x - y|, with the steps Phi_i as they are deployed."""
    (solve,) = _solves(model, weights, lambda item: item.spec.name == check.subject)[:1]
    choice = choices[solve.spec.choice]
    if not isinstance(choice.grid, Grid):
        raise Unproved("its times come with the input", solve.node())
    time, states, boxes, solve = _leaves(solve, check)
    steps: Counter[tuple[str, Scheme, tuple[int, ...]]] = Counter()
    widths: dict[str, float] = {}
    for i, width in enumerate(choice.grid.widths):
        widths.setdefault(f"{width:.9e}", width)  # those of an even grid differ by rounding
        rows = tuple(row.index(i, choice.grid.steps, int(value.shape[0])) for row, value in solve.field_rows)
        steps[f"{width:.9e}", choice.scheme.of_step(i), rows] += 1
    found = []
    for key, scheme, rows in steps:
        field = _field(solve, rows)
        begun = scheme.start(field, states)
        memory, after = scheme.advance(begun, field, Step.of(time, widths[key], len(states)), states)
        if begun is not None or memory is not None:
            return _as_a_whole(solve, choice, Map((), states, boxes), model)
        step = _ready(Map(after, states, boxes), model)
        found.append(jacobian(step.results, states, boxes, _ports(model)))
    growth, norm = step_norms(found, list(steps.values()))
    return growth * (1 + ROOM * choice.grid.steps), f"the bound is of {choice.grid.steps} steps in {norm}", None


def _as_a_whole(solve: Solve, choice: Discretisation, start: Map, model: Model) -> Found:
    """The Jacobian of the end by the start, all steps in one: of schemes that remember earlier steps."""
    span = TimeSpan.of(solve, choice)
    if span.count > MOST_STEPS:
        why = f"`{choice.scheme.name}` remembers earlier steps, and {span.count} are more than are bounded as a whole"
        raise Unproved(why, solve.node())
    *_, (_, after) = walk(span, start.states)
    found = _ready(replace(start, results=after), model)
    growth = jacobian(found.results, start.states, start.boxes, _ports(model)).norm
    met = _sampled(found, lambda dx, dy: np.sqrt(_dot(dy, dy) / _dot(dx, dx)))
    return growth * (1 + ROOM * span.count), f"the bound is of {span.count} steps as a whole in {EUCLIDEAN}", met


# ---------------------------------------------------------------------------------------------------- samples


def _sampled(found: Map, quotient: Callable[[Sequence[Array], Sequence[Array]], Array]) -> float | None:
    """The largest quotient of the differences of results by those of states, in pairs near and far."""
    rng = np.random.default_rng(SEED)
    others = [node for node in topological(found.results) if node.op in (ARGUMENT, INPUT) and node not in found.states]
    if any(node not in found.boxes for node in others):
        return None
    fixed = {node: _drawn(found.boxes[node], PAIRS if node.type.batched else 0, rng) for node in others}
    x = [_drawn(found.boxes[node], PAIRS, rng) for node in found.states]
    y = []
    for node, first in zip(found.states, x, strict=True):
        far, box = _drawn(found.boxes[node], PAIRS, rng), found.boxes[node]
        near = np.clip(first + 1e-3 * rng.normal(size=first.shape), box.low, box.high)
        y.append(np.where((np.arange(PAIRS) % 2 == 0).reshape(-1, *(1,) * (first.ndim - 1)), near, far))
    values = [evaluated(found.results, {**fixed, **dict(zip(found.states, side, strict=True))}) for side in (x, y)]
    dx, dy = ([a - b for a, b in zip(*pair, strict=True)] for pair in ((x, y), values))
    return float(np.nanmax(quotient(dx, dy)))


def _drawn(box: Interval, count: int, rng: np.random.Generator) -> Array:
    """Uniform where a range is finite, else normal with a deviation of 3."""
    shape = (count, *box.low.shape[1:]) if count else box.low.shape
    bounded = np.isfinite(box.low) & np.isfinite(box.high)
    low, high = np.where(bounded, box.low, 0.0), np.where(bounded, box.high, 1.0)
    found: Array = np.where(bounded, low + (high - low) * rng.random(shape), 3 * rng.normal(size=shape))
    return np.clip(found, box.low, box.high)


def _dot(a: Sequence[Array], b: Sequence[Array]) -> Array:
    found: Array = np.sum([(x * y).reshape(len(x), -1).sum(1) for x, y in zip(a, b, strict=True)], axis=0)
    return found
