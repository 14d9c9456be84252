"""What an operation's record claims of it for the passes, tried on the operation itself."""

from __future__ import annotations

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


SLOPED = [op for op in OPS.values() if op.slopes is not None]


@pytest.mark.parametrize("op", SLOPED, ids=lambda op: op.name)
def test_no_slope_lies_outside_of_those_that_are_claimed_and_they_are_met(op: Op) -> None:
    """On a fine grid, by torch's derivative."""
    attrs = dict(op.examples[0].attrs)
    x = torch.sinh(torch.linspace(-8, 8, 200_001, dtype=torch.float64)).requires_grad_()
    (slopes,) = torch.autograd.grad(applied(op, [TensorType("real", ("n",))], [x], attrs).sum(), x)
    assert op.slopes is not None
    least, most = op.slopes(**attrs)
    assert least <= slopes.min() <= least + 5e-3
    assert most - 5e-3 <= slopes.max() <= most
