"""Forms with few nodes: what schemes add up in products, scalar states in rows, several states side by side.

Each form computes what the plain one does, in other operations; of all, that is emitted which is predicted to take the
least time on the declared batch. Nothing else knows of it: references, errors and derivatives are those of the plain
form, and the certificate compares what was emitted with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from isocline_compiler.graph import Graph
from isocline_compiler.packing.absorb import absorb
from isocline_compiler.packing.affine import gather_into_products
from isocline_compiler.packing.columns import COLUMNS
from isocline_compiler.packing.layouts import Layout, packed
from isocline_compiler.packing.price import microseconds
from isocline_compiler.packing.rows import ROWS
from isocline_compiler.passes import optimise
from isocline_compiler.solvers.grid import Discretisation
from isocline_compiler.solvers.unroll import unroll
from isocline_compiler.solvers.unroll.forms import Unrolling, with_forms

LAYOUTS = (COLUMNS, ROWS)
Sums: TypeAlias = Literal["plain", "absorbed", "absorbed from stages"]
Choices: TypeAlias = Mapping[str, Discretisation]


GAIN: Mapping[Sums, float] = {"plain": 0.95, "absorbed": 0.95, "absorbed from stages": 0.88}
"""A form is taken when it is predicted to take no more than this part of the plain one's time; of stages less, because
reading a product off them rounds more.
"""


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
    graph: Graph, choices: Choices, unrolling: Unrolling = "auto", samples: int = 1, form: Packed | None = None
) -> Deployed:
    """A bound graph as steps, in a form, or in the one that is predicted to be fastest on so many samples."""
    ready = optimise(graph)
    form = form or min(forms(ready, choices, samples), key=lambda item: item.predicted)
    laid = ready if form.layout is None else _laid(ready, form.layout, choices)
    segmented = with_forms(laid, choices, unrolling, samples)
    stepped = optimise(unroll(laid, segmented).graph)
    return Deployed(form.written(stepped), segmented, form)


PLAIN = Packed(None, "plain", 0.0)


def forms(graph: Graph, choices: Choices, samples: int = 1) -> list[Packed]:
    """The forms that a graph can take, the plain one first, priced on loops of single steps."""
    single = {name: replace(choice, segment=1) for name, choice in choices.items()}
    found: list[Packed] = []
    for layout in (None, *LAYOUTS):
        laid = graph if layout is None else _laid(graph, layout, choices)
        if layout is not None and laid is graph:
            continue
        stepped = optimise(unroll(laid, single).graph)
        for sums, gain in GAIN.items():
            predicted = microseconds(_with_sums(stepped, sums), samples)
            found.append(Packed(layout, sums, predicted / (gain if found else 1.0)))
    return found


def _with_sums(stepped: Graph, sums: Sums) -> Graph:
    return stepped if sums == "plain" else optimise(absorb(stepped, from_stages=sums != "absorbed"))


def _laid(graph: Graph, layout: Layout, choices: Choices) -> Graph:
    """The graph with its states in a layout; the same where it fits nowhere."""
    laid = packed(graph, layout, choices)
    return graph if laid is graph else optimise(gather_into_products(optimise(laid)))
