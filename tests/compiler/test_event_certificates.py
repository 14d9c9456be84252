"""What is proved of models whose states jump at a state: the artifact against closed forms, and what stops a build."""

from __future__ import annotations

import json
from math import exp, log
from pathlib import Path

import numpy as np
import pytest

import isocline
from isocline.summary import certificate_lines
from isocline_compiler.certify import second_events
from isocline_compiler.certify.evaluation import Evaluator
from isocline_compiler.certify.event_facts import EventFacts
from isocline_compiler.certify.events import event_faults
from isocline_compiler.certify.samples import Samples
from isocline_compiler.data import Dataset, Split
from isocline_compiler.lower import lower
from isocline_compiler.training.fit import train
from isocline_dsl import Source, parse
from isocline_dsl.diagnostics import IsoclineError

G = 9.81
BALL = """dyn 1
model ball
input start: real in (0.5, 2)
field fall(t, height: real, speed: real) {
  height' = speed
  speed' = -9.81
  when height < 0 { speed = -KEEPS*speed }
}
path = solve fall from height = start, speed = 0 TIMES
output height = path.height
"""


def heights(start: float, keeps: float, times: np.ndarray) -> np.ndarray:
    """Parabolas: sqrt(2 h/g) of a fall, then flights of 2 v/g, each `keeps` times the one before."""
    lands = np.sqrt(2 * start / G)
    begins, speed = [lands], [keeps * np.sqrt(2 * G * start)]
    while begins[-1] < times[-1]:
        begins.append(begins[-1] + 2 * speed[-1] / G)
        speed.append(keeps * speed[-1])
    found = start - G * times**2 / 2
    for t, v in zip(begins, speed, strict=True):
        since = times - t
        found = np.where(since >= 0, v * since - G * since**2 / 2, found)
    return found


def compiled(folder: Path, text: str) -> tuple[isocline.Compiled, dict]:
    file = folder / "m.dyn"
    file.write_text(text)
    found = isocline.compile(file, folder / "out")
    return found, json.loads((folder / "out/certificate.json").read_text())


def codes(folder: Path, text: str) -> set[str]:
    with pytest.raises(IsoclineError) as caught:
        compiled(folder, text)
    return {item.code for item in caught.value.diagnostics}


def test_the_artifact_of_a_ball_keeps_its_stated_error(tmp_path: Path) -> None:
    text = BALL.replace("KEEPS", "0.9").replace("TIMES", "at 0..3 step 0.1") + "deploy { solver auto(error=1e-3) }\n"
    _, certificate = compiled(tmp_path, text)
    starts = np.random.default_rng(3).uniform(0.5, 2, 30)
    found = isocline.load(tmp_path / "out").run(start=starts)["height"]
    for row, start in enumerate(starts):
        expected = heights(start, 0.9, np.arange(31) / 10)
        assert np.abs(found[row] - expected).max() <= 1e-3 * np.abs(expected).max()
    facts = certificate["events"]["path"]
    assert facts["most"] == 6  # of a ball dropped from half a metre
    assert facts["in_one_step"] is None
    assert facts["nearest"] > 1
    assert "from jump to jump" in certificate["reference"]


def test_an_answer_that_jumps_is_given_where_it_can_be(tmp_path: Path) -> None:
    """A neuron whose voltage is kept: inputs that let it fire just then are set apart, and that is said."""
    text = """dyn 1
model neuron
input drive: real in (1.5, 3)
field membrane(t, v: real) { v' = drive - v; when v > 1 { v = 0 } }
path = solve membrane from v = 0 over 0..4
output v = path.v
deploy { solver auto(error=1e-2) }
"""
    _, certificate = compiled(tmp_path, text)
    assert certificate["deployed"]["v"]["maximum"] <= 1e-2
    drives = np.linspace(1.52, 2.98, 40)
    period = np.log(drives / (drives - 1))
    since = 4 % period
    clear = (since > 0.02) & (since < period - 0.02)
    found = isocline.load(tmp_path / "out").run(drive=drives)["v"]
    expected = drives * (1 - np.exp(-since))
    assert clear.sum() > 30
    assert (np.abs(found - expected)[clear] <= 1e-2 * np.abs(expected)[clear]).all()


