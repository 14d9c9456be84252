"""Pictures of a training run or of an artifact, as svg files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from isocline_runtime.artifact import write_atomic
from isocline_runtime.messages_artifact import nothing_there


def plot(path: str | Path, *, out: str | Path | None = None) -> list[Path]:
    """Write the pictures of a run (curves) or of an artifact (those of its report) into `out`; returns their paths.

    Without `out` they go into the run's folder, or beside the artifact's, which holds only what its manifest lists.
    Raises ArtifactError when there is neither `metrics.csv` nor `report.html`.
    """
    folder = Path(path)
    if (folder / "metrics.csv").is_file():
        pictures, target = {"curves": _curves(folder / "metrics.csv")}, folder
    elif (folder / "report.html").is_file():
        pictures = dict(_of_report((folder / "report.html").read_text(encoding="utf-8")))
        target = folder.with_name(f"{folder.name}_pictures")
    else:
        raise nothing_there(folder)
    target = Path(out) if out is not None else target
    target.mkdir(parents=True, exist_ok=True)
    return [_written(target / f"{name}.svg", text) for name, text in pictures.items()]


def _written(path: Path, text: str) -> Path:
    write_atomic(path, text.encode())
    return path


def _curves(metrics: Path) -> str:
    from isocline_compiler.report.drawings import curves
    from isocline_compiler.report.history import read_history
    from isocline_compiler.report.ink import PAPER, to_svg

    return to_svg(curves(read_history(metrics)), PAPER)


def _of_report(page: str) -> Iterator[tuple[str, str]]:
    """The drawings of a report, each a file of its own: with a namespace, paper, and colours for variables."""
    from isocline_compiler.report.ink import COLOURS, PAPER

    for number, match in enumerate(re.finditer(r"<svg [^>]*aria-label=\"([^\"]*)\".*?</svg>", page, re.DOTALL)):
        text = match[0].replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
        text = text.replace(' style="', f' style="background: {PAPER}; ', 1)
        for colour, variable in COLOURS.items():
            text = text.replace(variable, colour)
        title = re.sub(r"\W+", "_", match[1].lower()).strip("_")
        yield f"{number + 1:02d}_{title}", text + "\n"
