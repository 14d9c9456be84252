"""The manifest round-trips, is the same bytes for the same input, and names the field that is wrong."""

from __future__ import annotations

import copy
import json
import string
from contextlib import nullcontext, suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isocline_runtime.errors import ArtifactError
from isocline_runtime.manifest import (
    AttributionInfo,
    AttributionResult,
    FileInfo,
    Manifest,
    NoiseInfo,
    Port,
    SolveInfo,
    to_json,
)
from isocline_runtime.manifest_reader import read_manifest

names = st.text(string.ascii_letters + "αβ_", min_size=1, max_size=5)
finite = st.floats(-1e6, 1e6)
ports = st.builds(
    Port,
    name=names,
    dtype=st.sampled_from(["float32", "float64"]),
    shape=st.lists(st.integers(1, 9) | st.just("T"), max_size=3).map(lambda s: ("batch", *s)),
    unit=st.none() | names,
    description=st.none() | st.text(st.characters(exclude_categories=["Cs"])),
    low=st.none() | st.floats(-5, 0),
    high=st.none() | st.floats(1, 5),
)
unique_ports = st.lists(ports, min_size=1, max_size=3, unique_by=lambda port: port.name).map(tuple)
solves = st.builds(
    SolveInfo,
    field=names,
    scheme=names,
    steps=st.integers(1, 99),
    grid=st.none() | st.lists(finite).map(tuple),
    evaluations=st.integers(1, 99),
    nodes=st.none() | st.integers(1, 99),
)


@given(inputs=unique_ports, outputs=unique_ports, solved=st.lists(solves, max_size=2).map(tuple))
def test_reading_what_was_written_gives_the_same(
    inputs: tuple[Port, ...], outputs: tuple[Port, ...], solved: tuple[SolveInfo, ...]
) -> None:
    files = {"model.onnx": FileInfo("a" * 64, 3)}
    written = Manifest("m", None, inputs, outputs, "1", 18, "float32", solved, files, "b" * 64)
    text = to_json(written)
    assert read_manifest(text, "manifest.json") == written
    assert to_json(read_manifest(text.encode(), "manifest.json")) == text


def test_bytes_do_not_depend_on_the_order_of_files(manifest: Manifest) -> None:
    one, two = FileInfo("a" * 64, 1), FileInfo("b" * 64, 2)
    fields = {name: getattr(manifest, name) for name in Manifest.__dataclass_fields__}
    first = Manifest(**{**fields, "files": {"model.onnx": one, "a.html": two}})
    second = Manifest(**{**fields, "files": {"a.html": two, "model.onnx": one}})
    assert to_json(first) == to_json(second)


def set_at(value: Any, path: tuple[str | int, ...], new: object) -> None:
    for key in path[:-1]:
        value = value[key]
    value[path[-1]] = new


WRONG = [
    (("name",), 3, "`name` is 3, expected text"),
    (("opset",), "x", '`opset` is "x", expected an integer'),
    (("opset",), True, "`opset` is true"),
    (("inputs",), {}, "`inputs` is an object, expected a list"),
    (("inputs", 0), 1, "`inputs[0]` is 1, expected an object"),
    (("inputs", 0, "shape", 1), None, "`inputs[0].shape[1]` is null"),
    (("inputs", 0, "shape", 1), -1, "a size is a number from 0 or a name"),
    (("inputs", 0, "shape", 1), "batch", '"batch" stands first'),
    (("inputs", 0, "dtype"), "float16", "`inputs[0]` is inconsistent (dtype 'float16'"),
    (("inputs", 0, "low"), 99, "low must be below high"),
    (("inputs", 0, "high"), 10**400, "`inputs[0].high` is"),
    (("inputs", 0, "classes"), 3, "classes need int64"),
    (("inputs", 0, "wrong"), 3, "`inputs[0].wrong` is unknown"),
    (("inputs", 0, "columns"), ["a"], "one column for each entry"),
    (("inputs", 0, "columns"), ["a", "a"], "a column is there twice"),
    (("outputs",), [], "at least one output"),
    (("dtype",), "int8", "expected float32 or float64"),
    (("files",), {}, "files must list model.onnx"),
    (("files", "model.onnx", "sha256"), "xyz", "`files.model.onnx` is inconsistent (not a sha256"),
    (("files", "model.onnx", "bytes"), -1, "not negative"),
    (("solves", 0, "grid", 1), "a", '`solves[0].grid[1]` is "a", expected a number'),
    (("noises",), ["W"], '`noises[0]` is "W", expected an object'),
    (("description",), "\ud800", "`description`"),
]


