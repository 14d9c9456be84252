"""What the pictures show: data inside the axes, marks where the numbers are, the same bytes each time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import isocline
from isocline_compiler.certify.certificate import DeployedSolve
from isocline_compiler.certify.stability import Stability
from isocline_compiler.certify.work_precision import Trial
from isocline_compiler.model import FittedParameter
from isocline_compiler.report import drawings, sample_drawings
from isocline_compiler.report.ink import COLOURS, LIGHT, PAPER, power, short, to_inline, to_svg
from isocline_compiler.report.scalars import scalars
from isocline_compiler.solvers.schemes import SCHEMES
from isocline_compiler.solvers.schemes.tableau import Tableau
from isocline_runtime.errors import ArtifactError

TRIALS = (
    Trial("f", "euler", 1, 40, 40, 400, 0.31),
    Trial("f", "rk4", 4, 10, 40, 400, 4.1e-3),
    Trial("f", "rk4", 4, 20, 80, 800, 2.4e-4),
    Trial("f", "heun", 2, 20, 40, 400, float("inf")),
)
CHOSEN = DeployedSolve("f", "f", "continuous", "rk4", 4, 20, 80)
SPECTRUM = Stability("f", "rk4", 0.9, 0.9, (-1.5, 2.0), 0.5, 1.0, 0, True)
BIRTH = FittedParameter("birth", 0.5, 0.03, 0.45, None, "1/year", None)


def marked(axes: Any, gid: str) -> Any:
    """The one line that carries this mark."""
    (line,) = [line for line in axes.lines if line.get_gid() == gid]
    return line


def inside(axes: Any, line: Any) -> bool:
    low, high = np.array([axes.get_xlim(), axes.get_ylim()]).T
    points = np.asarray(line.get_xydata())
    return bool(((points >= low) & (points <= high)).all())


def test_the_deployed_point_is_ringed_and_the_stated_error_is_a_line() -> None:
    (axes,) = drawings.work_precision(TRIALS, CHOSEN, 1e-3).axes
    ring = marked(axes, "chosen")
    assert ring.get_xydata().tolist() == [[80, 2.4e-4]]
    assert inside(axes, ring)
    assert list(marked(axes, "stated").get_ydata()) == [1e-3, 1e-3]
    assert axes.get_ylim()[0] < 2.4e-4 < 1e-3 < axes.get_ylim()[1]
    assert any("rk4, 20 steps" in text.get_text() for text in axes.texts)
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")


def test_there_is_a_line_for_each_scheme_that_came_to_a_number() -> None:
    (axes,) = drawings.work_precision(TRIALS, CHOSEN, 1e-3).axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["euler (1)", "rk4 (4)"]


def test_curves_skip_what_was_not_measured() -> None:
    history = {
        "epoch": [1, 2, 3],
        "loss": [4.0, 0.4, 0.04],
        "validation_loss": [None, 1.0, None],
        "lr": [0.1, 0.1, 0.1],
    }
    above, below = drawings.curves(history).axes
    assert [line.get_label() for line in above.lines] == ["training", "validation"]
    assert above.get_yscale() == "log"
    assert (below.get_yscale(), below.get_ylim()[0]) == ("linear", 0)
    assert (above.get_ylabel(), below.get_ylabel(), below.get_xlabel()) == ("loss", "learning rate", "epoch")
    without = {**history, "validation_loss": [None, None, None], "loss": [-1.0, -2.0, -3.0]}
    above, _ = drawings.curves(without).axes
    assert (len(above.lines), above.get_yscale()) == (1, "linear")


@pytest.mark.parametrize("name", [name for name, scheme in SCHEMES.items() if isinstance(scheme, Tableau)])
def test_the_boundary_of_stability_is_where_a_step_neither_grows_nor_decays(name: str) -> None:
    scheme = SCHEMES[name]
    assert isinstance(scheme, Tableau)
    (axes,) = drawings.stability_region(scheme, [SPECTRUM]).axes
    boundary = np.concatenate([path.vertices for contour in axes.collections[1:] for path in contour.get_paths()])
    growth = np.abs(scheme.stability(boundary[:, 0] + 1j * boundary[:, 1]))
    assert len(boundary) > 50
    np.testing.assert_allclose(growth, 1, atol=0.02)
    met = marked(axes, "met-0")
    assert met.get_xydata().tolist() == [[-0.75, 1.0]]
    assert inside(axes, met)


def test_a_point_far_outside_the_region_is_still_shown() -> None:
    scheme = SCHEMES["euler"]
    assert isinstance(scheme, Tableau)
    far = Stability("f", "euler", 300.0, 300.0, (-1000.0, 20.0), 0.5, 1.0, 0, True)
    (axes,) = drawings.stability_region(scheme, [far]).axes
    assert inside(axes, marked(axes, "met-0"))


def test_numbers_that_are_not_finite_are_not_drawn() -> None:
    scheme = SCHEMES["euler"]
    assert isinstance(scheme, Tableau)
    lost = Stability("f", "euler", float("inf"), 0.0, (float("inf"), 0.0), 0.5, 1.0, 0, True)
    (axes,) = drawings.stability_region(scheme, [lost]).axes
    assert np.isfinite([*axes.get_xlim(), *axes.get_ylim()]).all()
    assert drawings.curves({"epoch": [1.0], "loss": [None]}).axes[0].lines[:] == []


def test_whiskers_reach_two_standard_errors_and_bounds_are_marked() -> None:
    (number,) = scalars(BIRTH)
    (axes,) = drawings.parameters([number]).axes
    assert list(marked(axes, "value").get_xdata()) == [0.5]
    np.testing.assert_allclose(marked(axes, "whisker").get_xdata(), [0.5 - 1.96 * 0.03, 0.5 + 1.96 * 0.03])
    assert list(marked(axes, "bound").get_xdata()) == [0.45, 0.45]
    assert inside(axes, marked(axes, "bound"))
    assert axes.get_ylabel() == "birth\n1/year"


def test_a_parameter_is_taken_apart() -> None:
    matrix = FittedParameter("A", [[1.0, None], [3.0, 4.0]], None, None, float("inf"), None, None, "not estimated")
    found = list(scalars(matrix))
    assert [(item.name, item.value) for item in found] == [("A[0, 0]", 1.0), ("A[1, 0]", 3.0), ("A[1, 1]", 4.0)]
    assert {(item.standard_error, item.high) for item in found} == {(None, None)}


def test_trajectories_have_a_panel_a_sample_and_dots_for_data() -> None:
    times = np.linspace(0, 3, 7)
    values = np.random.default_rng(0).normal(size=(4, 7, 2))
    picture = sample_drawings.trajectories(
        values, times, ["a", "b"], target=values + 1, x_label="t", y_label="x (kg)"
    )  # fmt: skip
    assert len(picture.axes) == 4
    for sample, axes in enumerate(picture.axes):
        lines = [line for line in axes.lines if line.get_gid() is None]
        np.testing.assert_array_equal([line.get_ydata() for line in lines], values[sample].T)
        np.testing.assert_array_equal(marked(axes, "observed-1").get_ydata(), values[sample, :, 1] + 1)
        assert all(inside(axes, line) for line in axes.lines)
    assert picture.axes[0].get_ylabel() == "x (kg)"
    assert [axes.get_xlabel() for axes in picture.axes] == ["", "t", "t", "t"]


def test_many_components_and_samples_are_cut() -> None:
    values = np.zeros((50, 5, 32))
    labels = [str(i) for i in range(32)]
    picture = sample_drawings.trajectories(values, np.arange(5.0), labels, x_label="t", y_label="x")
    assert len(picture.axes) == sample_drawings.PANELS
    assert {len(axes.lines) for axes in picture.axes} == {sample_drawings.LINES}


@pytest.mark.parametrize("count", range(1, 12))
def test_classes_mark_the_truth(count: int) -> None:
    scores = np.full((count, 3), 0.2)
    scores[:, 1] = 0.6
    truth = np.arange(count) % 3
    picture = sample_drawings.classes(scores, truth, None, y_label="probability")
    shown = min(count, sample_drawings.FACES)
    assert len(picture.axes) == shown
    assert [int(marked(axes, "true").get_xdata()[0]) for axes in picture.axes] == truth[:shown].tolist()
    titles = ["1, correct" if label == 1 else f"1, truly {label}" for label in truth[:shown]]
    assert [axes.get_title(loc="left") for axes in picture.axes] == titles


def test_predictions_and_observations_share_a_scale() -> None:
    found, target = np.array([[1.0], [5.0]]), np.array([[2.0], [9.0]])
    (axes,) = sample_drawings.predicted_against_observed(found, target, ["y"], unit="kg").axes
    assert axes.get_xlim() == axes.get_ylim()
    pairs = marked(axes, "pairs-0")
    assert pairs.get_xydata().tolist() == [[2.0, 1.0], [9.0, 5.0]]
    assert inside(axes, pairs)
    assert axes.get_xlabel() == "observed (kg)"


def test_equal_figures_give_equal_bytes_without_a_date() -> None:
    first, second = (to_svg(drawings.work_precision(TRIALS, CHOSEN, 1e-3), PAPER) for _ in range(2))
    assert first == second
    ElementTree.fromstring(first)
    assert "<dc:date>" not in first
    assert PAPER in first


def test_names_are_never_read_as_formulas_or_markup() -> None:
    odd = tuple(Trial("f", "$x^{<b>&", 1, 10 * i, 10 * i, 10, 1 / i) for i in (1, 2))
    text = to_svg(drawings.work_precision(odd, CHOSEN, 1e-3))
    assert "$x^{<b>& (1)" in "".join(ElementTree.fromstring(text).itertext())


def test_inside_a_page_colours_follow_its_variables() -> None:
    text = to_inline(drawings.work_precision(TRIALS, CHOSEN, 1e-3), "p1", 'a "title"')
    assert not [colour for colour in COLOURS if f": {colour}" in text]
    assert "var(--series-1)" in text
    assert 'aria-label="a &quot;title&quot;"' in text
    assert len(set(LIGHT.values())) == len(LIGHT)


def test_a_picture_with_too_many_points_becomes_an_image() -> None:
    crowd = np.random.default_rng(0).normal(size=(9000, 6))
    picture = sample_drawings.predicted_against_observed(crowd, crowd, list("abcdef"), unit=None)
    text = to_inline(picture, "p1", "a crowd")
    assert text.startswith('<img alt="a crowd"')
    assert len(text) < 2_000_000


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.001, "0.001"),
        (1e-6, "10⁻⁶"),
        (6.1e-4, "6.1×10⁻⁴"),
        (0.05, "0.05"),
        (12400.0, "12,400"),
        (-2.0, "−2"),
        (0.123456, "0.123"),
    ],
)
def test_numbers_in_pictures_are_short(value: float, text: str) -> None:
    assert short(value) == text


def test_powers_of_ten_are_raised() -> None:
    assert [power(value) for value in (1e-12, 0.01, 1, 1e5)] == ["10⁻¹²", "10⁻²", "10⁰", "10⁵"]


def test_plot_draws_an_artifact_beside_it(tmp_path: Path) -> None:
    picture = drawings.work_precision(TRIALS, CHOSEN, 1e-3)
    folder = tmp_path / "model"
    folder.mkdir()
    inline = to_inline(picture, "p1", "Error of f"), to_inline(picture, "p2", "Error of g")
    (folder / "report.html").write_text(f"<p>{inline[0]}</p>\n{inline[1]}")
    pictures = isocline.plot(folder)
    assert [path.name for path in pictures] == ["01_error_of_f.svg", "02_error_of_g.svg"]
    assert folder not in {path.parent for path in pictures}  # an artifact is sealed
    for path in pictures:
        assert ElementTree.fromstring(path.read_text()).tag == "{http://www.w3.org/2000/svg}svg"
        assert "var(" not in path.read_text()


def test_plot_draws_a_run_where_it_is_told_to(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("epoch,loss,validation_loss,lr\n1,0.5,,0.1\n2,0.25,,0.1\n")
    assert isocline.plot(tmp_path) == [tmp_path / "curves.svg"]
    assert isocline.plot(tmp_path, out=tmp_path / "deep" / "er") == [tmp_path / "deep" / "er" / "curves.svg"]
    ElementTree.fromstring((tmp_path / "curves.svg").read_text())


def test_plot_says_when_there_is_nothing_to_draw(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="E701"):
        isocline.plot(tmp_path)


def test_no_picture_warns_whoever_builds(recwarn: pytest.WarningsRecorder) -> None:
    """Nothing to draw, nothing finite, one point, letters that no font has, errors of 0."""
    zeros = tuple(replace(trial, error=0.0) for trial in TRIALS)
    for picture in (
        drawings.work_precision(zeros, CHOSEN, 1e-3),
        drawings.work_precision((), CHOSEN, 0.0),
        drawings.work_precision(TRIALS[:1], replace(CHOSEN, scheme="\u0e01"), 1e-3),
        drawings.curves({"epoch": [1.0], "loss": [0.0], "validation_loss": [None], "lr": [1e6], "\U0001f600": [1.0]}),
        drawings.curves({"epoch": [1.0, 2.0], "loss": [None, None], "lr": [0.0, 0.0]}),
    ):
        to_svg(picture, PAPER)
    assert [str(item.message) for item in recwarn] == []
