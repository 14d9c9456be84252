"""What stands within a field, or in a net that one calls: every function of the language, and what is fitted."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from isocline_compiler.backends.to_torch import TorchProgram
from isocline_compiler.certify.choose import discretisation
from isocline_compiler.data import Split
from isocline_compiler.graph import ARGUMENT, everything
from isocline_compiler.graph.called import Called
from isocline_compiler.lower.check import model
from isocline_compiler.model import Model
from isocline_compiler.training.batches import Batches
from isocline_compiler.training.integrate import AdaptiveIntegrator
from isocline_compiler.training.solvers import TrainingSolver
from isocline_compiler.training.statistics_fit import fit_statistics
from isocline_compiler.vocabulary.functions import FUNCTIONS
from isocline_compiler.vocabulary.functions.record import EXAMPLE_SOLVES, EXAMPLE_TYPES, Function
from isocline_dsl import IsoclineError
from tests.solves import unrolled

ROWS = 7
SOLVER = TrainingSolver(Called("euler_maruyama", {"steps": 4}), AdaptiveIntegrator("dopri5", 1e-6, 1e-6))
REFUSED = {"standardize": "E334", "unstandardize": "E334", "batchnorm": "E335"}
"""Functions that a field cannot hold of what it moves, and what is said."""
COMPARED = {"argmax"}
"""Those whose example is a condition."""


def within_a_field(example: str) -> str:
    """The example as a net that a field calls with values that depend on its state, and that moves nothing."""
    used = {name: text for name, text in EXAMPLE_TYPES.items() if re.search(rf"\b{name}\b", example)}
    inputs = {f"{name}_": text for name, text in used.items()}
    moved = [f"{name}_" if used[name].startswith("class") else f"{name}_ + q" for name in used]
    declared = ", ".join(f"{name}: {text}" for name, text in used.items())
    value = f"where({example}, 1, 2)" if any(f"{name}(" in example for name in COMPARED) else example
    return f"""dyn 1
model within
input start: real
{"".join(f"input {name}: {text}{chr(10)}" for name, text in inputs.items())}
net inside({declared or "unused: real"}) = {value}{"" if declared else " + 0*unused"}
field f(time, q: real) {{ q' = -q + 0*mean(inside({", ".join(moved) or "q"})) }}
path = solve f from q = start over 0..1
output result = path
"""


def arrays(of: Model) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    found = {}
    for port in of.inputs:
        shape = (ROWS, *map(int, port.shape))
        found[port.name] = generator.integers(0, 4, ROWS) if port.kind == "class" else generator.random(shape) * 0.5
    return found


def fitted(of: Model, data: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The weights as training begins with them."""
    generator = np.random.default_rng(0)
    first = {weight.name: weight.initial(generator, weight.shape) for weight in of.weights}
    return fit_statistics(of.statistics, first, Split(data), SOLVER)


def evaluated(of: Model, data: dict[str, np.ndarray], weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    graph = unrolled(of.graph, lambda solve: discretisation(solve, "rk4", 4))
    given = {name: torch.as_tensor(value) for name, value in {**weights, **data}.items()}
    given = {name: value.double() if value.is_floating_point() else value for name, value in given.items()}
    return {name: value.numpy() for name, value in TorchProgram(graph)(given).items()}


@pytest.mark.parametrize(
    "function",
    [item for item in FUNCTIONS.values() if not any(re.search(rf"\b{x}\b", item.example) for x in EXAMPLE_SOLVES)],
    ids=lambda item: item.name,
)
def test_a_function_in_a_net_of_a_field_has_a_value_or_a_message(function: Function) -> None:
    """q' = -q + 0 net(q): the solution is q(0)/e whatever the net is made of."""
    text = within_a_field(function.example)
    if function.name in REFUSED:
        with pytest.raises(IsoclineError) as found:
            model(text)
        assert [item.code for item in found.value.diagnostics] == [REFUSED[function.name]]
        return
    of = model(text)
    assert not any(node.op is ARGUMENT for item in of.statistics for node in everything([item.source]))
    data = arrays(of)
    found = evaluated(of, data, fitted(of, data))["result"]
    np.testing.assert_allclose(found, data["start"] * np.exp(-1), rtol=1e-4)


HEAD = "dyn 1\nmodel within\ninput u: real[2]\n"
TAIL = "path = solve f from q = u over 0..1\n"
SOURCES = {
    "field": f"field f(t, q: real[2]) {{ q' = dense(q, 2) + standardize(u, KEEP) }}\n{TAIL}output y = path",
    "definition": "field f(t, q: real[2]) { b = standardize(u, KEEP); q' = dense(q, 2) + b }\n"
    + TAIL
    + "output y = path",
    "net": "net n(a: real[2], b: real[2]) = dense(a, 2) + standardize(b, KEEP)\n"
    "field f(t, q: real[2]) { q' = n(q, u) }\n" + TAIL + "output y = path",
    "integral": "field f(t, q: real[2]) { q' = -q }\n"
    + TAIL
    + "output y = integral(q*standardize(u, KEEP), over=path)",
}
"""Where a value of the input u is standardized: it is that of the file around."""


@pytest.mark.parametrize("keep", [[], [0]], ids=["whole", "each"])
@pytest.mark.parametrize("place", SOURCES)
def test_what_is_standardized_within_a_field_has_the_statistics_of_the_value_around(
    place: str, keep: list[int]
) -> None:
    """Mean and deviation of u over the split, by numpy; those of `standardize(u)` outside are the same two weights."""
    text = SOURCES[place].replace("KEEP", f"keep={keep}")
    of = model(HEAD + text + f"\noutput outside = standardize(u, keep={keep})")
    u = np.random.default_rng(1).normal(3, 2, (ROWS, 2))
    weights = fitted(of, {"u": u})
    (statistic,) = of.statistics
    axis = 0 if keep else None
    np.testing.assert_allclose(weights[statistic.mean], u.mean(axis), rtol=1e-12)
    np.testing.assert_allclose(weights[statistic.deviation], u.std(axis), rtol=1e-12)


def test_a_net_of_each_sample_is_standardized_over_all_of_them() -> None:
    """The moments by numpy: of q over split and samples, of u over the split."""
    of = model(
        HEAD
        + """net n(a: real[2], b: real[2]) = standardize(a, keep=[0]) + standardize(b)
field f(t, q: real[2]) { noise W: brownian[2]; dq = 0*q dt + 1 dW }
path = solve f from q = u over 0..1 with euler_maruyama(steps=1) samples 3
output y = n(path, u, over=samples)
output sum = path
"""
    )
    u = np.random.default_rng(1).normal(3, 2, (ROWS, 2))
    weights = fitted(of, {"u": u})
    path, once = of.statistics
    graph, noise = SOLVER.unrolled(of.graph)
    batches = Batches.of(Split({"u": u}), torch.float64, torch.device("cpu"))
    ((batch, _),) = batches.chunks(ROWS)
    bound = noise.filled({**{name: torch.as_tensor(w) for name, w in weights.items()}, **batch}, training=False)
    q = TorchProgram(graph)(bound)["sum"].numpy()
    assert q.shape == (ROWS, 3, 2)
    np.testing.assert_allclose(weights[path.mean], q.mean((0, 1)), rtol=1e-12)
    np.testing.assert_allclose(weights[path.deviation], q.std((0, 1)), rtol=1e-12)
    np.testing.assert_allclose(weights[once.mean], u.mean(), rtol=1e-12)
    np.testing.assert_allclose(weights[once.deviation], u.std(), rtol=1e-12)
