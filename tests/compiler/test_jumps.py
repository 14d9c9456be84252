"""States that jump at known times, against superpositions of exact solutions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import isocline
from isocline_compiler.backends.to_torch import TorchProgram
from isocline_compiler.certify.multistep import Multistep
from isocline_compiler.certify.reference import AdaptiveExplicit
from isocline_compiler.certify.stiff_reference import AdaptiveImplicit
from isocline_compiler.data import Dataset, Split
from isocline_compiler.derivatives.files import adjoint
from isocline_compiler.graph import Array, everything
from isocline_compiler.graph.scan import SCAN
from isocline_compiler.lower import lower
from isocline_compiler.model import Model
from isocline_compiler.solvers.unroll import unroll
from isocline_compiler.solvers.unroll.forms import solves_of
from isocline_compiler.training.fit import train
from isocline_dsl import Source, parse
from isocline_dsl.diagnostics import IsoclineError
from tests.stated import stated

KA, KE = 1.1, 0.2
FIELD = """
const ka = 1.1
const ke = 0.2
field pk(t, gut, blood: real) {
  gut' = -ka*gut
  blood' = ka*gut - ke*blood
  BLOCKS
}
"""
STOPS = np.arange(0, 25, 4.0)
RANDOM = np.random.default_rng(2)
AMOUNTS = RANDOM.uniform(50, 200, (6, 3))
WHEN = np.array([[1, 5, 9], [8, 8, 12], [23, 1, 5.5], [0, 24, 4], [-3, 30, 11], [2.25, 2.25, 2.25]])


def lowered(text: str, inputs: str = "input x: real in (0, 1)\n") -> Model:
    source = Source(f"dyn 1\nmodel m\n{inputs}{text}", "m.dyn")
    return lower(parse(source), source)


def evaluated(model: Model, **given: Array) -> dict[str, Array]:
    choices = stated(model.graph)
    bound = {name: torch.tensor(value) for name, value in given.items()}
    return {name: x.numpy() for name, x in TorchProgram(unroll(model.graph, choices).graph)(bound).items()}


def absorbed(t: Array, dose: float, tau: float) -> Array:
    """Of one dose in the gut, what is in the blood: Bateman (1910). At its own time that is still nothing."""
    since = np.maximum(t - tau, 0)
    return dose * KA / (KA - KE) * (np.exp(-KE * since) - np.exp(-KA * since))


def test_doses_that_are_inputs_are_superposed() -> None:
    """Ties, times in no order, on a stop, on either end, before and behind the solve, which do nothing."""
    inputs = "input amounts: real[3] in (50, 200)\ninput when: time[3] in (-5, 30)\n"
    blocks = "at (tau, a) over (when, amounts) { gut = gut + a }"
    solve = "path = solve pk from gut = 0, blood = 0 at 0..24 step 4 with rk4(steps=240)\noutput y = path.blood\n"
    found = evaluated(lowered(FIELD.replace("BLOCKS", blocks) + solve, inputs), amounts=AMOUNTS, when=WHEN)["y"]
    for row, (doses, times) in enumerate(zip(AMOUNTS, WHEN, strict=True)):
        inside = [(dose, tau) for dose, tau in zip(doses, times, strict=True) if 0 <= tau <= 24]
        expected = sum(absorbed(STOPS, dose, tau) for dose, tau in inside)
        np.testing.assert_allclose(found[row], expected, rtol=0, atol=2e-4)


def test_doses_that_are_known_and_a_solve_to_its_end() -> None:
    blocks = "at [0, 8, 16] { gut = gut + 100*x }"
    for times in ("over 0..24", "at [0, 5, 24]"):
        steps = 240 if times.startswith("over") else 480
        solve = f"path = solve pk from gut = 0, blood = 0 {times} with rk4(steps={steps})\noutput y = path.blood\n"
        found = evaluated(lowered(FIELD.replace("BLOCKS", blocks) + solve), x=np.array([1.0, 0.5]))["y"]
        stops = np.array([24.0]) if times.startswith("over") else np.array([0, 5, 24.0])
        expected = sum(absorbed(stops, 100, tau) for tau in (0, 8, 16))
        np.testing.assert_allclose(found.reshape(2, -1), np.stack([expected, expected / 2]), rtol=0, atol=2e-5)


def test_blocks_at_one_time_follow_the_file_and_statements_one_another() -> None:
    """x + 1 is doubled, then 3 is added; y is given what x is by then; the solution at the time is behind the jump."""
    field = """
