"""Intervals through the graph: every rule holds what torch computes, models stay inside, and what may fail is named."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from isocline_compiler.backends.to_onnx import to_onnx
from isocline_compiler.backends.to_torch import TorchProgram
from isocline_compiler.certify import enclosure
from isocline_compiler.certify.enclosure import Finite, finite
from isocline_compiler.certify.evaluation import scheme_steps
from isocline_compiler.graph import INPUT, Graph, Node, Op, constant, leaf
from isocline_compiler.graph.called import Called
from isocline_compiler.graph.interval import FLOAT32, FLOAT64, Interval, Precision, precision_of
from isocline_compiler.graph.scan import scan
from isocline_compiler.graph.solve import SOLVE, Solve
from isocline_compiler.graph.tensor_type import TensorType
from isocline_compiler.lower.check import check
from isocline_compiler.model import Model, Port
from isocline_compiler.ops import OPS, enclosures
from isocline_compiler.ops.enclosures import enclosed, sample_shape
from isocline_compiler.ops.evaluation import TorchNamespace
from isocline_compiler.ops.shapes import real
from isocline_compiler.passes import optimise
from isocline_compiler.passes.bind import bind
from isocline_compiler.solvers.unroll import unroll
from isocline_compiler.solvers.unroll.forms import with_forms
from isocline_compiler.training.initial import initial_weights
from isocline_dsl.diagnostics import Source

BOXES, DRAWS = 25, 400
"""10^4 evaluations of every example: draws in boxes, from points to the whole interval of the example."""
DTYPES = {FLOAT32: torch.float32, FLOAT64: torch.float64}
NOT_IN_FLOAT64 = [(name, "float64") for name in ("asin", "acos", "atan", "erf", "gelu")]
CASES = [pytest.param(op, i, id=f"{op.name}-{i}") for op in OPS.values() for i in range(len(op.examples))]


# ---------------------------------------------------------------------------------------------------- operations


def box(type_: TensorType, within: tuple[float, float], rng: np.random.Generator) -> Interval:
    """A part of an example's interval; sometimes all of it, sometimes points."""
    shape = sample_shape(type_)
    if type_.kind != "real":
        least, most = (0, 1) if type_.kind == "bool" else (int(within[0]), int(within[1]) - 1)
        ends = np.sort(rng.integers(least, most + 1, (2, *shape)), axis=0).astype(float)
        ends = np.where(rng.random(shape) < 0.3, ends[:1], ends)
    else:
        middle, width = rng.uniform(*within, shape), rng.choice([0.0, 1e-6, 0.1, 1.0, 4.0]) * rng.random(shape)
        ends = np.clip(np.stack([middle - width, middle + width]), *within).astype(np.float32).astype(float)
    return Interval(ends[0], ends[1])


def draws(found: Interval, kind: str, rng: np.random.Generator) -> np.ndarray:
    """Values in a box, its ends among them."""
    shape = (DRAWS, *found.low.shape)
    if kind != "real":
        values = rng.integers(found.low.astype(int), found.high.astype(int) + 1, shape)
        return values.astype(bool) if kind == "bool" else values
    share = np.clip(rng.uniform(-0.2, 1.2, shape), 0, 1)
    return np.clip((found.low + share * (found.high - found.low)).astype(np.float32), found.low, found.high)


def missed(op: Op, number: int, precision: Precision, seed: int = 0) -> str:
    """Where a value that torch computes lies outside its enclosure; empty where none does."""
    example, rng = op.examples[number], np.random.default_rng(seed)
    within = example.within * len(example.types) if len(example.within) == 1 else example.within
    leaves = [leaf(INPUT, f"x{i}", type_) for i, type_ in enumerate(example.types)]
    node = op(*leaves, **example.attrs)
    for _ in range(BOXES):
        boxes = [box(type_, ends, rng) for type_, ends in zip(example.types, within, strict=True)]
        found = enclosed(precision, node, boxes)
        drawn = [draws(item, type_.kind, rng) for item, type_ in zip(boxes, example.types, strict=True)]
        values = computed(node, drawn, DTYPES[precision])
        if values.shape[1:] != found.low.shape:
            return f"the enclosure has the shape {found.low.shape}, a value {values.shape[1:]}"
        outside = ~((found.low <= values) & (values <= found.high)) & ~found.is_unknown
        if outside.any():
            at = tuple(np.argwhere(outside)[0])
            return f"{values[at]!r} is not in {found.low[at[1:]]!r} to {found.high[at[1:]]!r}"
    return ""


