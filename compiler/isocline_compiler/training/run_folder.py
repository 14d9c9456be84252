"""The folder of a run: locked while it is written, an earlier run kept aside, nothing of the user's touched."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from isocline_dsl.diagnostics import IsoclineError
from isocline_dsl.messages import folders as messages
from isocline_runtime.folder_lock import FolderInUse, locked

CHECKPOINT = "checkpoint.safetensors"
WEIGHTS = "weights.safetensors"
LAST_FINITE = "last_finite.safetensors"
METRICS = "metrics.csv"
BOARD = "tensorboard"
PREVIOUS = "previous"
WRITTEN = (CHECKPOINT, WEIGHTS, LAST_FINITE, METRICS, BOARD)
"""What a run writes into its folder."""


@contextmanager
def run_folder(folder: Path) -> Iterator[None]:
    """Hold the folder of a run. Raises IsoclineError: E641 when another training does, E642 where nothing is written.

    What a run that was killed left half written is taken away.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder):
            for name in WRITTEN:
                for partial in folder.glob(f".{name}.*.tmp"):
                    partial.unlink()
            yield
    except FolderInUse as used:
        raise IsoclineError([messages.folder_in_use(folder, used.holder)]) from None
    except OSError as error:
        place = error.filename or folder
        raise IsoclineError([messages.folder_not_writable(place, error.strerror or str(error))]) from None


def set_aside(folder: Path) -> None:
    """Make room for a new run: one that was completed moves to `previous`, one that was not is taken away.

    So nothing of it can be resumed or read by mistake, and hours of training are not lost to a word too few. Raises
    E640 where files with these names are not those of a run.
    """
    there = [name for name in WRITTEN if (folder / name).exists()]
    if there and not {CHECKPOINT, WEIGHTS} & set(there):
        raise IsoclineError([messages.folder_not_ours(folder, there[0])])
    if WEIGHTS not in there:
        _remove(folder, there)
        return
    kept = folder / PREVIOUS
    _remove(folder, [PREVIOUS] if kept.exists() else [])
    kept.mkdir()
    for name in sorted(there, key=WEIGHTS.__eq__):  # the weights last: they say that a run is there
        (folder / name).rename(kept / name)


def _remove(folder: Path, names: list[str]) -> None:
    for name in sorted(names, key=CHECKPOINT.__eq__):  # the checkpoint last: it says that the rest is ours
        place = folder / name
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        else:
            place.unlink()
