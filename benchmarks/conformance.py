"""Run every built example, and a model with every method, on every engine, and write docs/conformance.md.

    python -m benchmarks.conformance [-o docs/conformance.md] [--build build] [--only NAME...]

The reference is the evaluator of the onnx package on the same file with every float32 made float64. Exit status 1 when
an installed engine is further from it than the bound, or refuses a model.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

import isocline
from benchmarks import every_method
from benchmarks.engines import Engine, engines, run_reference
from benchmarks.outcome import Array, Arrays, NotThere
from examples.build_all import EXAMPLES
from isocline_compiler.certify.measures import DEFINITION, relative_errors
from isocline_compiler.certify.samples import drawn, held_out
from isocline_compiler.derivatives.files import SEEDED
from isocline_compiler.driver import dataset_of
from isocline_compiler.graph.tensor_type import points_in
from isocline_runtime.artifact import read_artifact
from isocline_runtime.feeds import Feed
from isocline_runtime.manifest import ATTRIBUTION_FILE, MODEL_FILE, START_FILE, STEP_FILE, Manifest, Port
from isocline_runtime.noises import draw_noise
from isocline_runtime.replay import replayed
from isocline_runtime.stream import run_plainly

FILES = {example.name: example.file for example in EXAMPLES}
TEXTS = ("every_scheme", "every_noise")
"""Models without data beside this file: every scheme without noise; every law of noise, in an ensemble and alone."""
BOUND = 1e-5
SAMPLES = 8


@dataclass(frozen=True)
class Case:
    """A file of an artifact, with inputs for it; `scales` names, for a result near zero, the one whose size it has."""

    artifact: str
    model: Path
    feeds: Arrays
    scales: Mapping[str, str]

    @property
    def title(self) -> str:
        return f"{self.artifact}/{self.model.name}"


@dataclass(frozen=True)
class Found:
    """What one engine did with one case: its largest error, or why there is none."""

    error: float | None
    reason: str = ""

    @property
    def agrees(self) -> bool:
        return self.error is not None and self.error <= BOUND

    def __str__(self) -> str:
        if self.error is None:
            return self.reason
        return f"{self.error:.1e}" if self.agrees else f"**{self.error:.1e}**"


NOT_INSTALLED = Found(None, "not installed")
NONE = Found(None, "none")
"""The artifact has no C of this file, and its manifest says why."""


def cases_of(file: Path, folder: Path) -> Iterator[Case]:
    """Every model of the artifact of a file, on held-out samples."""
    manifest = read_artifact(folder).manifest
    assert manifest is not None
    inputs = sample_inputs(file, manifest)
    yield Case(folder.name, folder / MODEL_FILE, inputs, {})
    if manifest.attribution is not None:
        given = {port.name: inputs.get(port.name, _extra(port)) for port in manifest.attribution.inputs}
        yield Case(folder.name, folder / ATTRIBUTION_FILE, given, _scales(manifest))
    for seeded in (folder / f"{prefix}{MODEL_FILE}" for prefix, _ in SEEDED.values()):
        if seeded.is_file():
            yield Case(folder.name, seeded, {**inputs, **_seeds(seeded, inputs)}, {})
    if manifest.stream is not None:
        yield from stream_cases(folder, inputs)


def stream_cases(folder: Path, inputs: Arrays) -> Iterator[Case]:
    """The start of a stream, and the last of its steps, each with what the runtime feeds it."""
    session = isocline.load(folder)
    fed: list[Arrays] = []

    def run(backend: Any, ports: Sequence[Port], feed: Feed) -> dict[str, Array]:
        fed.append(dict(feed.arrays))
        return run_plainly(backend, ports, feed)

    own = {port.name: inputs[port.name] for port in session.inputs}
    replayed(session.stepper(), run, own, None, range(SAMPLES) if session.noises else None)
    yield Case(folder.name, folder / START_FILE, fed[0], {})
    yield Case(folder.name, folder / STEP_FILE, fed[-1], {})


def built_text(folder: Path, name: str) -> Path:
    """The file of a model without data, compiled into the folder unless that is done already."""
    file = Path(__file__).with_name(f"{name}.dyn")
    if not (folder / name / MODEL_FILE).is_file():
        isocline.compile(file, folder / name)
    return file


def sample_inputs(file: Path, manifest: Manifest) -> dict[str, Array]:
    """Some held-out samples of a model, or draws from its bounds, in the types that the artifact takes."""
    model = isocline.check(file)
    dataset = dataset_of(model, file.parent)
    samples = held_out(dataset, model.inputs, model.targets) if dataset else drawn(model.inputs, model.source)
    few = samples.first(SAMPLES).inputs
    given = {port.name: _rows(few[port.name]).astype(port.dtype) for port in manifest.inputs}
    return given | {noise.name: draw_noise(noise, 0, range(SAMPLES)) for noise in manifest.noises}


def _rows(array: Array) -> Array:
    """As many samples as are run, the same ones again where there are fewer."""
    return np.resize(array, (SAMPLES, *array.shape[1:]))


def _extra(port: Port) -> Array:
    """The index asks for the default, the noise is normal."""
    shape = (SAMPLES, *(int(size) for size in port.sample_shape))
    if port.dtype == "int64":
        return np.full(shape, -1)
    return np.random.default_rng(0).standard_normal(shape).astype(port.dtype)


def _seeds(model: Path, inputs: Arrays) -> dict[str, Array]:
    """Normal draws for what a model takes besides the inputs."""
    rng = np.random.default_rng(0)
    ports = [port for port in onnx.load(model).graph.input if port.name not in inputs]
    shapes = {port.name: [_size(dim) for dim in port.type.tensor_type.shape.dim] for port in ports}
    return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def _size(dimension: onnx.TensorShapeProto.Dimension) -> int:
    return SAMPLES * points_in(dimension.dim_param) if dimension.dim_param else dimension.dim_value


def _scales(manifest: Manifest) -> dict[str, str]:
    """A residual is what is left of a difference of scores: it is measured in scores."""
    assert manifest.attribution is not None
    results = manifest.attribution.results
    score = {item.explains: item.name for item in results if item.kind == "score"}
    return {item.name: score[item.explains] for item in results if item.kind == "residual"}


def in_double(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same model with every float32 made float64: weights, constants, casts, and the types of its ports."""
    wide = onnx.ModelProto()
    wide.CopyFrom(model)
    graph = wide.graph
    for tensor in graph.initializer:
        _widen(tensor)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                _widen(attribute.t)
            elif attribute.name == "to" and attribute.i == TensorProto.FLOAT:
                attribute.i = TensorProto.DOUBLE
    for port in (*graph.input, *graph.output, *graph.value_info):
        if port.type.tensor_type.elem_type == TensorProto.FLOAT:
            port.type.tensor_type.elem_type = TensorProto.DOUBLE
    return wide


