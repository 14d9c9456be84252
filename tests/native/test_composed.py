"""What operations alone do not show: sizes that no chunk divides, loops whose states change places, shared nests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from isocline_compiler.backends.to_c import LANES, to_c
from isocline_compiler.backends.to_torch import TorchProgram
from isocline_compiler.graph import INPUT, Graph, Node, constant, leaf
from isocline_compiler.graph.scan import scan
from isocline_compiler.ops import OPS
from isocline_compiler.ops.shapes import real
from tests.native.in_c import CHECKED, built, called, needs_compiler

RNG = np.random.default_rng(5)


def agreed(graph: Graph, folder: Path) -> None:
    """C in double precision gives what torch gives, for one sample, a few, and more than a block."""
    program = to_c(graph, {}, name="m", dtype="float64")
    library = built(program, folder, *CHECKED)
    exact = TorchProgram(graph)
    for batch in (1, LANES, LANES + 7):
        given = {x.attrs["name"]: RNG.normal(size=(batch, *map(int, x.shape[1:]))) for x in graph.inputs}
        expected = exact({key: torch.tensor(value) for key, value in given.items()})
        for key, found in called(library, program, given, batch, np.float64).items():
            value = expected[key].numpy().reshape(found.shape)
            np.testing.assert_allclose(found, value, rtol=1e-11, atol=1e-12, err_msg=key)


@needs_compiler
@pytest.mark.parametrize("inside", [1, 7, 13, 21, 37, 80, 147])
def test_sums_of_sizes_that_no_chunk_divides(inside: int, tmp_path: Path) -> None:
    x = leaf(INPUT, "x", real("batch", inside))
    outputs = {"sum": OPS["reduce_sum"](x, axes=(1,)), "max": OPS["reduce_max"](x, axes=(1,))}
    for outside in (9, 16, 64, 147, 160) if inside > 40 else (1, 3, 12, 13, 33, 45):
        w, b = constant(RNG.normal(size=(inside, outside))), constant(RNG.normal(size=outside))
        outputs[f"y{outside}"] = OPS["linear"](x, w, b)
        outputs[f"t{outside}"] = OPS["linear"](x, constant(RNG.normal(size=(outside, inside))), transposed=True)
    agreed(Graph((x,), outputs, "m"), tmp_path)


@needs_compiler
@pytest.mark.parametrize("size", [2, 20])
@pytest.mark.parametrize(
    "following",
    [
        lambda x, y, s: (y, x),
        lambda x, y, s: (y, x + s),
        lambda x, y, s: (x * 0.5 + y, x * y * 0.1 + s),
        lambda x, y, s: (OPS["flip"](y, axis=1), OPS["flip"](x, axis=1) * s),
        lambda x, y, s: (x + OPS["flip"](x, axis=1) * s, x - y),
    ],
    ids=["exchanged", "moved", "mixed", "flipped", "own"],
)
def test_states_change_all_at_once(
    following: Callable[[Node, Node, Node], tuple[Node, Node]], size: int, tmp_path: Path
) -> None:
    """A state that has its next value is not read as the old one; what is kept of each time is in its row."""
    x, y = (leaf(INPUT, name, real("batch", size)) for name in ("x", "y"))
    rows = constant(RNG.normal(size=9))
    made = scan((x, y), (), (rows,), lambda z, _, s: (following(*z, s[0]), (z[0] - z[1],)), length=9)
    agreed(
        Graph(
            (x, y),
            {"x_": made.last[0], "y_": made.last[1], "kept": OPS["transpose"](made.stacked[0], perm=(1, 0, 2))},
            "m",
        ),
        tmp_path,
    )


@needs_compiler
def test_a_small_state_that_a_large_one_reads(tmp_path: Path) -> None:
    """The next value of x is known before the loop over the entries of y, which reads the old one."""
    x, y = leaf(INPUT, "x", real("batch", 1)), leaf(INPUT, "y", real("batch", 20))
    made = scan((x, y), (), (), lambda z, _, s: ((z[0] * 0.5, z[1] * z[0]), ()), length=5)
    agreed(Graph((x, y), {"x_": made.last[0], "y_": made.last[1]}, "m"), tmp_path)


@needs_compiler
@pytest.mark.parametrize("size", [5, 20])
def test_entries_read_elsewhere_than_they_are_made(size: int, tmp_path: Path) -> None:
    """A loop over entries ends where another entry of its own result is asked for."""
    x = leaf(INPUT, "x", real("batch", size, 3))
    grown = OPS["exp"](x)
    turned = OPS["reshape"](OPS["transpose"](grown, perm=(0, 2, 1)), shape=("batch", size, 3))
    outputs = {
        "flipped": grown + OPS["flip"](grown, axis=1),
        "turned": grown * turned,
        "rolled": grown - OPS["concat"](
            OPS["slice"](grown, axis=1, start=1, stop=None), OPS["slice"](grown, axis=1, start=0, stop=1), axis=1
        ),
        "padded": OPS["pad"](grown * 2.0, pads=((0, 0), (1, 2), (2, 0)), value=-1.5),
        "table": OPS["gather"](grown, constant(RNG.integers(0, size, size=(4, 7))), axis=1),
    }  # fmt: skip
    agreed(Graph((x,), outputs, "m"), tmp_path)


def parts_of(x: Node, count: int, width: int) -> list[Node]:
    """Pieces of a vector, each computed."""
    pieces = (OPS["slice"](x, axis=1, start=i, stop=i + width) for i in range(count))
    return [OPS["tanh"](piece) for piece in pieces]


@needs_compiler
@pytest.mark.parametrize(("count", "width"), [(9, 1), (14, 1), (30, 1), (70, 1), (11, 3), (20, 13), (5, 40)])
def test_many_values_one_after_another(count: int, width: int, tmp_path: Path) -> None:
    x = leaf(INPUT, "x", real("batch", count + width))
    pieces = parts_of(x, count, width)
    y = OPS["concat"](*pieces, axis=1)
    mixed = OPS["gather"](y, constant(RNG.permutation(count * width)), axis=1)
    agreed(Graph((x,), {"y": y, "mixed": mixed}, "m"), tmp_path)


@needs_compiler
def test_values_that_alternate(tmp_path: Path) -> None:
    """Along the last axis every entry is of another value than its neighbours."""
    x = leaf(INPUT, "x", real("batch", 20, 3))
    rows = [OPS["tanh"](OPS["slice"](x, axis=2, start=i, stop=i + 1)) for i in range(3)]
    y = OPS["reshape"](OPS["concat"](*rows, axis=2), shape=("batch", 60))
    z = OPS["concat"](*(OPS["concat"](row, OPS["neg"](row), axis=2) for row in rows), axis=1)
    agreed(Graph((x,), {"y": y, "z": z}, "m"), tmp_path)
