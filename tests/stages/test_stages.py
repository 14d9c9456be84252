"""What each stage of compiling makes of a program, pinned: a change of emitted nodes is seen in a review.

`python -m tests.stages.test_stages` writes the files of `pinned/` again. Of small programs the whole text of every
stage is kept; of the examples how many nodes of each operation there are.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import onnx
import pytest

from isocline_compiler.graph import Graph, everything
from isocline_compiler.lower.check import check, parsed
from isocline_compiler.passes import optimise
from isocline_compiler.show import emitted, shown, unrolled
from tests.example_models import MODELS

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SMALL = sorted((HERE / "programs").glob("*.dyn"))
EXAMPLES = MODELS
PINNED = HERE / "pinned"


def small_stages(file: Path) -> str:
    """Every stage as text, and the operators of the ONNX file."""
    stages = [(stage, shown(parsed(file), stage, False)) for stage in ("tree", "graph", "unrolled", "optimised")]
    stages.append(("onnx", _line(_operators(file))))
    return "\n".join(f"# {name}\n\n{text.rstrip()}\n" for name, text in stages)


def example_stages(file: Path) -> str:
    """How many nodes of each operation a stage has, those in regions included."""
    model = check(file)
    rolled, stepped = model.graph, unrolled(model)
    optimised = optimise(stepped)
    counts = {"graph": _nodes(rolled), "unrolled": _nodes(stepped), "optimised": _nodes(optimised)}
    counts["onnx"] = _operators(file)
    return "\n".join(f"{name}: {_line(count)}" for name, count in counts.items()) + "\n"


def _nodes(graph: Graph) -> Counter[str]:
    return Counter(node.op.name for node in everything(graph.outputs.values()) if node.inputs)


def _operators(file: Path) -> Counter[str]:
    found: Counter[str] = Counter()
    graphs = [emitted(check(file)).graph]
    while graphs:
        for node in graphs.pop().node:
            found[node.op_type] += 1
            graphs.extend(item.g for item in node.attribute if item.type == onnx.AttributeProto.GRAPH)
    return found


def _line(count: Counter[str]) -> str:
    each = ", ".join(f"{name} {number}" for name, number in sorted(count.items()))
    return f"{sum(count.values())} ({each})"


def found(file: Path) -> str:
    return small_stages(file) if file in SMALL else example_stages(file)


@pytest.mark.parametrize("file", [*SMALL, *EXAMPLES], ids=lambda file: file.stem)
def test_every_stage_is_as_pinned(file: Path) -> None:
    assert found(file) == (PINNED / f"{file.stem}.txt").read_text(), "python -m tests.stages.test_stages pins it again"


if __name__ == "__main__":
    PINNED.mkdir(exist_ok=True)
    for program in (*SMALL, *EXAMPLES):
        (PINNED / f"{program.stem}.txt").write_text(found(program))
