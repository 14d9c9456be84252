"""The typed program: what lowering makes of a file, and what training, compiling and the report read."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from isocline_compiler.graph import Array, Graph, Node
from isocline_compiler.graph.called import Called
from isocline_compiler.graph.tensor_type import Shape
from isocline_dsl.diagnostics import Source
from isocline_dsl.tree import Expression, Program, Span


@dataclass(frozen=True)
class Port:
    """An input, a target or an output, as declared. `shape` is of one sample; `bounds` is an open interval.

    `default` holds the entries of a sample, row by row, that stand where an input is left out; none when it must be
    given. Truth values are 0 and 1.
    """

    name: str
    kind: Literal["real", "class", "time", "bool"]
    shape: Shape
    batched: bool = True
    classes: int | None = None
    bounds: tuple[float, float] | None = None
    unit: str | None = None
    description: str | None = None
    span: Span | None = None
    default: tuple[float, ...] = ()
    group: bool = False
    """Whether it says which member of a group a sample is of. The last of its classes is whoever is none of them."""
    members: tuple[str, ...] = ()
    """How the data name the members, where they are known."""

    @property
    def default_sample(self) -> Array | None:
        """The default as an array of one sample: int64 of classes, bool of truth values, else float64."""
        if not self.default:
            return None
        dtypes = {"class": np.int64, "bool": np.bool_}
        return np.array(self.default, dtypes.get(self.kind, np.float64)).reshape([int(size) for size in self.shape])


def port_kind(port: Port) -> str:
    """The kind as it is written: `real`, `class[10]`, `group[59]`."""
    if port.group:
        return f"group[{(port.classes or 1) - 1}]"
    return f"class[{port.classes}]" if port.kind == "class" and port.classes else port.kind


SHOWN_ENTRIES = 8
"""Numbers of a default that are written out."""


def default_text(port: Port) -> str:
    """The default of an input as the author may write it; nothing where there is none."""
    sample = port.default_sample
    return "" if sample is None else entries_text(sample)


def entries_text(sample: Array) -> str:
    """An array in brackets: one number where all entries are equal, how many they are where they are many."""
    if sample.size and (sample == sample.flat[0]).all():
        sample = sample.ravel()[0]
    elif sample.size > SHOWN_ENTRIES:
        return f"{sample.size} numbers"
    return _entries_text(sample.tolist())


def _entries_text(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_entries_text, value))}]"
    return str(value).lower() if isinstance(value, bool) else f"{value:.6g}"


Initializer = Callable[[np.random.Generator, tuple[int, ...]], Array]
"""Draws the first value of a weight, float64, from a seeded generator and its shape."""


@dataclass(frozen=True)
class Weight:
    """One array that training or fitting supplies.

    `trained` weights move by gradient; `statistic` ones are fitted once on the training split (`standardize`);
    `running` ones are updated by the forward pass while training (`batchnorm`).
    """

    name: str
    shape: tuple[int, ...]
    initial: Initializer
    role: Literal["trained", "statistic", "running"] = "trained"
    span: Span | None = None

    def belongs_to(self, name: str) -> bool:
        """Whether it is the declared parameter of this name, or stands in the net, the field or the value."""
        return self.name == name or self.name.startswith(f"{name}.")

    def trained_by(self, only: tuple[str, ...] | None) -> bool:
        """Whether a block changes it that names these, or with None all that is trained."""
        return self.role == "trained" and (only is None or any(map(self.belongs_to, only)))


@dataclass(frozen=True)
class Parameter:
    """A declared `param`: `value = bijection(weight)` keeps its bounds. The weight has the parameter's name.

    Of each member of a `group`, the input of that name, it has a number: the first axis. The log prior is then the
    density of the weight, and `population` the value of whoever is no member.
    """

    name: str
    shape: tuple[int, ...]
    bounds: tuple[float, float]
    value: Node
    log_prior: Node | None = None
    prior: str | None = None
    unit: str | None = None
    description: str | None = None
    span: Span | None = None
    group: str | None = None
    population: Node | None = None


@dataclass(frozen=True)
class FittedParameter:
    """A declared parameter's value and its standard error (None: not estimated, `reason` says why)."""

    name: str
    value: Any
    standard_error: Any
    low: float | None
    high: float | None
    unit: str | None
    prior: str | None
    reason: str | None = None
    group: str | None = None
    members: tuple[str, ...] = ()
    """Of a parameter of each member of a group: how the data name them, in the order of the numbers."""


