"""Bounds on the Jacobian of a graph: a known matrix, and how far the Jacobian may be from it anywhere in a box.

J(x) = M + E(x), where ||E|| <= apart in the spectral norm and |E| <= radius entry by entry. Linear maps act on M
itself, so that what they do together is seen (x + h A x is I + h A); an activation with slopes from a to b acts as its
middle slope, and half of b - a times what came in is added to what may be apart. A bound that is found that way is at
most the product of the norms of the layers. Slopes are enclosed by intervals (`Op.enclose`, of the rule of derivative).

For numbers, not for what rounding makes of them; literals are those of the deployed precision.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from isocline_compiler.certify.enclosure import Unproved, Values, Walk
from isocline_compiler.graph import ARGUMENT as LEAF
from isocline_compiler.graph import CONSTANT, Array, Node, Stop, constant, leaf, topological, transform
from isocline_compiler.graph.interval import FLOAT64, Interval
from isocline_compiler.graph.tensor_type import BATCH, TensorType
from isocline_compiler.model import Port
from isocline_compiler.ops import (
    activation,
    arithmetic,
    comparison,
    convolution,
    elementwise,
    indexing,
    linear,
    normalisation,
    ordering,
    pooling,
    reduction,
    shaping,
)
from isocline_compiler.ops.enclosures import sample_shape
from isocline_compiler.ops.evaluation import evaluated

MOST = 6_000_000
"""Entries of a matrix that is written out."""

MOVES = frozenset({
    shaping.RESHAPE, shaping.TRANSPOSE, indexing.SLICE, indexing.SELECT, indexing.PAD, indexing.CONCAT,
})  # fmt: skip
"""What moves entries to other places, none of them twice: of norm 1."""
AFFINE = frozenset({
    linear.LINEAR, linear.MATMUL, convolution.CONV, convolution.CONV_TRANSPOSE, pooling.AVG_POOL,
    reduction.REDUCE_SUM, reduction.REDUCE_MEAN, reduction.CUMSUM, shaping.EXPAND,
})  # fmt: skip
ENTRYWISE = frozenset({
    arithmetic.ADD, arithmetic.SUB, arithmetic.MUL, arithmetic.DIV, arithmetic.NEG, arithmetic.POW, arithmetic.MINIMUM,
    arithmetic.MAXIMUM, comparison.CLIP, comparison.WHERE, *elementwise.ELEMENTWISE, *activation.ACTIVATION,
})  # fmt: skip
SHRINKING = frozenset({ordering.SORT, reduction.REDUCE_MAX, reduction.REDUCE_MIN, normalisation.LOGSUMEXP})
"""What draws no two arguments further apart."""
IDENTITY = elementwise.STOP_GRADIENT


@dataclass(frozen=True, eq=False)
class Gate:
    """J' = B + M D + E with a diagonal D between `least` and `most`, ||E|| <= apart: of an activation behind a map.

    M and B have a row for each argument.
    """

    least: Array
    most: Array
    map: Array
    base: Array
    apart: float

    def scaled(self, low: Array, high: Array) -> Gate:
        """The same of entries times what lies between these."""
        ends = [end * factor for end in (self.least, self.most) for factor in (low, high)]
        size, half = max(np.abs(low).max(), np.abs(high).max()), (high - low).max() / 2
        apart = self.apart * size + (spectral(self.base) * half if half else 0.0)
        return Gate(np.min(ends, axis=0), np.max(ends, axis=0), self.map, self.base * (low + high) / 2, float(apart))


@dataclass(frozen=True, eq=False)
class Jacobian:
    """M of shape (arguments, *sample), ||E|| and |E|; `gate`, where J is seen to have such a form."""

    near: Array
    apart: float
    radius: Array
    gate: Gate | None = None

    @property
    def matrix(self) -> Array:
        """M, a row for each argument."""
        return self.near.reshape(len(self.near), -1)

    @property
    def around(self) -> Array:
        """|E| at most, a row for each argument."""
        return np.minimum(self.radius.reshape(len(self.near), -1), self.apart)

    @property
    def norm(self) -> float:
        """||J|| at most."""
        if not self.near.size:
            return 0.0
        return min(spectral(self.matrix) + min(self.apart, spectral(self.around)),
                   spectral(np.abs(self.matrix) + self.around))  # fmt: skip


class Enclosing(Walk):
    """Intervals of real numbers: nothing that is computed is less known than a real number is."""

    def _box(self, node: Node) -> Interval:
        port = self.ports.get(str(node.attrs["name"]))
        if port is None or (port.kind == "real" and (port.bounds is None or not np.isfinite(port.bounds).all())):
            low, high = (-np.inf, np.inf) if port is None or port.bounds is None else port.bounds
            shape = sample_shape(node.type)
            return Interval(np.full(shape, float(low)), np.full(shape, float(high)))
        return super()._box(node)

    def _of(self, node: Node, found: Values) -> tuple[Interval, ...]:
        return tuple(
            Interval(np.where(np.isnan(x.low), -np.inf, x.low), np.where(np.isnan(x.high), np.inf, x.high))
            for x in super()._of(node, found)
        )


def jacobian(
    results: Sequence[Node], arguments: Sequence[Node], within: Mapping[Node, Interval], ports: Mapping[str, Port]
) -> Jacobian:
    """Of all results with respect to all arguments, which are leaves with a batch axis; `within`: the intervals of
    these and of other leaves. Raises `Unproved` where an operation jumps, or nothing is known of it.
    """
    known: Values = {node: (item,) for node, item in within.items()}
    walk = Bounds(Enclosing(FLOAT64, ports).through(results, known))
    sizes = [int(np.prod(sample_shape(item.type))) for item in arguments]
    identity, start = np.eye(sum(sizes)), 0
    for item, size in zip(arguments, sizes, strict=True):
        near = identity[:, start : start + size].reshape(-1, *item.type.sample)
        walk.found[item] = Jacobian(near, 0.0, np.zeros_like(near))
        start += size
    for node in topological(results, tuple(walk.found)):
        bound = walk.of(node)
        if bound is not None:
            walk.found[node] = bound
    parts = [walk.found.get(item) or _nothing(item, sum(sizes)) for item in results]
    return Jacobian(
        np.concatenate([item.matrix for item in parts], axis=1),
        float(np.sqrt(sum(item.apart**2 for item in parts))),
        np.concatenate([item.around for item in parts], axis=1),
        parts[0].gate if len(parts) == 1 else None,
    )


def _nothing(node: Node, arguments: int) -> Jacobian:
    near = np.zeros((arguments, *(int(size) for size in node.type.sample)))
    return Jacobian(near, 0.0, near)


class Bounds:
    """The Jacobians of nodes, arguments first, by a rule for each kind of operation; what depends on none has none."""

    def __init__(self, values: Values) -> None:
        self.values = values
        self.found: dict[Node, Jacobian] = {}
        self.jumping: set[Node] = set()
        """Conditions and whole numbers that are not the same for all arguments."""

    def of(self, node: Node) -> Jacobian | None:
        """The bound of a node whose arguments are known."""
        moving = [i for i, item in enumerate(node.inputs) if item in self.found]
        if node.type.kind != "real":
            if (moving or self.jumping.intersection(node.inputs)) and not self._is_decided(node):
                self.jumping.add(node)
            return None
        if self.jumping.intersection(node.inputs):
            raise Unproved(f"`{node.op.name}` may jump: its condition is not the same everywhere", node)
        if not moving:
            return None
        if node.op in MOVES:
            return self._moved(node, moving)
        if node.op in (shaping.EXPAND_LIKE, shaping.SPREAD) and moving == [1]:
            return None  # read for its shape
        if node.op in AFFINE:
            return self._affine(node, moving)
        if node.op in ENTRYWISE:
            return self._entrywise(node, moving)
        if node.op in SHRINKING or node.op is normalisation.SOFTMAX:
            return self._shrunk(node)
        raise Unproved(f"nothing is known of the slopes of `{node.op.name}`", node)

    # ------------------------------------------------------------------------------------------------ linear

    def _moved(self, node: Node, moving: Sequence[int]) -> Jacobian:
        given = [self.found[node.inputs[i]] for i in moving]
        near = _on_rows(node, moving, [item.near for item in given])
        radius = _on_rows(node, moving, [item.radius for item in given])
        gate = given[0].gate if node.op is shaping.RESHAPE else None
        return Jacobian(near, float(np.sqrt(sum(item.apart**2 for item in given))), radius, gate)

    def _affine(self, node: Node, moving: Sequence[int]) -> Jacobian:
        if moving != [0] and not (node.op is linear.MATMUL and moving == [1]):
            raise Unproved(f"both arguments of `{node.op.name}` move", node)
        given = self.found[node.inputs[moving[0]]]
        fixed = [self._number(item, node) for i, item in enumerate(node.inputs) if i != moving[0]]
        inputs, outputs = given.near[0].size, int(np.prod(sample_shape(node.type)))
        if inputs * outputs > MOST:
            raise Unproved(f"`{node.op.name}` is a matrix of {inputs} by {outputs}, more than is written out", node)
        matrix = _matrix(node, moving[0], fixed, given.near.shape[1:]).reshape(inputs, outputs)
        shape = (-1, *(int(size) for size in node.type.sample))
        near, radius = given.matrix @ matrix, given.around @ np.abs(matrix)
        apart = given.apart * spectral(matrix) if given.apart else 0.0
        if given.gate is not None and (pair := _pair(given.gate, matrix)) is not None:
            centre, apart = pair
            radius, near = radius + np.abs(centre - near), centre
        return Jacobian(near.reshape(shape), apart, radius.reshape(shape))

    def _number(self, node: Node, reader: Node) -> Array:
        (found,) = self.values[node]
        if not np.array_equal(found.low, found.high):
            raise Unproved(f"`{reader.op.name}` by what is not known when compiling", reader)
        return found.low

    # ------------------------------------------------------------------------------------------------ entries

    def _entrywise(self, node: Node, moving: Sequence[int]) -> Jacobian:
        """sum_i D_i J_i with diagonal matrices D_i, whose entries are partial derivatives."""
        slopes = self._slopes(node, moving)
        shape = tuple(int(size) for size in node.type.sample)
        total = _nothing(node, len(next(iter(self.found.values())).near))
        near, apart, radius = total.near, 0.0, total.radius
        gates: list[tuple[float, Array, Gate]] = []
        for i, (low, high) in zip(moving, slopes, strict=True):
            if not (np.isfinite(low).all() and np.isfinite(high).all()):
                raise Unproved(f"the slope of `{node.op.name}` has no bound", node)
            given = self.found[node.inputs[i]]
            m, r = (np.broadcast_to(_aligned(x, len(shape)), (len(x), *shape)) for x in (given.near, given.radius))
            middle, half = (low + high) / 2, (high - low) / 2
            repeats = np.sqrt(m[0].size / max(1, given.near[0].size))
            size = (spectral(given.matrix) + given.apart if half.max(initial=0.0) else 0.0) * repeats
            own = np.abs(middle).max(initial=0.0) * given.apart * repeats + half.max(initial=0.0) * size
            near, apart = near + m * middle, apart + own
            radius = radius + np.abs(middle) * r + half * (np.abs(m) + r)
            if m.shape == given.near.shape and m.size:
                gates.append((float(own), m * middle, _gated(given, low.reshape(-1), high.reshape(-1))))
        gate = _widest(gates) if len(gates) == len(moving) else None
        return Jacobian(near, float(apart), radius, gate)

    def _slopes(self, node: Node, moving: Sequence[int]) -> list[tuple[Array, Array]]:
        """The intervals of the partial derivatives, by the operation's own rule, and never outside its known slopes."""
        if node.op is IDENTITY:
            ones = np.ones(sample_shape(node.type)[1:])
            return [(ones, ones)]
        if not callable(node.op.vjp) or isinstance(node.op.vjp, Stop):
            raise Unproved(f"`{node.op.name}` jumps", node)
        stand = [
            leaf(LEAF, f"x{i}", TensorType("real", node.shape)) if i in moving else item
            for i, item in enumerate(node.inputs)
        ]
        known: Values = {item: self.values[item] for i, item in enumerate(node.inputs) if i not in moving}
        for i in moving:
            (x,) = self.values[node.inputs[i]]
            rank = len(node.type.sample)
            known[stand[i]] = (Interval(*(_over(end, rank, sample_shape(node.type)) for end in (x.low, x.high))),)
        if len(moving) == 2 and node.inputs[moving[0]] is node.inputs[moving[1]]:
            stand[moving[1]] = stand[moving[0]]
        again = node.op(*stand, **node.attrs)
        seed = leaf(LEAF, "g", again.type)
        known[seed] = (Interval(np.ones(sample_shape(node.type)), np.ones(sample_shape(node.type))),)
        known[again] = self.values[node]
        gradients = node.op.vjp(seed, again, *stand, **node.attrs)
        wanted = [constant(0.0) if (found := gradients[i]) is None else found for i in moving]
        enclosed = Enclosing(FLOAT64, {}).through(wanted, known)
        least, most = node.op.slopes(**node.attrs) if node.op.slopes else (-np.inf, np.inf)
        shape = sample_shape(node.type)[1:]
        return [
            (np.maximum(_entries(enclosed[item][0].low, shape), least),
             np.minimum(_entries(enclosed[item][0].high, shape), most))
            for item in wanted
        ]  # fmt: skip

    def _is_decided(self, condition: Node) -> bool:
        (found,) = self.values[condition]
        return bool(np.array_equal(found.low, found.high))

    def _shrunk(self, node: Node) -> Jacobian:
        """Of norm 1; softmax of 1/2, diag(p) - p p' having eigenvalues from 0 to 1/2 (Gershgorin)."""
        given = self.found[node.inputs[0]]
        shape = (len(given.near), *(int(size) for size in node.type.sample))
        if node.op is normalisation.SOFTMAX:
            apart = given.apart / 4 + (spectral(given.matrix) + given.apart) / 4
            return Jacobian(given.near / 4, apart, np.full(shape, apart))
        return Jacobian(np.zeros(shape), given.norm, np.full(shape, given.norm))


