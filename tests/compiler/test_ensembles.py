"""Numbers of an ensemble, against numpy: quantiles, and reductions over the samples of a stochastic solve."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from isocline_compiler.backends.to_torch import TorchProgram
from isocline_compiler.lower.check import model
from isocline_compiler.model import Model
from isocline_compiler.training.initial import initial_weights
from isocline_compiler.vocabulary.functions import FUNCTIONS
from isocline_dsl.diagnostics import IsoclineError
from tests.compiler.test_noise_lowering import SCALAR, run, unrolled, written
from tests.compiler.workbench import Workbench

LEVELS = (0.0, 0.05, 0.25, 0.5, 0.61, 0.95, 1.0)


@pytest.mark.parametrize(("level", "count"), list(itertools.product(LEVELS, (1, 2, 5, 8))))
def test_a_quantile_is_numpys(level: float, count: int) -> None:
    bench = Workbench()
    x = bench.normal(3, count, 2)
    values = bench.of(x).numpy()
    for axes in (None, 0, -1, (0, 1)):
        of_graph = (1, 2) if axes in (None, (0, 1)) else 1 if axes == 0 else 2
        found = bench(bench.build("quantile", x, level, **({} if axes is None else {"axes": axes})))
        np.testing.assert_allclose(found, np.quantile(values, level, axis=of_graph), rtol=1e-12, atol=1e-14)
    kept = bench(bench.build("quantile", x, level, axes=0, keep=True))
    np.testing.assert_allclose(kept, np.quantile(values, level, axis=1, keepdims=True), rtol=1e-12, atol=1e-14)


def test_several_levels_are_a_first_axis() -> None:
    bench = Workbench()
    x, alone = bench.normal(3, 7, 2), bench.normal(6, batched=False)
    found = bench(bench.build("quantile", x, LEVELS, axes=0)).numpy()
    np.testing.assert_allclose(found, np.moveaxis(np.quantile(bench.of(x).numpy(), LEVELS, axis=1), 0, 1), rtol=1e-12)
    np.testing.assert_allclose(
        bench(bench.build("quantile", alone, list(LEVELS))), np.quantile(bench.of(alone).numpy(), LEVELS), rtol=1e-12
    )


@pytest.mark.parametrize("count", [1, 4, 5])
def test_a_median_is_numpys_and_of_one_number_the_number(count: int) -> None:
    bench = Workbench()
    x, number = bench.normal(3, count), bench.normal(3)
    np.testing.assert_allclose(bench(bench.build("median", x)), np.median(bench.of(x).numpy(), 1), rtol=1e-12)
    np.testing.assert_array_equal(bench(bench.build("median", number)), bench.of(number))


def test_infinite_neighbours_are_their_own_quantile() -> None:
    bench = Workbench()
    x = bench.input([[-np.inf, -np.inf, 1.0, np.inf]])
    np.testing.assert_array_equal(bench(bench.build("quantile", x, (0.1, 0.9), axes=0)), [[-np.inf, np.inf]])


REDUCTIONS = {
    "sum": np.sum, "mean": np.mean, "min": np.min, "max": np.max, "var": np.var, "std": np.std, "median": np.median,
    "quantile": lambda x, axis: np.quantile(x, 0.3, axis=axis),
}  # fmt: skip


@pytest.mark.parametrize("name", REDUCTIONS)
def test_over_samples_is_over_the_axis_after_the_batch(name: str) -> None:
    """Beside the ensemble itself, at several times and through a function of it."""
    level = ", 0.3" if name == "quantile" else ""
    solve = "s = s0 at 0..1 step 0.5 with euler_maruyama(steps=4) samples 6"
    found = written(SCALAR, solve, out=f"{name}(path.s^2 + 1{level}, over=samples)")
    itself = written(SCALAR, solve)
    rng = np.random.default_rng(0)
    given = {"s0": rng.uniform(0.5, 1.5, 3), "W": rng.standard_normal((3, 6, 4, 1))}
    ensemble = run(unrolled(itself), **given)
    assert ensemble.shape == (3, 6, 3)
    np.testing.assert_allclose(run(unrolled(found), **given), REDUCTIONS[name](ensemble**2 + 1, axis=1), rtol=1e-12)


def test_a_quantile_has_the_gradient_of_torchs() -> None:
    """By the graph's own derivative; the samples apart, so that all weight is on the two neighbours."""
    from isocline_compiler.derivatives.reverse_forward import gradient

    bench = Workbench()
    x = bench.normal(3, 6, 2)
    values = bench.of(x).clone().requires_grad_()
    (slope,) = gradient(bench.build("quantile", x, 0.37, axes=0), [x])
    torch.quantile(values, 0.37, dim=1).sum().backward()
    np.testing.assert_allclose(bench(slope), values.grad, rtol=1e-12)


