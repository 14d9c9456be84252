"""Twice the samples: means, whose spread has a closed form, and a largest of them, which grows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import integrate, stats

from isocline_compiler.certify.evaluation import Evaluator
from isocline_compiler.certify.samples import drawn
from isocline_compiler.certify.stochastic.doubling import Doubling, doubling, with_doubled_samples
from isocline_compiler.lower.check import check, model

SAMPLES, STEPS = 64, 8


def doubled(out: str, samples: str = f"samples {SAMPLES}", steps: int = STEPS) -> Doubling:
    found = model(
        "dyn 1\nmodel m\ninput s0: real in (0.5, 1.5)\n"
        "field f(t, s: real) { noise W: brownian; ds = 0 dt + 1 dW }\n"
        f"path = solve f from s = 0*s0 over 0..1 with euler_maruyama(steps={steps}) {samples}\noutput y = {out}\n"
    )
    evaluator = Evaluator(found, {}, drawn(found.inputs, found.source))
    return doubling(evaluator, evaluator.stated)


def test_what_a_file_uses_is_there_with_twice_the_samples(tmp_path: Path) -> None:
    (tmp_path / "drift.dyn").write_text("dyn 1\nfunction drift(s: real) = -s\n")
    (tmp_path / "m.dyn").write_text(
        'dyn 1\nmodel m\nuse "drift.dyn"\ninput s0: real in (0.5, 1.5)\n'
        "field f(t, s: real) { noise W: brownian; ds = drift(s) dt + 1 dW }\n"
        "path = solve f from s = s0 over 0..1 with euler_maruyama(steps=8) samples 5\noutput y = path.s\n"
    )
    assert with_doubled_samples(check(tmp_path / "m.dyn")).graph.outputs["y"].type.sample == (10,)


def expected_largest(count: int) -> float:
    """E of the largest of independent standard normals."""
    found, _ = integrate.quad(lambda z: z * count * stats.norm.pdf(z) * stats.norm.cdf(z) ** (count - 1), -8, 8)
    return float(found)


def test_the_spread_of_a_mean_is_that_of_the_samples() -> None:
    """Of 10 + mean W(1) over n samples: 1/sqrt(n), relative to 10."""
    found = doubled("10 + mean(path.s, axis=0)").outputs["y"]
    for spread, error, count in ((found.spread, found.spread_error, 64), (found.doubled, found.doubled_error, 128)):
        assert abs(spread - 0.1 / np.sqrt(count)) < 4 * error
        assert error < 0.15 * spread
    assert found.change < 2 * found.change_interval


def test_the_largest_of_more_samples_is_larger() -> None:
    found = doubled("max(path.s, axis=0)").outputs["y"]
    change = (expected_largest(2 * SAMPLES) - expected_largest(SAMPLES)) / expected_largest(SAMPLES)
    assert abs(found.change - change) < 2 * found.change_interval + 0.15 * change
    assert found.change > found.change_interval


def test_mirror_images_take_the_spread_of_a_linear_output() -> None:
    found = doubled("10 + mean(path.s, axis=0)", f"samples {SAMPLES} antithetic").outputs["y"]
    assert found.spread < 1e-12


@pytest.mark.parametrize(
    ("out", "samples", "why"),
    [
        ("path.s", f"samples {SAMPLES}", "every output has a number for each sample"),
        ("path.s", "", "there are no samples to double"),
        (f"mean(reshape(path.s, {SAMPLES // 2}, 2), axis=0)", f"samples {SAMPLES}", "with twice the samples the file"),
    ],
)
def test_what_cannot_be_doubled_says_why(out: str, samples: str, why: str) -> None:
    found = doubled(out, samples)
    assert found.outputs == {}
    assert found.why.startswith(why)


def test_the_samples_of_a_constant_are_doubled() -> None:
    text = (
        "dyn 1\nmodel m\nconst n = 5\nfield f(t, s: real) { noise W: brownian; ds = 0 dt + 1 dW }\n"
        "path = solve f from s = 0 over 0..1 samples n lattice\noutput y = path.s\n"
    )
    assert with_doubled_samples(model(text)).graph.outputs["y"].type.sample == (10,)
