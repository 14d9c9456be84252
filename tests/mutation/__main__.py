"""`python -m tests.mutation [-o FILE] [--go-on] [--workers N] [WORD...]`: plant each fault and write what catches it.

A fault is tried when its name holds one of the words, every one without words; with `--go-on` those that the table has
as caught are left. Nothing is changed in place.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue

from tests.mutation.builds import TEXTS
from tests.mutation.fault import Fault
from tests.mutation.faults import FAULTS
from tests.mutation.trial import KINDS, Verdict, built, copied, loaded_beforehand, tested, tried, within

CAUGHT = ("build", "test", "hung")


def table(verdicts: Iterable[Verdict]) -> str:
    """Markdown: each fault with what caught it, and the counts."""
    found = list(verdicts)
    counts = Counter(item.kind for item in found)
    words = {
        "build": "stopped a build", "test": "failed a test", "hung": "ran past its time", "survived": "survived",
        "moved": "no longer found in the source",
    }  # fmt: skip
    lines = [f"| {item.fault.name} | {item.kind} | {item.by} |".replace("\n", " ") for item in found]
    total = ", ".join(f"{counts[kind]} {words[kind]}" for kind in KINDS)
    caught = sum(counts[kind] for kind in CAUGHT)
    head = f"{caught} of {len(found) - counts['moved']} planted faults are caught: {total}.\n"
    return "\n".join([head, "| fault | caught by | which |", "| --- | --- | --- |", *lines]) + "\n"


def read_table(text: str) -> dict[str, tuple[str, str]]:
    """By the names of faults, what caught them, from a table that was written."""
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return {row[0]: (row[1], " | ".join(row[2:])) for row in rows if len(row) > 2 and row[1] in CAUGHT}


def verdicts_of(
    faults: Sequence[Fault], known: Mapping[str, tuple[str, str]], workers: int, limit: int, output: Path | None
) -> list[Verdict]:
    """Try those that are not known, each worker in a copy of its own; the table grows as they come in."""
    found = {i: Verdict(fault, *known[fault.name]) for i, fault in enumerate(faults) if fault.name in known}
    with tempfile.TemporaryDirectory() as place:
        copies: Queue[Path] = Queue()
        for i in range(workers):
            copies.put(copied(Path(place) / str(i)))

        def attempt(index: int) -> None:
            copy = copies.get()
            try:
                found[index] = tried(faults[index], copy, limit)
            finally:
                copies.put(copy)
            verdict = found[index]
            print(f"{len(found)}/{len(faults)} {verdict.kind}: {verdict.fault.name} | {verdict.by}", flush=True)
            if output is not None:
                output.write_text(table(found[i] for i in sorted(found)))

        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(attempt, [i for i in range(len(faults)) if i not in found]))
    return [found[i] for i in sorted(found)]


def unharmed(faults: Sequence[Fault], limit: int) -> str | None:
    """What stops a build, or which test fails, where no fault is planted: then nothing would be shown by the trials."""
    builds = tuple(name for name in TEXTS if any(name in fault.builds for fault in faults))
    tests = tuple(dict.fromkeys(file for fault in faults for file in fault.tests))
    with tempfile.TemporaryDirectory() as place:
        copy = copied(Path(place) / "copy")
        for check, what in ((built, builds), (tested, tests)):
            ended, stopped = within(max(len(what), 1) * limit, copy, check, what)
            if not ended or stopped is not None:
                return stopped or "it does not end"
    return None


def main() -> None:
    """Try and write."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="*", help="of the names of faults")
    parser.add_argument("-o", "--output", type=Path, help="where the table goes, in markdown")
    parser.add_argument("--go-on", action="store_true", help="leave what the table says is caught")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--limit", type=int, default=90, help="seconds of processor for the builds, and for the tests")
    given = parser.parse_args()
    chosen = [item for item in FAULTS if not given.words or any(word in item.name for word in given.words)]
    known = read_table(given.output.read_text()) if given.go_on and given.output.exists() else {}
    loaded_beforehand()
    stopped = unharmed([item for item in chosen if item.name not in known], given.limit)
    if stopped is not None:
        parser.exit(2, f"without any fault: {stopped}\n")
    text = table(verdicts_of(chosen, known, given.workers, given.limit, given.output))
    print(text)


if __name__ == "__main__":
    main()
