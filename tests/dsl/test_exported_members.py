"""The public surface of the language, and what loading it does not load."""

from __future__ import annotations

import subprocess
import sys

import isocline_dsl
from isocline_dsl import messages
from isocline_dsl.messages.index import AREAS, messages_of


def test_everything_exported_exists_and_is_sorted() -> None:
    assert list(isocline_dsl.__all__) == sorted(isocline_dsl.__all__)
    for name in isocline_dsl.__all__:
        assert hasattr(isocline_dsl, name)


def test_messages_exported_together_have_distinct_names() -> None:
    for area in AREAS:
        for message in messages_of(area):
            exported = getattr(messages, message.name, None)
            others = area.__name__.rsplit(".", 1)[1] in ("calls", "operations", "data", "fitting")
            assert others or exported is message, f"{message.name} is hidden by another of its name"


def test_the_language_loads_nothing_heavy() -> None:
    code = "import isocline_dsl, sys; print(sorted({'torch', 'onnx', 'numpy', 'networkx'} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
