"""The files of the examples that name a model; what some share, such as `buckets.dyn`, is read by way of theirs."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parents[1] / "examples"
MODELS = [file for file in sorted(FOLDER.glob("*/*.dyn")) if "\nmodel " in file.read_text(encoding="utf-8")]
