r"""The likelihood of observed paths of a stochastic equation, from normal transition densities."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Annotated, Protocol, TypeAlias

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
from isocline_compiler.vocabulary.functions.kinds import ArgumentKind, FieldName, Positive, Value, is_whole
from isocline_compiler.vocabulary.functions.record import Callee
from isocline_compiler.vocabulary.gaussian import negative_log_density
from isocline_compiler.vocabulary.spread_of_noise import beside, entries_of, flat_entries, spread_of
from isocline_compiler.vocabulary.transition_moments import transition_moments
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
MomentOrder: TypeAlias = Annotated[int, ArgumentKind("count", "1 or 2", lambda v: is_whole(v) and v in (1, 2))]


def transition_nll(
    field: FieldName,
    observed: Value,
    *,
    at: Value | None = None,
    step: Positive | None = None,
    order: MomentOrder = 1,
) -> FieldLoss:
    r"""The negative log-likelihood of an observed path under normal transition densities of a field with noise.

    Between neighbouring observations, h apart, x1 is taken as normal; the mean of -log p over the transitions. Of
    `order` 1 (Euler's density) its mean is x0 + f h and its covariance g g^T h at (t0, x0), exact where both are
    constant; elsewhere parameters are off by O(h). Of order 2 mean and covariance have their terms in h^2, which take
    two derivatives of f and g, and parameters are off by O(h^2); for 16 entries of states at most. `observed` has a row
    for each time, which holds the entries of all states in their order. The times are given by `at`, evenly or not, or
    by their `step`. Priors and standard errors take the sum over the transitions of a sample instead of the mean.

    Example: transition_nll(ou, seen, at=times)

    Florens-Zmirou (1989), Statistics 20, 547-557; Kessler (1997), Scandinavian Journal of Statistics 24, 211-229.
    """
    return lambda fields: _mean_density(fields, field, observed, at, step, order)


def _mean_density(fields: Fields, name: str, observed: Node, at: Node | None, step: float | None, order: int) -> Node:
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
    entries = sum(entries_of(spec, place) for place in spread.places)
    if order == 1:
        moved = [b - a - beside(h, k) * k for a, b, k in zip(start, end, field(t, start), strict=True)]
        log_h = constant(float(entries)) * LOG(h)
        density = negative_log_density(spread.square(moved) / h, spread.log_determinant() + log_h, entries)
    else:
        moments = transition_moments("transition_nll", field, t, start, h)
        moved = [b - a - shift for a, b, shift in zip(start, end, moments.shift, strict=True)]
        square, volume = moments.factors.square(flat_entries(moved)), moments.factors.log_determinant()
        density = negative_log_density(square, volume, entries)
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


FIELD_LOSSES: Mapping[str, Callee] = by_name(Callee(transition_nll), kind="losses of fields")
"""What may stand in `loss` besides functions of values."""