def _aligned(rows: Array, rank: int) -> Array:
    return rows.reshape(len(rows), *(1,) * (rank - (rows.ndim - 1)), *rows.shape[1:])


def _over(end: Array, rank: int, shape: tuple[int, ...]) -> Array:
    """The end of an interval (1, *sample) over the entries of a result."""
    return np.broadcast_to(_aligned(end, rank), shape)


def _entries(end: Array, shape: tuple[int, ...]) -> Array:
    return np.broadcast_to(end.reshape(end.shape[1:] if end.ndim > len(shape) else end.shape), shape)


def _on_rows(node: Node, moving: Sequence[int], rows: Sequence[Array]) -> Array:
    """A linear operation on a batch of vectors, what does not move being 0."""
    count, given = len(rows[0]), iter(rows)
    known: dict[Node, Array] = {}
    stand = []
    for i, item in enumerate(node.inputs):
        value = next(given) if i in moving else np.zeros((count, *sample_shape(item.type)[1:]))
        batched = i in moving or item.type.batched
        shape: tuple[int | str, ...] = (BATCH, *value.shape[1:]) if batched else tuple(int(size) for size in item.shape)
        stand.append(leaf(LEAF, f"x{i}", TensorType("real", shape)))
        known[stand[-1]] = value if batched else np.zeros(shape)
    attrs = {**node.attrs, "value": 0.0} if node.op is indexing.PAD else node.attrs
    (found,) = evaluated([node.op(*stand, **attrs)], known)
    return found


