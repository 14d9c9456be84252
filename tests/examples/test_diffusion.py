"""The samplers of `examples/diffusion` where scores are known: normal points in closed form, a mixture by torch."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from scipy.spatial.distance import mahalanobis

from examples.diffusion.draws import MEANS, ROOTS, WEIGHTS, drawn, noise_in, strays
from examples.diffusion.judge import discrepancy
from examples.diffusion.samplers import Paths, Sampler, Trained

FOLDER = Path(__file__).parents[2] / "examples" / "diffusion"
SPREAD = 0.5
VARIANCE = f"(alpha(l)^2*{SPREAD}^2 + sigma(l)^2)"
KNOWN = {
    "mixture": ("eps", f"sigma(l)*x/{VARIANCE}"),
    "handwriting": ("v", f"alpha(l)*sigma(l)*(1 - {SPREAD}^2)*x/{VARIANCE} + 0*one_hot(digit, 10)[0]"),
}
"""The net of each file where points are normal of deviation SPREAD: E(z | x), and E(alpha*z - sigma*point | x)."""


def variance(level: float) -> float:
    """Of x where log(alpha/sigma) is `level`."""
    share = 1 / (1 + np.exp(-2 * level))
    return float(share * SPREAD**2 + 1 - share)


@pytest.fixture(scope="module", params=sorted(KNOWN))
def known(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A file of the example whose net is the closed form, and which has no weights."""
    net, formula = KNOWN[request.param]
    text = (FOLDER / f"{request.param}.dyn").read_text()
    text = re.sub(r"^(data|train|target)\b[^{\n]*(\{.*?^\})?\n", "", text, flags=re.MULTILINE | re.DOTALL)
    text, count = re.subn(
        rf"(net {net}\(.*?\) -> real\[\d+\]).*?(?=^net)", rf"\1 = {formula}\n", text, flags=re.M | re.S
    )
    assert count == 1
    file = tmp_path_factory.mktemp(request.param) / "known.dyn"
    file.write_text(text)
    save_file({}, file.with_name("none.safetensors"))
    return Trained(file, file.with_name("none.safetensors"))


def sampled(known: Trained, sampler: Sampler, steps: int, numbers: int) -> tuple[np.ndarray, np.ndarray]:
    """Samples, so many numbers in all, and the standard normal ones that they start from."""
    text = known.file.read_text()
    width = int(re.findall(r"net eps\(x: real\[(\d+)\]", text)[0])
    count = numbers // width
    paths = Paths(count, 3, {"digit": np.arange(count) % 10} if "input digit" in text else {})
    return known.samples(sampler, steps, paths), paths.noise("V", 1, width, 1)[:, 0, 0]


@pytest.mark.parametrize("output", ["ode", "ddim", "data"])
def test_the_probability_flow_scales_normal_points(known: Trained, output: str) -> None:
    """Its solution is x(l) = x(-5) sqrt(var(l)/var(-5)), in each of the three variables."""
    found, start = sampled(known, Sampler(output, "rk4"), 500, 640)
    first = start / np.sqrt(1 + np.exp(-10.0))  # sigma(-5) z
    np.testing.assert_allclose(found, first * np.sqrt(variance(4) / variance(-5)), rtol=1e-5)


@pytest.mark.parametrize("output", ["sde", "pc"])
def test_noise_keeps_the_marginals(known: Trained, output: str) -> None:
    """The variance at the end, to four standard errors, which are sqrt(2/n) of it."""
    if output not in known.outputs:
        pytest.skip("this file has no such sampler")
    found, _ = sampled(known, Sampler(output, "shark"), 200, 3200)
    assert abs(found.var() / variance(4) - 1) < 4 * np.sqrt(2 / found.size)


def test_the_noise_in_a_mixture_is_the_gradient_of_its_log_density() -> None:
    level = 1.0
    alpha, sigma = 1 / np.sqrt(1 + np.exp(-2 * level)), 1 / np.sqrt(1 + np.exp(2 * level))
    x = torch.tensor(drawn(50, 0), requires_grad=True)
    spreads = torch.tensor(alpha**2 * ROOTS @ ROOTS.transpose(0, 2, 1) + sigma**2 * np.eye(2))
    parts = torch.distributions.MultivariateNormal(torch.tensor(alpha * MEANS), spreads)
    mixed = torch.distributions.MixtureSameFamily(torch.distributions.Categorical(torch.tensor(WEIGHTS)), parts)
    (score,) = torch.autograd.grad(mixed.log_prob(x).sum(), x)
    np.testing.assert_allclose(noise_in(x.detach().numpy(), level), -sigma * score.numpy(), rtol=1e-9)


