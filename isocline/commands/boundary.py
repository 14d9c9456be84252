"""Where the commands end: exceptions become messages on stderr and an exit status."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import typer
from typer.core import TyperGroup

from isocline_runtime.messages_artifact import unreadable

FAULT, INTERNAL, INTERRUPTED = 1, 70, 130

OF_THE_SYSTEM = frozenset(
    getattr(errno, name)
    for name in (
        "EACCES", "EPERM", "EROFS", "ENOSPC", "EDQUOT", "EFBIG", "EIO", "EISDIR", "ENOTDIR", "ENOENT", "EEXIST",
        "ENAMETOOLONG", "ELOOP", "EMFILE", "ENFILE", "EBUSY", "ETXTBSY", "ESTALE", "ENOTEMPTY",
    )
    if hasattr(errno, name)
)  # fmt: skip
"""What a file system says no with: the disk, the rights or the name is at fault."""

EXTRA_OF = {
    "lark": "compiler",
    "networkx": "compiler",
    "onnx": "compiler",
    "torch": "compiler",
    "torchdiffeq": "compiler",
    "safetensors": "compiler",
    "accelerate": "compiler",
    "tensorboard": "compiler",
    "matplotlib": "compiler",
    "jinja2": "compiler",
    "onnxruntime": "cpu",
    "cryptography": "sign",
}


class Front(TyperGroup):
    """The group of all commands: whatever leaves one of them is told in words."""

    def invoke(self, ctx: Any) -> Any:
        with boundary():
            return super().invoke(ctx)


@contextmanager
def boundary() -> Iterator[None]:
    """Exit status 1 for the user's mistakes, 130 for Ctrl-C, 70 for ours."""
    try:
        yield
        _flush()  # a disk may be full only now
    except KeyboardInterrupt:
        tell("interrupted")
        raise typer.Exit(INTERRUPTED) from None
    except (typer.Exit, typer.Abort, BrokenPipeError):
        raise
    except Exception as error:  # the outermost place: whatever it is, the user reads words
        if _was_interrupted(error):
            tell("interrupted")
            raise typer.Exit(INTERRUPTED) from None
        if _is_usage(error):
            raise
        raise _told(error) from None


def _was_interrupted(error: BaseException | None) -> bool:
    """Whether a Ctrl-C is behind it: a library that is interrupted while it is loaded raises errors of its own."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__cause__ or error.__context__
    return False


def _told(error: Exception) -> typer.Exit:
    """Say what happened. A package that is not loaded yet cannot have raised anything, and need not be installed."""
    diagnostics = sys.modules.get("isocline_dsl.diagnostics")
    if diagnostics is not None and isinstance(error, diagnostics.IsoclineError):
        from isocline_dsl.render import render_error

        return fault(render_error(error))
    faults = sys.modules.get("isocline_runtime.errors")
    if faults is not None and isinstance(error, faults.RuntimeFault):
        return fault(str(error))
    if isinstance(error, ModuleNotFoundError):
        return _missing(error)
    if isinstance(error, OSError) and error.errno in OF_THE_SYSTEM:
        _flush(again=True)
        return fault(str(unreadable(error.filename or "the output", error.strerror or str(error))))
    return _internal(error)


def _flush(again: bool = False) -> None:
    """Write what is left of the output; after an error, throw it away, or the interpreter would fail once more."""
    try:
        sys.stdout.flush()
    except OSError:
        if not again:
            raise
        with suppress(OSError):  # a stream without a descriptor is not flushed at the end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def tell(text: str) -> None:
    """A line on stderr."""
    print(text, file=sys.stderr, flush=True)


def fault(text: str) -> typer.Exit:
    """Print what is at fault; raise what is returned."""
    tell(text)
    return typer.Exit(FAULT)


def _missing(error: ModuleNotFoundError) -> typer.Exit:
    package = (error.name or "").partition(".")[0]
    extra = EXTRA_OF.get(package)
    if extra is None:
        return _internal(error)
    return fault(f"error: this needs {package}, which is not installed\n  hint: pip install 'isocline[{extra}]'")


def _is_usage(error: Exception) -> bool:
    """Typer's own exceptions know how they are shown; which class they have depends on its version."""
    return hasattr(error, "exit_code") and hasattr(error, "format_message")


def _internal(error: Exception) -> typer.Exit:
    report = "".join(traceback.format_exception(error))
    if os.environ.get("ISOCLINE_DEBUG"):
        tell(report)
    else:
        tell(f"internal error: {type(error).__name__}: {error}")
        kept = _kept(report)
        if kept is None:
            tell(report)
        tell(f"  This is a mistake in isocline, not in your file. Please report it{f' with {kept}' if kept else ''}")
        tell("  --debug prints it here.")
    return typer.Exit(INTERNAL)


def _kept(report: str) -> str | None:
    """The file that holds the report; None when none can be written."""
    try:
        handle, path = tempfile.mkstemp(prefix="isocline-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(report)
    except OSError:
        return None
    return path
