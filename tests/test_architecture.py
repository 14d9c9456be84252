"""What the document of the architecture names is there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import grimp
import networkx as nx
import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "architecture.md").read_text()
PLACES = (ROOT, ROOT / "compiler" / "isocline_compiler", ROOT / "compiler" / "isocline_compiler" / "vocabulary")
NAMED = sorted(set(re.findall(r"`([\w./*]+(?:\.py|/))`", TEXT)))


@pytest.mark.parametrize("name", NAMED)
def test_what_it_names_is_there(name: str) -> None:
    assert any(list(place.glob(name.rstrip("/"))) for place in PLACES)


def test_its_layers_are_those_that_are_checked() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = (item["layers"] for item in contracts if item["name"] == "The compiler's layers")
    stated = TEXT.partition("From above:")[2].partition(". Schemes")[0]
    floors = [re.findall(r"`(\w+)`", floor) for floor in stated.split(";")]
    assert floors == [layer.split(" | ") for layer in layers]


@pytest.mark.parametrize("name", ["Op", "SolveSpec", "Solve", "Field", "Scheme", "Form"])
def test_its_records_stand_where_it_says(name: str) -> None:
    (file,) = re.findall(rf"\*\*`{name}`\*\*.*?\(`([\w./]+)`\)", TEXT)
    assert f"class {name}" in (ROOT / "compiler" / "isocline_compiler" / file).read_text()


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Imports inside functions and for types alone count. Derivative rules are mutual by nature: that of a sum repeats,
    that of a repetition sums.
    """
    found = grimp.build_graph(
        "isocline", "isocline_dsl", "isocline_compiler", "isocline_runtime", cache_dir=None,
        exclude_type_checking_imports=False,
    )  # fmt: skip
    imports = nx.DiGraph((m, other) for m in found.modules for other in found.find_modules_directly_imported_by(m))
    circles = [circle for circle in nx.strongly_connected_components(imports) if len(circle) > 1]
    assert len(circles) == 1
    assert all(module.startswith("isocline_compiler.ops.") for module in circles[0])
