"""Beside captum on the torch evaluation of the same unrolled graph: same baseline, steps, patches and noise."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from captum.attr import InputXGradient, IntegratedGradients, NoiseTunnel, Occlusion, Saliency

from tests.attribution.explained import DIGITS, LYNX, Case, Module

METHODS = (
    "saliency, input_x_gradient, integrated_gradients(steps=8), smoothgrad(samples=5, std=0.2), occlusion(patch=4)"
)
ROWS, DRAWS, STD = 6, 5, 0.2


def relative(found: np.ndarray, expected: torch.Tensor) -> float:
    reference = expected.detach().numpy()
    assert found.shape == reference.shape
    assert np.abs(reference).max() > 0
    return float(np.abs(found - reference).max() / np.abs(reference).max())


def captum_noise(x: torch.Tensor, seed: int) -> torch.Tensor:
    """What NoiseTunnel draws after this seed, as standard normal numbers: (rows, draws, *input)."""
    torch.manual_seed(seed)
    drawn = torch.normal(0, torch.full((len(x) * DRAWS, *x.shape[1:]), STD))  # float32, as captum's stdevs are
    return (drawn.to(x.dtype) / STD).reshape(len(x), DRAWS, *x.shape[1:])


class Fixture:
    """One classifier-like problem: arrays, targets, both answers."""

    def __init__(self, text: str, output: str, name: str, x: np.ndarray, others: dict[str, np.ndarray]) -> None:
        self.case = Case(text, (f"attribute {output} wrt {name} by {METHODS}",))
        self.name = name
        self.x = torch.tensor(x.astype(np.float32).astype(np.float64))
        self.others = {key: torch.tensor(array) for key, array in others.items()}
        self.module = Module(self.case, output, (name, *others))
        self.entries = self.module(self.x, *self.others.values()).shape[1]
        self.target = torch.arange(len(x)) % self.entries
        noise = captum_noise(self.x, 11).numpy()
        self.x.requires_grad_()
        fed = {name: x, **others, f"{output}_index": self.target.numpy(), f"smoothgrad_noise_{name}": noise}
        self.found = self.case.run(fed)

    def captum(self, explainer: object, **settings: object) -> torch.Tensor:
        extra = tuple(self.others.values()) or None
        result = explainer.attribute(self.x, target=self.target, additional_forward_args=extra, **settings)
        return result[0] if isinstance(result, tuple) else result


@pytest.fixture(scope="module", params=["lynx", "digits"])
def both(request: pytest.FixtureRequest) -> Fixture:
    rng = np.random.default_rng(5)
    if request.param == "lynx":
        return Fixture(LYNX, "forecast", "first", rng.uniform(1, 6, (ROWS, 2)), {"season": rng.uniform(0, 1, ROWS)})
    return Fixture(DIGITS, "logits", "image", rng.normal(size=(ROWS, 1, 6, 6)), {})


def test_saliency(both: Fixture) -> None:
    assert relative(both.found[f"saliency_{both.name}"], both.captum(Saliency(both.module))) <= 1e-4


def test_input_x_gradient(both: Fixture) -> None:
    found = both.found[f"input_x_gradient_{both.name}"]
    assert relative(found, both.captum(InputXGradient(both.module))) <= 1e-4


def test_integrated_gradients_with_the_rule_that_captum_has_by_default(both: Fixture) -> None:
    expected = both.captum(IntegratedGradients(both.module), n_steps=8, method="gausslegendre")
    assert relative(both.found[f"integrated_gradients_{both.name}"], expected) <= 1e-4


def test_the_residual_is_captums_convergence_delta(both: Fixture) -> None:
    ig = IntegratedGradients(both.module)
    extra = tuple(both.others.values()) or None
    _, delta = ig.attribute(
        both.x, target=both.target, additional_forward_args=extra, n_steps=8, return_convergence_delta=True
    )
    scale = float(np.abs(both.found["score"]).max())
    np.testing.assert_allclose(both.found["integrated_gradients_residual"], -delta.detach(), atol=1e-5 * scale)


def test_smoothgrad_for_the_same_noise(both: Fixture) -> None:
    torch.manual_seed(11)
    tunnel = NoiseTunnel(Saliency(both.module))
    expected = both.captum(tunnel, nt_type="smoothgrad", nt_samples=DRAWS, stdevs=STD, abs=False)
    assert relative(both.found[f"smoothgrad_{both.name}"], expected) <= 1e-4


def test_occlusion(both: Fixture) -> None:
    shape = both.x.shape[1:]
    window = tuple(min(4, size) for size in shape)
    expected = both.captum(Occlusion(both.module), sliding_window_shapes=window, strides=(4,) * len(shape))
    assert relative(both.found[f"occlusion_{both.name}"], expected) <= 1e-4
