"""The pictures of the first page, from the report of the demo: into docs/pictures, each below 60 kB.

make pictures
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import isocline

OUT = Path("docs/pictures")
LARGEST = 60_000
"""Bytes."""
NAMES = {
    "forecast.svg": "forecast",
    "phase_portrait.svg": "forecast_phase_portrait",
    "adjoint.svg": "forecast_by_the_states_of_path",
    "work_precision.svg": "error_against_evaluations_of_path",
}
"""A file of ours, and the picture of the report that it is, by the name that `isocline plot` gives it."""


def chosen(pictures: Sequence[Path]) -> dict[str, Path]:
    """The pictures by their names here. Exits where the report has none of a name."""
    known = {path.stem.partition("_")[2]: path for path in pictures}
    missing = sorted(set(NAMES.values()) - set(known))
    if missing:
        raise SystemExit(f"the report has no picture {', '.join(missing)}; it has {', '.join(sorted(known))}")
    return {name: known[of_report] for name, of_report in NAMES.items()}


def main(artifact: Path) -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    for name, path in chosen(isocline.plot(artifact)).items():
        content = path.read_bytes()
        if len(content) > LARGEST:
            raise SystemExit(f"{path} has {len(content)} bytes; at most {LARGEST} are committed")
        (OUT / name).write_bytes(content)
        print(OUT / name)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "build/hare_lynx"))
