"""Jumps at a state, against closed forms: a bouncing ball, a thermostat, a neuron that fires; scipy; differences."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from math import exp, log

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from isocline_compiler.backends.to_torch import TorchProgram
from isocline_compiler.certify.multistep import Multistep
from isocline_compiler.certify.reference import AdaptiveExplicit
from isocline_compiler.certify.stiff_reference import AdaptiveImplicit
from isocline_compiler.derivatives.files import adjoint
from isocline_compiler.graph import Array
from isocline_compiler.graph.verify import verify
from isocline_compiler.lower import lower
from isocline_compiler.model import Model
from isocline_compiler.solvers.unroll import unroll
from isocline_dsl import Source, parse
from tests.stated import stated

G = 10.0
BALL = """
field fall(t, height: real, speed: real) {
  height' = speed
  speed' = -10
  when height < 0 { speed = -e*speed }
}
path = solve fall from height = start, speed = 0 over 0..2 with SCHEME
output height = path.height
output speed = path.speed
"""
BALL_INPUTS = "input start: real in (0.5, 2)\ninput e: real in (0.8, 1)\n"
RANDOM = np.random.default_rng(5)
STARTS, KEPT = RANDOM.uniform(0.5, 2, 20), RANDOM.uniform(0.85, 1, 20)


def lowered(text: str, inputs: str = "input x: real in (0, 1)\n") -> Model:
    source = Source(f"dyn 1\nmodel m\n{inputs}{text}", "m.dyn")
    return lower(parse(source), source)


def evaluated(model: Model, loop: int | None = None, **given: Array) -> dict[str, Array]:
    """By the grids that the file states, laid out or as loops whose bodies hold so many steps."""
    choices = {name: replace(choice, segment=loop) for name, choice in stated(model.graph).items()}
    graph = unroll(model.graph, choices).graph
    verify(graph)
    bound = {name: torch.tensor(value) for name, value in given.items()}
    return {name: x.numpy() for name, x in TorchProgram(graph)(bound).items()}


def referred(model: Model, by: AdaptiveExplicit | Multistep, **given: Array) -> dict[str, Array]:
    bound = {name: torch.tensor(value) for name, value in given.items()}
    return {name: x.numpy() for name, x in TorchProgram(model.graph)(bound, integrator=by.integrator).items()}


def bounced(start: float, e: float, end: float) -> tuple[float, float, list[float]]:
    """Height and speed at the end, and the times of the bounces: parabolas one after another."""
    t, height, speed = 0.0, start, 0.0
    times: list[float] = []
    while True:
        lands = t + (speed + math.sqrt(speed**2 + 2 * G * height)) / G
        if lands > end:
            return height + speed * (end - t) - G * (end - t) ** 2 / 2, speed - G * (end - t), times
        times.append(lands)
        t, height, speed = lands, 0.0, -e * (speed - G * (lands - t))


@pytest.mark.parametrize("loop", [None, 1, 3])
def test_a_ball_bounces_as_parabolas_do(loop: int | None) -> None:
    """Steps of order 2 follow a parabola exactly, and so does the cubic on which the bounces are found."""
    found = evaluated(lowered(BALL.replace("SCHEME", "midpoint(steps=24)"), BALL_INPUTS), loop, start=STARTS, e=KEPT)
    expected = np.array([bounced(start, e, 2.0)[:2] for start, e in zip(STARTS, KEPT, strict=True)])
    np.testing.assert_allclose(found["height"], expected[:, 0], rtol=0, atol=1e-12)
    np.testing.assert_allclose(found["speed"], expected[:, 1], rtol=0, atol=1e-11)


FIRING = """
field membrane(t, v: real, spikes: real) {
  v' = drive - v
  spikes' = 0*spikes
  when v > 1 { v = 0.2; spikes = spikes + 1 }
}
path = solve membrane from v = 0, spikes = 0 over 0..4 with SCHEME
output v = path.v
output spikes = path.spikes
"""


def fired(drive: float, end: float) -> tuple[float, int]:
    """Exponentials from 0, and then from 0.2, up to 1."""
    t, v, count = 0.0, 0.0, 0
    while t + log((drive - v) / (drive - 1)) < end:
        t, v, count = t + log((drive - v) / (drive - 1)), 0.2, count + 1
    return drive - (drive - v) * exp(t - end), count


ORDERS = [("euler", 1), ("heun", 2), ("ralston3", 3), ("rk4", 4), ("rk38", 4), ("bosh3", 3)]


@pytest.mark.parametrize(("scheme", "order"), ORDERS)
def test_the_order_of_a_scheme_is_kept_across_events(scheme: str, order: int) -> None:
    """The slope of the error over grids of 40 to 640 steps; each neuron fires three to eight times."""
    drives = np.linspace(1.8, 3.1, 23)
    expected = [fired(drive, 4.0) for drive in drives]
    errors = []
    for steps in (80, 160, 320):
        found = evaluated(
            lowered(FIRING.replace("SCHEME", f"{scheme}(steps={steps})"), "input drive: real\n"), 1, drive=drives
        )
        same = found["spikes"] == [count for _, count in expected]
        assert scheme == "euler" or same.all()
        errors.append(np.sqrt(np.mean((found["v"] - [v for v, _ in expected])[same] ** 2)))
    slopes = np.log2(np.array(errors[:-1]) / errors[1:])
    assert slopes.mean() > order - 0.25


THERMOSTAT = """
const lost = 0.2
field room(t, temperature: real, heating: real) {
  temperature' = 8*heating - lost*(temperature - outside)
  heating' = 0*heating
  when temperature < 19 { heating = 1 }
  when temperature > 21 { heating = 0 }
}
path = solve room from temperature = 20, heating = 0 over 0..6 with SCHEME
output temperature = path.temperature
output heating = path.heating
"""


def regulated(outside: float, end: float) -> tuple[float, float]:
    """Exponentials towards the outside, and towards 40 degrees above it, from one threshold to the other."""
    t, temperature, heating = 0.0, 20.0, 0.0
    while True:
        towards, threshold = outside + 40 * heating, 21.0 if heating else 19.0
        lasts = log((temperature - towards) / (threshold - towards)) / 0.2
        if t + lasts > end:
            return towards + (temperature - towards) * exp(-0.2 * (end - t)), heating
        t, temperature, heating = t + lasts, threshold, 1 - heating


def test_a_thermostat_switches_between_its_thresholds() -> None:
    """The later of its two conditions may be met in the step in which the first is."""
    outside = np.linspace(-10, 10, 31)
    expected = np.array([regulated(t, 6.0) for t in outside])
    for steps, near in ((24, 2e-4), (96, 1e-6)):
        model = lowered(THERMOSTAT.replace("SCHEME", f"rk4(steps={steps})"), "input outside: real\n")
        found = evaluated(model, 1, outside=outside)
        np.testing.assert_allclose(found["temperature"], expected[:, 0], rtol=0, atol=near)
        np.testing.assert_array_equal(found["heating"], expected[:, 1])


def test_several_events_in_a_step_follow_one_another() -> None:
    """A particle between walls, and a counter of each: both are met in one step of a coarse grid, in either order."""
    text = """
