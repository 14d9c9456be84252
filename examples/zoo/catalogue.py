"""Write docs/catalogue.md: every family of dynamic network, by the question that it answers.

python -m examples.zoo.catalogue docs/catalogue.md
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from examples.zoo.families import QUESTIONS, Family, families

HEAD = """# Catalogue: which family, for which question

Made by `python -m examples.zoo.catalogue docs/catalogue.md` from the headers of the files. Each family is one `.dyn`
file: its equation as it stands in the paper, data that ship in packages, and everything else that a model needs.
`make zoo` trains, compiles and certifies them, and makes a page with a picture of each: `build/zoo/index.html`.
How a line of these files is read is told by the [language](language.md).

A family stands under every question that it answers, and is described once, [below](#the-families).
"""


def anchor(title: str) -> str:
    """The name of a heading in a link, as pages on code are rendered: words in lower case with dashes."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def page(rows: Sequence[Family]) -> str:
    """The document."""
    lines = [HEAD]
    lines += [f"* [{_sentence(q)}](#{anchor(q)})" for q in QUESTIONS]
    for question in QUESTIONS:
        lines += ["", f"## {_sentence(question)}", "", "| family | equation |", "| --- | --- |"]
        lines += [f"| {_link(row)} | {_equations(row)} |" for row in rows if question in row.questions]
    lines += ["", "## The families"]
    for row in sorted(rows, key=lambda row: row.family.lower()):
        lines += _entry(row)
    return "\n".join(lines) + "\n"


def _sentence(question: str) -> str:
    return question[0].upper() + question[1:]


def _link(row: Family) -> str:
    return f"[{row.family}](#{anchor(row.family)})"


def _equations(row: Family) -> str:
    return "<br>".join(f"`{line}`" for line in row.equations).replace("|", r"\|")


def _entry(row: Family) -> Iterator[str]:
    where = f"[{row.file}](../examples/{row.file})" if row.file else f"cannot be said yet: {row.missing}"
    yield from ("", f"### {row.family}", "", *(f"    {line}" for line in row.equations), "", row.good_for, "")
    yield from (f"* **File:** {where}", f"* **Reference:** {row.reference}")
    yield f"* **Questions:** {'; '.join(f'[{_sentence(q)}](#{anchor(q)})' for q in row.questions)}"


def main(arguments: Sequence[str]) -> int:
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    Path(arguments[0]).write_text(page(families()), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
