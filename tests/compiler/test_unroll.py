"""Unrolled solves against torchdiffeq and scipy, on a small network with hand-made regions."""

from __future__ import annotations

import time
from itertools import pairwise

import numpy as np
import pytest
import torch
import torchdiffeq
from scipy.integrate import solve_ivp

from isocline_compiler.graph import (
    ARGUMENT,
    INPUT,
    WEIGHT,
    Graph,
    Region,
    at,
    constant,
    leaf,
    topological,
)
from isocline_compiler.graph.solve import SOLVE, Interval, pick
from isocline_compiler.graph.tensor_type import BATCH, TensorType
from isocline_compiler.graph.text_form import to_text
from isocline_compiler.ops import OPS
from isocline_compiler.solvers.grid import Discretisation, Grid, discretise, through, uniform
from isocline_compiler.solvers.schemes import SCHEMES
from isocline_compiler.solvers.schemes.scheme import Scheme
from isocline_compiler.solvers.schemes.step import Step
from isocline_dsl.tree import Span
from tests.solves import solve_node, unrolled

SOLVE_SPAN, FIELD_SPAN = Span(100, 120), Span(10, 20)
RNG = np.random.default_rng(7)
W1, W2 = RNG.normal(size=(2, 8)) * 0.8, RNG.normal(size=(8, 2)) * 0.8
X0 = RNG.normal(size=(3, 2))


def real(*shape):
    return TensorType("real", shape)


def run(graph, **bound):
    """The outputs in float64 torch, operation by operation."""
    values = {}
    for node in graph.nodes():
        if node.op in (INPUT, WEIGHT):
            values[node] = torch.as_tensor(bound[node.attrs["name"]], dtype=torch.float64)
        elif "value" in node.attrs and not node.inputs:
            values[node] = torch.as_tensor(np.array(node.attrs["value"]))
        else:
            arguments = [values[item] for item in node.inputs]
            call = getattr(torch, node.op.torch) if isinstance(node.op.torch, str) else None
            values[node] = call(*arguments) if call else node.op.torch(torch, *arguments, **node.attrs)
    return {name: values[node].numpy() for name, node in graph.outputs.items()}


def network(stacked=False):
    """x' = tanh(x w1 cos t) w2 - x |x|^0.5: a field with weights, time and state."""
    t = leaf(ARGUMENT, "t", real())
    x = leaf(ARGUMENT, "x", real(BATCH, 2))
    w1, w2 = leaf(WEIGHT, "w1", real(2, 8)), leaf(WEIGHT, "w2", real(8, 2))
    arguments = (t, x)
    if stacked:
        w1 = leaf(ARGUMENT, "w1", real(2, 8))
        arguments = (t, x, w1)
    with at(FIELD_SPAN):
        hidden = OPS["tanh"](OPS["matmul"](x, w1) * OPS["cos"](t))
        slope = OPS["matmul"](hidden, w2) - x * 0.5
    return Region(arguments, (slope,))


def numpy_field(t, x, w1=W1):
    return np.tanh(x @ w1 * np.cos(t)) @ W2 - 0.5 * x


def torch_field(t, x):
    return torch.tanh(x @ torch.from_numpy(W1) * torch.cos(t)) @ torch.from_numpy(W2) - 0.5 * x


def solve(region, initial, interval, captured=(), stacked=(), times=None, name="path"):
    with at(SOLVE_SPAN):
        return solve_node(region, initial, interval, captured=captured, stacked=stacked, times=times, name=name)


def solved(times, everywhere=True):
    x0 = leaf(INPUT, "x0", real(BATCH, 2))
    interval = Interval(tuple(map(float, times)), everywhere)
    return Graph((x0,), {"path": solve(network(), (x0,), interval)}, "network"), interval


def stepped(graph, interval, scheme, steps):
    return unrolled(graph, lambda solve: discretise(interval, scheme, steps))


def by(scheme, graph, grid):
    return unrolled(graph, lambda solve: Discretisation(SCHEMES[scheme], grid))


def end_of(region, x0, start=0.0, end=1.0, **more):
    """A solve over start..end, of which only the end is kept."""
    return solve(region, (x0,), Interval((start, end), everywhere=False), **more)


def answer(graph, **more):
    return run(graph, x0=X0, w1=W1, w2=W2, **more)["path"]


