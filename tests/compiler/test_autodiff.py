"""Derivatives of graphs: every operation twice, random graphs, and what a gradient's graph looks like."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from isocline_compiler.backends.to_torch import evaluate
from isocline_compiler.derivatives.reverse_forward import gradient, jvp, pull_back, vjp
from isocline_compiler.graph import INPUT, Fault, Graph, Node, Op, Stop, constant, leaf
from isocline_compiler.graph.tensor_type import TensorType
from isocline_compiler.ops import OPS
from isocline_compiler.ops.shapes import real
from isocline_compiler.passes import optimise, share
from tests.compiler.test_passes import drawn as values_of
from tests.compiler.test_passes import graphs

SIZES = {"batch": 3, "T": 2, "2*batch": 6}
JUMPS = {"round", "stop_gradient"}
"""Their derivative is right by definition, not as a limit of differences."""


def differentiable(op: Op, number: int) -> bool:
    example = op.examples[number]
    inputs = [leaf(INPUT, f"x{i}", type_) for i, type_ in enumerate(example.types)]
    return (
        callable(op.vjp)
        and any(type_.kind == "real" for type_ in example.types)
        and op(*inputs, **example.attrs).type.kind == "real"
    )


CASES = [
    pytest.param(op, i, id=f"{op.name}-{i}")
    for op in OPS.values()
    for i in range(len(op.examples))
    if differentiable(op, i)
]


def drawn(type_: TensorType, low: float, high: float, rng: np.random.Generator) -> torch.Tensor:
    shape = [SIZES.get(size, size) for size in type_.shape]
    if type_.kind == "bool":
        return torch.tensor(rng.random(shape) < 0.5)
    if type_.kind == "int":
        return torch.tensor(rng.integers(int(low), int(high), shape))
    return torch.tensor(rng.uniform(low, high, shape))


class Tried:
    """One operation on one of its examples: random values, weights of the result and a direction for each argument."""

    def __init__(self, op: Op, number: int) -> None:
        example, rng = op.examples[number], np.random.default_rng(13 + number)
        within = example.within * len(example.types) if len(example.within) == 1 else example.within
        self.inputs = tuple(leaf(INPUT, f"x{i}", type_) for i, type_ in enumerate(example.types))
        self.values = [drawn(t, low, high, rng) for t, (low, high) in zip(example.types, within, strict=True)]
        self.node = op(*self.inputs, **example.attrs)
        self.seed = leaf(INPUT, "seed", self.node.type)
        self.cotangent = drawn(self.node.type, -1.0, 1.0, rng)
        self.reals = [x for x in self.inputs if x.type.kind == "real"]
        self.directions = [leaf(INPUT, f"v{i}", x.type) for i, x in enumerate(self.reals)]
        self.tangents = [drawn(v.type, -1.0, 1.0, rng) for v in self.directions]

    @property
    def bound(self) -> dict[Node, torch.Tensor]:
        pairs = zip(self.inputs, self.values, strict=True)
        return {**dict(pairs), self.seed: self.cotangent, **dict(zip(self.directions, self.tangents, strict=True))}

    def slope(self) -> Node:
        """(dy/dx)^T u . v for the cotangent u and the direction v: one number, linear in both."""
        gradients = vjp([self.node], [self.seed], self.reals)
        return total([g * v for g, v in zip(gradients, self.directions, strict=True)])

    def second(self) -> list[Node]:
        """The gradient of the slope with respect to x and u: what the rule of the rule says."""
        return list(vjp([self.slope()], [constant(1.0)], [*self.reals, self.seed]))

    def moved(self, step: float) -> dict[Node, torch.Tensor]:
        """All real arguments, along their directions."""
        bound = self.bound
        for x, tangent in zip(self.reals, self.tangents, strict=True):
            bound[x] = bound[x] + step * tangent
        return bound


def total(nodes: list[Node]) -> Node:
    """The sum of all entries."""
    parts = [OPS["reduce_sum"](node, axes=tuple(range(node.type.rank))) for node in nodes]
    result = parts[0]
    for part in parts[1:]:
        result = result + part
    return result


def close(ours: torch.Tensor, theirs: torch.Tensor, tolerance: float = 1e-9) -> None:
    torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)


def tape(tried: Tried) -> tuple[list[torch.Tensor], torch.Tensor, list[torch.Tensor]]:
    """Torch's own: the leaves (x..., u), the slope, and its gradients."""
    bound = {
        node: value.clone().requires_grad_(value.is_floating_point() and node not in tried.directions)
        for node, value in tried.bound.items()
    }
    (y,) = evaluate([tried.node], bound)
    leaves = [bound[node] for node in (*tried.reals, tried.seed)]
    if not y.requires_grad:
        return leaves, torch.tensor(0.0, dtype=torch.float64), [torch.zeros_like(item) for item in leaves]
    first = torch.autograd.grad(
        y, leaves[:-1], bound[tried.seed], create_graph=True, allow_unused=True, materialize_grads=True
    )
    slope = sum((g * v).sum() for g, v in zip(first, tried.tangents, strict=True))
    if not slope.requires_grad:
        return leaves, slope, [torch.zeros_like(item) for item in leaves]
    return leaves, slope, list(torch.autograd.grad(slope, leaves, allow_unused=True, materialize_grads=True))