@dataclass(frozen=True)
class Statistic:
    """Mean and deviation of `source` over the training split, kept along `axes` of a sample, stored in two weights."""

    source: Node
    mean: str
    deviation: str
    axes: tuple[int, ...]


@dataclass(frozen=True)
class DataBinding:
    """`pelts = rows(hare, lynx)`: where an array comes from. `columns` are names, `count` is a row or a length."""

    port: str
    form: Literal["row", "rows", "column", "columns", "past", "future", "array"]
    columns: tuple[str, ...]
    count: int | None = None
    span: Span | None = None


@dataclass(frozen=True)
class DataPlan:
    """The `data` block. `source` is a path relative to the file; `split` is an option such as `fraction`;
    `time_form` is how the dates of the column `time` are written, where that is stated."""

    source: str | None
    source_span: Span | None
    bindings: tuple[DataBinding, ...]
    split: Called | None = None
    missing: str = "error"
    stride: int = 1
    time: str | None = None
    time_form: str | None = None
    span: Span | None = None
    group: str | None = None
    """The column that says whose row it is, or the input that is bound to it."""
    group_span: Span | None = None


@dataclass(frozen=True)
class LogDensity:
    """A term of a loss: `factor` times the mean of -log p over the entries of an array of this shape, a sample's."""

    factor: float
    shape: Shape

    def entries(self, sizes: Mapping[str, int]) -> int:
        """How many entries a sample has, with the named sizes of the data."""
        return math.prod(size if isinstance(size, int) else sizes[size] for size in self.shape)


@dataclass(frozen=True)
class Likelihood:
    """The log densities that a loss is made of. `pure`: nothing else in the loss sees a target."""

    terms: tuple[LogDensity, ...]
    pure: bool = True


@dataclass(frozen=True)
class RandomValue:
    """`draw s: uniform(0.001, 1)[3]`: an input of the losses of this name, and what it is drawn from, new for each
    sample and step. `shape` is of one sample.
    """

    name: str
    shape: tuple[int, ...]
    distribution: Called


LOG_PRIOR = "log prior"
"""The output of a loss graph that holds the sum of the log densities of all priors: no term has such a text."""


@dataclass(frozen=True)
class TrainingPlan:
    """The `train` block, resolved: every default is filled in, so that a report can print it.

    `losses.outputs` holds "loss", the sum to be minimised (per sample, or one number), its terms by their text, and
    `LOG_PRIOR` where there are priors.
    """

    losses: Graph
    optimizer: Called
    schedule: Called
    solver: Called
    gradient: Literal["backprop", "adjoint", "reversible"] = "backprop"
    epochs: int = 100
    batch: int | None = None
    clip: float | None = None
    early_stop: Called | None = None
    validation: float | None = None
    seed: int = 0
    precision: Literal["float32", "float64", "bf16", "fp16"] = "float32"
    engine: Literal["auto", "torch", "onnxruntime"] = "auto"
    steer: float | None = None
    likelihood: Likelihood | None = None
    draws: tuple[RandomValue, ...] = ()
    span: Span | None = None
    name: str = "train"
    only: tuple[str, ...] | None = None
    turns: tuple[Turn, ...] = ()

    def trains(self, weight: Weight) -> bool:
        """Whether the block changes a weight: all that are trained, or those of what `only` names."""
        return weight.trained_by(self.only)


@dataclass(frozen=True)
class Turn:
    """`alternate critic(updates=5)`: so many updates of another block before each of this one, on the same batch."""

    plan: TrainingPlan
    updates: int = 1


@dataclass(frozen=True)
class Check:
    """`check relative_rmse(forecast, pelts) < 0.4`: `graph` is over the deployed model's outputs (as inputs of the same
    names), inputs and targets of the whole held-out split; outputs "left" and "right" are single numbers."""

    graph: Graph
    operator: str
    text: str
    span: Span | None = None


