"""A graph without solves as kernels: what each operation does to atoms and to arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from isocline_compiler.backends.to_c.builder import Builder
from isocline_compiler.backends.to_c.contracting import Contracting
from isocline_compiler.backends.to_c.kernels import Access, Operand, Text
from isocline_compiler.backends.to_c.storage import (
    FEW,
    Buffer,
    Element,
    Literal,
    NotInC,
    Small,
    Strided,
    Value,
    depends_on_sample,
    row_major,
    sizes_of,
    strides_of,
)
from isocline_compiler.graph import CONSTANT, INPUT, WEIGHT, Array, Graph, Node, Region, topological
from isocline_compiler.graph.c_form import Entries, Moves, NoC, Rewritten, Sizes, Sums
from isocline_compiler.graph.scan import SCAN
from isocline_compiler.graph.solve import PICK, parts
from isocline_compiler.ops.evaluation import applied

GATHERED = 64
"""Entries up to which an array that is put together from variables is filled one by one."""


@dataclass
class Lowering:
    """Walks a graph, arguments first, and gives each node its value."""

    weights: Mapping[str, Array]
    builder: Builder = field(default_factory=Builder)
    inputs: dict[str, Buffer] = field(default_factory=dict)
    values: dict[Node, Value] = field(default_factory=dict)
    results: dict[Node, tuple[Value, ...]] = field(default_factory=dict)

    def graph(self, graph: Graph) -> None:
        """Everything that the outputs need."""
        for node in graph.inputs:
            name = node.attrs["name"]
            made = Buffer(f"in_{name}", node.type.kind, prod(sizes_of(node.shape)), depends_on_sample(node.shape))
            made.home = 0
            self.inputs[name] = made
        self.walk(graph.nodes())

    def walk(self, nodes: Iterable[Node]) -> None:
        for node in nodes:
            if node in self.values:
                continue
            if node.op is SCAN:
                self.results[node] = self._scan(node)
            elif node.op is PICK:
                self.values[node] = self.results[node.inputs[0]][node.attrs["index"]]
            else:
                self.values[node] = self.value(node)

    # ------------------------------------------------------------------------------------------------ leaves

    def value(self, node: Node) -> Value:
        if node.op is INPUT:
            buffer = self.inputs[node.attrs["name"]]
            return self.view(Strided(buffer, 0, row_major(sizes_of(node.shape)), sizes_of(node.shape)))
        if node.op is CONSTANT:
            return self.constant(node.attrs["value"], node)
        if node.op is WEIGHT:
            return self.constant(np.asarray(self.weights[node.attrs["name"]], dtype=np.float64), node)
        return self._computed(node)

    def view(self, view: Strided) -> Value:
        """The same value as atoms, where it has few entries."""
        if prod(view.sizes) > FEW:
            return view
        return Small(tuple(Element(view.buffer, int(i)) for i in view.places()), view.sizes)

    def constant(self, data: Array, node: Node) -> Value:
        sizes = sizes_of(node.shape)
        if data.size <= FEW:
            return Small(tuple(Literal(float(item), node.type.kind) for item in data.reshape(-1)), sizes)
        if data.strides == (0,) * data.ndim:  # one number, repeated
            one = self.builder.table(data.reshape(-1)[:1].astype(data.dtype), node.type.kind)
            return Strided(one, 0, (0,) * len(sizes), sizes)
        return Strided(self.builder.table(data, node.type.kind), 0, row_major(sizes), sizes)

    # ------------------------------------------------------------------------------------------------ operations

    def _computed(self, node: Node) -> Value:
        form = node.op.c
        while callable(form):
            form = form(node)
        if form is None or isinstance(form, NoC):
            raise NotInC(f"`{node.op.name}`: {form.reason if form else 'nobody has written it in C yet'}")
        _refuse_across_samples(node)
        if isinstance(form, Rewritten):
            (root,) = [form.formula(*node.inputs, **node.attrs)]
            self.walk(topological([root], tuple(self.values)))
            return self.values[root]
        arguments = [self.values[item] for item in node.inputs]
        if isinstance(form, str):
            return self._entrywise(node, form, arguments)
        if isinstance(form, Moves):
            return self._moved(node, form, arguments)
        if isinstance(form, Sums):
            loops = form.loops(tuple(sizes_of(item.shape) for item in node.inputs), node.attrs)
            return Contracting(self.builder, node, loops, arguments).value()
        return self._text(node, form, arguments)

    def _entrywise(self, node: Node, form: str, arguments: Sequence[Value]) -> Value:
        sizes, batched, kind = sizes_of(node.shape), depends_on_sample(node.shape), node.type.kind
        text = _written(form, node)
        if prod(sizes) <= FEW:
            rows = [_repeated(item, sizes) for item in arguments]
            atoms = [self.builder.assign(text, atoms, kind, batched) for atoms in zip(*rows, strict=True)]
            return Small(tuple(atoms), sizes)
        operands = [self._operand(value, item, sizes) for value, item in zip(arguments, node.inputs, strict=True)]
        return self.builder.mapped(sizes, text, operands, kind, batched)

    def _operand(self, value: Value, node: Node, sizes: Sizes) -> Operand:
        """How a nest over `sizes` reads a value that is repeated along them."""
        if isinstance(value, Small):
            if len(value.atoms) == 1:
                return value.atoms[0]
            value = self.builder.materialised(value, node.type.kind, depends_on_sample(node.shape))
        lead = (0,) * (len(sizes) - len(value.sizes))
        return Access(
            value.buffer,
            value.base,
            (*lead, *(0 if n == 1 else s for n, s in zip(value.sizes, value.strides, strict=True))),
        )

    def _text(self, node: Node, form: Entries, arguments: Sequence[Value]) -> Value:
        sizes, batched = sizes_of(node.shape), depends_on_sample(node.shape)
        sources = tuple(
            self.builder.materialised(value, item.type.kind, depends_on_sample(item.shape))
            for value, item in zip(arguments, node.inputs, strict=True)
        )
        target = self.builder.array(node.type.kind, prod(sizes), batched)
        text = form.text(sizes, tuple(item.sizes for item in sources), node.attrs)
        kernel = Text(self.builder.number(), text, target, tuple((item.buffer, item.base) for item in sources))
        self.builder.add(kernel)
        target.home = kernel.number
        return self.view(Strided(target, 0, row_major(sizes), sizes))

    # ------------------------------------------------------------------------------------------------ moves

    def _moved(self, node: Node, form: Moves, arguments: Sequence[Value]) -> Value:
        sizes, kind = sizes_of(node.shape), node.type.kind
        numbers = self._numbers(node, form, arguments)
        fill = Literal(float(node.attrs[form.fill]) if form.fill else 0.0, kind)
        starts = np.cumsum([1, *(prod(item.sizes) for item in arguments)])
        which = np.searchsorted(starts, numbers, side="right") - 1
        if prod(sizes) <= FEW:
            chosen = [
                fill if i < 0 else _atom(arguments[i], int(number - starts[i]))
                for i, number in zip(which.reshape(-1).tolist(), numbers.reshape(-1).tolist(), strict=True)
            ]
            return Small(tuple(chosen), sizes)
        batched = depends_on_sample(node.shape)
        if prod(sizes) <= GATHERED and all(isinstance(arguments[i], Small) for i in np.unique(which) if i >= 0):
            return self._of_atoms(node, which, numbers - starts[which], arguments, fill)
        views = [
            item if isinstance(item, Strided) or not (which == i).any()
            else self.builder.materialised(item, kind, depends_on_sample(node.inputs[i].shape))
            for i, item in enumerate(arguments)
        ]  # fmt: skip
        places = np.zeros(numbers.shape, dtype=np.int64)
        for i, view in enumerate(views):
            if isinstance(view, Strided) and (which == i).any():
                places[which == i] = view.places()[numbers[which == i] - starts[i]]
        if (which == which.flat[0]).all() and which.flat[0] >= 0:
            view, strides = views[int(which.flat[0])], strides_of(places)
            if strides is not None and isinstance(view, Strided):
                return Strided(view.buffer, int(places.flat[0]), strides, sizes)
        strided = [view if isinstance(view, Strided) else None for view in views]
        return self.builder.gathered(places, strided, which, kind, batched, fill)

    def _of_atoms(self, node: Node, which: Array, numbers: Array, arguments: Sequence[Value], fill: Literal) -> Strided:
        """An array that is filled with variables, one after another."""
        sizes, build = sizes_of(node.shape), self.builder
        target = build.array(node.type.kind, prod(sizes), depends_on_sample(node.shape))
        for i, (argument, number) in enumerate(zip(which.reshape(-1), numbers.reshape(-1), strict=True)):
            atom = fill if argument < 0 else _atom(arguments[int(argument)], int(number))
            build.store(Element(target, i), "{0}", (atom,))
        return Strided(target, 0, row_major(sizes), sizes)

    def _numbers(self, node: Node, form: Moves, arguments: Sequence[Value]) -> Array:
        """For each entry of the result the number of the entry that it is, counted from 1 over all arguments; 0: the
        fill. The operation itself moves the numbers.
        """
        arrays, first = [], 1
        for value, item in zip(arguments, node.inputs, strict=True):
            count = prod(value.sizes)
            if item.type.kind == "int" and node.op.name == "gather":  # the indices, literals
                arrays.append(np.array(_literals(value)).astype(np.int64).reshape(value.sizes))
            else:
                arrays.append(np.arange(first, first + count, dtype=np.int64).reshape(value.sizes))
            first += count
        attrs = dict(node.attrs)
        if form.fill:
            attrs[form.fill] = 0
        return applied(node.op, arrays, attrs).reshape(sizes_of(node.shape))

    # ------------------------------------------------------------------------------------------------ loops

    def _scan(self, node: Node) -> tuple[Value, ...]:
        """A loop: states that go round, rows that are read, and rows that are written."""
        region: Region = node.attrs["region"]
        roles, first = parts(node), node.attrs["states"]
        last = first + len(roles.captured)
        count = int(sizes_of((node.attrs["length"],))[0])
        build = self.builder
        states = [self._state(self.values[x], x) for x in roles.initial]
        stacked = [build.materialised(self.values[x], x.type.kind, depends_on_sample(x.shape)) for x in roles.stacked]
        inner = Lowering(self.weights, build, self.inputs)
        inner.values.update(zip(region.arguments[first:last], (self.values[x] for x in roles.captured), strict=True))
        with build.repeated(count) as loop:
            for argument, state in zip(region.arguments[:first], states, strict=True):
                inner.values[argument] = _homed(state, loop.number)
            for argument, whole in zip(region.arguments[last:], stacked, strict=True):
                inner.values[argument] = inner.view(self._row(loop, argument, whole))
            inner.walk(topological(region.results, tuple(inner.values)))
            found = [inner.values[item] for item in region.results]
            rows = [
                self._kept(loop, value, item) for value, item in zip(found[first:], region.results[first:], strict=True)
            ]
            self._advance(states, found[:first], region.results[:first])
        after = build.number()
        return (*(_homed(state, after) for state in states), *(self.view(_homed(row, after)) for row in rows))

    def _state(self, initial: Value, node: Node) -> Value:
        """A state of its own, which begins with the first value."""
        kind, batched = node.type.kind, depends_on_sample(node.shape)
        if isinstance(initial, Small):
            return Small(
                tuple(self.builder.assign("{0}", (atom,), kind, batched) for atom in initial.atoms), initial.sizes
            )
        return self.builder.materialised(initial, kind, batched, own=True)

    def _row(self, loop: Any, argument: Node, whole: Strided) -> Strided:
        sizes = sizes_of(argument.shape)
        count = prod(sizes)
        row = Buffer(self.builder.names.fresh("r"), argument.type.kind, count, whole.buffer.batched, pointer="row")
        row.home = loop.number
        loop.rows.append((row, whole.buffer, whole.base))
        return Strided(row, 0, row_major(sizes), sizes)

    def _kept(self, loop: Any, value: Value, node: Node) -> Strided:
        """A result that is stacked: its row is written."""
        build, batched, sizes = self.builder, depends_on_sample(node.shape), sizes_of(node.shape)
        whole = build.array(node.type.kind, prod(sizes) * loop.count, batched)
        row = Buffer(build.names.fresh("r"), node.type.kind, prod(sizes), batched, pointer="row", home=loop.number)
        loop.rows.append((row, whole, 0))
        if isinstance(value, Small):
            for i, atom in enumerate(value.atoms):
                build.store(Element(row, i), "{0}", (atom,))
        else:
            read = Access(value.buffer, value.base, value.strides)
            build.mapped(sizes, "{0}", (read,), node.type.kind, batched, Access(row, 0, row_major(sizes)))
        return Strided(whole, 0, row_major((loop.count, *sizes)), (loop.count, *sizes))

    def _advance(self, states: Sequence[Value], found: Sequence[Value], nodes: Sequence[Node]) -> None:
        """All states take their next values at once, behind everything that reads the old ones."""
        build, mine = self.builder, {buffer for state in states for buffer in _buffers(state)}
        apart: list[Value] = []
        for value, node in zip(found, nodes, strict=True):
            kind, batched = node.type.kind, depends_on_sample(node.shape)
            if mine.isdisjoint(_buffers(value)):
                apart.append(value)
            elif isinstance(value, Small):
                apart.append(Small(tuple(build.assign("{0}", (x,), kind, batched) for x in value.atoms), value.sizes))
            else:
                apart.append(build.materialised(value, kind, batched, own=True))
        for state, value, node in zip(states, apart, nodes, strict=True):
            if isinstance(state, Small):
                for old, new in zip(state.atoms, _repeated(value, state.sizes), strict=True):
                    assert isinstance(old, Element)
                    build.store(old, "{0}", (new,), late=True)
            else:
                place = Access(state.buffer, state.base, state.strides)
                operand = self._operand(value, node, state.sizes)
                build.mapped(
                    state.sizes, "{0}", (operand,), node.type.kind, state.buffer.batched, place, late=True
                )  # fmt: skip


# ---------------------------------------------------------------------------------------------------- values


def _buffers(value: Value) -> set[Buffer]:
    if isinstance(value, Strided):
        return {value.buffer}
    return {atom.buffer for atom in value.atoms if isinstance(atom, Element)}


def _homed(value: Any, number: int) -> Any:
    """The same value, known from this kernel on."""
    for buffer in _buffers(value):
        buffer.home = number
    return value


def _atom(value: Value, entry: int) -> Literal | Element:
    if isinstance(value, Small):
        return value.atoms[entry]
    return Element(value.buffer, int(value.places()[entry]))


def _repeated(value: Value, sizes: Sizes) -> list[Literal | Element]:
    """The atoms of a value that is repeated to these sizes."""
    count = prod(value.sizes)
    numbers = np.broadcast_to(np.arange(count).reshape(value.sizes), sizes).reshape(-1).tolist()
    return [_atom(value, i) for i in numbers]


def _literals(value: Value) -> list[float]:
    if isinstance(value, Small):
        numbers = [atom.value for atom in value.atoms if isinstance(atom, Literal)]
        if len(numbers) == len(value.atoms):
            return numbers
    elif value.buffer.data is not None:
        return [float(x) for x in value.buffer.data[value.places()]]
    raise NotInC("entries chosen by an index that is computed")


def _written(form: str, node: Node) -> str:
    """The expression with the attributes of the node, and its kind where a function depends on it."""
    text = form
    for key, item in node.attrs.items():
        text = text.replace(f"{{{key}}}", f"@literal({item!r})" if isinstance(item, int | float) else str(item))
    return text.replace("@kind", {"real": "real", "int": "int", "bool": "bool"}[node.type.kind])


def _refuse_across_samples(node: Node) -> None:
    """An operation along the axis of the batch mixes samples, which are computed apart."""
    axes = node.attrs.get("axes", (node.attrs["axis"],) if "axis" in node.attrs else ())
    for axis in axes if node.inputs else ():
        shape = node.inputs[0].shape
        if -len(shape) <= axis < len(shape) and isinstance(shape[axis % len(shape)], str):
            raise NotInC(f"`{node.op.name}` mixes samples")
    if not depends_on_sample(node.shape) and any(depends_on_sample(item.shape) for item in node.inputs):
        raise NotInC(f"`{node.op.name}` mixes samples")