STOPPED = {
    "E636": BALL.replace("KEEPS", "0.5").replace("TIMES", "over 0..3"),
    "E635": BALL.replace("KEEPS", "0.95").replace("TIMES", "over 0..3") + "deploy { solver rk4(steps=3) }\n",
    "E638": """dyn 1
model m
input start: real in (0.5, 2)
field f(t, x: real) { x' = -1; when x < 0 { x = start } }
ts = stack(0*start, start, 2*start)
path = solve f from x = start at ts
output x = path.x
""",
}


@pytest.mark.parametrize("code", STOPPED)
def test_what_no_grid_can_hold_stops_the_build(code: str, tmp_path: Path) -> None:
    """A Zeno solution; a grid whose steps hold two bounces; an answer that jumps wherever it is asked for."""
    assert code in codes(tmp_path, STOPPED[code])


def test_two_events_in_a_step_of_the_models_own_are_found(tmp_path: Path) -> None:
    text = BALL.replace("KEEPS", "0.95").replace("TIMES", "over 0..3 with midpoint(steps=4)")
    assert "E635" in codes(tmp_path, text)


@pytest.mark.parametrize(("bounds", "held"), [("(-2, -1)", 1.0), ("(0.5, 2)", 0.0), ("(-1, 1)", 0.5)])
def test_a_condition_that_holds_at_the_start_is_noted(bounds: str, held: float, tmp_path: Path) -> None:
    """In the part of the samples that begin below the ground: nothing jumps there, and the summary says so."""
    text = BALL.replace("KEEPS", "0.9").replace("TIMES", "over 0..0.2 with rk4(steps=40)").replace("(0.5, 2)", bounds)
    _, certificate = compiled(tmp_path, text)
    facts = certificate["events"]["path"]
    assert facts["held"] / facts["samples"] == pytest.approx(held, abs=0.2)
    told = [line for line in certificate_lines(certificate) if "holds at the start" in line]
    assert [f"in {facts['held']} of {facts['samples']} samples" in line for line in told] == [True] * (held > 0)


def test_a_solution_that_grazes_is_refused() -> None:
    """By what is measured of its slowest crossing."""
    source = Source(BALL.replace("KEEPS", "0.9").replace("TIMES", "over 0..1"), "m.dyn")
    model = lower(parse(source), source)
    evaluator = Evaluator(model, {}, Samples({"start": np.ones(2)}, {}, "two"))
    facts = EventFacts(1, None, 1.0, 8, None, 0.5, 0, 4)
    assert not list(event_faults(evaluator, {"path": facts}))
    grazing = EventFacts(1, None, 1e-7, 8, None, 0.5, 0, 4)
    assert [item.code for item in event_faults(evaluator, {"path": grazing})] == ["E637"]


def test_a_second_walk_takes_the_steps_of_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two thresholds, met in one step too; a walk that misses the second is told apart."""
    text = """dyn 1
