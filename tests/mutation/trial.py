"""One fault in a copy of the source: the builds first, then the tests, each in a process of its own with limits."""

from __future__ import annotations

import compileall
import importlib
import importlib.util
import os
import py_compile
import resource
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tests.mutation.fault import Fault, Moved

ROOT = Path(__file__).parents[2]
COPIED = ("compiler", "dsl", "runtime", "isocline", "tests", "docs", "examples", "benchmarks")
FILES = ("pyproject.toml", "constraints.txt", "README.md", "CONTRIBUTING.md", "Makefile")
PACKAGES = ("isocline", "isocline_compiler", "isocline_dsl", "isocline_runtime", "tests")
BEFOREHAND = (
    "torch", "torchdiffeq", "torchsde", "onnx", "onnxruntime", "scipy.integrate", "scipy.stats", "networkx", "lark",
    "pytest", "hypothesis", "syrupy", "pyarrow.parquet", "pyarrow.csv", "safetensors.numpy", "matplotlib.figure",
    "matplotlib.backends.backend_svg", "mpl_toolkits.mplot3d", "jinja2", "pygments", "rich", "typer",
)  # fmt: skip
"""Loaded once, before a process is forked for each trial; nothing of our own is among it."""


@dataclass(frozen=True)
class Verdict:
    """What became of a fault: `by` names a build and its message, or a test; `kind` is one of `KINDS`."""

    fault: Fault
    kind: str
    by: str = ""


KINDS = ("build", "test", "hung", "survived", "moved")


def copied(place: Path) -> Path:
    """The source tree in a folder of its own, compiled: what is changed later is read anew, by its hash."""
    for name in COPIED:
        ignored = shutil.ignore_patterns("__pycache__", "build", "runs")
        shutil.copytree(ROOT / name, place / name, ignore=ignored, symlinks=True)
    for name in FILES:
        shutil.copy(ROOT / name, place / name)
    mode = py_compile.PycInvalidationMode.CHECKED_HASH
    for name in ("compiler", "dsl", "runtime", "isocline"):
        compileall.compile_dir(place / name, quiet=1, invalidation_mode=mode)
    return place


def loaded_beforehand() -> None:
    """Import what every trial needs of others."""
    for name in BEFOREHAND:
        importlib.import_module(name)


@contextmanager
def planted(fault: Fault, copy: Path) -> Iterator[None]:
    """The fault stands in the copy. Raises Moved."""
    file = copy / fault.file
    if not file.exists():
        raise Moved(f"there is no {fault.file}")
    before = file.read_text()
    file.write_text(fault.planted(before))
    try:
        yield
    finally:
        file.write_text(before)


def tried(fault: Fault, copy: Path, limit: int) -> Verdict:
    """Plant, build, test."""
    try:
        with planted(fault, copy):
            return _judged(fault, copy, limit)
    except Moved as why:
        return Verdict(fault, "moved", str(why))


def _judged(fault: Fault, copy: Path, limit: int) -> Verdict:
    for kind, check, what in (("build", built, fault.builds), ("test", tested, fault.tests)):
        if what:
            ended, found = within(limit, copy, check, what)
            if not ended:
                return Verdict(fault, "hung", f"{kind}: more than {limit} s")
            if found is not None:
                return Verdict(fault, kind, found)
    return Verdict(fault, "survived")


def built(names: Sequence[str]) -> str | None:
    """The first build that stops, and at what."""
    stopped = importlib.import_module("tests.mutation.builds").run(names)
    return None if stopped is None else f"{stopped[0]}: {stopped[1]}"


class FirstFailure:
    """A plugin of pytest that keeps the name of the first test that fails."""

    name: str | None = None

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed and self.name is None:
            self.name = str(report.nodeid).partition("[")[0]

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed and self.name is None:
            self.name = f"{report.nodeid} is not imported"


def tested(files: Sequence[str]) -> str | None:
    """The first test that fails. Examples of properties are the same every time, and may take as long as they do."""
    import pytest
    from hypothesis import HealthCheck, settings

    settings.register_profile("trial", deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    settings.load_profile("trial")
    first = FirstFailure()
    status = pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *files], plugins=[first])
    return first.name or (None if status == 0 else f"pytest ended with {int(status)}")


def within(limit: int, copy: Path, check: Callable[[Sequence[str]], Any], what: Sequence[str]) -> tuple[bool, Any]:
    """What `check(what)` finds in a process that sees the copy alone, and whether it ended in time of processor."""
    context = get_context("fork")
    mine, other = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(other, limit, copy, check, what))
    process.start()
    other.close()
    try:
        found = mine.recv() if mine.poll(20 * limit) else NOTHING
    except EOFError:  # it went without a word
        found = NOTHING
    if found is NOTHING:
        process.kill()
    process.join()
    return (False, None) if found is NOTHING else (True, found)


NOTHING = object()


def _child(end: Connection, limit: int, copy: Path, check: Callable[[Sequence[str]], Any], what: Sequence[str]) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 1))
    os.chdir(copy)
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    sys.dont_write_bytecode = True
    see_only(copy)
    end.send(check(what))
    end.close()
    os._exit(0)


def see_only(copy: Path) -> None:
    """Our packages come from the copy and from nowhere else, in processes that a test starts too."""
    for name in [name for name in sys.modules if name.partition(".")[0] in PACKAGES]:
        del sys.modules[name]
    theirs = [item for item in sys.path if item and not any((Path(item) / name).is_dir() for name in PACKAGES)]
    ours = [str(copy), *(str(copy / name) for name in ("compiler", "dsl", "runtime"))]
    sys.path[:] = [*ours, *theirs]
    os.environ["PYTHONPATH"] = os.pathsep.join(ours)
    importlib.invalidate_caches()
    for name in PACKAGES[:-1]:
        found = importlib.util.find_spec(name)
        assert found is not None
        assert found.origin is not None
        assert Path(found.origin).is_relative_to(copy), found.origin


__all__ = ["KINDS", "ROOT", "Verdict", "copied", "loaded_beforehand", "tried", "within"]