def _widen(tensor: TensorProto) -> None:
    if tensor.data_type == TensorProto.FLOAT:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float64), tensor.name))


def reference_of(case: Case) -> dict[str, Array]:
    """The outputs in double precision."""
    feeds = {
        name: array.astype(np.float64) if array.dtype == np.float32 else array for name, array in case.feeds.items()
    }
    with tempfile.TemporaryDirectory() as folder:
        wide = Path(folder) / "double.onnx"
        onnx.save(in_double(onnx.load(case.model)), wide)
        return run_reference(wide, feeds)


def measured(engine: Engine, case: Case, reference: Arrays) -> Found:
    """The largest relative error of all outputs and samples."""
    if engine.version is None:
        return NOT_INSTALLED
    try:
        outputs = engine.run(case.model, case.feeds)
    except NotThere:
        return NONE
    except Exception as problem:  # every engine has exceptions of its own; each is an entry of the table
        return Found(None, f"fails: {_first_line(problem)}")
    lost = sorted(set(reference) - set(outputs))
    if lost:
        return Found(None, f"fails: gives no {', '.join(lost)}")
    return Found(max(_error(name, outputs, reference, case.scales) for name in reference))


def _first_line(problem: Exception) -> str:
    line = f"{type(problem).__name__}: {problem}".splitlines()[0]
    return re.sub(r"file://\S*/", "", line)[:100].replace("|", "/")


def _error(name: str, outputs: Arrays, reference: Arrays, scales: Mapping[str, str]) -> float:
    expected, found = reference[name], outputs[name]
    if found.shape != expected.shape:
        return float("inf")
    batched = expected.shape[:1] == (SAMPLES,)
    if name in scales:
        return float(np.max(np.abs(found - expected) / np.abs(reference[scales[name]])))
    return float(relative_errors(found, expected, batched).max())


INTRODUCTION = f"""# Conformance

Made by `make conformance`: every file of every built example, and of `benchmarks/every_method.dyn`, which uses every
method of attribution and both seeded derivatives, with its steps laid out and in a loop, of
`benchmarks/every_scheme.dyn` and of `benchmarks/every_noise.dyn`, on {SAMPLES} held-out samples, by every engine.
Noise is an input: row i has the numbers that the runtime draws for row i and seed 0. The numbers are relative
errors: {DEFINITION};
the largest of all samples and outputs. The bound is {BOUND:.0e}; what misses it is **bold**. The residual of a complete
attribution is near zero by construction, so it is measured relative to the score that it is left of.

The reference is the evaluator of the onnx package on the same file with every float32 made float64, so an engine is
held to what the file says, not to another engine's rounding. The package's evaluator stops at a grouped ConvTranspose
(the gradient of a max-pool), and at a GatherElements along more than 64 entries (a quantile of a large ensemble); these
two operations are corrected in `benchmarks/engines.py`, which says how.

tract has no `Loop`. The loops of this table are of `Scan`, which it has.

The last columns are the plain C of the artifact, built by each compiler and run on the machine, or under an emulator;
`none`: there is no C of this file, and the manifest says why.
"""

