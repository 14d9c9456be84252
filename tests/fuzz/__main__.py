"""The fuzzers by hand: `python -m tests.fuzz words --cases 100000 --seed 1`. Finds go to build/fuzz, shortened."""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

from isocline_dsl import IsoclineError, read
from tests.fuzz.guard import Hang, checked, guarded
from tests.fuzz.mutations import any_bytes, any_words

FINDS = Path("build/fuzz")


def of_bytes(random: Random) -> str:
    """What is read of a file of any bytes."""
    with tempfile.NamedTemporaryFile(suffix=".dyn") as file:
        file.write(any_bytes(random))
        file.flush()
        try:
            return read(Path(file.name)).text
        except IsoclineError:
            return ""


def fault_of(text: str) -> str | None:
    """What a program is at fault for that is no message of ours, in a word; None for a model or mistakes."""
    try:
        with guarded():
            checked(text)
    except (Exception, Hang) as problem:
        last = traceback.extract_tb(problem.__traceback__)[-1]
        return f"{type(problem).__name__} in {last.name}: {str(problem)[:80]}"
    return None


def shortened(text: str, fault: str) -> str:
    """The text without the lines that the fault does not need."""
    kind, lines = fault.split(":")[0], text.split("\n")
    place = 0
    while place < len(lines) and "Hang" not in kind:
        fewer = lines[:place] + lines[place + 1 :]
        if (fault_of("\n".join(fewer)) or "").split(":")[0] == kind:
            lines = fewer
        else:
            place += 1
    return "\n".join(lines)


def keep(text: str, fault: str) -> Path:
    """Write a find where it is looked at: it goes to the corpus with what is right once it is mended."""
    FINDS.mkdir(parents=True, exist_ok=True)
    path = FINDS / f"{hashlib.sha256(fault.split(':')[0].encode()).hexdigest()[:8]}.dyn"
    path.write_text(f"# {fault!a}\n{text}")
    return path


def checking(make: Callable[[Random], str], cases: int, seed: int) -> int:
    """So many programs through `check`; how many kinds of faults were found."""
    found: Counter[str] = Counter()
    begun = time.monotonic()
    for case in range(cases):
        text = make(Random(f"{seed} {case}"))
        fault = fault_of(text)
        if fault is not None:
            kind = fault.split(":")[0]
            found[kind] += 1
            if found[kind] == 1:
                print(f"case {case}: {fault}\n  {keep(shortened(text, fault), fault)}", flush=True)
        if (case + 1) % 10_000 == 0:
            print(f"{case + 1} cases, {time.monotonic() - begun:.0f} s, {dict(found)}", flush=True)
    print(f"{cases} cases, {time.monotonic() - begun:.0f} s, {len(found)} kinds of faults: {dict(found)}")
    return len(found)


def comparing(cases: int, seed: int) -> int:
    """So many type-correct programs, compiled, run and compared; how many were wrong."""
    from tests.fuzz.compare import compared

    return compared(cases, seed)


def main() -> int:
    """Exit status 1 when anything was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("what", choices=("bytes", "words", "programs"), nargs="?", default="words")
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    warnings.simplefilter("error")
    if chosen.what == "programs":
        return int(comparing(chosen.cases, chosen.seed) > 0)
    make = of_bytes if chosen.what == "bytes" else any_words
    return int(checking(make, chosen.cases, chosen.seed) > 0)


if __name__ == "__main__":
    sys.exit(main())
