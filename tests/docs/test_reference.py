"""The reference is complete and up to date: what the tables of the compiler name stands in `docs/language.md`."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from isocline_compiler.reference import PART, TABLES, fill, main, stability_limit
from isocline_compiler.solvers.schemes import SCHEMES
from isocline_compiler.solvers.schemes.tableau import Tableau
from isocline_compiler.vocabulary import options
from isocline_compiler.vocabulary.distributions import DISTRIBUTIONS
from isocline_compiler.vocabulary.functions import FUNCTIONS
from isocline_compiler.vocabulary.functions.initializers import INITIALIZERS
from isocline_compiler.vocabulary.functions.weight_forms import FORMS
from isocline_compiler.vocabulary.regularizers import REGULARIZERS
from isocline_compiler.vocabulary.transition_nll import FIELD_LOSSES
from isocline_dsl import CATALOGUE, tree
from isocline_dsl.settings import SETTINGS

PAGE = Path(__file__).parents[2] / "docs" / "language.md"
TEXT = PAGE.read_text("utf-8")
NAMED = {
    *FUNCTIONS, *SCHEMES, *REGULARIZERS, *FIELD_LOSSES, *DISTRIBUTIONS, *INITIALIZERS, *FORMS, *CATALOGUE,
    *options.OPTIMIZERS, *options.SCHEDULES, *options.SPLITS, *options.EARLY_STOP, *options.ADAPTIVE,
    *options.MISSING, *options.PRECISIONS, *options.GRADIENTS,
}  # fmt: skip
KEYS = {f"{block}: {key}" for block, keys in SETTINGS.items() for key in keys}
DECLARATIONS = {"const", "input", "target", "param", "net", "function", "field", "control", "output", "noise", "data",
                "train", "deploy", "use", "dyn", "model", "solve", "scan", "draw", "attribute", "unit"}  # fmt: skip


def section(title: str) -> str:
    """The text from a heading of second level to the next one."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", TEXT, re.DOTALL | re.MULTILINE)
    assert found is not None, f"there is no section {title}"
    return found[1]


@pytest.mark.parametrize("name", sorted(NAMED))
def test_every_name_of_the_tables_is_there(name: str) -> None:
    assert re.search(rf"[`| ]{re.escape(name)}[`(, |]", TEXT)


@pytest.mark.parametrize("key", sorted(KEYS))
def test_every_setting_is_there(key: str) -> None:
    block, word = key.split(": ")
    pages = section(f"`{block}`") + section("Not available yet")
    assert re.search(rf"`{word}[ `]", pages)


@pytest.mark.parametrize("word", sorted(DECLARATIONS))
def test_every_declaration_is_there(word: str) -> None:
    assert re.search(rf"(`|^){word}[ `]", TEXT, re.MULTILINE)


def test_the_declarations_are_those_of_the_tree() -> None:
    kinds = {kind.__name__.lower() for kind in tree.Declaration.__args__}
    assert kinds - {"assign", "block", "noisedeclaration"} <= DECLARATIONS


def test_generated_parts_are_up_to_date() -> None:
    assert fill(TEXT) == TEXT, "write them anew with `make docs`"


def test_every_table_has_its_place() -> None:
    assert {found[2] for found in PART.finditer(TEXT)} == set(TABLES)


def test_filling_changes_what_is_generated_and_nothing_else(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- generated: forms -->\nold\n<!-- end -->\nafter\n")
    assert main([str(page)]) == 0
    text = page.read_text()
    assert text.startswith("before\n<!-- generated: forms -->\n")
    assert text.endswith("<!-- end -->\nafter\n")
    assert "antisymmetric" in text
    assert "old" not in text


@pytest.mark.parametrize(
    ("scheme", "limit"),
    # Hairer, Wanner (1996), IV.2: the real intervals of explicit schemes of as many stages as their order
    [("euler", -2.0), ("heun", -2.0), ("kutta3", -2.5127), ("rk4", -2.7853)],
)
def test_stability_limits_are_those_of_the_literature(scheme: str, limit: float) -> None:
    tableau = SCHEMES[scheme]
    assert isinstance(tableau, Tableau)
    assert stability_limit(tableau) == pytest.approx(limit, abs=1e-4)


@pytest.mark.parametrize(
    "scheme", [item for item in SCHEMES.values() if isinstance(item, Tableau)], ids=lambda item: item.name
)
def test_inside_the_limit_solutions_decay(scheme: Tableau) -> None:
    limit = stability_limit(scheme)
    inside = np.linspace(limit, 0, 1002)[1:-1]
    assert (np.abs(scheme.stability(inside)) <= 1).all()
    assert abs(complex(scheme.stability(complex(limit - 1e-3)))) > 1
