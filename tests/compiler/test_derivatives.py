"""Derivatives in the language against torch.func: of formulas and nets, nested, of parameters, and through solves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.func import grad, hessian, jacrev, jvp, vjp

from isocline_compiler import driver
from isocline_compiler.backends.to_torch import evaluate
from isocline_compiler.certify.choose import discretisation
from isocline_compiler.graph import INPUT, WEIGHT
from isocline_compiler.graph.solve import SOLVE, spec_of
from isocline_compiler.lower import lower
from isocline_compiler.model import Model
from isocline_compiler.passes import bind, optimise
from isocline_compiler.training.initial import initial_weights
from isocline_compiler.training.integrate import AdaptiveIntegrator
from isocline_dsl import Source, parse
from isocline_dsl.diagnostics import IsoclineError
from isocline_runtime import load
from tests.compiler.test_autodiff_models import in_onnxruntime
from tests.solves import unrolled

Tensor = torch.Tensor
Function = Callable[[Tensor], Tensor]
SAMPLES = 4


def lowered(text: str) -> Model:
    source = Source("dyn 1\nmodel m\ninput x: real[3] in (0.2, 1)\n" + text, "m.dyn")
    return lower(parse(source), source)


@dataclass
class Program:
    """A lowered program with random weights and inputs, its solves by one scheme."""

    model: Model
    scheme: str = "rk4"
    steps: int = 4

    def __post_init__(self) -> None:
        rng = np.random.default_rng(3)
        drawn = initial_weights(self.model.weights, 0)
        self.weights = {name: value + 0.1 * rng.uniform(size=value.shape) for name, value in drawn.items()}
        self.graph = unrolled(self.model.graph, lambda solve: discretisation(solve, self.scheme, self.steps))
        self.bound = {name: torch.tensor(value) for name, value in self.weights.items()}
        self.x = torch.tensor(rng.uniform(0.2, 1.0, (SAMPLES, 3)))

    def __call__(self, output: str, **given: Tensor) -> Tensor:
        """An output, some inputs or weights given instead."""
        (value,) = evaluate([self.graph.outputs[output]], {**self.bound, "x": self.x, **given})
        return value

    def of_sample(self, output: str) -> Function:
        """The output of one sample as a function of x."""
        return lambda x: self(output, x=x[None])[0]

    def by_sample(self, reference: Callable[[Function, Tensor], Tensor], output: str = "y") -> Tensor:
        return torch.stack([reference(self.of_sample(output), x) for x in self.x])


def near(ours: Tensor, theirs: Tensor, tolerance: float = 1e-10) -> None:
    torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)


NUMBERS = {
    "formula": "y = sum(tanh(x)^2)*x[0] + exp(x[1]*x[2])",
    "net": "net e(q: real[3]) -> real = q |> dense(8) |> tanh |> dense(1)\ny = e(x)",
    "softmax": "y = logsumexp(x*x) + max(softmax(x)*x)",
    "solve": (
        "param k: positive = 0.7\nfield f(t, q: real[3]) { q' = tanh(q*k) - t*q*x[0] }\n"
        "q = solve f from q = x over 0..1\ny = sum(q^2)"
    ),
}
VECTORS = {
    "formula": "y = tanh(x)*sum(x) + x^3",
    "net": "net e(q: real[3]) -> real[3] = q |> dense(8) |> tanh |> dense(3)\ny = e(x)*x",
    "long": "y = concat(x, sin(x), x*x, [sum(x)])",
    "short": "y = x[:2]*x[1:]",
    "solve": "field f(t, q: real[3]) { q' = sin(q) - q*sum(q) }\ny = solve f from q = x*x over 0..1",
    "path": "field f(t, q: real[3]) { q' = sin(q) - q*sum(q) }\nq = solve f from q = x*x at 0..1 step 0.5\ny = q[:, 0]",
}
OF_NUMBERS: dict[str, Callable[[Function, Tensor], Tensor]] = {
    "grad(y, x)": lambda f, x: grad(f)(x),
    "hessian(y, x)": lambda f, x: hessian(f)(x),
    "laplacian(y, x)": lambda f, x: hessian(f)(x).trace(),
    "grad(sum(grad(y, x)^2), x)": lambda f, x: grad(lambda z: (grad(f)(z) ** 2).sum())(x),
    "jvp(y, x, sin(x))": lambda f, x: jvp(f, (x,), (x.sin(),))[1],
    "vjp(y, x, cos(x[0]))": lambda f, x: vjp(f, x)[1](x[0].cos())[0],
}
OF_VECTORS: dict[str, Callable[[Function, Tensor], Tensor]] = {
    "jacobian(y, x)": lambda f, x: jacrev(f)(x),
    "jvp(y, x, sin(x))": lambda f, x: jvp(f, (x,), (x.sin(),))[1],
    "vjp(y, x, cos(y))": lambda f, x: vjp(f, x)[1](f(x).cos())[0],
}
SQUARE = [name for name in VECTORS if name not in ("long", "short")]


@pytest.mark.parametrize("expression", OF_NUMBERS)
@pytest.mark.parametrize("name", NUMBERS)
def test_derivatives_of_a_number(name: str, expression: str) -> None:
    program = Program(lowered(f"{NUMBERS[name]}\noutput y\noutput d = {expression}"))
    near(program("d"), program.by_sample(OF_NUMBERS[expression]))


@pytest.mark.parametrize("expression", OF_VECTORS)
@pytest.mark.parametrize("name", VECTORS)
def test_derivatives_of_a_vector(name: str, expression: str) -> None:
    program = Program(lowered(f"{VECTORS[name]}\noutput y\noutput d = {expression}"))
    near(program("d"), program.by_sample(OF_VECTORS[expression]))


@pytest.mark.parametrize("name", SQUARE)
def test_the_divergence_is_the_trace(name: str) -> None:
    program = Program(lowered(f"{VECTORS[name]}\noutput y\noutput d = divergence(y, x)"))
    near(program("d"), program.by_sample(lambda f, x: jacrev(f)(x).trace()))


def test_of_parameters_there_is_one_for_each_sample() -> None:
    text = "param k: real = 0.7\nparam w: real[2] = 0.3\ny = sum(sin(k*x))*w[0]*w[1]^2\n"
    program = Program(
        lowered(text + "output y\noutput d = grad(y, k)\noutput e = grad(y, w)\noutput h = hessian(y, w)")
    )
    for output, name in (("d", "k"), ("e", "w")):
        near(program(output), jacrev(lambda value, name=name: program("y", **{name: value}))(program.bound[name]))
    of_w = jacrev(jacrev(lambda value: program("y", w=value)))
    near(program("h"), of_w(program.bound["w"]))


def test_inside_fields_nets_and_losses() -> None:
    text = """param k: positive = 0.7
