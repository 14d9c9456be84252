"""Every find of the fuzzers, replayed: a file each, which says in its first line what is right.

`# expects E111 E204`: these codes among the messages; `# expects a model`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from isocline_compiler.model import Model
from tests.fuzz.guard import checked, guarded

CORPUS = sorted((Path(__file__).parent / "corpus").glob("*.dyn"))


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_a_find_is_a_message_or_a_model_in_no_time(path: Path) -> None:
    first, _, text = path.read_text(encoding="utf-8").partition("\n")
    sign, _, expected = first.partition(" expects ")
    assert sign == "#"
    with guarded():
        outcome = checked(text)
    if isinstance(outcome, Model):
        assert expected == "a model"
    else:
        assert set(expected.split()) <= {item.code for item in outcome.diagnostics}


def test_the_corpus_is_there() -> None:
    assert len(CORPUS) > 30
