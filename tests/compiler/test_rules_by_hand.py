"""Rules against answers worked out by hand, where random examples do not look: ties, signs, single axes, loops."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from isocline_compiler.backends.to_torch import TorchProgram, evaluate
from isocline_compiler.certify.attribution import missed_attributions
from isocline_compiler.certify.certificate import AttributionProof
from isocline_compiler.certify.deployed import COMPARE
from isocline_compiler.certify.measures import Spread, relative_errors, spread
from isocline_compiler.certify.posterior import Posterior
from isocline_compiler.certify.prove import Proving
from isocline_compiler.derivatives.reverse_forward import gradient, vjp
from isocline_compiler.graph import INPUT, Graph, Node, constant, leaf
from isocline_compiler.graph.scan import SCAN, scan
from isocline_compiler.graph.solve import parts
from isocline_compiler.ops import OPS
from isocline_compiler.ops.broadcasting import sum_to
from isocline_compiler.ops.shapes import real
from isocline_compiler.passes import optimise, prune, share
from tests.compiler.workbench import Workbench


def value(node: Node, **bound: object) -> np.ndarray:
    """One node, its inputs given as arrays by name."""
    named = {name: torch.tensor(np.asarray(array, dtype=np.float64)) for name, array in bound.items()}
    return evaluate([node], named)[0].numpy()


def pulled(y: Node, wrt: Node, cotangent: object, **bound: object) -> np.ndarray:
    """(dy/dx)^T u at a point."""
    (found,) = vjp([y], [constant(np.asarray(cotangent, dtype=np.float64))], [wrt])
    return value(found, **bound)


# ---------------------------------------------------------------------------------------------------- ties


@pytest.mark.parametrize(("name", "winner"), [("maximum", [0, 0.5, 1]), ("minimum", [1, 0.5, 0])])
def test_equal_arguments_share_the_gradient(name: str, winner: list[float]) -> None:
    """a below b, equal to b, above b: a's part of the gradient, and b has what is left. So does torch."""
    a, b = leaf(INPUT, "a", real(3)), leaf(INPUT, "b", real(3))
    at = {"a": [1.0, 2.0, 3.0], "b": [2.0, 2.0, 2.0]}
    u = np.array([1.0, 10.0, 100.0])
    np.testing.assert_array_equal(pulled(OPS[name](a, b), a, u, **at), u * winner)
    np.testing.assert_array_equal(pulled(OPS[name](a, b), b, u, **at), u * (1 - np.array(winner)))
    theirs = torch.tensor(at["a"], requires_grad=True)
    getattr(torch, name)(theirs, torch.tensor(at["b"])).backward(torch.tensor(u, dtype=torch.float32))
    np.testing.assert_array_equal(theirs.grad, u * winner)


@pytest.mark.parametrize("sign", [1, -1])
def test_entries_that_attain_an_extreme_share_its_gradient(sign: int) -> None:
    """Rows with one, two and three entries at the maximum; with the sign turned, at the minimum."""
    x = leaf(INPUT, "x", real(3, 3))
    y = OPS["reduce_max" if sign > 0 else "reduce_min"](x, axes=(1,))
    point = sign * np.array([[1.0, 5, 2], [4, 4, 0], [7, 7, 7]])
    expected = [[0, 6, 0], [3, 3, 0], [2, 2, 2]]
    np.testing.assert_allclose(pulled(y, x, [6, 6, 6], x=point), expected, rtol=1e-15)


def test_entries_that_attain_the_maximum_of_a_window_share_its_gradient() -> None:
    """Windows of 2, one by one: (3 3), (3 1), (1 3) of 3 3 1 3 with the gradients 8, 1, 10."""
    x = leaf(INPUT, "x", real("batch", 1, 4))
    y = OPS["max_pool"](x, kernel=2, stride=1)
    u = leaf(INPUT, "u", y.type)
    (found,) = vjp([y], [u], [x])
    point, along = [[[3.0, 3, 1, 3]]], [[[8.0, 1, 10]]]
    np.testing.assert_allclose(value(found, x=point, u=along), [[[4, 4 + 1, 0, 10]]], rtol=1e-15)


def test_the_maximum_of_a_square_window_is_shared_by_all_four() -> None:
    x = leaf(INPUT, "x", real("batch", 1, 2, 4))
    y = OPS["max_pool"](x, kernel=2, stride=2)
    u = leaf(INPUT, "u", y.type)
    (found,) = vjp([y], [u], [x])
    point, along = [[[[2.0, 2, 1, 9], [2, 2, 9, 0]]]], [[[[4.0, 6]]]]
    np.testing.assert_allclose(value(found, x=point, u=along), [[[[1, 1, 0, 3], [1, 1, 3, 0]]]], rtol=1e-15)


# ---------------------------------------------------------------------------------------------------- broadcasting


