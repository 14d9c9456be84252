"""Checkpoints that a crash cannot spoil: one safetensors file, replaced whole or not at all.

Tensors are stored as tensors; everything else, with the places of the tensors in it, as JSON in the file's
header.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import save
from torch import Tensor

from isocline_dsl.diagnostics import IsoclineError
from isocline_dsl.messages import fitting as messages
from isocline_runtime import atomic

FORMAT = 2
"""Raised when older checkpoints can no longer be read."""


def write_checkpoint(path: Path, content: Mapping[str, Any]) -> None:
    """`content` is dicts, lists, tuples, numbers, texts, None and tensors, nested; it reads back bit for bit."""
    tensors: dict[str, Tensor] = {}
    form = _encode(content, tensors)
    header = {"isocline": json.dumps({"format": FORMAT, "content": form})}
    replace_file(path, save(tensors, metadata=header))


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What was written, tensors on the CPU. Raises E458 or E459."""
    if not path.is_file():
        raise IsoclineError([messages.no_checkpoint(path.parent)])
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            header = json.loads(file.metadata()["isocline"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        if header["format"] != FORMAT:
            raise ValueError(f"format {header['format']}, this version reads {FORMAT}")
        content: dict[str, Any] = _decode(header["content"], tensors)
    except (safetensors.SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise IsoclineError([messages.checkpoint_unreadable(path, str(error))]) from None
    return content


def replace_file(path: Path, data: bytes) -> None:
    """Write whole or not at all, in a folder that is made when it is not there. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic.replace_file(path, data)


def _encode(value: Any, tensors: dict[str, Tensor]) -> Any:
    """JSON in which a tensor is {"tensor": name} and a dict a list of pairs, since its keys may be numbers."""
    if isinstance(value, Tensor):
        name = str(len(tensors))
        tensors[name] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
        return {"tensor": name}
    if isinstance(value, Mapping):
        return {"pairs": [[key, _encode(item, tensors)] for key, item in value.items()]}
    if isinstance(value, tuple):
        return {"tuple": [_encode(item, tensors) for item in value]}
    if isinstance(value, list):
        return [_encode(item, tensors) for item in value]
    return value


def _decode(form: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(form, list):
        return [_decode(item, tensors) for item in form]
    if not isinstance(form, dict):
        return form
    ((kind, body),) = form.items()
    if kind == "tensor":
        return tensors[body]
    if kind == "tuple":
        return tuple(_decode(item, tensors) for item in body)
    return {key: _decode(item, tensors) for key, item in body}