def computed(node: Node, drawn: list[np.ndarray], dtype: torch.dtype) -> np.ndarray:
    """The operation on every draw, one sample at a time."""
    setting = TorchNamespace(dtype, torch.device("cpu"))
    tensors = [torch.tensor(value, dtype=dtype if value.dtype.kind == "f" else None) for value in drawn]

    def one(*xs: torch.Tensor) -> torch.Tensor:
        if isinstance(node.op.torch, str):
            return getattr(torch, node.op.torch)(*xs)
        return node.op.torch(setting, *xs, **node.attrs)

    try:
        results = torch.vmap(one)(*tensors)
    except RuntimeError:
        results = torch.stack([one(*xs) for xs in zip(*tensors, strict=True)])
    return results.numpy().astype(float)


@pytest.mark.parametrize("op", OPS.values(), ids=OPS)
def test_every_operation_has_a_rule(op: Op) -> None:
    assert op.enclose is not None, f"give {op.name} a rule of enclosure"


@pytest.mark.parametrize("precision", [FLOAT32, FLOAT64], ids=["float32", "float64"])
@pytest.mark.parametrize(("op", "number"), CASES)
def test_what_torch_computes_lies_in_the_enclosure(op: Op, number: int, precision: Precision) -> None:
    assert missed(op, number, precision) == ""


@pytest.mark.parametrize(("op", "number"), CASES)
def test_a_point_is_enclosed_tightly(op: Op, number: int) -> None:
    """Rounding widens by little: a rule that says "anything" would pass every other test.

    The longest sums here have 18 terms of up to 4, each of which may be rounded 20 times: 9e-5, on both sides.
    """
    example, rng = op.examples[number], np.random.default_rng(5)
    within = example.within * len(example.types) if len(example.within) == 1 else example.within
    node = op(*(leaf(INPUT, f"x{i}", type_) for i, type_ in enumerate(example.types)), **example.attrs)
    points = [box(type_, ends, rng).low for type_, ends in zip(example.types, within, strict=True)]
    found = enclosed(FLOAT32, node, [Interval(point, point) for point in points])
    assert found.is_finite
    assert (found.high - found.low <= 2e-4 * (1 + found.size)).all()


WRONG = {
    "exp": lambda precision, x: Interval(np.exp(x.low) * 1.01, np.exp(x.high)),
    "square": lambda precision, x: Interval(x.low**2, x.high**2),
    "mul": lambda precision, a, b: Interval(a.low * b.low, a.high * b.high),
    "sub": lambda precision, a, b: Interval(a.low - b.low, a.high - b.high),
    "sin": enclosures.increasing(np.sin),
    "gelu": enclosures.increasing(lambda x: x * 0.5 * (1 + np.tanh(0.797884560802865 * (x + 0.044715 * x**3)))),
    "reduce_sum": lambda precision, x, axes, keepdims=False: Interval(
        x.low.sum(tuple(axes), keepdims=keepdims), x.high.sum(tuple(axes), keepdims=keepdims)
    ),
    "matmul": lambda precision, a, b: Interval(a.low @ b.low, a.high @ b.high),
    "argmax": lambda precision, x, axis: Interval(x.low.argmax(axis).astype(float), x.low.argmax(axis).astype(float)),
}


@contextmanager
def ruled(op: Op, rule: Callable[..., Interval] | None) -> Iterator[None]:
    """The operation with another rule for a while."""
    right = op.enclose
    object.__setattr__(op, "enclose", rule)
    try:
        yield
    finally:
        object.__setattr__(op, "enclose", right)


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_rule_is_caught(name: str) -> None:
    op = OPS[name]
    with ruled(op, WRONG[name]):
        assert any(missed(op, number, FLOAT32) for number in range(len(op.examples)))


# ---------------------------------------------------------------------------------------------------- hard places

POINT = real("batch", 1)


def at(name: str, *ends: tuple[float, float], precision: Precision = FLOAT32, **attrs: object) -> Interval:
    """An operation on intervals of one number."""
    leaves = [leaf(INPUT, f"x{i}", POINT) for i in range(len(ends))]
    boxes = [Interval(np.full((1, 1), low), np.full((1, 1), high)) for low, high in ends]
    return enclosed(precision, OPS[name](*leaves, **attrs), boxes)


