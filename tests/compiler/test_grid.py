"""Grids: exact ends, counted times, and the messages when steps do not fit."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isocline_compiler.graph.solve import Interval
from isocline_compiler.solvers.grid import (
    Discretisation,
    Grid,
    discretise,
    distribute,
    from_list,
    halved,
    through,
    uniform,
)
from isocline_compiler.solvers.schemes import SCHEMES
from isocline_dsl.diagnostics import IsoclineError
from isocline_dsl.tree import Span

ordinary = st.floats(-1e3, 1e3, allow_nan=False)


@given(ordinary, ordinary, st.integers(1, 300))
def test_a_uniform_grid_has_numpys_times_and_an_exact_end(start, end, steps):
    if abs(end - start) < 1e-3:
        return
    grid = uniform(start, end, steps)
    assert (grid.times[0], grid.times[-1], grid.steps) == (start, end, steps)
    np.testing.assert_allclose(grid.times, np.linspace(start, end, steps + 1), rtol=0, atol=1e-12)


@given(ordinary, ordinary, st.integers(1, 300))
def test_a_uniform_grid_has_one_width_however_its_times_are_rounded(start, end, steps):
    if abs(end - start) < 1e-3:
        return
    grid = uniform(start, end, steps)
    assert len(set(grid.widths)) == 1
    assert math.isclose(grid.widths[0], (end - start) / steps, rel_tol=1e-13)


def test_times_are_counted_not_added_up():
    assert uniform(0.0, 1.0, 10).times[3] == 3 / 10 != 0.1 + 0.1 + 0.1


@given(st.lists(ordinary, min_size=2, max_size=12, unique=True), st.integers(1, 7), st.booleans())
def test_a_grid_passes_through_the_given_times_in_either_direction(times, substeps, backwards):
    times = sorted((round(time, 3) for time in set(times)), reverse=backwards)
    if len(set(times)) < len(times):
        return
    grid = through(times, substeps)
    assert grid.outputs == tuple(times)
    assert grid.steps == substeps * (len(times) - 1)
    np.testing.assert_allclose(grid.widths, np.diff(grid.times), rtol=0, atol=1e-11)


def test_widths_differ_where_the_spacing_does():
    grid = through((0.0, 0.3, 0.4, 1.0), (3, 1, 2))
    np.testing.assert_allclose(grid.widths, [0.1, 0.1, 0.1, 0.1, 0.3, 0.3], rtol=1e-15)
    assert len(set(grid.widths)) == 2


def test_a_listed_grid_keeps_the_outputs_it_holds():
    grid = from_list([1, 0.5, 0.25, 0], [1, 0.25])
    assert grid == Grid((1.0, 0.5, 0.25, 0.0), (0, 2))
    with pytest.raises(ValueError, match=r"\[0.3\] are not among"):
        from_list([1, 0.5, 0], [0.3])


@pytest.mark.parametrize(
    ("times", "keep", "message"),
    [
        ((0.0,), (0,), "at least two"),
        ((0.0, math.nan), (1,), "finite"),
        ((0.0, math.inf), (1,), "finite"),
        ((0.0, 1.0, 1.0), (2,), "strictly"),
        ((0.0, 1.0, 0.5), (2,), "strictly"),
        ((0.0, 1.0), (), "outputs"),
        ((0.0, 1.0), (2,), "outputs"),
        ((0.0, 1.0), (-1,), "outputs"),
        ((0.0, 1.0), (1, 0), "outputs"),
        ((0.0, 1.0), (1, 1), "outputs"),
    ],
)
def test_what_is_no_grid_is_refused(times, keep, message):
    with pytest.raises(ValueError, match=message):
        Grid(times, keep)


@pytest.mark.parametrize("build", [lambda: uniform(0.0, 1.0, 0), lambda: Discretisation(SCHEMES["rk4"], 0)])
def test_no_steps_are_refused(build):
    with pytest.raises(ValueError, match="at least one"):
        build()


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=9), st.integers(0, 200))
def test_steps_are_distributed_in_proportion(lengths, spare):
    times = np.cumsum([0.0, *lengths]).tolist()
    counts = distribute(times, len(lengths) + spare)
    assert sum(counts) == len(lengths) + spare
    for count, (here, there) in zip(counts, pairwise(times), strict=True):
        assert abs(count - 1 - spare * (there - here) / times[-1]) < 1 + 1e-9


@pytest.mark.parametrize(
    ("lengths", "steps", "counts"),
    [((8, 1, 1), 5, (3, 1, 1)), ((9, 1), 12, (10, 2)), ((1, 2, 3), 9, (2, 3, 4)), ((5, 3, 2), 6, (2, 2, 2))],
)
def test_the_largest_remainders_get_what_is_left(lengths, steps, counts):
    """Beside one step each: of 2 to share, 1.6, 0.2 and 0.2 are 2, 0 and 0; of 3, 1.5, 0.9 and 0.6 are 1 each."""
    assert distribute(np.cumsum([0.0, *lengths]).tolist(), steps) == counts


def test_fewer_steps_than_intervals_cannot_be_distributed():
    with pytest.raises(ValueError, match="2 steps cannot reach 3"):
        distribute((0.0, 1.0, 2.0, 3.0), 2)


def test_total_steps_are_shared_among_the_intervals():
    choice = discretise(Interval(tuple(map(float, range(21))), everywhere=True), "rk4", 40)
    assert choice.scheme is SCHEMES["rk4"]
    assert choice.grid.steps == 40
    assert choice.grid.keep == tuple(range(0, 41, 2))


def test_only_the_end_is_kept_of_a_solve_that_wants_only_the_end():
    choice = discretise(Interval((0.0, 1.0), everywhere=False), "euler", 8)
    assert choice.grid == uniform(0.0, 1.0, 8)


def test_times_that_come_with_the_input_get_substeps():
    assert discretise(Interval(None, everywhere=True), "heun", 12, intervals=4) == Discretisation(SCHEMES["heun"], 3)


@pytest.mark.parametrize(
    ("steps", "hint"),
    [(41, "40 or 60"), (7, "nearest: 20"), (0, "nearest: 20"), (-3, "nearest: 20"), (59, "40 or 60")],
)
def test_steps_that_do_not_divide_are_reported_with_the_nearest_that_do(steps, hint):
    with pytest.raises(IsoclineError) as caught:
        discretise(Interval(tuple(map(float, range(21))), everywhere=True), "rk4", steps, span=Span(3, 9))
    (found,) = caught.value.diagnostics
    assert found.span == Span(3, 9)
    assert f"{steps} steps do not divide among 20 intervals" in found.message
    assert hint in found.hint


def test_an_unknown_scheme_is_reported_with_the_nearest_name():
    with pytest.raises(IsoclineError) as caught:
        discretise(Interval((0.0, 1.0), everywhere=False), "rk45", 4)
    assert "`rk4`" in caught.value.diagnostics[0].hint


def test_halving_cuts_every_step_in_the_middle_and_keeps_the_outputs():
    grid = through((0.0, 1.0, 4.0), (2, 3))
    finer = halved(Discretisation(SCHEMES["rk4"], grid, 2))
    assert isinstance(finer.grid, Grid)
    assert finer.grid.outputs == grid.outputs == (0, 1, 4)
    np.testing.assert_allclose(finer.grid.times, [0, 0.25, 0.5, 0.75, 1, 1.5, 2, 2.5, 3, 3.5, 4], rtol=0, atol=1e-15)
    assert (finer.scheme, finer.segment) == (SCHEMES["rk4"], 2)


def test_halving_doubles_the_substeps_of_given_times():
    assert halved(Discretisation(SCHEMES["euler"], 3, 2)) == Discretisation(SCHEMES["euler"], 6, 2)
