"""What a loaded model may take of its host: sizes, operations, memory, and the time of a run."""

from __future__ import annotations

import math
import os
import threading
import time
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

    Bytes and nodes of a file, operations of a run, seconds of a run (None: no end), bytes that its values may take,
    threads of onnxruntime, and whether outputs may be infinite or NaN.
    """

    threads: int = 1
    limit: int = SIZE_LIMIT
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
    """One thread that ends the runs whose time is over, by onnxruntime's own flag.

    It is woken for a run that would end before it wakes by itself, and so hardly ever: a run costs it no switch of
    threads.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Nothing is watched; in a forked process, where the thread is gone and the lock may be held for ever."""
        self._lock = threading.Lock()
        self._earlier = threading.Event()
        self._runs: dict[int, tuple[float, Any]] = {}
        self._thread: threading.Thread | None = None
        self._wakes = math.inf

    def begin(self, options: Any, seconds: float) -> None:
        """`options.terminate` is set unless `end` comes within so many seconds."""
        deadline = time.monotonic() + seconds
        with self._lock:
            self._runs[id(options)] = deadline, options
            if self._thread is None or not self._thread.is_alive():  # the first run, or the first after a fork
                self._wakes = math.inf
                self._thread = threading.Thread(target=self._watch, name="isocline-watchdog", daemon=True)
                self._thread.start()
            if deadline < self._wakes:
                self._wakes = deadline
                self._earlier.set()

    def end(self, options: Any) -> None:
        """The run is over."""
        with self._lock:
            del self._runs[id(options)]

    def _watch(self) -> None:
        while True:
            with self._lock:
                self._earlier.clear()
                now = time.monotonic()
                for deadline, options in self._runs.values():
                    if deadline <= now:
                        options.terminate = True
                self._wakes = min((deadline for deadline, _ in self._runs.values() if deadline > now), default=math.inf)
                wait = None if self._wakes == math.inf else self._wakes - now
            self._earlier.wait(wait)


WATCHDOG = Watchdog()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=WATCHDOG.reset)