@dataclass(frozen=True)
class ProvedCheck:
    """`check lipschitz(f) <= 1`: what is proved of the equations and measured on no data.

    `subject` is a net or an output, whose `graph` is over its arguments; a field; a solution. The `bound` is that of
    the constant of Lipschitz, less than the rate of contraction, or the growth of a difference. `within` are the
    ranges of arguments or states by name; outside of them nothing is claimed.
    """

    kind: Literal["lipschitz", "contracting", "stable"]
    subject: str
    bound: float
    text: str
    strict: bool = False
    graph: Graph | None = None
    within: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    span: Span | None = None


@dataclass(frozen=True)
class AttributionPlan:
    """`attribute probability wrt image by saliency, smoothgrad(samples=16)`: methods with every option filled in.

    With `classifier` the output holds one number for each class of a target, and the predicted class is the default.
    """

    output: str
    wrt: tuple[str, ...]
    methods: tuple[Called, ...]
    classifier: bool = False
    span: Span | None = None


@dataclass(frozen=True)
class StreamPlan:
    """`stream path`: one step at a time, of the solve or scan of this name, or of the only one."""

    loop: str | None = None
    span: Span | None = None


@dataclass(frozen=True)
class NativePlan:
    """`native`: where it is asked for, and the processors that libraries are built for."""

    span: Span | None
    targets: tuple[str, ...] = ()


@dataclass(frozen=True)
class DeploymentPlan:
    """The `deploy` block. `error` and `weak` belong to `auto`: of a stochastic model the strong error, or that of means
    over paths, where it is stated. `solver` is a fixed-step choice, or None for auto.

    `derivatives` are "adjoint" and "forward": files of the model's own derivative beside it. `unroll` is how many steps
    the body of a loop holds, "all" for no loops, "auto" for loops where a solve is large. `samples` are the members of
    the ensemble in which noise that regularizes is kept; None where its expectation takes its place. `stream` asks for
    the graph of one step besides, `native` for measuring the model in C, and for libraries of it.
    """

    solver: Called | None = None
    error: float = 1e-3
    weak: float | None = None
    of: tuple[str, ...] | None = None
    opset: int = 18
    dtype: Literal["float32", "float64"] = "float32"
    batch: int | None = None
    checks: tuple[Check, ...] = ()
    proved: tuple[ProvedCheck, ...] = ()
    parity: float | None = None
    attributions: tuple[AttributionPlan, ...] = ()
    derivatives: tuple[str, ...] = ()
    unroll: int | Literal["auto", "all"] = "auto"
    samples: int | None = None
    stream: StreamPlan | None = None
    native: NativePlan | None = None
    span: Span | None = None


@dataclass(frozen=True, repr=False)
class Model:
    """A whole file, typed. `graph` is rolled: its solves are nodes. `training` is the last block that is trained,
    `earlier` are those before it.
    """

    source: Source
    program: Program
    name: str
    description: str | None
    inputs: tuple[Port, ...]
    targets: tuple[Port, ...]
    outputs: tuple[Port, ...]
    graph: Graph
    parameters: tuple[Parameter, ...]
    weights: tuple[Weight, ...]
    statistics: tuple[Statistic, ...]
    data: DataPlan | None
    training: TrainingPlan | None
    deployment: DeploymentPlan
    expressions: Mapping[str, Expression] = field(default_factory=dict)
    earlier: tuple[TrainingPlan, ...] = ()

    def __repr__(self) -> str:
        return f"<Model {self.name}: ({_listed(self.inputs)}) -> ({_listed(self.outputs)})>"


SHOWN = 6
"""Ports that the text of a model lists."""


def _listed(ports: tuple[Port, ...]) -> str:
    sizes = (f"[{', '.join(map(str, port.shape))}]" if port.shape else "" for port in ports)
    shown = [f"{port.name}: {port.kind}{size}" for port, size in zip(ports[:SHOWN], sizes, strict=False)]
    return ", ".join(shown + ([f"... {len(ports) - SHOWN} more"] if len(ports) > SHOWN else []))
