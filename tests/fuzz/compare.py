"""Programs compiled to ONNX and run, beside the interpreter: no answer differs, and nothing foreign is raised."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from pathlib import Path
from random import Random

import numpy as np
import onnxruntime

from isocline_compiler.certify.prove import Proving
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

SAMPLES = 3
LARGEST = 1e6
DIFFERENCED = 1e-5
"""Where the interpreter has differences for derivatives."""
TOLERANCE = {"tensor(double)": 2e-7, "tensor(float)": 5e-3}


def deployed(text: str, inputs: dict[str, Array]) -> tuple[dict[str, Array], float]:
    """The answers of the program's own ONNX file, and how near its precision comes. Raises IsoclineError."""
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
    return dict(zip(names, session.run(names, feeds), strict=True)), TOLERANCE[kind]


def drawn(text: str, random: Random) -> dict[str, Array]:
    """Inputs within their bounds that float32 holds exactly."""
    rng = np.random.default_rng(random.randrange(2**32))
    program = parse(Source(text, "fuzz.dyn"))
    ports = [item for item in program.declarations if type(item).__name__ == "Input"]
    shapes = {item.name.text: tuple(int(size.text) for size in item.type.sizes) for item in ports}  # type: ignore
    return {name: np.float64(np.float32(rng.uniform(-1.5, 1.5, (SAMPLES, *shape)))) for name, shape in shapes.items()}


def verdict(text: str, random: Random) -> str:
    """`right`, `refused CODE`, `no number` where there is none to compare, or what is wrong."""
    inputs = drawn(text, random)
    try:
        found, tolerance = deployed(text, inputs)
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
            scale = 1 + np.max(np.abs(right), initial=0)
            error = float(np.max(np.abs(got - right), initial=0)) / scale
            if not error < (max(tolerance, DIFFERENCED) if interpreter.differenced else tolerance):
                return f"wrong number in {name}: {error:.1e}, sample {i}"
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