@pytest.mark.parametrize(("ours", "theirs"), [("euler", "euler"), ("midpoint", "midpoint"), ("rk38", "rk4")])
@pytest.mark.parametrize(("start", "end"), [(0.0, 2.0), (1.5, -0.5)])
def test_fixed_grids_agree_with_torchdiffeq(ours, theirs, start, end):
    times = np.linspace(start, end, 21)
    graph, interval = solved(times)
    found = answer(stepped(graph, interval, ours, 20))
    expected = torchdiffeq.odeint(torch_field, torch.from_numpy(X0), torch.from_numpy(times), method=theirs)
    np.testing.assert_allclose(found, expected.numpy().transpose(1, 0, 2), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(("scheme", "steps"), [("rk4", 200), ("tsit5", 100), ("dopri8", 30), ("bosh3", 400)])
@pytest.mark.parametrize("times", [(0.0, 0.4, 1.0, 3.0), (2.0, 1.0, 0.4, -0.2)], ids=["forwards", "backwards"])
def test_many_steps_agree_with_scipy(scheme, steps, times):
    found = answer(by(scheme, solved(times)[0], through(times, steps // 3)))
    for sample, start in zip(found, X0, strict=True):
        exact = solve_ivp(numpy_field, times[::3], start, "DOP853", t_eval=times, rtol=1e-13, atol=1e-13)
        np.testing.assert_allclose(sample, exact.y.T, rtol=0, atol=1e-6)


def test_the_end_alone_is_the_last_of_the_whole_path():
    times = (0.0, 1.0)
    last = answer(stepped(*solved(times, everywhere=False), "rk4", 8))
    whole = answer(stepped(*solved(times), "rk4", 8))
    assert whole.shape == (3, 2, 2)
    np.testing.assert_array_equal(last, whole[:, -1])
    np.testing.assert_array_equal(X0, whole[:, 0])


def from_input(times_type, scheme, substeps):
    """The same solve with times that come with the input; the field sees t of shape (batch, 1) or ()."""
    x0, times = leaf(INPUT, "x0", real(BATCH, 2)), leaf(INPUT, "times", times_type)
    t = leaf(ARGUMENT, "t", real(*times_type.shape[:-1]))
    x = leaf(ARGUMENT, "x", real(BATCH, 2))
    column = OPS["reshape"](t, shape=(BATCH, 1)) if times_type.batched else t
    body = network()
    results = body(column, x)
    node = solve(Region((t, x), results), (x0,), Interval(None, everywhere=True), times=times)
    return by(scheme, Graph((x0, times), {"path": node}), substeps)


@pytest.mark.parametrize("scheme", ["euler", "rk4", "dopri5"])
def test_times_of_the_input_give_what_known_times_give(scheme):
    times = (0.0, 0.3, 1.0, 1.2)
    known = answer(by(scheme, solved(times)[0], through(times, 4)))
    given = answer(from_input(real(4), scheme, 4), times=times)
    np.testing.assert_allclose(given, known, rtol=1e-12)


def test_each_sample_may_have_times_of_its_own():
    times = np.array([[0.0, 0.5, 1.0], [0.0, 0.1, 2.0], [1.0, 0.2, -1.0]])
    found = answer(from_input(real(BATCH, 3), "rk4", 100), times=times)
    for sample, own, start in zip(found, times, X0, strict=True):
        exact = solve_ivp(numpy_field, own[::2], start, "DOP853", t_eval=own, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(sample, exact.y.T, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("steps", "slices"), [(4, [0, 1, 2, 3]), (8, [0, 0, 1, 1, 2, 2, 3, 3]), (3, [0, 2, 3])])
def test_stacked_weights_are_constant_in_time_piece_by_piece(steps, slices):
    stack = RNG.normal(size=(4, 2, 8))
    x0, stacked = leaf(INPUT, "x0", real(BATCH, 2)), leaf(WEIGHT, "stack", real(4, 2, 8))
    node = end_of(network(stacked=True), x0, end=2.0, stacked=(stacked,))
    graph = by("euler", Graph((x0,), {"path": node}), uniform(0.0, 2.0, steps))
    x, h = X0, 2.0 / steps
    for i, index in enumerate(slices):
        x = x + h * numpy_field(2.0 * i / steps, x, stack[index])
    np.testing.assert_allclose(answer(graph, stack=stack), x, rtol=1e-12)
    selects = [n for n in graph.nodes() if n.op is OPS["select"]]
    assert sorted(n.attrs["index"] for n in selects) == sorted(set(slices))


def rotation():
    """Two coupled states and a captured frequency: q' = w p, p' = -w q, of different ranks."""
    t, q = leaf(ARGUMENT, "t", real()), leaf(ARGUMENT, "q", real(BATCH))
    p, w = leaf(ARGUMENT, "p", real(BATCH, 1)), leaf(ARGUMENT, "w", real(BATCH))
    column = OPS["reshape"](w, shape=(BATCH, 1))
    flat = OPS["reshape"](p, shape=(BATCH,))
    return Region((t, q, p, w), (w * flat, -column * OPS["reshape"](q, shape=(BATCH, 1))))


def test_several_states_and_captured_values():
    q0, w = leaf(INPUT, "q0", real(BATCH)), leaf(INPUT, "w", real(BATCH))
    p0 = OPS["reshape"](q0 * 0.0, shape=(BATCH, 1))
    node = solve(rotation(), (q0, p0), Interval((0.0, 0.5, 1.0), everywhere=True), captured=(w,))
    graph = Graph((q0, w), {"q": pick(node, 0), "p": pick(node, 1)})
    found = run(by("rk4", graph, through((0.0, 0.5, 1.0), 40)), q0=[1.0, 2.0], w=[1.0, 3.0])
    angle = np.outer([1.0, 3.0], [0.0, 0.5, 1.0])
    np.testing.assert_allclose(found["q"], [[1.0], [2.0]] * np.cos(angle), atol=1e-6)
    np.testing.assert_allclose(found["p"][..., 0], -np.array([[1.0], [2.0]]) * np.sin(angle), atol=1e-6)


def test_solves_may_follow_each_other_with_different_choices():
    x0 = leaf(INPUT, "x0", real(BATCH, 2))
    first = end_of(network(), x0, name="first")
    second = end_of(network(), first, 1.0, 2.0, name="second")
    grids = {"first": uniform(0.0, 1.0, 50), "second": uniform(1.0, 2.0, 80)}
    graph = Graph((x0,), {"path": second, "half": first})
    found = unrolled(graph, lambda solve: Discretisation(SCHEMES["rk4"], grids[solve.spec.name]))
    assert not any(node.op is SOLVE for node in found.nodes())
    exact = solve_ivp(numpy_field, (0.0, 2.0), X0[0], "DOP853", rtol=1e-12, atol=1e-12).y[:, -1]
    np.testing.assert_allclose(answer(found)[0], exact, atol=1e-7)


def test_a_graph_without_a_solve_comes_back_itself():
    x0 = leaf(INPUT, "x0", real(BATCH, 2))
    graph = Graph((x0,), {"y": OPS["tanh"](x0)})
    assert unrolled(graph, lambda solve: pytest.fail("nothing to choose")) is graph


def test_a_solve_without_a_choice_stays_and_those_around_it_are_unrolled():
    x0 = leaf(INPUT, "x0", real(BATCH, 2))
    first, grid = end_of(network(), x0, name="first"), uniform(0.0, 1.0, 5)
    second = end_of(network(), first, name="second")
    graph = Graph((x0,), {"path": end_of(network(), second, name="third")})
    found = unrolled(
        graph, lambda solve: None if solve.spec.name == "second" else Discretisation(SCHEMES["euler"], grid)
    )
    (left,) = [node for node in found.nodes() if node.op is SOLVE]
    assert left.inputs[0].op is OPS["add"]
    assert unrolled(graph, lambda solve: None) is graph


def test_every_node_knows_where_it_came_from():
    graph = stepped(*solved((0.0, 1.0)), "rk4", 4)
    spans = {node.span for node in graph.nodes() if node.inputs}
    assert spans == {SOLVE_SPAN, FIELD_SPAN}
    assert {n.span for n in graph.nodes() if n.op is OPS["tanh"]} == {FIELD_SPAN}
    assert {n.span for n in graph.nodes() if n.op is OPS["concat"]} == {SOLVE_SPAN}


def test_the_same_solve_unrolls_to_the_same_text():
    texts = {to_text(stepped(*solved((0.0, 0.5, 2.0)), "rk4", 6)) for _ in range(3)}
    assert len(texts) == 1


def test_what_depends_on_neither_state_nor_time_stays_one_node():
    t, x = leaf(ARGUMENT, "t", real()), leaf(ARGUMENT, "x", real(BATCH, 2))
    rate = OPS["exp"](leaf(WEIGHT, "w", real(2)))
    x0 = leaf(INPUT, "x0", real(BATCH, 2))
    node = end_of(Region((t, x), (x * rate,)), x0)
    graph = by("rk4", Graph((x0,), {"y": node}), uniform(0.0, 1.0, 10))
    assert [n for n in graph.nodes() if n.op is OPS["exp"]] == [rate]


def test_a_solve_inside_a_field_is_unrolled_there():
    """x' = end of (u' = -u over 0..1 from x): by Euler with two inner steps, x' = x / 4."""
    t, x = leaf(ARGUMENT, "t", real()), leaf(ARGUMENT, "x", real(BATCH, 2))
    s, u = leaf(ARGUMENT, "s", real()), leaf(ARGUMENT, "u", real(BATCH, 2))
    inner = end_of(Region((s, u), (-u,)), x, name="inner")
    x0 = leaf(INPUT, "x0", real(BATCH, 2))
    graph = Graph((x0,), {"path": end_of(Region((t, x), (inner,)), x0, name="outer")})
    grids = {"inner": uniform(0.0, 1.0, 2), "outer": uniform(0.0, 1.0, 3)}
    found = unrolled(graph, lambda solve: Discretisation(SCHEMES["euler"], grids[solve.spec.name]))
    np.testing.assert_allclose(answer(found), X0 * (1 + 0.25 / 3) ** 3, rtol=1e-12)
    looped = unrolled(graph, lambda solve: Discretisation(SCHEMES["euler"], grids[solve.spec.name], 1))
    assert not any(node.op is SOLVE for node in looped.nodes())


def test_a_start_that_is_not_spread_over_the_samples_is_refused():
    t, x, w = leaf(ARGUMENT, "t", real()), leaf(ARGUMENT, "x", real(2)), leaf(ARGUMENT, "w", real(BATCH, 2))
    start, rate = constant([1.0, 2.0]), leaf(INPUT, "rate", real(BATCH, 2))
    node = end_of(Region((t, x, w), (x * w,)), start, captured=(rate,))
    with pytest.raises(AssertionError, match="starts as real"):
        by("euler", Graph((rate,), {"y": node}), uniform(0.0, 1.0, 2))


def test_a_grid_that_keeps_other_times_than_the_solve_is_refused():
    with pytest.raises(AssertionError, match="the grid keeps"):
        by("euler", solved((0.0, 0.5, 1.0))[0], uniform(0.0, 1.0, 2))


class Leapfrogged(Scheme):
    """A two-step scheme, x_{n+1} = x_{n-1} + 2 h f(x_n), started by Euler: remembers the state before."""

    name, order, reference = "two_step", 2, "Nystrom (1925)"

    def start(self, field, x):
        return None

    def advance(self, memory, field, step: Step, x):
        slopes = field(step.t, x)
        before, factor = (x, 1.0) if memory is None else (memory, 2.0)
        moved = zip(before, slopes, step.widths, strict=True)
        return x, tuple(old + factor * h * slope for old, slope, h in moved)


def test_a_scheme_may_remember_earlier_steps():
    graph, _ = solved((0.0, 1.0), everywhere=False)
    found = answer(unrolled(graph, lambda solve: Discretisation(Leapfrogged(), uniform(0.0, 1.0, 10))))
    times = np.arange(10) / 10
    before, here = X0, X0 + 0.1 * numpy_field(0.0, X0)
    for t in times[1:]:
        before, here = here, before + 0.2 * numpy_field(t, here)
    np.testing.assert_allclose(found, here, rtol=1e-12)


def test_a_grid_of_any_spacing():
    grid = Grid((0.0, 0.05, 0.2, 0.7, 1.0), (0, 2, 4))
    graph, _ = solved((0.0, 0.2, 1.0))
    found = answer(unrolled(graph, lambda solve: Discretisation(SCHEMES["heun"], grid)))
    x, kept = X0, [X0]
    for i, (t, end) in enumerate(pairwise(grid.times)):
        k1 = numpy_field(t, x)
        k2 = numpy_field(end, x + (end - t) * k1)
        x = x + (end - t) / 2 * (k1 + k2)
        kept += [x] if i in (1, 3) else []
    np.testing.assert_allclose(found, np.stack(kept, axis=1), rtol=1e-12)


def nodes_and_seconds(steps):
    graph, interval = solved((0.0, 1.0), everywhere=False)
    begun = time.process_time()
    unrolled = stepped(graph, interval, "rk4", steps)
    return len(topological(unrolled.outputs.values())), time.process_time() - begun


def test_a_thousand_steps_are_unrolled_in_time_and_space_that_grow_linearly():
    (few, _), (many, seconds) = nodes_and_seconds(100), nodes_and_seconds(1000)
    per_step = (many - few) / 900
    assert many == pytest.approx(few + 900 * per_step)
    assert few == pytest.approx(100 * per_step, rel=0.02)
    assert seconds < 4
