"""Every operation of the table, on its own examples: torch, ONNX and onnxruntime agree, and derivatives are right."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx.reference import ReferenceEvaluator

from isocline_compiler.backends.to_onnx import to_onnx
from isocline_compiler.backends.to_torch import evaluate
from isocline_compiler.graph import INPUT, Fault, Graph, Op, Stop, constant, leaf, topological
from isocline_compiler.graph.naming import by_name
from isocline_compiler.graph.tensor_type import TensorType
from isocline_compiler.ops import OPS
from isocline_compiler.ops.shapes import integer, real, truth
from isocline_dsl.diagnostics import IsoclineError

SIZES = {"batch": 3, "T": 2, "2*batch": 6}
CASES = [pytest.param(op, i, id=f"{op.name}-{i}") for op in OPS.values() for i in range(len(op.examples))]
NOT_IN_FLOAT64 = {"asin", "acos", "atan", "erf", "gelu", "conv", "conv_transpose", "avg_pool"}
LEVELS = ("ORT_DISABLE_ALL", "ORT_ENABLE_BASIC", "ORT_ENABLE_EXTENDED", "ORT_ENABLE_ALL")


def draw(type_: TensorType, low: float, high: float, rng: np.random.Generator) -> np.ndarray:
    shape = [SIZES.get(size, size) for size in type_.shape]
    if type_.kind == "bool":
        return rng.random(shape) < 0.5
    if type_.kind == "int":
        return rng.integers(int(low), int(high), shape)
    return rng.uniform(low, high, shape)


def arrays(op: Op, number: int) -> list[np.ndarray]:
    example = op.examples[number]
    rng = np.random.default_rng(7 + number)
    within = example.within * len(example.types) if len(example.within) == 1 else example.within
    return [draw(type_, low, high, rng) for type_, (low, high) in zip(example.types, within, strict=True)]


def applied(op: Op, number: int):
    """The inputs and the operation applied to them."""
    example = op.examples[number]
    inputs = tuple(leaf(INPUT, f"x{i}", type_) for i, type_ in enumerate(example.types))
    return inputs, op(*inputs, **example.attrs)


def in_torch(roots, inputs, values, dtype=np.float64):
    bound = {node: torch.tensor(cast(value, dtype)) for node, value in zip(inputs, values, strict=True)}
    return [result.numpy() for result in evaluate(roots, bound)]


def cast(value, dtype):
    return value.astype(dtype) if value.dtype.kind == "f" else value


def session(model: onnx.ModelProto, level: str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])


def feeds(inputs, values, dtype):
    return {node.attrs["name"]: cast(value, dtype) for node, value in zip(inputs, values, strict=True)}


@pytest.mark.parametrize("op", OPS.values(), ids=OPS)
def test_every_operation_has_examples_and_a_documented_derivative(op):
    assert op.examples, f"give {op.name} an example of its arguments"
    assert op.doc
    assert op.vjp is None or callable(op.vjp) or isinstance(op.vjp, Stop)


@pytest.mark.parametrize(("op", "number"), CASES)
def test_the_shape_rule_says_what_torch_computes(op, number):
    inputs, node = applied(op, number)
    (value,) = in_torch([node], inputs, arrays(op, number))
    assert value.shape == tuple(SIZES.get(size, size) for size in node.shape)
    assert value.dtype.kind == {"real": "f", "int": "i", "bool": "b"}[node.type.kind]


@pytest.mark.parametrize("opset", [18, 21])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("op", "number"), CASES)
def test_torch_and_onnx_agree(op, number, dtype, opset):
    inputs, node = applied(op, number)
    graph = Graph(inputs, {"y": node})
    if dtype == "float64" and op.name in NOT_IN_FLOAT64:
        with pytest.raises(IsoclineError, match=op.name):
            to_onnx(graph, {}, opset=opset, dtype=dtype)
        return
    model = to_onnx(graph, {}, opset=opset, dtype=dtype)
    onnx.checker.check_model(model, full_check=True)
    onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    values = arrays(op, number)
    expected = in_torch([node], inputs, values)[0]
    fed = feeds(inputs, values, dtype)
    tolerance = 1e-12 if dtype == "float64" else 2e-6
    # the reference evaluator of onnx 1.23 cannot split the kernel of a grouped ConvTranspose
    broken = op.name == "conv_transpose" and "groups" in op.examples[number].attrs
    results = [] if broken else [ReferenceEvaluator(model).run(None, fed)[0]]
    results += [session(model, level).run(None, fed)[0] for level in (LEVELS if opset == 18 else LEVELS[-1:])]
    for result in results:
        assert result.shape == expected.shape
        np.testing.assert_allclose(result, expected, rtol=tolerance, atol=tolerance)


def differentiable(op: Op, number: int) -> bool:
    kinds = [type_.kind for type_ in op.examples[number].types]
    return callable(op.vjp) and "real" in kinds and applied(op, number)[1].type.kind == "real"


DERIVATIVES = [case for case in CASES if differentiable(*case.values)]


def gradient_graph(op: Op, number: int):
    """The inputs, the result, a seed for it, and the gradients of the real inputs as the rule gives them."""
    inputs, node = applied(op, number)
    seed = leaf(INPUT, "g", node.type)
    gradients = op.vjp(seed, node, *inputs, **op.examples[number].attrs)
    wanted = [(x, g) for x, g in zip(inputs, gradients, strict=True) if x.type.kind == "real" and g is not None]
    return inputs, node, seed, wanted


@pytest.mark.parametrize(("op", "number"), DERIVATIVES)
def test_the_derivative_is_that_of_torch(op, number):
    inputs, node, seed, wanted = gradient_graph(op, number)
    values = [torch.tensor(value) for value in arrays(op, number)]
    for value in values:
        value.requires_grad_(value.is_floating_point())
    bound = dict(zip(inputs, values, strict=True))
    (y,) = evaluate([node], bound)
    g = torch.randn(y.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    theirs = (
        torch.autograd.grad(y, [v for v in values if v.requires_grad], g, allow_unused=True) if y.requires_grad else ()
    )
    by_input = dict(zip([x for x, v in bound.items() if v.requires_grad], theirs, strict=False))
    assert [x for x, _ in wanted] == [x for x, grad in by_input.items() if grad is not None]
    with torch.no_grad():
        ours = evaluate([gradient for _, gradient in wanted], {**bound, seed: g})
    for (x, gradient), value in zip(wanted, ours, strict=True):
        assert gradient.shape == x.shape
        torch.testing.assert_close(value, by_input[x], rtol=1e-10, atol=1e-10)


NOT_SMOOTH = {"round", "stop_gradient"}


@pytest.mark.parametrize(("op", "number"), [case for case in DERIVATIVES if case.values[0].name not in NOT_SMOOTH])
def test_the_derivative_is_the_limit_of_differences(op, number):
    inputs, node, seed, wanted = gradient_graph(op, number)
    values = arrays(op, number)
    rng = np.random.default_rng(11)
    g = rng.normal(size=in_torch([node], inputs, values)[0].shape)
    ours = in_torch([gradient for _, gradient in wanted], [*inputs, seed], [*values, g])
    for (x, _), gradient in zip(wanted, ours, strict=True):
        at, direction = inputs.index(x), rng.normal(size=values[inputs.index(x)].shape)
        step = 1e-6
        ahead, behind = (
            in_torch([node], inputs, [*values[:at], values[at] + s * step * direction, *values[at + 1 :]])[0]
            for s in (1, -1)
        )
        assert np.sum(gradient * direction) == pytest.approx(
            np.sum(g * (ahead - behind)) / (2 * step), rel=2e-6, abs=2e-7
        )


@pytest.mark.parametrize(("op", "number"), DERIVATIVES)
def test_the_derivative_can_be_emitted(op, number):
    inputs, _, seed, wanted = gradient_graph(op, number)
    graph = Graph((*inputs, seed), {f"d{i}": gradient for i, (_, gradient) in enumerate(wanted)})
    model = to_onnx(graph, {})
    onnx.checker.check_model(model, full_check=True)
    if not wanted:
        return
    values = [*arrays(op, number), draw(seed.type, -1, 1, np.random.default_rng(3))]
    expected = in_torch([gradient for _, gradient in wanted], graph.inputs, values)
    result = session(model, "ORT_ENABLE_ALL").run(None, feeds(graph.inputs, values, "float32"))
    for ours, theirs in zip(result, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=2e-5)


ACCURATE = ("softplus", "sinh", "asinh", "atanh", "elu", "selu", "acosh", "mish", "tan", "log1p")


@pytest.mark.parametrize("name", [name for name in ACCURATE if name in OPS])
def test_float64_formulas_keep_the_relative_accuracy(name):
    x = leaf(INPUT, "x", real("batch"))
    attrs = {"alpha": 1.0} if name == "elu" else {}
    sizes = np.array([1e-12, 1e-7, 1e-3, 0.3, 0.9])
    points = {"acosh": 1 + sizes, "softplus": np.array([-500, -30, -1, 0, 1, 30, 800.0])}
    values = points.get(name, np.concatenate([-sizes, sizes]))
    model = to_onnx(Graph((x,), {"y": OPS[name](x, **attrs)}), {}, dtype="float64")
    (result,) = session(model, "ORT_ENABLE_ALL").run(None, {"x": values})
    exact = {
        "softplus": lambda v: np.logaddexp(0, v),
        "elu": lambda v: np.where(v > 0, v, np.expm1(v)),
        "selu": lambda v: 1.0507009873554805 * np.where(v > 0, v, 1.6732632423543772 * np.expm1(v)),
        "mish": lambda v: v * np.tanh(np.logaddexp(0, v)),
        "asinh": np.arcsinh,
        "atanh": np.arctanh,
        "acosh": np.arccosh,
    }.get(name) or getattr(np, name)
    np.testing.assert_allclose(result, exact(values), rtol=5e-15)


@pytest.mark.parametrize("name", ["sigmoid", "softplus", "logsumexp", "softmax", "log_softmax", "silu", "mish", "gelu"])
def test_large_arguments_do_not_overflow(name):
    x = leaf(INPUT, "x", real("batch", 2))
    attrs = {"axis": 1} if name in ("logsumexp", "softmax", "log_softmax") else {}
    node = OPS[name](x, **attrs)
    values = np.array([[800.0, -800.0], [-800.0, -801.0]])
    expected = in_torch([node], [x], [values])[0]
    (result,) = session(to_onnx(Graph((x,), {"y": node}), {}), "ORT_DISABLE_ALL").run(
        None, {"x": values.astype("float32")}
    )
    assert np.isfinite(expected).all()
    np.testing.assert_allclose(result, expected, rtol=1e-6)


MISTAKES = {
    "add": ((real("batch", 3), real("batch", 4)), {}),
    "mul": ((real(3), integer(3)), {}),
    "matmul": ((real("batch", 3), real(4, 2)), {}),
    "linear": ((real("batch", 3), real(4, 2), real(2)), {}),
    "reshape": ((real("batch", 6),), {"shape": ("batch", 4)}),
    "transpose": ((real("batch", 6),), {"perm": (0, 0)}),
    "expand": ((real(1, 3),), {"shape": ("batch", 3)}),
    "expand_like": ((real(2), real("batch", 3)), {}),
    "spread": ((real("batch", 3), real("batch", 3)), {}),
    "concat": ((real("batch", 3, 2), real("batch", 4)), {"axis": 1}),
    "slice": ((real("batch", "T"),), {"axis": 1, "start": 1, "stop": 2}),
    "select": ((real("batch", 3),), {"axis": 1, "index": 3}),
    "gather": ((real("batch", 3), real(2)), {"axis": 1}),
    "one_hot": ((real("batch"),), {"depth": 3}),
    "pad": ((real("batch", 3),), {"pads": ((0, 0),), "value": 0.0}),
    "softmax": ((real("batch", 3),), {"axis": 2}),
    "reduce_sum": ((truth("batch", 3),), {"axes": (1,)}),
    "reduce_mean": ((integer("batch", 3),), {"axes": (1,)}),
    "logsumexp": ((real("batch", 3),), {"axis": -3}),
    "conv": ((real("batch", 3, 8), real(4, 2, 3)), {}),
    "conv_transpose": ((real("batch", 3, 8), real(3)), {}),
    "max_pool": ((real("batch", 3, 2),), {"kernel": 3, "stride": 1}),
    "batch_norm": ((real("batch", 3), real(3), real(3), real(3), real(2)), {"eps": 1e-5}),
    "where": ((real("batch", 3), real(3), real(3)), {}),
    "not": ((real("batch", 3),), {}),
    "sin": ((integer("batch", 3),), {}),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_arguments_that_do_not_fit_are_our_own_fault(name):
    types, attrs = MISTAKES[name]
    with pytest.raises(Fault) as caught:
        OPS[name](*(leaf(INPUT, f"x{i}", type_) for i, type_ in enumerate(types)), **attrs)
    diagnostic = caught.value.make(None)
    assert diagnostic.code.startswith("E2")
    assert "[batch" not in diagnostic.message


def test_an_exponent_that_is_a_literal_gets_no_gradient():
    x, g = leaf(INPUT, "x", real("batch")), leaf(INPUT, "g", real("batch"))
    y = x**3.0
    to_x, to_exponent = OPS["pow"].vjp(g, y, *y.inputs)
    assert to_exponent is None
    (value,) = in_torch([to_x], [x, g], [np.array([-2.0]), np.array([1.0])])
    assert value == pytest.approx([12.0])
    assert OPS["pow"].vjp(g, x, x, constant(0.0)) == (None, None)


def test_two_operations_of_one_name_are_refused():
    with pytest.raises(ValueError, match="'exp'"):
        by_name(OPS["exp"], OPS["exp"])


# ---------------------------------------------------------------------------------------------------- claims


def value_of(op: Op, types, values, attrs) -> np.ndarray:
    inputs = tuple(leaf(INPUT, f"x{i}", type_) for i, type_ in enumerate(types))
    return in_torch([op(*inputs, **attrs)], inputs, values)[0]


def accepts(op: Op, types, attrs):
    """The type of the result, None where the operation does not take such arguments."""
    try:
        return op.infer(*types, **attrs)
    except (Fault, TypeError):
        return None


def pairs_of_one_type(op: Op):
    """Each type that the operation takes twice, and the attributes it takes it with."""
    square = [real(3, 3), truth(3, 3), integer(3, 3)]
    for example in op.examples if any(len(item.types) == 2 for item in op.examples) else ():
        for type_ in (*example.types, *square):
            if accepts(op, (type_, type_), example.attrs) is not None:
                yield type_, example.attrs


TAKES_PAIRS = [op for op in OPS.values() if any(pairs_of_one_type(op))]


@pytest.mark.parametrize("op", TAKES_PAIRS, ids=lambda op: op.name)
def test_arguments_change_places_where_the_record_says_so_and_nowhere_else(op):
    rng, same = np.random.default_rng(5), []
    for type_, attrs in pairs_of_one_type(op):
        a, b = draw(type_, 0.0, 2.0, rng), draw(type_, 0.0, 200.0 if type_.kind == "real" else 2.0, rng)
        ahead, behind = value_of(op, (type_, type_), (a, b), attrs), value_of(op, (type_, type_), (b, a), attrs)
        same.append(np.array_equal(ahead, behind))
    assert all(same) == op.commutative


def test_an_operation_that_takes_no_two_arguments_of_one_type_does_not_claim_that_they_change_places():
    assert {op.name for op in OPS.values() if op.commutative} <= {op.name for op in TAKES_PAIRS}


def repetitions(type_: TensorType):
    """Types that a value of this one can be repeated to: axes of one entry and new leading ones."""
    for lead in ((), ("batch",), (2,), ("batch", 2)):
        for size in (1, 2, 3, 4):
            shape = (*lead, *(size if own == 1 else own for own in type_.shape))
            if shape != type_.shape:
                yield type_.with_shape(shape)


def repeated_arguments(op: Op, number: int):
    """The result on the arguments of an example with one of them repeated, wherever that leaves the result its type."""
    example, values = op.examples[number], arrays(op, number)
    for i, type_ in enumerate(example.types):
        for wider in repetitions(type_):
            types = (*example.types[:i], wider, *example.types[i + 1 :])
            if accepts(op, types, example.attrs) == accepts(op, example.types, example.attrs):
                shape = [SIZES.get(size, size) for size in wider.shape]
                yield value_of(
                    op, types, [*values[:i], np.broadcast_to(values[i], shape), *values[i + 1 :]], example.attrs
                )


OF_SEVERAL = [op for op in OPS.values() if not op.repeats and any(len(item.types) > 1 for item in op.examples)]


@pytest.mark.parametrize("op", OF_SEVERAL, ids=lambda op: op.name)
def test_arguments_are_repeated_by_the_operation_where_the_record_says_so_and_nowhere_else(op):
    same = [
        np.allclose(value, value_of(op, op.examples[i].types, arrays(op, i), op.examples[i].attrs), rtol=1e-12)
        for i in range(len(op.examples))
        for value in repeated_arguments(op, i)
    ]
    assert (bool(same) and all(same)) == op.broadcasts


@pytest.mark.parametrize(("op", "number"), [case for case in CASES if case.values[0].moves or case.values[0].repeats])
def test_what_moves_and_what_repeats_does_no_more_than_that(op, number):
    """Entries that differ show where each came from."""
    example, (x, *others) = op.examples[number], arrays(op, number)
    x = np.arange(1.0, x.size + 1).reshape(x.shape)
    result = value_of(op, example.types, (x, *others), example.attrs)
    assert set(result.flat) <= set(x.flat)
    if op.repeats:
        np.testing.assert_array_equal(result, np.broadcast_to(x, result.shape))
    else:
        assert np.unique(result).size == result.size


@pytest.mark.parametrize(("op", "number"), DERIVATIVES)
def test_the_derivative_of_what_is_smooth_compares_nothing(op, number):
    """A rule that compares or steps has a corner where it does."""
    inputs, _, _, wanted = gradient_graph(op, number)
    steps = [
        node
        for node in topological([gradient for _, gradient in wanted])
        if node not in inputs and (node.type.kind == "bool" or steps_on_reals(node))
    ]
    assert not (op.smooth and steps)


@pytest.mark.parametrize("op", OPS.values(), ids=OPS)
def test_what_has_no_derivative_is_not_smooth(op):
    assert not (isinstance(op.vjp, Stop) and op.smooth)


def steps_on_reals(node) -> bool:
    return isinstance(node.op.vjp, Stop) and any(item.type.kind == "real" for item in node.inputs)
