"""What a record of roles settles: integrals along own states, names of own states, one solve for all directions."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from isocline_compiler import driver
from isocline_compiler.data import Split
from isocline_compiler.derivatives.reverse_forward import jvp
from isocline_compiler.graph import Graph, constant
from isocline_compiler.graph.solve import SOLVE, Row, spec_of
from isocline_compiler.lower.check import check
from isocline_compiler.passes.join import join
from isocline_compiler.training.objective import Objective
from isocline_runtime import load

DECAY = """dyn 1
model decay
input start: real
target z: real
param k: positive = 1
field f(t, x: real) {{ x' = -k*x }}
path = solve f from x = start over 0..1
output y = path.x
train {{ {loss}; regularize kinetic_energy(f); solver dopri5(rtol=1e-10, atol=1e-10) }}
"""


@pytest.mark.parametrize(
    "loss",
    [
        "loss mean((path.x - z)^2)",
        "loss mean((grad(path.x, start) - z)^2)",
        "loss mean((path.x - z)^2) + mean((grad(path.x, start) - z)^2)",
        "loss mean((grad(grad(path.x, k), k) - z)^2)",
    ],
)
def test_a_path_integral_is_of_the_authors_states_whatever_else_is_solved(tmp_path: Path, loss: str) -> None:
    """int_0^1 (2 exp(-t))^2 dt = 2 (1 - exp(-2)), by hand; tangents and second solves once counted in."""
    file = tmp_path / "decay.dyn"
    file.write_text(DECAY.format(loss=loss))
    model = check(file)
    assert model.training is not None
    split = Split({"start": np.array([2.0]), "z": np.array([0.0])})
    objective = Objective.of(model, model.training, split)
    weights = {item.name: torch.tensor(item.initial(np.random.default_rng(0), item.shape)) for item in model.weights}
    batch = {"start": torch.tensor([2.0], dtype=torch.float64), "z": torch.tensor([0.0], dtype=torch.float64)}
    energy = objective(weights, batch).terms["kinetic_energy(f)"]
    assert float(energy) == pytest.approx(2 * (1 - math.exp(-2)), rel=1e-8)


CHAIN = """dyn 1
model chain
input start: real in (1, 3)
input k: real in (0.5, 1.5)
field f(t, x, x_0: real) {{
  x' = -k*x
  x_0' = -x_0 + x
}}
path = solve f from x = start, x_0 = 1 over 0..1
{outputs}
deploy {{
  {deploy}
}}
"""


def compiled(folder: Path, outputs: str, deploy: str) -> Path:
    file = folder / "chain.dyn"
    file.write_text(CHAIN.format(outputs=outputs, deploy=deploy))
    driver.compile(file, out=folder / "out")
    return folder / "out"


def test_a_tangent_is_never_taken_for_a_state_of_the_author(tmp_path: Path) -> None:
    """s = dx/dstart = exp(-k) does not depend on x_0, whose adjoint is zero all along; that of x is zero as well.

    Only the states of the file appear. The score itself is linear in the tangent alone.
    """
    out = compiled(
        tmp_path,
        "output s = grad(path.x^2, start)",
        "solver auto(error=1e-4)\n  attribute s wrt start by adjoint_path",
    )
    explained = load(out / "attribute.onnx", allow_nonfinite=True)
    names = {port.name for port in explained.outputs}
    assert names == {"score", "adjoint_path_path_x", "adjoint_path_path_x_0", "adjoint_path_path_times"}
    given = {"start": np.float32([2.0]), "k": np.float32([1.0]), "s_index": np.array([-1])}
    found = explained.run(given)
    times = found["adjoint_path_path_times"]
    # s = 2 x(1) v(1) with v = exp(-k t), and dx(1)/dx(t) = exp(-(1 - t)): ds/dx(t) = 2 exp(-1) exp(-(1 - t))
    expected = 2 * math.exp(-1) * np.exp(-(1 - times))
    np.testing.assert_allclose(found["adjoint_path_path_x"].reshape(-1), expected.reshape(-1), rtol=2e-4)
    np.testing.assert_array_equal(found["adjoint_path_path_x_0"], 0)


def test_a_gradient_is_that_of_the_deployed_grid(tmp_path: Path) -> None:
    """One solve, one scheme, one grid: the gradient is the difference quotient of what is deployed beside it."""
    out = compiled(
        tmp_path,
        "output y = path.x\noutput s = grad(path.x, start)\noutput sk = grad(path.x_0, k)",
        "solver auto(error=1e-2)\n  dtype float64",
    )
    certificate = json.loads((out / "certificate.json").read_text())
    assert [solve["name"] for solve in certificate["solves"]] == ["path"]
    session = load(out)
    start, k, h = np.array([1.3, 2.2]), np.array([0.7, 1.1]), 1e-6
    here = session.run(start=start, k=k)
    above, below = (session.run(start=start + s * h, k=k)["y"] for s in (1, -1))
    np.testing.assert_allclose(here["s"], (above - below) / (2 * h), rtol=1e-9)
    assert np.abs(here["s"] - np.exp(-k)).max() > 1e-7, "and not that of the equation"


MANY = """dyn 1
model many
input start: real in (1, 3)
{params}
field f(t, x: real) {{ x' = {slope} }}
path = solve f from x = start over 0..1
{outputs}
deploy {{
  solver rk4(steps=1000)
  dtype float64
}}
"""


def test_nine_gradients_are_one_solve(tmp_path: Path) -> None:
    names = [f"k{i}" for i in range(9)]
    file = tmp_path / "many.dyn"
    file.write_text(
        MANY.format(
            params="\n".join(f"input {name}: real in (0, 1)" for name in names),
            slope=" + ".join(f"{name}*sin({i}*t)*x/10" for i, name in enumerate(names)),
            outputs="\n".join(f"output g{i} = grad(path.x, {name})" for i, name in enumerate(names[1:])),
        )
    )
    model = check(file)
    (node,) = [item for item in model.graph.nodes() if item.op is SOLVE]
    assert [state.role for state in spec_of(node).states] == ["own"] + ["tangent"] * 8
    out = driver.compile(file, out=tmp_path / "out").folder
    found = load(out).run({"start": np.array([2.0]), **{name: np.array([0.5]) for name in names}})
    rate = sum(0.05 * (1 - math.cos(i)) / i for i in range(1, 9))
    for i in range(1, 9):
        expected = 2 * math.exp(rate) * (1 - math.cos(i)) / i / 10
        assert float(found[f"g{i - 1}"][0]) == pytest.approx(expected, rel=1e-4)


def test_directions_that_are_equal_are_one(tmp_path: Path) -> None:
    """grad by start of two outputs, and the second derivative that holds the first: four directions in all."""
    file = tmp_path / "chain.dyn"
    outputs = (
        "output a = grad(path.x, start)\noutput b = grad(path.x_0, start)\n"
        "output c = grad(path.x, k)\noutput d = grad(grad(path.x_0, k), k)"
    )
    file.write_text(CHAIN.format(outputs=outputs, deploy="solver rk4(steps=8)"))
    (node,) = [item for item in check(file).graph.nodes() if item.op is SOLVE]
    states = spec_of(node).states
    assert len({state.direction for state in states if state.role == "tangent"}) == 3
    assert len({state.name for state in states}) == len(states)


def test_a_direction_that_depends_on_the_solution_stays_apart_and_shares_the_choice(tmp_path: Path) -> None:
    """jvp along x(1) itself: its solve begins where the first one has ended."""
    file = tmp_path / "chain.dyn"
    file.write_text(CHAIN.format(outputs="output y = path.x", deploy="solver rk4(steps=8)"))
    graph = check(file).graph
    start, y = graph.inputs[0], graph.outputs["y"]
    (along,) = jvp([y], [start], [y * constant(1.0)])
    joined = join(Graph(graph.inputs, {"y": y, "v": along}))
    solves = [node for node in joined.nodes() if node.op is SOLVE]
    assert len(solves) == 2
    assert len({spec_of(node).name for node in solves}) == 2
    assert {spec_of(node).choice for node in solves} == {"path"}


def test_a_row_in_pieces_is_that_of_the_middle_of_a_step() -> None:
    row = Row("w")
    assert [row.index(i, 6, 3) for i in range(6)] == [0, 0, 1, 1, 2, 2]
    assert [row.index(i, 4, 4) for i in range(4)] == [0, 1, 2, 3]
    assert [row.index(i, 3, 5) for i in range(3)] == [0, 2, 4]  # floor((i + 1/2) 5/3)


def test_a_row_of_a_solve_back_in_time_is_the_one_that_went_there() -> None:
    there, back = Row("w"), Row("w", indexing="backwards")
    for steps, depth in ((6, 3), (4, 4), (3, 5), (1, 2)):
        ahead = [there.index(i, steps, depth) for i in range(steps)]
        assert [back.index(i, steps, depth) for i in range(steps)] == ahead[::-1]
    assert [back.at(part, 3) for part in (0.0, 0.3, 0.34, 0.66, 0.67, 1.0)] == [2, 2, 1, 1, 0, 0]


def test_a_row_for_each_step_is_its_own() -> None:
    assert [Row("n", "noise", "each").index(i, 4, 4) for i in range(4)] == [0, 1, 2, 3]


def test_a_row_along_the_way_is_the_piece_that_has_begun() -> None:
    parts = (-0.1, 0.0, 0.3, 0.34, 0.5, 0.66, 0.67, 0.99, 1.0)
    assert [Row("w").at(part, 3) for part in parts] == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_directions_are_told_apart(tmp_path: Path) -> None:
    """The tangents by two entries of an input are states of one solve, each along a direction of its own."""
    file = tmp_path / "m.dyn"
    file.write_text(
        "dyn 1\nmodel m\ninput p: real[2] in (0.5, 1)\nfield f(t, x: real) { x' = -p[0]*x + p[1] }\n"
        "path = solve f from x = 1 over 0..1\noutput y = jacobian([path.x], p)\n"
    )
    found = {spec_of(node).name: spec_of(node) for node in check(file).graph.nodes() if node.op is SOLVE}
    directions = [state.direction for spec in found.values() for state in spec.states if state.role == "tangent"]
    assert len(directions) == 2
    assert len(set(directions)) == 2
