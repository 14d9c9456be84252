"""An artifact in the form that somewhere else expects it: `isocline pack`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from isocline.packages.in_c import Files, files_in_c
from isocline_runtime.artifact import write_atomic
from isocline_runtime.messages_native import folder_not_ours, not_written, unknown_package

FORMS: Mapping[str, Callable[[str | Path], Files]] = MappingProxyType({"c": files_in_c})


def pack(path: str | Path, *, form: str = "c", out: str | Path | None = None) -> Path:
    """Write an artifact as `form` takes it, into `out` (beside the artifact, with the form behind its name).

    "c": the model as C source with a program that reads samples from lines, a Makefile, and a test on the samples of
    the certificate. Raises RunError E760 without C, E766 for an unknown form, E767 for a folder that holds other files.
    """
    if form not in FORMS:
        raise unknown_package(form, tuple(FORMS))
    files = FORMS[form](path)
    source = Path(path)
    folder = Path(out) if out is not None else source.with_name(f"{source.name}_{form}")
    try:
        there = sorted(entry.name for entry in folder.iterdir()) if folder.exists() else []
        strange = next((name for name in there if name not in files and not name.startswith(".")), None)
        if strange is not None:
            raise folder_not_ours(folder, strange)
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise not_written(folder, error.strerror or str(error)) from None
    for name, content in files.items():
        write_atomic(folder / name, content)
    return folder


__all__ = ["FORMS", "pack"]
