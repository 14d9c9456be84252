r"""The likelihood of observed paths of a stochastic equation, from its Euler transition density."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Protocol, TypeAlias

import numpy as np

from isocline_compiler.graph import Fault, Node, Nodes, constant
from isocline_compiler.graph.naming import by_name
from isocline_compiler.graph.tensor_type import describe
from isocline_compiler.ops.elementwise import LOG
from isocline_compiler.ops.indexing import SLICE
from isocline_compiler.ops.points import MERGE_POINTS, SPLIT_POINTS
from isocline_compiler.ops.reduction import REDUCE_MEAN
from isocline_compiler.ops.shaping import RESHAPE, SPREAD
from isocline_compiler.solvers.field import Field
from isocline_compiler.solvers.noise_kinds import noise_kinds
from isocline_compiler.vocabulary.functions.kinds import FieldName, Positive, Value
from isocline_compiler.vocabulary.functions.record import Callee
from isocline_compiler.vocabulary.gaussian import negative_log_density
from isocline_compiler.vocabulary.spread_of_noise import entries_of, spread_of
from isocline_dsl.messages import noise as messages


class Fields(Protocol):
    """What a loss of this kind sees of the file."""

    def field(self, name: str, count: int) -> Field:
        """A field at `count` points of each sample as one larger batch. Raises `Fault`."""
        ...

    def density(self, mean: Node, shape: tuple[int, ...]) -> None:
        """Say that `mean` is the mean of -log p over the entries of a sample, an array of this shape."""
        ...


FieldLoss: TypeAlias = Callable[[Fields], Node]


def transition_nll(
    field: FieldName, observed: Value, *, at: Value | None = None, step: Positive | None = None
) -> FieldLoss:
    r"""The negative log-likelihood of an observed path under the Euler transition density of a field with noise.

    Between neighbouring observations, h apart, x1 is taken as normal around x0 + f(t0, x0) h with covariance
    g(t0, x0) g(t0, x0)^T h; the mean of -log p over the transitions. `observed` has a row for each time, which holds
    the entries of all states in their order. The times are given by `at`, evenly or not, or by their `step`. It is
    exact where drift and diffusion are constant; elsewhere its parameters are off by O(h). Priors and standard errors
    take the sum over the transitions of a sample instead of the mean.

    Example: transition_nll(ou, seen, at=times)

    Florens-Zmirou (1989), Statistics 20, 547-557; Kloeden, Platen (1992), 13.2.
    """
    return lambda fields: _mean_density(fields, field, observed, at, step)


def _mean_density(fields: Fields, name: str, observed: Node, at: Node | None, step: float | None) -> Node:
    count = _count(name, observed)
    field = fields.field(name, count - 1)
    spec = field.spec
    if spec.calculus == "stratonovich" and "additive" not in noise_kinds(field.solve):
        reason = "is meant in Stratonovich's sense, and its Euler transition is Ito's"
        raise Fault(lambda span: messages.density_without_noise(span, "transition_nll", name, reason))
    start, end = (_states(field, x) for x in _ends(_rows(field, observed, count)))
    t, until = _ends(_times(observed, count, at, step))
    spread = spread_of("transition_nll", field, t, start)
    if spread.places != tuple(range(len(spec.states))):
        still = next(i for i in range(len(spec.states)) if i not in spread.places)
        reason = f"has a state `{spec.states[still].name}` without noise"
        raise Fault(lambda span: messages.density_without_noise(span, "transition_nll", name, reason))
    h = until - t
    slopes = field(t, start)
    moved = [b - a - _beside(h, k) * k for a, b, k in zip(start, end, slopes, strict=True)]
    entries = sum(entries_of(spec, place) for place in spread.places)
    log_h = constant(float(entries)) * LOG(h)
    density = negative_log_density(spread.square(moved) / h, spread.log_determinant() + log_h, entries)
    mean = REDUCE_MEAN(SPLIT_POINTS(density, count=count - 1), axes=(1,), keepdims=False)
    fields.density(mean, (count - 1,))
    return mean


def _count(name: str, observed: Node) -> int:
    """How many times are observed."""
    sizes = observed.type.sample
    if not observed.type.batched or not sizes or not all(isinstance(size, int) for size in sizes) or sizes[0] == 1:
        expected = "a row for each of two or more times, of known sizes, for each sample"
        raise Fault(lambda span: messages.observations_shape(span, name, describe(observed.type), expected))
    return int(sizes[0])


def _rows(field: Field, observed: Node, count: int) -> Node:
    """The observations as (batch, times, entries of all states)."""
    spec = field.spec
    entries = sum(entries_of(spec, place) for place in range(len(spec.states)))
    if prod(int(size) for size in observed.type.sample) != count * entries:
        expected = f"real[{count}, {entries}]"
        raise Fault(lambda span: messages.observations_shape(span, spec.field, describe(observed.type), expected))
    return RESHAPE(observed, shape=(observed.shape[0], count, entries))


def _times(observed: Node, count: int, at: Node | None, step: float | None) -> Node:
    """The times of each sample, (batch, times)."""
    if (at is None) == (step is None):
        reason = "are given twice" if at is not None else "are missing"
        raise Fault(lambda span: messages.observation_times(span, reason))
    if at is None:
        at = constant(np.arange(count) * float(step or 0.0))
    if at.type.kind != "real" or at.type.sample != (count,):
        reason = f"are {describe(at.type)}, and there are {count} observations"
        raise Fault(lambda span: messages.observation_times(span, reason))
    return at if at.type.batched else SPREAD(at, observed)


def _ends(x: Node) -> tuple[Node, Node]:
    """All but the last and all but the first of the rows of each sample, as one larger batch."""
    count = int(x.shape[1])
    parts = (SLICE(x, axis=1, start=0, stop=count - 1), SLICE(x, axis=1, start=1, stop=count))
    first, second = map(MERGE_POINTS, parts)
    return first, second


def _states(field: Field, rows: Node) -> Nodes:
    """The states in the entries of rows (batch, entries)."""
    found, start = [], 0
    for place, state in enumerate(field.spec.states):
        stop = start + entries_of(field.spec, place)
        part = SLICE(rows, axis=1, start=start, stop=stop)
        found.append(RESHAPE(part, shape=(rows.shape[0], *state.shape)))
        start = stop
    return tuple(found)


def _beside(h: Node, x: Node) -> Node:
    """A number for each sample, shaped to stand beside x."""
    return RESHAPE(h, shape=(h.shape[0], *(1,) * (x.type.rank - 1)))


FIELD_LOSSES: Mapping[str, Callee] = by_name(Callee(transition_nll), kind="losses of fields")
"""What may stand in `loss` besides functions of values."""