@pytest.mark.parametrize(("path", "new", "expected"), WRONG)
def test_a_wrong_field_is_named(manifest: Manifest, path: tuple[str | int, ...], new: object, expected: str) -> None:
    value = json.loads(to_json(manifest))
    set_at(value, path, new)
    with pytest.raises(ArtifactError) as caught:
        read_manifest(json.dumps(value), "here/manifest.json")
    assert caught.value.code == "E703"
    assert caught.value.message.startswith("here/manifest.json: ")
    assert expected in caught.value.message
    caught.value.message.encode("utf-8")


JUMPS = NoiseInfo("N", 1, "poisson", 8, 3, 2, 2, "float32", rates=(0.5,), ordering="antithetic_lattice")
FLIGHT = NoiseInfo("L", 2, "stable", 1, 4, 1, 1, "float64", alpha=1.5, ordering="antithetic")
WRONG_NOISES = [
    ({"name": "first"}, "two inputs are named 'first'"),
    ({"name": ""}, "a noise needs a name"),
    ({"distribution": "cauchy"}, "distribution 'cauchy': expected one of normal, poisson, stable"),
    ({"ordering": "sobol"}, "ordering 'sobol'"),
    ({"dtype": "int64"}, "dtype 'int64'"),
    ({"stream": -1}, "stream lies between 0 and 4294967295"),
    ({"samples": 0}, "samples lies between 1 and 2097152"),
    ({"samples": 2**21 + 1}, "samples lies between 1 and 2097152"),
    ({"samples": 2**21, "ordering": "lattice"}, "samples lies between 1 and 1048576"),
    ({"steps": 2**20 + 1, "rates": [1.0]}, "steps lies between"),
    ({"channels": 3}, "channels are a multiple of entries"),
    ({"entries": 0}, "entries lies between 1 and 2"),
    ({"alpha": 1.5}, "stable numbers have an alpha"),
    ({"distribution": "stable", "rates": [], "alpha": 1.5}, "stable numbers have no lattice"),
    ({"distribution": "bernoulli", "rates": []}, "0 and 1 have a probability"),
    ({"distribution": "bernoulli", "rates": [], "probability": 1.5}, "a probability lies between"),
    ({"distribution": "uniform", "rates": [], "probability": 0.5}, "0 and 1 have a probability"),
    ({"distribution": "stable", "rates": [], "alpha": 3.0, "ordering": "independent"}, "alpha lies between"),
    ({"distribution": "normal"}, "counts have one rate, or one a step"),
    ({"rates": [1.0, 2.0]}, "counts have one rate, or one a step"),
    ({"rates": [-1.0]}, "a rate lies between"),
    ({"rates": ["1"]}, "`noises[0].rates[0]`"),
    ({"stream": 1.5}, "`noises[0].stream` is 1.5, expected an integer"),
]


@pytest.mark.parametrize(("change", "expected"), WRONG_NOISES)
def test_a_wrong_noise_is_named(manifest: Manifest, change: dict[str, Any], expected: str) -> None:
    value = json.loads(to_json(replace(manifest, noises=(JUMPS,))))
    value["noises"][0].update(change)
    with pytest.raises(ArtifactError) as caught:
        read_manifest(json.dumps(value), "m")
    assert caught.value.code == "E703"
    assert expected in caught.value.message


