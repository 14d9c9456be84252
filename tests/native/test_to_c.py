"""Every operation in C, against onnxruntime and torch; whole models with their steps as loops; what is not in C."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from isocline_compiler.backends.to_c import LANES, NotInC, to_c
from isocline_compiler.backends.to_c.program import require_declared
from isocline_compiler.backends.to_onnx import to_onnx
from isocline_compiler.backends.to_torch import TorchProgram
from isocline_compiler.certify.choose import discretisation
from isocline_compiler.driver import show
from isocline_compiler.graph import INPUT, Example, Graph, Node, Op, constant, leaf
from isocline_compiler.graph.c_form import NoC
from isocline_compiler.graph.tensor_type import TensorType, is_batch, points_in
from isocline_compiler.lower.check import check
from isocline_compiler.lower.check import model as model_of
from isocline_compiler.ops import OPS
from isocline_compiler.passes import optimise
from isocline_compiler.passes.bind import bind
from isocline_compiler.solvers.unroll import unroll
from isocline_compiler.solvers.unroll.forms import solves_of
from isocline_dsl.diagnostics import IsoclineError
from tests.native.in_c import CHECKED, built, called, needs_compiler

RNG = np.random.default_rng(11)
BATCHES = (1, 3, LANES, LANES + 5)
"""Samples one by one, a block that is not full, a full one, and both."""
SORTED = {"interval_of": 0, "lookup": 1}
"""Operations of which an argument, by number, has to increase."""
WITHOUT = {"noise_like", "matrix_exp", "spectral_norm"}


def sizes(type_: TensorType, batch: int) -> list[int]:
    return [batch * points_in(str(size)) if is_batch(size) else int(size) for size in type_.shape]


def drawn(op: Op, example: Example, position: int, batch: int) -> np.ndarray:
    type_ = example.types[position]
    low, high = example.within[position if len(example.within) > 1 else 0]
    values = np.asarray(RNG.uniform(low, high, sizes(type_, batch)))
    if SORTED.get(op.name) == position:
        values = np.sort(values, -1)
    return np.asarray(np.floor(values), np.int64) if type_.kind == "int" else values


def tried(op: Op) -> Iterator[tuple[int, Example]]:
    """Examples whose sizes are known and whose samples lie along the first axis; truth values are tried in models."""
    for number, example in enumerate(op.examples):
        result = op.infer(*example.types, **example.attrs)
        types = (*example.types, *(result if isinstance(result, tuple) else (result,)))
        named = [size for type_ in types for size in type_.shape[1:] if isinstance(size, str)]
        first = [type_.shape[0] for type_ in types if type_.shape and isinstance(type_.shape[0], str)]
        across = any(type_.batched for type_ in example.types) and not types[-1].batched
        if not named and not across and all(map(is_batch, first)) and all(type_.kind != "bool" for type_ in types):
            yield number, example


def graph_of(op: Op) -> Graph:
    """All examples of an operation side by side."""
    inputs: list[Node] = []
    outputs = {}
    for number, example in tried(op):
        leaves = [leaf(INPUT, f"x{number}_{i}", type_) for i, type_ in enumerate(example.types)]
        inputs += leaves
        outputs[f"y{number}"] = op(*leaves, **example.attrs)
    return Graph(tuple(inputs), outputs, "m")


@needs_compiler
@pytest.mark.parametrize("name", sorted(name for name, op in OPS.items() if name not in WITHOUT and any(tried(op))))
def test_an_operation_in_c_gives_what_others_give(name: str, tmp_path: Path) -> None:
    """What onnxruntime gives in single precision, torch in double; the compiler watches for what C leaves undefined."""
    op = OPS[name]
    graph = graph_of(op)
    single, double = to_c(graph, {}, name="m"), to_c(graph, {}, name="m", dtype="float64")
    narrow, wide = built(single, tmp_path / "f", *CHECKED), built(double, tmp_path / "d", *CHECKED)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(to_onnx(graph, {}).SerializeToString(), options)
    exact = TorchProgram(graph)
    for batch in BATCHES:
        given = {
            f"x{number}_{i}": drawn(op, example, i, batch)
            for number, example in tried(op)
            for i in range(len(example.types))
        }
        rounded = {key: np.asarray(x, np.float32) if x.dtype == np.float64 else x for key, x in given.items()}
        asked = [item.name for item in session.get_inputs()]
        expected = session.run(None, {key: rounded[key] for key in asked})
        for found, value in zip(called(narrow, single, rounded, batch).values(), expected, strict=True):
            np.testing.assert_allclose(found.reshape(-1), value.reshape(-1), rtol=2e-5, atol=2e-6)
        answers = exact({key: torch.tensor(x) for key, x in given.items()})
        for key, found in called(wide, double, given, batch, np.float64).items():
            np.testing.assert_allclose(found.reshape(-1), answers[key].numpy().reshape(-1), rtol=1e-12, atol=1e-13)


def test_every_operation_has_a_form_in_c_or_says_why() -> None:
    assert [name for name, op in OPS.items() if op.c is None] == []
    assert {name for name, op in OPS.items() if isinstance(op.c, NoC)} == WITHOUT


MODELS = sorted((Path(__file__).parents[1] / "acceptance" / "models").glob("*.dyn"))


def looped(path: Path, steps: int = 12) -> Graph:
    """So many steps of RK4 between two times, as loops, and the weights as literals."""
    model = check(path)
    weights = {weight.name: RNG.normal(size=weight.shape) for weight in model.weights}
    bound = bind(model.graph, weights)
    choices = {solve.spec.choice: replace(discretisation(solve, "rk4", steps), segment=1) for solve in solves_of(bound)}
    return optimise(unroll(optimise(bound), choices).graph)


@needs_compiler
@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_a_model_in_c_is_the_model(path: Path, tmp_path: Path) -> None:
    """Both ways of C, against onnxruntime on the same steps in double precision."""
    graph, bounds = looped(path), {port.name: port.bounds for port in check(path).inputs}
    program = to_c(graph, {}, name="m", dtype="float64")
    library = built(program, tmp_path, "-O1")
    session = onnxruntime.InferenceSession(to_onnx(graph, {}, dtype="float64").SerializeToString())
    for batch in (1, LANES + 5):
        given = {}
        for node in graph.inputs:
            name = node.attrs["name"]
            low, high = bounds[name] or (0.3, 1.2)
            given[name] = RNG.uniform(low, high, sizes(node.type, batch))
        expected = dict(zip([item.name for item in session.get_outputs()], session.run(None, given), strict=True))
        for key, found in called(library, program, given, batch, np.float64).items():
            np.testing.assert_allclose(found.reshape(-1), expected[key].reshape(-1), rtol=1e-9, atol=1e-10)


PER_STEP = {
    "dense": """input x: real[12] in (-1, 1)
