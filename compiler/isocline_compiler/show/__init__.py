"""A model at each stage of compiling, for reading: `isocline show`."""

from __future__ import annotations

from pathlib import Path

import onnx

from isocline_compiler.backends.to_c import NotInC, to_c
from isocline_compiler.backends.to_onnx import to_onnx
from isocline_compiler.certify.bespoke.search import unlearned_steps
from isocline_compiler.certify.choose import discretisation
from isocline_compiler.certify.evaluation import scheme_steps
from isocline_compiler.certify.stochastic.kept import ensemble_of
from isocline_compiler.graph import Graph
from isocline_compiler.graph.solve import Solve
from isocline_compiler.graph.text_form import to_text
from isocline_compiler.lower import lower
from isocline_compiler.model import Model
from isocline_compiler.packing import PLAIN, deployed
from isocline_compiler.passes import optimise
from isocline_compiler.passes.bind import bind
from isocline_compiler.solvers.grid import Discretisation
from isocline_compiler.solvers.schemes.bespoke import Bespoke
from isocline_compiler.solvers.unroll import unroll
from isocline_compiler.solvers.unroll.forms import Unrolling, solves_of, with_forms
from isocline_compiler.training.initial import initial_weights
from isocline_dsl.diagnostics import IsoclineError, Source
from isocline_dsl.messages import operations
from isocline_dsl.printer import to_text as program_text
from isocline_dsl.tree import Program

SHOWN_SCHEME = "rk4"
"""What an open solve is shown with: which scheme `auto` takes is known only when the model is compiled."""


def shown(what: Path | tuple[Program, Source], stage: str, svg: bool) -> str:
    """The text or the drawing of one stage. Raises IsoclineError for a file with mistakes."""
    if isinstance(what, Path):
        path = what / "model.onnx" if what.is_dir() else what
        return _onnx_text(onnx.load(path, load_external_data=False))
    program, source = what
    if stage == "tree":
        return program_text(program)
    model = lower(program, source)
    if stage == "onnx":
        return _onnx_text(emitted(model))
    if stage == "c":
        return _in_c(model)
    graph = {
        "graph": lambda: model.graph,
        "unrolled": lambda: unrolled(model),
        "optimised": lambda: optimise(unrolled(model)),
    }
    chosen = graph[stage]()
    if svg:
        from isocline_compiler.show.drawing import to_svg  # here, and not above: it takes networkx

        return to_svg(chosen)
    return to_text(chosen)


def unrolled(model: Model, unrolling: Unrolling | None = None) -> Graph:
    """Open solves with one step an interval, and an ensemble with its noise; steps as the file says, or as asked."""
    model = ensemble_of(model)
    choices = with_forms(model.graph, _chosen(model), unrolling or model.deployment.unroll, model.deployment.batch or 1)
    return unroll(model.graph, choices).graph


def _chosen(model: Model) -> dict[str, Discretisation]:
    def choice(solve: Solve) -> Discretisation:
        stated = solve.spec.scheme or model.deployment.solver
        if stated is not None and stated.name == Bespoke.name:
            return unlearned_steps(solve, stated)
        return scheme_steps(solve, stated) if stated is not None else discretisation(solve, SHOWN_SCHEME, 1)

    return {solve.spec.choice: choice(solve) for solve in solves_of(model.graph)}


def emitted(model: Model) -> onnx.ModelProto:
    """The file that would be emitted with the weights that training starts from, in its cheapest form."""
    model, plan = ensemble_of(model), model.deployment
    bound = bind(model.graph, initial_weights(model.weights, 0))
    form = PLAIN if plan.stream is not None else None
    graph = deployed(bound, _chosen(model), plan.unroll, plan.batch, form).graph
    return to_onnx(graph, {}, opset=plan.opset, dtype=plan.dtype)


def _in_c(model: Model) -> str:
    """Header and source; steps are loops. Raises IsoclineError where an operation has no form in C."""
    weights = initial_weights(model.weights, 0)
    try:
        program = to_c(optimise(unrolled(model, 1)), weights, dtype=model.deployment.dtype, name=model.name)
    except NotInC as why:
        raise IsoclineError([operations.not_in_c(None, str(why))], model.source) from None
    return f"/* {program.name}.h */\n{program.header}\n/* {program.name}.c */\n{program.source}"


def _onnx_text(model: onnx.ModelProto) -> str:
    text: str = onnx.printer.to_text(model)
    return text