field f(t, p, q: real[2]) {
  p' = 0*p
  q' = 0*q
  at [1] { p = p + 1 }
  at (tau) over ([1]) {
    twice = 2*p
    p = twice
    q = p*tau + t
  }
  at [1, 2] { p = p + 3 }
}
path = solve f from p = x, q = x at [0, 1, 2] with euler(steps=2)
output p = path.p
output q = path.q
"""
    x = np.array([[0.5, 2.0]])
    found = evaluated(lowered(field, "input x: real[2] in (0, 3)\n"), x=x)
    np.testing.assert_allclose(found["p"][0], [x[0], 2 * (x[0] + 1) + 3, 2 * (x[0] + 1) + 6])
    np.testing.assert_allclose(found["q"][0], [x[0], 2 * (x[0] + 1) + 1, 2 * (x[0] + 1) + 1])


def test_gradients_by_the_amounts_are_those_of_the_superposition() -> None:
    """The answer is linear in them, so its derivative by a dose is the answer to a dose of one."""
    inputs = "input amounts: real[3] in (50, 200)\n"
    blocks = "at (tau, a) over ([0, 8, 10], amounts) { gut = gut + a }"
    solve = "path = solve pk from gut = 0, blood = 0 over 0..24 with rk4(steps=200)\noutput y = path.blood\n"
    model = lowered(FIELD.replace("BLOCKS", blocks) + solve, inputs)
    choices = stated(model.graph)
    graph = adjoint(unroll(model.graph, choices).graph)
    found = TorchProgram(graph)({"amounts": torch.tensor(AMOUNTS[:2]), "adj_y": torch.ones(2, 1, dtype=torch.float64)})
    expected = [float(absorbed(np.array(24.0), 1.0, tau)) for tau in (0, 8, 10)]
    np.testing.assert_allclose(found["adj_amounts"].numpy().reshape(2, 3), [expected] * 2, rtol=1e-5)


def test_gradients_by_the_times_are_those_of_the_superposition() -> None:
    """Differences of the closed form: a later dose has less time to be absorbed, and less to be excreted."""
    inputs = "input amounts: real[3] in (50, 200)\ninput when: time[3] in (-5, 30)\n"
    blocks = "at (tau, a) over (when, amounts) { gut = gut + a }"
    solve = "path = solve pk from gut = 0, blood = 0 over 0..24 with rk4(steps=60)\noutput y = path.blood\n"
    model = lowered(FIELD.replace("BLOCKS", blocks) + solve, inputs)
    graph = adjoint(unroll(model.graph, stated(model.graph)).graph)
    bound = {"amounts": torch.tensor(AMOUNTS[:2]), "when": torch.tensor([[1.0, 9, 5], [-3, 30, 11]])}
    bound = {name: x.double() for name, x in bound.items()} | {"adj_y": torch.ones(2, 1, dtype=torch.float64)}
    found = TorchProgram(graph)(bound)["adj_when"].numpy()

    def slope(dose: float, tau: float) -> float:
        after, before = (float(absorbed(np.array(24.0), dose, tau + h)) for h in (1e-5, -1e-5))
        return (after - before) / 2e-5 if 0 < tau < 24 else 0.0

    given = bound["when"].numpy()
    expected = np.vectorize(slope)(AMOUNTS[: len(given)], given)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("reference", [AdaptiveExplicit(1e-10), Multistep(1e-10), AdaptiveImplicit(1e-7)])
@pytest.mark.parametrize("known", [True, False])
def test_references_begin_again_at_every_jump(known: bool, reference: AdaptiveExplicit) -> None:
    inputs = "input amounts: real[3] in (50, 200)\n" + ("" if known else "input when: time[3] in (-5, 30)\n")
    blocks = f"at (tau, a) over ({'[0, 24, 4]' if known else 'when'}, amounts) {{ gut = gut + a }}"
    solve = "path = solve pk from gut = 0, blood = 0 at 0..24 step 4\noutput y = path.blood\n"
    model = lowered(FIELD.replace("BLOCKS", blocks) + solve, inputs)
    when = np.array([[0.0, 24, 4]] * 2) if known else WHEN[[0, 3]]
    bound = {"amounts": torch.tensor(AMOUNTS[:2]), **({} if known else {"when": torch.tensor(when)})}
    found = TorchProgram(model.graph)(bound, integrator=reference.integrator)["y"]
    for row, (doses, times) in enumerate(zip(AMOUNTS[:2], when, strict=True)):
        expected = sum(absorbed(STOPS, dose, tau) for dose, tau in zip(doses, times, strict=True))
        np.testing.assert_allclose(found[row], expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("known", [True, False])
def test_velocities_jump_and_entries_may_be_arrays(known: bool) -> None:
    """A ball is hit at 1 and at 1.5: its height goes on, its velocity is turned; s takes the array that comes along."""
    field = """
