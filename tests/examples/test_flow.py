"""What the flows of `examples/flow` are measured by, against scipy."""

from __future__ import annotations

import numpy as np
from scipy.integrate import quad
from scipy.stats import multivariate_normal, norm

from examples.flow.compare import normal_log_density
from examples.flow.draws import NOISE, log_density


def moons_by_quadrature(x: float, y: float) -> float:
    """The density of both moons at a point, by scipy's adaptive quadrature."""

    def along(a: float) -> float:
        upper = norm.pdf(x, np.cos(a), NOISE) * norm.pdf(y, np.sin(a), NOISE)
        lower = norm.pdf(x, 1 - np.cos(a), NOISE) * norm.pdf(y, 0.5 - np.sin(a), NOISE)
        return float(upper + lower)

    return float(quad(along, 0, np.pi, limit=200)[0] / (2 * np.pi))


def test_the_density_of_the_moons_is_an_integral_along_them() -> None:
    points = np.array([[0.0, 1.0], [1.0, -0.6], [0.5, 0.25], [-1.1, 0.2]])
    np.testing.assert_allclose(np.exp(log_density(points)), [moons_by_quadrature(*p) for p in points], rtol=1e-6)


def test_the_bar_is_a_normal_density_with_the_moments_of_the_training_points() -> None:
    rng = np.random.default_rng(2)
    train, x = rng.normal(size=(200, 3)) @ rng.normal(size=(3, 3)) + 1, rng.normal(size=(5, 3))
    peer = multivariate_normal(train.mean(axis=0), np.cov(train.T))
    np.testing.assert_allclose(normal_log_density(train, x), peer.logpdf(x), rtol=1e-10)
