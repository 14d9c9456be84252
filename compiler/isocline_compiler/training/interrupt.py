"""Ctrl-C, noticed between two steps."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from isocline_compiler.training.run_folder import CHECKPOINT


class Interrupted(KeyboardInterrupt):
    """Ctrl-C in a training; `folder` holds the checkpoint to go on from, None when there is none yet."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder if (folder / CHECKPOINT).exists() else None


class Interrupt:
    """Inside the block the first Ctrl-C sets `wanted`; the second one interrupts at once, as it does elsewhere.

    Signals reach the main thread only: in another thread nothing is changed.
    """

    def __init__(self) -> None:
        self.wanted = False
        self._before: Any = None

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._notice)
        return self

    def _notice(self, number: int, frame: FrameType | None) -> None:
        if self.wanted:
            raise KeyboardInterrupt
        self.wanted = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
