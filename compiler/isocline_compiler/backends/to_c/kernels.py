"""What the body of the program is made of: straight lines of scalars, nests of loops, and loops over steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from isocline_compiler.backends.to_c.storage import Atom, Buffer, Element, Literal
from isocline_compiler.graph.c_form import Sizes


@dataclass(frozen=True, eq=False)
class Access:
    """An entry of an array that the loops move along: at `base` + sum of strides times counters."""

    buffer: Buffer
    base: int
    strides: tuple[int, ...]


Operand: TypeAlias = "Atom | Access"


@dataclass(eq=False)
class Statement:
    """`target = text`, where {0}, {1}, ... are the operands. A target that is an element of an array is stored to."""

    target: Element
    text: str
    operands: tuple[Operand, ...]


@dataclass(eq=False)
class Straight:
    """Statements on atoms, one after another."""

    number: int
    statements: list[Statement] = field(default_factory=list)


@dataclass(eq=False)
class Nest:
    """Statements at every entry of an index: the targets are entries of their buffers in row-major order.

    A buffer that nothing else reads is a variable of the body (`inner`).
    """

    number: int
    sizes: Sizes
    statements: list[tuple[Buffer, str, tuple[Operand, ...]]] = field(default_factory=list)
    places: list[Access] = field(default_factory=list)
    """Where each statement stores its value."""


@dataclass(eq=False)
class Contraction:
    """targets[i] = scale * sum_k prod_j factor_j + bias, over loops `out` and `over`.

    `targets` are variables, one for each entry, or one array.
    """

    number: int
    out: Sizes
    over: Sizes
    factors: tuple[Access, ...]
    bias: Operand | tuple[Operand, ...] | None
    targets: tuple[Buffer, ...]
    combine: str = "sum"
    scale: float = 1.0


@dataclass(eq=False)
class Text:
    """Statements written by the operation itself: names in braces stand for its arrays, all contiguous."""

    number: int
    text: str
    target: Buffer
    sources: tuple[tuple[Buffer, int], ...]


@dataclass(eq=False)
class Repeat:
    """A body, `count` times; `rows` are the arrays of which each time reads, or writes, the next row."""

    number: int
    count: int
    counter: str
    rows: list[tuple[Buffer, Buffer, int]] = field(default_factory=list)
    """(the row, the array it is of, the entry at which the first begins)."""
    body: list[Kernel] = field(default_factory=list)


Kernel: TypeAlias = "Straight | Nest | Contraction | Text | Repeat"


def walk(kernels: Sequence[Kernel]) -> Iterator[Kernel]:
    """All kernels, those of bodies included."""
    for kernel in kernels:
        yield kernel
        if isinstance(kernel, Repeat):
            yield from walk(kernel.body)


def buffer_of(operand: Operand) -> Buffer | None:
    """What an operand is read from; None of a literal."""
    return None if isinstance(operand, Literal) else operand.buffer


def read_by(kernel: Kernel) -> Iterator[Buffer]:
    """The buffers that a kernel reads, its body not included."""
    operands: list[Operand] = []
    if isinstance(kernel, Straight):
        operands += [item for statement in kernel.statements for item in statement.operands]
    elif isinstance(kernel, Nest):
        operands += [item for _, _, given in kernel.statements for item in given]
    elif isinstance(kernel, Contraction):
        bias = kernel.bias if isinstance(kernel.bias, tuple) else () if kernel.bias is None else (kernel.bias,)
        operands += [*kernel.factors, *bias]
    elif isinstance(kernel, Text):
        yield from (buffer for buffer, _ in kernel.sources)
    else:
        yield from (whole for _, whole, _ in kernel.rows)
    yield from filter(None, map(buffer_of, operands))


def written_by(kernel: Kernel) -> Iterator[Buffer]:
    """The buffers that a kernel writes, its body not included."""
    if isinstance(kernel, Straight):
        yield from (statement.target.buffer for statement in kernel.statements)
    elif isinstance(kernel, Nest):
        yield from (place.buffer for place in kernel.places)
    elif isinstance(kernel, Contraction):
        yield from kernel.targets
    elif isinstance(kernel, Text):
        yield kernel.target
