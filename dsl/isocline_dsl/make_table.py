"""Writes the parser's table, after a change to the grammar or to the version of lark.

python -m isocline_dsl.make_table
"""

from __future__ import annotations

import json
from importlib import resources
from typing import Any, TypeAlias

from lark import Lark
from lark.grammar import Rule
from lark.lexer import TerminalDef

from isocline_dsl.parse import built_parser
from isocline_dsl.parse_table import FILE, origin

Table: TypeAlias = dict[str, Any]

ENDS = ("start_states", "end_states")
OBJECTS = ("postlex", "transformer", "lexer_callbacks", "_plugins")
"""Options that cannot be stored: they are given again when a table is read."""


def table_text(parser: Lark) -> str:
    """What is stored of a parser: the same text in whatever order Python keeps its sets. A line for each state."""
    data, memo = parser.memo_serialize([TerminalDef, Rule])
    options = {name: value for name, value in data["options"].items() if name not in OBJECTS}
    table = _in_order(data["parser"]["parser"])
    whole = {**data, "options": options, "parser": {**data["parser"], "parser": table}}
    text = json.dumps({"of": origin(), "data": whole, "memo": memo}, sort_keys=True, separators=(",", ":"))
    return text.replace("]},", "]},\n") + "\n"


def _in_order(table: Table) -> Table:
    """The table with tokens numbered by their names, and states as they are met from the start along those."""
    names = sorted(table["tokens"].values())
    place = {number: names.index(name) for number, name in table["tokens"].items()}
    rows = {
        state: {place[token]: row[token] for token in sorted(row, key=place.__getitem__)}
        for state, row in table["states"].items()
    }
    met = list(table["start_states"].values())
    for state in met:
        met.extend(dict.fromkeys(to for reduces, to in rows[state].values() if not reduces and to not in met))
    number = {state: i for i, state in enumerate(met)}
    states = {
        number[state]: {token: (kind, to if kind else number[to]) for token, (kind, to) in rows[state].items()}
        for state in met
    }
    ends = {part: {start: number[state] for start, state in table[part].items()} for part in ENDS}
    return {**table, "tokens": dict(enumerate(names)), "states": states, **ends}


def main() -> None:
    with resources.as_file(resources.files("isocline_dsl").joinpath(FILE)) as path:
        path.write_text(table_text(built_parser()), "utf-8", newline="\n")


if __name__ == "__main__":
    main()