def _matrix(node: Node, moving: int, fixed: Sequence[Array], sample: tuple[int, ...]) -> Array:
    """The matrix of an affine operation, a row for each entry of the argument that moves."""
    size = int(np.prod(sample))
    others = iter(fixed)
    stand, known = [], {}
    for i, item in enumerate(node.inputs):
        value = np.eye(size + 1, size).reshape(-1, *sample) if i == moving else next(others)
        if i != moving and item.type.batched:
            value = np.broadcast_to(value, (size + 1, *value.shape[1:])).copy()
        batched = i == moving or item.type.batched
        stand.append(leaf(LEAF, f"x{i}", TensorType("real", (BATCH, *value.shape[1:]) if batched else value.shape)))
        known[stand[-1]] = value
    (found,) = evaluated([node.op(*stand, **node.attrs)], known)
    return found[:-1] - found[-1:]


def _gated(given: Jacobian, least: Array, most: Array) -> Gate:
    """A gate behind what has none yet, or the one that it has, scaled."""
    if given.gate is not None:
        return given.gate.scaled(least, most)
    size = max(np.abs(least).max(), np.abs(most).max())
    return Gate(least, most, given.matrix, np.zeros_like(given.matrix), float(given.apart * size))


def _widest(gates: Sequence[tuple[float, Array, Gate]]) -> Gate:
    """Of a sum: the gate of the summand of which least is known, what is known of the others beside it."""
    place = max(range(len(gates)), key=lambda i: gates[i][0])
    _, _, gate = gates[place]
    others = [item for i, item in enumerate(gates) if i != place]
    base = gate.base + sum(centre.reshape(gate.base.shape) for _, centre, _ in others)
    return replace(gate, base=base, apart=gate.apart + sum(own for own, _, _ in others))


