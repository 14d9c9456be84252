"""The signature that onnxruntime reports, as ports, and its comparison with the manifest's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from isocline_runtime import messages_artifact as messages
from isocline_runtime.manifest import BATCH, Port

ONNX_DTYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(int64)": "int64",
    "tensor(bool)": "bool",
}


def read_ports(arguments: Iterable[Any], file: str) -> tuple[Port, ...]:
    """Ports of onnxruntime's NodeArgs. Sizes that the model leaves open are named after port and axis."""
    return tuple(_read_port(argument, file) for argument in arguments)


def _read_port(argument: Any, file: str) -> Port:
    dtype = ONNX_DTYPES.get(argument.type)
    if dtype is None:
        raise messages.refused_model(file, f"{argument.name!r} is {argument.type}, not a tensor of numbers")
    shape = tuple(_read_size(size, axis, argument.name) for axis, size in enumerate(argument.shape))
    return Port(argument.name, dtype, shape)


def _read_size(size: int | str | None, axis: int, name: str) -> int | str:
    if isinstance(size, int) and size >= 0:
        return size
    if isinstance(size, str) and size and (axis == 0 or size != BATCH):
        return size
    return f"{name}_{axis}"


def check_signature(file: str, found: tuple[Port, ...], stated: tuple[Port, ...]) -> None:
    """Names in order, dtypes and shapes agree. Raises ArtifactError E716.

    A size that the model knows as a number is that number in the manifest; names of sizes are the manifest's.
    """
    names = [port.name for port in found]
    if names != [port.name for port in stated]:
        listed = ", ".join(port.name for port in stated)
        raise messages.other_signature(file, "the list of ports", ", ".join(names) or "empty", listed or "empty")
    for model, manifest in zip(found, stated, strict=True):
        if model.dtype != manifest.dtype or not _shapes_agree(model, manifest):
            raise messages.other_signature(file, repr(manifest.name), str(model), str(manifest))


def _shapes_agree(model: Port, manifest: Port) -> bool:
    if len(model.shape) != len(manifest.shape):
        return False
    pairs = zip(model.shape, manifest.shape, strict=True)
    return all(isinstance(size, str) or size == stated for size, stated in pairs)
