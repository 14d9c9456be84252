"""JSON text to a `Manifest`: every mistake is an `ArtifactError` that names the file and the field.

A reader is a function (value, place) -> value that raises; readers of records are made of readers of
their fields.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from isocline_runtime import messages_artifact as messages
from isocline_runtime.manifest import (
    FORMAT_VERSION,
    GENERATOR,
    GENERATOR_VERSION,
    OPTIONAL,
    AttributionInfo,
    AttributionResult,
    ExplainedOutput,
    FileInfo,
    Manifest,
    NoiseInfo,
    Port,
    SolveInfo,
)
from isocline_runtime.native_info import NativeArray, NativeInfo
from isocline_runtime.stream_info import StatePair, StreamInfo, StreamOutput, StreamSequence


@dataclass(frozen=True)
class Place:
    """A field of a JSON file: `inputs[0].shape[1]` of manifest.json."""

    file: str
    path: str = ""

    def key(self, name: str) -> Place:
        return Place(self.file, f"{self.path}.{name}" if self.path else name)

    def index(self, position: int) -> Place:
        return Place(self.file, f"{self.path}[{position}]")

    def fail(self, found: object, expected: str) -> NoReturn:
        raise messages.wrong_field(self.file, self.path or "(whole file)", _show(found), expected)


Reader = Callable[[Any, Place], Any]
MISSING, UNKNOWN = object(), object()


def read_manifest(text: str | bytes, file: str) -> Manifest:
    """Parse and validate the text of a manifest. Raises ArtifactError E702, E703 or E704."""
    value = read_json_object(text, file)
    version = value.get("format_version", MISSING)
    if version is MISSING or isinstance(version, bool) or version != FORMAT_VERSION:
        raise messages.unknown_format(file, _show(version), FORMAT_VERSION)
    manifest: Manifest = _manifest(value, Place(file))
    return manifest


def read_json_object(text: str | bytes, file: str) -> dict[str, Any]:
    """Strict JSON: UTF-8, one object, no key twice, no NaN. Raises ArtifactError E702."""
    try:
        decoded = text if isinstance(text, str) else text.decode("utf-8")
        value = json.loads(decoded, object_pairs_hook=_distinct_keys, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:  # JSONDecodeError and UnicodeDecodeError are ValueErrors
        raise messages.not_json(file, str(error)) from None
    if not isinstance(value, dict):
        raise messages.not_json(file, f"it holds {_show(value)}")
    return value


def _distinct_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _show(value: object) -> str:
    if value is MISSING or value is UNKNOWN:
        return "missing" if value is MISSING else "unknown"
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    shown = json.dumps(value)  # ASCII, so that no lone surrogate reaches the terminal
    return shown if len(shown) <= 60 else shown[:57] + "..."


def _text(value: Any, place: Place) -> str:
    if not isinstance(value, str) or any("\ud800" <= letter <= "\udfff" for letter in value):
        place.fail(value, "text")
    return value


def _integer(value: Any, place: Place) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) >= 2**63:
        place.fail(value, "an integer")
    return value


def _truth(value: Any, place: Place) -> bool:
    if not isinstance(value, bool):
        place.fail(value, "true or false")
    return value


def _number(value: Any, place: Place) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        place.fail(value, "a number")
    if abs(value) > 1.7e308 or not math.isfinite(value):
        place.fail(value, "a finite number")
    return float(value)


def _size(value: Any, place: Place) -> int | str:
    return _text(value, place) if isinstance(value, str) else _integer(value, place)


def _optional(read: Reader) -> Reader:
    return lambda value, place: None if value is None else read(value, place)


def _many(read: Reader) -> Reader:
    def read_many(value: Any, place: Place) -> tuple[Any, ...]:
        if not isinstance(value, list):
            place.fail(value, "a list")
        return tuple(read(item, place.index(position)) for position, item in enumerate(value))

    return read_many


def _by_name(read: Reader) -> Reader:
    def read_by_name(value: Any, place: Place) -> dict[str, Any]:
        if not isinstance(value, dict):
            place.fail(value, "an object")
        return {_text(name, place): read(item, place.key(name)) for name, item in value.items()}

    return read_by_name


def _record(build: Callable[..., Any], fields: Mapping[str, Reader], absent: Collection[str] = ()) -> Reader:
    """Exactly these fields, of which some may be absent; what the record itself refuses (ValueError) is reported at its
    place.
    """

    def read_record(value: Any, place: Place) -> Any:
        if not isinstance(value, dict):
            place.fail(value, "an object")
        for name in value.keys() - fields.keys():
            place.key(_text(name, place)).fail(UNKNOWN, f"one of {', '.join(fields)}")
        for name in fields:
            if name not in value and name not in absent:
                place.key(name).fail(MISSING, "a value")
        arguments = {name: read(value[name], place.key(name)) for name, read in fields.items() if name in value}
        try:
            return build(**arguments)
        except ValueError as error:
            found = f"inconsistent ({error})"
            where = place.path or "(whole file)"
            raise messages.wrong_field(place.file, where, found, "a valid record") from None

    return read_record


_port = _record(
    Port,
    {
        "name": _text,
        "dtype": _text,
        "shape": _many(_size),
        "unit": _optional(_text),
        "description": _optional(_text),
        "low": _optional(_number),
        "high": _optional(_number),
        "classes": _optional(_integer),
        "columns": _many(_text),
        "default": _many(_number),
        "members": _many(_text),
    },
    absent=OPTIONAL,
)
_solve = _record(
    SolveInfo,
    {
        "field": _text,
        "scheme": _text,
        "steps": _integer,
        "grid": _optional(_many(_number)),
        "evaluations": _integer,
        "nodes": _optional(_integer),
        "segment": _optional(_integer),
    },
)
_state_pair = _record(StatePair, {"input": _text, "output": _text, "initial": _text})
_sequence = _record(
    StreamSequence,
    {
        "name": _text, "axis": _integer, "window": _integer, "begin": _integer, "stride": _integer,
        "entries": _many(_integer),
    },
)  # fmt: skip
_along = _record(StreamOutput, {"name": _text, "axis": _optional(_integer)})
_stream = _record(
    StreamInfo,
    {
        "loop": _text, "start_inputs": _many(_port), "start_outputs": _many(_port), "step_inputs": _many(_port),
        "step_outputs": _many(_port), "states": _many(_state_pair), "held": _many(_text),
        "sequences": _many(_sequence), "outputs": _many(_along), "given": _many(_text), "first": _many(_text),
        "whole": _many(_text), "steps": _optional(_integer), "behind": _integer, "per": _integer,
    },
)  # fmt: skip
_native_array = _record(NativeArray, {"name": _text, "dtype": _text, "count": _integer, "batched": _truth})
_native = _record(
    NativeInfo,
    {
        "model": _text, "name": _text, "source": _text, "header": _text, "inputs": _many(_native_array),
        "outputs": _many(_native_array), "workspace": _integer, "stack": _integer, "contracted": _truth,
        "libraries": _by_name(_text),
    },
    absent=OPTIONAL,
)  # fmt: skip
_noise_record = _record(
    NoiseInfo,
    {
        "name": _text,
        "stream": _integer,
        "distribution": _text,
        "samples": _integer,
        "steps": _integer,
        "channels": _integer,
        "entries": _integer,
        "dtype": _text,
        "alpha": _optional(_number),
        "rates": _many(_number),
        "ordering": _text,
        "generator": _text,
        "version": _integer,
        "probability": _optional(_number),
    },
)


def _noise(value: Any, place: Place) -> NoiseInfo:
    """Of another generator nothing else need be known: its message comes first."""
    if isinstance(value, dict) and {"generator", "version"} <= value.keys():
        found = value["generator"], value["version"]
        if found != (GENERATOR, GENERATOR_VERSION):
            shown = f"{_show(found[0])}, version {_show(found[1])}"
            raise messages.unknown_generator(place.file, place.path, shown, f"{GENERATOR}, version {GENERATOR_VERSION}")
    noise: NoiseInfo = _noise_record(value, place)
    return noise


_result = _record(
    AttributionResult,
    {"name": _text, "explains": _text, "method": _text, "kind": _text, "of": _optional(_text)},
)
_explained = _record(
    ExplainedOutput,
    {
        "output": _text,
        "index": _text,
        "entries": _integer,
        "classifier": _truth,
        "wrt": _many(_text),
        "methods": _many(_text),
    },
)
_attribution = _record(
    AttributionInfo,
    {
        "inputs": _many(_port),
        "outputs": _many(_port),
        "explained": _many(_explained),
        "results": _many(_result),
        "noise": _many(_text),
    },
)
_file = _record(FileInfo, {"sha256": _text, "bytes": _integer})
_manifest = _record(
    Manifest,
    {
        "format_version": _integer,
        "name": _text,
        "description": _optional(_text),
        "inputs": _many(_port),
        "outputs": _many(_port),
        "producer": _text,
        "opset": _integer,
        "dtype": _text,
        "solves": _many(_solve),
        "files": _by_name(_file),
        "source_sha256": _text,
        "noises": _many(_noise),
        "attribution": _optional(_attribution),
        "stream": _optional(_stream),
        "native": _many(_native),
        "not_native": _by_name(_text),
    },
)