INF = np.inf
FAILING = [
    ("div", (1.0, 1.0), (-0.3, 0.7)),
    ("div", (0.0, 1.0), (0.0, 1.0)),
    ("log", (-0.3, 2.0)),
    ("log", (0.0, 2.0)),
    ("sqrt", (-1e-30, 2.0)),
    ("pow", (-0.5, 1.0), (0.5, 0.5)),
    ("pow", (0.0, 1.0), (-1.0, 0.5)),
    ("pow", (-1.0, 1.0), (-2.0, -2.0)),
    ("pow", (-0.5, 1.0), (1.0, 2.0)),
    ("pow", (-2.0, -1.0), (2.0, 4.0)),
    ("asin", (0.0, 1.001)),
    ("acos", (-1.001, 0.0)),
    ("acosh", (0.99, 2.0)),
    ("atanh", (0.0, 1.0)),
    ("tan", (1.5, 1.6)),
    ("exp", (0.0, 89.0)),
    ("square", (0.0, 2e19)),
    ("mul", (0.0, 1e20), (0.0, 1e20)),
    ("add", (0.0, 3e38), (0.0, 3e38)),
    ("sinh", (-90.0, 0.0)),
    ("sub", (1.0, INF), (1.0, INF)),
    ("mul", (-1.0, 1.0), (1.0, INF)),
]


@pytest.mark.parametrize("case", FAILING, ids=str)
def test_what_may_be_no_finite_number_is_said(case: tuple) -> None:
    assert not at(*case).is_finite


@pytest.mark.parametrize("name", ["reduce_sum", "reduce_mean", "matmul"])
def test_a_long_sum_is_enclosed_in_whichever_order_it_is_added(name: str) -> None:
    """0.1 ten thousand times, one after another in single precision, is off by a ten-thousandth."""
    count = 10_000
    x = leaf(INPUT, "x", real("batch", count))
    node = OPS["matmul"](x, constant(np.ones((count, 1)))) if name == "matmul" else OPS[name](x, axes=(1,))
    terms = np.random.default_rng(6).uniform(0.09, 0.11, count).astype(np.float32)
    box = Interval(terms[None].astype(float), terms[None].astype(float))
    ones = [Interval(np.ones((count, 1)), np.ones((count, 1)))] if name == "matmul" else []
    found = enclosed(FLOAT32, node, [box, *ones])
    added = [np.cumsum(order, dtype=np.float32)[-1] for order in (terms, np.sort(terms), np.sort(terms)[::-1])]
    assert np.ptp([*added, terms.sum(dtype=float)]) > 2**-20 * float(added[0]), "these orders do differ"
    for total in added:
        value = float(total / np.float32(count) if name == "reduce_mean" else total)
        assert found.low.item() <= value <= found.high.item()


def test_every_class_is_in_the_box(tmp_path: Path) -> None:
    text = "model m\ninput x: real in (0, 1)\ninput kind: class[3]\noutput y = x + 5*one_hot(kind, 3)[2]\n"
    low, high = proof(tmp_path, text).ranges["y"]
    assert low <= 1e-3
    assert high >= 5.999


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_literal_is_the_number_that_the_file_holds(dtype: str) -> None:
    values = np.random.default_rng(4).normal(size=1000) * 10.0 ** np.arange(-20, 30).repeat(20)
    found, held = precision_of(dtype).literal(values), values.astype(dtype).astype(float)
    assert ((found.low <= held) & (held <= found.high)).all()
    whole = precision_of(dtype).literal(np.array([3, -7]))
    assert whole.low.tolist() == whole.high.tolist() == [3.0, -7.0]


def test_what_may_be_no_number_is_told_from_what_may_be_infinite() -> None:
    assert at("sub", (1.0, INF), (1.0, INF)).is_unknown.all()
    assert at("mul", (-1.0, 1.0), (1.0, INF)).is_unknown.all()
    assert not at("exp", (0.0, 89.0)).is_unknown.any()
    assert at("div", (1.0, 1.0), (1.0, INF)).low == 0.0
    assert np.isfinite(at("exp", (0.0, 89.0), precision=FLOAT64).high)


