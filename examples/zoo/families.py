"""The families of the zoo, read from the headers of their files.

A header is the comment above `dyn 1`: `# Family:`, `# Equation:` (one or more), `# Reference:`, `# Good for:` and
`# Question:` (one or more of `QUESTIONS`); a line that begins with `#   ` goes on with the one above. Families whose
file stands in another example, and those that cannot be written yet, are told by `elsewhere.toml` in the same words.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
EXAMPLES = FOLDER.parent
ELSEWHERE = FOLDER / "elsewhere.toml"

QUESTIONS = (
    "I want a deep network",
    "small changes must stay small",
    "I need an inverse",
    "I have little memory",
    "far parts of the input matter",
    "my network overfits",
    "my function is no flow of its inputs",
    "I want fewer evaluations",
    "my data are irregular",
    "I know the mechanism",
    "my system moves by forces",
    "my system conserves energy",
    "my system remembers",
    "my system is stiff",
    "I need to know how sure an answer is",
    "my noise has jumps or heavy tails",
    "I need a density",
    "I need new samples",
)
"""What a reader comes with, in the order of the catalogue."""
SINGLE, SEVERAL = ("Family", "Reference", "Good for"), ("Equation", "Question")


class HeaderError(SystemExit):
    """A header that is not of the form above; the message says where and what."""


@dataclass(frozen=True)
class Family:
    """One row of the zoo: `file` is relative to `examples/`, None where the language cannot say it yet: `missing`."""

    family: str
    equations: tuple[str, ...]
    reference: str
    good_for: str
    questions: tuple[str, ...]
    file: str | None = None
    missing: str = ""

    @property
    def path(self) -> Path | None:
        return EXAMPLES / self.file if self.file else None

    @property
    def name(self) -> str:
        """What `--only` calls it."""
        return Path(self.file).stem if self.file else self.family.lower().replace(" ", "_")


def families() -> tuple[Family, ...]:
    """Every family: the zoo's own files by name, then those of other examples, then those that are missing."""
    own = [read_header(path) for path in sorted(FOLDER.glob("*.dyn"))]
    return (*own, *_elsewhere())


def read_header(path: Path) -> Family:
    """The family of a file of the zoo. Raises HeaderError where its header is not of the form."""
    found: dict[str, list[str]] = {}
    key = ""
    for number, line in enumerate(_comment(path), 1):
        if line.startswith("#   "):
            if not key:
                raise HeaderError(f"{path}:{number}: a line that goes on, and none before it")
            found[key][-1] += " " + line[4:]
            continue
        key, colon, value = line[2:].partition(": ")
        if not colon or key not in SINGLE + SEVERAL:
            raise HeaderError(f"{path}:{number}: expected one of {', '.join(SINGLE + SEVERAL)}, found {line!r}")
        found.setdefault(key, []).append(value)
    return _family(
        str(path), found, str(path.relative_to(EXAMPLES)) if path.is_relative_to(EXAMPLES) else path.name, ""
    )


def _comment(path: Path) -> Iterator[str]:
    """The lines above `dyn 1`."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            return
        yield line


def _family(where: str, found: Mapping[str, Sequence[str]], file: str | None, missing: str) -> Family:
    for key in SINGLE + SEVERAL:
        if not found.get(key):
            raise HeaderError(f"{where}: the header has no line `# {key}: ...`")
    for key in SINGLE:
        if len(found[key]) > 1:
            raise HeaderError(f"{where}: the header has more than one line `# {key}: ...`")
    for question in found["Question"]:
        if question not in QUESTIONS:
            raise HeaderError(f"{where}: {question!r} is none of the questions:\n  " + "\n  ".join(QUESTIONS))
    family, reference, good_for = (found[key][0] for key in SINGLE)
    return Family(family, tuple(found["Equation"]), reference, good_for, tuple(found["Question"]), file, missing)


def _elsewhere() -> Iterator[Family]:
    """The rows of `elsewhere.toml`: each has `file`, or says in `missing` why there is none."""
    for row in tomllib.loads(ELSEWHERE.read_text(encoding="utf-8"))["family"]:
        where, file, missing = f"{ELSEWHERE.name}: {row['Family']}", row.get("file"), row.get("missing", "")
        if (file is None) == (not missing):
            raise HeaderError(f"{where}: give either `file` or `missing`")
        if file is not None and not (EXAMPLES / file).is_file():
            raise HeaderError(f"{where}: there is no {EXAMPLES / file}")
        found = {key: [row[key]] if key in SINGLE and key in row else row.get(key, []) for key in SINGLE + SEVERAL}
        yield _family(where, found, file, missing)
