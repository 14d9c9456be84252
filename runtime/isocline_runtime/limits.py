"""What a loaded model may take of its host: sizes, operations, memory, and the time of a run."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

SIZE_LIMIT = 512 * 2**20
"""Bytes of a file of an artifact."""
JSON_LIMIT = 64 * 2**20
"""Bytes of a manifest or certificate: parsed, it takes many times as many."""
INPUT_LIMIT = 4 * 2**30
"""Bytes of a file of inputs, packed or unpacked."""
NODE_LIMIT = 1_000_000
OPERATION_LIMIT = 10**9
"""Operations of one run, those in the body of a loop counted once for each of its iterations: some twenty minutes."""
TIME_LIMIT = 3600.0
"""Seconds of one run."""
SHARE_OF_MEMORY = 0.75


@dataclass(frozen=True)
class Limits:
    """How a model may be loaded and run.

    Nodes of a file, operations of a run, seconds of a run (None: no end), bytes that its values may take, threads of
    onnxruntime, and whether outputs may be infinite or NaN.
    """

    threads: int = 1
    node_limit: int = NODE_LIMIT
    operation_limit: int = OPERATION_LIMIT
    seconds: float | None = TIME_LIMIT
    memory: int | None = None
    allow_nonfinite: bool = False


def memory_limit(asked: int | None) -> int:
    """As many bytes as are asked for, or three quarters of this machine's memory."""
    if asked is not None:
        return asked
    try:
        return int(SHARE_OF_MEMORY * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):  # a system that does not tell
        return 2**34


class Watchdog:
    """One thread that ends the runs whose time is over, by onnxruntime's own flag; it sleeps while there are none."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._changed = threading.Event()
        self._runs: dict[int, tuple[float, Any]] = {}
        self._thread: threading.Thread | None = None

    @contextmanager
    def ending(self, options: Any, seconds: float) -> Iterator[None]:
        """`options.terminate` is set once the block has taken so many seconds."""
        key, deadline = id(options), time.monotonic() + seconds
        with self._lock:
            self._runs[key] = deadline, options
            is_next = all(deadline <= other for other, _ in self._runs.values())
            if self._thread is None or not self._thread.is_alive():  # the first run, or the first after a fork
                self._thread = threading.Thread(target=self._watch, name="isocline-watchdog", daemon=True)
                self._thread.start()
        if is_next:
            self._changed.set()
        try:
            yield
        finally:
            with self._lock:
                del self._runs[key]

    def _watch(self) -> None:
        while True:
            self._changed.clear()
            now = time.monotonic()
            with self._lock:
                for deadline, options in self._runs.values():
                    if deadline <= now:
                        options.terminate = True
                ahead = [deadline - now for deadline, _ in self._runs.values() if deadline > now]
            self._changed.wait(min(ahead, default=None))


WATCHDOG = Watchdog()
