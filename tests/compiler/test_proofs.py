"""Checks that are proved: bounds beside what torch, numpy and closed forms find, and false checks that must stop."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from isocline_compiler import pipeline
from isocline_compiler.certify.evaluation import scheme_steps
from isocline_compiler.certify.proofs import Proof, prove
from isocline_compiler.driver import compile as compile_file
from isocline_compiler.graph import everything
from isocline_compiler.graph.solve import SOLVE, Solve, spec_of
from isocline_compiler.lower.check import model
from isocline_compiler.training.initial import initial_weights
from isocline_dsl.diagnostics import IsoclineError


def proved(body: str, *checks: str, seed: int = 0) -> tuple[list[Proof], dict[str, np.ndarray]]:
    """The proofs of checks, in single precision, with the first weights of a seed."""
    lines = "\n".join(f"  check {item}" for item in checks)
    typed = model(f"dyn 1\nmodel m\n{body}\ndeploy {{\n{lines}\n}}\n")
    weights = initial_weights(typed.weights, seed)
    solves = [Solve.of(node) for node in everything(typed.graph.outputs.values()) if node.op is SOLVE]
    choices = {solve.spec.choice: scheme_steps(solve, spec_of(solve.node()).scheme) for solve in solves}
    rounded = {name: value.astype(np.float32).astype(np.float64) for name, value in weights.items()}
    return list(prove(typed, weights, choices)), rounded


def net(body: str, size: int = 3) -> str:
    return f"input x0: real[{size}]\nnet f(x: real[{size}]) = {body}\noutput y = f(x0)"


def bound_of(body: str, check: str = "lipschitz(f) <= 1", seed: int = 0) -> float:
    ((proof,), _) = proved(body, check, seed=seed)
    assert proof.bound is not None, proof.why
    return proof.bound


# ---------------------------------------------------------------------------------------------------- lipschitz


def test_of_linear_layers_the_bound_is_the_norm_of_their_product():
    ((proof,), weights) = proved(net("x |> dense(8) |> dense(4)"), "lipschitz(f) <= 1")
    exact = np.linalg.norm(weights["f.dense.weight"] @ weights["f.dense_2.weight"], 2)
    assert exact <= proof.bound <= exact * (1 + 1e-6)


ACTIVATIONS = ("tanh", "relu", "sigmoid", "softplus", "leaky_relu", "elu", "selu", "gelu", "silu", "mish", "sin",
               "softmax", "atan", "abs", "erf", "hard_tanh", "layer")  # fmt: skip
FUNCTIONS = {name: getattr(torch.nn.functional, name) for name in
             ("softplus", "leaky_relu", "elu", "selu", "gelu", "silu", "mish")}  # fmt: skip
FUNCTIONS |= {name: getattr(torch, name) for name in ("tanh", "relu", "sigmoid", "sin", "atan", "abs", "erf")}
FUNCTIONS |= {"softmax": lambda x: torch.softmax(x, -1), "hard_tanh": torch.nn.functional.hardtanh}
ACTIVATIONS = tuple(FUNCTIONS)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_no_jacobian_and_no_pair_exceeds_the_bound_and_layers_bound_it(name):
    """Torch's Jacobians at 500 points, 10,000 random pairs, and the product of the norms of the layers from above."""
    body = net(f"x |> dense(16, init=normal(0.7)) |> {name} |> dense(5, init=normal(0.7))")
    ((proof,), w) = proved(body, "lipschitz(f) <= 1")
    a, b, c, d = (torch.tensor(w[f"f.dense{k}"]) for k in (".weight", ".bias", "_2.weight", "_2.bias"))

    def function(x: torch.Tensor) -> torch.Tensor:
        return FUNCTIONS[name](x @ a + b) @ c + d

    points = 3 * torch.randn(500, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    jacobians = torch.vmap(torch.func.jacrev(function))(points)
    largest = torch.linalg.matrix_norm(jacobians, 2).max().item()
    x, y = 3 * torch.randn(2, 10_000, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    pairs = ((function(x) - function(y)).norm(dim=1) / (x - y).norm(dim=1)).max().item()
    assert max(largest, pairs, proof.met) <= proof.bound
    steepest = {"sigmoid": 0.25, "softmax": 0.5, "gelu": 1.129, "silu": 1.1, "mish": 1.089, "selu": 1.759, "erf": 1.13}
    product = np.linalg.norm(w["f.dense.weight"], 2) * np.linalg.norm(w["f.dense_2.weight"], 2)
    assert proof.bound <= product * steepest.get(name, 1.0) * (1 + 1e-6)


def test_spectral_layers_are_proved_to_draw_nothing_apart():
    """And 10,000 pairs of the deployed answer stay below the bound, within a factor of three of it."""
    body = net("x |> dense(32, init=normal(2), weight=spectral) |> tanh |> dense(3, init=normal(2), weight=spectral)")
    ((proof,), _) = proved(body, "lipschitz(f) <= 1")
    assert proof.holds
    assert proof.bound / 3 <= proof.met <= proof.bound <= 1


@pytest.mark.parametrize("settings", ["kernel=3, pad=1", "kernel=3, stride=2"])
def test_of_convolutions_too(settings):
    body = (
        "input x0: real[2, 6, 6]\n"
        f"net f(x: real[2, 6, 6]) = x |> conv(3, {settings}, init=normal(1)) |> relu |> meanpool(2) |> globalpool\n"
        "output y = f(x0)"
    )
    ((proof,), w) = proved(body, "lipschitz(f) <= 1")
    kernel, bias = torch.tensor(w["f.conv.weight"]), torch.tensor(w["f.conv.bias"])
    options = {"padding": 1} if "pad" in settings else {"stride": 2}

    def function(x: torch.Tensor) -> torch.Tensor:
        inner = torch.relu(torch.nn.functional.conv2d(x[None], kernel, bias, **options))
        return torch.nn.functional.avg_pool2d(inner, 2).mean((2, 3))[0]

    points = torch.randn(100, 2, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    jacobians = torch.vmap(torch.func.jacrev(function))(points).reshape(100, 3, -1)
    largest = torch.linalg.matrix_norm(jacobians, 2).max().item()
    assert largest <= proof.bound <= 6 * largest


def test_a_range_makes_a_bound_where_slopes_grow():
    body = net("x*x + exp(x)")
    ((free, near, far), _) = proved(
        body, "lipschitz(f) <= 1", "lipschitz(f, x=[-1, 1]) <= 5", "lipschitz(f, x=[-1, 2]) <= 5"
    )
    assert free.bound is None
    assert "`mul`" in free.why or "`exp`" in free.why or "`square`" in free.why
    assert 2 + np.e <= near.bound <= (2 + np.e) * (1 + 1e-6)
    assert near.holds
    assert 4 + np.e**2 <= far.bound <= (4 + np.e**2) * (1 + 1e-6)
    assert not far.holds


def test_an_output_is_bounded_over_the_ranges_of_the_inputs():
    body = "input a: real in (0, 2)\ninput b: real in (-1, 1)\noutput y = a*a*b"
    ((proof,), _) = proved(body, "lipschitz(y) <= 1")
    exact = np.hypot(4, 4)  # (2 a b, a^2) at the corner
    assert exact <= proof.bound <= 2 * exact
    assert not proof.holds


JUMPS = (
    "where(x > 0, 1, 0)*x", "where(x > 0, [1, 1, 1], [0, 0, 0])", "floor(x)", "sign(x)", "round(x) - x",
    "one_hot(argmax(x), 3)", "where(sum(x) > 0, x, -x)",
)  # fmt: skip


@pytest.mark.parametrize("body", JUMPS)
def test_of_what_jumps_nothing_is_proved(body):
    ((proof,), _) = proved(net(body), "lipschitz(f) <= 1000000")
    assert proof.bound is None
    assert "jump" in proof.why


MORE = {
    "x |> pad(2) |> dense(4)": None, "concat(x, x)": 2**0.5, "sum(x)": 3**0.5, "mean(x)": 3**-0.5, "max(x)": 1.0,
    "[x[0], 2*x[1]]": 2.0, "x - 2*x": 1.0, "x + tanh(x)": 2.0, "logsumexp(x)": 1.0, "min(x)": 1.0,
    "relu(x) - relu(-x)": 2.0,
}  # fmt: skip


@pytest.mark.parametrize("body", MORE)
def test_bounds_of_known_functions(body):
    ((proof,), w) = proved(net(body), "lipschitz(f) <= 1")
    exact = MORE[body] or np.linalg.norm(w["f.dense.weight"][:3], 2)
    assert exact <= proof.bound * (1 + 1e-12)
    assert proof.bound <= exact * (1 + 1e-6)


# ---------------------------------------------------------------------------------------------------- contracting


def field(equation: str, size: int = 4, with_: str = "euler(steps=10)", states: str = "x") -> str:
    return (
        f"input x0: real[{size}] in (-1, 1)\nfield c(t, x: real[{size}]) {{ x' = {equation} }}\n"
        f"path = solve c from x = x0 over 0..1 with {with_}\noutput y = path"
    )


def test_a_dissipative_field_contracts_at_its_largest_real_part_and_an_antisymmetric_one_does_not():
    ((proof, _, faster), w) = proved(
        field("x |> dense(4, init=normal(1), weight=dissipative(0.2))"),
        "contracting(c)", "contracting(c, rate=0.2)", "contracting(c, rate=50)",
    )  # fmt: skip
    free, lower = w["c.x.dense.weight"], np.tril(w["c.x.dense.weight"], -1)
    matrix = lower - lower.T - np.triu(free) @ np.triu(free).T - 0.2 * np.eye(4)
    slowest = np.linalg.eigvals(matrix).real.max()
    assert slowest <= proof.bound <= -0.2 + 1e-6
    assert proof.holds
    assert not faster.holds
    ((turning,), _) = proved(field("x |> dense(4, weight=antisymmetric)"), "contracting(c)")
    assert not turning.holds
    assert abs(turning.bound) < 1e-6


def test_the_parabolic_layer_contracts_by_its_damping_alone():
    for layer in ("parabolic(8, init=normal(1), activation=tanh)", "parabolic(3, init=normal(1))"):
        ((proof,), _) = proved(field(f"(x |> {layer}) - 0.1*x"), "contracting(c)")
        assert proof.holds
        np.testing.assert_allclose(proof.bound, -0.1, atol=1e-6)
        assert proof.met <= proof.bound


def test_no_logarithmic_norm_of_torch_exceeds_the_bound():
    ((proof,), w) = proved(
        field("-3*x + (x |> dense(8, init=normal(0.4)) |> tanh |> dense(4, init=normal(0.4)))"), "contracting(c)"
    )
    a, b, c = (torch.tensor(w[f"c.x.dense{k}"]) for k in (".weight", ".bias", "_2.weight"))
    points = torch.randn(500, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    jacobians = torch.vmap(torch.func.jacrev(lambda x: -3 * x + torch.tanh(x @ a + b) @ c))(points)
    largest = torch.linalg.eigvalsh((jacobians + jacobians.mT) / 2).max().item()
    assert largest <= proof.bound < 0
    assert proof.holds


OSCILLATOR = """input start: real[2] in (-1, 1)
field swing(t, a, b: real) {{ a' = b; b' = -a - {damping}*b + {push}*sin(a) }}
path = solve swing from a = start[0], b = start[1] over 0..8 with rk4(steps=80)
output y = path.a
"""


def test_an_oscillator_contracts_in_a_quadratic_norm_and_one_that_is_pushed_does_not():
    """The Euclidean norm alone shows nothing: b' does not pull a."""
    ((proof, steps), _) = proved(OSCILLATOR.format(damping=0.5, push=0.1), "contracting(swing)", "stable(path)")
    assert proof.holds
    assert "quadratic" in proof.how
    assert proof.bound >= np.linalg.eigvals([[0, 1], [-0.9, -0.5]]).real.max()
    assert steps.holds
    ((turning, grown), _) = proved(OSCILLATOR.format(damping=-0.1, push=0.0), "contracting(swing)", "stable(path)")
    assert not turning.holds
    assert not grown.holds


def test_reactions_contract_in_a_weighted_maximum_norm():
    """x -> y -> out: the first state pushes the second ten times as hard as that one decays."""
    body = (
        "input x0: real in (0, 1)\nfield chain(t, x, y: real) { x' = -x; y' = 10*tanh(x) - y }\n"
        "path = solve chain from x = x0, y = 0*x0 over 0..1 with euler(steps=10)\noutput o = path.y"
    )
    ((proof,), _) = proved(body, "contracting(chain)")
    assert proof.holds
    assert -1 <= proof.bound <= -0.4


# ---------------------------------------------------------------------------------------------------- stable


def test_the_growth_of_differences_is_bounded_step_by_step():
    """Against the deployed steps of Euler by hand, from pairs of starts near each other."""
    body = field("tanh(x |> dense(4, init=normal(1)))", with_="euler(steps=5)")
    ((proof,), w) = proved(body, "stable(path)")
    matrix, bias = w["c.x.dense.weight"], w["c.x.dense.bias"]
    rng = np.random.default_rng(3)
    x = rng.normal(size=(10_000, 4))
    y = x + 1e-4 * rng.normal(size=x.shape)
    before = np.linalg.norm(x - y, axis=1)
    for _ in range(5):
        x, y = x + 0.2 * np.tanh(x @ matrix + bias), y + 0.2 * np.tanh(y @ matrix + bias)
    growth = (np.linalg.norm(x - y, axis=1) / before).max()
    assert 1 < growth <= proof.bound <= 5 * growth
    assert not proof.holds


def test_weights_per_step_are_bounded_with_those_of_each_step():
    body = field("-x + 0.5*tanh(x |> dense(4, init=normal(2), weight=spectral))", with_="euler(steps=4)")
    body = body.replace("x: real[4]) {", "x: real[4]) weights per step {")
    ((proof, field_proof), _) = proved(body, "stable(path)", "contracting(c)")
    assert proof.holds
    assert proof.bound <= (1 - 0.25 * 0.5) ** 4 * (1 + 1e-6)
    assert field_proof.holds


def test_steps_that_are_too_long_are_not_stable_though_the_field_contracts():
    ((proof, steps), _) = proved(field("-30*x", with_="euler(steps=10)"), "contracting(c)", "stable(path)")
    assert proof.holds
    assert not steps.holds
    np.testing.assert_allclose(steps.bound, 2.0**10, rtol=1e-6)


def test_multistep_schemes_are_bounded_as_a_whole():
    """Of a linear field the growth is exact: the recurrence of Adams and Bashforth by hand, begun by Heun's step."""
    ((proof, whole), _) = proved(field("-4*x", with_="ab2(steps=10)"), "stable(path)", "stable(path, growth=0.001)")
    z = -0.4
    x = [1.0, 1 + z + z * z / 2]
    while len(x) < 11:
        x.append(x[-1] + z * (1.5 * x[-1] - 0.5 * x[-2]))
    np.testing.assert_allclose(proof.bound, abs(x[-1]), rtol=1e-5)
    assert proof.holds
    assert not whole.holds


# ---------------------------------------------------------------------------------------------------- the build

MODEL = """dyn 1
model m
input start: real[2] in (-1, 1)
param matrix: real[2, 2] = [[-1, 2], [-2, -1]]
field turn(t, x: real[2]) {{ x' = matrix @ x }}
path = solve turn from x = start over 0..2 with rk4(steps=20)
output y = path
deploy {{ {check} }}
"""


def test_a_certificate_says_what_was_proved_and_what_is_not_stops_the_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(pipeline, "report_of", lambda *_: "")
    file = tmp_path / "m.dyn"
    file.write_text(MODEL.format(check="check contracting(turn, rate=0.9); check stable(path)"))
    found = compile_file(file, tmp_path / "out")
    written = json.loads((found.folder / "certificate.json").read_text())["proofs"]
    assert [item["holds"] for item in written] == [True, True]
    np.testing.assert_allclose(written[0]["bound"], -1, atol=1e-6)
    assert "every value" in written[0]["assumes"]
    file.write_text(MODEL.format(check="check contracting(turn, rate=1.1); check lipschitz(y) <= 1"))
    with pytest.raises(IsoclineError) as stopped:
        compile_file(file, tmp_path / "other")
    assert [item.code for item in stopped.value.diagnostics] == ["E474", "E475"]
    assert "-1" in stopped.value.diagnostics[0].message
    assert not (tmp_path / "other").exists()