@pytest.mark.parametrize(("op", "number"), CASES)
def test_an_operation_once_and_twice_against_torch(op: Op, number: int) -> None:
    tried = Tried(op, number)
    _, slope, expected = tape(tried)
    first, *second = evaluate([tried.slope(), *tried.second()], tried.bound)
    close(first, slope.detach())
    for ours, theirs in zip(second, expected, strict=True):
        close(ours, theirs)


@pytest.mark.parametrize(("op", "number"), [case for case in CASES if case.values[0].name not in JUMPS])
def test_an_operation_once_and_twice_against_differences(op: Op, number: int) -> None:
    """Along one direction of all arguments: d/ds y . u, and d/ds of that."""
    tried, step = Tried(op, number), 1e-5
    slope = tried.slope()
    second = vjp([slope], [constant(1.0)], tried.reals)
    along = total([g * v for g, v in zip(second, tried.directions, strict=True)])
    first, twice = evaluate([slope, along], tried.bound)
    height = total([tried.node * tried.seed])
    (ahead, ahead_slope), (behind, behind_slope) = (
        evaluate([height, slope], tried.moved(side * step)) for side in (1.0, -1.0)
    )
    close(first, (ahead - behind) / (2 * step), 2e-6)
    close(twice, (ahead_slope - behind_slope) / (2 * step), 2e-6)


@pytest.mark.parametrize(("op", "number"), CASES)
def test_forwards_is_the_transpose_of_backwards(op: Op, number: int) -> None:
    """u . (J v) = (J^T u) . v"""
    tried = Tried(op, number)
    (pushed,) = jvp([tried.node], tried.reals, tried.directions)
    assert pushed.type == tried.node.type
    backwards, forwards = evaluate([tried.slope(), total([pushed * tried.seed])], tried.bound)
    close(backwards, forwards)


@pytest.mark.parametrize("op", OPS.values(), ids=OPS)
def test_every_operation_has_a_derivative_or_says_why_not(op: Op) -> None:
    assert op.vjp is not None
    assert callable(op.vjp) or (isinstance(op.vjp, Stop) and op.vjp.reason)


# ---------------------------------------------------------------------------------------------------- random graphs

QUICK = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
TIES = {"max_pool"}
"""Entries that are equal share the gradient here, and torch gives it to the first."""


