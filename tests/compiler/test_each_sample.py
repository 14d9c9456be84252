"""Derivatives of each sample by what all samples share: the forward mode's numbers, from one reverse pass."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from isocline_compiler.backends.to_torch import evaluate
from isocline_compiler.derivatives.of_samples import derivatives_of_samples
from isocline_compiler.derivatives.reverse_forward import jvps
from isocline_compiler.graph import INPUT, Graph, Node, Op, constant, leaf
from isocline_compiler.graph.tensor_type import TensorType
from isocline_compiler.ops import OPS
from isocline_compiler.ops.shapes import real
from isocline_compiler.passes import optimise

ROWS = 3
X = leaf(INPUT, "x", real("batch", 2))
P = leaf(INPUT, "p", real(2, 2))


def score_of(y: Node) -> Node:
    """A number for each sample in which no two entries weigh the same."""
    count = int(np.prod([int(size) for size in y.type.sample], initial=1))
    flat = OPS["reshape"](y, shape=("batch", count))
    return OPS["reduce_sum"](OPS["square"](flat) * constant(np.linspace(0.5, 1.5, count)), axes=(1,))


def units(p: Node) -> list[Node]:
    count = int(np.prod([int(size) for size in p.shape], initial=1))
    return [constant(unit) for unit in np.eye(count).reshape(count, *p.shape)]


def both(score: Node, shared: Node, bound: dict[Node, torch.Tensor]) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    along = units(shared)
    ours = derivatives_of_samples(score, shared, along)
    theirs = [found for (found,) in jvps([score], [shared], [[v] for v in along])]
    return list(evaluate(ours, bound)), list(evaluate(theirs, bound))


def shares(op: Op, number: int) -> bool:
    """Whether an example mixes samples with what they share, and its result can be scored."""
    example = op.examples[number]
    kinds = {type_.batched for type_ in example.types if type_.kind == "real"}
    result = op(*(leaf(INPUT, f"x{i}", t) for i, t in enumerate(example.types)), **example.attrs).type
    known = all(isinstance(size, int) for size in result.sample) and result.shape[:1] == ("batch",)
    return callable(op.vjp) and kinds == {True, False} and result.kind == "real" and known


CASES = [
    pytest.param(op, i, id=f"{op.name}-{i}") for op in OPS.values() for i in range(len(op.examples)) if shares(op, i)
]


def drawn(type_: TensorType, low: float, high: float, rng: np.random.Generator) -> torch.Tensor:
    shape = [ROWS if size == "batch" else int(size) for size in type_.shape]
    if type_.kind == "bool":
        return torch.tensor(rng.random(shape) < 0.5)
    return torch.tensor(rng.uniform(low, high, shape) if type_.kind == "real" else rng.integers(0, 2, shape))


@pytest.mark.parametrize(("op", "number"), CASES)
def test_an_operation_that_reads_what_samples_share(op: Op, number: int) -> None:
    example, rng = op.examples[number], np.random.default_rng(number)
    within = example.within * len(example.types) if len(example.within) == 1 else example.within
    inputs = [leaf(INPUT, f"x{i}", type_) for i, type_ in enumerate(example.types)]
    values = [drawn(type_, *interval, rng) for type_, interval in zip(example.types, within, strict=True)]
    bound = dict(zip(inputs, values, strict=True))
    score = score_of(op(*inputs, **example.attrs))
    for shared in (item for item in inputs if item.type.kind == "real" and not item.type.batched):
        for ours, theirs in zip(*both(score, shared, bound), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def deep(depth: int) -> Node:
    """A chain that reads p at every link, in two ways."""
    x, weights = X, OPS["exp"](P)
    for _ in range(depth):
        x = OPS["tanh"](OPS["linear"](x, weights) + OPS["select"](P, axis=0, index=1) * x)
    return score_of(x)


def in_points() -> Node:
    """p read by points of each sample, which are then summed."""
    points = OPS["merge_points"](OPS["expand"](OPS["reshape"](X, shape=("batch", 1, 2)), shape=("batch", 3, 2)))
    return score_of(OPS["split_points"](OPS["tanh"](OPS["linear"](points, P)), count=3))


def averaged() -> Node:
    """The samples do not stay apart: each is compared with their mean."""
    y = OPS["linear"](X, P)
    return score_of(OPS["tanh"](y) - OPS["reduce_mean"](y, axes=(0,), keepdims=False))


@pytest.mark.parametrize("score", [deep(3), in_points(), averaged()], ids=["deep", "points", "averaged"])
def test_a_function_of_samples_and_what_they_share(score: Node) -> None:
    rng = np.random.default_rng(1)
    bound = {X: torch.tensor(rng.normal(size=(ROWS, 2))), P: torch.tensor(rng.normal(size=(2, 2)))}
    ours, theirs = both(score, P, bound)
    assert all(item.shape == (ROWS,) for item in ours)
    torch.testing.assert_close(torch.stack(ours), torch.stack(theirs), rtol=1e-12, atol=1e-12)


def test_what_is_not_read_has_the_derivative_zero() -> None:
    (found,) = derivatives_of_samples(score_of(X), leaf(INPUT, "unread", real()), [constant(1.0)])
    np.testing.assert_array_equal(*evaluate([found], {X: torch.ones(ROWS, 2, dtype=torch.float64)}), np.zeros(ROWS))


def test_every_number_adds_only_where_it_is_read() -> None:
    """An entry of p adds a few products and a sum a link; the forward mode grows by the whole chain for each."""

    def operations(found: list[Node]) -> int:
        return len(optimise(Graph((X, P), {f"d{i}": node for i, node in enumerate(found)})).nodes())

    links, layer, x, along = 8, constant(np.array([[0.3, -0.7], [1.1, 0.4]])), X, units(P)
    for _ in range(links):
        inner = OPS["tanh"](OPS["linear"](OPS["tanh"](OPS["linear"](x, layer)), layer))
        x = x + inner * OPS["select"](P, axis=0, index=0)
    score = score_of(x)
    one, two = (operations(derivatives_of_samples(score, P, along[:count])) for count in (1, 2))
    assert two - one <= 4 * links + 3
    assert two < operations([found for (found,) in jvps([score], [P], [[v] for v in along[:2]])])
