"""`python -m tests.acceptance.cases [-o FILE] [--limit S] [--scan N] [NAME...]`: the files that take minutes."""

from __future__ import annotations

from pathlib import Path

from tests.acceptance.cases.problems import PROBLEMS, STATED
from tests.acceptance.measured import by_hand

if __name__ == "__main__":
    by_hand(__doc__, PROBLEMS, Path(__file__).parent, STATED)
