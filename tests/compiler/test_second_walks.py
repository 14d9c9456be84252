"""Solves that state their scheme, walked a second time: every scheme for equations without noise has such a walk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from isocline_compiler.backends.to_torch import TorchProgram, no_integrator
from isocline_compiler.certify import steppers
from isocline_compiler.certify.second_steps import NoSecondWalk
from isocline_compiler.certify.steppers import SecondWalk, steppable
from isocline_compiler.graph import Graph
from isocline_compiler.lower import lower
from isocline_compiler.solvers.grid import discretise
from isocline_compiler.solvers.schemes import SCHEMES
from isocline_compiler.solvers.schemes.partitioned import Momentum, MomentumAdjoint, Splitting
from isocline_compiler.solvers.unroll import unroll
from isocline_compiler.solvers.unroll.forms import solves_of
from isocline_dsl import Source, parse

DETERMINISTIC = [name for name, scheme in SCHEMES.items() if not scheme.normals]
IN_TURN = "field f(t, q: real[2], p: real[2]) { q' = p*(1 + 0.1*sin(t)); p' = -sin(q)*t }\n"
FRICTION = "field f(t, q: real[2], p: real[2]) { q' = p; p' = -sin(q) - 0.3*p*p }\n"
DAMPED = "field f(t, q: real[2], p: real[2]) { q' = p*t + 1; p' = -sin(q) - p*(1 + 0.5*sin(q)*t) }\n"
PAIR = "q = solve f from q = x, p = 2*x at [0, 0.5, 1.25] with SCHEME\noutput y = q.q\n"
SINGLE = "q = solve f from q = x at [0, 0.5, 1.25] with SCHEME\noutput y = q\n"
FREE = "field f(t, q: real[2]) { q' = cos(t)*sin(q) - q*sum(q) }\n"
SLOW = "field f(t, q: real[2]) { D(q, 0.6) = cos(t)*sin(q) - q*sum(q) }\n"
MARKED = "const A: real[2, 2] = [[-3, 1], [0.5, -2]]\nfield f(t, q: real[2]) { q' = stiff(A @ q) + cos(t)*sin(q) }\n"


def graph_of(name: str, options: str = "") -> Graph:
    """A solve with the scheme, of equations that it fits."""
    called = f"{name}(steps=8{options})"
    if isinstance(SCHEMES[name], Splitting | Momentum | MomentumAdjoint):
        fields = {"momentum": FRICTION, "momentum_adjoint": DAMPED}
        return lowered(fields.get(name, IN_TURN) + PAIR.replace("SCHEME", called))
    if SCHEMES[name].fractional:
        times = "[0, 0.5, 1]" if name == "gl" else "[0, 0.5, 1.25]"  # equal steps
        return lowered(SLOW + SINGLE.replace("[0, 0.5, 1.25]", times).replace("SCHEME", called))
    (free,) = solves_of(lowered(FREE + SINGLE.replace("SCHEME", "euler(steps=8)")))
    return lowered((FREE if SCHEMES[name].fits(free) is None else MARKED) + SINGLE.replace("SCHEME", called))


def lowered(text: str) -> Graph:
    source = Source(f"dyn 1\nmodel m\ninput x: real[2] in (0.2, 1)\n{text}", "m.dyn")
    return lower(parse(source), source).graph


def apart(graph: Graph, changed: Mapping[str, Any] | None = None) -> float:
    """The largest relative difference of the emitted steps from the second walk."""
    (solve,) = solves_of(graph)
    called = solve.spec.scheme
    assert called is not None
    choice = discretise(solve.spec.interval, called.name, 8, intervals=2, options=called.options)
    choice = replace(choice, segment=1, scheme=replace(choice.scheme, **(changed or {})))
    x = {"x": torch.tensor(np.random.default_rng(5).uniform(0.2, 1.0, (3, 2)))}
    with torch.no_grad():
        ours = TorchProgram(unroll(graph, {solve.spec.choice: choice}).graph)(x)["y"]
        theirs = TorchProgram(graph)(x, integrator=SecondWalk(no_integrator))["y"]
    return float(((ours - theirs).abs().max() / theirs.abs().max()).item())


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_the_emitted_steps_are_those_of_the_second_walk(name: str) -> None:
    graph = graph_of(name)
    (solve,) = solves_of(graph)
    assert steppable(solve)
    assert apart(graph) < 1e-12


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("radau5", ", iterations=1"),
        ("sdirk2", ", iterations=2"),
        ("rkc2", ", stages=5"),
        ("lm2", ", k=0.3"),
        ("lm2", ", k=-0.08"),
    ],
)
def test_the_second_walk_takes_the_options_of_the_file(name: str, options: str) -> None:
    assert apart(graph_of(name, options)) < 1e-12


GATES = (
    "field f(t, q, p: real[2]) { q' = p - q; p' = stiff((tanh(q) - p)*(1 + q^2)) }\n"
    "z = solve f from q = x, p = 2*x at [0, 0.5, 1.25] with exponential_euler(steps=8)\noutput y = z.p\n"
)


def test_gates_are_walked_with_their_own_rates() -> None:
    """Rush and Larsen (1978), written out: how the targets of gates move with the voltage is no part of L."""
    graph = lowered(GATES)
    assert apart(graph) < 1e-12
    x = np.random.default_rng(5).uniform(0.2, 1.0, (3, 2))
    q, p = x, 2 * x
    for h in (*4 * (0.125,), *4 * (0.1875,)):
        p, q = np.tanh(q) + (p - np.tanh(q)) * np.exp(-h * (1 + q * q)), q + h * (p - q)
    with torch.no_grad():
        theirs = TorchProgram(graph)({"x": torch.tensor(x)}, integrator=SecondWalk(no_integrator))["y"]
    np.testing.assert_allclose(theirs[:, -1].numpy(), p, rtol=1e-12)


WRONG: Sequence[tuple[str, Mapping[str, Any]]] = (
    ("radau5", {"iterations": 2}),
    ("rkc2", {"stages": 9}),
    ("trbdf2", {"iterations": 1}),
)


@pytest.mark.parametrize(("name", "changed"), WRONG, ids=[name for name, _ in WRONG])
def test_steps_that_are_not_those_of_the_scheme_differ(name: str, changed: Mapping[str, Any]) -> None:
    assert apart(graph_of(name), changed) > steppers.SAME


def test_states_that_do_not_move_in_turn_have_no_second_walk() -> None:
    """An integral reads both groups: what it follows is the scheme's own business."""
    text = "field f(t, q: real, p: real, e: real) { q' = p; p' = -q; e' = q*p }\n"
    graph = lowered(
        text + "z = solve f from q = x[0], p = x[1], e = 0 over 0..1 with leapfrog(steps=8)\noutput y = z.q"
    )
    x = {"x": torch.tensor([[0.3, 0.4]], dtype=torch.float64)}
    with pytest.raises(NoSecondWalk):
        TorchProgram(graph)(x, integrator=SecondWalk(no_integrator))