def test_every_function_that_takes_over_says_so_where_there_is_no_ensemble() -> None:
    taking = [name for name, item in FUNCTIONS.items() if any(p.name == "over" for p in item.parameters)]
    assert set(taking) >= set(REDUCTIONS)
    for name in REDUCTIONS:
        level = ", 0.3" if name == "quantile" else ""
        with pytest.raises(IsoclineError) as found:
            model(f"dyn 1\nmodel m\ninput x: real[6]\noutput y = {name}(x{level}, over=samples)\n")
        assert [item.code for item in found.value.diagnostics] == ["E373"]


NETS = """dyn 1
model m
input s0: real in (0.5, 1.5)
input shift: real[2]
net member(s: real[2], c: real[2]) -> real[3] { u = reshape(s + c, 2, 1); u |> flatten |> dense(4) |> tanh |> dense(3) }
field f(t, s: real[2]) { noise W: brownian[2]; ds = -s dt + 0.3*s dW }
path = solve f from s = s0*ones(2) over 0..1 with euler_maruyama(steps=4) samples 6
output y = OUT
"""
"""A net of the samples that reads another value of the row, and whose body names the batch axis."""


def test_a_net_over_samples_is_the_net_of_each() -> None:
    """One sample at a time, by index, with the same weights: the same numbers, and the same gradient."""
    rng = np.random.default_rng(0)
    given = {
        "s0": rng.uniform(0.5, 1.5, 5),
        "shift": rng.standard_normal((5, 2)),
        "W": rng.standard_normal((5, 6, 4, 2)),
    }
    together = model(NETS.replace("OUT", "member(path, shift, over=samples)"))
    apart = model(
        NETS.replace("OUT", "stack(" + ", ".join(f"member(path[{i}], shift)" for i in range(6)) + ", axis=0)")
    )
    weights = initial_weights(together.weights, 0)
    found, expected = (_with_gradient(one, weights, given) for one in (together, apart))
    assert found[0].shape == (5, 6, 3)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-14)


def _with_gradient(found: Model, weights: dict[str, np.ndarray], given: dict[str, np.ndarray]) -> list[np.ndarray]:
    """y, and the derivatives of sum(y^2) by the row's inputs, through the whole solve."""
    leaves = {name: torch.tensor(array, requires_grad=True) for name, array in given.items()}
    y = TorchProgram(unrolled(found))(
        {**leaves, **{name: torch.tensor(np.asarray(array), dtype=torch.float64) for name, array in weights.items()}}
    )["y"]
    (y**2).sum().backward()
    return [y.detach().numpy(), *(item.grad.numpy() for item in leaves.values() if item.grad is not None)]


@pytest.mark.parametrize(
    ("call", "code"),
    [
        ("member(shift, shift, over=samples)", "E373"),
        ("member(path[0], shift, over=samples)", "E374"),
        ("member(path[1:], shift, over=samples)", "E374"),
        ("member(path, shift, over=paths)", "E285"),
        ("member(path, shift, axis=0)", "E230"),
        ("member(path, over=samples)", "E213"),
        ("member(concat(path, path, axis=1), shift, over=samples)", "E212"),
        ("member(path, shift)", "E212"),
    ],
)
def test_a_net_over_samples_says_what_does_not_fit(call: str, code: str) -> None:
    with pytest.raises(IsoclineError) as found:
        model(NETS.replace("OUT", f"{call} + mean(path) + mean(shift)"))
    assert [item.code for item in found.value.diagnostics] == [code]
