"""Operations that treat an axis entry by entry: what is read of their results is what is read of the whole."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from isocline_compiler.backends.to_torch import evaluate
from isocline_compiler.graph import INPUT, Array, Node, Op, leaf
from isocline_compiler.graph.tensor_type import TensorType
from isocline_compiler.ops.indexing import CONCAT
from isocline_compiler.streaming.entries import Entries
from isocline_compiler.streaming.rows import Iteration
from isocline_compiler.streaming.rules import RULES

BATCH = 3


def named(op: Op, number: int) -> Any:
    return pytest.param(op, number, id=f"{op.name}-{number}")


EXAMPLES = [named(op, i) for op in RULES for i in range(len(op.examples))]


@pytest.mark.parametrize(("op", "number"), EXAMPLES)
def test_entries_of_an_operation_are_those_of_the_whole(op: Op, number: int) -> None:
    """Every operation with a rule, on its own examples, along every axis: what two iterations read of its result is
    made of windows of its arguments, or picked from the whole of them.
    """
    example = op.examples[number]
    draw = np.random.default_rng(number)
    leaves, values = [], {}
    for i, type_ in enumerate(example.types):
        shape = [BATCH if size == "batch" else 2 * BATCH if size == "2*batch" else 4 if isinstance(size, str) else size
                 for size in type_.shape]  # fmt: skip
        low, high = example.within[i if len(example.within) > 1 else 0]
        drawn = draw.uniform(low, high, shape)
        values[f"x{i}"] = drawn if type_.kind == "real" else np.floor(drawn).astype(
            np.int64) if type_.kind == "int" else drawn > 0  # fmt: skip
        leaves.append(leaf(INPUT, f"x{i}", type_))
    node = op(*leaves, **example.attrs)
    whole = valued(node, values)
    for axis in range(int(node.type.batched), node.type.rank):
        size = whole.shape[axis]
        numbers = draw.integers(0, size, (2, 2))
        one = Iteration(
            node, set(), refuse, refuse, Entries(numbers), leaf(INPUT, "i", TensorType("int")), holding=False
        )
        found = one.rows(node, axis, Entries(numbers))
        for i in range(2):
            windows = {
                str(item.attrs["name"]): np.take(values[str(x.port.attrs["name"])], x.entries.numbers[i], x.axis)
                for item, x in one.windows.items()
                if x.entries.numbers is not None
            }
            step = valued(found, {**values, **windows, "i": np.array(i)})
            np.testing.assert_allclose(step, np.take(whole, numbers[i], axis), rtol=1e-12, atol=1e-12)


def refuse(*_: Any) -> Any:
    raise AssertionError("nothing here depends on a loop")


def valued(node: Node, values: dict[str, Array]) -> Array:
    (found,) = evaluate([node], {name: torch.tensor(value) for name, value in values.items()})
    return np.asarray(found)


def test_entries_of_the_second_part_of_a_concatenation_are_read_of_it_alone() -> None:
    parts = [leaf(INPUT, name, TensorType("real", ("batch", size, 2))) for name, size in (("a", 3), ("b", 5))]
    numbers = np.array([[4, 3], [7, 6]])
    one = Iteration(
        parts[0], set(), refuse, refuse, Entries(numbers), leaf(INPUT, "i", TensorType("int")), holding=False
    )  # fmt: skip
    one.rows(CONCAT(*parts, axis=1), 1, Entries(numbers))
    (window,) = one.windows.values()
    assert (window.port, window.axis) == (parts[1], 1)
    assert window.entries.numbers is not None
    assert window.entries.numbers.tolist() == [[1, 0], [4, 3]]
