"""`python -m tests.acceptance.detest [-o FILE] [--limit S] [--scan N] [NAME...]`: the table of the whole suite."""

from __future__ import annotations

from pathlib import Path

from tests.acceptance.detest.problems import PROBLEMS
from tests.acceptance.measured import by_hand

if __name__ == "__main__":
    by_hand(__doc__, PROBLEMS, Path(__file__).parent, dict.fromkeys(PROBLEMS, 1e-4))
