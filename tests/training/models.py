"""Small models, put together by hand: what lowering would make of a few lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from isocline_compiler.data import Dataset, Split
from isocline_compiler.graph import ARGUMENT, INPUT, WEIGHT, Graph, Node, Region, at, leaf
from isocline_compiler.graph.called import Called
from isocline_compiler.graph.solve import Interval, pick
from isocline_compiler.graph.tensor_type import BATCH, TensorType
from isocline_compiler.model import DeploymentPlan, Model, Parameter, Port, Statistic, TrainingPlan, Weight
from isocline_compiler.ops import OPS
from isocline_dsl.diagnostics import Source
from isocline_dsl.tree import Block, Identifier, Number, Program, Span
from tests.solves import solve_node

PROGRAM = Program(Number("1"), Identifier("tiny"), None, ())
TEXT = "loss mean((w @ x - y)^2)"


def number(name: str, kind: Any = WEIGHT) -> Node:
    return leaf(kind, name, TensorType("real", (BATCH,) if kind is INPUT else ()))


def weight(name: str, shape: tuple[int, ...] = (), role: Any = "trained", spread: float = 0.5) -> Weight:
    return Weight(name, shape, lambda generator, s: generator.normal(0, spread, s), role)


def plan(loss: Node, terms: Mapping[str, Node] | None = None, **settings: Any) -> TrainingPlan:
    given: dict[str, Any] = {
        "optimizer": Called("adam", {"lr": 0.05}),
        "schedule": Called("constant"),
        "solver": Called("dopri5", {"rtol": 1e-7, "atol": 1e-8}),
        "epochs": 30,
        "precision": "float64",
    }
    return TrainingPlan(Graph((), {"loss": loss, **(terms or {})}), **{**given, **settings})


def model(
    weights: Sequence[Weight],
    training: TrainingPlan | None,
    statistics: Sequence[Statistic] = (),
    parameters: Sequence[Parameter] = (),
    program: Program = PROGRAM,
) -> Model:
    return Model(
        Source(TEXT, "tiny.dyn"), program, "tiny", None, (Port("x", "real", ()),), (Port("y", "real", ()),), (),
        Graph((), {}), tuple(parameters), tuple(weights), tuple(statistics), None, training, DeploymentPlan(),
    )  # fmt: skip


def with_deploy(*keys: str) -> Program:
    blocks = tuple(Block(kind) for kind in keys)
    return Program(Number("1"), Identifier("tiny"), None, blocks)


# -------------------------------------------------------------------------------------- a line through points

DESIGN = np.random.default_rng(0).normal(size=(64, 3))
TRUTH = np.array([1.5, -2.0, 0.5])
RESPONSE = DESIGN @ TRUTH + 0.1 * np.random.default_rng(1).normal(size=64)


def residual() -> Node:
    """y - X w, one a sample."""
    x, y = leaf(INPUT, "x", TensorType("real", (BATCH, 3))), number("y", INPUT)
    coefficients = leaf(WEIGHT, "w", TensorType("real", (3,)))
    return y - OPS["reduce_sum"](x * coefficients, axes=(1,), keepdims=False)


def line(program: Program = PROGRAM, **settings: Any) -> Model:
    """mean (y - X w)^2."""
    square = residual() ** 2.0
    return model([weight("w", (3,))], plan(square, {"squares": square}, **settings), program=program)


def line_data(validation: bool = False) -> Dataset:
    whole = Split({"x": DESIGN, "y": RESPONSE})
    if not validation:
        return Dataset(whole)
    return Dataset(whole.take(np.arange(48)), whole.take(np.arange(48, 64)))


# ----------------------------------------------------------------------------------------------- a decay, x' = -k x


def decay(**settings: Any) -> Model:
    """x' = -exp(k) x over 0..1 from x, against y, squared; dropout on the start, so that draws matter."""
    with at(Span(5, 24)):
        x0, y = number("x", INPUT), number("y", INPUT)
        t, x = leaf(ARGUMENT, "t", TensorType("real", ())), leaf(ARGUMENT, "x", TensorType("real", (BATCH,)))
        region = Region((t, x), (-(OPS["exp"](number("k")) * x),))
        start = x0 * OPS["noise_like"](x0, law="kept", parameters=(0.9,), deployed=1.0)
        solve = solve_node(region, (start,), Interval((0.0, 1.0), False), field="decay")
        loss = (pick(solve, 0) - y) ** 2.0
    return model([weight("k")], plan(loss, **settings))


def decay_data() -> Dataset:
    starts = np.linspace(0.5, 2, 32)
    return Dataset(Split({"x": starts, "y": starts * np.exp(-0.7)}))
