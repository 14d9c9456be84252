"""Each pass does what its first line says, and changes no result."""

from __future__ import annotations

import time

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from isocline_compiler import passes
from isocline_compiler.backends.to_onnx import to_onnx
from isocline_compiler.backends.to_torch import evaluate
from isocline_compiler.derivatives.reverse_forward import gradient
from isocline_compiler.graph import ARGUMENT, CONSTANT, INPUT, WEIGHT, Graph, Node, Op, Region, at, constant, leaf
from isocline_compiler.graph.solve import SOLVE, Interval, parts, pick
from isocline_compiler.graph.verify import InvalidGraph, verify
from isocline_compiler.ops import OPS
from isocline_compiler.ops.shapes import real
from isocline_compiler.passes import CLEANING, PIPELINE, bind, defer, fold, hoist, optimise, prune, share, simplify
from isocline_compiler.passes.simplify import filled
from isocline_dsl.tree import Span
from tests.solves import solve_node

X = leaf(INPUT, "x", real("batch", 3))
Z = leaf(INPUT, "z", real("batch", 3))
W = leaf(WEIGHT, "w", real(3, 3))
ONES = np.ones(3)
SIZES = {"batch": 2, "T": 2, "2*batch": 4}
TOTAL = {op for op in OPS.values() if all(example.within == ((-2.0, 2.0),) for example in op.examples)}


def only(node: Node) -> Graph:
    return Graph((X, Z), {"y": node})


def result(graph: Graph) -> Node:
    return graph.outputs["y"]


def names(graph: Graph) -> list[str]:
    return [node.op.name for node in graph.nodes()]


def run(graph: Graph, bound) -> list[np.ndarray]:
    return [value.numpy() for value in evaluate(tuple(graph.outputs.values()), bound)]


def noise(like: Node) -> Node:
    """What dropout multiplies by."""
    return OPS["noise_like"](like, law="kept", parameters=(0.5,), deployed=1.0)


# ---------------------------------------------------------------------------------------------------- random graphs


@st.composite
def graphs(draw):
    """A graph of up to 12 operations of the table; arguments are earlier results, inputs, weights or literals."""
    inputs: list[Node] = []
    made: list[Node] = []

    def source(type_):
        known = [node for node in made if node.type == type_]
        choice = draw(st.integers(0, 3))
        if known and choice < 2:
            return known[draw(st.integers(0, len(known) - 1))]
        static = all(isinstance(size, int) for size in type_.shape)
        if static and type_.kind == "real" and choice < 3:
            value = draw(st.sampled_from([0.0, 1.0, -1.0, 2.0, 0.3]))
            return constant(np.full(type_.shape, value))
        inputs.append(leaf(INPUT, f"x{len(inputs)}", type_))
        return inputs[-1]

    for _ in range(draw(st.integers(1, 12))):
        op = draw(st.sampled_from(sorted(TOTAL, key=lambda op: op.name)))
        example = draw(st.sampled_from(op.examples))
        made.append(op(*(source(type_) for type_ in example.types), **example.attrs))
    return Graph(tuple(inputs), {f"y{i}": node for i, node in enumerate(made[-3:])})


def drawn(graph: Graph, seed: int) -> dict[Node, torch.Tensor]:
    rng = np.random.default_rng(seed)
    bound = {}
    for node in graph.inputs:
        shape = [SIZES.get(size, size) for size in node.shape]
        number = rng.uniform(-2, 2, shape)
        bound[node] = torch.tensor({"real": number, "int": number.astype(int), "bool": number > 0}[node.type.kind])
    return bound


