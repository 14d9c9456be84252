"""Latency on inputs that the model accepts."""

from __future__ import annotations

import numpy as np
import pytest

from isocline_runtime.benchmark import draw_inputs, measure_latency
from isocline_runtime.feeds import prepare_feed
from isocline_runtime.loading import load
from isocline_runtime.manifest import Port

BOUNDS = [(None, None), (0.0, None), (None, -3.0), (0.0, 1e-3), (-5.0, 7.0)]


@pytest.mark.parametrize(("low", "high"), BOUNDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_drawn_inputs_are_inside_their_bounds(dtype: str, low: float | None, high: float | None) -> None:
    port = Port("x", dtype, ("batch", "T", 3), low=low, high=high)
    inputs = draw_inputs((port,), 50, seed=1, sizes={"T": 4})
    assert inputs["x"].shape == (50, 4, 3)
    prepare_feed((port,), inputs)


def test_drawn_labels_truths_and_integers_are_accepted() -> None:
    ports = (
        Port("label", "int64", ("batch",), classes=3),
        Port("flag", "bool", ("batch",)),
        Port("count", "int64", ("batch",), low=-1.5, high=2.0),
    )
    inputs = draw_inputs(ports, 100)
    prepare_feed(ports, inputs)
    assert set(inputs["label"]) == {0, 1, 2}
    assert set(inputs["count"]) == {-1, 0, 1}


def test_the_seed_decides_the_inputs() -> None:
    port = Port("x", "float32", ("batch",))
    one, same, other = (draw_inputs((port,), 5, seed)["x"] for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_latency_is_ordered_and_positive(write_artifact) -> None:
    latency = measure_latency(load(write_artifact()), batch=4, repeats=20)
    assert 0 < latency.p50_us <= latency.p99_us <= latency.max_us
    assert latency.samples_per_second == pytest.approx(4e6 / latency.p50_us)
    assert latency.load_ms > 0