def _pair(gate: Gate, matrix: Array) -> tuple[Array, float] | None:
    """c I and r of +-K D K', where a map is followed by its transpose: with l <= D <= s it has eigenvalues from
    l sigma_min^2 to s sigma_max^2, and c is their middle. None where the second map is another one.
    """
    first, least, most = gate.map, float(gate.least.min()), float(gate.most.max())
    if least < 0 or first.shape != matrix.T.shape or gate.base.any() or gate.apart:
        return None
    sign = 1.0 if np.vdot(first, matrix.T) >= 0 else -1.0
    off = float(np.linalg.norm(matrix - sign * first.T))
    values = np.linalg.svd(first, compute_uv=False)
    if off > 1e-9 * (1.0 + values.max(initial=0.0)):
        return None
    smallest = values.min() if len(first) <= first.shape[1] else 0.0
    bottom, top = least * smallest**2, most * values.max() ** 2
    return sign * (bottom + top) / 2 * np.eye(len(first)), (top - bottom) / 2 + most * off * values.max()


def spectral(matrix: Array) -> float:
    """The largest singular value; of no entries 0."""
    if not matrix.size:
        return 0.0
    return float(np.linalg.norm(matrix, 2)) if np.isfinite(matrix).all() else float("inf")


def narrowed(roots: Sequence[Node], dtype: str) -> tuple[Node, ...]:
    """The same with every literal as the deployed precision holds it."""
    if dtype == "float64":
        return tuple(roots)

    def visit(node: Node, inputs: tuple[Node, ...]) -> Node:
        if node.op is CONSTANT and node.type.kind == "real":
            return constant(node.attrs["value"].astype(np.float32).astype(np.float64))
        return node.rebuilt(inputs)

    return transform(roots, visit)
