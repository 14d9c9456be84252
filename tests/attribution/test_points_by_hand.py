"""The points at which gradients are gathered, on a cube whose integrals are known: no rule of ours in the answer."""

from __future__ import annotations

import numpy as np

from tests.attribution.explained import Case

CUBE = """dyn 1
model cube
data {
  source "none.npz"
  x = array(xs)
}
input x: real in (-9, 9)
output y = x^3
"""
POINTS = np.array([-2.0, 0.5, 3.0])


def answer(method: str, b: float = 0.0) -> np.ndarray:
    """Attributions of y to x, every stored training sample being b."""
    stored = {"x": np.full(16, b)}
    case = Case(CUBE, (f"attribute y wrt x by {method}",), dtype="float64", background=stored)
    return case.run({"x": POINTS})[f"{method.split('(')[0]}_x"]


def test_two_points_of_gauss_gather_a_cube_whole_and_one_does_not() -> None:
    """x int_0^1 3 a^2 x^2 da = x^3; the midpoint alone gives 3/4 of it."""
    np.testing.assert_allclose(answer("integrated_gradients(steps=2)"), POINTS**3, rtol=1e-12)
    np.testing.assert_allclose(answer("integrated_gradients(steps=5)"), POINTS**3, rtol=1e-12)
    np.testing.assert_allclose(answer("integrated_gradients(steps=1)"), 0.75 * POINTS**3, rtol=1e-12)


def test_expected_gradients_take_the_middle_of_each_part_once() -> None:
    """From b = 0 the mean of 3 a_j^2 over the n middles is 1 - 1/(4 n^2); from b the rest is added by the same sums."""
    for n in (1, 4, 7):
        second = 1 / 3 - 1 / (12 * n**2)  # the mean of ((j + 1/2)/n)^2; that of (j + 1/2)/n is 1/2
        for b in (0.0, 1.5):
            away = POINTS - b
            expected = 3 * away * (b**2 + 2 * b * away / 2 + away**2 * second)
            np.testing.assert_allclose(answer(f"expected_gradients(samples={n})", b), expected, rtol=1e-12)
