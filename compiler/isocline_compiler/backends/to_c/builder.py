"""Kernels in order, each statement in the earliest one that it may stand in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from math import prod

import numpy as np

from isocline_compiler.backends.to_c.kernels import (
    Access,
    Contraction,
    Kernel,
    Nest,
    Operand,
    Repeat,
    Statement,
    Straight,
    Text,
    buffer_of,
)
from isocline_compiler.backends.to_c.storage import (
    FEW,
    Atom,
    Buffer,
    Element,
    Literal,
    Names,
    Strided,
    Value,
    row_major,
    strides_of,
)
from isocline_compiler.graph import Array
from isocline_compiler.graph.c_form import Sizes
from isocline_compiler.graph.tensor_type import Kind

LINES = 192
"""Statements of one straight line: a longer one is more than a compiler keeps in registers, and slow to compile."""
NEAR = 4
"""Kernels that are looked back at for one that a statement may join."""


@dataclass
class Builder:
    """Collects kernels and buffers of one program."""

    names: Names = field(default_factory=Names)
    kernels: list[Kernel] = field(default_factory=list)
    buffers: list[Buffer] = field(default_factory=list)
    tables: dict[tuple[str, bytes], Buffer] = field(default_factory=dict)
    last: int = 0

    def number(self) -> int:
        self.last += 1
        return self.last

    # ------------------------------------------------------------------------------------------------ buffers

    def array(self, kind: Kind, count: int, batched: bool) -> Buffer:
        """A new array."""
        made = Buffer(self.names.fresh("a"), kind, count, batched)
        self.buffers.append(made)
        return made

    def variable(self, kind: Kind, batched: bool) -> Buffer:
        """A new variable."""
        made = Buffer(self.names.fresh("v"), kind, 1, batched, scalar=True)
        self.buffers.append(made)
        return made

    def table(self, data: Array, kind: Kind) -> Buffer:
        """The table with these entries, one for all that read them."""
        stored = np.ascontiguousarray(data)
        key = (f"{kind}{stored.dtype}", stored.tobytes())
        if key not in self.tables:
            self.tables[key] = Buffer(self.names.fresh("c"), kind, stored.size, False, data=stored.reshape(-1), home=0)
        return self.tables[key]

    # ------------------------------------------------------------------------------------------------ kernels

    def add(self, kernel: Kernel) -> None:
        self.kernels.append(kernel)

    def assign(self, text: str, operands: Sequence[Atom], kind: Kind, batched: bool) -> Element:
        """A variable with the value of an expression of atoms."""
        target = self.variable(kind, batched)
        self.store(Element(target), text, operands)
        return Element(target)

    def store(self, target: Element, text: str, operands: Sequence[Atom], *, late: bool = False) -> None:
        """Write an expression of atoms to a variable, or to an entry of an array; `late`: behind all that there is."""
        line = self._line(operands, late)
        line.statements.append(Statement(target, text, tuple(operands)))
        target.buffer.home = max(target.buffer.home, line.number)

    def _line(self, operands: Sequence[Operand], late: bool) -> Straight:
        home = max((item.home for item in map(buffer_of, operands) if item is not None), default=0)
        for kernel in self.kernels[: -NEAR - 1 : -1]:
            if kernel.number < home:
                break
            if isinstance(kernel, Straight) and len(kernel.statements) < LINES:
                return kernel
            if late:
                break
        made = Straight(self.number())
        self.add(made)
        return made

    def mapped(
        self, sizes: Sizes, text: str, operands: Sequence[Operand], kind: Kind, batched: bool,
        place: Access | None = None, late: bool = False,
    ) -> Strided:  # fmt: skip
        """An expression at every index, in a new array or at a place of another, in the nest that computes what it
        reads where there is one; `late`: behind all that there is.
        """
        where = place or Access(self.array(kind, prod(sizes), batched), 0, row_major(sizes))
        nest = self._new_nest(sizes) if late else self._nest(sizes, operands, where)
        nest.statements.append((where.buffer, text, tuple(operands)))
        nest.places.append(where)
        where.buffer.home = max(where.buffer.home, nest.number)
        return Strided(where.buffer, where.base, where.strides, sizes)

    def _nest(self, sizes: Sizes, operands: Sequence[Operand], place: Access) -> Nest:
        read = [(item, buffer_of(item)) for item in operands]
        for kernel in self.kernels[: -NEAR - 1 : -1]:
            if any(buffer.home > kernel.number for _, buffer in read if buffer is not None):
                break
            if isinstance(kernel, Nest) and kernel.sizes == sizes and _joins(kernel, read, place):
                return kernel
        return self._new_nest(sizes)

    def _new_nest(self, sizes: Sizes) -> Nest:
        made = Nest(self.number(), sizes)
        self.add(made)
        return made

    @contextmanager
    def repeated(self, count: int) -> Iterator[Repeat]:
        """Kernels added inside are the body of a loop."""
        loop = Repeat(self.number(), count, self.names.fresh("i"))
        outer, self.kernels = self.kernels, loop.body
        try:
            yield loop
        finally:
            self.kernels = outer
            self.add(loop)

    # ------------------------------------------------------------------------------------------------ values

    def materialised(self, value: Value, kind: Kind, batched: bool, *, own: bool = False) -> Strided:
        """The same value in an array, its entries one after another; with `own` in one that nothing else names."""
        if isinstance(value, Strided) and value.contiguous and not own:
            return value
        sizes = value.sizes
        if isinstance(value, Strided):
            source = Access(value.buffer, value.base, value.strides)
            return self.mapped(sizes, "{0}", (source,), kind, batched)
        if all(isinstance(atom, Literal) for atom in value.atoms) and not own:
            numbers = np.array([atom.value for atom in value.atoms if isinstance(atom, Literal)])
            return Strided(self.table(numbers, kind), 0, row_major(sizes), sizes)
        target = self.array(kind, prod(sizes), batched)
        for i, atom in enumerate(value.atoms):
            self.store(Element(target, i), "{0}", (atom,))
        return Strided(target, 0, row_major(sizes), sizes)

    def gathered(
        self, places: Array, sources: Sequence[Strided | None], which: Array, kind: Kind, batched: bool, fill: Literal
    ) -> Strided:
        """Entries from several arrays: `which[e]` numbers the array of entry e, -1 for the fill, `places[e]` is where
        in its buffer. Copied box by box, or by a table where the boxes would be many.
        """
        sizes = places.shape
        target = self.array(kind, places.size, batched)
        whole = Access(target, 0, row_major(sizes))
        for start, shape in _boxes(places, which):
            part = tuple(slice(a, a + n) for a, n in zip(start, shape, strict=True))
            place = Access(target, sum(a * s for a, s in zip(start, whole.strides, strict=True)), whole.strides)
            if (which[part] != which[part].flat[0]).any():
                self._sorted(places[part], sources, which[part], kind, batched, fill, place)
                continue
            source = int(which[part].flat[0])
            if source < 0:
                self.mapped(shape, "{0}", (fill,), kind, batched, place)
                continue
            view = sources[source]
            assert view is not None
            strides = strides_of(places[part])
            if strides is not None:
                read = Access(view.buffer, int(places[part].flat[0]), strides)
                self.mapped(shape, "{0}", (read,), kind, batched, place)
            else:
                self._by_table(shape, places[part], view.buffer, place)
        return Strided(target, 0, whole.strides, sizes)

    def _sorted(
        self, places: Array, sources: Sequence[Strided | None], which: Array, kind: Kind, batched: bool, fill: Literal,
        place: Access,
    ) -> None:  # fmt: skip
        """Entries of several arrays that alternate: those of each array together first, then by a table."""
        order = np.argsort(which, axis=None, kind="stable")
        found = which.reshape(-1)[order]
        pool = self.gathered(places.reshape(-1)[order], sources, found, kind, batched, fill)
        ranks = np.empty_like(order)
        ranks[order] = np.arange(order.size)
        self._by_table(places.shape, ranks.reshape(places.shape), pool.buffer, place)

    def _by_table(self, shape: Sizes, places: Array, source: Buffer, place: Access) -> None:
        table = self.table(places.astype(np.int64), "int")
        kernel = Text(
            self.number(),
            f"for (int k = 0; k < {prod(shape)}; ++k) {{ {{y}}(k) = {{x0}}({{x1}}(k)); }}",
            place.buffer,
            ((source, 0), (table, 0)),
        )
        if place.strides != row_major(shape) or place.base:
            copy = self.array(source.kind, prod(shape), place.buffer.batched)
            kernel.target = copy
            self.add(kernel)
            copy.home = kernel.number
            read = Access(copy, 0, row_major(shape))
            self.mapped(shape, "{0}", (read,), source.kind, copy.batched, place)
        else:
            self.add(kernel)
            place.buffer.home = max(place.buffer.home, kernel.number)

    def contracted(self, kernel: Contraction) -> None:
        self.add(kernel)
        for target in kernel.targets:
            target.home = kernel.number


def _joins(nest: Nest, read: Sequence[tuple[Operand, Buffer | None]], place: Access) -> bool:
    """Whether a statement may stand in a nest: what it reads of that nest's own results lies at the same index."""
    own = {item.buffer: item for item in nest.places}
    if place.buffer in own or len(nest.statements) >= LINES:
        return False
    for operand, buffer in read:
        if buffer in own:
            at = own[buffer]
            if not isinstance(operand, Access) or (operand.base, operand.strides) != (at.base, at.strides):
                return False
    return True