input v0: real
input pushes: real[2, 3]
HITS
field ball(t, q: real, s: real[3]) {
  q'' = -2
  s' = [1, 2, 3]
  at (tau, push) over (hits, pushes) { q' = -0.5*q'; s = tau*push }
}
path = solve ball from q = 1, q' = v0, s = zeros(3) at 0..2 step 0.5 with rk4(steps=4)
output q = path.q
output s = path.s
output v = path.q'
"""
    model = lowered(field.replace("HITS", "const hits = [1.5, 1]" if known else "input hits: time[2]"), "")
    given = {"v0": np.array([0.5]), "pushes": np.arange(6.0).reshape(1, 2, 3)}
    found = evaluated(model, **given, **({} if known else {"hits": np.array([[1.5, 1.0]])}))
    np.testing.assert_allclose(found["v"], [[0.5, -0.5, 0.75, 0.125, -0.875]], atol=1e-12)
    np.testing.assert_allclose(found["q"], [[1, 1, 0.5, 0.625, 0.4375]], atol=1e-12)
    np.testing.assert_allclose(found["s"][0, :, 1], [0, 1, 4, 1.5, 2.5], atol=1e-12)


@pytest.mark.parametrize("known", [True, False])
def test_what_a_jump_computes_where_it_does_not_happen_spoils_no_gradient(known: bool) -> None:
    """x/a has a slope without bound at a = 0, which no one gave: x(3) = x0/(a b), dx/dx0 = 1/(a b)."""
    times = "const when = [1, 2]" if known else "input when: time[2]"
    text = f"""input x0: real
