"""Run the artifact of hare_lynx with onnxruntime and print the forecast beside the data, then the certificate."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np

import isocline
from isocline.summary import certificate_lines

LAST_TRAINED = 1915


def pelts() -> tuple[np.ndarray, np.ndarray]:
    """Years (21,), and hare and lynx in thousands of pelts (21, 2)."""
    with (Path(__file__).parent / "pelts.csv").open() as file:
        table = np.array([[float(cell) for cell in row] for row in list(csv.reader(file))[1:]])
    return table[:, 0].astype(int), table[:, 1:]


def print_forecast(years: np.ndarray, data: np.ndarray, forecast: np.ndarray) -> None:
    """A row a year; the years that no weight was fitted to are marked."""
    print("year    hare  forecast    lynx  forecast")
    for year, found, told in zip(years, data, forecast, strict=True):
        mark = "  held out" if year > LAST_TRAINED else ""
        print(f"{year}  {found[0]:6.1f}  {told[0]:8.1f}  {found[1]:6.1f}  {told[1]:8.1f}{mark}")


def main(folder: Path) -> None:
    years, data = pelts()
    session = isocline.load(folder)
    forecast = session.run(first=data[:1].astype(np.float32))["forecast"][0]
    print_forecast(years, data, forecast)
    print("\ncertificate")
    for line in certificate_lines(session.certificate or {})[:10]:
        print(f"  {line}")
    print(f"\nartifact  {folder}/\nreport    {(folder / 'report.html').resolve().as_uri()}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
