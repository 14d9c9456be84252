"""Every sample in steps of its own: fields that bend at states, beside scipy on one sample at a time."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from isocline_compiler.backends.to_torch import TorchField, evaluate
from isocline_compiler.certify import own_times as own_times_module
from isocline_compiler.certify.cause import Stuck, cause_of
from isocline_compiler.certify.lockstep import Lockstep, Stalled
from isocline_compiler.certify.own_times import own_times, with_own_times
from isocline_compiler.certify.reference import AdaptiveExplicit
from isocline_compiler.graph import Array, Node, Region
from isocline_compiler.lower.check import model
from isocline_compiler.ops import OPS
from isocline_compiler.training.breaks import Breaks
from isocline_compiler.training.clock import Clock
from isocline_compiler.training.watched_field import Halt

INPUTS = {"x0": np.linspace(-1, 2, 7), "v0": np.linspace(1, -1, 7), "m": np.linspace(0.5, 2, 7)}
FRICTION = """
field f(t, x: real, v: real) {
  x' = v
  v' = (-x - 0.3*clip(20*v, -1, 1) - 50*max(x - 1, 0) + max(sin(3*t), 0))/m
}
p = solve f from x = x0, v = v0 at 0..4 step 0.5
output x = p.x
output v = p.v"""
SLIDING = """
field f(t, x: real, v: real) { x' = v; v' = (-sign(x + v) + 0.2*sin(t) + 0*v)/m }
p = solve f from x = x0, v = v0 over 0..10
output x = p.x"""
VECTORS = """
field f(t, x: real[3], v: real) { x' = -x*sin(t)^2 + [1, 2, 3]*v + max(t - x, 0); v' = -v + t }
p = solve f from x = [x0, v0, m], v = v0 over 0..1
output x = p.x"""
BACKWARDS = """
field f(t, x: real, v: real) { x' = -abs(v); v' = x + where(t > 1.5, 1, 0) }
p = solve f from x = x0, v = v0 at 3..0 step -1
output x = p.x
output v = p.v"""

DRIVEN = """
control u = hermite([0, 1, 0.5, -1, 0], at=[0, 1, 2, 2.5, 4])
field f(t, x: real, v: real) { x' = where(u(t) > x, 1, 0.3)*tanh(4*(u(t) - x)); v' = -v*abs(x)*m }
p = solve f from x = x0, v = v0 at 0..4 step 1
output x = p.x"""

Solver = Callable[..., tuple[torch.Tensor, ...]]


def solved(text: str, by: Solver) -> dict[str, Array]:
    named = [name for name in INPUTS if re.search(rf"\b{name}\b", text)]
    ports = "".join(f"input {name}: real in (-3, 3)\n" for name in named)
    found = model(f"dyn 1\nmodel m\n{ports}{text}")
    bound = {name: torch.tensor(INPUTS[name]) for name in named}
    return dict(
        zip(
            found.graph.outputs,
            (x.numpy() for x in evaluate(tuple(found.graph.outputs.values()), bound, integrator=by)),
            strict=True,
        )
    )


class Caught(Exception):
    """The field of a solve, with what it starts from."""

    def __init__(self, node: Node, field: TorchField, initial: tuple[torch.Tensor, ...]) -> None:
        self.node, self.field, self.initial = node, field, initial


def caught(text: str) -> Caught:
    def catch(node: Node, field: TorchField, initial: tuple[torch.Tensor, ...], *rest: object) -> tuple[torch.Tensor]:
        raise Caught(node, field, initial)

    with pytest.raises(Caught) as found:
        solved(text, catch)
    return found.value


@pytest.mark.parametrize(
    "text", [FRICTION, VECTORS, BACKWARDS, DRIVEN], ids=["friction", "vectors", "backwards", "driven"]
)
def test_a_sample_has_the_slope_of_the_field_at_its_own_time(text: str) -> None:
    of = caught(text)
    own = own_times(of.field, len(of.initial), (0.0, 3.0), of.initial, ())
    assert own is not None
    times = torch.linspace(0, 3, len(of.initial[0]), dtype=torch.float64)
    together = own(times, of.initial)
    for row, t in enumerate(times):
        alone = of.field(t, of.initial)
        for a, b in zip(together, alone, strict=True):
            torch.testing.assert_close(a.expand_as(of.initial[0 if a.ndim == 2 else -1])[row], b[row])


def test_own_times_are_not_believed_where_they_give_another_field(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if an operation had taken the batch axis for one of its own."""
    of = caught(FRICTION)
    bound = of.field.bound
    time = bound.region.arguments[0]
    for change in (lambda x: -x, lambda x: x + OPS["where"](OPS["greater"](time, 1.2), 1e-3, 0.0)):
        other = Region(bound.region.arguments, tuple(map(change, bound.region.results)))
        wrong = with_own_times(other, len(of.initial), len(bound.captured))
        assert wrong is not None
        monkeypatch.setattr(own_times_module, "with_own_times", lambda *_, wrong=wrong: wrong)
        assert own_times(of.field, len(of.initial), (0.0, 3.0), of.initial, ()) is None


