"""A graph as networkx sees it, and who reads a node."""

from __future__ import annotations

import networkx as nx
import pytest

from isocline_compiler.graph import ARGUMENT, INPUT, Graph, Op, Region, Stop, constant, leaf, users
from isocline_compiler.graph.tensor_type import TensorType
from isocline_compiler.ops import OPS
from isocline_compiler.ops.arithmetic import ADD, MUL
from isocline_compiler.ops.elementwise import EXP, SIN
from isocline_dsl.tree import Span

REAL = TensorType("real", ("batch",))
ITERATE = Op("iterate", lambda x, region: x, "never", None, Stop("a test"), "x after some steps of a region.")


@pytest.fixture
def diamond():
    """y = sin(e^x) + e^x e^x, and z, which reads x alone."""
    x = leaf(INPUT, "x", REAL)
    root = EXP(x)
    return Graph((x,), {"y": SIN(root) + root * root, "z": x * 2.0})


def number_of(graph, op):
    (found,) = [i for i, node in enumerate(graph.nodes()) if node.op is op]
    return found


def test_numbers_are_places_in_topological_order_and_carry_what_the_nodes_say(diamond):
    structure = diamond.to_networkx()
    nodes = diamond.nodes()
    assert list(structure) == list(range(len(nodes)))
    assert all(source < target for source, target in structure.edges)
    for i, node in enumerate(nodes):
        data = structure.nodes[i]
        assert (data["op"], data["type"], data["span"], data["regions"]) == (node.op, node.type, node.span, [])
    assert [data["name"] for _, data in structure.nodes(data=True) if data["op"] is INPUT] == ["x"]


def test_an_argument_that_is_read_twice_has_one_arrow_of_two_positions():
    x = leaf(INPUT, "x", REAL)
    structure = Graph((x,), {"y": x * x, "z": constant(1.0) - x}).to_networkx()
    assert sorted(data["positions"] for *_, data in structure.edges(data=True)) == [(0,), (0, 1), (1,)]


def test_the_longest_path_is_the_depth_of_the_formula():
    x = leaf(INPUT, "x", REAL)
    y = x
    for _ in range(5):
        y = SIN(y)
    structure = Graph((x,), {"y": ADD(y, x)}).to_networkx()
    assert nx.dag_longest_path(structure) == [0, 1, 2, 3, 4, 5, 6]


def test_ancestors_are_what_a_value_depends_on(diamond):
    structure, nodes = diamond.to_networkx(), diamond.nodes()
    found = nx.ancestors(structure, nodes.index(diamond.outputs["z"]))
    assert {nodes[i].op.name for i in found} == {"input", "constant"}
    assert nx.descendants(structure, number_of(diamond, EXP)) == {
        number_of(diamond, SIN), nodes.index(diamond.outputs["y"]), nodes.index(diamond.outputs["y"].inputs[1])
    }  # fmt: skip


def test_the_dominator_of_a_value_is_what_all_ways_to_it_pass(diamond):
    structure, nodes = diamond.to_networkx(), diamond.nodes()
    dominators = nx.immediate_dominators(structure, nodes.index(diamond.inputs[0]))
    assert dominators[nodes.index(diamond.outputs["y"])] == number_of(diamond, EXP)


def test_a_region_is_a_structure_of_its_own():
    x, t = leaf(INPUT, "x", REAL), leaf(ARGUMENT, "t", REAL)
    graph = Graph((x,), {"y": ITERATE(x, region=Region((t,), (SIN(t),)))})
    (region,) = graph.to_networkx().nodes[1]["regions"]
    assert [data["op"] for _, data in region.nodes(data=True)] == [ARGUMENT, SIN]


def test_places_in_the_source_are_kept():
    x = leaf(INPUT, "x", REAL)
    y = OPS["tanh"](x)
    y.span = Span(3, 7)
    assert Graph((x,), {"y": y}).to_networkx().nodes[1]["span"] == Span(3, 7)


def test_users_are_the_nodes_that_read_a_node(diamond):
    (x,), y = diamond.inputs, diamond.outputs["y"]
    readers = users(diamond)
    root = y.inputs[0].inputs[0]
    assert readers[x] == (root, diamond.outputs["z"])
    assert [node.op for node in readers[root]] == [SIN, MUL]  # e^x e^x reads it once, though in two places
    assert readers[y] == ()
    assert list(readers) == diamond.nodes()
