"""What `check` knows about a model or a mistake, as plain data for a table or for JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from isocline.noise_facts import ensemble_facts, noise_facts

if TYPE_CHECKING:
    from isocline_compiler.model import Model, Parameter, Port, Weight
    from isocline_dsl.diagnostics import Diagnostic, IsoclineError, Source
    from isocline_dsl.tree import Field, Node, Solve, Span

Facts = dict[str, Any]


def facts_of_model(model: Model) -> Facts:
    """The signature, and what the file declares: parameters, fields with their states, solves, weights."""
    noises = noise_facts(model)
    names = {parameter.name for parameter in model.parameters}
    weights = [weight for weight in model.weights if weight.name not in names]
    return {
        "name": model.name,
        "description": model.description,
        "inputs": [_port(port) for port in model.inputs],
        "targets": [_port(port) for port in model.targets],
        "outputs": [_port(port) for port in model.outputs],
        "parameters": [_parameter(parameter) for parameter in model.parameters],
        "fields": [_field(field, model.source, noises.get(field.name.text)) for field in _fields(model)],
        "ensemble": ensemble_facts(model),
        "solves": [_text(solve, model.source) for solve in _solves(model)],
        "stream": _stream(model),
        "weights": [_weight(weight) for weight in weights],
        "trained_numbers": sum(math.prod(w.shape) for w in model.weights if w.role == "trained"),
    }


def _stream(model: Model) -> Facts | None:
    """Which outputs a step has, where one step at a time is asked for."""
    from dataclasses import asdict

    from isocline_compiler.streaming.outputs import outputs_of_steps

    plan = model.deployment.stream
    return None if plan is None else asdict(outputs_of_steps(model.graph, plan.loop, plan.span))


def facts_of_error(error: IsoclineError) -> list[Facts]:
    """The diagnostics of an error, with lines and columns from 1."""
    return [_diagnostic(diagnostic, error.source) for diagnostic in error.diagnostics]


def type_text(kind: str, shape: tuple[int | str, ...]) -> str:
    """`real[3]`, as the author writes it."""
    return f"{kind}[{', '.join(map(str, shape))}]" if shape else kind


def _port(port: Port) -> Facts:
    from isocline_compiler.model import port_kind

    kind = port_kind(port)
    return {
        "name": port.name,
        "type": type_text(kind, port.shape),
        "bounds": _interval(port.bounds),
        "default": None if (sample := port.default_sample) is None else sample.tolist(),
        "unit": port.unit,
        "description": port.description,
    }


def _parameter(parameter: Parameter) -> Facts:
    return {
        "name": parameter.name,
        "type": type_text("real", parameter.shape),
        "bounds": _interval(parameter.bounds),
        "prior": parameter.prior,
        "unit": parameter.unit,
        "description": parameter.description,
        "count": math.prod(parameter.shape),
    }


def _weight(weight: Weight) -> Facts:
    return {
        "name": weight.name,
        "type": type_text("real", weight.shape),
        "role": weight.role,
        "count": math.prod(weight.shape),
    }


def _fields(model: Model) -> Iterator[Field]:
    from isocline_dsl.tree import Field

    return (item for item in model.program.declarations if isinstance(item, Field))


def _solves(model: Model) -> Iterator[Solve]:
    from isocline_dsl.tree import Solve, walk

    return (node for node in walk(model.program) if isinstance(node, Solve))


def _field(field: Field, source: Source, noise: Facts | None) -> Facts:
    states = [
        {"name": state.name.text, "type": _text(state.type, source) if state.type else "real"} for state in field.states
    ]
    return {
        "name": field.name.text,
        "states": states,
        "weights_per_step": field.per_step,
        "noise": noise,
        "jumps": list(_jumps(field, source)),
        "delays": _delays(field, source),
    }


def _delays(field: Field, source: Source) -> list[str]:
    """The states at earlier times that a field reads, each once, as they are written."""
    from isocline_dsl.tree import Call, walk

    states = {state.name.text for state in field.states}
    calls = (node for node in walk(field) if isinstance(node, Call) and node.name.text in states)
    return list(dict.fromkeys(_text(node, source) for node in calls))


def _jumps(field: Field, source: Source) -> Iterator[Facts]:
    """When states of a field are replaced, and which."""
    from isocline_dsl.tree import Assign, Equation, Event, Jump

    names = [state.name.text for state in field.states]
    for item in field.body:
        if isinstance(item, Jump | Event):
            lines = [line for line in item.body if isinstance(line, Assign | Equation)]
            changed = {line.name.text if isinstance(line, Assign) else line.state.text for line in lines}
            where = (
                {"when": _text(item.condition, source)}
                if isinstance(item, Event)
                else {"at": _text(item.over[0], source)}
            )
            yield {**where, "states": [name for name in names if name in changed]}


def _text(node: Node, source: Source) -> str:
    return " ".join(source.text[node.span.start : node.span.stop].split())


def _interval(bounds: tuple[float, float] | None) -> list[float | None] | None:
    """JSON has no infinity: an open end is null; no bounds at all is null."""
    if bounds is None or not any(math.isfinite(bound) for bound in bounds):
        return None
    return [bound if math.isfinite(bound) else None for bound in bounds]


def _diagnostic(diagnostic: Diagnostic, source: Source | None) -> Facts:
    return {
        "code": diagnostic.code,
        "message": diagnostic.message,
        "hint": diagnostic.hint,
        "notes": [{"text": note.text, **_place(note.span, source)} for note in diagnostic.notes],
        **_place(diagnostic.span, source),
    }


def _place(span: Span | None, source: Source | None) -> Facts:
    if span is None or source is None:
        return {"file": None, "line": None, "column": None, "end_line": None, "end_column": None}
    (line, column), (end_line, end_column) = source.position(span.start), source.position(span.stop)
    file = source.file(span.start)
    return {"file": file, "line": line, "column": column, "end_line": end_line, "end_column": end_column}