def test_noises_are_read_as_they_were_written(manifest: Manifest) -> None:
    every_step = replace(JUMPS, rates=(0.0, 2.0, 0.5), name="M", stream=3)
    written = replace(manifest, noises=(JUMPS, FLIGHT, every_step))
    assert read_manifest(to_json(written), "m") == written
    assert (JUMPS.antithetic, JUMPS.lattice, FLIGHT.antithetic, FLIGHT.lattice) == (True, True, True, False)
    assert str(FLIGHT) == "stable float64[batch, 1, 4, 1]"
    assert JUMPS.port(7).shape == (7, 8, 3, 2)


@pytest.mark.parametrize("change", [{"generator": "philox4x64-10"}, {"version": 2}, {"generator": 3, "new": 1}])
def test_another_generator_is_refused(manifest: Manifest, change: dict[str, Any]) -> None:
    value = json.loads(to_json(replace(manifest, noises=(FLIGHT, JUMPS))))
    value["noises"][1].update(change)
    with pytest.raises(ArtifactError, match="E723") as caught:
        read_manifest(json.dumps(value), "here/manifest.json")
    assert caught.value.message.startswith("here/manifest.json: the generator of `noises[1]` is ")
    assert "this runtime has philox4x32-10, version 1" in caught.value.message


def test_a_noise_is_the_same_where_it_is_explained(manifest: Manifest) -> None:
    score = (Port("s", "float32", ("batch",)),), (), (AttributionResult("s", "y", "", "score"),)
    files = {**manifest.files, "attribute.onnx": FileInfo("a" * 64, 3)}
    for port, fits in ((JUMPS.port(), True), (JUMPS.port(4), True), (replace(JUMPS, samples=9).port(), False)):
        explained = AttributionInfo((port,), *score)
        fields = {"noises": (JUMPS,), "attribution": explained, "files": files}
        with nullcontext() if fits else pytest.raises(ValueError, match="the noise 'N' is another"):
            assert replace(manifest, **fields).noises == (JUMPS,)


def test_every_field_is_required(manifest: Manifest) -> None:
    value = json.loads(to_json(manifest))
    for name in set(value) - {"format_version"}:
        partial = {key: item for key, item in value.items() if key != name}
        with pytest.raises(ArtifactError, match=f"`{name}` is missing"):
            read_manifest(json.dumps(partial), "m")


@pytest.mark.parametrize("version", [1, "2", None, True])
def test_another_format_is_refused(manifest: Manifest, version: object) -> None:
    text = to_json(manifest).replace('"format_version": 4', f'"format_version": {json.dumps(version)}')
    with pytest.raises(ArtifactError, match="E704"):
        read_manifest(text, "m")


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": NaN}', '{"a": 1, "a": 2}', "[" * 100_000, b"\xff"])
def test_what_is_not_strict_json_is_refused(text: str | bytes) -> None:
    with pytest.raises(ArtifactError, match="E702"):
        read_manifest(text, "m")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
GOOD = Manifest(
    "m",
    None,
    (Port("x", "float32", ("batch",)),),
    (Port("y", "float32", ()),),
    "1",
    18,
    "float32",
    (SolveInfo("f", "rk4", 1, (0.0, 1.0), 4),),
    {"model.onnx": FileInfo("a" * 64, 3)},
    "b" * 64,
)
PATHS = [(key,) for key in json.loads(to_json(GOOD))] + [
    *(("inputs", 0, key) for key in ("name", "dtype", "shape", "unit", "low", "high", "classes")),
    *(("solves", 0, key) for key in ("field", "steps", "grid")),
    ("files", "model.onnx", "bytes"),
]


@given(path=st.sampled_from(PATHS), new=json_values)
def test_any_value_anywhere_is_read_or_refused_by_us(path: tuple[str | int, ...], new: object) -> None:
    value = copy.deepcopy(json.loads(to_json(GOOD)))
    set_at(value, path, new)
    with suppress(ArtifactError):
        read_manifest(json.dumps(value), "m")
