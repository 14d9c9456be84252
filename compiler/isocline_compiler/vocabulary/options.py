"""What the settings of `train`, `deploy` and `data` may be called with: names, options and defaults, as data.

The file states a setting as a call (`adam(lr=0.02)`); lowering checks it against these records and fills in what was
not said, so that a report can print every number that was used. What a name *does* is stated where it is done.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from isocline_compiler.graph.naming import by_name


@dataclass(frozen=True)
class Choice:
    """One name that a setting accepts. A default of None: not set; `positional` are the options that need no name,
    `learnable` those that may be `learned`.
    """

    name: str
    defaults: Mapping[str, Any] = field(default_factory=dict)
    positional: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    summary: str = ""
    learnable: frozenset[str] = frozenset()


OPTIMIZERS = by_name(
    Choice("adam", {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0}, ("lr",),
           summary="Kingma and Ba (2015)"),
    Choice("adamw", {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 1e-2}, ("lr",),
           summary="Adam with decoupled weight decay, Loshchilov and Hutter (2019)"),
    Choice("sgd", {"lr": 1e-2, "momentum": 0.0, "nesterov": False, "weight_decay": 0.0}, ("lr",),
           summary="stochastic gradient descent"),
    Choice("rmsprop", {"lr": 1e-2, "alpha": 0.99, "eps": 1e-8, "momentum": 0.0, "weight_decay": 0.0}, ("lr",),
           summary="Hinton (2012)"),
    Choice("lbfgs", {"lr": 1.0, "iterations": 20, "history": 10}, ("lr",),
           summary="limited-memory BFGS with a strong Wolfe line search; `iterations` a step; for full batches"),
)  # fmt: skip

SCHEDULES = by_name(
    Choice("constant", summary="the rate stays"),
    Choice("cosine", {"final": 0.0}, summary="half a cosine from the rate to `final` times the rate"),
    Choice("step", {"every": 30, "factor": 0.1}, ("every",), summary="times `factor` each `every` epochs"),
    Choice("exponential", {"factor": 0.99}, ("factor",), summary="times `factor` each epoch"),
    Choice("warmup_cosine", {"warmup": 5, "final": 0.0}, ("warmup",), summary="`warmup` linear epochs, then cosine"),
    Choice("onecycle", {"peak": 10.0, "warmup": 0.3}, ("peak",),
           summary="up to `peak` times the rate within `warmup` of the training, then down; Smith (2018)"),
    Choice("plateau", {"factor": 0.5, "patience": 10}, ("factor",),
           summary="times `factor` when the validation loss has not improved for `patience` epochs"),
)  # fmt: skip

_TOLERANCES: Mapping[str, Any] = {"rtol": 1e-6, "atol": 1e-6, "evaluations": 100_000}

ADAPTIVE = by_name(
    Choice("dopri5", _TOLERANCES, summary="Dormand and Prince 5(4)"),
    Choice("dopri8", _TOLERANCES, summary="Dormand and Prince 8(7)"),
    Choice("bosh3", _TOLERANCES, summary="Bogacki and Shampine 3(2)"),
    Choice("fehlberg2", _TOLERANCES, summary="Fehlberg 2(1)"),
    Choice("adaptive_heun", _TOLERANCES, summary="Heun 2(1)"),
)
"""Adaptive solvers, for training: `rtol`, `atol` are relative and absolute tolerances, `evaluations` bounds a solve."""

ADAPTIVE_WITH_NOISE = by_name(
    Choice("srk", {"rtol": 1e-3, "atol": 1e-4, "dt": None, "evaluations": 100_000},
           summary="Rossler (2010), diagonal, additive or scalar noise in Ito's sense; steps by tolerance"),
    Choice("reversible_heun", {"dt": None, "evaluations": 100_000},
           summary="Kidger, Foster, Li, Lyons (2021), for Stratonovich's sense; its adjoint is exact"),
)  # fmt: skip
"""Solvers of equations with noise along a path that is refined as they ask, for training: `dt` is the step, or the
first one where steps go by tolerances; a hundredth of the solve where it is not set.
"""

SPLITS = by_name(
    Choice("fraction", {"train": 0.8, "validation": 0.0, "seed": 0}, ("train", "validation"),
           summary="shuffled; what is left is the test"),
    Choice("tail", {"test": 0.2, "validation": 0.0}, ("test",), summary="in order: the last ones are the test"),
    Choice("time", {"column": None, "validation": None, "test": None}, ("test",),
           ("test",), summary="what begins at or after `test` is the test, at or after `validation` the validation"),
    Choice("column", {"column": None}, ("column",), ("column",),
           summary="a column that holds train, validation or test"),
)  # fmt: skip

EARLY_STOP = by_name(
    Choice("patience", {"epochs": 20, "least": 0.0}, ("epochs",),
           summary="stop when the validation loss has not improved by `least` for `epochs` epochs"),
)  # fmt: skip

POSITIVE = frozenset(
    {
        "lr",
        "rtol",
        "atol",
        "evaluations",
        "iterations",
        "stages",
        "history",
        "every",
        "peak",
        "patience",
        "epochs",
        "steps",
        "dt",
        "updates",
    }
)
"""Options that cannot be 0. None can be negative, and what is counted (an integer by default) is whole."""


MOST_STEPS = 1_000_000
"""Steps of one solve: each becomes operations of a graph, and no graph of more than this is of use."""


LEAST = {"stages": 2}
"""The least of what is counted, where 1 is not enough."""
BETWEEN = {"k": (-1.0, 1.0)}
"""Options that lie above the first number and up to the second."""


def out_of_range(key: str, default: Any, value: float) -> str | None:
    """What was expected of a number given for an option, or None when it is as expected."""
    whole = key == "steps" or (isinstance(default, int) and not isinstance(default, bool))
    if key in BETWEEN:
        low, high = BETWEEN[key]
        return None if low < value <= high else f"a number above {low:g} and at most {high:g}"
    if key in LEAST and value < LEAST[key]:
        return f"a whole number from {LEAST[key]}"
    least = f"from {LEAST[key]}" if key in LEAST else "above 0" if key in POSITIVE else "from 0"
    most = MOST_STEPS if key == "steps" else math.inf
    inside = 0 < value <= most and value < math.inf if key in POSITIVE else 0 <= value < math.inf
    if inside and (not whole or float(value).is_integer()):
        return None
    up_to = f" to {MOST_STEPS}" if key == "steps" else ""
    return f"a {'whole ' if whole else ''}number {least}{up_to}"


MISSING = ("error", "drop", "hold", "interpolate")
PRECISIONS = ("float32", "float64", "bf16", "fp16")
ENGINES = ("auto", "torch", "onnxruntime")
"""What computes loss and gradient; `auto` is onnxruntime where the gradient is one graph."""
NATIVE_TARGETS = ("x86_64", "aarch64", "wasm")
"""Processors that `native` builds libraries for."""
GRADIENTS = ("backprop", "adjoint", "reversible")
