"""Jumps and pulses of a forcing: found at the times that arithmetic gives, and stood on by grids."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from isocline_compiler.backends.to_torch import TorchField, TorchProgram
from isocline_compiler.graph import Node
from isocline_compiler.lower.check import check
from isocline_compiler.ops import OPS
from isocline_compiler.solvers.grid import Discretisation as Choice
from isocline_compiler.solvers.grid import Grid, Jumps, halved, onto
from isocline_compiler.solvers.schemes import SCHEMES
from isocline_compiler.training.breaks import Breaks, Jump, find_breaks
from isocline_compiler.training.clock import Clock, Leg

MODEL = """dyn 1
model forced
input a: real in (0, 1)
field f(t, x: real) {{ x' = {forcing} - x }}
x = solve f from x = a over {times}
output x
"""


def breaks_of(
    forcing: str, times: str, folder: Path, starts: list[float], precision: torch.dtype = torch.float64
) -> Breaks:
    """The breaks of the one field of a file, for these values of `a`."""
    file = folder / "forced.dyn"
    file.write_text(MODEL.format(forcing=forcing, times=times))
    found: list[Breaks] = []

    def look(node: Node, field: TorchField, initial: tuple, *_: object) -> tuple:
        interval = node.attrs["spec"].interval
        found.append(find_breaks(field.bound, interval.times))
        return initial

    TorchProgram(check(file).graph)({"a": torch.tensor(starts, dtype=precision)}, integrator=look)
    return found[0]


JUMPS = {
    "where(t >= 60, 1, 0)": [60.0],
    "where(t > 60 and t < 60 + 1e-9, 1, 0)": [60.0, 60 + 1e-9],
    "where(abs(t - 12.5) < 1e-7, 1, 0)": [12.5 - 1e-7, 12.5, 12.5 + 1e-7],
    "where(t - 24*floor(t/24) < 1e-6, 1, 0)": [24.0, 24 + 1e-6, 48.0, 48 + 1e-6, 72.0, 72 + 1e-6, 96.0, 96 + 1e-6],
    "sign(t - 33.25)": [33.25],
    "relu(t - 41.5)": [41.5],
    "clip(t, 10, 20)": [10.0, 20.0],
    "max(t, 70)": [70.0],
    "where((t - 50)^2 < 1e-10, 1, 0)": [50 - 1e-5, 50 + 1e-5],
    "round(t/64)": [32.0, 96.0],
    "where(t < 100, 1, 0)": [100.0],
    "where(t < 0.125, 1, 0)": [0.125],
    "where(t > 100, 1, 0)": [100.0],
}


@pytest.mark.parametrize("forcing", JUMPS)
def test_jumps_lie_between_neighbouring_numbers(forcing: str, tmp_path: Path) -> None:
    found = breaks_of(forcing, "0.125..100", tmp_path, [0.25, 0.75])
    assert [jump.after for jump in found.jumps] == pytest.approx(JUMPS[forcing], rel=1e-13)
    neighbours = 2 if "sign" in forcing else 1  # sign has a piece of its own at 0
    assert all(0 < jump.gap <= neighbours * np.spacing(jump.after) and jump.shared for jump in found.jumps)


def test_matrices_in_float32_meet_times_in_float64(tmp_path: Path) -> None:
    """2 t + 1 > 2.5, by a matrix: at 0.75, which both precisions hold."""
    forcing = "sum(relu([[2, 1], [0, 0]] @ [t, 1] - [2.5, 0]))"
    found = breaks_of(forcing, "0..1", tmp_path, [0.5], torch.float32)
    assert [jump.after for jump in found.jumps] == pytest.approx([0.75], rel=1e-13)


def test_jumps_backwards_in_time_come_in_the_order_of_travel(tmp_path: Path) -> None:
    found = breaks_of("where(t >= 60 and t < 61, 1, 0)", "100..0", tmp_path, [0.5])
    assert [round(jump.before) for jump in found.jumps] == [61, 60]
    assert all(jump.before > jump.after for jump in found.jumps)


def test_jumps_of_an_input_are_of_each_sample(tmp_path: Path) -> None:
    found = breaks_of("where(t > 10*a, 1, 0)", "0..10", tmp_path, [0.25, 0.5, 0.5])
    assert [(jump.before, jump.shared) for jump in found.jumps] == [(2.5, False), (5.0, False)]


def test_a_field_that_does_not_read_the_time_has_none(tmp_path: Path) -> None:
    assert breaks_of("a*relu(x)", "0..10", tmp_path, [0.5]) == Breaks()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("times", ["0.1..1", "1..0.1"])
def test_a_leg_reads_one_piece_of_the_field_wherever_it_is_asked(
    times: str, dtype: torch.dtype, tmp_path: Path
) -> None:
    """Between the jumps at 0.3 and 0.7 it is 5: at both ends too, and where single precision rounds beyond them."""
    file = tmp_path / "forced.dyn"
    file.write_text(
        MODEL.format(forcing="where(t >= 0.3 and t < 0.7, 5, 1) + 0*a", times=times).replace("- x", "+ 0*x")
    )
    seen: list[list[float]] = []

    def look(node: Node, field: TorchField, initial: tuple, _: object, stacked: tuple, *__: object) -> tuple:
        clock = Clock.of(node, None)
        for leg in clock.legs(node, stacked, clock.breaks(field)):
            slopes = clock.slopes(node, field, stacked, leg)
            ends = torch.tensor([leg.start, (leg.start + leg.end) / 2, leg.end], dtype=torch.float64).to(dtype)
            beyond = [torch.nextafter(ends[0], 2 * ends[0] - ends[2]), torch.nextafter(ends[2], 2 * ends[2] - ends[0])]
            seen.append([float(slopes(s, initial)[0][0]) for s in (*ends, *beyond)])
        return initial

    TorchProgram(check(file).graph)({"a": torch.tensor([0.25], dtype=dtype)}, integrator=look)
    assert seen == [[1.0] * 5, [5.0] * 5, [1.0] * 5]


def test_legs_begin_behind_a_jump_and_end_before_the_next(tmp_path: Path) -> None:
    """0.25, 0.5 and 0.75 are numbers: the field is another from these on. Pulses belong to the leg they lie on."""
    breaks = Breaks(tuple(Jump(float(np.nextafter(t, 0)), t, True) for t in (0.25, 0.5)), (0.1, 0.4, 0.8))
    file = tmp_path / "forced.dyn"
    file.write_text(MODEL.format(forcing="t", times="at [0, 0.2, 0.5, 1]").replace("over at", "at"))
    seen: list[Leg] = []

    def look(node: Node, field: TorchField, initial: tuple, _: object, stacked: tuple, *__: object) -> tuple:
        seen.extend(Clock.of(node, None).legs(node, stacked, breaks))
        return tuple(x[:, None].expand(-1, 4) for x in initial)

    TorchProgram(check(file).graph)({"a": torch.tensor([0.25], dtype=torch.float64)}, integrator=look)
    first, second = (float(np.nextafter(t, 0)) for t in (0.25, 0.5))
    assert [(leg.start, leg.end) for leg in seen] == [(0.0, first), (0.25, second), (0.5, 1.0)]
    assert [leg.features for leg in seen] == [(0.1,), (0.4,), (0.8,)]
    assert [stop for leg in seen for stop in leg.stops] == [0.2, 0.5, 1.0]


@pytest.mark.parametrize("width", [1e-2, 1e-5, 1e-8])
def test_stretches_become_short_around_a_narrow_pulse(width: float, tmp_path: Path) -> None:
    found = breaks_of(f"exp(-((t - 60)/{width})^2)", "0..100", tmp_path, [0.5])
    assert not found.jumps
    near = [t for t in found.features if abs(t - 60) < 2 * width]
    assert near
    assert found.narrow(0.0, 100.0) == found.features


def test_a_steady_swing_is_no_pulse(tmp_path: Path) -> None:
    found = breaks_of("sin(3*t)", "0..20", tmp_path, [0.5])
    assert found.narrow(0.0, 20.0) == ()


def test_every_operation_with_corners_numbers_its_pieces() -> None:
    """Powers and roots are singular at 0; extremes over entries, windows and singular values bend without a jump."""
    without = {name for name, op in OPS.items() if not op.smooth and op.piece is None}
    assert without == {"pow", "sqrt", "where", "max_pool", "one_hot", "reduce_max", "reduce_min", "spectral_norm"}


# ---------------------------------------------------------------------------------------------------- grids


def test_a_grid_has_a_node_at_every_jump_and_reads_it_from_both_sides() -> None:
    grid = onto((0.0, 100.0), 5, Jumps((60.0, 61.0), 1e-3))
    assert grid.times[0] == 0
    assert {60.0, 61.0} <= set(grid.times)
    assert grid.steps == 5
    begun = dict(zip(grid.times[:-1], grid.begins, strict=True))
    ended = dict(zip(grid.times[1:], grid.ends, strict=True))
    assert begun == {t: t + 1e-3 if t in (60.0, 61.0) else t for t in begun}
    assert ended == {t: t - 1e-3 if t in (60.0, 61.0) else t for t in ended}
    assert sum(grid.widths) == pytest.approx(100)


def test_a_grid_with_fewer_steps_than_jumps_takes_one_more_for_each() -> None:
    assert onto((0.0, 100.0), 1, Jumps((60.0, 61.0), 1e-3)).times == (0.0, 60.0, 61.0, 100.0)


def test_every_interval_has_as_many_steps_where_one_of_them_has_jumps() -> None:
    """So that a loop over segments of equal length meets every time that is kept."""
    grid = onto((0.0, 24.0, 48.0), 2, Jumps((8.0, 9.0), 1e-4))
    assert grid.keep == (0, 3, 6)
    assert grid.times[:4] == (0.0, 8.0, 9.0, 24.0)


def test_jumps_stay_where_they_are_when_a_grid_is_halved() -> None:
    grid = onto((0.0, 4.0), 2, Jumps((1.0,), 1e-6))
    finer = halved(Choice(SCHEMES["rk4"], grid)).grid
    assert isinstance(finer, Grid)
    assert [finer.times[i] for i in sorted(finer.jumps)] == [1.0]
    assert finer.steps == 2 * grid.steps


def test_a_jump_at_the_start_or_the_end_is_read_from_inside() -> None:
    grid = onto((0.0, 5.0), 2, Jumps((0.0, 5.0), 1e-5))
    assert (grid.begins[0], grid.ends[-1]) == (1e-5, 5.0 - 1e-5)
    back = onto((5.0, 0.0), 2, Jumps((0.0, 5.0), 1e-5))
    assert (back.begins[0], back.ends[-1]) == (5.0 - 1e-5, 1e-5)


def test_around_a_pulse_every_stretch_has_as_many_steps() -> None:
    grid = onto((0.0, 100.0), 8, Jumps((), 1e-6, around=(59.0, 60.0, 61.0)))
    assert grid.times == (0.0, 29.5, 59.0, 59.5, 60.0, 60.5, 61.0, 80.5, 100.0)


def test_a_net_of_the_time_is_read_where_the_weights_are_in_single_precision(tmp_path: Path) -> None:
    """relu(w t + b) has its corner at -b/w, found to a neighbour although w and b are of 32 bits."""
    file = tmp_path / "forced.dyn"
    file.write_text(MODEL.format(forcing="sum([t] |> dense(1) |> relu)", times="0..100"))
    model = check(file)
    weights = {item.name: torch.tensor(0.3) if "weight" in item.name else torch.tensor(-7.7) for item in model.weights}
    given = {item.name: weights[item.name].expand(item.shape) for item in model.weights}
    assert {value.dtype for value in given.values()} == {torch.float32}
    found: list[Breaks] = []

    def look(node: Node, field: TorchField, initial: tuple, *_: object) -> tuple:
        found.append(find_breaks(field.bound, node.attrs["spec"].interval.times))
        return initial

    TorchProgram(model.graph)({"a": torch.tensor([0.5]), **given}, integrator=look)
    (jump,) = found[0].jumps
    assert jump.after == pytest.approx(np.float32(7.7) / np.float64(np.float32(0.3)), rel=1e-14)


ALONG = """dyn 1
model along
input us: real[3] in (0, 1)
control u = linear(us, step=50)
field f(t, x: real) { x' = FORCE - 0.1*x }
path = solve f from x = 0 over 0..100
output x = path
"""


@pytest.mark.parametrize(
    ("force", "narrow"),
    [
        ("exp(-((u(t) - 0.503)/0.0005)^2)", True),
        ("1/(1e-7 + (u(t) - 0.503)^2)", True),
        ("2*u(t)*u(t) + 3*u(t)", False),
    ],
)
def test_a_pulse_along_a_path_is_found(force: str, narrow: bool, tmp_path: Path) -> None:
    """u goes from 0 to 1 and back, in 50 each: at 25.15 and 74.85 it is 0.503, within 0.0005 for a fortieth of one."""
    file = tmp_path / "along.dyn"
    file.write_text(ALONG.replace("FORCE", force))
    found: list[Breaks] = []

    def look(node: Node, field: TorchField, initial: tuple, *_: object) -> tuple:
        found.append(find_breaks(field.bound, node.attrs["spec"].interval.times))
        return initial

    TorchProgram(check(file).graph)({"us": torch.tensor([[0.0, 1.0, 0.0]], dtype=torch.float64)}, integrator=look)
    assert [jump.after for jump in found[0].jumps] == [50.0]
    for time in (25.15, 74.85):
        assert any(abs(t - time) < 0.1 for t in found[0].features) == narrow
