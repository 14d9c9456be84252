"""What is timed: small networks, equations of two to twenty-odd states, a gradient field, an image; their weights drawn.

Every work has a `.dyn` text in which STEPS stands for the number of steps; `FIRST` is its only input, (batch, width).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

import isocline
from isocline_compiler.graph import Array, Graph
from isocline_compiler.model import Model
from isocline_compiler.passes import optimise
from isocline_compiler.passes.bind import bind
from isocline_compiler.show import unrolled
from isocline_compiler.solvers.unroll.forms import Unrolling
from isocline_compiler.training.initial import initial_weights

FIRST = "first"


@dataclass(frozen=True)
class Work:
    """A model and the numbers of steps it is timed with; `low` and `high` bound its input, `width` are its entries."""

    name: str
    text: str
    width: int
    steps: int
    low: float = -2.0
    high: float = 2.0
    scheme: str = "rk4"

    def model(self, steps: int | None = None) -> Model:
        """The model with so many steps, or as many as it is timed with."""
        return isocline.model(self.text.replace("STEPS", str(steps or self.steps)))

    def weights(self, model: Model) -> Mapping[str, Array]:
        """The same for every peer."""
        return initial_weights(model.weights, 0)

    def graph(self, steps: int | None = None, form: Unrolling | None = None) -> tuple[Graph, Mapping[str, Array]]:
        """The optimised graph of the model's own scheme, in the form that is chosen or asked for, and its weights."""
        model = self.model(steps)
        weights = self.weights(model)
        return optimise(bind(unrolled(model, form), weights)), weights

    def inputs(self, batch: int, seed: int = 0) -> Array:
        """Draws from the bounds, float32."""
        generator = np.random.default_rng(seed)
        return generator.uniform(self.low, self.high, (batch, self.width)).astype(np.float32)


def _network(name: str, width: int, layers: str, steps: int = 20) -> Work:
    return Work(
        name,
        f"""dyn 1
model {name}
input first: real[{width}] in (-2, 2)
field f(t, x: real[{width}]) {{ x' = x {layers} |> dense({width}) }}
x = solve f from x = first over 0..1
output x
deploy {{ solver rk4(steps=STEPS) }}
""",
        width,
        steps,
    )


LOTKA_VOLTERRA = Work(
    "lotka_volterra",
    """dyn 1
model lotka_volterra
input first: real[2] in (5, 15)
param a: positive = 1.1
param b: positive = 0.04
param d: positive = 0.01
param g: positive = 0.4
field f(t, x: real, y: real) {
  x' = a * x - b * x * y
  y' = d * x * y - g * y
}
s = solve f from x = first[0], y = first[1] over 0..4
output x = s.x
output y = s.y
deploy { solver rk4(steps=STEPS) }
""",
    2,
    100,
    5.0,
    15.0,
)


def _cascade(states: int) -> str:
    """A chain of Michaelis-Menten steps with a feedback, as a mechanism of so many species: each state by its name."""
    names = [f"x{i}" for i in range(states)]
    rates = [f"  x0' = 1.2 / (1 + x{states - 1} * x{states - 1}) - 0.8 * x0 / (0.5 + x0)"]
    rates += [
        f"  x{i}' = 0.8 * x{i - 1} / (0.5 + x{i - 1}) - {0.6 + 0.01 * i:.2f} * x{i} / (0.4 + x{i})"
        for i in range(1, states)
    ]
    starts = ", ".join(f"{name} = first[{i}]" for i, name in enumerate(names))
    return f"""dyn 1
model cascade{states}
input first: real[{states}] in (0.1, 2)
field f(t, {", ".join(f"{name}: real" for name in names)}) {{
{chr(10).join(rates)}
}}
s = solve f from {starts} over 0..5
output y = s.x{states - 1}
deploy {{ solver rk4(steps=STEPS) }}
"""


HAMILTONIAN = Work(
    "hamiltonian",
    """dyn 1
model hamiltonian
input first: real[4] in (-2, 2)
field f(t, q: real[2], p: real[2]) {
  h = concat(q, p) |> dense(64) |> tanh |> dense(1) |> sum
  q' = grad(h, p)
  p' = -grad(h, q)
}
s = solve f from q = first[0:2], p = first[2:4] over 0..1
output q = s.q
output p = s.p
deploy { solver rk4(steps=STEPS) }
""",
    4,
    20,
)

WORKS: tuple[Work, ...] = (
    _network("net_2_64", 2, "|> dense(64) |> tanh"),
    _network("net_32_128", 32, "|> dense(128) |> tanh"),
    _network("net_4_64_64", 4, "|> dense(64) |> tanh |> dense(64) |> tanh"),
    LOTKA_VOLTERRA,
    Work("cascade12", _cascade(12), 12, 50, 0.1, 2.0),
    Work("cascade24", _cascade(24), 24, 50, 0.1, 2.0),
    HAMILTONIAN,
)
