"""States that jump at known times: superposition of doses in closed form, ties, ends, and gradients by differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from isocline_compiler.backends.to_torch import evaluate
from isocline_compiler.certify.reference import AdaptiveExplicit, Multistep, Remembered
from isocline_compiler.certify.stiff_reference import AdaptiveImplicit
from isocline_compiler.derivatives.reverse_forward import gradient
from isocline_compiler.graph import Graph
from isocline_compiler.model import Model
from isocline_compiler.ops.reduction import REDUCE_SUM
from isocline_compiler.passes import optimise
from tests.compiler.test_scans import lowered, outputs, stepped

Floats = NDArray[np.float64]

ABSORBED, STOPS = 1.3, np.arange(0, 25, 3.0)
TAKEN = np.array([[0.0, 12, 6, 30], [2.5, 24, 9.1, -1]])
AMOUNTS = np.array([[100.0, 80, 60, 1000], [70, 60, 50, 1000]])
RATES = np.array([0.2, 0.5])

TIMES = {
    "known": "const doses = [0, 12, 6, 30]",
    "given": "input doses: time[4]",
    "of each stop": "input doses: time[4]\ninput stops: time[9]",
}


def doses(times: str, kept: str = "at") -> Model:
    stops = "stops" if "stops" in times else f"0..24{' step 3' if kept == 'at' else ''}"
    return lowered(f"""
input k: real
input amounts: real[4]
{times}
field pk(t, gut: real, blood: real) {{
  gut' = -{ABSORBED}*gut
  blood' = {ABSORBED}*gut - k*blood
  at (tau, a) over (doses, amounts) {{ gut = gut + a }}
}}
path = solve pk from gut = 0, blood = 0 {kept} {stops}
output gut = path.gut
output blood = path.blood
""")


def superposed(taken: Floats, amounts: Floats, k: Floats, stops: Floats = STOPS) -> tuple[Floats, Floats]:
    """Every dose on its own, from its time on; those before the beginning and after the end are not taken."""
    since = stops - taken[..., None]
    counted = (since >= 0) & (taken[..., None] >= stops[0])
    gone, k = np.where(counted, since, 0), k[:, None, None]
    gut = np.where(counted, np.exp(-ABSORBED * gone), 0) * amounts[..., None]
    blood = np.where(counted, np.exp(-k * gone) - np.exp(-ABSORBED * gone), 0) * ABSORBED / (ABSORBED - k)
    return gut.sum(1), (blood * amounts[..., None]).sum(1)


def given(times: str, kept: str = "at") -> tuple[dict[str, Tensor], Floats]:
    taken = np.array([[0.0, 12, 6, 30]] * 2) if times == "known" else TAKEN
    found = {"k": RATES, "amounts": AMOUNTS, "doses": taken, "stops": np.stack([STOPS] * 2)}
    declared = {"k", "amounts", *(["doses"] if times != "known" else []), *(["stops"] if "stop" in times else [])}
    return {name: torch.tensor(found[name]) for name in declared}, taken


@pytest.mark.parametrize("kept", ["at", "over"])
@pytest.mark.parametrize("times", TIMES)
def test_doses_superpose(times: str, kept: str) -> None:
    """One compartment with absorption: the solution is continuous from the right, both ends of the solve are within."""
    model = doses(TIMES[times], kept)
    bound, taken = given(times)
    found = outputs(model, stepped(model, "dopri5", 24), **bound)
    for name, expected in zip(("gut", "blood"), superposed(taken, AMOUNTS, RATES), strict=True):
        rows = expected if kept == "at" else expected[:, -1]
        np.testing.assert_allclose(found[name], rows, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("reference", [AdaptiveExplicit(1e-10), Multistep(1e-10), AdaptiveImplicit(1e-10)])
@pytest.mark.parametrize("times", ["known", "given"])
def test_references_begin_again_at_every_jump(times: str, reference: AdaptiveExplicit) -> None:
    model = doses(TIMES[times])
    bound, taken = given(times)
    solver = Remembered(reference.integrator)
    found = evaluate(tuple(model.graph.outputs.values()), bound, integrator=solver)
    for x, expected in zip(found, superposed(taken, AMOUNTS, RATES), strict=True):
        np.testing.assert_allclose(x, expected, rtol=1e-7, atol=1e-6)


@pytest.mark.parametrize("times", ["known", "given"])
def test_gradients_are_those_of_the_closed_form(times: str) -> None:
    """With regard to a rate, to amounts and to times: an infinitesimally later dose is x' before less x' behind it."""
    model = doses(TIMES[times])
    bound, taken = given(times)
    stepping = stepped(model, "dopri5", 48)
    leaves = {str(leaf.attrs["name"]): leaf for leaf in stepping.inputs}
    total = REDUCE_SUM(stepping.outputs["blood"], axes=(0, 1), keepdims=False)
    slopes = gradient(total, list(leaves.values()))
    named = dict(zip(leaves, slopes, strict=True))
    whole = optimise(Graph(stepping.inputs, named, "slopes"))
    found = dict(zip(named, evaluate(tuple(whole.outputs.values()), bound), strict=True))

    def value(**moved: Floats) -> float:
        now = {"taken": taken, "amounts": AMOUNTS, "k": RATES, **moved}
        return float(superposed(now["taken"], now["amounts"], now["k"])[1].sum())

    def slope(name: str, start: Floats) -> Floats:
        every, h = np.zeros(start.shape), 1e-5
        for place in np.ndindex(start.shape):
            step = np.zeros(start.shape)
            step[place] = h
            every[place] = (value(**{name: start + step}) - value(**{name: start - step})) / (2 * h)
        return every

    np.testing.assert_allclose(found["k"], slope("k", RATES), rtol=1e-5)
    np.testing.assert_allclose(found["amounts"], slope("amounts", AMOUNTS), rtol=1e-5, atol=1e-6)
    if times == "given":
        apart = (1, [0, 2])  # at a time of the solve a dose is on either side
        np.testing.assert_allclose(found["doses"][apart], slope("taken", taken)[apart], rtol=1e-5)


TIED = """
const second = [1, 2]
{given}
field f(t, x: real) {{
  x' = 1
  at {first} {{ x = 10*x }}
  at {second} {{ x = x + t }}
}}
x = solve f from x = x0 at 0..3 step 1
output x
"""


@pytest.mark.parametrize("known", [True, False])
def test_at_equal_times_the_order_is_that_of_the_text(known: bool) -> None:
    """x' = 1 from 0: at 1, 10*1 + 1 = 11; at 2, first both of the first jump, 100*12, then + 2."""
    first = "const late = [2, 1, 2]" if known else "input late: time[3]"
    model = lowered(TIED.format(given=f"input x0: real\n{first}", first="late", second="second"))
    bound = {"x0": torch.zeros(1, dtype=torch.float64)}
    bound |= {} if known else {"late": torch.tensor([[2.0, 1, 2]], dtype=torch.float64)}
    found = outputs(model, stepped(model, "rk4", 1), **bound)["x"]
    np.testing.assert_allclose(found, [[0, 11, 1202, 1203]], rtol=1e-12)


