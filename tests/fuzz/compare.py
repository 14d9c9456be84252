"""Programs compiled to ONNX and to C and run, beside the interpreter: no answer differs, nothing foreign is raised."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from random import Random

import numpy as np
import onnxruntime

from isocline_compiler.backends.to_c import LANES, NotInC, to_c
from isocline_compiler.certify.prove import Proving
from isocline_compiler.graph import Graph
from isocline_compiler.lower import lower
from isocline_compiler.passes import optimise
from isocline_compiler.passes.bind import bind
from isocline_compiler.pipeline import emit
from isocline_compiler.solvers.unroll import unroll
from isocline_compiler.solvers.unroll.forms import with_forms
from isocline_compiler.training.initial import initial_weights
from isocline_dsl import IsoclineError, Source, parse
from tests.fuzz.interpreter import Array, Interpreter, Kink
from tests.fuzz.programs import program
from tests.native.in_c import built, called

SAMPLES = 3
LARGEST = 1e6
DIFFERENCED = 1e-5
"""Where the interpreter has differences for derivatives."""
TOLERANCE = {"tensor(double)": 2e-7, "tensor(float)": 5e-3}


Answers = dict[str, Array]
COMPILED = shutil.which("cc") is not None
ROWS = LANES + SAMPLES
"""Samples in C: a whole block, and the rest one by one."""


def deployed(text: str, inputs: dict[str, Array]) -> tuple[Answers, Answers | None, float]:
    """The answers of the program's own ONNX file and of its C, and how near its precision comes. Raises IsoclineError.

    Where the program has no form in C, or no compiler is here, there is None.
    """
    source = Source(text, "fuzz.dyn")
    model = lower(parse(source), source)
    weights = initial_weights(model.weights, 0)
    chosen, _ = Proving(model, weights, None, None).choose(lambda _: None)
    choices = with_forms(model.graph, chosen, model.deployment.unroll, 1)
    graph = optimise(unroll(optimise(bind(model.graph, weights)), choices).graph)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(emit(model, weights, graph), options, providers=["CPUExecutionProvider"])
    kind = session.get_outputs()[0].type
    dtype = np.float64 if kind == "tensor(double)" else np.float32
    feeds = {item.name: inputs[item.name].astype(dtype) for item in session.get_inputs()}
    names = [item.name for item in session.get_outputs()]
    answers = dict(zip(names, session.run(names, feeds), strict=True))
    looped = optimise(unroll(optimise(bind(model.graph, weights)), with_forms(model.graph, chosen, 1, 1)).graph)
    try:
        found = natively(looped, weights, inputs, dtype.__name__) if COMPILED else None
    except NotInC:
        found = None
    return answers, found, TOLERANCE[kind]


def natively(graph: Graph, weights: Mapping[str, Array], inputs: dict[str, Array], dtype: str) -> Answers:
    """The answers in C, of so many samples that a block is filled: the first ones again and again."""
    program = to_c(graph, weights, dtype=dtype, name="fuzz")
    given = {name: np.resize(array, (ROWS, *array.shape[1:])) for name, array in inputs.items()}
    with tempfile.TemporaryDirectory() as folder:
        found = called(built(program, Path(folder), "-O1"), program, given, ROWS, np.dtype(dtype).type)
    shapes = {name: [int(size) for size in node.shape if isinstance(size, int)] for name, node in graph.outputs.items()}
    batched = {port.name: port.batched for port in program.outputs}
    return {
        name: array.reshape([ROWS, *shapes[name]] if batched[name] else shapes[name]) for name, array in found.items()
    }


def drawn(text: str, random: Random) -> dict[str, Array]:
    """Inputs within their bounds that float32 holds exactly."""
    rng = np.random.default_rng(random.randrange(2**32))
    program = parse(Source(text, "fuzz.dyn"))
    ports = [item for item in program.declarations if type(item).__name__ == "Input"]
    shapes = {item.name.text: tuple(int(size.text) for size in item.type.sizes) for item in ports}  # type: ignore
    return {name: np.float64(np.float32(rng.uniform(-1.5, 1.5, (SAMPLES, *shape)))) for name, shape in shapes.items()}


def _error(found: Array, right: Array) -> float:
    return float(np.max(np.abs(found - right), initial=0)) / (1 + float(np.max(np.abs(right), initial=0)))


def verdict(text: str, random: Random) -> str:
    """`right`, `refused CODE`, `no number` where there is none to compare, or what is wrong."""
    inputs = drawn(text, random)
    try:
        found, in_c, tolerance = deployed(text, inputs)
    except IsoclineError as error:
        return f"refused {error.diagnostics[0].code}"
    except Exception as problem:
        return f"foreign {type(problem).__name__}: {str(problem)[:100]}"
    compared = 0
    for i in range(SAMPLES):
        try:
            with np.errstate(all="ignore"):
                interpreter = Interpreter(
                    parse(Source(text, "fuzz.dyn")), {name: array[i] for name, array in inputs.items()}
                )
                expected = interpreter.run()
        except Kink:
            continue
        for name, right in expected.items():
            got = found[name]
            got = got[i] if got.ndim == right.ndim + 1 else got  # else it depends on no input
            if not np.all(np.isfinite(right)) or np.max(np.abs(right), initial=0) > LARGEST:
                continue
            compared += 1
            if got.shape != right.shape:
                return f"wrong shape of {name}: {got.shape}, not {right.shape}"
            within = max(tolerance, DIFFERENCED) if interpreter.differenced else tolerance
            if not (error := _error(got, right)) < within:
                return f"wrong number in {name}: {error:.1e}, sample {i}"
            for row in () if in_c is None else range(i, ROWS, SAMPLES):
                got = in_c[name][row] if in_c[name].ndim == right.ndim + 1 else in_c[name]
                if not (error := _error(got, right)) < within:
                    return f"wrong number in C in {name}: {error:.1e}, sample {row} as {i}"
    return "right" if compared else "no number"


def compared(cases: int, seed: int) -> int:
    """So many programs; how many were wrong."""
    counts: Counter[str] = Counter()
    begun, wrong = time.monotonic(), 0
    for case in range(cases):
        random = Random(f"{seed} {case}")
        text = program(random)
        outcome = verdict(text, random)
        kind = outcome.split(":")[0].split(" in ")[0]
        counts[kind] += 1
        if outcome.startswith(("wrong", "foreign")):
            wrong += 1
            folder = Path("build/fuzz")
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"{hashlib.sha256(text.encode()).hexdigest()[:8]}.dyn"
            path.write_text(f"# {outcome!a}\n{text}")
            print(f"case {case}: {outcome}\n  {path}", flush=True)
        if (case + 1) % 100 == 0:
            print(f"{case + 1} programs, {time.monotonic() - begun:.0f} s, {dict(counts)}", flush=True)
    print(f"{cases} programs, {time.monotonic() - begun:.0f} s, {dict(counts)}")
    return wrong