def test_the_discrepancy_is_that_of_its_definition() -> None:
    """By the sums of Gretton et al., lemma 6, pair by pair; and two samples of one distribution do not stand out."""
    x, y = drawn(30, 0), drawn(50, 1) + 0.3
    whole = np.concatenate([x, y])
    width = np.median(((whole[:, None] - whole) ** 2).sum(axis=2))

    def mean(a: np.ndarray, b: np.ndarray, same: bool) -> float:
        kernel = np.exp(-((a[:, None] - b) ** 2).sum(axis=2) / (2 * width))
        return float((kernel.sum() - len(a)) / (len(a) * (len(a) - 1)) if same else kernel.mean())

    expected = mean(x, x, True) + mean(y, y, True) - 2 * mean(x, y, False)
    assert discrepancy(x, y).squared == pytest.approx(expected, rel=1e-9)
    assert discrepancy(drawn(300, 2), drawn(200, 3)).p > 0.05
    assert discrepancy(drawn(300, 2), drawn(200, 3) + 0.3).p < 0.01


def step_of(number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The levels of so many equal steps from -5 to 4, and alpha and sigma there."""
    levels = np.linspace(-5, 4, number + 1)
    return levels, 1 / np.sqrt(1 + np.exp(-2 * levels)), 1 / np.sqrt(1 + np.exp(2 * levels))


@pytest.mark.parametrize("output", ["ddim", "data"])
def test_the_exponential_euler_scheme_is_ddim(known: Trained, output: str) -> None:
    """Song, Meng, Ermon (2021), (12) without noise: x <- alpha' (x - sigma eps)/alpha + sigma' eps, in z and in y."""
    found, start = sampled(known, Sampler(output, "exponential_euler"), 20, 640)
    levels, alpha, sigma = step_of(20)
    x = sigma[0] * start
    for i, level in enumerate(levels[:-1]):
        eps = sigma[i] * x / variance(level)
        x = alpha[i + 1] * (x - sigma[i] * eps) / alpha[i] + sigma[i + 1] * eps
    np.testing.assert_allclose(found, x, rtol=1e-9)


def test_two_steps_of_the_predicted_data_are_dpm_solver_2m(known: Trained) -> None:
    """Lu et al. (2022), arXiv 2211.01095, algorithm 2, whose first step is DDIM."""
    found, start = sampled(known, Sampler("data", "dpm_solver_2m"), 20, 640)
    levels, alpha, sigma = step_of(20)
    x, before = sigma[0] * start, None
    for i, level in enumerate(levels[:-1]):
        clean = (x - sigma[i] ** 2 * x / variance(level)) / alpha[i]
        d = clean if before is None else 1.5 * clean - 0.5 * before
        x = sigma[i + 1] / sigma[i] * x - alpha[i + 1] * (np.exp(levels[i] - levels[i + 1]) - 1) * d
        before = clean
    np.testing.assert_allclose(found, x, rtol=1e-9)


def test_the_exponential_midpoint_scheme_is_dpm_solver_2(known: Trained) -> None:
    """Lu et al. (2022), NeurIPS, algorithm 1 with the intermediate level in the middle."""
    found, start = sampled(known, Sampler("ddim", "exponential_midpoint"), 20, 640)
    levels, alpha, sigma = step_of(20)
    between, alphas, sigmas = step_of(40)
    x = sigma[0] * start
    for i, level in enumerate(levels[:-1]):
        h, m = levels[i + 1] - level, 2 * i + 1
        middle = alphas[m] / alpha[i] * x - sigmas[m] * np.expm1(h / 2) * sigma[i] * x / variance(level)
        x = alpha[i + 1] / alpha[i] * x - sigma[i + 1] * np.expm1(h) * sigmas[m] * middle / variance(between[m])
    np.testing.assert_allclose(found, x, rtol=1e-9)


def test_strays_are_far_from_every_component() -> None:
    """By scipy's distance of Mahalanobis, pair by pair; of the mixture itself at most exp(-8) stray."""
    points = np.random.default_rng(4).uniform(-2.5, 2.5, (300, 2))
    inverses = [np.linalg.inv(root @ root.T) for root in ROOTS]
    far = [all(mahalanobis(x, m, s) > 4 for m, s in zip(MEANS, inverses, strict=True)) for x in points]
    assert 0 < strays(points) == np.mean(far) < 1
    assert strays(drawn(20_000, 5)) < 2 * np.exp(-8)
