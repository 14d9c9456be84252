"""The text of a graph, and its picture."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from isocline_compiler.graph import ARGUMENT, INPUT, WEIGHT, Graph, Region, constant, leaf
from isocline_compiler.graph.called import Called
from isocline_compiler.graph.solve import Interval, pick
from isocline_compiler.graph.tensor_type import BATCH, TensorType
from isocline_compiler.graph.text_form import attribute, literal, to_text
from isocline_compiler.ops import OPS
from isocline_compiler.show.drawing import to_svg
from isocline_compiler.solvers.grid import discretise
from tests.solves import solve_node, unrolled


def real(*shape):
    return TensorType("real", shape)


def swing(scheme=None):
    """q' = p, p' = -k sin q; the angle at every time, the last velocity squashed by a layer."""
    t, (q, p, k) = leaf(ARGUMENT, "t", real()), (leaf(ARGUMENT, name, real(BATCH)) for name in "qpk")
    q0, stiff = leaf(INPUT, "q0", real(BATCH)), leaf(INPUT, "k", real(BATCH))
    region, interval = Region((t, q, p, k), (p, -k * OPS["sin"](q))), Interval((0.0, 0.5, 1.0), everywhere=True)
    node = solve_node(region, (q0, q0 * 0.0), interval, captured=(stiff,), scheme=scheme, field="swing")
    head = OPS["tanh"](OPS["matmul"](pick(node, 1), leaf(WEIGHT, "head.w", real(3, 2))) + constant([0.5, 1.0]))
    return Graph((q0, stiff), {"angle": pick(node, 0), "score": head}, "pendulum")


ROLLED = """\
graph pendulum
input q0 : real[batch]
input k : real[batch]
weight @head.w : real[3, 2]
%0 = mul(q0, 0.0) : real[batch]
%1 = solve(q0, %0, k, name=path, field=swing, interval=0.0..1.0 at 3 times, scheme=euler(steps=2), \
states=[q, p]) : real[batch, 3], real[batch, 3] {
  region(t : real, q : real[batch], p : real[batch], k : real[batch])
    %2 = neg(k) : real[batch]
    %3 = sin(q) : real[batch]
    %4 = mul(%2, %3) : real[batch]
    return p, %4
}
%5 = pick(%1, index=0) : real[batch, 3]
%6 = pick(%1, index=1) : real[batch, 3]
%7 = matmul(%6, @head.w) : real[batch, 2]
%8 = add(%7, [0.5, 1.0]) : real[batch, 2]
%9 = tanh(%8) : real[batch, 2]
output angle = %5 : real[batch, 3]
output score = %9 : real[batch, 2]
"""

UNROLLED = """\
graph pendulum
input q0 : real[batch]
input k : real[batch]
weight @head.w : real[3, 2]
%0 = reshape(q0, shape=[batch, 1]) : real[batch, 1]
%1 = mul(q0, 0.0) : real[batch]
%2 = mul(0.5, %1) : real[batch]
%3 = add(q0, %2) : real[batch]
%4 = reshape(%3, shape=[batch, 1]) : real[batch, 1]
%5 = neg(k) : real[batch]
%6 = sin(q0) : real[batch]
%7 = mul(%5, %6) : real[batch]
%8 = mul(0.5, %7) : real[batch]
%9 = add(%1, %8) : real[batch]
%10 = mul(0.5, %9) : real[batch]
%11 = add(%3, %10) : real[batch]
%12 = reshape(%11, shape=[batch, 1]) : real[batch, 1]
%13 = concat(%0, %4, %12, axis=1) : real[batch, 3]
%14 = reshape(%1, shape=[batch, 1]) : real[batch, 1]
%15 = reshape(%9, shape=[batch, 1]) : real[batch, 1]
%16 = sin(%3) : real[batch]
%17 = mul(%5, %16) : real[batch]
%18 = mul(0.5, %17) : real[batch]
%19 = add(%9, %18) : real[batch]
%20 = reshape(%19, shape=[batch, 1]) : real[batch, 1]
%21 = concat(%14, %15, %20, axis=1) : real[batch, 3]
%22 = matmul(%21, @head.w) : real[batch, 2]
%23 = add(%22, [0.5, 1.0]) : real[batch, 2]
%24 = tanh(%23) : real[batch, 2]
output angle = %13 : real[batch, 3]
output score = %24 : real[batch, 2]
"""


def by_euler(graph, steps=2):
    return unrolled(graph, lambda solve: discretise(solve.spec.interval, "euler", steps))


def test_a_rolled_graph_as_text():
    assert to_text(swing(Called("euler", {"steps": 2}))) == ROLLED


def test_an_unrolled_graph_as_text():
    assert to_text(by_euler(swing())) == UNROLLED


def test_equal_graphs_built_apart_have_equal_texts_and_others_do_not():
    assert to_text(swing()) == to_text(swing())
    assert to_text(by_euler(swing(), 2)) != to_text(by_euler(swing(), 4))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.5, "0.5"),
        (2, "2"),
        (2.0, "2.0"),
        (True, "true"),
        ([True, False], "[true, false]"),
        ([[1.5, -2.0]], "[[1.5, -2.0]]"),
        (np.zeros((8, 8)), "real[8, 8]#"),
        (np.arange(9), "int[9]#"),
    ],
)
def test_short_constants_are_written_out_and_long_ones_hashed(value, text):
    found = literal(np.asarray(value))
    assert found == text if not text.endswith("#") else found.startswith(text) and len(found) == len(text) + 8


def test_the_hash_tells_constants_apart():
    almost = np.zeros(9)
    almost[4] = 1e-300
    assert literal(np.zeros(9)) != literal(almost)


def test_intervals_as_text():
    assert attribute(Interval((0.0, 1.0), everywhere=False)) == "0.0..1.0"
    assert attribute(Interval(None, everywhere=True)) == "from input everywhere"


def shown(svg):
    """All words of a picture."""
    return [node.text or "" for node in ElementTree.fromstring(svg).iter() if node.tag.endswith("}text")]


def test_a_picture_shows_operations_shapes_and_the_field():
    words = " ".join(shown(to_svg(swing())))
    for word in ("q0", "solve", "tanh", "sin", "head.w", "angle", "score", "real[batch, 3]", "swing"):
        assert word in words
    assert "left out" not in words


def test_a_picture_is_the_same_every_time():
    assert to_svg(swing()) == to_svg(swing())


def test_a_large_graph_is_cut_and_says_so():
    graph = by_euler(swing(), 400)
    words = " ".join(shown(to_svg(graph, limit=50)))
    boxes = sum(node.op.name not in ("constant", "weight") for node in graph.nodes()) + len(graph.outputs)
    assert f"50 of {boxes} nodes are drawn; {boxes - 50} are left out" in words