field flight(t, x: real, v: real, left: real, right: real) {
  x' = v
  v' = 0*v
  left' = 0*left
  right' = 0*right
  when x < 0 { v = -v; left = left + 1 }
  when x > 1 { v = -v; right = right + 1 }
}
path = solve flight from x = x0, v = v0, left = 0, right = 0 over 0..1 with euler(steps=1)
output x = path.x
output left = path.left
output right = path.right
"""
    x0, v0 = np.array([0.5, 0.5, 0.9, 0.1, 0.3]), np.array([1.8, -1.8, 1.4, -1.4, 0.2])
    found = evaluated(lowered(text, "input x0: real\ninput v0: real\n"), x0=x0, v0=v0)
    unfolded = np.abs((x0 + v0 + 1) % 2 - 1)  # a triangle wave: reflections of a straight line
    np.testing.assert_allclose(found["x"], unfolded, atol=1e-14)
    np.testing.assert_array_equal(found["left"], [1, 1, 1, 1, 0])
    np.testing.assert_array_equal(found["right"], [1, 1, 1, 1, 0])


TWO = """
field f(t, x: real, high: real, low: real) {
  x' = -1
  high' = 0*high
  low' = 0*low
  BLOCKS
}
path = solve f from x = start, high = 0, low = 0 over 0..1 SCHEME
output x = path.x
output high = path.high
output low = path.low
"""


def both_ways(*blocks: str) -> list[str]:
    """The two blocks in either order."""
    return [TWO.replace("BLOCKS", "; ".join(lines)) for lines in (blocks, blocks[::-1])]


@pytest.mark.parametrize(("lifted", "end"), [("x + 10", 9.3), ("x - 0.7", -1.4)])
def test_of_two_events_the_earlier_may_make_the_other_none(lifted: str, end: float) -> None:
    """In one step a line would cross 0 and then -1/1000. Lifted at 0 it stays above; put below by a jump, it crosses
    nothing.
    """
    starts = np.array([0.3, 0.6, 1.5])
    expected = [end, end + 0.3, 0.5]
    for text in both_ways("when x < -0.001 { low = low + 1 }", f"when x < 0 {{ x = {lifted}; high = high + 1 }}"):
        open_ = lowered(text.replace("SCHEME", ""), "input start: real\n")
        for found in (
            evaluated(lowered(text.replace("SCHEME", "with euler(steps=1)"), "input start: real\n"), start=starts),
            referred(open_, AdaptiveExplicit(1e-9), start=starts),
            referred(open_, Multistep(1e-9), start=starts),
        ):
            np.testing.assert_allclose(found["x"], expected, atol=1e-6)
            np.testing.assert_array_equal(found["high"], [1, 1, 0])
            np.testing.assert_array_equal(found["low"], [0, 0, 0])


def test_events_that_rounding_tells_apart_both_happen() -> None:
    """One threshold, written in two ways: whichever is met first, the other is not lost behind it."""
    starts = np.random.default_rng(8).uniform(0.2, 1, 300)
    for text in both_ways("when 3*x < 0.3 { low = low + 1 }", "when x < 0.1 { high = high + 1 }"):
        open_ = lowered(text.replace("SCHEME", ""), "input start: real\n")
        for found in (
            evaluated(lowered(text.replace("SCHEME", "with euler(steps=1)"), "input start: real\n"), start=starts),
            evaluated(lowered(text.replace("SCHEME", "with heun(steps=9)"), "input start: real\n"), start=starts),
            referred(open_, AdaptiveExplicit(1e-9), start=starts),
            {
                name: np.append(x, np.ones(280))
                for name, x in referred(open_, Multistep(1e-9), start=starts[:20]).items()
            },
        ):
            np.testing.assert_array_equal(found["high"], np.ones(300))
            np.testing.assert_array_equal(found["low"], np.ones(300))


def test_of_events_at_one_time_each_happens() -> None:
    """Two balls from one height land together, and neither is lost."""
    text = """
