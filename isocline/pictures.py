"""Pictures of a run or an artifact."""

from __future__ import annotations

from pathlib import Path


def plot(path: str | Path, *, out: str | Path | None = None) -> list[Path]:
    """Write the pictures of a run (curves) or an artifact (trajectories, work-precision) as svg; their paths."""
    raise NotImplementedError
