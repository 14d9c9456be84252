"""What an operation's record claims of it for the passes, tried on the operation itself."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from isocline_compiler.backends.to_torch import evaluate
from isocline_compiler.graph import INPUT, Op, leaf
from isocline_compiler.graph.tensor_type import TensorType
from isocline_compiler.ops import OPS

RNG = np.random.default_rng(3)


def drawn(type_: TensorType, within: tuple[float, float] = (-2.0, 2.0)) -> torch.Tensor:
    shape = [5 if isinstance(size, str) else size for size in type_.shape]
    if type_.kind == "bool":
        return torch.tensor(RNG.integers(0, 2, shape).astype(bool))
    if type_.kind == "int":
        return torch.tensor(RNG.integers(1, 3, shape))
    return torch.tensor(RNG.uniform(*within, shape))


def applied(op: Op, types: list[TensorType], values: list[torch.Tensor], attrs) -> torch.Tensor:
    leaves = [leaf(INPUT, f"a{i}", type_) for i, type_ in enumerate(types)]
    (found,) = evaluate([op(*leaves, **attrs)], {f"a{i}": value for i, value in enumerate(values)})
    return found


PAIRS = [op for op in OPS.values() if op.examples and len(op.examples[0].types) == 2 and op.name != "matmul"]


def swaps(op: Op) -> bool | None:
    """Whether f(a, b) = f(b, a) on arguments of one type; None where it takes no two such."""
    for example in op.examples:
        if example.types[0] == example.types[1] and not example.attrs:
            a, b = (drawn(type_, (0.3, 2.0)) for type_ in example.types)
            one, other = (applied(op, list(example.types), pair, {}) for pair in ([a, b], [b, a]))
            return bool(torch.equal(one, other))
    return None


@pytest.mark.parametrize("op", PAIRS, ids=lambda op: op.name)
def test_an_operation_commutes_exactly_where_it_says_so(op: Op) -> None:
    found = swaps(op)
    assert found is None or found is op.commutative


BROADCASTING = [op for op in OPS.values() if op.broadcasts and op.name != "matmul"]


@pytest.mark.parametrize("op", BROADCASTING, ids=lambda op: op.name)
def test_what_broadcasts_gives_what_repeated_arguments_give(op: Op) -> None:
    kinds = [type_.kind for type_ in op.examples[0].types]
    for shapes in product(((2, 3), (3,), (2, 1)), repeat=len(kinds)):
        types = [TensorType(kind, shape) for kind, shape in zip(kinds, shapes, strict=True)]
        values = [drawn(type_, (0.3, 2.0)) for type_ in types]
        whole = torch.broadcast_shapes(*shapes)
        repeated = [value.expand(whole).contiguous() for value in values]
        full = [TensorType(kind, tuple(whole)) for kind in kinds]
        assert torch.equal(applied(op, types, values, {}), applied(op, full, repeated, {}))


MOVING = [op for op in OPS.values() if op.moves]


@pytest.mark.parametrize("op", MOVING, ids=lambda op: op.name)
def test_what_moves_has_entries_of_its_argument_and_no_others(op: Op) -> None:
    for example in op.examples:
        values = [drawn(type_) for type_ in example.types]
        if values[0].shape and example.types[0].batched and op.name == "split_points":
            continue
        found = applied(op, list(example.types), values, dict(example.attrs))
        assert set(found.flatten().tolist()) <= set(values[0].flatten().tolist())
        if op.repeats:
            assert set(found.flatten().tolist()) == set(values[0].flatten().tolist())


def test_what_repeats_moves() -> None:
    assert all(op.moves for op in OPS.values() if op.repeats)


def around_zero(op: Op) -> bool:
    """Whether an operation takes numbers on both sides of 0 as its first argument."""
    return bool(op.examples) and op.examples[0].types[0].kind == "real" and op.examples[0].within[0][0] <= 0


SMOOTH = [
    op for op in OPS.values() if op.smooth and around_zero(op) and op.training is None and op.name != "split_points"
]


@pytest.mark.parametrize("op", SMOOTH, ids=lambda op: op.name)
def test_what_is_smooth_has_no_corner_at_zero(op: Op) -> None:
    """The slopes on both sides of 0 agree, of the first argument, where the operation takes numbers around 0."""
    example = op.examples[0]
    others = [drawn(t, example.within[-1]) for t in example.types[1:]]
    zero = torch.zeros([5 if isinstance(s, str) else s for s in example.types[0].shape], dtype=torch.float64)

    def at(shift: float) -> torch.Tensor:
        return applied(op, list(example.types), [zero + shift, *others], dict(example.attrs)).double()

    h = 1e-4
    right, left = (at(h) - at(0.0)) / h, (at(0.0) - at(-h)) / h
    np.testing.assert_allclose(right.numpy(), left.numpy(), atol=1e-2)
