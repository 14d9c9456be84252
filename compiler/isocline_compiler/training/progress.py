"""What is seen while training: a bar with loss, rate and time left on a terminal, plain lines elsewhere, or nothing."""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol, TextIO

from isocline_compiler.training.metrics import MetricsRow

SILENCE = 4.0
"""Seconds without a word, after which it is said what still goes on."""


class Progress(Protocol):
    """Told what happens; must not slow training down."""

    def begin(self, epochs: int, done: int, samples: int) -> None:
        """Training starts after `done` of `epochs` epochs, each of `samples` samples."""

    def epoch(self, row: MetricsRow) -> None:
        """An epoch is over."""

    def say(self, text: str) -> None:
        """Something to know: data dropped, training stopped early."""

    def end(self) -> None:
        """Training is over, however it ended."""


class Quiet:
    """Says nothing."""

    def begin(self, epochs: int, done: int, samples: int) -> None: ...

    def epoch(self, row: MetricsRow) -> None: ...

    def say(self, text: str) -> None: ...

    def end(self) -> None: ...


@dataclass
class Rate:
    """Epochs a second since training began here, and from it the time that is left."""

    epochs: int = 0
    first: int = 0
    samples: int = 1
    clock: float = field(default_factory=time.perf_counter)

    def text(self, done: int) -> str:
        """`3.2 epochs/s`, or `410 samples/s` when an epoch takes longer than a second; then the time left."""
        spent = max(time.perf_counter() - self.clock, 1e-9)
        speed = (done - self.first) / spent
        shown = f"{speed:.3g} epochs/s" if speed >= 1 else f"{speed * self.samples:.3g} samples/s"
        return f"{shown}  {duration((self.epochs - done) / speed) if speed else '?'} left"


def duration(seconds: float) -> str:
    """`4 s`, `2 min 05 s`, `1 h 20 min`."""
    whole = math.ceil(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def _losses(row: MetricsRow) -> str:
    validation = "" if row.validation_loss is None else f"  validation {row.validation_loss:.4g}"
    return f"loss {row.loss:.4g}{validation}"


class Lines:
    """A line each second at most, and one for the last epoch: for logs."""

    def __init__(self, stream: TextIO | None = None, every: float = 1.0) -> None:
        self.stream = stream or sys.stderr
        self.every = every
        self.rate = Rate()
        self.shown = -math.inf

    def begin(self, epochs: int, done: int, samples: int) -> None:
        self.rate = Rate(epochs, done, samples)

    def epoch(self, row: MetricsRow) -> None:
        now = time.perf_counter()
        if row.epoch < self.rate.epochs and now - self.shown < self.every:
            return
        self.shown = now
        self.say(f"epoch {row.epoch}/{self.rate.epochs}  {_losses(row)}  {self.rate.text(row.epoch)}")

    def say(self, text: str) -> None:
        print(text, file=self.stream, flush=True)

    def end(self) -> None: ...


class Bar:
    """A bar that rewrites itself on a terminal."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as RichProgress

        self.rate = Rate()
        columns = (TextColumn("epoch {task.completed}/{task.total}"), BarColumn(24), TextColumn("{task.description}"))
        self.bar = RichProgress(*columns, console=Console(stderr=True))
        self.task = self.bar.add_task("", total=None)

    def begin(self, epochs: int, done: int, samples: int) -> None:
        self.rate = Rate(epochs, done, samples)
        self.bar.update(self.task, total=epochs, completed=done)
        self.bar.start()

    def epoch(self, row: MetricsRow) -> None:
        self.bar.update(self.task, completed=row.epoch, description=f"{_losses(row)}  {self.rate.text(row.epoch)}")

    def say(self, text: str) -> None:
        self.bar.console.print(text, highlight=False, markup=False)

    def end(self) -> None:
        self.bar.stop()


class Patient:
    """Tells another what happens; and after some seconds without a word, what still goes on, and for how long."""

    def __init__(self, inner: Progress, silence: float = SILENCE) -> None:
        self.inner, self.silence = inner, silence
        self.doing, self.begun, self.told = "starting", time.monotonic(), time.monotonic()
        self.over = threading.Event()
        threading.Thread(target=self._wait, daemon=True).start()

    def begin(self, epochs: int, done: int, samples: int) -> None:
        self._hears(f"epoch {done + 1} of {epochs}")
        self.inner.begin(epochs, done, samples)

    def epoch(self, row: MetricsRow) -> None:
        self._hears(f"epoch {row.epoch + 1}")
        self.inner.epoch(row)

    def say(self, text: str) -> None:
        self._hears(text)
        self.inner.say(text)

    def end(self) -> None:
        self._hears("writing what was trained")
        self.inner.end()

    def _hears(self, doing: str) -> None:
        self.doing, self.begun, self.told = doing, time.monotonic(), time.monotonic()

    def _wait(self) -> None:
        while not self.over.wait(self.silence / 8):
            now = time.monotonic()
            if now - self.told >= self.silence:
                self.told = now
                self.inner.say(f"  {duration(now - self.begun)}: {self.doing}")


@contextmanager
def progress_for(stream: TextIO, quiet: bool = False) -> Iterator[Progress]:
    """A bar on a terminal, lines elsewhere, and no long silence on either."""
    if quiet:
        yield Quiet()
        return
    patient = Patient(Bar() if stream.isatty() else Lines(stream))
    try:
        yield patient
    finally:
        patient.over.set()
