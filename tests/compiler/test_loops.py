"""Solves as loops: the numbers and the derivatives of laid-out steps, in a graph that does not grow."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx.reference import ReferenceEvaluator

from isocline_compiler.backends.to_onnx import to_onnx
from isocline_compiler.backends.to_torch import TorchProgram, evaluate
from isocline_compiler.derivatives.reverse_forward import gradient, jvp, pull_back
from isocline_compiler.graph import (
    ARGUMENT,
    INPUT,
    WEIGHT,
    Example,
    Graph,
    Node,
    Op,
    Region,
    constant,
    leaf,
    topological,
)
from isocline_compiler.graph.scan import SCAN, scan
from isocline_compiler.graph.solve import Interval, parts, pick
from isocline_compiler.graph.text_form import to_text
from isocline_compiler.graph.verify import InvalidGraph, verify
from isocline_compiler.ops import OPS
from isocline_compiler.ops.evaluation import applied, applied_by_row
from isocline_compiler.ops.shapes import real
from isocline_compiler.passes import bind, optimise, prune, share, sink, tabulate
from isocline_compiler.show.drawing import to_svg
from isocline_compiler.solvers.grid import Discretisation, Grid, through, uniform
from isocline_compiler.solvers.schemes import SCHEMES
from isocline_compiler.solvers.schemes.memory import replaced, same_form, values_of
from isocline_compiler.solvers.schemes.scheme import Scheme
from isocline_compiler.solvers.schemes.step import Step
from isocline_compiler.solvers.unroll import unroll
from isocline_compiler.solvers.unroll.forms import with_forms
from tests.solves import solve_node, unrolled

RNG = np.random.default_rng(3)
W = {"w1": 0.8 * RNG.normal(size=(2, 6)), "w2": 0.8 * RNG.normal(size=(6, 2)), "rate": np.array(0.3)}
X0 = RNG.normal(size=(3, 2))
START = leaf(INPUT, "x0", real("batch", 2))
RATE = leaf(WEIGHT, "rate", real())
TIMES = (0.0, 0.5, 1.0, 1.5, 2.0)


def network(*more: Node) -> Region:
    """x' = tanh(x w1 cos t) w2 - rate x, with further arguments added to the slope."""
    t, x = leaf(ARGUMENT, "t", real()), leaf(ARGUMENT, "x", real("batch", 2))
    w1, w2 = leaf(WEIGHT, "w1", real(2, 6)), leaf(WEIGHT, "w2", real(6, 2))
    slope = OPS["matmul"](OPS["tanh"](OPS["matmul"](x, w1) * OPS["cos"](t)), w2) - RATE * x
    for item in more:
        slope = slope + item
    return Region((t, x, *more), (slope,))


def solve(region: Region, initial, interval: Interval, captured=(), stacked=(), times=None) -> Node:
    return solve_node(region, initial, interval, captured=captured, stacked=stacked, times=times)


def path(times, everywhere=True) -> Graph:
    node = solve(network(), (START,), Interval(tuple(map(float, times)), everywhere))
    return Graph((START,), {"y": node})


def stepped(graph: Graph, grid: Grid | int, segment: int | None, scheme="rk4") -> Graph:
    chosen = SCHEMES[scheme] if isinstance(scheme, str) else scheme
    return unrolled(graph, lambda solve: Discretisation(chosen, grid, segment))


def run(graph: Graph, **bound) -> dict[str, np.ndarray]:
    verify(graph)
    values = {name: torch.tensor(np.asarray(value)) for name, value in {**W, "x0": X0, **bound}.items()}
    return {name: tensor.numpy() for name, tensor in TorchProgram(graph)(values).items()}


def scans(graph: Graph) -> list[Node]:
    return [node for node in graph.nodes() if node.op is SCAN]


def same(found: Graph, expected: Graph, **bound) -> None:
    for name, value in run(expected, **bound).items():
        np.testing.assert_allclose(run(found, **bound)[name], value, rtol=1e-12, atol=1e-13, err_msg=name)


# ---------------------------------------------------------------------------------------------------- the numbers


