"""Operations applied to arrays: what folding and the torch back end have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from isocline_compiler.graph import Array, Attrs, Op


@dataclass(frozen=True)
class Setting:
    """What the operations see as `torch`: torch itself, with the working precision and the device beside it."""

    working: torch.dtype
    device: torch.device

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)


_EXACT = Setting(torch.float64, torch.device("cpu"))


def applied(op: Op, arrays: Sequence[Array], attrs: Attrs) -> Array:
    """The result of an operation on float64, int64 and bool arrays, as deployed."""
    tensors = [torch.tensor(array) for array in arrays]
    with torch.no_grad():
        if isinstance(op.torch, str):
            result = getattr(torch, op.torch)(*tensors)
        else:
            result = op.torch(_EXACT, *tensors, **attrs)
    array: Array = result.contiguous().numpy()
    return array
