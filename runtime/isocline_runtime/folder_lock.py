"""A folder that one process at a time writes into: a lock that the system lets go of when its holder dies."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LOCK_FILE = ".lock"


class FolderInUse(Exception):
    """Another process holds the folder; `holder` is its id as it wrote it down, "" when it has not yet."""

    def __init__(self, folder: Path, holder: str) -> None:
        super().__init__(folder, holder)
        self.folder = folder
        self.holder = holder


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold `folder` for as long as the block runs. Raises FolderInUse at once, and OSError."""
    path = folder / LOCK_FILE
    descriptor = _acquire(path)
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        yield
    finally:
        with suppress(OSError):
            path.unlink()  # while it is held, so that nobody else's is removed
        os.close(descriptor)


def _acquire(path: Path) -> int:
    """The open lock file. One that its holder removed between our opening and our locking it is no lock: once more."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _lock(descriptor)
            if _is_still(path, descriptor):
                return descriptor
        except BlockingIOError:
            holder = os.read(descriptor, 20).decode("ascii", "replace")
            os.close(descriptor)
            raise FolderInUse(path.parent, holder) from None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _lock(descriptor: int) -> None:
    """Raises BlockingIOError when another holds it. A file system that knows no locks is written without one."""
    try:
        import fcntl
    except ImportError:  # not a POSIX system
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        return