class Whole:
    """A random graph as one function: its real inputs, a weighted sum of its real outputs, and random values."""

    def __init__(self, graph: Graph, seed: int) -> None:
        assume(all(node.op.name not in TIES for node in graph.nodes()))
        self.bound = values_of(graph, seed)
        self.reals = [node for node in graph.inputs if node.type.kind == "real"]
        outputs = [node for node in graph.outputs.values() if node.type.kind == "real"]
        assume(self.reals and outputs)
        self.y = total([node * (0.7 + 0.3 * i) for i, node in enumerate(outputs)])
        self.directions = [leaf(INPUT, f"v{i}", x.type) for i, x in enumerate(self.reals)]
        rng = np.random.default_rng(seed + 1)
        self.tangents = [torch.tensor(rng.normal(size=self.bound[x].shape)) for x in self.reals]

    def torch(self, *values: torch.Tensor) -> torch.Tensor:
        (result,) = evaluate([self.y], {**self.bound, **dict(zip(self.reals, values, strict=True))})
        return result

    def run(self, nodes: list[Node]) -> list[torch.Tensor]:
        pairs = zip(self.directions, self.tangents, strict=True)
        return list(evaluate(nodes, {**self.bound, **dict(pairs)}))

    def at(self) -> tuple[torch.Tensor, ...]:
        return tuple(self.bound[x] for x in self.reals)