@pytest.mark.parametrize("shape", [(1,), (4,), (1, 4), (3, 1), (2, 1, 4), (2, 3, 1), (1, 3, 1), (1, 1, 4), ()])
def test_broadcasting_undone(shape: tuple[int, ...]) -> None:
    """The sum over every axis that broadcasting made, whether it leads, ends or lies inside, by numpy."""
    g = np.arange(24.0).reshape(2, 3, 4) ** 2
    padded = (1,) * (3 - len(shape)) + shape
    expected = g.sum(axis=tuple(i for i in range(3) if padded[i] == 1), keepdims=True).reshape(shape)
    found = sum_to(leaf(INPUT, "g", real(2, 3, 4)), leaf(INPUT, "x", real(*shape)))
    assert found.shape == shape
    np.testing.assert_array_equal(value(found, g=g), expected)


def test_the_gradient_of_a_product_sums_over_a_single_inner_axis() -> None:
    """y_bij = x_b1j w_i: dx_b1j = sum_i u_bij w_i, dw_i1 = sum_bj u_bij x_b1j."""
    x, w = leaf(INPUT, "x", real("batch", 1, 2)), leaf(INPUT, "w", real(3, 1))
    y = x * w
    u = leaf(INPUT, "u", y.type)
    rng = np.random.default_rng(0)
    bound = {"x": rng.normal(size=(4, 1, 2)), "w": rng.normal(size=(3, 1)), "u": rng.normal(size=(4, 3, 2))}
    to_x, to_w = vjp([y], [u], [x, w])
    expected = np.einsum("bij,i->bj", bound["u"], bound["w"][:, 0])[:, None]
    np.testing.assert_allclose(value(to_x, **bound), expected, rtol=1e-12)
    expected = np.einsum("bij,bj->i", bound["u"], bound["x"][:, 0])[:, None]
    np.testing.assert_allclose(value(to_w, **bound), expected, rtol=1e-12)


# ---------------------------------------------------------------------------------------------------- powers


@pytest.mark.parametrize("exponent", [1, 2, 3, 4, 5, -1, -2, -3])
def test_a_negative_base_to_a_whole_literal(exponent: int) -> None:
    """x^n, n x^(n-1) and n (n-1) x^(n-2) by repeated multiplication, also after the passes."""
    x = leaf(INPUT, "x", real("batch"))
    y = x ** float(exponent)
    (first,) = gradient(y, [x])
    (second,) = gradient(first, [x])
    points = np.array([-2.0, -0.5, 3.0])

    def power(n: int) -> np.ndarray:
        whole = np.prod([points] * abs(n), axis=0) if n else np.ones(3)
        return whole if n >= 0 else 1 / whole

    n = exponent
    expected = {"y": power(n), "first": n * power(n - 1), "second": n * (n - 1) * power(n - 2)}
    graph = Graph((x,), {"y": y, "first": first, "second": second})
    for form in (graph, optimise(graph)):
        found = TorchProgram(form)({"x": torch.tensor(points)})
        for name, array in expected.items():
            np.testing.assert_allclose(found[name], array, rtol=1e-14, atol=1e-14, err_msg=name)


def test_a_negative_base_to_an_exponent_that_moves() -> None:
    """(-2)^b at b = 3: the derivative by the base is 12; the exponent has none there, and gets no not-a-number."""
    a, b = leaf(INPUT, "a", real("batch")), leaf(INPUT, "b", real("batch"))
    to_a, to_b = gradient(a**b, [a, b])
    bound = {"a": [-2.0, 2.0], "b": [3.0, 3.0]}
    np.testing.assert_allclose(value(to_a, **bound), [12, 12], rtol=1e-14)
    np.testing.assert_allclose(value(to_b, **bound), [0, 8 * np.log(2)], rtol=1e-14)


# ---------------------------------------------------------------------------------------------------- recurrences


def gates(name: str, module: torch.nn.GRUCell) -> list[np.ndarray]:
    """The parts r, z, n of a tensor of torch's, one below the other."""
    return [part.detach().numpy() for part in getattr(module, name).chunk(3)]


