"""Values with more digits than an input's type: which are tried on both sides, and what is refused of a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isocline_compiler import driver
from isocline_runtime import Session, load
from isocline_runtime.errors import InputError
from isocline_runtime.feeds import prepare_feed
from isocline_runtime.manifest import Port

X = Port("x", "float32", ("batch", 3))
K = Port("k", "float64", ("batch",))


@pytest.mark.parametrize(
    ("port", "value", "measured", "lost"),
    [
        (X, [[1.7e9 + 30, 1.7e9, 0]], 100.0, [[1, 0, 0]]),  # 1.7e9 is a multiple of 128
        (X, [[1_700_000_030, 1_700_000_000, 0]], 100.0, [[1, 0, 0]]),
        (X, [[0.1, 0.2, 99.9]], 100.0, None),  # rounded as the samples were
        (X, [[0.1, 0.2, 127.9]], 100.0, None),  # as far apart as those near 100
        (X, [[0.1, 0.2, 128.1]], 100.0, [[0, 0, 1]]),
        (X, [[128.5, 256, 1e6]], 100.0, None),  # held as they are
        (X, [[1e-40, 0, 1e-30]], 100.0, [[1, 0, 0]]),  # below 1.2e-38 digits are lost
        (X, [[5.1, 0, 0]], 0.0, [[1, 0, 0]]),
        (X, np.float32([[1.7e9, 1e-40, 0.1]]), 1.0, None),  # the caller's own rounding
        (K, np.array([2**60 + 1, 2**60]), 1e6, [1, 0]),
        (K, np.float32([0.1, 1e9]), 1.0, None),
    ],
)
def test_which_values_are_tried_on_both_sides(port: Port, value: Any, measured: float, lost: Any) -> None:
    feed = prepare_feed((port,), {port.name: value}, {port.name: measured})
    if lost is None:
        assert feed.narrowed is None
        return
    assert feed.narrowed is not None
    held, other = feed.arrays[port.name], feed.narrowed.others[port.name]
    np.testing.assert_array_equal(np.isfinite(other), np.array(lost) == 1)
    exact = np.asarray(value).astype(np.longdouble)
    where = np.isfinite(other)
    assert (np.minimum(held, other)[where] < exact[where]).all()
    assert (np.maximum(held, other)[where] > exact[where]).all()


def test_every_two_values_of_a_sample_are_parted_by_a_run() -> None:
    port = Port("x", "float32", ("batch", 5))
    value = 1.7e9 + 30 * np.arange(1.0, 11).reshape(2, 5)
    feed = prepare_feed((port, K), {"x": value, "k": [2.0**60, 2.0**60]}, {"x": 1.0, "k": 1.0})
    assert feed.narrowed is not None
    runs = list(feed.narrowed.runs(feed.arrays))
    moved = np.array([run["x"] != feed.arrays["x"] for run in runs])
    assert moved[0].all()
    assert all((moved[:, :, i] != moved[:, :, j]).any(axis=0).all() for i in range(5) for j in range(i))
    assert len(runs) == 1 + 3
    assert all(run["k"] is feed.arrays["k"] for run in runs)


DATA = "first,a,b,c\n4,0,40,90\n7,10,30,100\n2,5,50,60\n"
COOLING = """dyn 1
model cooling
data {{ source "data.csv"; first = column(first); when = columns(a, b, c) }}
input first: real
input when: time[3] unit "s"
field cool(t, x: real) {{ x' = -x/60 }}
x = solve cool from x = first at when
output x
deploy {{ solver rk4(steps=12); dtype {dtype}; attribute x wrt first by saliency }}
"""
LINE = """dyn 1
model line
data { source "data.csv"; first = column(first) }
input first: real
output y = 3*first
deploy { parity 1e-5 }
"""


def compiled(folder: Path, text: str) -> Session:
    (folder / "data.csv").write_text(DATA)
    (folder / "model.dyn").write_text(text)
    driver.compile(folder / "model.dyn", out=folder / "out")
    return load(folder / "out")


@pytest.fixture(scope="module")
def cooling(tmp_path_factory: pytest.TempPathFactory) -> Session:
    return compiled(tmp_path_factory.mktemp("cooling"), COOLING.format(dtype="float32"))


SECONDS = np.array([0.0, 30, 60])
ANSWER = 5 * np.exp(-SECONDS / 60)


@pytest.mark.parametrize("begins", [1.7e9, 1_700_000_000, 1.7e9 + 5, 3e8 + 1])
@pytest.mark.parametrize("single", [True, False])
def test_times_since_1970_are_refused(cooling: Session, begins: float, single: bool) -> None:
    """Near 1.7e9 all three are one number, and nothing would have cooled."""
    when = begins + np.arange(0, 61, 30) if isinstance(begins, int) else begins + SECONDS
    given = {"first": 5.0, "when": when} if single else {"first": [5.0, 1.0], "when": [SECONDS, when]}
    with pytest.raises(InputError) as caught:
        cooling.run(given)
    assert caught.value.code == "E742"
    assert "when[" in caught.value.message
    assert "moves 'x' by" in caught.value.message
    assert "float64" in str(caught.value.hint)
    with pytest.raises(InputError):
        cooling.attribute(given)


def test_the_same_times_from_their_beginning_are_answered(cooling: Session) -> None:
    np.testing.assert_allclose(cooling.run(first=5.0, when=SECONDS)["x"], ANSWER, rtol=1e-4)
    with pytest.raises(InputError, match="E742"):
        cooling.run(first=5.0, when=3.3e6 + 1 / 3 + SECONDS)  # numbers are a quarter of a second apart
    np.testing.assert_allclose(cooling.run(first=5.0, when=128 + 1 / 3 + SECONDS)["x"], ANSWER, rtol=1e-4)


def test_what_was_measured_stands_in_the_certificate(cooling: Session) -> None:
    certificate = json.loads((cooling.path / "certificate.json").read_text())
    assert certificate["largest_inputs"] == {"first": 7.0, "when": 100.0}


def test_an_array_of_the_inputs_own_type_is_taken_as_it_is(cooling: Session) -> None:
    found = cooling.run(first=np.float32(5), when=(1.7e9 + SECONDS).astype(np.float32))["x"]
    assert found.shape == (3,)


def test_double_precision_holds_seconds_and_not_nanoseconds(tmp_path: Path) -> None:
    session = compiled(tmp_path, COOLING.format(dtype="float64"))
    np.testing.assert_allclose(session.run(first=5.0, when=1.7e9 + SECONDS)["x"], ANSWER, rtol=1e-4)
    with pytest.raises(InputError, match="E742"):
        session.run(first=5, when=10**18 + 30 * np.arange(3))


def test_large_values_whose_rounding_does_not_matter_are_answered(tmp_path: Path) -> None:
    session = compiled(tmp_path, LINE)
    given = np.array([0.1, 250.3, 1.7e9 + 30, 1e-41])
    np.testing.assert_allclose(session.run(first=given)["y"], 3 * given, rtol=1e-6, atol=1e-40)


def test_a_bare_file_claims_nothing(cooling: Session) -> None:
    found = load(cooling.path / "model.onnx").run(first=5.0, when=1.7e9 + SECONDS)["x"]
    assert found.shape == (3,)
