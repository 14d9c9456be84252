"""A built model, called as onnxruntime's session is: arrays by name in, arrays in order out."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from isocline_runtime.native_info import NativeArray, NativeInfo
from isocline_runtime.port import Port

Array: TypeAlias = NDArray[Any]
LINE = 64
"""Bytes of a line of the cache, on which a workspace begins."""
CHUNK = 1024
"""Samples between two looks at whether the time is over."""
WORTH = 64
"""Samples that a thread takes at least."""
ENGINE = "native"


class Ending:
    """What a run is ended by, as onnxruntime's options are."""

    terminate = False


class NativeModel:
    """One C function and its workspaces, one for each thread that calls."""

    def __init__(self, library: Path, info: NativeInfo, outputs: Sequence[Port], threads: int = 1) -> None:
        self.info = info
        self._function = getattr(ctypes.CDLL(str(library)), f"{info.name}_run")
        count = len(info.inputs) + len(info.outputs)
        self._function.argtypes = [ctypes.c_size_t, *[ctypes.c_void_p] * (count + 1)]
        self._function.restype = None
        self._shapes = {port.name: port.shape for port in outputs}
        self._local = threading.local()
        self._threads = threads
        self._pool: ThreadPoolExecutor | None = None

    def get_providers(self) -> list[str]:
        """Where it runs, in the words of the other engine."""
        return [ENGINE]

    def run(self, names: Sequence[str], given: Mapping[str, Array], ending: Any = None) -> list[Array]:
        """The outputs of these names. Raises RuntimeError when it was ended before its last sample."""
        arrays = [_laid(item, given[item.name]) for item in self.info.inputs]
        batch = next((len(x) for item, x in zip(self.info.inputs, arrays, strict=True) if item.batched), 1)
        found = {item.name: self.empty(item, batch) for item in self.info.outputs}
        self._over(batch, arrays, list(found.values()), ending)
        return [found[name] for name in names]

    def is_short(self, given: Mapping[str, Array]) -> bool:
        """Whether a run has no place at which it could be ended."""
        return all(len(given[item.name]) <= CHUNK for item in self.info.inputs if item.batched)

    def empty(self, item: NativeArray, batch: int) -> Array:
        """Room for an output of so many samples."""
        sizes = [int(size) for size in self._shapes[item.name][item.batched :]]
        return np.empty([batch, *sizes] if item.batched else sizes, item.dtype)

    def call_on(self, batch: int, inputs: Sequence[Array], outputs: Sequence[Array]) -> Any:
        """A call of these very arrays, ready to be made again and again; it has a workspace of its own."""
        memory, place = self._room()
        function, arguments = self._function, (batch, *(array.ctypes.data for array in (*inputs, *outputs)), place)
        kept = (*inputs, *outputs, memory)  # what the numbers point to

        def call(held: object = kept) -> None:
            function(*arguments)

        return call

    def _over(self, batch: int, inputs: Sequence[Array], outputs: Sequence[Array], ending: Any) -> None:
        """All samples, in chunks, on as many threads as there is work for."""
        shared = min(self._threads, batch // WORTH)
        if shared < 2:
            return self._rows(0, batch, inputs, outputs, ending)
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, "isocline-native")
        bounds = [batch * part // shared for part in range(shared + 1)]
        for done in [self._pool.submit(self._rows, *part, inputs, outputs, ending) for part in pairwise(bounds)]:
            done.result()
        return None

    def _rows(self, begin: int, end: int, inputs: Sequence[Array], outputs: Sequence[Array], ending: Any) -> None:
        arrays = (*inputs, *outputs)
        places = [array.__array_interface__["data"][0] for array in arrays]
        if begin == 0 and end <= CHUNK and not (ending is not None and ending.terminate):
            self._function(end, *places, self._workspace())
            return
        listed = (*self.info.inputs, *self.info.outputs)
        strides = [item.count * array.itemsize * item.batched for item, array in zip(listed, arrays, strict=True)]
        workspace = self._workspace()
        for first in range(begin, max(end, begin + 1), CHUNK):
            if ending is not None and ending.terminate:
                raise RuntimeError(f"ended before sample {first} of {end}")
            rows = [place + first * stride for place, stride in zip(places, strides, strict=True)]
            self._function(min(CHUNK, end - first), *rows, workspace)

    def _workspace(self) -> int:
        """Where this thread's workspace begins."""
        place: int | None = getattr(self._local, "place", None)
        if place is None:
            self._local.memory, place = self._room()
            self._local.place = place
        return place

    def _room(self) -> tuple[Array, int]:
        """Memory for a workspace, and where in it that begins."""
        memory = np.zeros(self.info.workspace + LINE, np.uint8)
        return memory, -(-int(memory.ctypes.data) // LINE) * LINE


def _laid(item: NativeArray, array: Array) -> Array:
    """The array as C takes it: of its type, entries one after another."""
    return np.ascontiguousarray(array, item.dtype)
