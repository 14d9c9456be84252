"""Train, compile and certify the zoo, one family at a time, into build/zoo: table.json and index.html.

    python -m examples.zoo.run                    what is not there yet, or whose file changed
    python -m examples.zoo.run --only NAME...     these, and anew
    python -m examples.zoo.run --all              the families that are examples of their own, too; these take minutes
    python -m examples.zoo.run --measure          what is built is measured and drawn again, nothing is trained

A family that fails is a row that says why. The page is written after each, so that it can be looked at meanwhile.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import isocline
from benchmarks.engines import Engine, engines
from examples.build_all import EXAMPLES
from examples.fetching import NotFetched, write_whole
from examples.zoo.families import FOLDER, Family, families
from examples.zoo.measure import Row, described, measurements
from examples.zoo.page import page
from examples.zoo.pictures import picture_of

FETCH = {
    "digits": "examples.digits.fetch",
    "market": "examples.market.fetch",
    "pendulum": "examples.pendulum.simulate",
    "cells": "examples.zoo.fetch",
    "sequences": "examples.zoo.fetch",
    "profiles": "examples.zoo.fetch",
    "mackey_glass": "examples.zoo.simulate",
    "burgers": "examples.zoo.simulate",
    "balls": "examples.zoo.simulate",
}
"""What writes the data of a file, by their name."""
LIMIT_S = 600
"""A family that takes longer has failed."""


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="NAME", default=())
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--build", type=Path, default=Path("build/zoo"))
    options = parser.parse_args(arguments)
    rows = families()
    unknown = sorted(set(options.only) - {row.name for row in rows})
    if unknown:
        parser.error(f"no family is called {', '.join(unknown)}; there are: {', '.join(row.name for row in rows)}")
    options.build.mkdir(parents=True, exist_ok=True)
    tools = engines()
    for family in (row for row in rows if not options.only or row.name in options.only):
        if options.measure:
            _measure_again(family, options.build, tools)
        else:
            _row(family, options.build, tools, anew=bool(options.only), everything=options.all)
        _write(rows, options.build)
    failed = [row["name"] for row in _write(rows, options.build) if row["status"] == "failed"]
    print(f"{options.build / 'index.html'}: {len(rows)} families, {len(failed)} failed {' '.join(failed)}")
    return 1 if failed else 0


def _row(family: Family, build: Path, tools: Sequence[Engine], *, anew: bool, everything: bool) -> None:
    """Make the row of a family, unless it is there and of the same text; one that failed is tried again."""
    if family.path is None or (not anew and _is_made(family, family.path, build)):
        return
    if family.path.parent != FOLDER and not (anew or everything):
        return
    started, digest = time.perf_counter(), _digest(family.path)
    found = _built(family, family.path, build, tools)
    row = {**described(family), **found, "source_sha256": digest}
    row["seconds"] = round(time.perf_counter() - started, 1)
    write_whole(build / f"{family.name}.json", (json.dumps(row, indent=1) + "\n").encode())
    print(f"{row['status']:8}{family.name}  ({row['seconds']:.0f} s)  {row.get('why', '')}", flush=True)


def _measure_again(family: Family, build: Path, tools: Sequence[Engine]) -> None:
    known = _known(family, build)
    if known is not None and family.path is not None and known["status"] == "ok":
        found = _measured(family, family.path, build, tools)
        write_whole(build / f"{family.name}.json", (json.dumps({**known, **found}, indent=1) + "\n").encode())


def _is_made(family: Family, file: Path, build: Path) -> bool:
    known = _known(family, build)
    return known is not None and known["status"] == "ok" and known["source_sha256"] == _digest(file)


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _known(family: Family, build: Path) -> Row | None:
    path = build / f"{family.name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _built(family: Family, file: Path, build: Path, tools: Sequence[Engine]) -> Row:
    """Status and numbers of a family, built in a process of its own."""
    folder = build / family.name
    try:
        _fetch(family, file)
        command = [sys.executable, "-m", "isocline", "build", str(file), "-o", str(folder)]
        command += ["--run", str(build / "runs" / family.name)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S)
    except NotFetched as problem:
        return {"status": "failed", "why": str(problem)}
    except subprocess.TimeoutExpired:
        return {"status": "failed", "why": f"not done after {LIMIT_S} seconds"}
    (build / f"{family.name}.log").write_text(done.stdout + done.stderr, encoding="utf-8")
    if done.returncode:
        return {"status": "failed", "why": _why(done.stdout + done.stderr)}
    return _measured(family, file, build, tools)


def _measured(family: Family, file: Path, build: Path, tools: Sequence[Engine]) -> Row:
    """Status, numbers and picture of what is built."""
    folder = build / family.name
    try:
        model = isocline.check(file)
        numbers = measurements(model, file, folder, tools)
        return {"status": "ok", **numbers, "picture": picture_of(family.name, model, file, folder)}
    except Exception as problem:  # a row says what went wrong, whatever it was
        return {"status": "failed", "why": f"built, and not measured: {type(problem).__name__}: {problem}"}


def _fetch(family: Family, file: Path) -> None:
    """Write the data of a family, where they are not there yet."""
    example = next((item for item in EXAMPLES if item.file == file), None)
    source = next(line.split('"')[1] for line in file.read_text(encoding="utf-8").splitlines() if " source " in line)
    data = file.parent / source
    if data.is_file():
        return
    module = example.fetch if example is not None else FETCH[data.stem]
    assert module is not None, f"{family.name} has no data, and nothing fetches them"
    done = subprocess.run([sys.executable, "-m", module], capture_output=True, text=True)
    if done.returncode:
        raise NotFetched(done.stderr.strip())


def _why(log: str) -> str:
    """The first error of a log, else its last line."""
    lines = log.strip().splitlines()
    return next((line for line in lines if line.startswith("error")), lines[-1] if lines else "it said nothing")


def _write(rows: Sequence[Family], build: Path) -> list[Row]:
    """The table and the page, of all that is known now."""
    table = [{**(_known(family, build) or _absent(family)), **described(family)} for family in rows]
    numbers = [{key: value for key, value in row.items() if key != "picture"} for row in table]
    write_whole(build / "table.json", (json.dumps(numbers, indent=1) + "\n").encode())
    write_whole(build / "index.html", page(table).encode())
    return table


def _absent(family: Family) -> Row:
    if family.path is None:
        return {"status": "cannot be said yet", "why": family.missing}
    own = family.path.parent == FOLDER
    return {"status": "not built", "why": "" if own else f"built by: python -m examples.zoo.run --only {family.name}"}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