def _boxes(places: Array, which: Array) -> Iterator[tuple[Sizes, Sizes]]:
    """Boxes of the index whose entries are all of one array at even distances, or all the fill; (start, sizes)."""
    pending = [((0,) * places.ndim, places.shape)]
    while pending:
        start, shape = pending.pop()
        part = tuple(slice(a, a + n) for a, n in zip(start, shape, strict=True))
        sources = which[part]
        first = sources.flat[0]
        if (sources == first).all() and (first < 0 or strides_of(places[part]) is not None or places[part].size <= FEW):
            yield start, shape
            continue
        cut = _cut(sources, places[part])
        if cut is None:  # one array in no order, or several that alternate
            yield start, shape
            continue
        axis, bounds = cut
        for a, b in reversed(list(pairwise(bounds))):
            pending.append(
                ((*start[:axis], start[axis] + a, *start[axis + 1 :]), (*shape[:axis], b - a, *shape[axis + 1 :]))
            )


def _cut(sources: Array, places: Array) -> tuple[int, list[int]] | None:
    """An axis and where to cut it: where the array that slabs are read from changes."""
    for axis in range(sources.ndim):
        slabs = np.moveaxis(sources, axis, 0).reshape(sources.shape[axis], -1)
        changes = np.flatnonzero((slabs[1:] != slabs[:-1]).any(axis=1)) + 1
        in_order = len(changes) < len(np.unique(sources))  # one after another, however many there are
        if len(changes) and (len(changes) <= 8 or in_order):
            return axis, [0, *map(int, changes), sources.shape[axis]]
    return None