def test_velocities_vectors_and_numbers_for_every_entry_jump() -> None:
    """A ball that is hit at 1: its height goes on, its velocity is turned; a vector is emptied by a number."""
    model = lowered("""
input v0: real
const hits = [1]
field ball(t, q: real, s: real[3]) {
  q'' = -2
  s' = [1, 2, 3]
  at hits { q' = -0.5*q'; s = 0 }
}
path = solve ball from q = 1, q' = v0, s = zeros(3) at 0..2 step 0.5
output q = path.q
output s = path.s
output v = path.q'
""")
    found = outputs(model, stepped(model, "rk4", 1), v0=torch.tensor([0.5], dtype=torch.float64))
    np.testing.assert_allclose(found["v"], [[0.5, -0.5, 0.75, -0.25, -1.25]], atol=1e-12)
    np.testing.assert_allclose(found["q"], [[1, 1, 0.5, 0.625, 0.25]], atol=1e-12)
    np.testing.assert_allclose(found["s"][0, :, 2], [0, 1.5, 0, 1.5, 3], atol=1e-12)


def test_a_state_without_a_batch_takes_that_of_what_the_jump_reads() -> None:
    model = lowered("""
input a: real
field f(t, x: real) { x' = 0*x; at [1, 2] { x = x + a } }
x = solve f from x = 0 over 0..3
output x
""")
    found = outputs(model, stepped(model, "rk4", 1), a=torch.tensor([1.0, 2], dtype=torch.float64))
    np.testing.assert_allclose(found["x"], [2, 4])
