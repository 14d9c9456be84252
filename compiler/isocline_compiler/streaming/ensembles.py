"""The loop of an ensemble: a solve whose field has noise is steps in the ensemble; here they are a loop that reads the
same draws.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from isocline_compiler.graph import Graph
from isocline_compiler.graph.solve import SOLVE, Solve, choice_of
from isocline_compiler.solvers.ensemble import Beside, KeptNoise, ensemble_beside, noisy_solves
from isocline_compiler.solvers.grid import Discretisation
from isocline_compiler.solvers.unroll import unroll
from isocline_compiler.streaming.loops import (
    Loop,
    chosen_loop,
    counting_batch,
    loop_of,
    loops_of,
    name_of,
    per_iteration,
)
from isocline_dsl import messages
from isocline_dsl.diagnostics import IsoclineError
from isocline_dsl.tree import Span


@dataclass(frozen=True, eq=False)
class Kept:
    """What an ensemble was made of: the `plain` graph with literals for weights, the noises that are kept, and the
    grids of the solves that have them in their fields.
    """

    plain: Graph
    noises: Sequence[KeptNoise]
    choices: Mapping[str, Discretisation]


def as_streamed(
    graph: Graph, choices: Mapping[str, Discretisation], asked: str | None, span: Span | None
) -> dict[str, Discretisation]:
    """The grids of noisy solves, that of the streamed one as a loop over the steps of a stream: the whole ensemble then
    numbers its draws as its steps do. Raises IsoclineError E690 to E693.
    """
    node = chosen_loop(graph, asked, span)
    if node.op is not SOLVE or choice_of(node) not in choices:
        return dict(choices)
    choice = choices[choice_of(node)]
    return {**choices, choice_of(node): replace(choice, segment=per_iteration(Solve.of(node), choice, span))}


def ensemble_loop(
    graph: Graph, kept: Kept, choices: Mapping[str, Discretisation], asked: str | None, span: Span | None
) -> tuple[Graph, Loop]:
    """The `graph` of an ensemble and the loop that is streamed, which is named as in the file. Raises IsoclineError."""
    plain = counting_batch(kept.plain)
    name = name_of(chosen_loop(plain, asked, span))
    noisy = {choice: solve.spec.name for choice, solve in noisy_solves(plain).items()}
    if name not in noisy.values():
        whole = counting_batch(graph)
        return whole, loop_of(chosen_loop(whole, name, span), choices, span)
    others = {choice: kept.choices[choice] for choice, solve in noisy.items() if solve != name}
    rest = unroll(plain, others).graph if others else plain
    loop = loop_of(loops_of(rest)[name], kept.choices, span)
    beside = Beside(loop.node, (loop.scan, *loop.start))
    whole, same = ensemble_beside(rest, kept.noises, beside)
    assert beside.widened is not None, "a loop that the outputs need"
    if not same:
        reason = "layers with noise in its field are used elsewhere too, and all their draws are numbered in one order"
        raise IsoclineError([messages.cannot_step(span, name, reason, "write the layers of the field in the field")])
    node, (scan, *start) = beside.widened
    return whole, replace(loop, node=node, scan=scan, start=tuple(start))


__all__ = ["Kept", "as_streamed", "ensemble_loop"]