FINDINGS = """## What engines get wrong, and what is emitted instead

* OpenVINO 2026.4 gives wrong values, without a word, where a Conv and a ConvTranspose (a convolution and its gradient)
  read one initializer with as many channels in as out, and where a product and a transposed one read one square matrix;
  of other shapes, or from two initializers of the same entries, they are right. It seems to keep one packed form by
  initializer and shape. Such a kernel or matrix is stored once for each.
* OpenVINO 2026.4 puts either of two equal entries first in TopK, without a word, where ONNX asks for the one that came
  first; tract 0.23 has no TopK of whole numbers. So the order of up to 256 entries is counted: how many stand before
  each.
* OpenVINO gives an output that another operator was fused into the names of both; ask for outputs by the names of the
  file, not by the first name of a port.
* tract 0.23 takes away an Expand before a matrix product, also through Reshape and Concat, as if the product repeated
  its arguments: it stops, or gives one row for all. The pass `defer` multiplies first and repeats afterwards, so a
  repeated literal (the seed of a gradient) folds, and what is the same at all points of a sample is computed once.
* tract 0.23 puts an operation between a stacked result of a Scan and all that reads it, in the body too: such a result
  is read by nothing in there. It drops what a body does not read, and stops at a Scan that is given nothing else, of
  which OpenVINO makes a batch of nothing: a loop that reads no rows adds a column of zeros to a state.
* tract 0.23 exchanges a Slice in steps with a Reshape before it, wrongly: entries in steps are taken by Gather.
* OpenVINO 2026.4 takes every computed value that the body of a Scan reads from outside for one more state of the loop,
  and refuses the file ("num_scan_outputs can't be negative"); an initializer may be read. So a loop is given such a
  value as a state that stays, up to 1024 entries a sample: a larger one is read where it is, and OpenVINO refuses it.
* OpenVINO 2026.4 ends a Scan after its first iteration, without a word, where the next value of a state is a row as it
  was given (the time of the observation before): it sees through Identity and other operators that do nothing. Such a
  state is `Max` of the row and minus infinity; at `Max` of the row and itself tract 0.23 aborts.
* mixture and matching are in double precision: tract stops at them, onnxruntime-web at mixture, OpenVINO computes them
  in single.
* The evaluator of the onnx package scans from the first row to the last only: rows are turned before and after.
* tract 0.23 multiplies the names of sizes: where 17 points of each sample are folded into the batch, it finds
  `17*batch`, and refuses a file that states another name. So that is the name.
"""


def page(tools: Sequence[Engine], rows: Mapping[str, Sequence[Found]], absent: Sequence[str]) -> str:
    """The document."""
    versions = [f"| {tool.name} | {tool.version or 'not installed: ' + tool.install} |" for tool in tools]
    head = "| | " + " | ".join(tool.name for tool in tools) + " |"
    body = [f"| `{title}` | " + " | ".join(map(str, found)) + " |" for title, found in rows.items()]
    missing = [f"Not built, so not tried: {', '.join(absent)}.", ""] if absent else []
    lines = ["| engine | version |", "| --- | --- |", *versions, "", head, "| --- |" + " --- |" * len(tools), *body]
    return "\n".join([INTRODUCTION, *lines, "", *missing, FINDINGS])


def rows_of(text: str, tools: Sequence[Engine]) -> dict[str, list[Found]]:
    """The rows of a document that these engines made. Raises SystemExit where others did."""
    head = "| | " + " | ".join(tool.name for tool in tools) + " |"
    versions = (f"| {tool.name} | {tool.version} |" for tool in tools if tool.version is not None)
    if head not in text or not all(line in text for line in versions):
        raise SystemExit("the table is of other engines, or other versions of them: measure all")
    lines = (line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| `"))
    return {title.strip("`"): [_read(cell) for cell in cells] for title, *cells in lines}


def _read(cell: str) -> Found:
    try:
        return Found(float(cell.strip("* ")))
    except ValueError:
        return Found(None, cell.strip())


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Run the built examples on every engine.")
    parser.add_argument("-o", dest="out", type=Path, default=Path(__file__).parents[1] / "docs" / "conformance.md")
    parser.add_argument("--build", type=Path, default=Path("build"), help="the folder of the artifacts")
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", help="artifacts to measure; the other rows stay as they are"
    )
    options = parser.parse_args(arguments)
    tools = engines()
    known = rows_of(options.out.read_text(encoding="utf-8"), tools) if options.only else {}
    files = {**FILES, **{name: every_method.build(options.build, name) for name in every_method.FORMS}}
    files |= {name: built_text(options.build, name) for name in TEXTS}
    absent = [name for name in files if not (options.build / name / MODEL_FILE).is_file()]
    rows: dict[str, list[Found]] = {}
    for name, file in ((name, file) for name, file in files.items() if name not in absent):
        if options.only and name not in options.only:
            rows |= {title: row for title, row in known.items() if title.startswith(f"{name}/")}
            continue
        for case in cases_of(file, options.build / name):
            reference = reference_of(case)
            rows[case.title] = [measured(tool, case, reference) for tool in tools]
            print(f"{case.title:32}", *(f"{found!s:>14}" for found in rows[case.title]), flush=True)
    options.out.write_text(page(tools, rows, absent).rstrip() + "\n", encoding="utf-8")
    wrong = [found for row in rows.values() for found in row if found not in (NOT_INSTALLED, NONE) and not found.agrees]
    return 1 if wrong or not rows else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
