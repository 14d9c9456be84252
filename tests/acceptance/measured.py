"""A deployed model against scipy on a dense scan of its one input: what the certificate says, and what is true."""

from __future__ import annotations

import argparse
import json
import math
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.integrate import solve_ivp

from isocline_runtime import load

Array = np.ndarray[Any, np.dtype[np.float64]]

EVALUATIONS = 2_000_000
"""Of the equations, the most that one true solution may take."""
SLACK = 1.05
"""A certificate's number is the maximum of its samples: the scan may find a little more between them."""
VERDICTS = ("true", "exceeded", "false", "refused", "unmeasured")


@dataclass(frozen=True)
class Problem:
    """y' = slopes(t, y) from start(s), for s in the open interval (low, high), observed at `times`.

    `outputs` says which states each output of the model holds; without it the one output `y` holds all.
    """

    name: str
    slopes: Callable[[float, Array], Any]
    start: Callable[[float], Any]
    times: Array
    low: float = 0.9
    high: float = 1.1
    outputs: Mapping[str, slice] = field(default_factory=lambda: {"y": slice(None)})

    def scan(self, count: int) -> Array:
        """`count` values of s in equal distances, such as float32 holds: rounding the input is not what is measured."""
        return np.linspace(self.low, self.high, count + 2)[1:-1].astype(np.float32).astype(np.float64)

    def solved(self, s: float) -> Array:
        """The states at `times`, shape (times, states). Dormand, Prince: DOP853."""
        taken = 0

        def counted(t: float, y: Array) -> Array:
            nonlocal taken
            taken += 1
            if taken > EVALUATIONS:
                raise Unsolved(f"scipy took more than {EVALUATIONS} evaluations")
            return np.asarray(self.slopes(t, y), dtype=float)

        begin = np.asarray(self.start(s), dtype=float)
        span = (self.times[0], self.times[-1])
        found = solve_ivp(counted, span, begin, "DOP853", self.times, rtol=1e-12, atol=1e-14)
        if not found.success:
            raise Unsolved(f"scipy: {found.message}")
        return np.asarray(found.y.T)


class Unsolved(Exception):
    """A problem whose true solution was not had."""


@dataclass(frozen=True)
class Row:
    """One problem as it was found. `certified` is of what was deployed, `message` why there is nothing."""

    name: str
    seconds: float
    stated: float
    scheme: str = ""
    steps: int = 0
    certified: float = float("nan")
    true: float = float("nan")
    worst: float = float("nan")
    message: str = ""

    @property
    def verdict(self) -> str:
        """One of `VERDICTS`. False: an error above what is stated; exceeded: only above what is certified."""
        if self.scheme == "":
            return "refused"
        if self.message:
            return "unmeasured"
        if not self.true <= self.stated:
            return "false"
        return "true" if self.true <= SLACK * self.certified else "exceeded"

    @property
    def cells(self) -> tuple[str, ...]:
        """As the table shows them."""
        facts = (f"{self.certified:.1e}", f"{self.true:.1e}", f"{self.worst:.6f}") if self.scheme else ("", "", "")
        steps = str(self.steps) if self.scheme else ""
        return (
            self.name, self.verdict, self.scheme, steps, f"{self.stated:.0e}", *facts, f"{self.seconds:.1f}",
            self.message.replace("|", "/"),
        )  # fmt: skip


HEAD = ("problem", "verdict", "scheme", "steps", "stated", "certified", "true", "worst s", "seconds", "message")


def table(rows: Iterable[Row]) -> str:
    """A markdown table of them, and the counts of each verdict below it."""
    found = list(rows)
    lines = [HEAD, tuple("---" for _ in HEAD), *(row.cells for row in found)]
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    counts = ", ".join(f"{sum(row.verdict == verdict for row in found)} {verdict}" for verdict in VERDICTS)
    return f"{text}\n\n{len(found)} problems: {counts}.\n"


def measure(problem: Problem, file: Path, stated: float, *, limit: float = 300, count: int = 101) -> Row:
    """Compile a file as a user does, in at most `limit` seconds of processor, and scan what it answers."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "artifact"
        command = [sys.executable, "-m", "isocline", "compile", str(file), "-o", str(out), "--json"]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        allowed = math.ceil(limit)
        ended = subprocess.run(
            command, capture_output=True, text=True, check=False,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (allowed, allowed + 1)),
        )  # fmt: skip
        if ended.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
            return Row(problem.name, limit, stated, message=f"not through after {limit:g} s")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        if ended.returncode != 0:
            return Row(problem.name, seconds, stated, message=refusal(ended.stderr, ended.returncode))
        return _scanned(problem, out, json.loads(ended.stdout)["certificate"], seconds, count)


def refusal(said: str, status: int) -> str:
    """The first lines of the messages, without their places; else the last thing that was said, and how it ended."""
    lines = said.splitlines()
    found = "; ".join(line for line in lines if line.startswith("error"))
    return found or f"exit {status} without a message of ours: {' '.join(lines[-1:])}"


def _scanned(problem: Problem, out: Path, certificate: Mapping[str, Any], seconds: float, count: int) -> Row:
    (solve,) = certificate["solves"]
    certified = max(certificate["deployed"][name]["maximum"] for name in problem.outputs)
    facts = (problem.name, seconds, certificate["stated_error"], solve["scheme"], solve["steps"], certified)
    scan = problem.scan(count)
    session = load(out)
    found = session.run({port.name: scan.astype(port.dtype) for port in session.inputs})
    try:
        errors = errors_of(problem, scan, found)
    except Unsolved as why:
        return Row(*facts, message=str(why))
    worst = int(np.argmax(errors))
    return Row(*facts, true=float(errors[worst]), worst=float(scan[worst]))


def errors_of(problem: Problem, scan: Array, found: Mapping[str, Any]) -> Array:
    """Of each sample, the worst over outputs of max |found - true| / max |true|, as the certificate defines it."""
    true = np.stack([problem.solved(s) for s in scan])
    errors = np.zeros(len(scan))
    for name, states in problem.outputs.items():
        expected = true[..., states].reshape(len(scan), -1)
        off = np.abs(np.asarray(found[name], dtype=float).reshape(len(scan), -1) - expected)
        errors = np.maximum(errors, np.nan_to_num(off.max(1) / np.abs(expected).max(1), nan=np.inf))
    return errors


def by_hand(about: str | None, problems: Mapping[str, Problem], folder: Path, stated: Mapping[str, float]) -> None:
    """The command that measures the problems that are named, or all, shows each as it is measured, and the table."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("names", nargs="*", help="problems, all if none is named")
    parser.add_argument("-o", "--output", type=Path, help="where the table goes, in markdown")
    parser.add_argument("--limit", type=float, default=300, help="seconds of processor for compiling one")
    parser.add_argument("--scan", type=int, default=101, help="values of s")
    given = parser.parse_args()
    rows = []
    for name in given.names or problems:
        row = measure(problems[name], folder / f"{name}.dyn", stated[name], limit=given.limit, count=given.scan)
        print(" | ".join(row.cells), flush=True)
        rows.append(row)
    text = table(rows)
    if given.output is not None:
        given.output.write_text(text)
    print(text)


__all__ = ["VERDICTS", "Problem", "Row", "Unsolved", "by_hand", "errors_of", "measure", "refusal", "table"]
