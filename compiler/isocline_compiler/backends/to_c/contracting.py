"""Sums of products, and extremes, over loops: dense layers, products of matrices, convolutions, reductions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

import numpy as np

from isocline_compiler.backends.to_c.builder import Builder
from isocline_compiler.backends.to_c.kernels import Access, Contraction, Operand
from isocline_compiler.backends.to_c.storage import (
    FEW,
    Atom,
    Element,
    Literal,
    Small,
    Strided,
    Value,
    depends_on_sample,
    row_major,
    sizes_of,
)
from isocline_compiler.graph import Array, Node
from isocline_compiler.graph.c_form import Index, Loops, Sizes

PRODUCTS = 160
"""Products of atoms up to which they are written out, one by one."""
COMBINED = {
    "sum": "{0} + {1}",
    "prod": "{0} * {1}",
    "max": "({1} > {0} || {1} != {1}) ? {1} : {0}",
    "min": "({1} < {0} || {1} != {1}) ? {1} : {0}",
}
"""How two terms become one."""


@dataclass
class Contracting:
    """One contraction: by atoms where there are few, else in loops."""

    builder: Builder
    node: Node
    loops: Loops
    arguments: Sequence[Value]

    def value(self) -> Value:
        sizes = sizes_of(self.node.shape)
        terms = prod(self.loops.out) * prod(self.loops.over) * max(len(self.loops.factors), 1)
        chosen = [self.arguments[number] for number, _ in self.loops.factors]
        if prod(sizes) <= FEW and terms <= PRODUCTS and prod(self.loops.over) <= FEW:
            return self._by_atoms(sizes)
        atoms = any(isinstance(item, Small) for item in chosen)
        if atoms and self.loops.combine == "sum" and prod(self.loops.over) <= FEW < prod(sizes):
            return self._by_terms(sizes)
        return self._in_loops(sizes)

    # ------------------------------------------------------------------------------------------------ few entries

    def _by_atoms(self, sizes: Sizes) -> Small:
        found = []
        for out in product(*map(range, self.loops.out)):
            total = None if self.loops.bias is None else self._entry(self.loops.bias, out)
            for over in product(*map(range, self.loops.over)):
                total = self._joined(total, [self._entry(item, (*out, *over)) for item in self.loops.factors])
            assert total is not None
            found.append(self._scaled(total))
        return Small(tuple(found), sizes)

    def _entry(self, operand: tuple[int, Index], counters: tuple[int, ...]) -> Atom:
        number, index = operand
        value = self.arguments[number]
        places = [sum(steps * counters[loop] for loop, steps in axis.items()) for axis in index]
        if isinstance(value, Strided):
            return Element(value.buffer, value.base + sum(p * s for p, s in zip(places, value.strides, strict=True)))
        return value.atoms[int(np.ravel_multi_index(places, value.sizes)) if places else 0]

    def _joined(self, total: Atom | None, factors: Sequence[Atom]) -> Atom:
        """One term more; what is multiplied by a literal 0 or 1 costs nothing."""
        numbers = [atom.value for atom in factors if isinstance(atom, Literal)]
        rest = [atom for atom in factors if not isinstance(atom, Literal)]
        kind, batched = self.node.type.kind, depends_on_sample(self.node.shape)
        scale = prod(numbers)
        if self.loops.combine == "sum" and numbers and scale == 0 and total is not None:
            return total
        text = " * ".join(f"{{{i}}}" for i in range(len(rest)))
        atoms: list[Atom] = list(rest)
        if not rest or (numbers and scale != 1):
            text = f"{text} * {{{len(rest)}}}" if rest else "{0}"
            atoms.append(Literal(scale, kind))
        if total is None:
            return atoms[0] if text == "{0}" else self.builder.assign(text, atoms, kind, batched)
        text = COMBINED[self.loops.combine].replace("{1}", text.replace("{", "{_")).replace("{0}", f"{{{len(atoms)}}}")
        return self.builder.assign(text.replace("{_", "{"), (*atoms, total), kind, batched)

    def _scaled(self, total: Atom) -> Atom:
        if self.loops.scale == 1:
            return total
        kind, batched = self.node.type.kind, depends_on_sample(self.node.shape)
        return self.builder.assign("{0} * {1}", (total, Literal(self.loops.scale, kind)), kind, batched)

    # ------------------------------------------------------------------------------------------------ few terms

    def _by_terms(self, sizes: Sizes) -> Strided:
        """Every term is a statement of one nest over the result: what is summed are atoms, or arrays."""
        kind, batched = self.node.type.kind, depends_on_sample(self.node.shape)
        count = len(self.loops.out)
        total = None if self.loops.bias is None else self._moving(self.loops.bias, (), count)
        for over in product(*map(range, self.loops.over)):
            factors = [self._moving(item, over, count) for item in self.loops.factors]
            text = " * ".join(f"{{{i}}}" for i in range(len(factors)))
            operands = list(factors)
            if total is not None:
                text, operands = f"{{{len(factors)}}} + {text}", [*factors, total]
            made = self.builder.mapped(self.loops.out, text, operands, kind, batched)
            total = Access(made.buffer, made.base, made.strides)
        assert isinstance(total, Access)
        if self.loops.scale != 1:
            made = self.builder.mapped(
                self.loops.out, "{0} * {1}", (total, Literal(self.loops.scale, kind)), kind, batched
            )
        return Strided(made.buffer, 0, row_major(sizes), sizes)

    def _moving(self, operand: tuple[int, Index], over: tuple[int, ...], count: int) -> Access | Atom:
        """What a nest over the result reads of an operand, at one entry of what is summed."""
        number, index = operand
        value = self.arguments[number]
        moved = any(loop < count for axis in index for loop in axis if self.loops.out[loop : loop + 1] != (1,))
        fixed = [sum(s * over[loop - count] for loop, s in axis.items() if loop >= count) for axis in index]
        if isinstance(value, Small):
            if not moved:
                return value.atoms[int(np.ravel_multi_index(fixed, value.sizes)) if fixed else 0]
            value = self._array(number)
        base = value.base + sum(p * s for p, s in zip(fixed, value.strides, strict=True))
        if not moved:
            return Element(value.buffer, base)
        return Access(value.buffer, base, self._strides(value, index, count))

    def _array(self, number: int) -> Strided:
        item = self.node.inputs[number]
        value = self.arguments[number]
        if isinstance(value, Strided):
            return value
        return self.builder.materialised(value, item.type.kind, depends_on_sample(item.shape))

    def _strides(self, value: Strided, index: Index, count: int) -> tuple[int, ...]:
        found = [0] * count
        for axis, steps in enumerate(index):
            for loop, step in steps.items():
                if loop < count:
                    found[loop] += step * value.strides[axis]
        return tuple(found)

    # ------------------------------------------------------------------------------------------------ loops

    def _in_loops(self, sizes: Sizes) -> Value:
        out, over = self.loops.out, self.loops.over
        kind, batched = self.node.type.kind, depends_on_sample(self.node.shape)
        few = prod(sizes) <= FEW
        factors = [self._access(operand) for operand in self.loops.factors]
        factors = [self._laid(item, few) for item in factors]
        bias: Operand | tuple[Operand, ...] | None = None
        if few:
            targets = tuple(self.builder.variable(kind, batched) for _ in range(prod(sizes)))
            if self.loops.bias is not None:
                bias = tuple(self._entry(self.loops.bias, counters) for counters in product(*map(range, out)))
        else:
            targets = (self.builder.array(kind, prod(sizes), batched),)
            if self.loops.bias is not None:
                bias = self._moving(self.loops.bias, (), len(out))
        kernel = Contraction(
            self.builder.number(), out, over, tuple(factors), bias, targets, self.loops.combine, self.loops.scale
        )
        self.builder.contracted(kernel)
        if few:
            return Small(tuple(Element(target) for target in targets), sizes)
        return Strided(targets[0], 0, row_major(sizes), sizes)

    def _access(self, operand: tuple[int, Index]) -> Access:
        number, index = operand
        value = self._array(number)
        return Access(value.buffer, value.base, self._strides(value, index, len(self.loops.out) + len(self.loops.over)))

    def _laid(self, item: Access, few: bool) -> Access:
        """A table in the order in which the loops read it: summed last where there are few results, else first."""
        if item.buffer.data is None:
            return item
        sizes = (*self.loops.out, *self.loops.over)
        moved = [axis for axis, (n, s) in enumerate(zip(sizes, item.strides, strict=True)) if n > 1 and s]
        count = len(self.loops.out)
        order = moved if few else [a for a in moved if a >= count] + [a for a in moved if a < count]
        shape = tuple(sizes[axis] for axis in order)
        view = Strided(item.buffer, item.base, tuple(item.strides[axis] for axis in order), shape)
        data: Array = item.buffer.data[view.places()]
        strides = [0] * len(sizes)
        for axis, stride in zip(order, row_major(shape), strict=True):
            strides[axis] = stride
        return Access(self.builder.table(data, item.buffer.kind), 0, tuple(strides))
