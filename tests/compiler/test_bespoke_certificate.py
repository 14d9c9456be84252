"""Learned schemes in a build: they beat where they began, their certificate says so, faults and mistakes stop it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import isocline
from isocline.summary import certificate_lines
from isocline_compiler import pipeline
from isocline_compiler.certify.bespoke import learn as learning
from isocline_compiler.certify.bespoke import search
from isocline_compiler.certify.evaluation import Evaluator
from isocline_compiler.certify.order import observed_orders
from isocline_compiler.certify.samples import drawn
from isocline_compiler.lower.called import scheme_of_text
from isocline_compiler.pipeline import Compiled
from isocline_compiler.solvers.grid import Discretisation, uniform
from isocline_compiler.solvers.schemes import SCHEMES
from isocline_compiler.solvers.schemes.bespoke import BASES, Bespoke, clock
from isocline_dsl.diagnostics import IsoclineError
from isocline_runtime import load
from tests.learned import FORCED, by_scipy, codes, compiled, disturbed, walk, worst
from tests.native.in_c import needs_compiler


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    """Five steps, learned to the end, of a field that bends and depends on time."""
    return compiled(tmp_path_factory.mktemp("forced"), "bespoke(steps=5)")


@pytest.fixture
def briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few updates, and no page: what is tested is not how well it learns."""
    monkeypatch.setattr(learning, "UPDATES", 20)
    monkeypatch.setattr(pipeline, "report_of", lambda *_: "")


