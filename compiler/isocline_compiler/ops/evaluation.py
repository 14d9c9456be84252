"""Operations applied to arrays: what folding and the torch back end have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from isocline_compiler.graph import CONSTANT, Array, Attrs, Node, Op, topological


@dataclass(frozen=True)
class TorchNamespace:
    """What the operations see as `torch`: torch itself, with the working precision and the device beside it."""

    working: torch.dtype
    device: torch.device

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)


_EXACT = TorchNamespace(torch.float64, torch.device("cpu"))


def applied(op: Op, arrays: Sequence[Array], attrs: Attrs) -> Array:
    """The result of an operation on float64, int64 and bool arrays, as deployed."""
    with torch.no_grad():
        return _array(_called(op, [torch.tensor(array) for array in arrays], attrs))


def applied_by_row(roots: Sequence[Node], known: Mapping[Node, Array]) -> list[Array]:
    """The values of `roots` for every row of what is `known`, all rows at once. They reach literals and nothing else.

    Raises RuntimeError where an operation cannot be taken over rows.
    """

    def of_one(*rows: Any) -> tuple[Any, ...]:
        values = dict(zip(known, rows, strict=True))
        for node in topological(roots, tuple(known)):
            if node.op is CONSTANT:
                values[node] = torch.tensor(node.attrs["value"])
            else:
                values[node] = _called(node.op, [values[item] for item in node.inputs], node.attrs)
        return tuple(values[root] for root in roots)

    with torch.no_grad():
        return [_array(item) for item in torch.vmap(of_one)(*(torch.tensor(array) for array in known.values()))]


def evaluated(roots: Sequence[Node], known: Mapping[Node, Array]) -> list[Array]:
    """The values of `roots` where those of `known` are given; they reach nothing else but literals."""
    values: dict[Node, Any] = {node: torch.tensor(array) for node, array in known.items()}
    with torch.no_grad():
        for node in topological(roots, tuple(known)):
            if node.op is CONSTANT:
                values[node] = torch.tensor(node.attrs["value"])
            elif node not in values:
                values[node] = _called(node.op, [values[item] for item in node.inputs], node.attrs)
    return [_array(values[root]) for root in roots]


def _called(op: Op, tensors: Sequence[Any], attrs: Attrs) -> Any:
    if isinstance(op.torch, str):
        return getattr(torch, op.torch)(*tensors)
    return op.torch(_EXACT, *tensors, **attrs)


def _array(tensor: Any) -> Array:
    array: Array = tensor.contiguous().numpy()
    return array
