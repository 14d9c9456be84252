"""The columns of a training run's `metrics.csv`."""

from __future__ import annotations

import csv
import math
from pathlib import Path


def read_history(path: Path) -> dict[str, list[float | None]]:
    """Columns by name; a cell that is empty or no finite number is None. Rows that a crash cut short are left out."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = [
            row for row in csv.DictReader(file) if None not in row.values() and _number(row.get("epoch")) is not None
        ]
    return {name: [_number(row[name]) for row in rows] for name in (rows[0] if rows else ())}


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None