def test_learned_steps_beat_every_classical_scheme_of_as_many_evaluations(artifact: Compiled) -> None:
    """On fresh starts, against scipy, in the emitted file."""
    starts = np.random.default_rng(99).uniform(-1, 1, (200, 2))
    exact = by_scipy(starts)
    learned = worst(load(artifact.folder)(first=starts.astype(np.float32))["last"], exact)
    assert artifact.certificate["solves"][0]["evaluations"] == 20
    model = isocline.model(FORCED.format(solver="auto"))
    evaluator = Evaluator(model, {}, replace(drawn(model.inputs, model.source), inputs={"first": starts}), 1e-4)
    for scheme in SCHEMES.values():
        if scheme.fits(evaluator.open[0]) is None and scheme.search == "always" and scheme.evaluations <= 20:
            grid = uniform(0.0, 4.0, 20 // scheme.evaluations)
            assert learned < worst(evaluator.run({"path": Discretisation(scheme, grid)})["last"], exact), scheme.name
    classical = worst(evaluator.run({"path": Discretisation(BASES[4], uniform(0.0, 4.0, 5))})["last"], exact)
    assert learned < classical / 5


# ---------------------------------------------------------------------------------------------------- certificate


def test_the_certificate_says_on_what_it_was_learned_and_where_it_stops_holding(artifact: Compiled) -> None:
    told = artifact.certificate["learned"]
    assert told["lesson"].startswith("512 draws from the inputs' bounds")
    assert [item["factor"] for item in told["shifted"]] == [1.25, 1.5, 2.0]
    held_out, shifted = told["held_out"], told["shifted"]
    assert held_out["learned"]["last"]["maximum"] < held_out["classical"]["last"]["maximum"] / 5
    further = [item["learned"]["last"]["maximum"] or np.inf for item in shifted]
    assert min(further) > held_out["learned"]["last"]["maximum"]
    assert 1 <= told["holds_to"] <= 2
    (solve,) = told["solves"]
    assert (solve["weights"], solve["rows"]) == (0, 0)
    assert solve["second"] < 1e-12
    assert artifact.certificate["step_halving"] == {}
    assert "another scheme" in told["no_halving"]
    assert told["halved"]["last"] > 0
    assert all(item["observed"] >= item["declared"] - 0.35 for item in artifact.certificate["orders"])


def test_its_coefficients_walked_in_numpy_miss_wider_starts_by_as_much_as_it_says(artifact: Compiled) -> None:
    """The emitted file refuses inputs beyond its bounds."""
    told = artifact.certificate["learned"]
    (solve,) = told["solves"]
    c = [[sum(a[i * (i - 1) // 2 : i * (i + 1) // 2]) for i in range(4)] for a in solve["a"]]
    for factor, stated in ((1.0, told["held_out"]), (1.5, told["shifted"][1])):
        starts = np.random.default_rng(5).uniform(-factor, factor, (400, 2))

        def slopes(t: float, x: np.ndarray) -> np.ndarray:
            return np.stack([x[1], -3 * np.sin(x[0]) - 0.3 * x[1] + 0.5 * np.cos(2 * t)])

        ends = walk(SimpleNamespace(a=solve["a"], b=solve["b"], c=c), slopes, starts.T, np.array(solve["times"]))[-1].T
        assert 0.3 < worst(ends, by_scipy(starts)) / stated["learned"]["last"]["maximum"] < 3


def test_classical_schemes_stand_beside_it_in_the_table(artifact: Compiled) -> None:
    table = artifact.certificate["work_precision"]
    own = [item for item in table if item["scheme"] == "bespoke"]
    assert [(item["steps"], item["evaluations"]) for item in own] == [(5, 20)]
    enough = [item["evaluations"] for item in table if item["scheme"] != "bespoke" and item["error"] <= own[0]["error"]]
    assert min(enough) > 20


def test_the_screen_and_the_page_say_it(artifact: Compiled) -> None:
    text = "\n".join(certificate_lines(artifact.certificate))
    for words in (
        "learned   on 512 draws",
        "sum b = 1 and the row sums exactly",
        "held out",
        "shifted",
        "holds",
        "halving",
    ):
        assert words in text
    page = (artifact.folder / "report.html").read_text()
    assert "<h2>Learned steps</h2>" in page
    assert "began with" in page


def test_what_was_claimed_is_measured_again(artifact: Compiled) -> None:
    assert isocline.verify(artifact.folder).holds


@needs_compiler
@pytest.mark.parametrize("unrolling", ["2", "all"])
def test_the_c_answers_what_the_graph_does_laid_out_and_in_loops(unrolling: str, briefly: None, tmp_path: Path) -> None:
    found = compiled(tmp_path, f"bespoke(steps=7); unroll {unrolling}; native")
    assert found.certificate["native"]["parity"]["last"]["maximum"] <= found.certificate["parity_bound"]
    starts = np.random.default_rng(3).uniform(-1, 1, (9, 2)).astype(np.float32)
    answers = [load(found.folder, engine=engine)(first=starts)["last"] for engine in ("onnxruntime", "native")]
    np.testing.assert_allclose(*answers, rtol=2e-5, atol=2e-6)


def test_an_error_is_reached_with_the_fewest_steps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(learning, "UPDATES", 100)
    told: list[str] = []
    found = isocline.compile(
        isocline.model(FORCED.format(solver="bespoke(error=1e-1)")), tmp_path / "out", progress=Words(told)
    )
    steps = found.certificate["solves"][0]["steps"]
    assert found.certificate["learned"]["held_out"]["learned"]["last"]["maximum"] <= 1e-1
    assert found.certificate["deployed"]["last"]["maximum"] <= 1e-1
    assert found.certificate["error_is_stated"]
    assert any(f"bespoke with {steps - 1} steps has the error" in item for item in told)
    starts = np.random.default_rng(4).uniform(-1, 1, (200, 2))
    assert worst(load(found.folder)(first=starts.astype(np.float32))["last"], by_scipy(starts)) <= 1e-1


class Words:
    """What is told on the way."""

    def __init__(self, told: list[str]) -> None:
        self.told = told

    def say(self, text: str) -> None:
        self.told.append(text)


@pytest.mark.parametrize("stages", [3])
def test_fewer_stages_begin_with_ralstons_schemes(stages: int, briefly: None, tmp_path: Path) -> None:
    found = compiled(tmp_path, f"bespoke(steps=6, stages={stages})").certificate
    assert found["solves"][0]["evaluations"] == 6 * stages
    assert found["learned"]["solves"][0]["base"] == f"ralston{stages}"


def test_a_solve_within_a_scan_is_learned_for_all_iterations(
    briefly: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(learning, "UPDATES", 60)
    text = """dyn 1
model m
input x: real[3] in (-1, 1)
input h0: real in (-1, 1)
field f(t, h: real) {{ h' = -sin(2*h) }}
path = scan (u) over (x) from h = h0 {{
  g = solve f from h = h over 0..1
  h = g + 0.3*tanh(u)
}}
output y = path
deploy {{ solver {solver} }}
"""
    told = compiled(tmp_path, "bespoke(steps=2, stages=3)", text).certificate["learned"]["held_out"]
    assert told["learned"]["y"]["maximum"] < told["classical"]["y"]["maximum"] / 3


# ---------------------------------------------------------------------------------------------------- faults, mistakes


@pytest.mark.parametrize("fault", ["none", "time"])
def test_a_table_that_is_not_the_schemes_stops_the_build(
    fault: str, briefly: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Only what is emitted is wrong, not the record: its order is not what it says."""
    right = Bespoke.table.func

    def wrong(scheme: Bespoke) -> np.ndarray:
        table = right(scheme).copy()
        if fault == "time":  # every stage reads the field as if at the begin of the step
            table[:, : scheme.stages] = np.array(scheme.times[:-1])[:, None]
        return table

    monkeypatch.setattr(Bespoke, "table", property(wrong))
    observed_orders.cache_clear()
    expected = [] if fault == "none" else ["E628"]
    assert sorted(set(codes(tmp_path, "bespoke(steps=5)"))) == expected
    observed_orders.cache_clear()


@pytest.mark.parametrize(("place", "size"), [(-1, 0.02), (4, 0.3)], ids=["weights", "rows"])
def test_a_table_whose_sums_are_broken_loses_its_order(
    place: int, size: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = Bespoke.table.func

    def wrong(scheme: Bespoke) -> np.ndarray:
        table = right(scheme).copy()
        table[:, place] += size * np.diff(np.array(scheme.times))
        return table

    scheme = disturbed(4, tuple(np.linspace(0, 1, 4).tolist()), seed=3)
    assert not any(item.differs for item in observed_orders.__wrapped__(scheme))
    assert clock(scheme) < 1e-15
    monkeypatch.setattr(Bespoke, "table", property(wrong))
    assert any(item.differs for item in observed_orders.__wrapped__(scheme))
    assert clock(scheme) > 1e-3


def test_a_promise_that_does_not_hold_on_other_samples_stops_the_build(
    briefly: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(search.Sought, "fewest", lambda self, error, worst: self.learned(3))
    assert "E601" in codes(tmp_path, "bespoke(error=1e-3)")


JUMPS = """dyn 1
model m
input first: real in (-1, 1)
field f(t, x: real) {{ x' = -x + where(t < 0.4, 1, 0) }}
x = solve f from x = first over 0..1
output x
deploy {{ solver {solver} }}
"""
UNBOUNDED = """dyn 1
model m
input first: real
field f(t, x: real) {{ x' = -sin(x) }}
x = solve f from x = first over 0..1
output x
deploy {{ solver {solver} }}
"""
STEEP = """dyn 1
model m
input first: real in (-9, 9)
field f(t, x: real) {{ x' = -x^3 }}
x = solve f from x = first over 0..1
output x
deploy {{ solver {solver} }}
"""
NO_INPUT = """dyn 1
model m
field f(t, x: real) {{ x' = -sin(x) }}
x = solve f from x = 1 over 0..1
output x
deploy {{ solver {solver} }}
"""


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        (JUMPS, "E687", "jumps at t = 0.4"),
        (UNBOUNDED, "E607", "first"),
        (NO_INPUT, "E688", "this model has none"),
    ],
)
def test_what_it_cannot_serve_is_said(text: str, code: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(IsoclineError) as found:
        compiled(tmp_path, "bespoke(steps=4)", text)
    (fault,) = found.value.diagnostics
    assert fault.code == code
    assert said in fault.message


def test_steps_that_run_away_before_anything_is_learned_are_said(tmp_path: Path) -> None:
    assert codes(tmp_path, "bespoke(steps=6)", STEEP) == ["E676"]


def test_it_takes_no_place_of_other_schemes_from_the_command_line() -> None:
    with pytest.raises(IsoclineError) as found:
        scheme_of_text("bespoke(steps=8)")
    assert [item.code for item in found.value.diagnostics] == ["E685"]


def test_an_error_that_is_not_reached_names_the_nearest(
    briefly: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(search, "MOST_OPERATIONS", 300)
    with pytest.raises(IsoclineError) as found:
        compiled(tmp_path, "bespoke(error=1e-7)")
    (fault,) = found.value.diagnostics
    assert fault.code == "E689"
    assert "does not reach the error 1e-07" in fault.message
    assert "solver auto(error=1e-07)" in str(fault.hint)


def test_data_are_learned_from_and_held_out(briefly: None, tmp_path: Path) -> None:
    rows = np.random.default_rng(0).uniform(-1, 1, (120, 1))
    text = """dyn 1
model m
input first: real
field f(t, x: real) { x' = -sin(2*x) }
x = solve f from x = first over 0..2
output x
data { source "given"; first = column(first); SPLIT }
deploy { solver bespoke(steps=3) }
"""
    columns = {"first": rows[:, 0]}
    told = isocline.compile(
        isocline.model(text.replace("SPLIT", "split fraction(train=0.75)")), tmp_path / "out", data=columns
    ).certificate["learned"]
    assert told["lesson"] == "72 of 90 training samples"
    assert told["held_out"]["samples"] == "30 held-out samples"
    assert "times as far from their mean" in told["shifted"][0]["samples"]
    with pytest.raises(IsoclineError) as found:
        isocline.compile(isocline.model(text.replace("SPLIT", "split fraction(train=1)")), tmp_path / "b", data=columns)
    assert [item.code for item in found.value.diagnostics] == ["E688"]