model thermostat
input outside: real in (-10, 10)
field room(t, temperature: real, heating: real) {
  temperature' = 8*heating - 0.2*(temperature - outside)
  heating' = 0*heating
  when temperature < 19 { heating = 1 }
  when temperature > 21 { heating = 0 }
}
path = solve room from temperature = 20, heating = 0 over 0..6 with kutta3(steps=12)
output temperature = path.temperature
"""
    _, certificate = compiled(tmp_path, text)
    assert certificate["second_walk"]["temperature"] <= 1e-11
    outside = np.linspace(-9, 9, 7)
    found = isocline.load(tmp_path / "out").run(outside=outside)["temperature"]
    np.testing.assert_allclose(found, [regulated(t, 6.0) for t in outside], rtol=0, atol=0.05)
    monkeypatch.setattr(second_events, "BISECTIONS", 4)
    assert "E629" in codes(tmp_path, text)


def regulated(outside: float, end: float) -> float:
    t, temperature, heating = 0.0, 20.0, 0
    while True:
        towards, threshold = outside + 40 * heating, 21.0 if heating else 19.0
        lasts = log((temperature - towards) / (threshold - towards)) / 0.2
        if t + lasts > end:
            return towards + (temperature - towards) * exp(-0.2 * (end - t))
        t, temperature, heating = t + lasts, threshold, 1 - heating


TRAINED = """dyn 1
model ball
input start: real
target seen: real[16]
param keeps: real in (0, 1) = 0.6
field fall(t, height: real, speed: real) {
  height' = speed
  speed' = -9.81
  when height < 0 { speed = -keeps*speed }
}
path = solve fall from height = start, speed = 0 at 0..1.5 step 0.1
output height = path.height
train { loss mse(height, seen); optimizer lbfgs; epochs 20; precision float64; SOLVER }
"""


def test_how_much_a_ball_keeps_is_learned_from_its_heights(tmp_path: Path) -> None:
    source = Source(TRAINED.replace("SOLVER", "solver midpoint(steps=60)"), "m.dyn")
    starts = np.random.default_rng(1).uniform(0.5, 1.5, 8)
    seen = np.stack([heights(start, 0.75, np.arange(16) / 10) for start in starts])
    data = Dataset(Split({"start": starts, "seen": seen}))
    result = train(lower(parse(source), source), data, tmp_path, device="cpu")
    assert result.weights["keeps"] == pytest.approx(0.75, rel=1e-6)


@pytest.mark.parametrize("solver", ["", "solver dopri5(rtol=1e-6)"])
def test_an_adaptive_solver_is_refused_with_what_to_write(solver: str, tmp_path: Path) -> None:
    source = Source(TRAINED.replace("SOLVER", solver), "m.dyn")
    data = Dataset(Split({"start": np.ones(2), "seen": np.ones((2, 16))}))
    with pytest.raises(IsoclineError, match=r"rk4\(steps=100\)") as caught:
        train(lower(parse(source), source), data, tmp_path, device="cpu")
    assert [item.code for item in caught.value.diagnostics] == ["E402"]


def test_a_model_without_inputs_and_gradients_of_an_artifact(tmp_path: Path) -> None:
    """A clock that is wound anew each 0.3; the gradient of a ball, by files and attributions, against differences."""
    text = """dyn 1
model clock
field tick(t, x, n: real) { x' = 1; n' = 0*n; when x > 0.3 { x = 0; n = n + 1 } }
path = solve tick from x = 0, n = 0 over 0..1
output n = path.n
output x = path.x
"""
    compiled(tmp_path, text)
    found = isocline.load(tmp_path / "out").run()
    np.testing.assert_allclose([found["n"], found["x"]], [3.0, 0.1], atol=1e-6)
    explained = BALL.replace("KEEPS", "0.9").replace("TIMES", "at 0..1 step 0.1") + (
        "output total = sum(path.height)\n"
        "deploy { solver auto(error=1e-3); attribute total wrt start by saliency; derivatives adjoint, forward }\n"
    )
    _, certificate = compiled(tmp_path, explained)
    for proof in (*certificate["attribution"], *certificate["derivatives"]):
        assert proof["error"] <= 1e-5


def test_known_times_and_conditions_are_certified_together(tmp_path: Path) -> None:
    """Doses at times of each sample into a tank that fills itself; against the superposition of exponentials."""
    text = """dyn 1
model dosing
input dose: time[1] in (0.5, 1.5)
field tank(t, level: real) {
  level' = -0.5*level
  at (tau) over (dose) { level = level + 1 }
  when level < 0.5 { level = level + 1 }
}
path = solve tank from level = 1 over 0..2
output level = path.level
"""
    _, certificate = compiled(tmp_path, text)
    assert certificate["events"]["path.between"]["most"] == 1
    doses = np.array([[0.7], [1.0], [1.45]])
    found = isocline.load(tmp_path / "out").run(dose=doses)["level"]
    expected = [(exp(-0.5 * (2 - float(d))) + exp(-1.0)) for (d,) in doses]
    filled = 2 * log(2)
    late = [float(d) > filled for (d,) in doses]
    expected = [e + exp(-0.5 * (2 - filled)) * was for e, was in zip(expected, late, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-3)
