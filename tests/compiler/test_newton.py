"""What iterations of implicit schemes leave of a step, against scipy's root finding on the equations of the stages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.integrate._ivp import radau
from scipy.optimize import root

from isocline_compiler import driver
from isocline_compiler.certify.newton import keeps_order, solved_step
from isocline_compiler.certify.second_implicit import TABLES
from isocline_compiler.solvers.schemes import SCHEMES
from isocline_compiler.solvers.schemes.implicit import ImplicitRungeKutta


def slopes(t, x, i):
    """Van der Pol's equations, with a force."""
    q, p = x[..., 0], x[..., 1]
    return torch.stack([p, 20 * (1 - q * q) * p - q + np.cos(t)], -1)


@pytest.mark.parametrize("name", TABLES)
def test_a_solved_step_solves_the_equations_of_its_stages(name: str) -> None:
    (a, b, c), t, h = TABLES[name], 0.3, 0.05
    start = np.array([1.8, 0.4])

    def f(time: float, y: np.ndarray) -> np.ndarray:
        return slopes(time, torch.tensor(y), 0).numpy()

    def rest(z: np.ndarray) -> np.ndarray:
        stages = [f(t + c[k] * h, start + item) for k, item in enumerate(z.reshape(-1, 2))]
        return z - h * (a @ np.array(stages)).ravel()

    z = root(rest, np.zeros(2 * len(b)), tol=1e-14).x.reshape(-1, 2)
    exact = start + h * b @ np.array([f(t + c[k] * h, start + item) for k, item in enumerate(z)])
    found = solved_step(TABLES[name], slopes, torch.tensor(start[None]), (0, t, h))[0].numpy()
    np.testing.assert_allclose(found, exact, rtol=1e-10)


def test_the_table_of_radau_is_that_of_its_collocation() -> None:
    """scipy's nodes and eigenvalues."""
    a, _, c = TABLES["radau5"]
    np.testing.assert_allclose(c, radau.C, rtol=1e-13)
    values = np.linalg.eigvals(np.linalg.inv(a))
    assert values[np.abs(values.imag) < 1e-9].real == pytest.approx([radau.MU_REAL], rel=1e-11)


@pytest.mark.parametrize(("name", "enough"), [("radau5", 3), ("implicit_euler", 1), ("sdirk2", 1)])
def test_the_order_asks_for_so_many_iterations(name: str, enough: int) -> None:
    """Each iteration of simplified Newton gains an order of h, and the first has two."""
    scheme = SCHEMES[name]
    assert isinstance(scheme, ImplicitRungeKutta)
    kept = [keeps_order(scheme.with_options({"iterations": count})) for count in range(1, 5)]
    assert kept == [count >= enough for count in range(1, 5)]


STIFF = """dyn 1
model stiff
input x: real in (1.5, 2.5)
field f(t, q: real, p: real) { q' = p; p' = 20*(1 - q^2)*p - q }
y = solve f from q = x, p = 0 over 0..2
output y
deploy {
  solver SOLVER
  dtype float64
}
"""


@pytest.mark.parametrize(("solver", "count"), [("sdirk2(steps=100)", 1), ("sdirk2(steps=100, iterations=2)", 2)])
def test_the_certificate_says_what_iterations_leave(solver: str, count: int, tmp_path: Path) -> None:
    """As few as leave a tenth of the stated error, unless the file says how many."""
    (tmp_path / "stiff.dyn").write_text(STIFF.replace("SOLVER", solver).replace("output y", "output q = y.q"))
    certificate = driver.compile(tmp_path / "stiff.dyn", out=tmp_path / "built").certificate
    (found,) = certificate["newton"]
    assert (found["scheme"], found["iterations"]) == ("sdirk2", count)
    assert 0 < found["largest"] <= certificate["stated_error"] / 10
