"""What is timed: small networks, equations of two to twenty-four states, a gradient field; their weights are drawn.

Every work has a `.dyn` text in which SOLVER stands for the scheme; its only input is `first`, (batch, width). Its field
is also there as a function of arrays, which other engines differentiate, trace and compile as they like.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import isocline
from isocline_compiler.graph import Array, Graph
from isocline_compiler.model import Model
from isocline_compiler.passes import optimise
from isocline_compiler.passes.bind import bind
from isocline_compiler.show import unrolled
from isocline_compiler.solvers.unroll.forms import Unrolling
from isocline_compiler.training.initial import initial_weights

Arrays = Mapping[str, Any]
Field = Callable[[Any, Arrays, Any], Any]
"""The slope of states (batch, width), from the module of functions (numpy, torch, jax.numpy) and the weights."""


@dataclass(frozen=True)
class Work:
    """A model and how it is timed: `low` and `high` bound its input of `width` entries, `until` is where it ends."""

    name: str
    title: str
    text: str
    field: Field
    width: int
    steps: int
    until: float = 1.0
    low: float = -2.0
    high: float = 2.0
    scale: float = 1.0
    """How much larger than usual the weights are drawn: a field that bends."""

    def model(self, solver: str | None = None) -> Model:
        """The model with this scheme, or with the one it is timed with."""
        return isocline.model(self.text.replace("SOLVER", solver or f"rk4(steps={self.steps})"))

    def weights(self, model: Model) -> dict[str, Array]:
        """The same for every peer, float64 that are float32 numbers."""
        drawn = initial_weights(model.weights, 0)
        return {name: (self.scale * x).astype(np.float32).astype(np.float64) for name, x in drawn.items()}

    def short(self) -> dict[str, Array]:
        """Weights by what they are: w0, b0, w1, ... in the order of the layers."""
        weights = list(self.weights(self.model()).values())
        return {f"{'wb'[i % 2]}{i // 2}": x for i, x in enumerate(weights)} if self.scale != 1 else {}

    def graph(self, steps: int | None = None, form: Unrolling | None = None) -> tuple[Graph, Mapping[str, Array]]:
        """The optimised graph of RK4 with so many steps, in the form that is chosen or asked for, and its weights."""
        model = self.model(f"rk4(steps={steps or self.steps})")
        weights = self.weights(model)
        return optimise(bind(unrolled(model, form), weights)), weights

    def inputs(self, batch: int, seed: int = 0) -> Array:
        """Draws from the bounds, float32."""
        generator = np.random.default_rng(seed)
        return generator.uniform(self.low, self.high, (batch, self.width)).astype(np.float32)


def _layers(count: int) -> Field:
    """Dense layers with a tanh between them."""

    def field(xp: Any, w: Arrays, z: Any) -> Any:
        for i in range(count):
            z = z @ w[f"w{i}"] + w[f"b{i}"]
            z = xp.tanh(z) if i + 1 < count else z
        return z

    return field


def _network(name: str, title: str, width: int, hidden: Sequence[int]) -> Work:
    layers = " ".join(f"|> dense({size}) |> tanh" for size in hidden)
    text = f"""dyn 1
model {name}
input first: real[{width}] in (-2, 2)
field f(t, x: real[{width}]) {{ x' = x {layers} |> dense({width}) }}
x = solve f from x = first over 0..1
output x
deploy {{ solver SOLVER }}
"""
    return Work(name, title, text, _layers(len(hidden) + 1), width, 20, scale=3.0)


def _prey(xp: Any, w: Arrays, z: Any) -> Any:
    x, y = z[..., 0], z[..., 1]
    return xp.stack([1.1 * x - 0.04 * x * y, 0.01 * x * y - 0.4 * y], -1)


LOTKA_VOLTERRA = Work(
    "lotka_volterra",
    "Lotka-Volterra, 2 states",
    """dyn 1
model lotka_volterra
input first: real[2] in (5, 15)
field f(t, x: real, y: real) {
  x' = 1.1*x - 0.04*x*y
  y' = 0.01*x*y - 0.4*y
}
s = solve f from x = first[0], y = first[1] over 0..4
output state = concat([s.x], [s.y])
deploy { solver SOLVER }
""",
    _prey,
    2,
    100,
    until=4.0,
    low=5.0,
    high=15.0,
)


def _cascade_field(xp: Any, w: Arrays, z: Any) -> Any:
    last = z[..., -1:]
    made = xp.concatenate([1.2 / (1 + last * last), 0.8 * z[..., :-1] / (0.5 + z[..., :-1])], -1)
    lost = xp.concatenate([0.8 * z[..., :1] / (0.5 + z[..., :1]), _speeds(xp, z) * z[..., 1:] / (0.4 + z[..., 1:])], -1)
    return made - lost


def _speeds(xp: Any, z: Any) -> Any:
    numbers = [0.6 + 0.01 * i for i in range(1, z.shape[-1])]
    return xp.tensor(numbers) if hasattr(xp, "tensor") else xp.asarray(numbers, z.dtype)


def _cascade(states: int) -> Work:
    """A chain of Michaelis-Menten steps with a feedback, as a mechanism of so many species: each state by its name."""
    names = [f"x{i}" for i in range(states)]
    rates = [f"  x0' = 1.2/(1 + x{states - 1}*x{states - 1}) - 0.8*x0/(0.5 + x0)"]
    rates += [
        f"  x{i}' = 0.8*x{i - 1}/(0.5 + x{i - 1}) - {0.6 + 0.01 * i:.2f}*x{i}/(0.4 + x{i})" for i in range(1, states)
    ]
    starts = ", ".join(f"{name} = first[{i}]" for i, name in enumerate(names))
    text = f"""dyn 1
model cascade{states}
input first: real[{states}] in (0.1, 2)
field f(t, {", ".join(f"{name}: real" for name in names)}) {{
{chr(10).join(rates)}
}}
s = solve f from {starts} over 0..5
output state = concat({", ".join(f"[s.{name}]" for name in names)})
deploy {{ solver SOLVER }}
"""
    title = f"enzymatic cascade, {states} states"
    return Work(f"cascade{states}", title, text, _cascade_field, states, 50, until=5.0, low=0.1, high=2.0)


def _energy_field(xp: Any, w: Arrays, z: Any) -> Any:
    """J dH/dz of H = sum(tanh(z W + b) V), the gradient written out."""
    t = xp.tanh(z @ w["w0"] + w["b0"])
    slope = ((1 - t * t) * w["w1"][:, 0]) @ w["w0"].T
    return xp.concatenate([slope[..., 2:], -slope[..., :2]], -1)


HAMILTONIAN = Work(
    "hamiltonian",
    "Hamiltonian network 4-64-1, gradient",
    """dyn 1
model hamiltonian
input first: real[4] in (-2, 2)
field f(t, q: real[2], p: real[2]) {
  h = concat(q, p) |> dense(64) |> tanh |> dense(1) |> sum
  q' = grad(h, p)
  p' = -grad(h, q)
}
s = solve f from q = first[0:2], p = first[2:4] over 0..1
output state = concat(s.q, s.p)
deploy { solver SOLVER }
""",
    _energy_field,
    4,
    20,
    scale=3.0,
)

WORKS: tuple[Work, ...] = (
    _network("net_2_64", "network 2-64-2", 2, [64]),
    _network("net_32_128", "network 32-128-32", 32, [128]),
    _network("net_4_64_64", "network 4-64-64-4", 4, [64, 64]),
    LOTKA_VOLTERRA,
    _cascade(12),
    _cascade(24),
    HAMILTONIAN,
)
