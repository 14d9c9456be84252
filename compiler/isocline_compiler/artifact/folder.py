"""An artifact's folder: how it comes into being whole or not at all, beside nothing that is the user's.

Files are written into a staging folder inside it, so that both are on one file system and nothing outside is touched,
and then moved up one by one, the manifest last: until then the hashes of an older manifest reveal the mixture.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from isocline_dsl.diagnostics import IsoclineError
from isocline_dsl.messages import folders as messages
from isocline_runtime import load
from isocline_runtime.errors import RuntimeFault
from isocline_runtime.folder_lock import FolderInUse, locked
from isocline_runtime.manifest import ARTIFACT_FILES, FORMAT_VERSION, MANIFEST_FILE
from isocline_runtime.manifest_reader import read_manifest

STAGING = ".building-"


@contextmanager
def write_folder(folder: Path) -> Iterator[Path]:
    """A staging folder whose files become the artifact at the end, or disappear when something is raised.

    The artifact is then loaded from the disk as its user would. Raises IsoclineError: E640 for a folder with files that
    are not an artifact's, E641 when another process builds there, E642 where the system refuses, E643 for what was
    written and does not load.
    """
    was_there = folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder):
            before = require_ours(folder)
            _remove_killed(folder)
            staging = Path(tempfile.mkdtemp(prefix=STAGING, dir=folder))
            try:
                yield staging
                _load(staging)
                _replace(folder, staging, before)
            finally:
                shutil.rmtree(staging, ignore_errors=True)
            _load(folder)
    except FolderInUse as used:
        raise IsoclineError([messages.folder_in_use(folder, used.holder)]) from None
    except OSError as error:
        place = error.filename or folder
        raise IsoclineError([messages.folder_not_writable(place, error.strerror or str(error))]) from None
    finally:
        if not was_there:
            with suppress(OSError):
                folder.rmdir()  # only when nothing came of it: a folder with files stays


def require_ours(folder: Path) -> set[str]:
    """The names of the artifact that is there, if any. Raises E640 at the first file that is none of ours, E642.

    Ours are the files that a manifest lists, and those with the names of an artifact where a manifest or the staging
    folder of a build that was killed says that they are. Names with a dot in front are nobody's: they are left alone.
    """
    if not folder.exists():
        return set()
    try:
        names = {entry.name for entry in folder.iterdir()}
    except OSError as error:
        raise IsoclineError([messages.folder_not_writable(folder, error.strerror or str(error))]) from None
    there = {name for name in names if not name.startswith(".")}
    known = _listed(folder / MANIFEST_FILE)
    was_building = any(name.startswith(STAGING) for name in names)
    ours = known | ARTIFACT_FILES if known or was_building else frozenset()
    for name in sorted(there - ours):
        raise IsoclineError([messages.folder_not_ours(folder, name)])
    return there


def _remove_killed(folder: Path) -> None:
    """Staging folders of builds that were killed: nobody is at work in them while the lock is held."""
    for staging in folder.glob(f"{STAGING}*"):
        shutil.rmtree(staging, ignore_errors=True)


def _listed(manifest: Path) -> frozenset[str]:
    """The files of the artifact whose manifest this is, itself included; none where there is no such manifest."""
    try:
        content = manifest.read_bytes()
        return frozenset(read_manifest(content, str(manifest)).files) | {MANIFEST_FILE}
    except OSError:
        return frozenset()
    except RuntimeFault:
        return frozenset({MANIFEST_FILE}) if _is_of_another_format(content) else frozenset()


def _is_of_another_format(content: bytes) -> bool:
    """Whether an older or a newer version wrote a manifest: what a build replaces are then files with its names."""
    try:
        found = json.loads(content)
    except ValueError:
        return False
    number = found.get("format_version") if isinstance(found, dict) else None
    return isinstance(number, int) and number != FORMAT_VERSION and isinstance(found.get("files"), dict)


def _replace(folder: Path, staging: Path, before: set[str]) -> None:
    """Move the files up, take away those of the older artifact that the new one has not, the manifest last."""
    names = {path.name for path in staging.iterdir()}
    for name in sorted(names - {MANIFEST_FILE}):
        (staging / name).replace(folder / name)
    for name in sorted(before - names):
        (folder / name).unlink()
    (staging / MANIFEST_FILE).replace(folder / MANIFEST_FILE)


def _load(folder: Path) -> None:
    """As a stranger would. Raises E643."""
    try:
        session = load(folder)
        if session.manifest is not None and session.manifest.attribution is not None:
            session.attributor()
        if session.manifest is not None and session.manifest.stream is not None:
            session.stepper()
    except RuntimeFault as fault:
        raise IsoclineError([messages.written_folder_unreadable(folder, fault.message)]) from None
