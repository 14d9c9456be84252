"""`auto` takes the cheapest trial of its own table that keeps every bound, and says so when there is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from isocline_compiler.certify.choose import choose, discretisation
from isocline_compiler.certify.evaluation import Evaluator
from isocline_compiler.certify.samples import Samples, drawn
from isocline_compiler.certify.sweep import MARGIN, ROUNDING, Sweep, worst_error
from isocline_compiler.certify.work_precision import Before, Trial
from isocline_compiler.lower.check import check
from isocline_compiler.solvers.grid import Discretisation, evenly
from isocline_compiler.solvers.schemes import SCHEMES
from isocline_compiler.solvers.schemes.scheme import Scheme
from isocline_dsl.diagnostics import IsoclineError

ROTATION = """dyn 1
model rotation
input start: real[2] in (0.5, 1)
field turn(t, x, y: real) {{ x' = -{speed}*y; y' = {speed}*x }}
field fade(t, z: real) {{ z' = -z }}
path = solve turn from x = start[0], y = start[1] over 0..1
faded = solve fade from z = path.x over 0..1
output turned = path.y
output faded
deploy {{ solver auto(error={error}{of}) }}
"""


def evaluator_of(folder: Path, speed: float = 3, error: float = 1e-4, of: str = "") -> Evaluator:
    file = folder / "rotation.dyn"
    file.write_text(ROTATION.format(speed=speed, error=error, of=of))
    model = check(file)
    return Evaluator(model, {}, drawn(model.inputs, model.source).first(32), error)


def chosen(evaluator: Evaluator, error: float, of: tuple[str, ...] | None = None) -> tuple[dict, tuple[Trial, ...]]:
    return choose(evaluator, error, of, lambda text: None)


def test_several_solves_share_the_error(tmp_path: Path) -> None:
    evaluator = evaluator_of(tmp_path)
    choices, trials = chosen(evaluator, 1e-4)
    assert set(choices) == {solve.spec.name for solve in evaluator.open}
    assert len(choices) == 2
    assert worst_error(evaluator, choices, ("turned", "faded")) <= MARGIN * 1e-4
    assert {trial.solve for trial in trials} == {"path", "faded"}


def test_what_a_search_left_changes_nothing_on_more_samples(tmp_path: Path) -> None:
    """Errors over samples only grow with them: a grid that missed still misses, one that held is tried again."""
    file = tmp_path / "decay.dyn"
    file.write_text("""dyn 1
model decay
input k: real in (0.1, 9)
field f(t, x: real) { x' = -k*x*(1 + sin(9*t)) }
x = solve f from x = 1 over 0..1
output x
deploy { solver auto(error=1e-4) }
""")
    model = check(file)
    few, all_of_them = (Samples({"k": np.linspace(0.2, most, 9)}, {}, "nine") for most in (0.8, 8.0))
    before = Before()
    easy, _ = choose(Evaluator(model, {}, few, 1e-4), 1e-4, None, lambda text: None, before=before)
    kept = dict(before.tried)
    assert any(trial.error <= MARGIN * 1e-4 for trial in kept.values())
    assert any(trial.error > MARGIN * 1e-4 for trial in kept.values())
    hard = Evaluator(model, {}, all_of_them, 1e-4)
    found, trials = choose(hard, 1e-4, None, lambda text: None, before=before)
    fresh, _ = choose(Evaluator(model, {}, all_of_them, 1e-4), 1e-4, None, lambda text: None)
    assert found["x"].scheme.name == fresh["x"].scheme.name
    assert found["x"].grid.steps >= easy["x"].grid.steps
    assert worst_error(hard, found, ("x",)) <= MARGIN * 1e-4
    for trial in (item for item in trials if item.error <= MARGIN * 1e-4 and not item.scheme.startswith("comp")):
        grid = discretisation(hard.open[0], trial.scheme, trial.steps)
        assert trial.error == pytest.approx(worst_error(hard, {"x": grid}, ("x",)), rel=1e-6)


def test_no_trial_of_the_table_is_cheaper_and_as_good(tmp_path: Path) -> None:
    """Of the last solve, whose trials are measured with all others on their grids."""
    evaluator = evaluator_of(tmp_path)
    choices, trials = chosen(evaluator, 1e-4)
    last = evaluator.open[-1].spec.name
    mine = [trial for trial in trials if trial.solve == "faded"]
    taken = next(
        trial for trial in mine if (trial.scheme, trial.steps) == (choices[last].scheme.name, choices[last].grid.steps)
    )
    good = [trial for trial in mine if trial.error <= MARGIN * 1e-4 / 2]
    assert taken in good
    assert min(trial.seconds for trial in good) == taken.seconds


def test_no_grid_is_tried_that_takes_longer_than_the_best(tmp_path: Path) -> None:
    """Schemes come in the order of their order: those after the winner may take no longer, but for one halving."""
    evaluator = evaluator_of(tmp_path, speed=20)
    choices, trials = chosen(evaluator, 1e-4)
    (first, _), names = evaluator.open, list(SCHEMES)
    best = choices[first.spec.name]
    mine = [trial for trial in trials if trial.solve == first.spec.name]
    taken = next(item for item in mine if (item.scheme, item.steps) == (best.scheme.name, best.grid.steps))
    later = [item for item in mine if item.order < taken.order]
    halved = {(item.scheme, 2 * item.steps) for item in later if item.error <= MARGIN * 1e-4 / 2}
    assert {item.scheme for item in later} <= set(names)
    assert len({item.scheme for item in later}) > 3
    assert all(item.seconds <= taken.seconds for item in later if (item.scheme, item.steps) not in halved)


@pytest.mark.parametrize("error", [1e-2, 1e-3, 1e-5])
def test_fewer_steps_of_the_scheme_that_is_taken_would_not_do(tmp_path: Path, error: float) -> None:
    """To one part in 32, of a scheme that is not the first that is tried."""
    file = tmp_path / "turning.dyn"
    file.write_text(
        "dyn 1\nmodel turning\ninput x0: real in (0.5, 1)\nfield f(t, x, y: real) { x' = 7*y; y' = -7*sin(x) }\n"
        "p = solve f from x = x0, y = 0 over 0..3\noutput x = p.x\n"
    )
    model = check(file)
    evaluator = Evaluator(model, {}, drawn(model.inputs, None).first(8), error)
    choices, _ = chosen(evaluator, error)
    (name,), (solve,) = choices, evaluator.open
    taken = choices[name]
    assert taken.scheme.name != max(SCHEMES.values(), key=lambda item: item.order).name
    fewer = discretisation(solve, taken.scheme.name, taken.grid.steps - max(1, taken.grid.steps // 32) - 1)
    starts = evaluator.samples.inputs["x0"]

    def missed(grid: Discretisation) -> float:
        """Beside scipy's solution."""
        ends = zip(starts, evaluator.run({name: grid})["x"], strict=True)
        return max(abs(end / swung(start) - 1) for start, end in ends)

    assert missed(taken) <= error
    assert missed(fewer) > MARGIN * error


def swung(start: float) -> float:
    """x(3) of the pendulum x'' = -49 sin(x) from rest."""
    path = solve_ivp(lambda t, s: (7 * s[1], -7 * np.sin(s[0])), (0, 3), (start, 0), "DOP853", rtol=1e-12, atol=1e-12)
    return float(path.y[0, -1])


def test_the_declared_batch_decides_what_is_fast(tmp_path: Path) -> None:
    """Of one sample calling the operations takes nearly all the time, of many what their entries take."""
    file = tmp_path / "wide.dyn"
    file.write_text(
        "dyn 1\nmodel wide\ninput x0: real[64] in (0, 1)\nfield f(t, x: real[64]) { x' = asinh(sin(x)) }\n"
        "x = solve f from x = x0 over 0..1\noutput x\n"
    )
    (solve,) = Evaluator(check(file), {}, drawn(check(file).inputs, None).first(4)).open
    one, two = SCHEMES["euler"].cost(solve), SCHEMES["dopri5"].cost(solve)
    assert one.per_sample >= 64 * (14 + 2)  # the entries of asinh and of sin alone, in nanoseconds
    assert two.seconds(1) / one.seconds(1) > 1.5 * two.evaluations  # combinations of slopes are calls as well
    assert two.seconds(100_000) / one.seconds(100_000) < 1.2 * two.evaluations  # and cost little beside the field


def test_a_trial_states_the_error_that_its_grid_has(tmp_path: Path) -> None:
    evaluator = evaluator_of(tmp_path)
    choices, trials = chosen(evaluator, 1e-3)
    _, last = evaluator.open
    for trial in [item for item in trials if item.solve == "faded"][::5]:
        again = {"path": choices["path"], "faded": discretisation(last, trial.scheme, trial.steps)}
        assert trial.error == pytest.approx(worst_error(evaluator, again, ("turned", "faded")), rel=1e-12)


def test_of_restricts_which_outputs_count(tmp_path: Path) -> None:
    """`faded` alone asks less of the grid than `turned`, whose field turns ten times as fast."""
    evaluator = evaluator_of(tmp_path)
    strict, _ = chosen(evaluator, 1e-5)
    loose, _ = chosen(evaluator, 1e-5, ("turned",))
    last = evaluator.open[-1].spec.name
    assert loose[last].grid.steps == 1, "`turned` does not depend on the second solve"
    assert strict[last].scheme.evaluations * strict[last].grid.steps > loose[last].scheme.evaluations


def test_float32_vetoes_a_grid_that_rounds_badly(tmp_path: Path) -> None:
    """With a bound on rounding the winner changes; where none keeps it, the build stops and says that doubles would."""
    model = check(Path(__file__).parents[1] / "acceptance" / "models" / "fitzhugh_nagumo.dyn")
    evaluator = Evaluator(model, {}, drawn(model.inputs, model.source).rounded("float32").first(32))
    (solve,) = evaluator.open
    free, _ = choose(evaluator, 1e-3, None, lambda text: None)
    single, double = evaluator.run(free, torch.float32), evaluator.run(free)
    rounds = max(
        float((np.abs(single[name] - x).reshape(32, -1).max(axis=1) / np.abs(x).reshape(32, -1).max(axis=1)).max())
        for name, x in double.items()
    )
    kept, _ = choose(evaluator, 1e-3, None, lambda text: None, rounding=rounds)  # of which trials may use a part
    assert kept[solve.spec.name] != free[solve.spec.name]
    with pytest.raises(IsoclineError) as caught:
        choose(evaluator, 1e-3, None, lambda text: None, rounding=1e-12)
    (fault,) = caught.value.diagnostics
    assert fault.code == "E632"
    assert "float64" in str(fault.hint)


def test_rounding_is_laid_to_the_solve_and_the_output_that_have_it(tmp_path: Path) -> None:
    """0.9999 in single precision is 1e-8 off, 1e-4 of what is left of the start; `plain` has nothing of it."""
    file = tmp_path / "two.dyn"
    file.write_text(
        "dyn 1\nmodel two\ninput x0: real in (1, 1.001)\nfield f(t, x: real) { x' = -x }\n"
        "left = solve f from x = x0 - 0.9999 over 0..1\nplain = solve f from x = x0 over 0..1\n"
        "output plain\noutput left\ndeploy { solver auto(error=1e-3) }\n"
    )
    model = check(file)
    evaluator = Evaluator(model, {}, drawn(model.inputs, model.source).rounded("float32").first(8), 1e-3)
    with pytest.raises(IsoclineError) as caught:
        choose(evaluator, 1e-3, None, lambda text: None, rounding=1e-6)
    (fault,) = caught.value.diagnostics
    assert fault.code == "E632"
    assert "rounds `left` by" in fault.message
    assert fault.span == next(solve.span for solve in evaluator.open if solve.spec.name == "left")


def test_a_grid_that_is_exact_by_chance_is_not_taken(tmp_path: Path) -> None:
    """x(1) = x0 + integral of 3 t^2 - 2 t, which is 0, as one step of Euler's says; two say -1/8 beside 1 to 2."""
    file = tmp_path / "chance.dyn"
    file.write_text(
        "dyn 1\nmodel chance\ninput x0: real in (1, 2)\nfield f(t, x: real) { x' = 3*t^2 - 2*t }\n"
        "x = solve f from x = x0 over 0..1\noutput x\n"
    )
    model = check(file)
    evaluator = Evaluator(model, {}, drawn(model.inputs, model.source).first(8), 1e-3)
    sweep = Sweep(evaluator, evaluator.open[0], {}, 1e-3, ("x",), lambda text: None)
    assert sweep._try(SCHEMES["euler"], 1).error < 1e-9
    assert sweep._between(SCHEMES["euler"], 0, 1) is None
    choices, _ = chosen(evaluator, 1e-3)
    assert choices["x"].scheme.name != "euler"


def test_an_error_out_of_reach_is_e611_at_the_solve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isocline_compiler.certify.sweep.MOST_NODES", 300)
    evaluator = evaluator_of(tmp_path, speed=20)
    with pytest.raises(IsoclineError) as caught:
        chosen(evaluator, 1e-4)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "E611"
    assert diagnostic.span is not None
    assert caught.value.source is not None
    assert caught.value.source.text[diagnostic.span.start :].startswith("solve turn")


def sweep_of(evaluator: Evaluator, rounding: float) -> Sweep:
    """A search of the second solve, with errors and roundings that a test writes down."""
    first, last = evaluator.open
    chosen = {first.spec.choice: discretisation(first, "rk4", 4)}
    return Sweep(evaluator, last, chosen, 1e-3, ("turned", "faded"), lambda text: None, rounding)


def noted(sweep: Sweep, scheme: Scheme, error: float, rounds: float, seconds: float = 1.0) -> Trial:
    trial = Trial("faded", scheme.title, scheme.order, 4, 4, 4, error, seconds)
    sweep.grids[trial] = evenly(sweep.solve.spec.interval, scheme, 4)
    sweep.rounded[trial] = rounds
    return trial


def test_what_is_kept_back_of_the_rounding_is_the_last_resort(tmp_path: Path) -> None:
    """The cheapest grid within the bound that the caller set, of which trials may use 0.7; none beyond it."""
    sweep = sweep_of(evaluator_of(tmp_path), rounding=ROUNDING * 1e-6)
    assert sweep._last_resort() is None
    noted(sweep, SCHEMES["rk4"], error=1e-4, rounds=1.01e-6, seconds=1)
    assert sweep._last_resort() is None
    noted(sweep, SCHEMES["heun"], error=2e-3, rounds=1e-7, seconds=1)
    assert sweep._last_resort() is None, "the error is above the bound"
    dear = noted(sweep, SCHEMES["dopri8"], error=1e-4, rounds=0.8e-6, seconds=3)
    assert sweep._last_resort() is dear
    cheap = noted(sweep, SCHEMES["dopri5"], error=9e-4, rounds=0.99e-6, seconds=2)
    assert sweep._last_resort() is cheap