@pytest.mark.parametrize("step", [*PIPELINE, optimise], ids=lambda step: step.__name__)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(graph=graphs(), seed=st.integers(0, 99))
def test_results_stay_the_same(step, graph, seed):
    bound = drawn(graph, seed)
    expected = run(graph, bound)
    assume(all(np.isfinite(value).all() for value in expected))
    verify(graph)
    changed = step(graph)
    verify(changed)
    assert [node.types for node in changed.outputs.values()] == [node.types for node in graph.outputs.values()]
    for ours, theirs in zip(run(changed, bound), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)
    assert step(changed) is changed or step is not optimise


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(graph=graphs(), seed=st.integers(0, 99))
def test_an_optimised_graph_runs_in_onnxruntime(graph, seed):
    bound = drawn(graph, seed)
    expected = run(graph, bound)
    assume(all(np.isfinite(value).all() and (abs(value) < 1e3).all() for value in expected))
    outputs = {name: node for name, node in graph.outputs.items() if node.type.kind == "real"}
    assume(outputs and all(node.op.name not in ("floor", "ceil", "round", "sign") for node in graph.nodes()))
    model = to_onnx(optimise(Graph(graph.inputs, outputs)), {})
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    halved = {np.dtype(np.float64): np.float32}
    fed = {n.attrs["name"]: v.numpy().astype(halved.get(v.numpy().dtype, v.numpy().dtype)) for n, v in bound.items()}
    found = session.run(None, fed)
    for ours, theirs in zip(found, run(Graph(graph.inputs, outputs), bound), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("step", [*PIPELINE, optimise], ids=lambda step: step.__name__)
def test_the_same_object_comes_back_when_nothing_changed(step):
    graph = only(OPS["tanh"](X @ W) + Z)
    assert step(graph) is graph


@pytest.mark.parametrize("step", [*PIPELINE, optimise], ids=lambda step: step.__name__)
def test_a_long_chain_takes_seconds_and_no_recursion(step):
    node, step_size = X, constant(0.01)
    for _ in range(6_000):
        node = node + OPS["tanh"](node) * (step_size * 2.0)
    start = time.process_time()
    changed = step(only(node))
    assert time.process_time() - start < 6
    assert len(changed.nodes()) <= 30_002


def test_every_pass_states_its_rewrite():
    for step in PIPELINE:
        assert "->" in (step.__doc__ or "").splitlines()[0]
        assert getattr(passes, step.__name__) is step


# ---------------------------------------------------------------------------------------------------- one by one


def test_fold_computes_in_float64():
    graph = fold(only(X * (constant(1.0) / constant(3.0))))
    assert result(graph).inputs[1].attrs["value"] == 1.0 / 3.0
    assert names(graph) == ["input", "constant", "mul"]


def test_fold_leaves_what_is_not_finite_or_very_large():
    assert "log" in names(fold(only(X + OPS["log"](constant(0.0)))))
    large = OPS["expand"](constant(1.0), shape=(1000, 1000))
    assert result(fold(only(large))) is large


def test_fold_works_in_fields():
    graph = fold(only(pick(_solve(lambda t, x, c: x * (constant(2.0) + 3.0)), 0)))
    (field,) = [node.attrs["region"] for node in graph.nodes() if node.op is SOLVE]
    assert field.results[0].inputs[1].attrs["value"] == 5.0


SIMPLER = {
    "x + 0": (lambda: X + 0.0, lambda: X),
    "0 + x": (lambda: 0.0 + X, lambda: X),
    "x - 0": (lambda: X - 0.0, lambda: X),
    "1 x": (lambda: X * constant(ONES), lambda: X),
    "x / 1": (lambda: X / 1.0, lambda: X),
    "x^1": (lambda: X**1.0, lambda: X),
    "--x": (lambda: OPS["neg"](-X), lambda: X),
    "reshape of reshape": (
        lambda: OPS["reshape"](OPS["reshape"](X, shape=("batch", 1, 3)), shape=("batch", 3)),
        lambda: X,
    ),
    "transpose identity": (lambda: OPS["transpose"](X, perm=(0, 1)), lambda: X),
    "transpose back": (
        lambda: OPS["transpose"](OPS["transpose"](X, perm=(1, 0)), perm=(1, 0)),
        lambda: X,
    ),
    "expand to itself": (lambda: OPS["expand"](X, shape=("batch", 3)), lambda: X),
    "all of a slice": (lambda: OPS["slice"](X, axis=1, start=0, stop=None), lambda: X),
    "part of a concatenation": (
        lambda: OPS["slice"](OPS["concat"](Z, X, axis=1), axis=1, start=3, stop=6),
        lambda: X,
    ),
    "one concatenated": (lambda: OPS["concat"](X, axis=1), lambda: X),
    "no margins": (lambda: OPS["pad"](X, pads=((0, 0), (0, 0)), value=1.0), lambda: X),
    "no axes": (lambda: OPS["reduce_sum"](X, axes=()), lambda: X),
    "cast to itself": (lambda: OPS["cast"](X, kind="real"), lambda: X),
    "where both": (lambda: OPS["where"](OPS["less"](X, Z), X, X), lambda: X),
    "x 1, regrouped": (
        lambda: X * OPS["reshape"](OPS["expand_like"](constant(1.0), Z), shape=("batch", 3)),
        lambda: X,
    ),
    "unbounded": (lambda: OPS["clip"](X, low=-np.inf, high=np.inf), lambda: X),
    "x + 0 z": (lambda: X + 0.0 * Z, lambda: X),
}


@pytest.mark.parametrize("case", SIMPLER)
def test_simplify_leaves_the_argument(case):
    make, expected = SIMPLER[case]
    assert result(optimise(only(make()), (simplify,))) is expected()


def among_zeros(x: Node, before: int, after: int) -> Node:
    return OPS["pad"](x, pads=((0, 0), (before, after)), value=0.0)


SHORTER = {
    "x + -z": (lambda: X + -Z, ["sub"]),
    "-z + x": (lambda: -Z + X, ["sub"]),
    "x - -z": (lambda: X - -Z, ["add"]),
    "0 - x": (lambda: 0.0 - X, ["neg"]),
    "-(x - z)": (lambda: -(X - Z), ["sub"]),
    "-1 x": (lambda: -1.0 * X, ["neg"]),
    "x / 4": (lambda: X / 4.0, ["mul"]),
    "x / 3": (lambda: X / 3.0, ["div"]),
    "x^2": (lambda: X**2.0, ["square"]),
    "x^3": (lambda: X**3.0, ["pow"]),
    "||x||": (lambda: OPS["abs"](OPS["abs"](X)), ["abs"]),
    "|-x|": (lambda: OPS["abs"](-X), ["abs"]),
    "2 (3 x)": (lambda: 2.0 * (3.0 * X), ["mul"]),
    "concat of concat": (lambda: OPS["concat"](Z, OPS["concat"](X, Z, axis=-1), axis=1), ["concat"]),
    "entry of a concat": (lambda: OPS["select"](OPS["concat"](Z, X, axis=1), axis=1, index=4), ["select"]),
    "slice of a concat": (
        lambda: OPS["slice"](OPS["concat"](Z, X, axis=1), axis=1, start=4, stop=6),
        ["slice"],
    ),
    "slice across a concat": (
        lambda: OPS["slice"](OPS["concat"](Z, X, axis=1), axis=1, start=2, stop=5),
        ["concat", "slice"],
    ),
    "entries side by side among zeros": (lambda: among_zeros(X, 2, 4) + among_zeros(Z, 5, 1), ["concat", "pad"]),
    "the later entries first": (lambda: among_zeros(Z, 3, 0) + among_zeros(X, 0, 3), ["concat"]),
    "entries that overlap": (lambda: among_zeros(X, 0, 2) + among_zeros(Z, 2, 0), ["pad", "pad", "add"]),
    "entries with a gap": (lambda: among_zeros(X, 0, 4) + among_zeros(Z, 4, 0), ["pad", "pad", "add"]),
    "where true": (lambda: OPS["where"](constant(np.array([True] * 3)), X, Z), []),
    "where false": (lambda: OPS["where"](constant(np.array([False] * 3)), X, Z), []),
    "where either": (lambda: OPS["where"](constant(np.array([False, True, True])), X, Z), ["where"]),
    "reshape of reshape": (
        lambda: OPS["reshape"](OPS["reshape"](X, shape=("batch", 1, 3)), shape=("batch", 3, 1)),
        ["reshape"],
    ),
    "transpose of transpose": (
        lambda: OPS["transpose"](
            OPS["transpose"](OPS["reshape"](X, shape=("batch", 3, 1)), perm=(1, 2, 0)), perm=(1, 2, 0)
        ),
        ["reshape", "transpose"],
    ),
}


@pytest.mark.parametrize("case", SHORTER)
def test_simplify_gives_fewer_operations_and_the_same_numbers(case):
    make, expected = SHORTER[case]
    before = only(make())
    after = optimise(before, (simplify,))
    assert [node.op.name for node in after.nodes() if node.inputs] == expected
    rng = np.random.default_rng(5)
    bound = {name: torch.tensor(rng.normal(size=(4, 3))) for name in ("x", "z")}
    np.testing.assert_allclose(run(after, bound)[0], run(before, bound)[0], rtol=1e-15)


def test_simplify_keeps_the_shape():
    small = leaf(INPUT, "s", real(1, 3))
    for node in (small + constant(np.zeros((2, 3))), small * constant(np.ones((2, 3))), X * 0.0):
        graph = simplify(Graph((small, X), {"y": node}))
        assert result(graph).type == node.type
        bound = {"s": torch.ones(1, 3, dtype=torch.float64), "x": torch.ones(4, 3, dtype=torch.float64)}
        np.testing.assert_array_equal(run(graph, bound)[0], run(Graph((small, X), {"y": node}), bound)[0])


def test_simplify_multiplies_literals_only_when_safe():
    assert names(simplify(only(2.0 * (3.0 * X)))).count("mul") == 1
    assert names(simplify(only(1e-20 * (1e-20 * X)))).count("mul") == 2
    assert names(simplify(only(constant(2 * ONES) * (3.0 * X)))).count("mul") == 2


def test_simplify_takes_an_entry_of_a_stack_from_its_part():
    columns = [OPS["select"](X, axis=1, index=i) for i in range(3)]
    stacked = OPS["concat"](*(OPS["reshape"](c, shape=("batch", 1)) for c in columns), axis=1)
    graph = optimise(only(OPS["select"](stacked, axis=1, index=1)), (simplify,))
    assert result(graph) is columns[1]


ROW = constant([0.3, -1.0, 2.0])
MATRIX = constant(np.arange(12.0).reshape(3, 4) - 5.0)
BIAS = constant([1.0, 2.0, 3.0, 4.0])
SEVEN = constant(np.arange(7.0).reshape(7, 1) - 3.0)


def _repeated(x: Node, count: int) -> Node:
    """The same for `count` points of a sample."""
    single = OPS["reshape"](x, shape=("batch", 1, *x.type.sample))
    return OPS["merge_points"](OPS["expand"](single, shape=("batch", count, *x.type.sample)))


def _column(x: Node) -> Node:
    return OPS["reshape"](OPS["select"](x, axis=1, index=0), shape=("batch", 1))


DEFERRED = {
    "of one row for all": (lambda: OPS["linear"](OPS["spread"](ROW, X), MATRIX, BIAS), ["linear", "spread"]),
    "of one number for all": (
        lambda: OPS["linear"](OPS["reshape"](OPS["spread"](constant(2.0), X), shape=("batch", 1)), constant([[3.0]])),
        ["reshape", "linear", "spread"],
    ),
    "of one row, like another value": (
        lambda: OPS["linear"](OPS["expand_like"](ROW, Z), MATRIX),
        ["expand", "linear", "spread"],
    ),
    "of one for all points": (
        lambda: OPS["linear"](_repeated(X, 2), MATRIX, BIAS),
        ["reshape", "reshape", "linear", "reshape", "expand", "merge_points"],
    ),
    "of a column repeated": (
        lambda: OPS["linear"](OPS["expand"](_column(X), shape=("batch", 3)), MATRIX, BIAS),
        ["select", "reshape", "reduce_sum", "linear", "expand"],
    ),
    "of a column repeated, transposed": (
        lambda: OPS["linear"](OPS["expand"](_column(X), shape=("batch", 4)), MATRIX, transposed=True),
        ["select", "reshape", "reduce_sum", "linear", "expand"],
    ),
    "a product of matrices": (lambda: OPS["spread"](ROW, X) @ MATRIX, ["matmul", "spread"]),
    "of rows repeated": (
        lambda: OPS["expand"](OPS["reshape"](X, shape=("batch", 1, 3)), shape=("batch", 2, 3)) @ MATRIX,
        ["reshape", "matmul", "expand"],
    ),
    "of a row beside samples": (
        lambda: OPS["linear"](OPS["concat"](OPS["spread"](BIAS, X), X, axis=1), SEVEN, constant([2.0])),
        ["concat", "slice", "concat", "linear", "slice", "linear", "add"],
    ),
    "of rows beside rows": (
        lambda: OPS["linear"](OPS["concat"](OPS["spread"](BIAS, X), OPS["spread"](ROW, Z), axis=1), SEVEN),
        ["slice", "linear", "slice", "linear", "spread", "add"],
    ),
    "a sum": (lambda: OPS["spread"](ROW, Z) + X, ["add"]),
    "a comparison": (lambda: OPS["less"](X, OPS["expand_like"](constant(0.1), Z)), ["less"]),
    "a choice": (lambda: OPS["where"](OPS["less"](X, Z), OPS["spread"](ROW, X), Z), ["less", "where"]),
    "matrices for all samples": (
        lambda: OPS["spread"](MATRIX, X) @ OPS["reshape"](OPS["concat"](X, _column(Z), axis=1), shape=("batch", 4, 1)),
        ["select", "reshape", "concat", "reshape", "matmul"],
    ),
    "two repeated alike": (lambda: OPS["spread"](ROW, X) * OPS["spread"](ROW, X), ["mul", "spread"]),
    "numbers beside what is repeated": (
        lambda: (1.0 - OPS["expand_like"](constant([0.1]), X)) * OPS["expand_like"](constant(3.0), X),
        ["sub", "mul", "expand_like"],
    ),
}


@pytest.mark.parametrize("case", DEFERRED)
def test_defer_computes_once_and_then_repeats(case):
    make, expected = DEFERRED[case]
    before = only(make())
    after = optimise(before, (defer, share), check=True)
    assert [node.op.name for node in after.nodes() if node.inputs] == expected
    rng = np.random.default_rng(5)
    bound = {name: torch.tensor(rng.normal(size=(4, 3))) for name in ("x", "z")}
    np.testing.assert_allclose(run(after, bound)[0], run(before, bound)[0], rtol=1e-12, atol=1e-12)
    assert defer(after) is after


def test_the_seed_of_a_gradient_becomes_a_literal():
    w = constant(np.linspace(-1, 1, 12).reshape(3, 4))
    v = constant(np.linspace(0.5, 2, 4).reshape(4, 1))
    y = OPS["reshape"](OPS["linear"](OPS["tanh"](OPS["linear"](X, w)), v), shape=("batch",))
    graph = optimise(only(gradient(y, [X])[0]), check=True)
    products = [node for node in graph.nodes() if node.op.name == "linear"]
    assert len(products) == 2
    assert not {"spread", "expand", "expand_like"} & set(names(graph))


def test_share_merges_equal_terms_and_no_others():
    a, b = OPS["tanh"](X * Z), OPS["tanh"](Z * X)
    graph = share(only(a + b * (X - Z) * (Z - X)))
    assert names(graph).count("tanh") == 1
    assert names(graph).count("sub") == 2
    literals = share(only(X * constant(2.0) + Z * constant(2.0) + constant(0.0) * X + constant(-0.0) * X))
    assert names(literals).count("constant") == 3


def test_share_merges_leaves_of_one_weight():
    graph = share(only(X @ W + Z @ leaf(WEIGHT, "w", real(3, 3))))
    assert names(graph).count("weight") == 1


def test_share_leaves_what_draws_at_random():
    graph = only(noise(X) + noise(X))
    assert share(graph) is graph


def _solve(slope, *, captured=(), stacked=()):
    """x' = slope(t, x, captured, slices) from X."""
    t, x = leaf(ARGUMENT, "t", real()), leaf(ARGUMENT, "x", real("batch", 3))
    held = [leaf(ARGUMENT, f"c{i}", node.type) for i, node in enumerate(captured)]
    slices = [leaf(ARGUMENT, f"s{i}", node.type.with_shape(node.shape[1:])) for i, node in enumerate(stacked)]
    region = Region((t, x, *held, *slices), (slope(t, x, [*held, *slices]),))
    return solve_node(region, (X,), Interval((0.0, 1.0), False), captured=captured, stacked=stacked)


def _euler(node, field, initial, captured, stacked, times):
    slope = field(torch.tensor(0.5, dtype=torch.float64), initial, [item[0] for item in stacked])
    return tuple(x + dx for x, dx in zip(initial, slope, strict=True))


def _field(graph: Graph) -> Node:
    return next(node for node in graph.nodes() if node.op is SOLVE)


def _solved(graph: Graph):
    rng = np.random.default_rng(0)
    bound = {"x": (2, 3), "z": (2, 3), "w": (3, 3), "steps": (4, 3)}
    tensors = {name: torch.tensor(rng.normal(size=shape)) for name, shape in bound.items()}
    return evaluate(tuple(graph.outputs.values()), tensors, integrator=_euler)[0]


def test_prune_drops_captured_values_that_the_field_does_not_read():
    steps = leaf(WEIGHT, "steps", real(4, 3))
    graph = only(pick(_solve(lambda t, x, c: x * c[1], captured=(Z, Z + 1.0), stacked=(steps,)), 0))
    pruned = prune(graph)
    roles = parts(_field(pruned))
    assert (len(roles.captured), len(roles.stacked)) == (1, 0)
    assert "weight" not in names(pruned)
    verify(pruned)
    assert torch.equal(_solved(pruned), _solved(graph))
    assert prune(pruned) is pruned


def test_hoist_takes_out_what_depends_on_neither_time_nor_state():
    steps = leaf(WEIGHT, "steps", real(4, 3))

    def slope(t, x, c):
        skew = W - OPS["transpose"](W, perm=(1, 0))
        return OPS["tanh"](x @ skew) * OPS["exp"](c[0]) + (t * 2.0) * OPS["exp"](c[1])

    graph = only(pick(_solve(slope, captured=(Z,), stacked=(steps,)), 0))
    hoisted = hoist(graph)
    verify(hoisted)
    region = _field(hoisted).attrs["region"]
    inside = [node.op.name for node in Graph((), dict(enumerate(region.results))).nodes()]
    assert not {"sub", "transpose", "weight"} & set(inside)
    assert inside.count("exp") == 1
    assert len(parts(_field(hoisted)).captured) == 2
    torch.testing.assert_close(_solved(hoisted), _solved(graph), rtol=1e-14, atol=1e-14)
    assert hoist(hoisted) is hoisted


def test_freeze_gives_what_differs_in_training_its_deployed_form():
    statistics = [leaf(WEIGHT, name, real(3)) for name in ("gamma", "beta", "mean", "var")]
    node = OPS["stop_gradient"](OPS["batch_norm"](X, *statistics, eps=1e-3) * noise(X))
    graph = only(node)
    weights = {"gamma": ONES * 2, "beta": ONES, "mean": ONES * 0.5, "var": ONES * 4}
    done = optimise(bind(graph, weights), check=True)
    assert names(done) == ["input", "constant", "mul", "constant", "add"]
    bound = {"x": torch.randn(4, 3, dtype=torch.float64)}
    expected = run(graph, {**bound, **{name: torch.tensor(value) for name, value in weights.items()}})[0]
    np.testing.assert_allclose(run(done, bound)[0], expected, rtol=1e-14)


def test_bind_keeps_the_names_of_weights_that_are_used_as_they_are():
    graph = bind(only(X @ W), {"w": np.eye(3)})
    assert [node.attrs["name"] for node in graph.nodes() if node.op is CONSTANT] == ["w"]
    assert [item.name for item in to_onnx(graph, {}).graph.initializer] == ["w"]
    assert bind(only(X @ W), {}).weights()[0].attrs["name"] == "w"


def test_cleaning_keeps_what_training_needs():
    graph = only(noise(X))
    assert optimise(graph, CLEANING) is graph


def test_spans_survive():
    with at(Span(4, 9)):
        node = OPS["tanh"](X + 0.0) * (constant(1.0) + 1.0)
    with at(Span(40, 90)):
        graph = optimise(only(node))
    assert {item.span for item in graph.nodes() if item.inputs} == {Span(4, 9)}


def test_checking_names_the_pass_that_broke_the_graph_and_the_one_before():
    def bad(graph: Graph) -> Graph:
        return only(constant(np.inf) * X)

    with pytest.raises(InvalidGraph, match=r"after bad \(before it: fold\): literals are finite"):
        optimise(only(X + 1.0), (fold, bad), check=True)


def test_the_passes_agree_that_an_op_is_a_record():
    assert all(isinstance(op, Op) for op in TOTAL)
    assert len(TOTAL) > 50


@pytest.mark.parametrize("shape", [(3,), (1, 3), (2, 1, 3)])
def test_a_product_of_what_is_the_same_for_all_samples_is_one_product(shape: tuple[int, ...]) -> None:
    """However the repetition was written: in the shape of another value with as many axes, or with more."""
    like = X if len(shape) < 3 else leaf(INPUT, "z", real("batch", 1, 3))
    repeated = OPS["expand_like"](constant(np.arange(1.0, 4.0).reshape(shape[-2:] if len(shape) == 3 else shape)), like)
    graph = Graph((like,), {"y": OPS["linear"](repeated, constant(np.arange(9.0).reshape(3, 3)))})
    deferred = passes.defer(graph)
    assert "expand_like" not in names(deferred)
    assert names(deferred)[-1] in ("spread", "reshape")
    bound = {str(like.attrs["name"]): torch.ones((2, *(int(n) for n in like.shape[1:])), dtype=torch.float64)}
    for found, expected in zip(run(deferred, bound), run(graph, bound), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_share_tells_weights_apart():
    v, w = leaf(WEIGHT, "v", real(3)), leaf(WEIGHT, "w", real(3))
    again = leaf(WEIGHT, "w", real(3))
    graph = share(only((X * v + X * w) * (X * again)))
    bound = {"x": torch.ones(1, 3).double(), "v": torch.full((3,), 2.0).double(), "w": torch.full((3,), 5.0).double()}
    (found,) = run(graph, bound)
    np.testing.assert_array_equal(found, np.full((1, 3), 35.0))
    assert [node.attrs["name"] for node in graph.nodes() if node.op is WEIGHT] == ["v", "w"]


def test_a_negative_zero_is_no_zero():
    """0 * x is 0 for a literal 0; -0.0 * x is -0.0 for x > 0, whose reciprocal is -inf."""
    assert filled(constant(0.0)) == 0
    assert filled(constant(-0.0)) is None
    assert filled(constant(np.zeros(3))) == 0
    assert filled(constant(np.array([0.0, 1.0]))) is None