def alike(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    """To 1e-8 of the largest entry; what torch finds infinite or enormous is no test."""
    assume(bool(torch.isfinite(theirs).all()) and float(theirs.abs().max() if theirs.numel() else 0.0) < 1e6)
    scale = float(theirs.abs().max()) if theirs.numel() else 0.0
    torch.testing.assert_close(ours, theirs.detach(), rtol=1e-8, atol=1e-8 * (1.0 + scale))


@QUICK
@given(graph=graphs(), seed=st.integers(0, 99))
def test_the_gradient_of_a_graph_is_that_of_torch(graph: Graph, seed: int) -> None:
    whole = Whole(graph, seed)
    leaves = [value.clone().requires_grad_() for value in whole.at()]
    y = whole.torch(*leaves)
    assume(y.requires_grad)
    theirs = torch.autograd.grad(y, leaves, allow_unused=True, materialize_grads=True)
    for ours, expected in zip(whole.run(list(gradient(whole.y, whole.reals))), theirs, strict=True):
        alike(ours, expected)


@QUICK
@given(graph=graphs(), seed=st.integers(0, 99))
def test_the_forward_derivative_of_a_graph_is_that_of_torch(graph: Graph, seed: int) -> None:
    whole = Whole(graph, seed)
    _, theirs = torch.func.jvp(whole.torch, whole.at(), tuple(whole.tangents))
    (ours,) = whole.run(list(jvp([whole.y], whole.reals, whole.directions)))
    alike(ours, theirs)


@QUICK
@given(graph=graphs(), seed=st.integers(0, 99))
def test_second_derivatives_of_a_graph_are_those_of_torch(graph: Graph, seed: int) -> None:
    """The Hessian times a direction."""
    whole = Whole(graph, seed)
    leaves = [value.clone().requires_grad_() for value in whole.at()]
    y = whole.torch(*leaves)
    assume(y.requires_grad)
    first = torch.autograd.grad(y, leaves, create_graph=True, allow_unused=True, materialize_grads=True)
    slope = sum((g * v).sum() for g, v in zip(first, whole.tangents, strict=True))
    assume(slope.requires_grad)
    theirs = torch.autograd.grad(slope, leaves, allow_unused=True, materialize_grads=True)
    ours_slope = total([g * v for g, v in zip(gradient(whole.y, whole.reals), whole.directions, strict=True)])
    for ours, expected in zip(whole.run(list(gradient(ours_slope, whole.reals))), theirs, strict=True):
        alike(ours, expected)


@QUICK
@given(graph=graphs(), seed=st.integers(0, 99))
def test_a_gradient_survives_the_passes(graph: Graph, seed: int) -> None:
    whole = Whole(graph, seed)
    gradients = gradient(whole.y, whole.reals)
    before = whole.run(list(gradients))
    made = optimise(Graph(graph.inputs, {f"d{i}": node for i, node in enumerate(gradients)}), check=True)
    for ours, expected in zip(whole.run(list(made.outputs.values())), before, strict=True):
        alike(ours, expected)


# --------------------------------------------------------------------------------------------------- what it looks like

X = leaf(INPUT, "x", real("batch", 3))
Z = leaf(INPUT, "z", real("batch", 3))
W = constant(np.arange(9.0).reshape(3, 3) / 9)


def layers(x: Node, count: int) -> Node:
    for _ in range(count):
        x = OPS["tanh"](OPS["linear"](x, W, constant(np.ones(3))))
    return x


def summed(x: Node) -> Node:
    """One number for each sample."""
    return OPS["reduce_sum"](x, axes=tuple(range(1, x.type.rank)))


def operations(*nodes: Node, after: bool = True) -> Counter[str]:
    graph = Graph((X, Z), {f"y{i}": node for i, node in enumerate(nodes)})
    return Counter(node.op.name for node in (share(graph) if after else graph).nodes() if node.inputs)


def test_the_values_of_the_forward_pass_are_used_again() -> None:
    y = summed(layers(X, 4))
    (g,) = gradient(y, [X])
    counted = operations(y, g)
    assert counted["tanh"] == operations(y)["tanh"] == 4
    assert counted["linear"] == 2 * 4
    assert operations(y, g, after=False)["tanh"] == 4
    assert counted["transpose"] == 0


def test_what_does_not_depend_adds_nothing() -> None:
    """No node is made for the argument nothing reaches, nor for the factor that is not differentiated."""
    y = summed(layers(X, 2) * layers(Z, 3))
    alone, both = gradient(y, [X]), gradient(y, [X, Z])
    assert pull_back([summed(layers(X, 2))], [constant(1.0)], [Z]) == (None,)
    backwards = operations(*alone) - operations(y)
    assert backwards["linear"] == 2
    assert backwards["add"] == 0, "one path, so nothing is added"
    assert (operations(*both) - operations(y))["linear"] == 5


def test_an_independent_argument_has_the_gradient_zero() -> None:
    _, g = gradient(summed(layers(X, 1)), [X, Z])
    (value,) = evaluate([g], {Z: torch.ones(2, 3, dtype=torch.float64)})
    assert value.shape == (2, 3)
    assert not value.any()


def test_a_gradient_grows_linearly_with_depth() -> None:
    sizes = [sum(operations(*gradient(summed(layers(X, depth)), [X])).values()) for depth in (10, 20, 40)]
    assert sizes[2] - sizes[1] == 2 * (sizes[1] - sizes[0])


def test_a_long_chain_needs_no_recursion() -> None:
    y = X
    for _ in range(3000):
        y = OPS["sin"](y)
    (g,) = gradient(summed(y), [X])
    assert g.type == X.type


@pytest.mark.parametrize("shape", [(3,), (1, 3), (2, 1), (), (1, 1, 3)])
def test_broadcasting_is_undone(shape: tuple[int, ...]) -> None:
    small, large = leaf(INPUT, "s", real(*shape)), leaf(INPUT, "l", real("batch", 2, 3))
    values = {small: torch.randn(shape, dtype=torch.float64), large: torch.randn(4, 2, 3, dtype=torch.float64)}
    (g,) = vjp([large * small], [large], [small])
    assert g.type == small.type
    (ours,) = evaluate([g], values)
    leaf_ = values[small].clone().requires_grad_()
    (theirs,) = torch.autograd.grad(values[large] * leaf_, leaf_, values[large])
    close(ours, theirs)


def test_samples_stay_apart() -> None:
    """Moving one sample changes no other sample's gradient, and the gradient of a sample is that of it alone."""
    y = summed(layers(OPS["softmax"](X, axis=1) * OPS["reduce_max"](X, axes=(1,), keepdims=True), 2))
    (g,) = gradient(y, [X])
    values = torch.tensor(np.random.default_rng(0).normal(size=(5, 3)))
    (together,) = evaluate([g], {X: values})
    for i in range(5):
        (alone,) = evaluate([g], {X: values[i : i + 1]})
        torch.testing.assert_close(together[i : i + 1], alone, rtol=1e-14, atol=1e-15)


def test_an_operation_without_a_rule_says_so() -> None:
    odd = Op("odd", lambda x: x, "sin", "Sin", Stop("nobody knows"))
    with pytest.raises(Fault, match="nobody knows"):
        gradient(summed(odd(X)), [X])
    bare = Op("bare", lambda x: x, "sin", "Sin")
    with pytest.raises(Fault, match="without a rule"):
        gradient(summed(bare(X)), [X])
