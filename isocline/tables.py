"""Tables for people: what `check`, `bench` and `doctor` print."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from isocline.facts import Facts, facts_of_model

if TYPE_CHECKING:
    from isocline.system import Report
    from isocline_compiler.model import Model


def print_model(model: Model) -> None:
    """The signature, then a table of parameters, fields, states and weights."""
    facts = facts_of_model(model)
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"[bold]{facts['name']}[/bold]" + (f"  {facts['description']}" if facts["description"] else ""))
    console.print(f"  {_signature(facts)}", markup=False)
    for kind in ("inputs", "targets", "outputs"):
        _print_rows(console, kind, [_port_row(port) for port in facts[kind]])
    _print_rows(console, "parameters", [_parameter_row(item) for item in facts["parameters"]])
    _print_rows(console, "fields", [row for field in facts["fields"] for row in _field_rows(field)])
    _print_rows(console, "solves", [(text,) for text in facts["solves"]])
    _print_rows(console, "weights", [(w["name"], w["type"], w["role"], _counted(w["count"])) for w in facts["weights"]])
    console.print(f"  {_counted(facts['trained_numbers'])} to train", markup=False)


def print_system(report: Report) -> None:
    """Packages, providers, and what to do about what is missing."""
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"isocline {report.version}, Python {report.python}, {report.platform}", markup=False)
    packages = [(item.name, item.version or "missing", f"to {item.purpose}") for item in report.packages]
    _print_rows(console, "packages", packages)
    providers = [
        (item.name, "works" if item.works else "does not work", item.reason or "") for item in report.providers
    ]
    _print_rows(console, "onnxruntime providers", providers)
    for line in report.advice:
        console.print(line, markup=False)


def print_pairs(title: str, pairs: dict[str, Any]) -> None:
    """Names and values below a title."""
    console = Console(highlight=False, soft_wrap=True)
    _print_rows(console, title, [(name, str(value)) for name, value in pairs.items()])


def _signature(facts: Facts) -> str:
    def side(ports: list[Facts]) -> str:
        return ", ".join(f"{port['name']}: {port['type']}" for port in ports)

    return f"({side(facts['inputs'])}) -> ({side(facts['outputs'])})"


def _print_rows(console: Console, title: str, rows: Sequence[tuple[str, ...]]) -> None:
    if not rows:
        return
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for row in rows:
        table.add_row("", *map(escape, row))
    console.print(f"[bold]{title}[/bold]")
    console.print(table)


def _port_row(port: Facts) -> tuple[str, ...]:
    return port["name"], port["type"], _bounds(port), port["unit"] or "", port["description"] or ""


def _parameter_row(parameter: Facts) -> tuple[str, ...]:
    prior = f"~ {parameter['prior']}" if parameter["prior"] else ""
    return (
        parameter["name"],
        parameter["type"],
        _bounds(parameter),
        prior,
        parameter["unit"] or "",
        parameter["description"] or "",
    )


def _field_rows(field: Facts) -> list[tuple[str, ...]]:
    name = field["name"] + (" (weights per step)" if field["weights_per_step"] else "")
    first, *rest = field["states"] or [{"name": "", "type": ""}]
    return [(name, first["name"], first["type"]), *(("", state["name"], state["type"]) for state in rest)]


def _bounds(item: Facts) -> str:
    if item["bounds"] is None:
        return ""
    low, high = item["bounds"]
    return f"in ({'-inf' if low is None else f'{low:g}'}, {'inf' if high is None else f'{high:g}'})"


def _counted(count: int) -> str:
    return "1 number" if count == 1 else f"{count:,} numbers"
