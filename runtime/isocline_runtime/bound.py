"""A model on arrays that stay where they are: for a call that is made again and again, as in a control loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from isocline_runtime import messages_input
from isocline_runtime.manifest import Port
from isocline_runtime.native.calling import NativeModel

Array: TypeAlias = NDArray[Any]
ON_HOST = ("cpu", 0)


class Bound:
    """The model for so many samples, on `inputs` and `outputs`: write into the one, call, read the other.

        call = session.bind(1)
        call.inputs["x0"][:] = 7.0
        call()
        call.outputs["x"]

    Nothing is allocated, converted or checked in a call: bounds, names and numbers that are not finite are the
    caller's; `session.run` minds all of them. One thread calls it at a time.
    """

    def __init__(self, inputs: Mapping[str, Array], outputs: Mapping[str, Array], call: Callable[[], object]) -> None:
        self.inputs = inputs
        self.outputs = outputs
        self._call = call

    def __call__(self) -> Mapping[str, Array]:
        """Compute all outputs."""
        self._call()
        return self.outputs

    def __repr__(self) -> str:
        listed = (
            f"{name}: {array.dtype}{list(array.shape)}" for name, array in (*self.inputs.items(), *self.outputs.items())
        )
        return f"<Bound {', '.join(listed)}>"


def bound(backend: Any, inputs: Sequence[Port], outputs: Sequence[Port], batch: int) -> Bound:
    """Zeros for all arrays of so many samples, and the call on them. Raises InputError E749 for a size with a name."""
    given = {port.name: _zeros(port, batch) for port in inputs}
    found = {port.name: _zeros(port, batch) for port in outputs}
    if isinstance(backend, NativeModel):
        info = backend.info
        arrays = [given[item.name] for item in info.inputs], [found[item.name] for item in info.outputs]
        return Bound(given, found, backend.call_on(batch, *arrays))
    binding = backend.io_binding()
    for bind, arrays_of in ((binding.bind_input, given), (binding.bind_output, found)):
        for name, array in arrays_of.items():
            bind(name, *ON_HOST, array.dtype.type, array.shape, array.ctypes.data)
    return Bound(given, found, lambda: backend.run_with_iobinding(binding))


def _zeros(port: Port, batch: int) -> Array:
    sizes = (batch, *port.shape[1:]) if port.batched else port.shape
    named = next((axis for axis, size in enumerate(sizes) if not isinstance(size, int)), None)
    if named is not None:
        raise messages_input.open_size(port.name, str(port.shape[named]))
    return np.zeros([int(size) for size in sizes], port.dtype)
