"""Forms with few nodes: what schemes add up in products, scalar states in rows, several states side by side.

Each form computes what the plain one does, in other operations; of all, that is emitted which is predicted to take the
least time on the declared batch. Nothing else knows of it: references, errors and derivatives are those of the plain
form, and the certificate compares what was emitted with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Literal, TypeAlias

from isocline_compiler.graph import Graph, everything
from isocline_compiler.ops.arithmetic import REST, ROUNDED_OFF
from isocline_compiler.packing.absorb import absorb
from isocline_compiler.packing.affine import gather_into_products
from isocline_compiler.packing.columns import COLUMNS
from isocline_compiler.packing.layouts import Layout, packed
from isocline_compiler.packing.price import CALL, microseconds
from isocline_compiler.packing.rows import ROWS
from isocline_compiler.passes import optimise
from isocline_compiler.solvers.grid import Discretisation
from isocline_compiler.solvers.unroll import unroll
from isocline_compiler.solvers.unroll.forms import Unrolling, operations, solves_of, times_solved, with_forms
from isocline_compiler.solvers.unroll.time_span import steps_of

Sums: TypeAlias = Literal["plain", "absorbed", "absorbed from stages"]
Choices: TypeAlias = Mapping[str, Discretisation]


ROUNDED: Mapping[Sums, float] = {"plain": 0.0, "absorbed": 0.0, "absorbed from stages": 0.5}
"""Units of rounding that a form adds to each step in one direction."""
TOLERANCE = 40.0
"""Units that rounding may move a result by: a quarter of the usual bound of 1e-5, in single precision."""
GAIN = 0.95
"""A form is taken when it is predicted to take no more than this part of the plain one's time."""
MANY = 4.0
"""The plain form is not made where calling its operations alone is predicted to take so many times as long."""
TYPICAL = (1, 32, 1024)
"""Samples that a model is asked for where its file says no number."""


@dataclass(frozen=True)
class Packed:
    """A form: its layout, if any, what becomes of the sums of schemes, and what it is predicted to take in loops of
    single steps, in microseconds.
    """

    layout: Layout | None
    sums: Sums
    predicted: float

    @property
    def name(self) -> str:
        parts = [*([self.layout.name] if self.layout else []), *([self.sums] if self.sums != "plain" else [])]
        return ", ".join(parts) or "plain"

    def written(self, stepped: Graph) -> Graph:
        """Steps in the layout, with their sums in this form."""
        return _with_sums(stepped, self.sums)


@dataclass(frozen=True)
class Deployed:
    """What is emitted: the graph, the grids with the segments of its loops, and its form."""

    graph: Graph
    choices: Choices
    form: Packed


def deployed(
    graph: Graph,
    choices: Choices,
    unrolling: Unrolling = "auto",
    samples: int | None = None,
    form: Packed | None = None,
    tolerance: float = TOLERANCE,
) -> Deployed:
    """A bound graph as steps, in a form, or in the one that is predicted to be fastest on so many samples.

    Without a number of samples it is one that is fast on few, and not slow on many: the least geometric mean. The
    `tolerance` is what rounding may do to a result, in units of the precision.
    """
    ready = optimise(graph)
    form = form or min(forms(ready, choices, samples, tolerance), key=lambda item: item.predicted)
    form = PLAIN if form.name == PLAIN.name else form
    laid = ready if form.layout is None else _laid(ready, form.layout, choices)
    segmented = with_forms(laid, choices, unrolling, samples or 1)
    stepped = optimise(unroll(laid, segmented).graph)
    return Deployed(form.written(stepped), segmented, form)


PLAIN = Packed(None, "plain", 0.0)


def forms(graph: Graph, choices: Choices, samples: int | None = None, tolerance: float = TOLERANCE) -> list[Packed]:
    """The forms that a graph can take, the plain one first, priced on loops of single steps."""
    single = {name: replace(choice, segment=1) for name, choice in choices.items()}
    solves = [solve for solve in solves_of(graph) if solve.spec.choice in single]
    steps = max((steps_of(solve, single[solve.spec.choice]) for solve in solves), default=0)

    def priced(layout: Layout | None, laid: Graph) -> list[Packed]:
        stepped = optimise(unroll(laid, single).graph)
        written = {sums: _with_sums(stepped, sums) for sums, each in ROUNDED.items() if steps * each <= tolerance}
        return [
            Packed(layout, sums, _predicted(item, samples) / (1.0 if layout is None and sums == "plain" else GAIN))
            for sums, item in written.items() if sums == "plain" or item is not stepped
        ]  # fmt: skip

    layout: Layout = ROWS
    laid = _laid(graph, ROWS, choices)
    if laid is graph:
        layout, laid = COLUMNS, _laid(graph, COLUMNS, choices)
    packed_forms = priced(layout, laid) if laid is not graph else []
    times = times_solved(graph)
    called = CALL * sum(operations(solve, single[solve.spec.choice]) * times[solve.spec.choice] for solve in solves)
    if packed_forms and MANY * min(item.predicted for item in packed_forms) < called:
        return [replace(PLAIN, predicted=called), *packed_forms]
    return [*priced(None, graph), *packed_forms]


def _compensated(graph: Graph) -> bool:
    """Whether sums are written so that what they lose to rounding is known: then they stay as they are."""
    return any(node.op in (REST, ROUNDED_OFF) for node in everything(graph.outputs.values()))


def _predicted(graph: Graph, samples: int | None) -> float:
    """Microseconds, or their geometric mean over few and many samples."""
    counts = TYPICAL if samples is None else (samples,)
    return prod(microseconds(graph, count) for count in counts) ** (1 / len(counts))


def _with_sums(stepped: Graph, sums: Sums) -> Graph:
    """Steps with their sums in a form; the same graph where nothing changes, or sums are kept for their rounding."""
    if sums == "plain" or _compensated(stepped):
        return stepped
    absorbed = absorb(stepped, from_stages=sums != "absorbed")
    return stepped if absorbed is stepped else optimise(absorbed)


def _laid(graph: Graph, layout: Layout, choices: Choices) -> Graph:
    """The graph with its states in a layout; the same where it fits nowhere."""
    laid = packed(graph, layout, choices)
    return graph if laid is graph else optimise(gather_into_products(optimise(laid)))