@pytest.mark.parametrize(
    ("name", "ends", "least", "most"),
    [
        ("sin", (1.0, 2.0), np.sin(1.0), 1.0),
        ("sin", (3.5, 6.0), -1.0, np.sin(6.0)),
        ("cos", (-0.5, 0.2), np.cos(0.5), 1.0),
        ("cosh", (-1.0, 0.5), 1.0, np.cosh(1.0)),
        ("square", (-3.0, 2.0), 0.0, 9.0),
        ("abs", (-3.0, 2.0), 0.0, 3.0),
        ("silu", (-3.0, 1.0), -0.27846454, 0.73105858),
        ("gelu", (-3.0, 1.0), -0.16997120, 0.84134475),
        ("mish", (-3.0, 1.0), -0.30884053, 0.86509838),
        ("relu", (-3.0, 1.0), 0.0, 1.0),
    ],
)
def test_the_extremes_of_a_function_are_found(name: str, ends: tuple[float, float], least: float, most: float) -> None:
    found = at(name, ends)
    assert found.low.item() == pytest.approx(least, abs=5e-6)
    assert found.high.item() == pytest.approx(most, abs=5e-6)


def test_the_pole_of_an_even_power_and_the_product_with_itself() -> None:
    assert at("pow", (-2.0, 1.0), (2.0, 2.0)).low == 0.0
    x = leaf(INPUT, "x", POINT)
    interval = Interval(np.full((1, 1), -2.0), np.full((1, 1), 1.0))
    assert enclosed(FLOAT32, OPS["mul"](x, x), [interval, interval]).low == 0.0


# ---------------------------------------------------------------------------------------------------- whole models


def deployed(folder: Path, text: str, solver: Called | None = None) -> tuple[Model, Graph]:
    """A model, and the graph that would be emitted of it."""
    file = folder / "m.dyn"
    file.write_text("dyn 1\n" + text)
    model = check(file)
    weights = initial_weights(model.weights, 0)
    chosen = {}
    for node in model.graph.nodes():
        if node.op is SOLVE:
            solve = Solve.of(node)
            named = solve.spec.scheme or solver
            assert named is not None
            chosen[solve.spec.choice] = scheme_steps(solve, named)
    choices = with_forms(model.graph, chosen, model.deployment.unroll, 1)
    return model, optimise(unroll(optimise(bind(model.graph, weights)), choices).graph)


def proof(folder: Path, text: str, solver: Called | None = None) -> Finite:
    model, graph = deployed(folder, text, solver)
    return finite(graph, model.inputs, model.deployment.dtype, model.source)


RK4 = Called("rk4", {"steps": 10})
PENDULUM = """model m
input start: real[2] in (-1, 1)
input length: real in (0.5, 2)
field f(t, q: real, p: real) { q' = p
  p' = -9.81 / length * sin(q) - 0.1 * p }
path = solve f from q = start[0], p = start[1] over 0..1
output energy = path.p^2 / 2 + 9.81 * (1 - cos(path.q))
output end = path.q
"""
NETWORK = """model m
input x: real[3] in (-2, 2)
input kind: class[3]
h = x + embedding(kind, 3, 3) |> dense(8) |> tanh |> dense(8) |> gelu |> dense(3)
output p = softmax(h)
output low = log(1 + exp(-h[0])) / (2 + cos(h[1]))
output chosen = sqrt(1 + h[2]^2)
"""
RESIDUAL = """model m
input start: real[3] in (-1, 1)
field block(t, h: real[3]) weights per step { h' = h |> dense(3) |> tanh }
path = solve block from h = start over 0..4 with euler(steps=40)
output y = path.h
deploy { unroll 4 }
"""
MODELS = {"pendulum": (PENDULUM, RK4), "network": (NETWORK, None), "residual": (RESIDUAL, None)}


def drawn_inputs(model: Model, count: int) -> dict[str, torch.Tensor]:
    rng = np.random.default_rng(1)
    found = {}
    for port in model.inputs:
        shape = (count, *(int(size) for size in port.shape))
        if port.kind == "class":
            found[port.name] = torch.tensor(rng.integers(0, port.classes, shape))
            continue
        low, high = port.bounds
        share = np.clip(rng.uniform(-0.1, 1.1, shape), 0, 1)
        found[port.name] = torch.tensor((low + share * (high - low)).astype(np.float32))
    return found


