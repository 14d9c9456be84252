"""Tables for people: what `check`, `bench` and `doctor` print."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from isocline.facts import Facts, facts_of_model
from isocline.noise_facts import noise_words, scheme_words

if TYPE_CHECKING:
    from isocline.system import Report
    from isocline.verification import Claim, Verification
    from isocline_compiler.model import Model

Row: TypeAlias = tuple[str, ...]


def model_lines(model: Model) -> Iterator[str]:
    """The signature, then tables of ports, parameters, fields with their states, solves and weights."""
    facts = facts_of_model(model)
    yield facts["name"] + (f": {facts['description']}" if facts["description"] else "")
    yield f"  {_signature(facts)}"
    for kind in ("inputs", "targets", "outputs"):
        yield from table(kind, [_port_row(port) for port in facts[kind]])
    yield from table("parameters", [_parameter_row(item) for item in facts["parameters"]])
    yield from table("fields", [row for field in facts["fields"] for row in _field_rows(field)])
    yield from table("jumps", [row for field in facts["fields"] for row in _jump_rows(field)])
    late = [(field["name"], ", ".join(field["delays"])) for field in facts["fields"] if field["delays"]]
    yield from table("delays", late)
    yield from table("noise", [row for field in facts["fields"] for row in _noise_rows(field)])
    yield from table("ensemble", _ensemble_rows(facts["ensemble"]))
    yield from table("solves", [(text,) for text in facts["solves"]])
    yield from table("stream", _stream_rows(facts["stream"]))
    yield from table("weights", [_weight_row(weight) for weight in facts["weights"]])
    yield f"{_counted(facts['trained_numbers'])} to train"


def system_lines(report: Report) -> Iterator[str]:
    """Packages, providers, and what to do about what is missing."""
    yield f"isocline {report.version}, Python {report.python}, {report.platform}"
    yield from table(
        "packages", [(item.name, item.version or "missing", f"to {item.purpose}") for item in report.packages]
    )
    tried = [(item.name, "works" if item.works else "does not work", item.reason or "") for item in report.providers]
    yield from table("onnxruntime providers", tried)
    found = report.compiler or "no C compiler: install one, or pip install 'isocline[native]'"
    yield from table("native engine", [("compiler", found)])
    yield from report.advice


def verification_lines(found: Verification) -> Iterator[str]:
    """Every claim as stated and as measured, what does not hold marked, and what was not measured."""
    rows = [(claim.name, _told(claim.stated), _told(claim.measured), _verdict(claim)) for claim in found.claims]
    yield from table(found.name, [("", "stated", "here", ""), *rows])
    yield f"not measured here: {', '.join(found.not_measured)}"
    yield "the certificate holds" if found.holds else "the certificate does not hold"


def _told(value: float | str) -> str:
    return value[:16] if isinstance(value, str) else f"{value:.2g}"


def _verdict(claim: Claim) -> str:
    at_most = "" if claim.limit is None else f"at most {claim.limit:.2g}"
    return at_most if claim.holds else f"{at_most}  does not hold".strip()


def table(title: str, rows: Sequence[Row]) -> Iterator[str]:
    """A title and aligned rows below it; nothing when there are no rows. Empty columns are left out."""
    if not rows:
        return
    yield title
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True) if width)
        yield ("  " + "  ".join(cells)).rstrip()


def pairs(values: dict[str, Any]) -> list[Row]:
    """Names and values as rows, numbers with four digits."""
    return [(name, f"{value:.4g}" if isinstance(value, float) else str(value)) for name, value in values.items()]


def _signature(facts: Facts) -> str:
    def side(ports: list[Facts]) -> str:
        return ", ".join(f"{port['name']}: {port['type']}" for port in ports)

    return f"({side(facts['inputs'])}) -> ({side(facts['outputs'])})"


def _port_row(port: Facts) -> Row:
    return port["name"], port["type"], _bounds(port), _default(port), port["unit"] or "", port["description"] or ""


def _parameter_row(parameter: Facts) -> Row:
    prior = f"~ {parameter['prior']}" if parameter["prior"] else ""
    return (
        parameter["name"],
        parameter["type"],
        _bounds(parameter),
        prior,
        parameter["unit"] or "",
        parameter["description"] or "",
    )


def _field_rows(field: Facts) -> list[Row]:
    name = field["name"] + (" (weights per step)" if field["weights_per_step"] else "")
    first, *rest = field["states"] or [{"name": "", "type": ""}]
    return [(name, first["name"], first["type"]), *(("", state["name"], state["type"]) for state in rest)]


def _jump_rows(field: Facts) -> list[Row]:
    return [
        (field["name"], f"at {item['at']}" if "at" in item else f"when {item['when']}", ", ".join(item["states"]))
        for item in field["jumps"]
    ]


def _noise_rows(field: Facts) -> list[Row]:
    if field["noise"] is None:
        return []
    return [(field["name"], noise_words(field["noise"])), *(("", words) for words in scheme_words(field["noise"]))]


def _ensemble_rows(ensemble: Facts | None) -> list[Row]:
    if ensemble is None:
        return []
    samples = "1 sample" if ensemble["samples"] == 1 else f"{ensemble['samples']:,} samples"
    rows = [(f"keeps {item['layer']}", f"{_counted(item['numbers'])} a draw") for item in ensemble["kept"]]
    return [(samples if i == 0 else "", *row) for i, row in enumerate(rows)]


def _stream_rows(stream: Facts | None) -> list[Row]:
    if stream is None:
        return []
    said = (("every step gives", "along"), ("as if the path ended", "ends"), ("known with the start", "given"),
            ("need the whole path", "whole"))  # fmt: skip
    rows = [(words, ", ".join(stream[key])) for words, key in said if stream[key]]
    return [("the steps of", stream["loop"]), *rows]


def _weight_row(weight: Facts) -> Row:
    return weight["name"], weight["type"], weight["role"], _counted(weight["count"])


def _bounds(item: Facts) -> str:
    if item["bounds"] is None:
        return ""
    low, high = item["bounds"]
    return f"in ({'-inf' if low is None else f'{low:g}'}, {'inf' if high is None else f'{high:g}'})"


def _default(port: Facts) -> str:
    import numpy as np

    from isocline_compiler.model import entries_text

    return "" if port["default"] is None else f"= {entries_text(np.array(port['default']))}"


def _counted(count: int) -> str:
    return "1 number" if count == 1 else f"{count:,} numbers"