field fall(t, a: real, b: real) {
  a'' = -10
  b'' = -10
  when a < 0 { a' = -a' }
  when b < 0 { b' = -0.5*b' }
}
path = solve fall from a = start, a' = 0, b = start, b' = 0 over 0..1 with midpoint(steps=7)
output a = path.a
output b = path.b
"""
    starts = np.linspace(1.5, 3, 7)
    found = evaluated(lowered(text, "input start: real\n"), start=starts)
    np.testing.assert_allclose(found["a"], [bounced(h, 1.0, 1.0)[0] for h in starts], atol=1e-12)
    np.testing.assert_allclose(found["b"], [bounced(h, 0.5, 1.0)[0] for h in starts], atol=1e-12)


def test_conditions_are_joined_and_read_time_definitions_and_entries() -> None:
    """`and`, `or`, the time, a definition of the field, arrays and values of the body; against scipy's own events."""
    text = """
field f(t, x: real[2], n: real) {
  r = x[0] + 0.5*x[1]
  x' = [x[1], -4*x[0]] + [0, sin(t)]
  n' = 1
  when r < 0.2 and t > 0.3 or x[1] > 0.4 {
    turned = [0.5, 0]*x
    x = turned + [r + 1, 0]
    n = n + t
  }
}
path = solve f from x = [a, 0], n = 0 over 0..3 with rk4(steps=300)
output x = path.x
output n = path.n
"""
    for a in (0.25, 0.6, 1.7):
        found = evaluated(lowered(text, "input a: real\n"), 1, a=np.array([a]))

        def switch(t: float, y: Array) -> float:
            return min(max(y[0] + 0.5 * y[1] - 0.2, 0.3 - t), 0.4 - y[1])

        switch.terminal, switch.direction = True, -1.0
        t, y = 0.0, np.array([a, 0.0, 0.0])
        while t < 3:
            walked = solve_ivp(
                lambda t, y: [y[1], -4 * y[0] + math.sin(t), 1.0], (t, 3), y, "DOP853", rtol=1e-11, atol=1e-12,
                events=switch, max_step=0.01,
            )  # fmt: skip
            t, y = float(walked.t[-1]), walked.y[:, -1]
            if walked.status == 1:
                y = np.array([0.5 * y[0] + y[0] + 0.5 * y[1] + 1, 0.0, y[2] + t])
        np.testing.assert_allclose(found["x"][0], y[:2], rtol=1e-6)
        np.testing.assert_allclose(found["n"][0], y[2], rtol=1e-6)


