"""Each invariant, broken once."""

from __future__ import annotations

import numpy as np
import pytest

from isocline_compiler.graph import ARGUMENT, CONSTANT, INPUT, WEIGHT, Graph, Node, Region, leaf
from isocline_compiler.graph.solve import PICK, Interval, pick
from isocline_compiler.graph.verify import InvalidGraph, verify
from isocline_compiler.ops import OPS
from isocline_compiler.ops.shapes import integer, real
from tests.solves import solve_node

X = leaf(INPUT, "x", real("batch", 3))
T, S = leaf(ARGUMENT, "t", real()), leaf(ARGUMENT, "s", real("batch", 3))


def solve(region: Region, *initial: Node, captured: int = 0) -> Node:
    count = len(initial) - captured
    interval = Interval((0.0, 1.0), everywhere=False)
    return solve_node(region, initial[:count], interval, captured=initial[count:])


def raw(op, inputs, attrs, *types):
    return Node(op, inputs, attrs, types, None)


TWO = solve(Region((T, S, leaf(ARGUMENT, "r", real("batch", 3))), (S, S)), X, X)
BROKEN = {
    "input names are distinct": Graph((X, leaf(INPUT, "x", real())), {"y": X}),
    "the inputs are inputs": Graph((leaf(WEIGHT, "w", real()),), {"y": OPS["exp"](leaf(WEIGHT, "w", real()))}),
    "input x is declared": Graph((), {"y": X}),
    "input z is declared where it is used, with its type": Graph(
        (leaf(INPUT, "z", real(2)),), {"y": leaf(INPUT, "z", real(3))}
    ),
    "the types are those": Graph((X,), {"y": raw(OPS["exp"], (X,), {}, real(7))}),
    "arguments fit": Graph((X,), {"y": raw(OPS["exp"], (leaf(WEIGHT, "k", integer()),), {}, integer())}),
    "weight w has one type": Graph((), {"y": leaf(WEIGHT, "w", real(2)), "z": leaf(WEIGHT, "w", real(3))}),
    "literals are float64": Graph((), {"y": raw(CONSTANT, (), {"value": np.ones(2, np.float32)}, real(2))}),
    "literals are finite": Graph((), {"y": raw(CONSTANT, (), {"value": np.array(np.nan)}, real())}),
    "argument s belongs": Graph((X,), {"y": S + X}),
    "argument t belongs": Graph((X,), {"y": solve(Region((leaf(ARGUMENT, "u", real()), S), (S * T,)), X)}),
    "input x is declared where": Graph((X,), {"y": solve(Region((T, S), (S + X,)), X)}),
    "only `pick` reads": Graph((X,), {"y": raw(OPS["exp"], (TWO,), {}, TWO.type)}),
    "a picked result exists": Graph((X,), {"y": raw(PICK, (TWO,), {"index": 2, "of": X.type}, X.type)}),
    "a picked result has the type": Graph((X,), {"y": raw(PICK, (TWO,), {"index": 1, "of": real()}, real())}),
    "a region's arguments fit": Graph((X,), {"y": solve(Region((T, leaf(ARGUMENT, "s", real(3))), (T,)), X)}),
    "a region's arguments are distinct": Graph((X,), {"y": solve(Region((T, S, S), (S,)), X, X, captured=1)}),
    "a region has one result": Graph((X,), {"y": solve(Region((T, S), (S, S)), X)}),
    "a slope has the shape": Graph((X,), {"y": solve(Region((T, S), (OPS["expand"](T, shape=(2, 1, 3)),)), X)}),
}


@pytest.mark.parametrize("invariant", BROKEN)
def test_each_invariant_is_named_when_it_is_broken(invariant):
    with pytest.raises(InvalidGraph, match=invariant.replace("(", r"\(")):
        verify(BROKEN[invariant])


def test_a_sound_graph_passes():
    w = leaf(WEIGHT, "w", real(3, 3))
    verify(Graph((X,), {"y": pick(TWO, 0) @ w, "z": pick(TWO, 1) + 1.0}))
    verify(Graph((X,), {"y": pick(solve(Region((T, S), (S @ w * T,)), X), 0)}))