def test_each_gate_of_a_gru_does_its_own_work() -> None:
    """r closed: n forgets h. z open: h stays. Each gate alone, against the cell of torch and the equations in numpy."""
    rng = np.random.default_rng(2)
    for reset, update in ((-30.0, 0.3), (30.0, 0.3), (0.7, 30.0), (0.7, -30.0), (-1.0, 1.0)):
        bench = Workbench()
        h, x = bench.normal(4, 5), bench.normal(4, 3)
        y = bench.build("gru_cell", h, x)
        module = torch.nn.GRUCell(3, 5).double()
        with torch.no_grad():
            for tensor in module.parameters():
                tensor.copy_(torch.tensor(rng.normal(size=tuple(tensor.shape))))
            module.bias_ih[:5] += reset
            module.bias_ih[5:10] += update
        for ours, theirs in (("input_weight", "weight_ih"), ("hidden_weight", "weight_hh")):
            bench.replace(ours, np.concatenate([part.T for part in gates(theirs, module)], axis=1))
        for ours, theirs in (("input_bias", "bias_ih"), ("hidden_bias", "bias_hh")):
            bench.replace(ours, np.concatenate(gates(theirs, module)))
        before, entry = bench.of(h).numpy(), bench.of(x).numpy()
        wi, wh, bi, bh = (gates(name, module) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
        r, z = (1 / (1 + np.exp(-(entry @ wi[i].T + bi[i] + before @ wh[i].T + bh[i]))) for i in (0, 1))
        n = np.tanh(entry @ wi[2].T + bi[2] + r * (before @ wh[2].T + bh[2]))
        expected = (1 - z) * n + z * before
        np.testing.assert_allclose(bench(y), expected, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(bench(y), module(bench.of(x), bench.of(h)).detach(), rtol=1e-10, atol=1e-12)


# ---------------------------------------------------------------------------------------------------- precisions


@pytest.mark.parametrize("order", [("float32", "float64"), ("float64", "float32")])
def test_literals_are_rounded_anew_for_each_precision(order: tuple[str, str]) -> None:
    """One program run in one precision, then in the other: 0.1 is each time that of the precision."""
    x = leaf(INPUT, "x", real("batch"))
    program = TorchProgram(Graph((x,), {"y": x * constant(np.array([0.1]))}))
    for name in (*order, order[0]):
        (found,) = program({"x": torch.ones(1, dtype=getattr(torch, name))}).values()
        assert found.dtype == getattr(torch, name)
        assert found.numpy()[0] == np.dtype(name).type(0.1)


@pytest.mark.parametrize("order", [("float32", "float64"), ("float64", "float32")])
def test_literals_in_a_loop_are_rounded_anew_for_each_precision(order: tuple[str, str]) -> None:
    x = leaf(INPUT, "x", real("batch"))
    loop = scan((x,), (), (), lambda states, *_: ((states[0] * constant(0.1),), ()), length=1)
    program = TorchProgram(Graph((x,), {"y": loop.last[0]}))
    for name in (*order, order[0]):
        (found,) = program({"x": torch.ones(1, dtype=getattr(torch, name))}).values()
        assert found.numpy()[0] == np.dtype(name).type(0.1)


# ---------------------------------------------------------------------------------------------------- loops


def test_equal_expressions_inside_and_outside_of_loops_stay_apart() -> None:
    """Two loops whose states have one name, the second over the first's end, and the same expression outside of both.

    s <- tanh(2 s) three times, then s <- tanh(2 s) + 1 twice, beside tanh(2 x).
    """
    x = leaf(INPUT, "x", real("batch"))
    first = scan((x,), (), (), lambda s, *_: ((OPS["tanh"](s[0] * 2.0),), ()), length=3, names=("s",))
    end = first.last[0]
    second = scan((end,), (), (), lambda s, *_: ((OPS["tanh"](s[0] * 2.0) + 1.0,), ()), length=2, names=("s",))
    graph = Graph((x,), {"inside": second.last[0], "outside": OPS["tanh"](x * 2.0) + second.last[0]})
    points = np.array([-0.3, 0.1, 2.0])
    s = points
    for _ in range(3):
        s = np.tanh(2 * s)
    for _ in range(2):
        s = np.tanh(2 * s) + 1
    for form in (graph, share(graph), prune(graph), optimise(graph)):
        found = TorchProgram(form)({"x": torch.tensor(points)})
        np.testing.assert_allclose(found["inside"], s, rtol=1e-14)
        np.testing.assert_allclose(found["outside"], np.tanh(2 * points) + s, rtol=1e-14)


def test_loops_with_swapped_bodies_are_not_merged() -> None:
    """(a, b) <- (2a, 3b) and (a, b) <- (3a, 2b) from the same start: 8 and 27 against 27 and 8."""
    x = leaf(INPUT, "x", real("batch"))
    one, two = (
        scan((x, x), (), (), lambda s, *_, f=f: ((s[0] * f[0], s[1] * f[1]), ()), length=3, names=("a", "b"))
        for f in ((2.0, 3.0), (3.0, 2.0))
    )
    outputs = {"a": one.last[0], "b": one.last[1], "c": two.last[0], "d": two.last[1]}
    for form in (Graph((x,), outputs), share(Graph((x,), outputs)), optimise(Graph((x,), outputs))):
        found = TorchProgram(form)({"x": torch.ones(1, dtype=torch.float64)})
        assert {name: float(item) for name, item in found.items()} == {"a": 8, "b": 27, "c": 27, "d": 8}


def test_prune_keeps_what_a_result_needs_through_any_number_of_states() -> None:
    """a <- a + 1, b <- b + a, c <- c + b, d <- d + c: d is the third sum of the integers; e matters to nothing.

    After 5 rounds from 0: d = C(5, 4) = 5.
    """
    x = leaf(INPUT, "x", real("batch"))
    zero = x * 0.0

    def body(s: tuple[Node, ...], *_: object) -> tuple[tuple[Node, ...], tuple[()]]:
        a, b, c, d, e = s
        return (a + 1.0, b + a, c + b, d + c, e * 2.0 + d), ()

    loop = scan((zero, zero, zero, zero, x), (), (), body, length=5)
    pruned = prune(Graph((x,), {"d": loop.last[3]}))
    (node,) = (node for node in pruned.nodes() if node.op is SCAN)
    assert (node.attrs["states"], len(node.types), len(parts(node).initial)) == (4, 4, 4)
    np.testing.assert_array_equal(TorchProgram(pruned)({"x": torch.ones(2, dtype=torch.float64)})["d"], [5, 5])


def test_a_loop_loses_what_only_a_dead_state_of_a_later_loop_read() -> None:
    """The second loop's dead state began at the first's second state: once the one is gone, so is the other."""
    x = leaf(INPUT, "x", real("batch"))
    first = scan((x, x), (), (), lambda s, *_: ((s[0] * 2.0, s[1] * 3.0), ()), length=3)
    second = scan(first.last, (), (), lambda s, *_: ((s[0] + 1.0, s[1] + 5.0), ()), length=3)
    form = optimise(Graph((x,), {"y": second.last[0]}))
    assert [node.attrs["states"] for node in form.nodes() if node.op is SCAN] == [1, 1]
    np.testing.assert_array_equal(TorchProgram(form)({"x": torch.ones(1, dtype=torch.float64)})["y"], [8 + 3])


# ---------------------------------------------------------------------------------------------------- not a number


def test_what_is_not_a_number_is_an_infinite_error() -> None:
    for strange in (np.nan, np.inf, -np.inf):
        errors = relative_errors(np.array([[1.0, 2], [strange, 2]]), np.array([[1.0, 2], [1, 2]]), batched=True)
        assert errors.tolist() == [0, np.inf]
        assert spread(errors).maximum == np.inf


@pytest.mark.filterwarnings("error")
def test_percentiles_of_infinite_errors_are_infinite_without_a_warning() -> None:
    found = spread(np.array([0.0, *[np.inf] * 9]))
    assert (found.maximum, found.p99, found.median) == (np.inf, np.inf, np.inf)


NAN = Spread(float("nan"), 0.0, 0.0, 0)


@pytest.mark.parametrize(("field", "code"), [("parity", "E602"), ("deployed", "E601")])
def test_a_measure_that_is_not_a_number_misses_its_bound(field: str, code: str) -> None:
    """Each of the two promises, with not-a-number where the other is kept."""
    port = SimpleNamespace(name="y", span=None)
    deployment = SimpleNamespace(of=None, solver=None, checks=(), proved=(), span=None)
    model = SimpleNamespace(outputs=(port,), deployment=deployment)
    build: Any = SimpleNamespace(model=model, _is_bounded=True, _near_zero=lambda row: None, measuring=None)
    kept = {"parity": {"y": Spread(0.0, 0.0, 0.0, 0)}, "deployed": {"y": Spread(0.0, 0.0, 0.0, 0)}}
    for measured, codes in ((kept, []), ({**kept, field: {"y": NAN}}, [code])):
        certificate: Any = SimpleNamespace(
            **measured,
            parity_bound=1e-5,
            stated_error=1e-3,
            dtype="float32",
            checks=(),
            proofs=(),
            orders=(),
            second_walk={},
            step_halving={},
            inputs_rounded={},
            events={},
            posterior=Posterior({}, {}, 0),
        )
        assert [item.code for item in Proving.missed(build, certificate)] == codes


@pytest.mark.parametrize("error", [float("nan"), float("inf"), 2e-3])
def test_an_attribution_whose_error_is_not_a_number_misses_its_bound(error: float) -> None:
    model: Any = SimpleNamespace(deployment=SimpleNamespace(attributions=(), span=None, dtype="float32"))
    proof = AttributionProof("saliency_x", "y", "saliency", "x", 6, error=error, bound=1e-3)
    assert len(missed_attributions(model, (proof,))) == 1
    assert not missed_attributions(model, (replace(proof, error=1e-3),))


@pytest.mark.parametrize("sign", ["<", "<=", ">", ">="])
def test_no_check_holds_of_what_is_not_a_number(sign: str) -> None:
    assert not COMPARE[sign](float("nan"), 1.0)
    assert not COMPARE[sign](1.0, float("nan"))
