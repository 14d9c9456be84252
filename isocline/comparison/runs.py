"""All runs of a comparison: each in a folder and a process of its own, several at a time, none made twice."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from isocline.comparison.outcome import ARTIFACT, INTERRUPTED, RUN, Asked, Outcome
from isocline.comparison.summary import Comparison

if TYPE_CHECKING:
    from isocline_compiler.model import Model

LOG = "log.txt"
QUIET = 5.0
"""Seconds without a word of a run."""


def compare(
    files: Sequence[str | Path],
    out: str | Path = "build/comparison",
    *,
    seeds: int = 3,
    data: str | Path | None = None,
    epochs: int | None = None,
    processes: int = 1,
    progress: Callable[[str], None] | None = None,
) -> Comparison:
    """Train, compile and measure several models on the same data, each from the seeds 0, 1, ...

    What is compared are the left sides of the models' checks, on held-out data and by the deployed artifact; whether a
    check holds does not matter here. `epochs` is the budget of every model, instead of its own. Runs that are in `out`
    already, of the same files and data, are not made again; one that was interrupted goes on. A table as text and csv,
    and a page with pictures, are written to `out`. Raises IsoclineError for a mistake in any of the files.
    """
    from isocline_compiler.lower.check import check
    from isocline_dsl import messages
    from isocline_dsl.diagnostics import IsoclineError

    say, place = progress or (lambda text: None), Path(out)
    models = {Path(file).stem: check(file) for file in files}
    if len(models) < len(files):
        raise IsoclineError([messages.compared_alike(sorted(Path(file).stem for file in files))])
    for name, model in models.items():
        if not model.deployment.checks:
            raise IsoclineError([messages.nothing_compared(model.deployment.span, name)], model.source)
    asked = [
        Asked(name, str(Path(file).resolve()), seed, None if data is None else str(Path(data).resolve()), epochs,
              _digest(models[name], Path(file), seed, data, epochs))
        for name, file in zip(models, files, strict=True) for seed in range(seeds)
    ]  # fmt: skip
    outcomes = _all(place, asked, processes, say)
    found = Comparison(tuple(models), tuple(outcomes), _budgets(models, epochs))
    _write(found, place)
    return found


def _write(found: Comparison, folder: Path) -> None:
    """`comparison.txt`, `comparison.csv` and `comparison.html`."""
    from isocline.comparison.page import page
    from isocline_runtime.artifact import write_atomic

    folder.mkdir(parents=True, exist_ok=True)
    for ending, text in (("txt", "\n".join(found.lines()) + "\n"), ("csv", found.csv()), ("html", page(found))):
        write_atomic(folder / f"comparison.{ending}", text.encode())


def _all(place: Path, asked: Sequence[Asked], processes: int, say: Callable[[str], None]) -> list[Outcome]:
    """Each outcome, known or made now. After Ctrl-C nothing is begun; what was on its way is gone on with next time."""
    done = 0

    def one(item: Asked) -> Outcome:
        nonlocal done
        folder = place / item.model / f"seed-{item.seed}"
        known = Outcome.known(folder, item)
        found = known or _made(folder, item, say)
        done += 1
        told = found.failed or ", ".join(f"{name} {value:.4g}" for name, value in found.measures.items())
        say(f"{done}/{len(asked)}  {item.model}, seed {item.seed}: {told}{' (known)' if known else ''}")
        return found

    pool = ThreadPoolExecutor(max(processes, 1))
    try:
        return list(pool.map(one, asked))
    finally:
        pool.shutdown(cancel_futures=True)


def _made(folder: Path, asked: Asked, say: Callable[[str], None]) -> Outcome:
    """The outcome of a run that is made now, in a process of its own."""
    try:
        older = Asked.read(folder)
    except (OSError, ValueError, TypeError):
        older = None
    if older is not None and older.digest != asked.digest:
        for name in (RUN, ARTIFACT):  # of another question: nothing to go on from
            shutil.rmtree(folder / name, ignore_errors=True)
    asked.write(folder)
    command = [sys.executable, "-m", "isocline.comparison.one", str(folder)]
    surroundings = {**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    with (
        (folder / LOG).open("w", encoding="utf-8") as log,
        subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=surroundings) as child,
    ):
        while child.poll() is None:
            try:
                child.wait(QUIET)
            except subprocess.TimeoutExpired:
                say(f"     {asked.model}, seed {asked.seed}: {_epoch(folder)}")
    if child.returncode == INTERRUPTED:
        raise KeyboardInterrupt
    if child.returncode:
        last = (folder / LOG).read_text(encoding="utf-8", errors="replace").strip().splitlines()
        reason = last[-1] if last else f"status {child.returncode}"
        return Outcome(asked.model, asked.seed, asked.digest, failed=reason)
    return Outcome.read(folder)


def _epoch(folder: Path) -> str:
    """How far a run is, from the rows of its metrics."""
    try:
        with (folder / RUN / "metrics.csv").open(encoding="utf-8") as file:
            return f"{max(sum(1 for _ in file) - 1, 0)} epochs"
    except OSError:
        return "begun"


def _digest(model: Model, file: Path, seed: int, data: str | Path | None, epochs: int | None) -> str:
    """Of all that decides an outcome: the text of the model, the data, the seed, the budget and the version."""
    from isocline_compiler.certify.versions import versions

    own = model.data.source if model.data is not None else None
    place = Path(data) if data is not None else file.parent / own if own else None
    stored = place.stat() if place is not None and place.exists() else None
    told = [
        versions(), model.source.text, seed, epochs,
        None if stored is None else [str(place), stored.st_size, stored.st_mtime_ns],
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _budgets(models: Mapping[str, Model], epochs: int | None) -> dict[str, int | None]:
    """The epochs of each model; None where nothing is trained."""
    return {name: None if model.training is None else epochs or model.training.epochs for name, model in models.items()}


__all__ = ["compare"]