def test_friction_and_a_stop_are_solved_as_scipy_solves_one_sample_after_the_other() -> None:
    reference = AdaptiveExplicit(1e-9)
    found = solved(FRICTION, reference.integrator)
    assert "in steps of its own" in reference.words
    for row in range(7):
        m = INPUTS["m"][row]

        def f(t: float, y: Array, m: float = m) -> list[float]:
            push, stop = max(np.sin(3 * t), 0), max(y[0] - 1, 0)
            return [y[1], (-y[0] - 0.3 * np.clip(20 * y[1], -1, 1) - 50 * stop + push) / m]

        start = [INPUTS["x0"][row], INPUTS["v0"][row]]
        exact = solve_ivp(f, (0, 4), start, "RK45", np.arange(0, 4.5, 0.5), rtol=1e-11, atol=1e-12, max_step=2e-3)
        np.testing.assert_allclose(found["x"][row], exact.y[0], atol=2e-8)
        np.testing.assert_allclose(found["v"][row], exact.y[1], atol=2e-8)


def test_backwards_and_across_a_jump_in_time() -> None:
    reference = AdaptiveExplicit(1e-10)
    found = solved(BACKWARDS, reference.integrator)
    assert "in steps of its own" in reference.words
    for row in range(7):
        y, path = np.array([INPUTS["x0"][row], INPUTS["v0"][row]]), []
        for ends, force, at in (((3.0, 1.5), 1.0, [3.0, 2.0]), ((1.5, 0.0), 0.0, [1.0, 0.0])):
            step = solve_ivp(lambda t, y, c=force: [-abs(y[1]), y[0] + c], ends, y, "RK45", at, rtol=1e-11, atol=1e-12,
                             max_step=2e-3, dense_output=True)  # fmt: skip
            path.append(step.y[0])
            y = step.sol(ends[1])
        np.testing.assert_allclose(found["x"][row], np.concatenate(path), atol=2e-8)


def test_what_bends_is_not_said_to_hold_a_solution() -> None:
    """`clip` at both its corners, where the solver is told to have stopped, and `sign` where it holds."""
    for text, code, x, v in ((FRICTION, "E6", 0.0, 0.05), (SLIDING, "E673", 0.0, 0.0)):
        of = caught(text)
        states = tuple(torch.full_like(item, value) for item, value in zip(of.initial, (x, v), strict=True))
        halt = Halt(0.5, states, ((0.0, of.initial),), 10_000, False)
        fault = cause_of(Stuck(of.node, of.field, of.initial, (), None, halt), lambda stuck: False)
        assert fault.code.startswith(code)
        assert (fault.code == "E673") == (text is SLIDING)


def test_a_solution_that_a_jump_holds_stalls() -> None:
    of = caught(SLIDING)
    clock = Clock.of(of.node, None)
    walk = Lockstep.of(of.node, of.field, of.initial, (), clock, Breaks(), 1 / 64)
    assert walk is not None
    with pytest.raises(Stalled):
        walk.solved(of.initial, 1e-9, tuple(torch.ones(7, dtype=torch.float64) for _ in of.initial))


def test_smooth_fields_go_in_common_steps() -> None:
    of = caught("field f(t, x: real) { x' = -x }\np = solve f from x = x0 over 0..1\noutput x = p.x")
    assert Lockstep.of(of.node, of.field, of.initial, (), Clock.of(of.node, None), Breaks(), 1 / 64) is None
