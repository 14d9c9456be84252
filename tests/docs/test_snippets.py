"""Every block of code that users read is a program, or part of one, that means what the page says."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from isocline_compiler.lower import lower
from isocline_compiler.model import Model
from isocline_compiler.vocabulary.distributions import DISTRIBUTIONS
from isocline_compiler.vocabulary.draws import DRAWS
from isocline_compiler.vocabulary.functions import FUNCTIONS
from isocline_compiler.vocabulary.functions.record import EXAMPLE_TYPES, Callee, example_declarations
from isocline_compiler.vocabulary.regularizers import REGULARIZERS
from isocline_dsl import CATALOGUE, IsoclineError, Source, parse, render_error

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")), *sorted(ROOT.glob("examples/*/README.md"))]
BLOCK = re.compile(r"(?:<!--(?P<comment>(?:(?!-->).)*)-->\n)?```dyn\n(?P<code>.*?)^```", re.DOTALL | re.MULTILINE)
LATER = {"E604"}


@dataclass(frozen=True)
class Snippet:
    """A block of code, what completes it, and the codes of the mistakes it shows."""

    place: str
    text: str
    codes: frozenset[str]
    files: Mapping[str, str] = field(default_factory=dict)
    """The files of its page, which it may use."""


def files_of(page: str) -> dict[str, str]:
    """The blocks below `<!-- file: NAME -->`."""
    blocks = [(kind.strip(), code) for kind, code in BLOCK.findall(page)]
    return {kind.removeprefix("file: "): code for kind, code in blocks if kind.startswith("file: ")}


def snippets(page: Path) -> Iterator[Snippet]:
    text = page.read_text("utf-8")
    for found in BLOCK.finditer(text):
        line = text[: found.start("code")].count("\n")
        comment = (found["comment"] or "").strip()
        kind, _, rest = comment.partition(":")
        if kind == "file":
            continue
        code = found["code"]
        if not code.startswith("dyn 1"):
            code = f"dyn 1\nmodel snippet\n{rest if kind == 'with' else ''}\n{code}"
        codes = frozenset(rest.split()) if kind == "error" else frozenset(LATER if kind == "later" else ())
        yield Snippet(f"{page.relative_to(ROOT)}:{line}", code, codes, files_of(text))


SNIPPETS = [snippet for page in PAGES for snippet in snippets(page)]


def read(snippet: Snippet, folder: Path) -> Model:
    for name, text in snippet.files.items():
        (folder / name).write_text(text, "utf-8")
    return typed(Source(snippet.text, str(folder / snippet.place.replace("/", "_"))))


def typed(source: Source) -> Model:
    try:
        return lower(parse(source), source)
    except IsoclineError as error:
        pytest.fail(render_error(error))


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda snippet: snippet.place)
def test_a_block_is_what_the_page_says(snippet: Snippet, tmp_path: Path) -> None:
    if not snippet.codes:
        assert read(snippet, tmp_path).outputs
        return
    source = Source(snippet.text, snippet.place)
    with pytest.raises(IsoclineError) as found:
        lower(parse(source), source)
    assert {item.code for item in found.value.diagnostics} == snippet.codes


def test_blocks_are_found() -> None:
    assert len(SNIPPETS) >= 30
    assert len([snippet for snippet in SNIPPETS if snippet.codes]) >= 8


# ------------------------------------------------------------------------------- examples in docstrings


def of_function(example: str) -> str:
    """The example as an output of a model with the inputs that it uses."""
    declared = example_declarations(example)
    kept = "" if declared else "\ninput x: real[4]\noutput kept = x"
    return f"dyn 1\nmodel example\n{declared}\noutput result = {example}{kept}\n"


def of_metric(example: str) -> str:
    """The example in a `check`, over the whole held-out split."""
    inputs = "\n".join(f"input {name}: {EXAMPLE_TYPES[name]}" for name in ["x", "y", "label", "m"])
    outputs = "output kept = x + y + one_hot(label, 4) + mean(m)"
    return f"dyn 1\nmodel example\n{inputs}\n{outputs}\ndeploy {{ check {example} < 1 }}\n"


OF_STEPS = ("total_variation", "weight_smoothness", "step_error", "stiffness")
"""Regularizers of steps that are the model's own."""


def of_regularizer(example: str) -> str:
    if "posterior" in example:
        return LATENT.format(example=example)
    field, weights = ("block", " weights per step") if "block" in example else ("populations", "")
    steps = " with dopri5(steps=2)" if any(word in example for word in OF_STEPS) else ""
    return f"""dyn 1
model example
input x: real[2]
target y: real[2]
field {field}(t, h: real[2]){weights} {{ h' = h |> dense(2) }}
h = solve {field} from h = x over 0..1{steps}
output h
train {{ loss mse(h, y); regularize {example} }}
"""


LATENT = """dyn 1
model example
input x: real[2]
target y: real[2]
field posterior(t, h: real[2]) {{
  noise W: brownian[2]
  dh = (h |> dense(2)) dt + dW
}}
field prior(t, h: real[2]) {{ h' = -h }}
h = solve posterior from h = x over 0..1
output h
train {{ loss mse(h, y); regularize {example} }}
"""


def of_draw(example: str) -> str:
    name = example.split()[1].rstrip(":")
    return f"""dyn 1
model example
input x: real
target y: real
param k: real
output scaled = k*x
train {{ {example}; drawn = {name} == {name}; loss mse(scaled, y) + mean(where(drawn, 1, 0)) }}
"""


def of_distribution(example: str) -> str:
    return f"dyn 1\nmodel example\ninput x: real\n{example}\noutput y = k*x\n"


def examples(table: Mapping[str, Callee], *kinds: str) -> list[Callee]:
    return [record for record in table.values() if not kinds or getattr(record, "kind", "") in kinds]


@pytest.mark.parametrize("record", examples(FUNCTIONS), ids=lambda record: record.name)
def test_the_example_of_a_function(record: Callee) -> None:
    assert record.name in record.example
    assert typed(Source(of_function(record.example), record.name)).graph.outputs["result"]


@pytest.mark.parametrize("record", examples(FUNCTIONS, "metric", "loss"), ids=lambda record: record.name)
def test_the_example_of_a_metric_over_a_split(record: Callee) -> None:
    (check,) = typed(Source(of_metric(record.example), record.name)).deployment.checks
    assert check.graph.outputs["left"].shape == ()


@pytest.mark.parametrize("record", examples(REGULARIZERS), ids=lambda record: record.name)
def test_the_example_of_a_regularizer(record: Callee) -> None:
    plan = typed(Source(of_regularizer(record.example), record.name)).training
    assert plan is not None
    assert plan.steer == 0.25 or record.example in " ".join(plan.losses.outputs)


@pytest.mark.parametrize("record", examples(DRAWS), ids=lambda record: record.name)
def test_the_example_of_a_draw(record: Callee) -> None:
    plan = typed(Source(of_draw(record.example), record.name)).training
    assert plan is not None
    assert [value.distribution.name for value in plan.draws] == [record.name]


@pytest.mark.parametrize("record", examples(DISTRIBUTIONS), ids=lambda record: record.name)
def test_the_example_of_a_distribution(record: Callee) -> None:
    (parameter,) = typed(Source(of_distribution(record.example), record.name)).parameters
    assert parameter.log_prior is not None


def test_the_codes_that_pages_show_exist() -> None:
    assert {code for snippet in SNIPPETS for code in snippet.codes} <= set(CATALOGUE)