input a: real[2]
{times}
field f(t, x: real) {{ x' = 0*x; at (tau, a) over (when, a) {{ x = x/a }} }}
x = solve f from x = x0 over 0..3 with rk4(steps=1)
output y = x
"""
    model = lowered(text, "")
    graph = adjoint(unroll(model.graph, stated(model.graph)).graph)
    bound = {"x0": np.array([3.0]), "a": np.array([[2.0, 5]]), "adj_y": np.ones((1, 1))}
    bound |= {} if known else {"when": np.array([[1.0, 2]])}
    found = TorchProgram(graph)({name: torch.tensor(x) for name, x in bound.items()})
    np.testing.assert_allclose(found["adj_x0"].reshape(-1), [0.1], rtol=1e-12)
    np.testing.assert_allclose(found["adj_a"].reshape(-1), [-0.15, -0.06], rtol=1e-12)


def test_known_times_are_put_in_order_once_for_all_samples() -> None:
    """Jumps and stops at one time share a row, unless the order of the file needs two; the times have no batch."""
    model = lowered(
        "field f(t, x: real) { x' = -x; at [4, 0] { x = x + 1 }; at [2, 4, 4] { x = 2*x } }\n"
        "x = solve f from x = x0 at 0..4 step 2 with rk4(steps=4)\noutput y = x\n",
        "input x0: real\n",
    )
    (loop,) = (node for node in everything(model.graph.outputs.values()) if node.op is SCAN)
    assert loop.attrs["length"] == 4  # 0; 2; 4, both; 4, the second again
    assert all(solve.times is not None and not solve.times.type.batched for solve in solves_of(model.graph))
    x, decay = 0.5, (1 - 1 + 1 / 2 - 1 / 6 + 1 / 24) ** 2
    first, second = x + 1, 2 * (x + 1) * decay
    assert len(solves_of(model.graph)) == 1
    found = evaluated(model, x0=np.array([x]))["y"]
    np.testing.assert_allclose(found, [[first, second, 4 * (second * decay + 1)]], rtol=1e-12)


def test_a_rate_is_found_again_by_an_adaptive_solver(tmp_path: Path) -> None:
    text = """dyn 1
model pk
input amounts: real[3]
input when: time[3]
target seen: real[7]
const ka = 1.1
param ke: positive = 0.5
field pk(t, gut, blood: real) {
  gut' = -ka*gut
  blood' = ka*gut - ke*blood
  at (tau, a) over (when, amounts) { gut = gut + a }
}
path = solve pk from gut = 0, blood = 0 at 0..24 step 4
output blood = path.blood
train { loss mse(blood, seen); optimizer lbfgs; epochs 3; precision float64 }
"""
    times = RANDOM.uniform(0, 20, (6, 3))
    seen = np.stack(
        [sum(absorbed(STOPS, d, t) for d, t in zip(*row, strict=True)) for row in zip(AMOUNTS, times, strict=True)]
    )
    source = Source(text, "pk.dyn")
    model = lower(parse(source), source)
    result = train(model, Dataset(Split({"amounts": AMOUNTS, "when": times, "seen": seen})), tmp_path, device="cpu")
    assert result.weights["ke"] == pytest.approx(KE, rel=1e-4)


def test_the_artifact_keeps_its_stated_error(tmp_path: Path) -> None:
    file = tmp_path / "dose.dyn"
    blocks = "at (tau, a) over (when, amounts) { gut = gut + a }"
    file.write_text(
        "dyn 1\nmodel dose\ninput amounts: real[3] in (50, 200)\ninput when: time[3] in (-5, 30)\n"
        + FIELD.replace("BLOCKS", blocks)
        + "path = solve pk from gut = 0, blood = 0 at 0..24 step 4\noutput y = path.blood\n"
        + "deploy { solver auto(error=1e-3) }\n"
    )
    isocline.compile(file, tmp_path / "out")
    inside = WHEN[:4]
    found = isocline.load(tmp_path / "out").run(amounts=AMOUNTS[:4], when=inside)["y"]
    for row, (doses, times) in enumerate(zip(AMOUNTS, inside, strict=False)):
        expected = sum(absorbed(STOPS, dose, tau) for dose, tau in zip(doses, times, strict=True))
        assert np.abs(found[row] - expected).max() <= 1e-3 * np.abs(expected).max()


REFUSED = {
    "at x { gut = 0 }": "E358",
    "at (tau, a) over ([1, 2], [3]) { gut = a }": "E359",
    "at (tau, a, b) over ([1, 2], [3, 4]) { gut = a + b }": "E357",
    "at [1] { other = 2 }": "E399",
    "at [1] { gut' = 2 }": "E398",
}


@pytest.mark.parametrize("block", REFUSED)
def test_what_is_wrong_with_a_jump_is_said(block: str) -> None:
    solve = "path = solve pk from gut = x, blood = 0 over 0..24\noutput y = path.blood\n"
    with pytest.raises(IsoclineError) as caught:
        lowered(FIELD.replace("BLOCKS", block) + solve)
    assert REFUSED[block] in {item.code for item in caught.value.diagnostics}


@pytest.mark.parametrize(
    ("field", "solve", "why"),
    [
        ("field f(t, q: real) { noise W: brownian[1]; dq = -q dt + dW; at [1] { q = 0 } }",
         "from q = x over 0..2", "noise"),
        ("field f(t, q: real) { q' = -q; at [1] { q = 0 } }", "from q = x over 2..0", "backwards"),
    ],
)  # fmt: skip
def test_where_jumps_cannot_be_followed(field: str, solve: str, why: str) -> None:
    with pytest.raises(IsoclineError, match=why):
        lowered(f"{field}\npath = solve f {solve}\noutput y = path\n")
