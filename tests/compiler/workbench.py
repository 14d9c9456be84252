"""What the tests of functions stand on: inputs with values, a scope that keeps its weights, float64 evaluation."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from isocline_compiler.backends.to_torch import evaluate
from isocline_compiler.graph import INPUT, WEIGHT, Node, leaf
from isocline_compiler.graph.tensor_type import TensorType
from isocline_compiler.vocabulary.functions import FUNCTIONS
from isocline_compiler.vocabulary.functions.kinds import WordCall
from isocline_compiler.vocabulary.functions.record import call


class Workbench:
    """A scope whose weights are drawn at once and may be replaced."""

    def __init__(self, whole_split: bool = False, beside: Workbench | None = None) -> None:
        """A bench with the values of another one, when it stands beside it."""
        self.whole_split = whole_split
        self.densities: dict[Node, Any] = {}
        self.values: dict[str, torch.Tensor] = {} if beside is None else beside.values
        self.roles: dict[str, str] = {}
        self.batch: int | None = None if beside is None else beside.batch
        self.generator = np.random.default_rng(7)

    def input(self, array: Any, batched: bool = True) -> Node:
        """A value; its first axis is the batch unless it has none."""
        values = torch.as_tensor(np.asarray(array))
        kind = "real" if values.is_floating_point() else "bool" if values.dtype == torch.bool else "int"
        name = f"input_{len(self.values)}"
        self.values[name] = values.double() if kind == "real" else values
        self.batch = len(values) if batched else self.batch
        shape = ("batch", *values.shape[1:]) if batched else tuple(values.shape)
        return leaf(INPUT, name, TensorType(kind, shape))

    def normal(self, *shape: int, batched: bool = True) -> Node:
        return self.input(self.generator.normal(size=shape), batched)

    def weight(self, name: str, shape: tuple[int, ...], initial: Any, role: str = "trained") -> Node:
        path = f"layer_{sum(key.startswith('layer') for key in self.values)}.{name}"
        drawn = initial(self.generator, shape)
        assert drawn.shape == shape
        self.values[path], self.roles[name] = torch.as_tensor(drawn).double(), role
        return leaf(WEIGHT, path, TensorType("real", shape))

    def density(self, mean: Node, shape: Any) -> None:
        self.densities[mean] = shape

    def statistic(self, source: Node, axes: tuple[int, ...]) -> tuple[Node, Node]:
        """As the training split would give them, from the values of `source` itself."""
        x = self(source).numpy()
        others = tuple(i for i in range(x.ndim) if i - source.type.batched not in axes)
        pair = (x.mean(others), x.std(others))
        mean, deviation = (self.weight("statistic", np.shape(item), lambda *_, v=item: np.asarray(v)) for item in pair)
        return mean, deviation

    def stored(self, name: str) -> torch.Tensor:
        """The one weight of this name."""
        (value,) = (item for key, item in self.values.items() if key.split(".")[-1] == name)
        return value

    def replace(self, name: str, value: Any) -> None:
        (key,) = (key for key in self.values if key.split(".")[-1] == name)
        assert self.values[key].shape == value.shape
        self.values[key] = torch.as_tensor(value).double()

    def build(self, function: str, *positional: Any, **keywords: Any) -> Node:
        """A call as an author writes it, keywords that are strings being words."""
        named = [(key, WordCall(item) if isinstance(item, str) else item) for key, item in keywords.items()]
        result = call(FUNCTIONS[function], positional, named, self)
        assert isinstance(result, Node)
        return result

    def __call__(self, node: Node, training: bool = False) -> torch.Tensor:
        (value,) = evaluate([node], self.values, training=training)
        expected = tuple(self.batch if size == "batch" else size for size in node.shape)
        assert tuple(value.shape) == expected, f"typed {node.type}, computed {tuple(value.shape)}"
        return value

    def of(self, node: Node) -> torch.Tensor:
        """The value of an input."""
        return self.values[node.attrs["name"]]
