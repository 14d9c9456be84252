"""Every kind of value that a caller may pass: converted without loss, or refused with its place."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from isocline_runtime.errors import InputError
from isocline_runtime.feeds import plain_feed, prepare_feed
from isocline_runtime.manifest import Port

X = Port("x", "float32", ("batch", 2))
K = Port("k", "float64", ("batch",))
LABEL = Port("label", "int64", ("batch",), classes=3)
FLAG = Port("flag", "bool", ("batch",))
XS, TS = Port("xs", "float32", ("batch", "T", 2)), Port("ts", "float32", ("batch", "T"))
FIXED = Port("m", "float32", (2, 2))


def refuse(ports: tuple[Port, ...], values: dict[str, Any], code: str, *parts: str) -> None:
    with pytest.raises(InputError) as caught:
        prepare_feed(ports, values)
    assert caught.value.code == code
    for part in parts:
        assert part in str(caught.value)


def test_missing_and_unknown_names_suggest_the_nearest() -> None:
    refuse((X,), {}, "E730", "'x' is missing, expected float32[batch, 2], or float32[2] for one sample")
    refuse((LABEL,), {"lable": 1}, "E730", "'lable' was given")
    refuse((LABEL,), {"label": 1, "labels": 1}, "E731", "did you mean 'label'?")
    refuse((X, K), {"x": [1, 2], "k": 1, "quite": 1}, "E731", "the inputs are x, k")


@pytest.mark.parametrize(
    ("port", "value", "code", "part"),
    [
        (X, [[1, 2], [3]], "E738", "not an array"),
        (X, [1, None], "E738", "None"),
        (X, [Decimal(1), Decimal(2)], "E738", "Decimal"),
        (X, "ab", "E732", "holds text, expected float32"),
        (X, [1j, 2], "E732", "complex numbers"),
        (X, np.array(["2020", "2021"], "datetime64[Y]"), "E732", "dates"),
        (X, [1, 2, 3], "E733", "[3], expected float32[batch, 2]"),
        (X, [[1, 2, 3]], "E733", "axis 1 has the size 3"),
        (X, np.zeros((2, 2, 2)), "E733", "[2, 2, 2]"),
        (X, 1.0, "E733", "[]"),
        (X, np.zeros((0, 2)), "E733", "axis 0 has the size 0"),
        (FIXED, np.zeros((2, 3)), "E733", "expected float32[2, 2]"),
        (X, [[1, 2], [3, np.nan]], "E735", "x[1, 1] is nan"),
        (X, [1, -np.inf], "E735", "x[1] is -inf"),
        (X, [1, 1e300], "E735", "too large for float32"),
        (X, np.ma.MaskedArray([1.0, 2.0], [False, True]), "E735", "x[1] is masked"),
        (K, np.nan, "E735", "k is nan"),
        (LABEL, [0, 1.5], "E732", "such as 1.5 at [1], expected int64"),
        (LABEL, [np.nan], "E735", "label[0]"),
        (LABEL, [1e19], "E732", "1e+19"),
        (LABEL, np.array([2**63], np.uint64), "E732", "9223372036854775808"),
        (LABEL, [0, 3], "E737", "label[1] is 3, expected a class from 0 to 2"),
        (LABEL, -1, "E737", "label is -1"),
        (FLAG, [0, 2], "E732", "such as 2 at [1], expected true or false"),
    ],
)
def test_a_wrong_value_is_named(port: Port, value: Any, code: str, part: str) -> None:
    refuse((port,), {port.name: value}, code, part)


def test_sizes_agree_across_inputs() -> None:
    refuse(
        (XS, TS),
        {"xs": np.zeros((3, 4, 2)), "ts": np.zeros((3, 5))},
        "E734",
        "`T` is 4",
        "'xs' and 5 in 'ts'",
    )
    refuse((X, K), {"x": np.zeros((3, 2)), "k": np.zeros(2)}, "E734", "`batch` is 3")
    refuse((X, K), {"x": np.zeros((3, 2)), "k": 1.0}, "E739", "'k' is a single sample, 'x' has a batch axis")
    assert prepare_feed((XS, TS), {"xs": np.zeros((4, 2)), "ts": np.zeros(4)}).single


@pytest.mark.parametrize(
    ("low", "high", "value", "good"),
    [
        (0.0, None, 0.0, False),
        (0.0, None, 1e-30, True),
        (None, 1.0, 1.0, False),
        (None, 1.0, -1e30, True),
        (0.1, 1.0, 0.1, False),  # also in float32, where 0.1 is a little more than 0.1
        (0.1, 1.0, 0.99999999999, False),  # 1.0 in float32, which is what the model would see
        (0.1, 1.0, 0.5, True),
    ],
)
def test_bounds_are_an_open_interval(low: float | None, high: float | None, value: float, good: bool) -> None:
    port = Port("k", "float32", ("batch",), low=low, high=high)
    if good:
        prepare_feed((port,), {"k": value})
    else:
        refuse((port,), {"k": [value]}, "E736", "k[0] is")


def test_conversions_without_loss() -> None:
    ports = (X, K, LABEL, FLAG)
    feed = prepare_feed(ports, {"x": [[1, 2]], "k": np.float16([0.5]), "label": np.array([2.0]), "flag": [1]})
    assert {name: str(array.dtype) for name, array in feed.arrays.items()} == {
        "x": "float32",
        "k": "float64",
        "label": "int64",
        "flag": "bool",
    }
    assert not feed.single


def test_strides_and_byte_order_do_not_matter() -> None:
    swapped = np.arange(6, dtype=">f8").reshape(2, 3).T
    array = prepare_feed((X,), {"x": swapped}).arrays["x"]
    assert array.flags.c_contiguous
    assert array.dtype.isnative
    np.testing.assert_array_equal(array, np.arange(6).reshape(2, 3).T)


def test_an_input_without_a_batch_axis_is_left_as_it_is() -> None:
    feed = prepare_feed((X, FIXED), {"x": [1, 2], "m": np.eye(2)})
    assert feed.arrays["x"].shape == (1, 2)
    assert feed.arrays["m"].shape == (2, 2)


@given(
    hnp.arrays(
        dtype=hnp.scalar_dtypes(),
        shape=hnp.array_shapes(min_dims=0, max_dims=3, max_side=3),
    ),
    st.sampled_from([X, K, LABEL, FLAG, FIXED]),
)
def test_any_array_is_fed_as_it_was_or_refused_by_us(value: np.ndarray, port: Port) -> None:
    try:
        fed = prepare_feed((port,), {port.name: value}).arrays[port.name]
    except InputError:
        return
    assert str(fed.dtype) == port.dtype
    np.testing.assert_allclose(fed.ravel(), value.ravel().astype(float), rtol=1e-6, atol=1e-44)


VALUES = st.floats(width=32) | st.sampled_from([0.0, 1.0, -1.0, np.nan, np.inf, -np.inf])


@given(
    st.lists(VALUES, min_size=6, max_size=6), st.integers(0, 3), st.sampled_from(["float32", "float64", "int64"]),
    st.sampled_from([(2, 3), (3, 2), (6,), (1, 6)]), st.booleans(),
)  # fmt: skip
def test_what_is_taken_as_it_is_is_what_the_checks_let_through(
    values: list[float], extra: int, dtype: str, shape: tuple[int, ...], fortran: bool
) -> None:
    """The short way takes nothing that the long way refuses or changes."""
    ports = (Port("x", "float32", ("batch", 3), low=-1.0), Port("n", "float32", ("batch",), high=1.0))
    with np.errstate(all="ignore"):
        x = np.asarray(values).astype(dtype).reshape(shape, order="F" if fortran else "C")
    inputs = {"x": x, "n": np.zeros(len(x), "float32") - (extra == 3)}
    inputs |= {"more": x} if extra == 1 else {}
    found = plain_feed(ports, inputs)
    if found is None:
        return
    expected = prepare_feed(ports, inputs)
    assert found.single == expected.single
    assert expected.narrowed is None
    for name, array in expected.arrays.items():
        np.testing.assert_array_equal(found.arrays[name], array)
        assert found.arrays[name].dtype == array.dtype


def test_the_short_way_is_taken() -> None:
    ports = (Port("x", "float32", ("batch", 3), low=-1.0),)
    assert plain_feed(ports, {"x": np.zeros((2, 3), "float32")}) is not None
    for wrong in (np.zeros((2, 3)), np.full((2, 3), -1, "float32"), np.full((2, 3), np.nan, "float32"), [[0.0] * 3]):
        assert plain_feed(ports, {"x": wrong}) is None