field f(t, h: real[12]) weights per step { h' = h |> dense(40) |> tanh |> dense(12) }
h = solve f from h = x over 0..1 with euler(steps=4)
output y = h""",
    "few": """input x: real[3] in (-1, 1)
field f(t, h: real[3]) weights per step { h' = h |> dense(20) |> tanh |> dense(3) }
h = solve f from h = x over 0..1 with euler(steps=4)
output y = h""",
    "convolutions": """input x: real[4, 4, 4] in (-1, 1)
field f(t, h: real[4, 4, 4]) weights per step {
  h' = h |> conv(8, kernel=3, pad=1) |> tanh |> conv(4, kernel=3, pad=1)
}
h = solve f from h = x over 0..1 with euler(steps=4)
output y = h""",
}


@needs_compiler
@pytest.mark.parametrize("segment", [1, 2, None])
@pytest.mark.parametrize("name", PER_STEP)
def test_weights_of_each_step_are_those_of_its_round(name: str, segment: int | None, tmp_path: Path) -> None:
    """In loops rows of weights have names of their own, and no weight is zero: a bias that is not read is missed."""
    model = model_of(f"dyn 1\nmodel m\n{PER_STEP[name]}")
    weights = {weight.name: RNG.normal(size=weight.shape) for weight in model.weights}
    bound = bind(model.graph, weights)
    (solve,) = solves_of(bound)
    choice = replace(discretisation(solve, "euler", 4), segment=segment)
    graph = optimise(unroll(optimise(bound), {solve.spec.choice: choice}).graph)
    program = to_c(graph, {}, name="m", dtype="float64")
    library = built(program, tmp_path, *CHECKED)
    exact = TorchProgram(graph)
    for batch in (1, LANES + 5):
        given = {"x": RNG.uniform(-1, 1, (batch, *map(int, model.inputs[0].shape)))}
        (value,) = exact({"x": torch.tensor(given["x"])}).values()
        (found,) = called(library, program, given, batch, np.float64).values()
        np.testing.assert_allclose(found.reshape(-1), value.numpy().reshape(-1), rtol=1e-11, atol=1e-12)


@needs_compiler
@pytest.mark.parametrize("terms", [3, 5, 40])
@pytest.mark.parametrize("read", [(0, 1), (2,), (0, 2)])
@pytest.mark.parametrize("kind", ["product", "largest"])
def test_results_that_nothing_reads_are_not_written(
    kind: str, read: tuple[int, ...], terms: int, tmp_path: Path
) -> None:
    """Of three sums that are computed together: one that is not read has no place to go to."""
    weights = RNG.standard_normal((terms, 3))
    x = leaf(INPUT, "x", TensorType("real", ("batch", terms)))
    if kind == "product":
        every = OPS["matmul"](x, constant(weights))
    else:
        spread = OPS["reshape"](x, shape=("batch", 1, terms)) * constant(weights.T)
        every = OPS["reduce_max"](spread, axes=(2,), keepdims=False)
    parts = [OPS["select"](every, axis=1, index=i) for i in read]
    graph = Graph((x,), {f"y{i}": OPS["exp"](0.1 * part) for i, part in zip(read, parts, strict=True)})
    program = to_c(graph, {}, name="m", dtype="float64")
    library = built(program, tmp_path, *CHECKED)
    for batch in (1, LANES + 5):
        given = RNG.standard_normal((batch, terms))
        exact = given @ weights if kind == "product" else (given[:, :, None] * weights).max(axis=1)
        found = called(library, program, {"x": given}, batch, np.float64)
        for i in read:
            np.testing.assert_allclose(found[f"y{i}"].reshape(-1), np.exp(0.1 * exact[:, i]), rtol=1e-12)


def test_a_name_that_is_declared_nowhere_is_no_program() -> None:
    require_declared(["    float v1[16];", "    v1[l] = a2[l];", "    float a2[3];", "    const float v3 = v1[0];"])
    require_declared(["    float *const a4 = w->a4;", "    a4[0] = r5[0];"])
    with pytest.raises(AssertionError, match="v98"):
        require_declared(["    float v1[16];", "    v98[l] = v1[l];"])


def test_the_source_does_not_grow_with_the_steps() -> None:
    """But for the tables of times."""
    path = next(path for path in MODELS if path.stem == "lorenz")

    def length(steps: int) -> int:
        source = to_c(looped(path, steps), {}).source
        return len([line for line in source.split("\n") if not line[4:5].isdigit()])

    assert length(400) <= 1.1 * length(40)


def test_what_is_not_in_c_is_named() -> None:
    x = leaf(INPUT, "x", TensorType("real", ("batch", "T")))
    with pytest.raises(NotInC, match="`T` is known only when the model runs"):
        to_c(Graph((x,), {"y": OPS["exp"](x)}), {})
    x = leaf(INPUT, "x", TensorType("real", ("batch", 3)))
    with pytest.raises(NotInC, match="mixes samples"):
        to_c(Graph((x,), {"y": OPS["reduce_sum"](x, axes=(0,))}), {})


def test_show_says_what_is_not_in_c(tmp_path: Path) -> None:
    text = "dyn 1\nmodel m\ninput x: real[T, 2] in (0, 1)\noutput y = exp(x)\n"
    (tmp_path / "m.dyn").write_text(text)
    with pytest.raises(IsoclineError) as caught:
        show(tmp_path / "m.dyn", "c")
    assert caught.value.diagnostics[0].code == "E653"
