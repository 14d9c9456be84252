"""The definition of the errors that a certificate states, on numbers that can be checked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from isocline_compiler.certify.deployed import COMPARE
from isocline_compiler.certify.measures import figures, relative_errors, spread


def test_the_largest_difference_over_the_largest_magnitude_of_each_sample() -> None:
    found = np.array([[1.0, 2.5], [4.0, -8.0]])
    reference = np.array([[1.0, 2.0], [3.0, -8.0]])
    np.testing.assert_array_equal(relative_errors(found, reference, True), [0.5 / 2, 1 / 8])


def test_without_a_batch_axis_all_entries_are_one_sample() -> None:
    assert relative_errors(np.array([1.0, 2.0]), np.array([1.0, 4.0]), False).tolist() == [0.5]
    assert relative_errors(np.array(3.0), np.array(4.0), False).tolist() == [0.25]


def test_a_reference_of_zeros_makes_the_error_absolute() -> None:
    assert relative_errors(np.array([[0.25, 0.0]]), np.zeros((1, 2)), True).tolist() == [0.25]


def test_what_is_not_finite_is_infinitely_wrong() -> None:
    found = np.array([[np.nan, 1.0], [np.inf, 1.0], [1.0, 1.0]])
    assert relative_errors(found, np.ones((3, 2)), True).tolist() == [np.inf, np.inf, 0.0]


def test_float32_is_compared_in_float64() -> None:
    third = np.array([[1 / 3]])
    error = relative_errors(third.astype(np.float32), third, True)
    assert 0 < error[0] < 2**-24


def test_the_spread_names_the_worst_sample() -> None:
    found = spread(np.array([0.0, 3.0, 1.0, 2.0, 4.0, 1.0]))
    assert (found.maximum, found.median, found.worst_sample) == (4.0, 1.5, 4)
    assert 3.0 < found.p99 <= 4.0


@pytest.mark.parametrize(
    ("operator", "below", "equal", "above"),
    [("<", True, False, False), ("<=", True, True, False), (">", False, False, True), (">=", False, True, True)],
)
def test_checks_compare_as_they_are_written(operator: str, below: bool, equal: bool, above: bool) -> None:
    assert [COMPARE[operator](left, 2.0) for left in (1.0, 2.0, 3.0)] == [below, equal, above]


@pytest.mark.parametrize(
    ("found", "bound", "shown"),
    [
        (3e-5, 1e-5, ("3.0e-05", "1e-05")),
        (1.0004e-5, 1e-5, ("1.0004e-05", "1e-05")),
        (2.5003e-4, 2.5e-4, ("2.5003e-04", "2.5e-04")),
        (2.54e-4, 0.1 * 2.53e-3, ("2.54e-04", "2.53e-04")),
        (float("inf"), 1e-3, ("inf", "1e-03")),
        (float("nan"), 1e-3, ("nan", "1e-03")),
    ],
)
def test_a_number_and_the_bound_that_it_misses_are_told_apart(
    found: float, bound: float, shown: tuple[str, str]
) -> None:
    assert figures(found, bound) == shown
