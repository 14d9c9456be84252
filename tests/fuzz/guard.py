"""What a program may take: two seconds of the processor, a gigabyte more than there was, and our own messages."""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import torch  # noqa: F401  some programs load it, once in a process: no part of the time of any

from isocline_compiler.lower import lower
from isocline_compiler.model import Model
from isocline_dsl import CATALOGUE, IsoclineError, Source, parse, render_error

SECONDS = 2.0
"""Twice what the slowest of the corpus takes where it was collected: machines differ by as much."""
BYTES = 1_000_000_000


class Hang(BaseException):
    """It took longer than it may; no `except Exception` on the way holds it up."""


@contextmanager
def guarded(seconds: float = SECONDS, most: int = BYTES) -> Iterator[None]:
    """Raises Hang after so many seconds of this process, and MemoryError where it asks for so many bytes more."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Hang(f"longer than {seconds} s")

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    before = signal.signal(signal.SIGVTALRM, stop)
    resource.setrlimit(resource.RLIMIT_AS, (_in_use() + most, hard))
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.signal(signal.SIGVTALRM, before)


def _in_use() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()


def checked(text: str) -> Model | IsoclineError:
    """What `isocline check` finds: a model, or mistakes, each with a code that exists, which render."""
    source = Source(text, "fuzz.dyn")
    try:
        return lower(parse(source), source)
    except IsoclineError as error:
        mistakes = error
    assert mistakes.diagnostics
    assert all(item.code in CATALOGUE for item in mistakes.diagnostics)
    assert render_error(mistakes).startswith("error[E")
    return mistakes
