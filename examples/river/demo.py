"""Run the artifact of river with onnxruntime on the year that it was not trained on, and print its certificate.

python -m examples.river.demo build/river
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import isocline
from examples.river.pictures import write, years
from examples.river.windows import WARMING, Windows, r2, windows
from isocline.summary import certificate_lines


def print_seasons(held_out: Windows, answers: dict[str, np.ndarray]) -> None:
    """A row for each sixty days that count: what fell, what flowed and what was told, on average and at the highest."""
    flow = answers["flow"]
    print("held out               rain     river, mm/day        highest        learned")
    print("                         mm   measured  told   measured  told     factor")
    for row, dates in enumerate(held_out.dates):
        seen, told = held_out.seen[row, WARMING:], flow[row, WARMING:]
        rain, factor = held_out.weather[row, WARMING:, 0].sum(), answers["correction"][row, WARMING:].mean()
        print(f"{dates[WARMING]} to {dates[-1][5:]}   {rain:4.0f}   {seen.mean():8.2f}  {told.mean():4.2f}"
              f"   {seen.max():8.2f}  {told.max():4.2f}   {factor:8.2f}")  # fmt: skip
    print(f"explained of the variance of {flow[:, WARMING:].size} days: {100 * r2(flow, held_out.seen):.0f} %")


def main(folder: Path) -> None:
    held_out = windows("test")
    session = isocline.load(folder)
    answers = session.run(before=held_out.before, weather=held_out.weather)
    print_seasons(held_out, answers)
    print("\ncertificate")
    for line in certificate_lines(session.certificate or {})[:10]:
        print(f"  {line}")
    picture = folder.with_name(f"{folder.name}.svg")
    write(picture, years(held_out, answers))
    print(f"\nartifact  {folder}/\nreport    {(folder / 'report.html').resolve().as_uri()}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "build/river"))
