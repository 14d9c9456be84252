"""docs/performance.md from benchmarks/results.json: tables, a picture, and the means beside what was aimed at.

    python -m benchmarks.performance_page

What stands outside of the two marks in the page is written by hand and stays.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.performance import RESULTS
from benchmarks.works import WORKS
from isocline_runtime.artifact import write_atomic

PAGE, PICTURE = Path("docs/performance.md"), Path("docs/performance.svg")
BEGIN, END = "<!-- measured -->", "<!-- end of what was measured -->"
TITLES = {work.name: work.title for work in WORKS}
Record = Mapping[str, Any]
NETWORKS = ("net_2_64", "net_32_128", "net_4_64_64", "hamiltonian")
SCALARS = ("lotka_volterra", "cascade12", "cascade24")
COLUMNS: Mapping[str, Callable[[str], bool]] = {
    "native": lambda peer: peer.startswith("isocline, native"),
    "onnxruntime": lambda peer: peer.startswith("isocline, onnxruntime"),
    "exported loop": lambda peer: peer.startswith("torch.onnx"),
    "JAX": lambda peer: peer.startswith("JAX"),
    "diffrax": lambda peer: peer.startswith("diffrax"),
    "torchdiffeq": lambda peer: peer.startswith("torchdiffeq"),
    "SciPy": lambda peer: peer.startswith("SciPy"),
    "torch, eager": lambda peer: peer == "torch, eager",
    "OpenVINO": lambda peer: peer.startswith("OpenVINO"),
}


def _of(records: Iterable[Record], column: str) -> Record | None:
    """The quickest of a column."""
    found = [record for record in records if COLUMNS[column](record["peer"])]
    return min(found, key=lambda record: float(record["microseconds"]), default=None)


def _groups(records: Sequence[Record]) -> dict[tuple[str, int, str, str], list[Record]]:
    found: dict[tuple[str, int, str, str], list[Record]] = {}
    for record in records:
        found.setdefault((record["question"], record["batch"], record["work"], record["steps"]), []).append(record)
    return found


def _tables(records: Sequence[Record]) -> Iterable[str]:
    groups = _groups(records)
    for question in dict.fromkeys(key[0] for key in groups):
        for batch in dict.fromkeys(key[1] for key in groups if key[0] == question):
            rows = {key: found for key, found in groups.items() if key[:2] == (question, batch)}
            columns = [name for name in COLUMNS if any(_of(found, name) for found in rows.values())]
            yield f"**{question[:1].upper() + question[1:]}, batch {batch}**, microseconds\n"
            yield f"| | {' | '.join(columns)} |"
            yield f"| --- |{' ---: |' * len(columns)}"
            for (_, _, work, steps), found in rows.items():
                cells = [_cell(_of(found, name), question) for name in columns]
                yield f"| {TITLES[work]}{', ' + steps if steps else ''} | {' | '.join(cells)} |"
            yield ""


def _cell(record: Record | None, question: str) -> str:
    if record is None:
        return ""
    microseconds = float(record["microseconds"])
    number = f"{microseconds:.1f}" if microseconds < 100 else f"{microseconds:,.0f}".replace(",", " ")
    if question.startswith("same error"):
        how = re.sub(r"^(isocline, \w+: |SciPy |torchdiffeq |diffrax )", "", record["peer"])
        return f"{number} ({how})"
    return number


def _mean(ratios: Sequence[float]) -> str:
    if not ratios:
        return "not measured"
    return f"{math.exp(sum(map(math.log, ratios)) / len(ratios)):.2f}"


def _ratios(
    records: Sequence[Record],
    question: str,
    batch: int,
    works: Sequence[str],
    ours: Sequence[str],
    peers: Sequence[str],
) -> list[float]:
    """Of each work the better of the peers over the better of ours; the first number of steps."""
    found: dict[str, float] = {}
    for (asked, size, work, _), group in _groups(records).items():
        if (asked, size) != (question, batch) or work not in works or work in found:
            continue
        mine = [item["microseconds"] for item in (_of(group, name) for name in ours) if item]
        theirs = [item["microseconds"] for item in (_of(group, name) for name in peers) if item]
        if mine and theirs:
            found[work] = min(theirs) / min(mine)
    return list(found.values())


AIMS: Sequence[tuple[str, str, int, Sequence[str], Sequence[str], Sequence[str], str]] = (
    ("ONNX over the exported loop, networks", "same scheme", 1, NETWORKS, ["onnxruntime"], ["exported loop"], "1.8"),
    ("ONNX over the exported loop, scalar equations", "same scheme", 1, SCALARS, ["onnxruntime"], ["exported loop"],
     "10"),
    ("ONNX over the exported loop", "same scheme", 1024, (*NETWORKS, *SCALARS), ["onnxruntime"], ["exported loop"],
     "1.0"),
    ("native over the better of JAX and diffrax", "same scheme", 1, (*NETWORKS, *SCALARS), ["native"],
     ["JAX", "diffrax"], "2"),
    ("the better engine over the better of JAX and diffrax", "same scheme", 1024, (*NETWORKS, *SCALARS),
     ["native", "onnxruntime"], ["JAX", "diffrax"], "1.0"),
    ("the better engine over the best peer", "same error 0.001", 1, (*NETWORKS, *SCALARS), ["native", "onnxruntime"],
     ["JAX", "diffrax", "torchdiffeq", "SciPy"], "3"),
    ("the better engine over the best peer", "same error 0.001", 1024, (*NETWORKS, *SCALARS),
     ["native", "onnxruntime"], ["JAX", "diffrax", "torchdiffeq"], "1.5"),
    ("the better engine over torchdiffeq", "same error 0.001", 1, (*NETWORKS, *SCALARS), ["native", "onnxruntime"],
     ["torchdiffeq"], "200"),
)  # fmt: skip
"""What is compared, in which question, at which batch, over which works, ours, theirs, and what was aimed at."""


def _aims(records: Sequence[Record]) -> Iterable[str]:
    yield "| geometric means of the other's time over ours | question | batch | measured | aimed at |"
    yield "| --- | --- | ---: | ---: | ---: |"
    for words, question, batch, works, ours, theirs, aim in AIMS:
        ratios = _ratios(records, question, batch, works, ours, theirs)
        spread = f" ({min(ratios):.2g} to {max(ratios):.2g})" if ratios else ""
        yield f"| {words} | {question} | {batch} | {_mean(ratios)}{spread} | {aim} |"
    yield ""


def _picture(records: Sequence[Record]) -> str:
    """Bars of the same scheme at batch 1, on a logarithmic axis."""
    from isocline_compiler.report.ink import PAPER, inked, sheet, to_svg

    columns = ("native", "onnxruntime", "JAX", "diffrax", "exported loop", "torchdiffeq")
    first = {key[2]: found for key, found in reversed(_groups(records).items()) if key[:2] == ("same scheme", 1)}
    works = [work for work in TITLES if work in first]
    with inked():
        picture = sheet(4.2)
        axes = picture.add_subplot()
        width = 0.8 / len(columns)
        for number, column in enumerate(columns):
            found = [_of(first[work], column) for work in works]
            heights = [item["microseconds"] if item else float("nan") for item in found]
            axes.bar([i + (number - 2.5) * width for i in range(len(works))], heights, width, label=column)
        axes.set_yscale("log")
        axes.set_ylabel("microseconds a call, one sample")
        axes.set_xticks(range(len(works)), [TITLES[work].replace(", ", ",\n") for work in works], fontsize=7)
        axes.legend(fontsize=7, ncols=3)
        return to_svg(picture, PAPER)


def main() -> None:
    stored = json.loads(RESULTS.read_text())
    records, versions = stored["records"], stored["versions"]
    parts = [*_aims(records), "![one sample](performance.svg)", "", *_tables(records)]
    said = ", ".join(f"{name} {value}" for name, value in versions.items() if value)
    text = PAGE.read_text()
    before, after = text[: text.index(BEGIN) + len(BEGIN)], text[text.index(END) :]
    write_atomic(PAGE, "\n".join([before, "", *parts, f"{said}.", "", after]).encode())
    write_atomic(PICTURE, _picture(records).encode())


if __name__ == "__main__":
    main()