@pytest.mark.parametrize("segment", [1, 2, 3, 4, 5, 7, 8, 12, 23])
@pytest.mark.parametrize("scheme", ["euler", "rk4", "dopri5"])
@pytest.mark.parametrize("everywhere", [True, False])
def test_a_loop_gives_what_laid_out_steps_give(scheme: str, segment: int, everywhere: bool) -> None:
    graph, grid = path(TIMES, everywhere), through(TIMES, 6)
    if not everywhere:
        grid = Grid(grid.times, grid.keep[-1:])
    found = stepped(graph, grid, segment, scheme)
    assert len(scans(found)) == (24 // segment > 1)
    same(found, stepped(graph, grid, None, scheme))


@given(st.lists(st.integers(1, 5), min_size=1, max_size=5), st.integers(1, 12), st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_loop_on_any_grid(substeps: list[int], segment: int, backwards: bool) -> None:
    times = np.cumsum([0.0, *(0.1 * n + 0.05 for n in substeps)]) * (-1 if backwards else 1)
    times = tuple(times.tolist())
    graph, grid = path(times), through(times, substeps)
    same(stepped(graph, grid, segment), stepped(graph, grid, None))


def test_times_that_come_with_each_sample() -> None:
    times = leaf(INPUT, "times", real("batch", 4))
    t, x = leaf(ARGUMENT, "t", real("batch")), leaf(ARGUMENT, "x", real("batch", 2))
    results = network()(OPS["reshape"](t, shape=("batch", 1)), x)
    node = solve(Region((t, x), results), (START,), Interval(None, everywhere=True), times=times)
    graph = Graph((START, times), {"y": node})
    given_times = np.array([[0.0, 0.5, 1.0, 1.5], [0.0, 0.1, 2.0, 2.5], [1.0, 0.2, -1.0, -2.0]])
    for segment in (1, 2, 3, 4, 6):
        found = stepped(graph, 4, segment)
        assert scans(found)
        same(found, stepped(graph, 4, None), times=given_times)


def test_times_that_all_samples_share() -> None:
    times = leaf(INPUT, "times", real(3))
    node = solve(network(), (START,), Interval(None, everywhere=True), times=times)
    graph = Graph((START, times), {"y": node})
    same(stepped(graph, 6, 3), stepped(graph, 6, None), times=np.array([0.0, 0.7, 1.0]))


@pytest.mark.parametrize("depth", [24, 12, 4])
def test_weights_of_each_step(depth: int) -> None:
    bias, stacked = leaf(ARGUMENT, "b", real(2)), leaf(WEIGHT, "stack", real(depth, 2))
    node = solve(network(bias), (START,), Interval((0.0, 2.0), everywhere=False), stacked=(stacked,))
    graph, grid = Graph((START,), {"y": node}), uniform(0.0, 2.0, 24)
    stack = RNG.normal(size=(depth, 2))
    same(stepped(graph, grid, 5), stepped(graph, grid, None), stack=stack)


def test_several_states_of_other_ranks_and_captured_values() -> None:
    t, q = leaf(ARGUMENT, "t", real()), leaf(ARGUMENT, "q", real("batch"))
    p, w = leaf(ARGUMENT, "p", real("batch", 1)), leaf(ARGUMENT, "w", real("batch"))
    slopes = (w * OPS["reshape"](p, shape=("batch",)), OPS["reshape"](-w * q, shape=("batch", 1)))
    q0, given_w = leaf(INPUT, "q0", real("batch")), leaf(INPUT, "w", real("batch"))
    p0 = OPS["reshape"](q0 * 0.0, shape=("batch", 1))
    node = solve(Region((t, q, p, w), slopes), (q0, p0), Interval((0.0, 0.5, 1.0), True), captured=(given_w,))
    graph = Graph((q0, given_w), {"q": pick(node, 0), "p": pick(node, 1)})
    found = stepped(graph, through((0.0, 0.5, 1.0), 40), 8)
    values = run(found, q0=np.array([1.0, 2.0]), w=np.array([1.0, 3.0]))
    angle = np.outer([1.0, 3.0], [0.0, 0.5, 1.0])
    np.testing.assert_allclose(values["q"], [[1.0], [2.0]] * np.cos(angle), atol=1e-6)
    np.testing.assert_allclose(values["p"][..., 0], -np.array([[1.0], [2.0]]) * np.sin(angle), atol=1e-6)


def test_a_solve_without_a_batch() -> None:
    t, x = leaf(ARGUMENT, "t", real()), leaf(ARGUMENT, "x", real(2))
    start = leaf(WEIGHT, "start", real(2))
    node = solve(Region((t, x), (OPS["sin"](x) * t,)), (start,), Interval((0.0, 1.0, 3.0), everywhere=True))
    graph, grid = Graph((), {"y": node}), through((0.0, 1.0, 3.0), 6)
    same(stepped(graph, grid, 3), stepped(graph, grid, None), start=np.array([0.4, -1.0]))


@dataclass(frozen=True)
class Slope:
    """A slope with the step that it belongs to, as a multistep scheme keeps it."""

    step: Step
    values: tuple


class AdamsBashforth3(Scheme):
    """x' = x + h (23 f_n - 16 f_{n-1} + 5 f_{n-2}) / 12; the first two steps by Heun. Remembers two slopes."""

    name, order, reference = "ab3", 3, "Hairer, Norsett, Wanner (1993), III.1"

    def start(self, field, x):
        return ()

    def advance(self, memory, field, step: Step, x):
        now = Slope(step, field(step.t, x))
        if len(memory) < 2:
            ahead = field(step.end, tuple(a + step.h * k for a, k in zip(x, now.values, strict=True)))
            slopes = [0.5 * (k + g) for k, g in zip(now.values, ahead, strict=True)]
        else:
            two, one = memory
            terms = zip(now.values, one.values, two.values, strict=True)
            slopes = [(23 / 12) * a - (16 / 12) * b + (5 / 12) * c for a, b, c in terms]
        return (*memory, now)[-2:], tuple(a + step.h * k for a, k in zip(x, slopes, strict=True))


@pytest.mark.parametrize("segment", [1, 2, 3, 4, 6])
def test_a_loop_carries_what_a_scheme_remembers(segment: int) -> None:
    graph, grid = path((0.0, 1.0, 2.0, 3.0)), through((0.0, 1.0, 2.0, 3.0), 6)
    found = stepped(graph, grid, segment, AdamsBashforth3())
    assert len(scans(found)) == 1
    same(found, stepped(graph, grid, None, AdamsBashforth3()))


@pytest.mark.parametrize(("intervals", "segment"), [(5, 12), (7, 18), (5, 9)])
def test_states_are_kept_in_the_steps_that_fill_no_segment(intervals: int, segment: int) -> None:
    times = tuple(0.5 * i for i in range(intervals + 1))
    graph, grid = path(times), through(times, 6)
    found = stepped(graph, grid, segment)
    assert len(scans(found)) == 1
    same(found, stepped(graph, grid, None))


@pytest.mark.parametrize("segment", [2, 3, 4, 5])
def test_a_loop_that_begins_late_ends_at_the_last_step(segment: int) -> None:
    """The steps that start the scheme stand before the loop: those after it count on from there."""
    graph, grid = path((0.0, 3.0), everywhere=False), uniform(0.0, 3.0, 18)
    found = stepped(graph, grid, segment, AdamsBashforth3())
    assert len(scans(found)) == 1
    same(found, stepped(graph, grid, None, AdamsBashforth3()))


def test_a_memory_is_taken_apart_and_put_together() -> None:
    memory = (None, Slope(Step(0.0, 1.0, 1.0, (1.0,)), (2.0, 3.0)), 4.0)
    assert values_of(memory) == [0.0, 1.0, 1.0, 1.0, 2.0, 3.0, 4.0]
    changed = replaced(memory, iter(range(7)))
    assert changed == (None, Slope(Step(0, 1, 2, (3,)), (4, 5)), 6)
    assert same_form(memory, changed)
    assert not same_form(memory, memory[:2])
    assert not same_form(memory, (None, memory[1], None))


# ---------------------------------------------------------------------------------------------------- derivatives


def derived(graph: Graph) -> Graph:
    """The path, a gradient of a number of it, the gradient of the gradient's square, and two forward derivatives."""
    y = graph.outputs["y"]
    score = OPS["reduce_sum"](OPS["sin"](y) * y, axes=tuple(range(1, y.type.rank)))
    (first,) = gradient(score, [START])
    (second,) = gradient(OPS["reduce_sum"](first * first, axes=(1,)), [START])
    (along,) = jvp([y], [START], [OPS["cos"](START)])
    (by_rate,) = jvp([score], [RATE], [constant(1.0)])
    (total,) = gradient(OPS["reduce_sum"](score, axes=(0,)), [RATE])
    outputs = {"y": y, "first": first, "second": second, "along": along, "by_rate": by_rate, "total": total}
    return Graph(graph.inputs, outputs)


def by_autograd(graph: Graph) -> dict[str, np.ndarray]:
    """The same by torch, through the laid-out steps evaluated in torch."""
    program = TorchProgram(graph)
    bound = {name: torch.tensor(value) for name, value in W.items()}
    rate = bound["rate"].requires_grad_()

    def y_of(x: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        return program({**bound, "x0": x, "rate": k})["y"]

    def score_of(x: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        return (torch.sin(y_of(x, k)) * y_of(x, k)).flatten(1).sum(1)

    x = torch.tensor(X0, requires_grad=True)
    (first,) = torch.autograd.grad(score_of(x, rate).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad((first * first).sum(), x, retain_graph=True)
    (total,) = torch.autograd.grad(score_of(x, rate).sum(), rate)
    _, along = torch.func.jvp(lambda value: y_of(value, rate), (x.detach(),), (torch.cos(x.detach()),))
    _, by_rate = torch.func.jvp(lambda k: score_of(x.detach(), k), (rate.detach(),), (torch.ones((), dtype=x.dtype),))
    named = {"first": first, "second": second, "along": along, "by_rate": by_rate, "total": total}
    return {name: tensor.detach().numpy() for name, tensor in named.items()}


GRIDS = {
    "kept": (path((0.0, 0.7, 1.4)), through((0.0, 0.7, 1.4), 6)),
    "end": (path((0.0, 1.5), everywhere=False), uniform(0.0, 1.5, 14)),
    "uneven": (path((0.0, 0.5, 1.4)), Grid((0.0, 0.1, 0.5, 0.6, 0.8, 1.3, 1.4), (0, 2, 6))),
}


@pytest.mark.parametrize("stored", [0, 1 << 21], ids=["checkpoints", "stored"])
@pytest.mark.parametrize("segment", [1, 2, 3])
@pytest.mark.parametrize("kind", GRIDS)
def test_derivatives_through_a_loop_are_autograds_through_the_steps(
    kind: str, segment: int, stored: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isocline_compiler.derivatives.of_loops.MOST_STORED", stored)
    graph, grid = GRIDS[kind]
    found = derived(stepped(graph, grid, segment))
    assert len(scans(found)) > 2
    values = run(found)
    for name, expected in by_autograd(stepped(graph, grid, None)).items():
        np.testing.assert_allclose(values[name], expected, rtol=1e-11, atol=1e-12, err_msg=name)


def test_a_pruned_loop_is_run_again_for_its_derivative() -> None:
    """It no longer has what its reverse reads; the numbers are the same."""
    graph = stepped(*GRIDS["kept"], 2)

    def slope_of(graph: Graph) -> np.ndarray:
        score = OPS["reduce_sum"](OPS["sin"](graph.outputs["y"]), axes=(1, 2))
        return run(Graph((START,), {"slope": gradient(score, [START])[0]}))["slope"]

    np.testing.assert_allclose(slope_of(optimise(bind(graph, W))), slope_of(graph), rtol=1e-12)


def test_checkpoints_compute_an_iteration_again_and_stored_values_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def tanhs(most: int) -> list[int]:
        monkeypatch.setattr("isocline_compiler.derivatives.of_loops.MOST_STORED", most)
        graph = optimise(bind(derived(stepped(*GRIDS["end"], 2)), W))
        whole = optimise(Graph(graph.inputs, {"first": graph.outputs["first"]}))
        return [len([n for n in topological(loop.attrs["region"].results) if n.op.name == "tanh"])
                for loop in scans(whole)]  # fmt: skip

    assert tanhs(1 << 21) == [8, 0]
    assert tanhs(0) == [8, 8]


def test_what_is_stored_counts_the_points_of_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop over 100 points of each sample stores a hundred times as much."""
    monkeypatch.setattr("isocline_compiler.derivatives.of_loops.MOST_STORED", 1000)

    def tanhs(start: Node) -> int:
        body = scan((start,), (), (), lambda x, c, s: ([OPS["tanh"](OPS["sin"](x[0]))], []), length=10)
        (slope,) = gradient(OPS["reduce_sum"](body.last[0], axes=(0, 1)), [start])
        loops = scans(prune(Graph((start,), {"slope": slope})))
        return sum(n.op.name == "tanh" for loop in loops for n in topological(loop.attrs["region"].results))

    assert tanhs(leaf(INPUT, "x", real("batch", 2))) == 1
    assert tanhs(leaf(INPUT, "x", real("100*batch", 2))) == 2


def test_a_gradient_of_a_gradient_of_a_gradient() -> None:
    """A state of one number: the third derivative, against finite differences of the second."""
    t, x = leaf(ARGUMENT, "t", real()), leaf(ARGUMENT, "x", real("batch"))
    start = leaf(INPUT, "x0", real("batch"))
    node = solve(Region((t, x), (OPS["sin"](x) * OPS["cos"](t),)), (start,), Interval((0.0, 2.0), everywhere=False))
    y = stepped(Graph((start,), {"y": node}), uniform(0.0, 2.0, 20), 4).outputs["y"]
    derivatives = [y]
    for _ in range(3):
        derivatives.append(gradient(derivatives[-1], [start])[0])
    graph = Graph((start,), {str(i): item for i, item in enumerate(derivatives)})
    points, h = np.array([-1.0, 0.2, 0.9]), 1e-5
    here, above, below = (run(graph, x0=points + shift) for shift in (0.0, h, -h))
    for i in range(3):
        np.testing.assert_allclose(here[str(i + 1)], (above[str(i)] - below[str(i)]) / (2 * h), rtol=1e-7, atol=1e-8)


def sensitivities(graph: Graph, grid: Grid, segment: int | None) -> np.ndarray:
    """The derivative of a number by the state at every node of the grid, (n, batch, 2)."""
    choice = Discretisation(SCHEMES["rk4"], grid, segment)
    found = unroll(graph, {"path": choice}, trajectories=True)
    (kept,) = found.trajectories
    (states,) = kept.states.values()
    score = OPS["reduce_sum"](OPS["square"](found.graph.outputs["y"]), axes=(1, 2))
    slopes = pull_back([score], [OPS["expand_like"](constant(1.0), score)], states)
    arrays = evaluate(slopes, {name: torch.tensor(value) for name, value in {**W, "x0": X0}.items()})
    np.testing.assert_allclose(evaluate([kept.times])[0].numpy(), grid.times)
    return torch.cat([a[None] if a.ndim == 2 else a.reshape(-1, *a.shape[2:]) for a in arrays]).numpy()


def test_the_derivative_by_a_disturbance_is_that_by_the_state() -> None:
    """Of a loop as of laid-out steps: the same sensitivities along the whole path, the first and the last included."""
    graph, grid = GRIDS["kept"]
    paths = [sensitivities(graph, grid, segment) for segment in (None, 2, 5)]
    for other in paths[1:]:
        np.testing.assert_allclose(other, paths[0], rtol=1e-12)


def test_only_what_is_wanted_is_carried_backwards() -> None:
    """A gradient with respect to the start sums nothing for the weights; one with respect to a weight does."""
    y = stepped(*GRIDS["end"], 2).outputs["y"]
    score = OPS["reduce_sum"](y, axes=(0, 1))
    by_start = scans(Graph((START,), {"g": gradient(score, [START])[0]}))[-1]
    by_rate = scans(Graph((START,), {"g": gradient(score, [RATE])[0]}))[-1]
    assert by_start.attrs["states"] == 1
    assert by_rate.attrs["states"] == 2


# ---------------------------------------------------------------------------------------------------- the graph


def test_the_graph_does_not_grow_with_the_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isocline_compiler.derivatives.of_loops.MOST_STORED", 1 << 16)

    def size(steps: int) -> int:
        graph = derived(stepped(path((0.0, 1.0), everywhere=False), uniform(0.0, 1.0, steps), 5))
        return len(to_text(optimise(bind(graph, W))).splitlines())

    assert size(50) == size(500)
    assert size(10_000) == size(20_000), "of so many steps only the states are stored"


def test_the_body_of_a_loop_is_closed() -> None:
    graph = stepped(*GRIDS["kept"], 3)
    (loop,) = scans(graph)
    assert {item.attrs["name"] for item in parts(loop).captured if item.op is WEIGHT} == set(W)
    region: Region = loop.attrs["region"]
    broken = Node(SCAN, loop.inputs, {**loop.attrs, "region": Region(region.arguments, (RATE * region.results[0],
        *region.results[1:]))}, loop.types, None)  # fmt: skip
    with pytest.raises(InvalidGraph, match="nothing but literals is free"):
        verify(Graph((START,), {"y": pick(broken, 0)}))


def test_pruned_are_results_nobody_reads_and_states_that_matter_to_none() -> None:
    x0, y0 = constant(np.zeros(2)), constant(np.ones(2))
    loop = scan((x0, y0), (RATE,), (), lambda x, c, s: ((x[0] + c[0], x[1] * c[0]), (x[0], x[1])), length=4)
    assert len(loop.last[0].inputs[0].types) == 8, "the results, the states, and what is computed from them"
    (left,) = scans(prune(Graph((), {"y": loop.last[0]})))
    assert (left.attrs["states"], len(left.types), left.attrs["captured"]) == (1, 1, 1)
    both = prune(Graph((), {"y": loop.last[0], "rows": loop.stacked[1]}))
    (kept,) = scans(both)
    assert (kept.attrs["states"], len(kept.types)) == (2, 3)
    np.testing.assert_allclose(run(both)["rows"], [[0.3**i] * 2 for i in range(4)], rtol=1e-14)


def test_what_the_clock_decides_becomes_a_table_computed_in_float64() -> None:
    """cos(1000 t) in float32 at t = 1000 has no right digit: as a row of a table it is exact to rounding."""
    t, x = leaf(ARGUMENT, "t", real()), leaf(ARGUMENT, "x", real("batch"))
    start = leaf(INPUT, "x0", real("batch"))
    region = Region((t, x), (OPS["cos"](1000.0 * t) - 0.0 * x,))
    node = solve(region, (start,), Interval((1000.0, 1001.0), everywhere=False))
    graph = stepped(Graph((start,), {"y": node}), uniform(1000.0, 1001.0, 40), 5)
    exact = run(graph, x0=np.zeros(1))["y"]
    whole = optimise(graph, check=True)
    assert not [n for loop in scans(whole) for n in Graph((), dict(enumerate(loop.attrs["region"].results))).nodes()
                if n.op.name == "cos"]  # fmt: skip
    (found,) = session(whole, "float32").run(None, {"x0": np.zeros(1, np.float32)})
    np.testing.assert_allclose(found, exact, rtol=3e-6)


@pytest.mark.parametrize("batched", [False, True])
def test_rows_of_one_number_are_that_number(batched: bool) -> None:
    """0.25 in every row, with or without an axis for the samples: no value is stacked any more."""
    start = START if batched else constant(np.array([1.0, -2.0]))
    same = OPS["expand_like"](constant(0.25), start) if batched else constant(np.full(2, 0.25))
    rows = OPS["expand"](OPS["reshape"](same, shape=(1, *same.shape)), shape=(4, *same.shape))
    loop = scan((start,), (), (rows,), lambda x, c, s: ([x[0] * s[0]], []), length=4)
    graph = prune(Graph((START,), {"y": loop.last[0]}))
    (found,) = scans(sink(graph))
    assert found.attrs["stacked"] == 0
    same_numbers = run(sink(graph))["y"]
    np.testing.assert_allclose(same_numbers, (X0 if batched else np.array([1.0, -2.0])) / 256, rtol=1e-14)


def test_a_table_is_made_of_what_reads_the_clock_only() -> None:
    """A literal too large to fold is no matter of the clock, though no state decides it either."""
    wide = OPS["expand"](constant([[1.0]]), shape=(200, 200))
    loop = scan((constant(np.ones((200, 200))),), (), (), lambda x, c, s: ([x[0] * OPS["sin"](wide)], []), length=3)
    graph = prune(Graph((), {"y": loop.last[0]}))
    assert tabulate(graph) is graph
    np.testing.assert_allclose(run(optimise(graph, check=True))["y"], np.sin(1.0) ** 3, rtol=1e-12)


ROWS = [(op, example) for op in OPS.values() if op.onnx is not None and op.training is None for example in op.examples
        if all(isinstance(size, int) for type_ in example.types for size in type_.shape)]  # fmt: skip


@pytest.mark.parametrize(("op", "example"), ROWS, ids=lambda item: getattr(item, "name", ""))
def test_every_operation_can_be_taken_over_rows(op: Op, example: Example) -> None:
    arguments = [leaf(ARGUMENT, f"x{i}", type_) for i, type_ in enumerate(example.types)]
    node = op(*arguments, **example.attrs)
    rows = {}
    for i, argument in enumerate(arguments):
        low, high = example.within[min(i, len(example.within) - 1)]
        drawn = RNG.uniform(low, high, (3, *argument.shape))
        rows[argument] = {"real": drawn, "int": drawn.astype(np.int64), "bool": drawn > 0}[argument.type.kind]
    (found,) = applied_by_row([node], rows)
    for i in range(3):
        expected = applied(op, [array[i] for array in rows.values()], example.attrs)
        np.testing.assert_allclose(found[i], expected, rtol=1e-12, atol=1e-14)


def test_passes_give_back_the_same_graph_when_nothing_is_to_do() -> None:
    graph = optimise(bind(derived(stepped(*GRIDS["kept"], 3)), W), check=True, rounds=8)
    for step in (prune, share, sink, tabulate):
        assert step(graph) is graph


# ---------------------------------------------------------------------------------------------------- deployed


def session(graph: Graph, dtype: str, level: int = 99) -> onnxruntime.InferenceSession:
    model = to_onnx(graph, {}, dtype=dtype)
    onnx.checker.check_model(model, full_check=True)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel(level)
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])


@pytest.mark.parametrize(("dtype", "bound"), [("float32", 5e-6), ("float64", 1e-12)])
@pytest.mark.parametrize("kind", GRIDS)
def test_loops_and_their_derivatives_in_onnxruntime(kind: str, dtype: str, bound: float) -> None:
    graph = derived(stepped(*GRIDS[kind], 3))
    expected, whole = run(graph), optimise(bind(graph, W), check=True)
    for level in (0, 1, 2, 99):
        found = session(whole, dtype, level).run(list(expected), {"x0": X0.astype(dtype)})
        for array, (name, value) in zip(found, expected.items(), strict=True):
            assert np.abs(array - value).max() <= bound * np.abs(value).max(), (name, level)


def test_loops_on_the_reference_evaluator() -> None:
    """Which scans in one direction only: rows are turned by an operation of their own."""
    graph = derived(stepped(*GRIDS["kept"], 3))
    model = to_onnx(optimise(bind(graph, W)), {}, dtype="float64")
    found = ReferenceEvaluator(model).run(None, {"x0": X0})
    for array, (name, value) in zip(found, run(graph).items(), strict=True):
        np.testing.assert_allclose(array, value, rtol=1e-11, atol=1e-12, err_msg=name)


def test_a_loop_is_a_scan_of_standard_operators_with_the_size_of_its_batch() -> None:
    whole = optimise(bind(stepped(*GRIDS["end"], 3), W))
    model = to_onnx(whole, {}, sizes={"batch": 4})
    (loop,) = [node for node in model.graph.node if node.op_type == "Scan"]
    body = next(item.g for item in loop.attribute if item.name == "body")
    assert [d.dim_value for d in body.input[0].type.tensor_type.shape.dim] == [4, 2]
    assert not body.initializer, "weights are stored once, outside"
    assert to_onnx(whole, {}, sizes={"batch": 4}).SerializeToString() == model.SerializeToString()


def test_a_loop_suits_engines_that_rewrite_its_body() -> None:
    """What a body is given is read, and what it stacks is read by nothing in it: see docs/conformance.md."""
    t, x = leaf(ARGUMENT, "t", real()), leaf(ARGUMENT, "x", real("batch", 2))
    node = solve(Region((t, x), (OPS["tanh"](x),)), (START,), Interval((0.0, 1.0), everywhere=True))
    without_clock = stepped(Graph((START,), {"y": node}), through((0.0, 1.0), 8), 2)
    for graph in (derived(stepped(*GRIDS["kept"], 3)), without_clock):
        model = to_onnx(optimise(bind(graph, W)), {})
        for node in (node for node in model.graph.node if node.op_type == "Scan"):
            body = next(item.g for item in node.attribute if item.name == "body")
            states = len(node.input) - next(item.i for item in node.attribute if item.name == "num_scan_inputs")
            read = {name for inner in body.node for name in inner.input}
            assert {port.name for port in body.input[states:]} <= read
            assert len(node.input) > states
            assert not {port.name for port in body.output[states:]} & read


@pytest.mark.parametrize(("size", "outside"), [(1, False), (1024, False), (1025, True)])
def test_a_body_reads_no_computed_value_from_outside_unless_it_is_large(size: int, outside: bool) -> None:
    """OpenVINO loads a body that reads initializers alone. x' = -k sin(x), k = mean(w): tan(x/2) falls as exp(-kt)."""
    t, x, w = (
        leaf(ARGUMENT, "t", real()),
        leaf(ARGUMENT, "x", real("batch", 2)),
        leaf(ARGUMENT, "w", real("batch", size)),
    )
    given_w = leaf(INPUT, "w", real("batch", size))
    first = OPS["slice"](x, axis=1, start=0, stop=1)
    slope = OPS["reduce_mean"](w * OPS["sin"](first), axes=(1,), keepdims=True) * constant(np.array([-1.0, 0.0]))
    node = solve(Region((t, x, w), (slope,)), (START,), Interval((0.0, 1.0), everywhere=False), captured=(given_w,))
    model = to_onnx(optimise(stepped(Graph((START, given_w), {"y": node}), through((0.0, 1.0), 20), 2)), {})
    (loop,) = [node for node in model.graph.node if node.op_type == "Scan"]
    body = next(item.g for item in loop.attribute if item.name == "body")
    inside = {port.name for port in body.input} | {name for inner in body.node for name in inner.output}
    stored = {item.name for item in model.graph.initializer}
    read = {name for inner in body.node for name in inner.input if name}
    assert bool(read - inside - stored) == outside
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    values = RNG.uniform(0.5, 1.5, (3, size)).astype(np.float32)
    (found,) = session.run(["y"], {"x0": X0.astype(np.float32), "w": values})
    expected = 2 * np.arctan(np.tan(X0[:, 0] / 2) * np.exp(-values.mean(1)))
    np.testing.assert_allclose(found, np.stack([expected, X0[:, 1]], axis=1), rtol=1e-5)


def test_a_loop_is_drawn_and_written_with_the_names_of_its_states() -> None:
    graph = optimise(bind(derived(stepped(*GRIDS["kept"], 3)), W))
    assert "region(x : real[batch, 2], " in to_text(graph)
    assert "adjoint_x : real[batch, 2]" in to_text(graph)
    picture = to_svg(graph)
    assert "next x" in picture
    assert "row 0" in picture


def test_large_solves_become_loops_unless_the_author_says_otherwise() -> None:
    graph = path((0.0, 1.0, 2.0))

    def chosen(steps: int, unrolling) -> int | None:
        grid = through((0.0, 1.0, 2.0), steps)
        return with_forms(graph, {"path": Discretisation(SCHEMES["rk4"], grid)}, unrolling)["path"].segment

    assert chosen(4, "auto") is None
    assert chosen(500, "auto") is not None
    assert chosen(500, "all") is None
    assert chosen(4, 2) == 2
    assert chosen(6, 4) == 3, "a segment meets the kept times"
    assert chosen(4, 100) is None, "there is no second segment"


def test_a_segment_has_a_step() -> None:
    with pytest.raises(ValueError, match="a segment of 0 steps"):
        replace(Discretisation(SCHEMES["rk4"], uniform(0.0, 1.0, 4)), segment=0)
