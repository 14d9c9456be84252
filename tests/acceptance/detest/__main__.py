"""`python -m tests.acceptance.detest [-o FILE] [--limit S] [--scan N] [NAME...]`: the table of the whole suite."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from tests.acceptance.detest.problems import PROBLEMS
from tests.acceptance.measured import Row, measure, table

HERE = Path(__file__).parent
STATED = 1e-4


def rows(names: list[str], limit: float, count: int) -> Iterator[Row]:
    """Each problem in turn, shown as it is measured."""
    for name in names:
        row = measure(PROBLEMS[name], HERE / f"{name}.dyn", STATED, limit=limit, count=count)
        print(" | ".join(row.cells), flush=True)
        yield row


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="problems, all if none is named")
    parser.add_argument("-o", "--output", type=Path, help="where the table goes, in markdown")
    parser.add_argument("--limit", type=float, default=300, help="seconds of processor for compiling one")
    parser.add_argument("--scan", type=int, default=101, help="values of s")
    given = parser.parse_args()
    text = table(rows(given.names or list(PROBLEMS), given.limit, given.scan))
    if given.output is not None:
        given.output.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
