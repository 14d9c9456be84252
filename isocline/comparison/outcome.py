"""One model from one seed: what is asked, and what came of it, as two small files in the folder of the run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

ASKED, FOUND = "asked.json", "outcome.json"
RUN, ARTIFACT = "run", "artifact"
"""Folders beside them."""
INTERRUPTED = 130
"""The status of a run that Ctrl-C ended."""


@dataclass(frozen=True)
class Asked:
    """A run: the file, its seed, and what takes the place of the file's own data and epochs. `digest` is of all that
    decides the outcome: another one, and the run is made again.
    """

    model: str
    file: str
    seed: int
    data: str | None
    epochs: int | None
    digest: str

    @classmethod
    def read(cls, folder: Path) -> Asked:
        """What is asked in a folder. Raises OSError, ValueError, TypeError where that is not readable."""
        return cls(**json.loads((folder / ASKED).read_text(encoding="utf-8")))

    def write(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / ASKED, asdict(self))


@dataclass(frozen=True)
class Outcome:
    """`measures`: the left sides of the model's checks on held-out data; `facts`: what it took; or why it `failed`."""

    model: str
    seed: int
    digest: str
    measures: Mapping[str, float] = field(default_factory=dict)
    facts: Mapping[str, float] = field(default_factory=dict)
    failed: str | None = None

    @property
    def numbers(self) -> dict[str, float]:
        """Measures and facts, by name."""
        return {**self.measures, **self.facts}

    @classmethod
    def known(cls, folder: Path, asked: Asked) -> Outcome | None:
        """The outcome in a folder, if it is of what is asked; one that failed is tried again."""
        try:
            found = cls.read(folder)
        except (OSError, ValueError, TypeError):
            return None
        return found if found.digest == asked.digest and found.failed is None else None

    @classmethod
    def read(cls, folder: Path) -> Outcome:
        """What a run left. Raises OSError."""
        return cls(**json.loads((folder / FOUND).read_text(encoding="utf-8")))

    def write(self, folder: Path) -> None:
        _write(folder / FOUND, asdict(self))


def _write(file: Path, content: object) -> None:
    from isocline_runtime.artifact import write_atomic

    write_atomic(file, (json.dumps(content, indent=2) + "\n").encode())


__all__ = ["ARTIFACT", "INTERRUPTED", "RUN", "Asked", "Outcome"]