net energy(q: real[3]) -> real = (k*q) |> dense(8) |> tanh |> dense(1)
net force(q: real[3]) -> real[3] = -grad(energy(q), q)
field f(t, q: real[3]) { V = energy(q); q' = force(q) - grad(V, q) }
q = solve f from q = x over 0..1
output y = q
output d = force(x)
output v = energy(x)
target z: real[3]
train { loss mean((grad(energy(x), x) - z)^2); solver rk4(steps=4) }
"""
    program = Program(lowered(text))
    near(program("d"), program.by_sample(lambda f, x: -grad(f)(x), "v"))
    q, h = program.x, 0.25

    def slope(q: Tensor) -> Tensor:
        return -2 * torch.stack([grad(program.of_sample("v"))(item) for item in q])

    for _ in range(4):
        k1 = slope(q)
        k2 = slope(q + h / 2 * k1)
        k3 = slope(q + h / 2 * k2)
        q = q + h / 6 * (k1 + 2 * k2 + 2 * k3 + slope(q + h * k3))
    near(program("y"), q)
    training = program.model.training
    assert training is not None
    (loss,) = evaluate(
        [training.losses.outputs["loss"]], {**program.bound, "x": program.x, "z": torch.zeros_like(program.x)}
    )
    near(loss, (program("d") ** 2).mean(1))


# ---------------------------------------------------------------------------------------------------- through a solve

PENDULUM = """param g: positive = 2
param c: real in (0, 1) = 0.2
scale = 2*c
field swing(t, q: real[3], p: real) {{ q' = p*q - t; p' = -g*sin(q[0]) - scale*p*x[1] }}
path = solve swing from q = x, p = x[0]*c {times}
total = {total}
output y = total
"""
ENDS = [("over 0..1", "sum(path.q) + path.p^2"), ("at 0..1 step 0.5", "sum(path.q^2) + sum(path.p)")]


@pytest.mark.parametrize("scheme", ["euler", "rk4", "dopri5"])
@pytest.mark.parametrize(("times", "total"), ENDS)
def test_through_a_solve_the_derivative_is_that_of_the_grid(times: str, total: str, scheme: str) -> None:
    """Of the input, of parameters the field reads, of a value made from them: all exact for the numbers deployed."""
    text = PENDULUM.format(times=times, total=total)
    text += "output d = grad(total, x)\noutput e = grad(total, g)\noutput s = grad(total, scale)\n"
    program = Program(lowered(text), scheme, 3)
    near(program("d"), program.by_sample(lambda f, x: grad(f)(x)))
    (name,) = (item.name for item in program.model.weights if item.name.startswith("g"))
    raw = program.bound[name]
    (parameter,) = (item for item in program.model.parameters if item.name == "g")
    chain = jacrev(lambda value: evaluate([parameter.value], {name: value})[0])(raw)
    near(program("e") * chain, jacrev(lambda value: program("y", **{name: value}))(raw))
    assert program("s").shape == (SAMPLES,)


def test_through_a_solve_the_derivative_runs_in_onnxruntime() -> None:
    text = PENDULUM.format(times="over 0..1", total="sum(path.q) + path.p^2") + "output d = grad(total, x)\n"
    program = Program(lowered(text))
    graph = optimise(bind(program.graph, program.weights), check=True)
    ours = in_onnxruntime(graph, {"x": program.x}, "float64")[list(graph.outputs).index("d")]
    np.testing.assert_allclose(ours, program("d").numpy(), rtol=1e-12, atol=1e-12)


def test_an_adaptive_solver_sees_an_ordinary_solve() -> None:
    """dq/dx of q' = -k q is e^(-k), and d2q/dk2 is e^(-k) x: the reference of a certificate gets there by itself."""
    text = """param k: real = 0.7
field f(t, q: real[3]) { q' = -k*q }
q = solve f from q = x over 0..1
output j = jacobian(q, x)
output h = hessian(sum(q), k)
"""
    program = Program(lowered(text))
    integrator = AdaptiveIntegrator("dopri5", rtol=1e-10, atol=1e-10)
    outputs = list(lowered(text).graph.outputs.values())
    jacobian, second = evaluate(outputs, {**program.bound, "x": program.x}, integrator=integrator)
    decay = torch.exp(-program.bound["k"])
    near(jacobian, (decay * torch.eye(3, dtype=torch.float64)).expand(SAMPLES, 3, 3), 1e-8)
    near(second, decay * program.x.sum(1), 1e-8)


def test_the_certificate_bounds_a_derivative_as_any_output(tmp_path: Path) -> None:
    """The start of q' = -q^3 moves the end q(1) = x/sqrt(1 + 2x^2) by (1 + 2x^2)^(-3/2)."""
    text = """dyn 1
model cubic
input x: real in (0.2, 1)
field f(t, q: real) { q' = -q^3 }
q = solve f from q = x over 0..1
output slope = grad(q, x)
deploy { solver auto(error=1e-4) }
"""
    (tmp_path / "cubic.dyn").write_text(text)
    compiled = driver.compile(tmp_path / "cubic.dyn", out=tmp_path / "out")
    assert compiled.certificate["discretisation"]["slope"]["maximum"] <= 1e-4
    x = np.linspace(0.25, 0.95, 9, dtype=np.float32)
    np.testing.assert_allclose(load(tmp_path / "out").run(x=x)["slope"], (1 + 2 * x**2) ** -1.5, rtol=2e-4)


def test_all_directions_share_one_solve() -> None:
    model = lowered(VECTORS["solve"] + "\noutput d = jacobian(y, x)")
    solves = [node for node in model.graph.nodes() if node.op is SOLVE]
    assert [len(spec_of(node).states) for node in solves] == [4]


def test_weights_per_step_are_walked_along() -> None:
    text = """field block(t, h: real[3]) weights per step { h' = h |> dense(3) |> tanh }
h = solve block from h = x over 0..4 with euler(steps=4)
output y = h
output d = jacobian(h, x)
"""
    program = Program(lowered(text), "euler", 4)
    near(program("d"), program.by_sample(lambda f, x: jacrev(f)(x)))


def test_the_times_of_a_solve_are_not_differentiated_yet() -> None:
    text = """input ts: real[3]
field f(t, q: real[3]) { q' = -q }
q = solve f from q = x at ts
output d = jacobian(q[2], ts)
"""
    with pytest.raises(IsoclineError) as found:
        lowered(text)
    assert [item.code for item in found.value.diagnostics] == ["E604"]


# ---------------------------------------------------------------------------------------------------- what it costs


def test_nothing_of_the_forward_pass_is_computed_twice() -> None:
    text = "net e(q: real[3]) -> real = q |> dense(8) |> tanh |> dense(8) |> tanh |> dense(1)\nv = e(x)\n"
    graph = optimise(lowered(text + "output v\noutput d = grad(v, x)").graph)
    names = [node.op.name for node in graph.nodes()]
    assert names.count("tanh") == 2
    assert names.count("linear") == 6


def test_a_gradient_does_not_compute_the_value_itself() -> None:
    """The shift of the last layer is read by nothing, nor is the layer computed for the sake of its shape."""
    model = lowered(NUMBERS["net"] + "\noutput d = grad(y, x)")
    read = {node.attrs["name"] for node in model.graph.nodes() if node.op in (INPUT, WEIGHT)}
    assert read == {"x", *(item.name for item in model.weights)} - {"e.dense_2.bias"}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("jvp(sin(k), k, x)", lambda k, x: np.cos(k) * x),
        ("vjp(sin(k), k, x)", lambda k, x: np.cos(k) * x),
        ("jvp(sum(sin(k)*k[0]), k, x)", lambda k, x: (k[0] * np.cos(k) * x).sum(-1) + np.sin(k).sum() * x[:, 0]),
        ("vjp(k*sum(k), k, x)", lambda k, x: k.sum() * x + (k * x).sum(-1, keepdims=True)),
        ("jvp(x*sin(k), k, x)", lambda k, x: x * np.cos(k) * x),
        ("jvp(sum(x*k^2), k, x)", lambda k, x: (2 * k * x * x).sum(-1)),
    ],
)  # fmt: skip
def test_each_sample_may_have_its_own_direction_for_what_is_common_to_all(
    expression: str, expected: Callable[..., np.ndarray]
) -> None:
    program = Program(lowered(f"param k: real[3] = 0.3\noutput y = {expression}\n" + "output z = x\n"))
    found = program("y").numpy()
    np.testing.assert_allclose(found, expected(program.weights["k"], program.x.numpy()), rtol=1e-12)
