"""`python -m tests.acceptance.dysts [-o FILE] [NAME...]`: the table of all systems of the package `dysts`."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.acceptance.dysts.systems import STATED, System, systems
from tests.acceptance.dysts.traced import Untranslatable
from tests.acceptance.measured import Row, measure, table


def rows(chosen: Iterable[System], dtype: str, limit: float, count: int) -> Iterator[Row]:
    """Each system in turn, shown as it is measured."""
    for system in chosen:
        row = _row(system, dtype, limit, count)
        print(" | ".join(row.cells), flush=True)
        yield row


def _row(system: System, dtype: str, limit: float, count: int) -> Row:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "system.dyn"
        try:
            file.write_text(system.text(dtype))
        except Untranslatable as why:
            return Row(system.name, 0.0, STATED, message=f"not translated: {why}")
        return measure(system.problem(), file, STATED, limit=limit, count=count)


def main() -> None:
    """Translate, measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="systems, all if none is named")
    parser.add_argument("-o", "--output", type=Path, help="where the table goes, in markdown")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument("--lyapunov-times", type=float, default=1.0, help="how far each system is followed")
    parser.add_argument("--limit", type=float, default=120, help="seconds of processor for compiling one")
    parser.add_argument("--scan", type=int, default=41, help="values of s")
    parser.add_argument("--part", default="0/1", help="k/n: of every n systems the one after the first k")
    given = parser.parse_args()
    known = systems(given.lyapunov_times)
    part, parts = map(int, given.part.split("/"))
    names = (given.names or list(known))[part::parts]
    text = table(rows([known[name] for name in names], given.dtype, given.limit, given.scan))
    if given.output is not None:
        given.output.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
