"""`metrics.csv`, a row an epoch, and the same numbers for TensorBoard."""

from __future__ import annotations

import csv
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from isocline_compiler.training.checkpoint import replace_file

FIXED = ("epoch", "step", "loss", "validation_loss", "lr", "grad_norm", "seconds")


@dataclass(frozen=True)
class MetricsRow:
    """What one epoch came to: means over its batches, as they were met.

    `loss` is what was minimised, priors included; `validation_loss` has none. `step` counts all updates,
    `seconds` add up over resumed runs.
    """

    epoch: int
    step: int
    loss: float
    lr: float
    grad_norm: float
    seconds: float
    validation_loss: float | None = None
    terms: Mapping[str, float] | None = None

    def cells(self) -> dict[str, float | int | None]:
        fixed = {name: getattr(self, name) for name in FIXED}
        return {**fixed, **{column_of(term): value for term, value in (self.terms or {}).items()}}


def column_of(term: str) -> str:
    """The column of a term of the loss: its text, in parentheses where that is the name of another column."""
    return f"({term})" if term in FIXED else term


class Metrics:
    """Rows appended to `metrics.csv`, each flushed as it is written, so that a notebook can follow.

    Opened after a checkpoint of epoch `after`: rows beyond it are cut off, and TensorBoard told to forget
    them.
    """

    def __init__(self, folder: Path, terms: Sequence[str], after: int = 0) -> None:
        self.path = folder / "metrics.csv"
        self.columns = (*FIXED, *map(column_of, terms))
        folder.mkdir(parents=True, exist_ok=True)
        self._keep_until(after)
        self.file = self.path.open("a", newline="", encoding="utf-8")
        self.writer = csv.DictWriter(self.file, self.columns)
        self.board = _board(folder / "tensorboard", after)

    def _keep_until(self, after: int) -> None:
        """The header and the whole rows of epochs up to `after`: a crash may have left half a row."""
        rows = read_metrics(self.path) if after and self.path.is_file() else []
        kept = [row for row in rows if _epoch(row) is not None and (_epoch(row) or 0) <= after]
        lines = [",".join(_quoted(name) for name in self.columns)]
        lines += [",".join(str(row.get(name) or "") for name in self.columns) for row in kept]
        replace_file(self.path, ("\r\n".join(lines) + "\r\n").encode())

    def write(self, row: MetricsRow) -> None:
        self.writer.writerow(row.cells())
        self.file.flush()
        for name, value in row.cells().items():
            if value is not None and name not in ("epoch", "step"):
                self.board.add_scalar(name, value, row.epoch)

    def __enter__(self) -> Metrics:
        self.hook, threading.excepthook = threading.excepthook, self._of_thread
        return self

    def _of_thread(self, args: threading.ExceptHookArgs) -> None:
        """What stops TensorBoard's own thread is raised once more by the next row, and told there."""
        if not type(args.thread).__module__.startswith("tensorboard"):
            self.hook(args)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.file.close()
            self.board.close()
        finally:
            threading.excepthook = self.hook


def read_metrics(path: Path) -> list[dict[str, str]]:
    """The rows of a `metrics.csv`, cells as texts."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def read_history(path: Path) -> list[dict[str, float | int | None]]:
    """The rows of a `metrics.csv` as numbers: whole ones for epochs and steps, None for an empty cell."""
    return [{name: _cell(name, text) for name, text in row.items()} for row in read_metrics(path)]


def _cell(name: str, text: str) -> float | int | None:
    if not text:
        return None
    return int(text) if name in ("epoch", "step") else float(text)


def _epoch(row: Mapping[str, str | None]) -> int | None:
    """The epoch of a row that is whole: every fixed cell but the validation loss is there."""
    if any(not row.get(name) for name in FIXED if name != "validation_loss"):
        return None
    return int(row["epoch"] or 0)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"' if any(mark in name for mark in ',"\n') else name


def _board(folder: Path, after: int) -> Any:
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=after + 1 if after else None)