@pytest.mark.parametrize("scheme", ["euler", "kutta3", "symplectic_euler", "implicit_euler", "rodas4", "ab2"])
def test_weights_of_steps_are_met_from_the_last_on_by_a_solve_that_goes_back(scheme: str) -> None:
    text = (
        "field f(t, q, p: real[2]) weights per step { q' = p |> dense(2) |> tanh; p' = q |> dense(2) |> tanh }\n"
        f"q = solve f from q = x, p = 2*x over 1..0 with {scheme}(steps=4)\noutput y = concat(q.q, q.p)\n"
    )
    source = Source(f"dyn 1\nmodel m\ninput x: real[2] in (0.2, 1)\n{text}", "m.dyn")
    model = lower(parse(source), source)
    (solve,) = solves_of(model.graph)
    assert solve.spec.scheme is not None
    assert steppable(solve)
    rng = np.random.default_rng(3)
    given = {item.name: torch.tensor(rng.normal(size=item.shape)) for item in model.weights}
    given["x"] = torch.tensor(rng.uniform(0.2, 1.0, (3, 2)))
    choice = discretise(solve.spec.interval, scheme, 4, options=solve.spec.scheme.options)
    with torch.no_grad():
        ours = TorchProgram(unroll(model.graph, {solve.spec.choice: choice}).graph)(given)["y"]
        theirs = TorchProgram(model.graph)(given, integrator=SecondWalk(no_integrator))["y"]
    torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-9)


def test_gates_whose_rates_read_other_states_are_walked_by_what_each_does_to_itself() -> None:
    gates = "field f(t, q: real[2], p: real[2]) { q' = p - q; p' = stiff((cos(q) - p)*(1 + q^2)) }\n"
    assert apart(lowered(gates + PAIR.replace("SCHEME", "exponential_euler(steps=8)"))) < 1e-12
