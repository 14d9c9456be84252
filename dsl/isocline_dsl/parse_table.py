"""The parser's table, stored beside the grammar: made from it in a tenth of a second, read in some milliseconds.

A table is of one text and of one version of lark (`make_table` writes it); where either differs there is none.
"""

from __future__ import annotations

import json
from hashlib import sha256
from importlib import resources
from typing import Any

import lark
from lark import Lark

FILE = "grammar.table.json"


def grammar_text() -> str:
    """The grammar of the language."""
    return resources.files("isocline_dsl").joinpath("grammar.lark").read_text("utf-8")


def stored_parser(**objects: Any) -> Lark | None:
    """The parser of the stored table, with the options that are objects; None where the table is of something else."""
    file = resources.files("isocline_dsl").joinpath(FILE)
    stored = json.loads(file.read_text("utf-8"), object_pairs_hook=_numbered) if file.is_file() else {}
    if stored.get("of") != origin():
        return None
    # What a parser that lark writes as a program calls; public `load` takes no transformer.
    parser: Lark = Lark._load_from_dict(stored["data"], stored["memo"], **objects)  # type: ignore[no-untyped-call]
    return parser


def origin() -> str:
    """What a table made now would be of."""
    return f"lark {lark.__version__}, grammar {sha256(grammar_text().encode()).hexdigest()}"


def _numbered(pairs: list[tuple[str, Any]]) -> dict[str | int, Any]:
    """JSON has no numbers as keys, lark's tables have."""
    return {int(key) if key.isdigit() else key: value for key, value in pairs}
