"""Scalar states as the rows of one value (n, batch), and their equations as operations on rows.

Isomorphic expressions are packed (superword-level parallelism, Larsen and Amarasinghe 2000): the i-th row of a value is
the i-th of some scalars. Each equation is a sum of products; terms of one kind, over all equations, are rows of one
operation on rows of their arguments; what sums them up, with their coefficients, is a product with a literal matrix,
which also does what else would shuffle rows. A factor that all terms of an equation have comes out of its sum:
x (a - b y), y (d x - g) are two operations. Rows, and not columns, because a number for each state is then one number
for each row of samples, which onnxruntime repeats without a loop over short rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import TypeAlias

import numpy as np

from isocline_compiler.derivatives.reverse_forward import dependent
from isocline_compiler.graph import Array, Node, Nodes, Op, constant, topological, transform, value_of
from isocline_compiler.graph.solve import Solve
from isocline_compiler.graph.tensor_type import TensorType
from isocline_compiler.ops.activation import ACTIVATION
from isocline_compiler.ops.arithmetic import ADD, DIV, MAXIMUM, MINIMUM, MUL, NEG, POW, SUB
from isocline_compiler.ops.broadcasting import broadcast_like
from isocline_compiler.ops.comparison import COMPARISON
from isocline_compiler.ops.elementwise import ELEMENTWISE
from isocline_compiler.ops.indexing import CONCAT, GATHER, SELECT, SLICE
from isocline_compiler.ops.linear import GEMM, MATMUL
from isocline_compiler.ops.shaping import EXPAND_LIKE, RESHAPE, SPREAD, TRANSPOSE
from isocline_compiler.packing.layouts import Layout, Unpackable
from isocline_compiler.packing.terms import Expander, Factors, Sum, common, without
from isocline_compiler.passes.share import shared
from isocline_compiler.solvers.grid import Discretisation, Grid

ENTRYWISE: frozenset[Op] = frozenset(
    (*ELEMENTWISE, *ACTIVATION, *COMPARISON, ADD, SUB, MUL, DIV, NEG, POW, MINIMUM, MAXIMUM)
)
"""Operations that do the same to every entry, and repeat their arguments."""

Lanes: TypeAlias = "tuple[Node, ...]"
"""Scalars of a sample that become rows, one below the other."""
WHOLE = 64
"""States up to which a sum of some of them is read off all of them, by a matrix with zeros."""


class Packing:
    """Rows of scalars of one field. `states` are its arguments, `z` (n, batch) the value they are the rows of.

    It `distributes` products over short sums, and it `factors` sums, or not: which is shorter depends on the equations.
    """

    def __init__(
        self, states: Nodes, z: Node, slopes: Sequence[Node], distributes: bool = False, factors: bool = True
    ) -> None:
        self.z = z
        self.factors = factors
        self.place = {state: i for i, state in enumerate(states)}
        order = topological(slopes)
        self.moving = set(dependent(order, states)) | set(states)
        self.expander = Expander(self.moving, distributes)
        self._known: dict[Lanes, Node] = {}
        self._reached: dict[Node, tuple[int, ...]] = {}

    def rows(self, lanes: Lanes) -> Node:
        """Scalars below each other: (m, batch), or what is repeated to it."""
        if lanes not in self._known:
            self._known[lanes] = self._rows(lanes)
        return self._known[lanes]

    def _rows(self, lanes: Lanes) -> Node:
        if len(set(lanes)) == 1 and len(lanes) > 1:
            return lanes[0] if lanes[0] not in self.moving else self.rows(lanes[:1])
        if all(lane not in self.moving for lane in lanes):
            return _stacked(lanes)
        if all(lane in self.place for lane in lanes):
            return self._states(lanes)
        if len({_kind(lane) for lane in lanes}) == 1 and not self._is_sum(lanes[0]):
            return self._entrywise(lanes)
        return self.summed([self.expander.sum_of(lane) for lane in lanes])

    def _is_sum(self, lane: Node) -> bool:
        """Whether a scalar is more than one operation on others: a sum, a product or a multiple."""
        found = self.expander.sum_of(lane)
        return found.constant != 0 or list(found.terms.items()) != [((lane,), 1.0)]

    def _states(self, lanes: Lanes) -> Node:
        places = [self.place[lane] for lane in lanes]
        first = places[0]
        if places == list(range(len(self.place))):
            return self.z
        if places == list(range(first, first + len(places))):
            return SLICE(self.z, axis=0, start=first, stop=first + len(places))
        return GATHER(self.z, constant(np.array(places)), axis=0)

    def _entrywise(self, lanes: Lanes) -> Node:
        """One operation of each scalar as one operation on rows."""
        first = lanes[0]
        if first.op not in ENTRYWISE or any(item.type.sample for lane in lanes for item in lane.inputs):
            raise Unpackable
        arguments = [self.rows(tuple(lane.inputs[i] for lane in lanes)) for i in range(len(first.inputs))]
        return first.op(*(_table(item) if item.type.batched else item for item in arguments), **first.attrs)

    # ------------------------------------------------------------------------------------------------ sums

    def summed(self, sums: list[Sum]) -> Node:
        """Sums below each other: a common factor times what is left of each, or terms by their kinds."""
        factors = self._factor_of_each(sums)
        if factors is not None:
            rest = []
            for item, factor in zip(sums, factors, strict=True):
                left = Sum()
                for term, coefficient in item.terms.items():
                    self._add(left, without(term, factor), coefficient)
                rest.append(left)
            return self.rows(tuple(factors)) * self.summed(rest)
        return self._of_kinds(sums)

    def _add(self, left: Sum, factors: Factors, coefficient: float) -> None:
        """What is left of a term: a number, one scalar, which may be a sum in turn, or a product."""
        if not factors:
            left.constant += coefficient
        elif len(factors) == 1:
            inner = self.expander.sum_of(factors[0])
            left.constant += coefficient * inner.constant
            for term, number in inner.terms.items():
                left.add(term, coefficient * number)
        else:
            left.add(factors, coefficient)

    def _factor_of_each(self, sums: list[Sum]) -> list[Node] | None:
        """A factor of every term of each sum: one for all where there is one, else the states in their order."""
        if (
            not self.factors
            or any(item.constant or not item.terms for item in sums)
            or all(len(item.terms) == 1 for item in sums)
        ):
            return None
        shared = common(item.terms for item in sums)
        if not all(shared):
            return None
        everywhere = [item for item in shared[0] if all(item in other for other in shared)]
        if everywhere:
            return [everywhere[0]] * len(sums)
        own = list(self.place)
        if len(sums) == len(own) and all(state in found for state, found in zip(own, shared, strict=True)):
            return own
        return [next((item for item in found if item in self.place), found[0]) for found in shared]

    def _of_kinds(self, sums: list[Sum]) -> Node:
        """d + sum over the kinds of terms of C_kind rows(terms), C the coefficients."""
        kinds: dict[object, list[Factors]] = {}
        terms_met = dict.fromkeys(term for item in sums for term in item.terms)
        for term in sorted(terms_met, key=lambda term: tuple(map(self._first_states, term))):
            kinds.setdefault(self._kind_of(term), []).append(term)
        total: Node | None = constant(np.array([[item.constant] for item in sums]))
        if not any(item.constant for item in sums) and kinds:
            total = None
        groups = [(terms, np.array([[item.terms.get(term, 0.0) for term in terms] for item in sums]))
                  for terms in kinds.values()]  # fmt: skip
        for terms, matrix in sorted(groups, key=lambda group: (self._moves(group[0]), _diagonal(group[1]))):
            if len(terms[0]) == 1 and terms[0][0] in self.place and len(self.place) <= WHOLE:
                terms, matrix = self._of_all_states(terms, matrix)
            total = _combined(self._terms(terms), matrix, total)
        assert total is not None, "a sum has a term or a number"
        return total

    def _moves(self, terms: list[Factors]) -> bool:
        """Whether terms depend on a state: others come first, and leave the field together."""
        return any(factor in self.moving for factor in terms[0])

    def _of_all_states(self, terms: list[Factors], matrix: Array) -> tuple[list[Factors], Array]:
        """The same terms among all states, whose rows are there already."""
        every: list[Factors] = [(state,) for state in self.place]
        wide = np.zeros((len(matrix), len(every)))
        wide[:, [self.place[term[0]] for term in terms]] = matrix
        return every, wide

    def _first_states(self, node: Node) -> tuple[int, ...]:
        """The places of the states that a scalar depends on: scalars in this order need no shuffling of rows."""
        if node not in self._reached:
            self._reached[node] = tuple(sorted(self.place[item] for item in topological([node]) if item in self.place))
        return self._reached[node]

    def _kind_of(self, term: Factors) -> object:
        if len(term) == 1:
            (factor,) = term
            return "states" if factor in self.place else "fixed" if factor not in self.moving else _kind(factor)
        return tuple(sorted(map(self._class_of, term)))

    def _class_of(self, factor: Node) -> str:
        return "0" if factor not in self.moving else "1" if factor in self.place else f"2{factor.op.name}"

    def _terms(self, terms: list[Factors]) -> Node:
        """Terms of one kind below each other. States are all of them: the matrix picks."""
        if len(terms[0]) == 1:
            return _table(self.rows(tuple(term[0] for term in terms)))
        shared = [item for item in terms[0] if all(item in term for term in terms)] if len(terms) > 1 else []
        if shared:
            first = shared[0]
            rest = [without(term, first) for term in terms]
            return _table(self.rows((first,) * len(terms)) * self._terms(rest))
        ordered = [sorted(term, key=lambda item: (self._class_of(item), self.place.get(item, 0))) for term in terms]
        places = [self.rows(tuple(term[i] for term in ordered)) for i in range(len(ordered[0]))]
        total = places[0]
        for item in places[1:]:
            total = total * item
        return _table(total)


def _kind(node: Node) -> object:
    attrs = tuple(sorted((key, repr(value)) for key, value in node.attrs.items()))
    return (node.op.name, attrs) if node.inputs else node


def _diagonal(matrix: Array) -> bool:
    return matrix.shape[0] == matrix.shape[1] and np.array_equal(matrix, np.diag(np.diagonal(matrix)))


def _combined(rows: Node, matrix: Array, total: Node | None) -> Node:
    """total + matrix @ rows."""
    numbers = np.diagonal(matrix)
    if _diagonal(matrix) and total is None:
        return rows if (numbers == 1).all() else rows * _numbers(numbers)
    if _diagonal(matrix) and total is not None and abs(numbers[0]) == 1 and (numbers == numbers[0]).all():
        return total + rows if numbers[0] == 1 else total - rows
    if total is None:
        return MATMUL(constant(matrix), rows)
    if rows.size(1) == 1 != total.size(1):  # what cancels to a number
        return total + MATMUL(constant(matrix), rows)
    return GEMM(constant(matrix), rows, total, alpha=1.0)


def _numbers(numbers: Array) -> Node:
    """A number for each row, or one for all."""
    return constant(numbers[0]) if (numbers == numbers[0]).all() else constant(numbers[:, None])


def _table(x: Node) -> Node:
    """A scalar of each sample, or one number, as a row."""
    if x.type.rank == 2:
        return x
    return RESHAPE(x, shape=(1, x.shape[0]) if x.type.rank else (1, 1))


def _stacked(lanes: Lanes) -> Node:
    """Scalars that depend on no state, below each other: they leave the field, or change with time alone."""
    values = [value_of(lane) for lane in lanes]
    if all(value is not None and value.shape == () for value in values):
        return constant(np.array([[float(value)] for value in values if value is not None]))
    if any(lane.type.sample or lane.type.kind != "real" for lane in lanes):
        raise Unpackable
    wide = next((lane for lane in lanes if lane.type.batched), None)
    rows = [_table(lane) for lane in lanes]
    if wide is not None:
        rows = [row if row.shape == (1, *wide.shape) else EXPAND_LIKE(row, _table(wide)) for row in rows]
    return rows[0] if len(rows) == 1 else CONCAT(*rows, axis=0)


# ---------------------------------------------------------------------------------------------------- the layout


def _fits(solve: Solve, choice: Discretisation) -> bool:
    """Numbers of each sample, on a grid that is the same for all."""
    numbers = all(x.type.kind == "real" and x.type.batched and x.type.rank == 1 for x in solve.initial)
    return numbers and isinstance(choice.grid, Grid)


def _type(solve: Solve) -> TensorType:
    first = solve.initial[0].type
    return first.with_shape((len(solve.initial), first.shape[0]))


def _initial(solve: Solve) -> Node:
    return CONCAT(*map(_table, solve.initial), axis=0)


def _slope(solve: Solve, z: Node) -> Node:
    """The slopes as rows, in the way that takes the fewest operations."""
    slopes = shared(transform(solve.slopes(), _unrepeated))
    found = []
    for distributes, factors in product((False, True), (True, False)):
        packing = Packing(solve.state_arguments, z, slopes, distributes, factors)
        found.append(packing.summed([packing.expander.sum_of(slope) for slope in slopes]))
    least = min(found, key=lambda slope: sum(1 for node in topological([slope]) if node.inputs))
    return broadcast_like(least, z)


def _unrepeated(node: Node, inputs: Nodes) -> Node:
    """A number in the shape of a state is the number: rows repeat it where they have to, and so does what broadcasts.

    What does not, such as a reshape, is given what it was given.
    """
    given = tuple(
        new if node.op.broadcasts or new.shape == old.shape else old
        for new, old in zip(inputs, node.inputs, strict=True)
    )
    if node.op in (SPREAD, EXPAND_LIKE) and node.type.sample == () and inputs[0].shape == ():
        return inputs[0]
    return node.rebuilt(given)


def _results(solve: Solve, z: Node) -> Nodes:
    """(n, batch), or (times, n, batch), row by row: (batch,), or (batch, times)."""
    axis = z.type.rank - 2
    rows = [SELECT(z, axis=axis, index=i) for i in range(len(solve.initial))]
    return tuple(TRANSPOSE(row, perm=(1, 0)) if axis else row for row in rows)


ROWS = Layout("rows", _fits, _type, _initial, _slope, _results)