def slope(of: Callable[[float], float], at: float, h: float = 1e-6) -> float:
    return (of(at + h) - of(at - h)) / (2 * h)


def test_gradients_go_through_the_times_of_the_bounces() -> None:
    """Against differences of the parabolas: the saltation of height and speed at each bounce, compounded."""
    model = lowered(BALL.replace("SCHEME", "midpoint(steps=24)"), BALL_INPUTS)
    pairs = list(zip(STARTS, KEPT, strict=True))
    graph = adjoint(unroll(model.graph, stated(model.graph)).graph)
    bound = {"start": torch.tensor(STARTS), "e": torch.tensor(KEPT)}
    for place, name in enumerate(("height", "speed")):
        seeds = {
            f"adj_{other}": torch.full((len(STARTS), 1), float(other == name)).double() for other in ("height", "speed")
        }
        found = TorchProgram(graph)({**bound, **seeds})
        by_start = [slope(lambda h, e=e, i=place: bounced(h, e, 2.0)[i], h) for h, e in pairs]
        by_e = [slope(lambda e, h=h, i=place: bounced(h, e, 2.0)[i], e) for h, e in pairs]
        np.testing.assert_allclose(found["adj_start"].numpy().reshape(-1), by_start, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(found["adj_e"].numpy().reshape(-1), by_e, rtol=1e-6, atol=1e-6)


def test_a_jump_has_the_saltation_matrix() -> None:
    """S = DJ + (f(after) - DJ f(before)) grad(g)^T / (g_t + grad(g)^T f(before)): Aizerman, Gantmacher (1958).

    One step of a field that is constant on either side has nothing else in its derivative.
    """
    text = """
field f(t, x: real, y: real) {
  x' = where(y > 3, 2, 1)
  y' = where(y > 3, -1, 0.5)
  when 2*x + y + t > 2 { x = 0.5*x + y; y = 4 + x*y }
}
path = solve f from x = a, y = b over 0..1 with euler(steps=1)
output x = path.x
output y = path.y
"""
    model = lowered(text, "input a: real\ninput b: real\n")
    graph = adjoint(unroll(model.graph, stated(model.graph)).graph)
    a, b = 0.1, 0.4
    theta = (2 - 2 * a - b) / (2 * 1 + 0.5 + 1)
    x, y = a + theta, b + 0.5 * theta
    dj = np.array([[0.5, 1.0], [0.5 * y, (0.5 * x + y) + y]])  # y's new value reads the new x
    before, after, normal = np.array([1.0, 0.5]), np.array([2.0, -1.0]), np.array([2.0, 1.0])
    expected = dj + np.outer(after - dj @ before, normal) / (1 + normal @ before)
    for row, name in enumerate(("x", "y")):
        bound = {"a": [a], "b": [b], "adj_x": [[float(name == "x")]], "adj_y": [[float(name == "y")]]}
        found = TorchProgram(graph)({key: torch.tensor(value, dtype=torch.float64) for key, value in bound.items()})
        np.testing.assert_allclose([float(found["adj_a"]), float(found["adj_b"])], expected[row], rtol=1e-12)


REFERENCES = [AdaptiveExplicit(1e-10), Multistep(1e-9), AdaptiveImplicit(1e-7)]


@pytest.mark.parametrize("reference", REFERENCES, ids=lambda item: type(item).__name__)
def test_references_begin_again_at_every_event(reference: AdaptiveExplicit | Multistep) -> None:
    """Times that are known, and times that come with each sample: a neuron."""
    open_ = FIRING.replace(" with SCHEME", "").replace("over 0..4", "at [0, 1, 4]")
    drives = np.linspace(1.8, 3.1, 5)
    found = referred(lowered(open_, "input drive: real\n"), reference, drive=drives)
    for place, t in ((1, 1.0), (2, 4.0)):
        expected = [fired(drive, t) for drive in drives]
        np.testing.assert_allclose(found["v"][:, place], [v for v, _ in expected], rtol=0, atol=2e-5)
        np.testing.assert_array_equal(found["spikes"][:, place], [count for _, count in expected])
    given = open_.replace("at [0, 1, 4]", "at ts")
    ts = np.stack([[0, end / 3, end / 3, end] for end in (1.0, 2, 3, 4, 0)])
    found = referred(lowered(given, "input drive: real\ninput ts: time[4]\n"), reference, drive=drives, ts=ts)
    expected_at_ends = [fired(drive, end)[0] for drive, end in zip(drives, ts[:, 3], strict=True)]
    np.testing.assert_allclose(found["v"][:, 3], expected_at_ends, atol=2e-5)


def test_a_solve_backwards_meets_its_events_too() -> None:
    """From 1 down to 0, x' = 1: where x falls below a half it is put to 2."""
    text = """
field f(t, x: real) { x' = 1; when x < 0.5 { x = 2 } }
path = solve f from x = start over 1..0 SCHEME
output y = path
"""
    starts = np.array([0.6, 0.9, 1.4, 1.6])
    expected = np.where(starts - 1 < 0.5, 2 - (1 - (starts - 0.5)), starts - 1)
    found = evaluated(lowered(text.replace("SCHEME", "with heun(steps=3)"), "input start: real\n"), start=starts)
    np.testing.assert_allclose(found["y"], expected, atol=1e-13)
    for reference in (AdaptiveExplicit(1e-9), Multistep(1e-9)):
        given = referred(lowered(text.replace("SCHEME", ""), "input start: real\n"), reference, start=starts)
        np.testing.assert_allclose(given["y"], expected, atol=1e-7)


def test_jumps_at_known_times_and_at_a_state_stand_together() -> None:
    """A ball that is kicked at 0.5 and 1.2: between the kicks it bounces."""
    text = BALL.replace("  when", "  at [0.5, 1.2] { speed = speed + 1 }\n  when").replace(
        "SCHEME", "midpoint(steps=40)"
    )
    found = evaluated(lowered(text, BALL_INPUTS), start=STARTS, e=KEPT)
    for row, (height, e) in enumerate(zip(STARTS, KEPT, strict=True)):
        t, state = 0.0, (height, 0.0)
        for end in (0.5, 1.2, 2.0):
            lands, bounce = t, state
            while True:
                flight = (bounce[1] + math.sqrt(bounce[1] ** 2 + 2 * G * bounce[0])) / G
                if lands + flight > end:
                    break
                lands, bounce = lands + flight, (0.0, -e * (bounce[1] - G * flight))
            rest = end - lands
            state = (bounce[0] + bounce[1] * rest - G * rest**2 / 2, bounce[1] - G * rest + (1.0 if end < 2 else 0.0))
            t = end
        np.testing.assert_allclose([found["height"][row], found["speed"][row]], state, atol=1e-11)


def test_an_event_is_a_crossing() -> None:
    """Where the condition holds from the start nothing happens; where it begins at its threshold it does."""
    text = """
field f(t, x: real) { x' = -1; when x < 1 { x = x + 5 } }
path = solve f from x = start over 0..1 SCHEME
output y = path
"""
    given, expected = np.array([0.5, 1.0, 1.2, 3.0]), [-0.5, 5.0, 5.2, 2.0]
    found = evaluated(lowered(text.replace("SCHEME", "with euler(steps=2)"), "input start: real\n"), start=given)
    np.testing.assert_allclose(found["y"], expected, atol=1e-13)
    for reference in (AdaptiveExplicit(1e-9), Multistep(1e-9)):
        other = referred(lowered(text.replace("SCHEME", ""), "input start: real\n"), reference, start=given)
        np.testing.assert_allclose(other["y"], expected, atol=1e-7)


@pytest.mark.parametrize("loop", [None, 2])
def test_gradients_are_those_of_the_steps(loop: int | None) -> None:
    """Coarse steps of curved solutions: against differences of what the steps answer, and the closed form."""
    model = lowered(FIRING.replace("SCHEME", "rk4(steps=24)"), "input drive: real\n")
    drives = np.array([1.85, 2.2, 2.61, 3.0])
    choices = {name: replace(choice, segment=loop) for name, choice in stated(model.graph).items()}
    bound = {
        "drive": torch.tensor(drives),
        "adj_v": torch.ones(4, 1).double(),
        "adj_spikes": torch.zeros(4, 1).double(),
    }
    found = TorchProgram(adjoint(unroll(model.graph, choices).graph))(bound)["adj_drive"].numpy().reshape(-1)
    after, before = (evaluated(model, loop, drive=drives + h)["v"] for h in (1e-5, -1e-5))
    np.testing.assert_allclose(found, (after - before) / 2e-5, rtol=1e-7)
    expected = [slope(lambda drive: fired(drive, 4.0)[0], drive) for drive in drives]
    np.testing.assert_allclose(found, expected, rtol=2e-2)


def test_a_solve_within_a_scan_has_its_events() -> None:
    """A ball that is looked at three times, and goes on from there."""
    text = """
path = scan (t0, t1, k) over (ts, kicks) from height = start, speed = 0 {
  p = solve fall from height = height, speed = speed over t0..t1 with midpoint(steps=6)
  height = p.height
  speed = p.speed + k
}
output height = path.height
"""
    field = BALL[: BALL.index("path =")]
    inputs = "input start: real\ninput e: real\ninput ts: time[3]\ninput kicks: real[3]\n"
    ts = np.array([[0, 0.5, 1.0], [0, 0.7, 1.4]])
    given = {"start": np.array([1.0, 1.7]), "e": np.array([0.9, 0.95]), "ts": ts, "kicks": np.zeros((2, 3))}
    found = evaluated(lowered(field + text, inputs), **given)["height"]
    for row, (start, e) in enumerate(zip(given["start"], given["e"], strict=True)):
        np.testing.assert_allclose(found[row, 1:], [bounced(start, e, t)[0] for t in ts[row, 1:]], atol=1e-12)


def test_an_integral_goes_on_across_events() -> None:
    """The time that a ball spends, weighted with its height: integrals of parabolas, exact for a scheme of order 4."""
    text = BALL.replace("SCHEME", "rk4(steps=24)") + "output area = integral(height, over=path)\n"
    found = evaluated(lowered(text, BALL_INPUTS), 1, start=STARTS, e=KEPT)["area"]
    for area, start, e in zip(found, STARTS, KEPT, strict=True):
        *_, times = bounced(start, e, 2.0)
        cuts = np.array([0.0, *times, 2.0])
        nodes, weights = np.polynomial.legendre.leggauss(2)
        places = (cuts[1:, None] + cuts[:-1, None]) / 2 + np.diff(cuts)[:, None] / 2 * nodes
        heights = np.vectorize(lambda t, a=start, b=e: bounced(a, b, t)[0])(places)
        np.testing.assert_allclose(area, (heights @ weights) @ np.diff(cuts) / 2, rtol=1e-10)