def by_onnxruntime(graph: Graph, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The outputs of what is emitted, by name; reals in the precision of the inputs."""
    wide = any(value.dtype == np.float64 for value in inputs.values())
    proto = to_onnx(graph, {}, dtype="float64" if wide else "float32")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, ["CPUExecutionProvider"])
    fed = {item.name: inputs[item.name] for item in session.get_inputs()}
    return dict(zip(graph.outputs, session.run(list(graph.outputs), fed), strict=True))


@pytest.mark.parametrize("name", MODELS)
def test_a_hundred_thousand_samples_lie_in_the_enclosure_of_a_model(name: str, tmp_path: Path) -> None:
    model, graph = deployed(tmp_path, *MODELS[name])
    found = finite(graph, model.inputs, "float32", model.source)
    assert found.proved, found.why
    inputs = drawn_inputs(model, 100_000)
    outputs = TorchProgram(graph)(inputs)
    emitted = by_onnxruntime(graph, {name: value.numpy() for name, value in inputs.items()})
    assert set(outputs) == set(found.ranges)
    for output, value in outputs.items():
        low, high = found.ranges[output]
        assert low <= value.min() <= value.max() <= high
        assert low <= emitted[output].min() <= emitted[output].max() <= high


ANYWHERE = {
    "exp": (-200, 88), "log": (1e-30, 1e30), "sqrt": (0, 1e30), "sin": (-200, 200), "cos": (-200, 200),
    "sinh": (-80, 80), "cosh": (-80, 80), "tanh": (-20, 20), "atan": (-1e5, 1e5), "asin": (-1, 1), "acos": (-1, 1),
    "asinh": (-1e5, 1e5), "acosh": (1, 1e5), "atanh": (-0.9999, 0.9999), "tan": (-1.5, 1.5), "erf": (-6, 6),
    "sigmoid": (-100, 100), "softplus": (-100, 100), "gelu": (-40, 40), "silu": (-90, 90), "mish": (-90, 90),
    "selu": (-90, 90),
}  # fmt: skip
"""Where functions of one number are tried on onnxruntime itself, densely."""


EMITTED = [
    (name, dtype) for name in ANYWHERE for dtype in ("float32", "float64") if (name, dtype) not in NOT_IN_FLOAT64
]


@pytest.mark.parametrize(("name", "dtype"), EMITTED)
def test_what_onnxruntime_computes_lies_in_the_enclosure_of_each_point(name: str, dtype: str) -> None:
    x = leaf(INPUT, "x", real("batch"))
    node = OPS[name](x)
    low, high = ANYWHERE[name]
    share = np.linspace(0, 1, 20_001)
    points = (low * (high / low) ** share if low > 0 else low + (high - low) * share).astype(dtype)
    points = np.clip(points, low, high).astype(dtype)
    values = by_onnxruntime(Graph((x,), {"y": node}), {"x": points})["y"].astype(float)
    ends = points.astype(float)
    found = enclosed(precision_of(dtype), node, [Interval(ends, ends)])
    outside = ~((found.low <= values) & (values <= found.high))
    assert not outside.any(), (
        points[outside][:3],
        values[outside][:3],
        found.low[outside][:3],
        found.high[outside][:3],
    )


# ---------------------------------------------------------------------------------------------------- planted

PLANTED: Mapping[str, tuple[str, str, int]] = {
    "a pole": ("model m\ninput x: real in (0, 1)\n\noutput y = 1 / (x - 0.3)\n", "div", 5),
    "the logarithm of a difference": (
        "model m\ninput a: real in (0, 2)\ninput b: real in (0, 1)\nd = a - b\noutput z = a\noutput y = log(d)\n",
        "log",
        7,
    ),
    "an overflow": ("model m\ninput x: real in (0, 1)\noutput y = exp(100 * x)\n", "exp", 4),
    "a root": ("model m\ninput x: real in (0, 1)\nr = sqrt(x - 0.1)\noutput y = r + 1\n", "sqrt", 4),
    "an angle": ("model m\ninput x: real in (0, 1)\noutput y = asin(x * 1.01)\n", "asin", 4),
    "a power": ("model m\ninput x: real in (-1, 1)\noutput y = x^0.5 + 1\n", "pow", 4),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_failure_is_named_with_its_place(name: str, tmp_path: Path) -> None:
    text, operation, line = PLANTED[name]
    found = proof(tmp_path, text)
    assert (found.proved, found.operation, found.line, found.output) == (False, operation, line, "y")
    assert f"`{operation}` at line {line} may meet" in found.why


def test_the_same_overflow_does_not_happen_in_float64(tmp_path: Path) -> None:
    text, _, _ = PLANTED["an overflow"]
    assert proof(tmp_path, text + "deploy { dtype float64 }\n").proved


def test_an_overflow_that_no_output_sees_is_none(tmp_path: Path) -> None:
    assert proof(tmp_path, "model m\ninput x: real in (0, 1)\noutput y = 1 / (1 + exp(100 * x))\n").proved


def test_what_is_met_is_told(tmp_path: Path) -> None:
    found = proof(tmp_path, "model m\ninput x: real in (0, 1)\noutput y = log(x - 0.25)\n")
    assert found.why == "`log` at line 4 may meet -0.25 to 0.75"


def test_an_input_without_bounds_is_named(tmp_path: Path) -> None:
    found = proof(tmp_path, "model m\ninput x: real in (0, 1)\ninput v: real\noutput y = x + v\n")
    assert not found.proved
    assert found.why == "the input `v` has no finite bounds"


def test_an_operation_without_a_rule_is_named(tmp_path: Path) -> None:
    with ruled(OPS["tanh"], None):
        found = proof(tmp_path, "model m\ninput x: real in (0, 1)\noutput y = 1 + tanh(x)\n")
    assert (found.proved, found.operation, found.line) == (False, "tanh", 4)
    assert "no rule" in found.why


# ---------------------------------------------------------------------------------------------------- loops

NO_SOURCE = Source("")
X = leaf(INPUT, "x", real("batch"))
PORTS = (Port("x", "real", (), bounds=(0.5, 1.0)),)


def looped(step: str, length: int) -> Finite:
    """What is proved of x <- step(x), over and over."""
    steps = {
        "log": lambda x: OPS["log"](x),
        "half": lambda x: x * 0.5,
        "double": lambda x: x * 2.0,
        "count": lambda x: x + 1.0,
        "count down": lambda x: x - 1.0,
        "sine": lambda x: OPS["sin"](x) + x * 0.25,
    }
    node = scan([X], [], [], lambda x, c, s: ([steps[step](*x)], []), length=length).last[0]
    return finite(Graph((X,), {"y": node}), PORTS, "float32", NO_SOURCE)


def test_a_loop_is_walked_to_its_end() -> None:
    found = looped("double", 10)
    assert found.proved
    low, high = found.ranges["y"]
    assert low == pytest.approx(512, rel=1e-4)
    assert high == pytest.approx(1024, rel=1e-4)


def test_an_operation_inside_a_loop_is_named_with_its_step() -> None:
    found = looped("log", 10)
    assert (found.proved, found.operation) == (False, "log")
    assert "in step 2 of a loop of 10" in found.why
    overflow = looped("double", 200)
    assert (overflow.proved, overflow.operation) == (False, "mul")
    assert "in step 128 of a loop of 200" in overflow.why


def test_a_long_loop_is_proved_by_an_invariant_or_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enclosure, "WORK", 100)
    assert looped("half", 20_000).proved
    assert looped("sine", 20_000).proved
    given_up = looped("double", 110)
    assert given_up.proved == (enclosure.WORK >= 110)
    assert "a loop of 110 steps" in given_up.why


@pytest.mark.parametrize("step", ["count", "count down"])
def test_what_leaves_on_one_side_alone_is_no_invariant(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enclosure, "WORK", 100)
    found = looped(step, 20_000)
    assert not found.proved
    assert "is left again" in found.why


def test_rows_and_results_of_a_loop() -> None:
    rows = constant(np.linspace(-1.0, 1.0, 5).reshape(5, 1))
    made = scan([X], [], [rows], lambda x, c, s: ([x[0] + s[0]], [x[0] * s[0]]), length=5)
    total = OPS["reduce_sum"](made.stacked[0], axes=(0,))
    found = finite(Graph((X,), {"y": made.last[0], "z": total}), PORTS, "float32", NO_SOURCE)
    assert found.proved
    for name, exact in {"y": lambda x: x, "z": lambda x: _by_hand(x)}.items():
        low, high = found.ranges[name]
        values = [exact(x) for x in np.linspace(0.5, 1.0, 9)]
        assert low <= min(values) <= max(values) <= high


def _by_hand(x: float) -> float:
    total = 0.0
    for row in np.linspace(-1.0, 1.0, 5):
        total += x * row
        x += row
    return total
