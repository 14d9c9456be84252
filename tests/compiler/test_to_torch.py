"""The torch back end against torch itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from isocline_compiler.backends.to_torch import (
    FieldProgram,
    Run,
    StraightLineProgram,
    TorchProgram,
    evaluate,
    namespace_of,
)
from isocline_compiler.graph import ARGUMENT, INPUT, WEIGHT, Graph, Region, constant, leaf
from isocline_compiler.graph.solve import Interval, pick
from isocline_compiler.ops import OPS
from isocline_compiler.ops.shapes import integer, real
from tests.solves import solve_node

X = leaf(INPUT, "x", real("batch", 3))
W = leaf(WEIGHT, "layer.w", real(3, 3))


def _decay() -> Region:
    """x' = c x (W - W^T), with c captured."""
    t, x, c = leaf(ARGUMENT, "t", real()), leaf(ARGUMENT, "x", real("batch", 3)), leaf(ARGUMENT, "c", real())
    skew = W - OPS["transpose"](W, perm=(1, 0))
    return Region((t, x, c), (c * (x @ skew) + t * 0.0,))


def _solve():
    interval = Interval((0.0, 1.0), everywhere=False)
    return solve_node(_decay(), (X,), interval, captured=(constant(0.5),))


def _euler(node, field, initial, captured, stacked, times):
    t = torch.tensor(0.0, dtype=initial[0].dtype)
    return tuple(x + dx for x, dx in zip(initial, field(t, initial), strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_precision_follows_the_bound_tensors(dtype):
    program = TorchProgram(Graph((X,), {"y": OPS["tanh"](X @ W + 0.1)}))
    x, w = torch.randn(4, 3, dtype=dtype), torch.randn(3, 3, dtype=dtype)
    y = program({"x": x, "layer.w": w})["y"]
    assert y.dtype == dtype
    assert torch.equal(y, torch.tanh(x @ w + torch.tensor(0.1, dtype=torch.float64).to(dtype)))


def test_a_program_of_integers_alone_computes_reals_in_float64():
    label = leaf(INPUT, "label", integer("batch"))
    one_hot = TorchProgram(Graph((label,), {"y": OPS["one_hot"](label, depth=3)}))
    result = one_hot({"label": torch.tensor([2, 0])})["y"]
    assert result.dtype == torch.float64
    assert torch.equal(result, torch.nn.functional.one_hot(torch.tensor([2, 0]), 3).double())


def test_any_node_can_be_given_a_value():
    inner = OPS["exp"](X)
    (y,) = evaluate([inner * 2.0], {inner: torch.tensor([[1.0, 2.0, 3.0]])})
    assert torch.equal(y, torch.tensor([[2.0, 4.0, 6.0]]))


def test_values_are_dropped_after_their_last_use():
    node, line = X, None
    for _ in range(50):
        node = OPS["sin"](node)
    line = StraightLineProgram([node])
    assert sum(len(step.dead) for step in line._steps) == 49
    x = torch.randn(2, 3)
    expected = x
    for _ in range(50):
        expected = torch.sin(expected)
    assert torch.equal(line(Run({"x": x}, namespace_of({"x": x})))[0], expected)


def test_a_deep_chain_needs_no_recursion():
    node = X
    for _ in range(30_000):
        node = node + 1.0
    (y,) = evaluate([node], {"x": torch.zeros(1, 3, dtype=torch.float64)})
    assert y[0, 0] == 30_000


def test_the_integrator_gets_the_field_with_its_captured_values_bound():
    x, w = torch.randn(2, 3, dtype=torch.float64), torch.randn(3, 3, dtype=torch.float64)
    node = _solve()
    (y,) = evaluate([pick(node, 0)], {"x": x, "layer.w": w}, integrator=_euler)
    assert torch.allclose(y, x + 0.5 * x @ (w - w.T))


def test_a_field_computes_what_does_not_move_once(monkeypatch):
    calls = []
    transpose = OPS["transpose"].torch
    object.__setattr__(OPS["transpose"], "torch", lambda torch, x, perm: calls.append(1) or transpose(torch, x, perm))
    try:
        w = torch.randn(3, 3, dtype=torch.float64, requires_grad=True)
        held = (torch.tensor(2.0, dtype=torch.float64),)
        field = FieldProgram(_decay(), 1, 1).bind(Run({"layer.w": w}, namespace_of({"layer.w": w})), held)
        for _ in range(5):
            (dx,) = field(torch.tensor(0.0), (torch.ones(1, 3, dtype=torch.float64),))
    finally:
        object.__setattr__(OPS["transpose"], "torch", transpose)
    assert len(calls) == 1
    assert torch.allclose(dx, 2 * torch.ones(1, 3, dtype=torch.float64) @ (w - w.T))
    assert len(field.parameters) == 1


def test_gradients_flow_through_what_is_computed_once():
    w = torch.randn(3, 3, dtype=torch.float64, requires_grad=True)
    x = torch.randn(2, 3, dtype=torch.float64)
    (y,) = evaluate([pick(_solve(), 0)], {"x": x, "layer.w": w}, integrator=_euler)
    (ours,) = torch.autograd.grad(y.square().sum(), w)
    (theirs,) = torch.autograd.grad((x + 0.5 * x @ (w - w.T)).square().sum(), w)
    assert torch.allclose(ours, theirs)


def _batch_norm_graph() -> Graph:
    names = ("gamma", "beta", "mean", "var")
    parameters = [leaf(WEIGHT, f"norm.{name}", real(3)) for name in names]
    return Graph((X,), {"y": OPS["batch_norm"](X, *parameters, eps=1e-5)})


def test_batch_norm_trains_as_torch_does():
    weights = {
        f"norm.{n}": v
        for n, v in zip(("gamma", "beta", "mean", "var"), np.array([[2.0], [1], [0], [1]]) + np.zeros(3), strict=True)
    }
    program, bound = TorchProgram(_batch_norm_graph()), {name: torch.tensor(value) for name, value in weights.items()}
    reference = torch.nn.BatchNorm1d(3, dtype=torch.float64)
    torch.nn.init.constant_(reference.weight, 2.0)
    torch.nn.init.constant_(reference.bias, 1.0)
    for _ in range(3):
        x = torch.randn(5, 3, dtype=torch.float64)
        found = program.evaluate({"x": x, **bound}, training=True)
        assert torch.allclose(found.outputs["y"], reference(x))
        bound |= found.updates
    assert torch.allclose(bound["norm.mean"], reference.running_mean)
    assert torch.allclose(bound["norm.var"], reference.running_var)
    reference.eval()
    x = torch.randn(5, 3, dtype=torch.float64)
    assert torch.allclose(program({"x": x, **bound})["y"], reference(x))


def test_dropout_drops_only_while_training():
    program = TorchProgram(Graph((X,), {"y": X * OPS["noise_like"](X, law="kept", parameters=(0.5,), deployed=1.0)}))
    x = torch.ones(200, 3)
    torch.manual_seed(0)
    trained = program({"x": x}, training=True)["y"]
    assert set(trained.unique().tolist()) == {0.0, 2.0}
    assert torch.equal(program({"x": x})["y"], x)


def test_a_solve_without_an_integrator_is_refused():
    with pytest.raises(AssertionError, match="integrator"):
        evaluate([pick(_solve(), 0)], {"x": torch.zeros(1, 3), "layer.w": torch.zeros(3, 3)})


def test_a_free_argument_is_refused():
    with pytest.raises(AssertionError, match="loose"):
        StraightLineProgram([leaf(ARGUMENT, "loose", real())])
