"""Noise that regularizes training: what is deployed, what is drawn, what derivatives see, and the limit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch

from isocline_compiler.backends.to_torch import TorchProgram, evaluate
from isocline_compiler.data import Split
from isocline_compiler.graph import INPUT, Graph, Node, constant, everything, leaf
from isocline_compiler.graph.scan import scan
from isocline_compiler.lower.check import model
from isocline_compiler.model import Model
from isocline_compiler.ops.noise import NOISE_LIKE
from isocline_compiler.ops.shapes import real
from isocline_compiler.passes import CLEANING, optimise, prune, tabulate
from isocline_compiler.training.objective import Objective
from isocline_dsl.diagnostics import IsoclineError
from tests.compiler.test_functions import fault
from tests.compiler.workbench import Workbench

KINDS: dict[str, tuple[tuple[float, ...], float, Callable[[float], float], bool]] = {
    # arguments, factor when deployed, variance of what multiplies a branch of 1, one number a sample
    "gaussian_noise": ((0.3,), 1.0, lambda std: std**2, False),
    "dropout": ((0.3,), 1.0, lambda p: p / (1 - p), False),
    "depth": ((0.2,), 1.0, lambda p: p / (1 - p), True),
    "shake_drop": ((0.6,), 0.4, lambda p: p * (4 / 3 - p), True),
}
SHAKE = {"shake": ((), 0.5, lambda: 1 / 12, True)}


def drawn(bench: Workbench, *nodes: Node) -> list[np.ndarray]:
    torch.manual_seed(0)
    return [value.numpy() for value in evaluate(nodes, bench.values, training=True)]


@pytest.mark.parametrize("name", KINDS)
def test_the_deployed_form_is_the_mean(name: str) -> None:
    arguments, factor, _, _ = KINDS[name]
    bench = Workbench()
    x = bench.normal(40_000, 2, 1)
    y = bench.build(name, x, *arguments)
    torch.testing.assert_close(bench(y), factor * bench.of(x), rtol=1e-14, atol=0)
    ones = bench.input(np.ones((40_000, 2, 1)))
    (found,) = drawn(bench, bench.build(name, ones, *arguments))
    assert abs(found.mean(axis=0) - factor).max() < 0.025


@pytest.mark.parametrize("name", KINDS)
def test_nothing_of_it_is_left_in_what_is_deployed(name: str) -> None:
    arguments, factor, _, _ = KINDS[name]
    bench = Workbench()
    x = bench.normal(5, 2, 3)
    graph = optimise(Graph((x,), {"y": bench.build(name, x, *arguments)}), check=True)
    assert {node.op.name for node in graph.nodes()} == ({"input"} if factor == 1 else {"input", "constant", "mul"})
    assert len(list(graph.nodes())) <= 3


def test_two_branches_are_deployed_as_their_mean() -> None:
    bench = Workbench()
    a, b = bench.normal(5, 3), bench.normal(5, 3)
    graph = optimise(Graph((a, b), {"y": bench.build("shake", a, b)}), check=True)
    assert sorted(node.op.name for node in graph.nodes() if node.inputs) == ["add", "mul", "mul"]
    (value,) = evaluate(tuple(graph.outputs.values()), bench.values)
    torch.testing.assert_close(value, (bench.of(a) + bench.of(b)) / 2, rtol=1e-15, atol=1e-15)


@pytest.mark.parametrize("name", [*KINDS, "shake"])
def test_steps_are_those_of_its_stochastic_equation(name: str) -> None:
    """x + h f with a branch f that is constant: a normal sum in the limit, of variance T h v f^2."""
    arguments, factor, variance, alike = (KINDS | SHAKE)[name]
    samples, steps, h = 20_000, 16, 0.25
    bench = Workbench()
    branch, other = bench.input(np.full((samples, 2), 3.0)), bench.input(np.full((samples, 2), 1.0))
    x = bench.input(np.zeros((samples, 2)))
    for _ in range(steps):
        given = (branch, other) if name == "shake" else (branch, *arguments)
        x = x + h * bench.build(name, *given)
    (found,) = drawn(bench, x)
    scale = {"gaussian_noise": 1.0, "shake": 2.0}.get(name, 3.0)  # what the noise multiplies: 1, a - b, f
    drift = 2.0 if name == "shake" else factor * 3.0
    spread = steps * h * h * variance(*arguments) * scale**2
    assert abs(found.mean(axis=0) - drift * steps * h).max() < 5 * np.sqrt(spread / samples)
    np.testing.assert_allclose(found.var(axis=0), spread, rtol=0.06)
    assert np.corrcoef(found.T)[0, 1] == pytest.approx(1.0 if alike else 0.0, abs=1e-9 if alike else 0.04)
    assert scipy.stats.kurtosis(found[:, 0]) == pytest.approx(0.0, abs=0.5)  # the 16 steps are nearly normal together


def test_dropout_keeps_some_entries() -> None:
    bench = Workbench()
    x = bench.normal(4, 1000)
    (found,) = drawn(bench, bench.build("dropout", x, 0.3))
    kept = found != 0
    assert kept.mean() == pytest.approx(0.7, abs=0.03)
    np.testing.assert_allclose(found[kept], bench.of(x).numpy()[kept] / 0.7, rtol=1e-14)


def test_depth_keeps_all_of_a_sample_or_nothing() -> None:
    bench = Workbench()
    x = bench.normal(4000, 2, 3)
    (found,) = drawn(bench, bench.build("depth", x, 0.25))
    kept = (found != 0).all(axis=(1, 2))
    assert ((found == 0).all(axis=(1, 2)) == ~kept).all()
    assert kept.mean() == pytest.approx(0.75, abs=0.03)
    np.testing.assert_allclose(found[kept], bench.of(x).numpy()[kept] / 0.75, rtol=1e-14)


def gradients(name: str, *rest: Any, samples: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """What multiplies the first branch, and what its derivative sees, for each sample; entries of one agree."""
    bench = Workbench()
    x = bench.normal(samples, 2)
    second = (bench.normal(samples, 2),) if name == "shake" else ()
    y = bench.build(name, x, *second, *rest)
    source = bench.of(x).requires_grad_()
    torch.manual_seed(0)
    (value,) = evaluate([y], bench.values, training=True)
    (slope,) = torch.autograd.grad(value.sum(), source)
    base = bench.of(second[0]) if second else torch.zeros(())
    factor = ((value - base) / (source - base)).detach().numpy()
    np.testing.assert_allclose(factor[:, 0], factor[:, 1], rtol=1e-8, atol=1e-8)
    np.testing.assert_array_equal(slope[:, 0], slope[:, 1])
    return factor[:, 0], slope[:, 0].numpy()


def test_shake_has_other_weights_backwards() -> None:
    forwards, backwards = gradients("shake")
    for found in (forwards, backwards):
        assert scipy.stats.kstest(found, "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(forwards, backwards)[0, 1]) < 0.06


def test_shake_drop_has_other_weights_backwards() -> None:
    forwards, backwards = gradients("shake_drop", 0.4)
    whole = np.isclose(forwards, 1, rtol=0, atol=1e-12)
    assert whole.mean() == pytest.approx(0.6, abs=0.03)
    np.testing.assert_array_equal(backwards[whole], 1.0)
    assert scipy.stats.kstest(forwards[~whole], scipy.stats.uniform(-1, 2).cdf).pvalue > 1e-3
    assert scipy.stats.kstest(backwards[~whole], "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(forwards[~whole], backwards[~whole])[0, 1]) < 0.08


@pytest.mark.parametrize("name", ["dropout", "depth", "shake_drop"])
def test_a_derivative_of_the_language_meets_the_same_draw(name: str) -> None:
    """grad of sum(noisy(x)^2)/2 is the factor that derivatives see, times what was drawn."""
    bench = Workbench()
    x = bench.normal(50, 3)
    y = bench.build(name, x, 0.4)
    energy = bench.build("sum", y * y * 0.5)
    slope = bench.build("grad", energy, x)
    source = bench.of(x).requires_grad_()
    torch.manual_seed(0)
    value, ours = evaluate([energy, slope], bench.values, training=True)
    (theirs,) = torch.autograd.grad(value.sum(), source)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    deployed = 0.6 if name == "shake_drop" else 1.0
    torch.testing.assert_close(bench(slope), deployed**2 * bench.of(x), rtol=1e-12, atol=0)


def test_sizes_that_are_not_known_and_values_without_a_batch() -> None:
    bench = Workbench()
    x = bench.normal(300, 4, batched=False)
    (whole,) = drawn(bench, bench.build("depth", x, 0.5))
    assert (whole == 0).all() or (whole != 0).all()
    text = "dyn 1\nmodel m\ninput x: real[T, 2]\noutput y = x |> dropout(0.5) |> depth(0.5) |> gaussian_noise(0.1)\n"
    program = TorchProgram(model(text).graph)
    ones = torch.ones(3, 7, 2, dtype=torch.float64)
    assert torch.equal(program({"x": ones})["y"], ones)
    assert program({"x": ones}, training=True)["y"].std() > 0.1


BLOCKS = """dyn 1
model blocks
input x: real
target y: real
param k: real = 1
field f(t, h: real) { h' = -k*h |> dropout(0.5) }
h = solve f from h = x over 0..1WITH
output h
train { loss mse(h, y); precision float64SETTINGS }
"""


def blocks(settings: str = "", scheme: str = "") -> tuple[Model, Objective]:
    made = model(BLOCKS.replace("SETTINGS", settings).replace("WITH", scheme))
    assert made.training is not None
    return made, Objective.of(made, made.training, Split({"x": np.zeros(2), "y": np.zeros(2)}))


@pytest.mark.parametrize("where", ["with", "solver"])
def test_each_step_of_a_solve_has_its_own_draw(where: str) -> None:
    """E h_n^2 = ((1 - h)^2 + h^2 p/(1 - p))^n of independent draws."""
    steps, scheme = 8, "euler(steps=8)"
    made, objective = blocks(f"; solver {scheme}") if where == "solver" else blocks("", f" with {scheme}")
    stepped, _ = objective.solver.unrolled(made.graph)
    ones = torch.ones(10_000, dtype=torch.float64)
    torch.manual_seed(3)
    weights = {"k": torch.ones((), dtype=torch.float64)}
    found = TorchProgram(optimise(stepped, CLEANING))({"x": ones, **weights}, training=True)["h"].numpy()
    h = 1 / steps
    spread = ((1 - h) ** 2 + h**2) ** steps - (1 - h) ** (2 * steps)
    assert found.mean() == pytest.approx((1 - h) ** steps, abs=5 * np.sqrt(spread / len(ones)))
    assert found.var() == pytest.approx(spread, rel=0.08)


def test_noise_of_the_clock_is_not_tabulated() -> None:
    x = leaf(INPUT, "x", real("batch", 2))
    rows = constant(np.arange(8.0).reshape(4, 2))

    def body(states: Sequence[Node], _: Sequence[Node], slices: Sequence[Node]) -> tuple[list[Node], list[Node]]:
        noise = NOISE_LIKE(slices[0], law="normal", parameters=(1.0,), deployed=0.0)
        return [states[0] + noise], []

    graph = prune(Graph((x,), {"y": scan((x,), (), (rows,), body, length=4).last[0]}))
    assert tabulate(graph) is graph
    frozen = optimise(graph, check=True)
    assert "noise_like" not in {node.op.name for node in everything(frozen.outputs.values())}


def test_an_adaptive_solver_is_refused() -> None:
    for settings in ("", "; solver dopri5(rtol=1e-4)"):
        with pytest.raises(IsoclineError) as raised:
            blocks(settings)
        (found,) = raised.value.diagnostics
        assert found.code == "E467"
        assert "`dopri5` cannot step `f`" in found.message
        assert found.span is not None


def test_what_is_not_noise_is_told() -> None:
    bench = Workbench()
    x, z = bench.normal(2, 3), bench.normal(2, 4)
    assert fault("dropout", x, 1.0).startswith("E284: `p` of `dropout` is 1")
    assert fault("gaussian_noise", x, -1.0).startswith("E284: `std` of `gaussian_noise`")
    assert "both branches have one shape" in fault("shake", x, z)
