"""Kernels as the text of one C function: for one sample, or for a block of them, a lane for each.

In a block an entry of a batched array is `LANES` numbers, one for each sample, so that compilers take all at once; of
one sample it is a number, and the loops over entries are what they vectorise.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import isinf, isnan, prod

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
    read_by,
    walk,
    written_by,
)
from isocline_compiler.backends.to_c.storage import Buffer, Element, Literal
from isocline_compiler.graph.c_form import Sizes
from isocline_compiler.graph.tensor_type import Kind

SIDE_BY_SIDE = "ISO_SIDE_BY_SIDE"
"""The macro in front of a short loop whose rounds are computed at once."""


@dataclass
class Types:
    """The C types of this precision, and how its literals are written."""

    wide: bool
    used: set[str] = field(default_factory=set)
    """Functions of the library that were named."""

    def name(self, kind: Kind) -> str:
        return {"real": "double" if self.wide else "float", "int": "int64_t", "bool": "int32_t"}[kind]

    def literal(self, value: float, kind: Kind) -> str:
        if kind != "real":
            return f"{int(value)}" if abs(value) < 2**31 else f"INT64_C({int(value)})"
        number = float(value) if self.wide else float(np.float32(value))
        if isnan(number) or isinf(number):
            self.used.add("nan" if isnan(number) else "inf")
            return "iso_nan()" if isnan(number) else ("iso_inf()" if number > 0 else "(-iso_inf())")
        digits = f"{number:.17g}" if self.wide else f"{number:.9g}"
        if not re.search(r"[.e]", digits):
            digits += ".0"
        text = digits if self.wide else digits + "f"
        return f"({text})" if number < 0 else text


@dataclass
class Printer:
    """The statements of one function."""

    types: Types
    lanes: int
    kernels: Sequence[Kernel]
    contraction: Callable[[Printer, Contraction], None]
    """How contractions are written."""
    lines: list[str] = field(default_factory=list)
    depth: int = 1

    def __post_init__(self) -> None:
        self.homes: dict[Buffer, set[int]] = {}
        self.writes: dict[Buffer, int] = {}
        for kernel in walk(self.kernels):
            for buffer in (*read_by(kernel), *written_by(kernel)):
                self.homes.setdefault(buffer, set()).add(kernel.number)
            for buffer in written_by(kernel):
                self.writes[buffer] = self.writes.get(buffer, 0) + 1
        self._declared: set[Buffer] = set()
        self._inside: dict[Buffer, str] = {}

    # ------------------------------------------------------------------------------------------------ text

    def line(self, text: str) -> None:
        self.lines.append("    " * self.depth + text if text else "")

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        self.line(head + " {")
        self.depth += 1
        try:
            yield
        finally:
            self.depth -= 1
            self.line("}")

    @contextmanager
    def loops(self, sizes: Sizes, letter: str = "j") -> Iterator[tuple[str, ...]]:
        """Nested loops; one of a single iteration is none."""
        counters: list[str] = []
        opened = 0
        for i, size in enumerate(sizes):
            if size == 1:
                counters.append("0")
                continue
            counters.append(f"{letter}{i}")
            self.line(f"for (int {letter}{i} = 0; {letter}{i} < {size}; ++{letter}{i}) {{")
            self.depth += 1
            opened += 1
        try:
            yield tuple(counters)
        finally:
            for _ in range(opened):
                self.depth -= 1
                self.line("}")

    @contextmanager
    def lane(self, batched: bool) -> Iterator[None]:
        """The loop over samples, where there is more than one and they have values of their own."""
        if self.lanes == 1 or not batched:
            yield
            return
        with self.block(f"{SIDE_BY_SIDE} for (int l = 0; l < {self.lanes}; ++l)"):
            yield

    def width(self, buffer: Buffer) -> int:
        return self.lanes if buffer.batched else 1

    def shared(self, buffer: Buffer) -> bool:
        """Whether a variable is needed outside of the kernel that computes it."""
        return len(self.homes[buffer]) > 1 or self.writes.get(buffer, 0) > 1

    def read_of(self, kernel: Contraction) -> list[int]:
        """Which of the results of a contraction something reads: of variables, each is one."""
        return [
            i
            for i, target in enumerate(kernel.targets)
            if not target.scalar or target.pointer is not None or self.shared(target)
        ]

    # ------------------------------------------------------------------------------------------------ operands

    def at(self, buffer: Buffer, index: str) -> str:
        """An entry of a buffer, in the loop over samples."""
        if buffer in self._inside:
            return self._inside[buffer]
        if buffer.scalar:
            return f"{buffer.name}[l]" if self.width(buffer) > 1 and self.shared(buffer) else buffer.name
        if self.width(buffer) == 1:
            return f"{buffer.name}[{index}]"
        return f"{buffer.name}[{_times(index, self.lanes)} + l]" if index != "0" else f"{buffer.name}[l]"

    def read(self, operand: Operand, counters: Sequence[str] = ()) -> str:
        if isinstance(operand, Literal):
            return self.types.literal(operand.value, operand.kind)
        if isinstance(operand, Element):
            return self.at(operand.buffer, str(operand.index))
        return self.at(operand.buffer, flat(operand.base, operand.strides, counters))

    def written(self, text: str, operands: Sequence[str], batched: bool = True) -> str:
        """The expression with its operands."""

        def literal(found: re.Match[str]) -> str:
            return self.types.literal(float(found.group(1)), "real")

        text = re.sub(r"@literal\(([^()]*)\)", literal, text)
        text = re.sub(r"@rest\(([^()]*)\)", self._rest, text)
        for name in re.findall(r"@(\w+)", text):
            self.types.used.add(name)
        return re.sub(r"\{(\d+)\}", lambda found: operands[int(found.group(1))], re.sub(r"@(\w+)", r"iso_\1", text))

    def _rest(self, found: re.Match[str]) -> str:
        """What single precision takes from numbers."""
        numbers = [float(item) for item in found.group(1).split(",") if item.strip()]
        taken = 0.0 if self.types.wide else sum(x - float(np.float32(x)) for x in numbers)
        return self.types.literal(taken, "real")

    # ------------------------------------------------------------------------------------------------ kernels

    def print(self, kernels: Sequence[Kernel]) -> None:
        for kernel in kernels:
            if isinstance(kernel, Straight):
                self._straight(kernel)
            elif isinstance(kernel, Nest):
                self._nest(kernel)
            elif isinstance(kernel, Contraction):
                self.contraction(self, kernel)
            elif isinstance(kernel, Text):
                self._text(kernel)
            else:
                self._repeat(kernel)

    def _straight(self, kernel: Straight) -> None:
        apart = [item for item in kernel.statements if self.width(item.target.buffer) == 1]
        if self.lanes == 1:
            apart = kernel.statements
        for item in apart:
            self.line(self._assignment(item))
        rest = [item for item in kernel.statements if item not in apart] if len(apart) < len(kernel.statements) else []
        if rest:
            with self.lane(True):
                for item in rest:
                    self.line(self._assignment(item))

    def _assignment(self, item: Statement) -> str:
        buffer = item.target.buffer
        value = self.written(item.text, [self.read(operand) for operand in item.operands])
        target = self.at(buffer, str(item.target.index))
        if not buffer.scalar or target.endswith("]") or buffer in self._declared:
            return f"{target} = {value};"
        self._declared.add(buffer)
        constant = "" if self.writes.get(buffer, 0) > 1 else "const "
        return f"{constant}{self.types.name(buffer.kind)} {target} = {value};"

    def _nest(self, kernel: Nest) -> None:
        operands = [list(given) for _, _, given in kernel.statements]
        sizes, moved, places = _collapsed(kernel.sizes, operands, kernel.places)
        batched = any(buffer.batched for buffer, _, _ in kernel.statements)
        with self.loops(sizes) as counters, self.lane(batched):
            for (buffer, text, _), given, place in zip(kernel.statements, moved, places, strict=True):
                value = self.written(text, [self.read(item, counters) for item in given])
                alone = len(self.homes[buffer]) == 1 and buffer.pointer is None and self.writes[buffer] == 1
                if alone:
                    self.line(f"const {self.types.name(buffer.kind)} {buffer.name}_ = {value};")
                    self._inside[buffer] = f"{buffer.name}_"
                elif any(other is not given and _reads(other, buffer) for other in moved):
                    self.line(f"const {self.types.name(buffer.kind)} {buffer.name}_ = {value};")
                    self.line(f"{self.read(place, counters)} = {buffer.name}_;")
                    self._inside[buffer] = f"{buffer.name}_"
                else:
                    self.line(f"{self.read(place, counters)} = {value};")
            for buffer, _, _ in kernel.statements:
                self._inside.pop(buffer, None)

    def _repeat(self, kernel: Repeat) -> None:
        with self.block(f"for (int {kernel.counter} = 0; {kernel.counter} < {kernel.count}; ++{kernel.counter})"):
            written = {buffer for inner in walk(kernel.body) for buffer in written_by(inner)}
            for row, whole, base in kernel.rows:
                if row not in self.homes:
                    continue
                width = self.width(whole)
                step = _times(f"{kernel.counter}", row.count)
                start = _times(f"({base} + {step})" if base else step, width)
                constant = "" if row in written else "const "
                self.line(f"{constant}{self.types.name(row.kind)} *const {row.name} = {whole.name} + {start};")
            self.print(kernel.body)

    def _text(self, kernel: Text) -> None:
        batched = kernel.target.batched
        found = {"y": self._caller(kernel.target, 0)} | {
            f"x{i}": self._caller(buffer, base) for i, (buffer, base) in enumerate(kernel.sources)
        }
        text = kernel.text.replace("@real", self.types.name("real"))
        self.types.used.update(re.findall(r"@(\w+)", text))
        text = re.sub(r"@(\w+)", r"iso_\1", text)
        text = _called(text, found)
        with self.lane(batched), self.block(""):
            for line in text.split("\n"):
                self.line(line)

    def _caller(self, buffer: Buffer, base: int) -> Callable[[str], str]:
        def entry(index: str) -> str:
            if buffer.scalar:
                return self.at(buffer, "0")
            return self.at(buffer, f"({base} + {index})" if base else f"({index})")

        return entry


def flat(base: int, strides: Sequence[int], counters: Sequence[str]) -> str:
    """The place of an entry as an expression of the counters."""
    terms = [_times(c, s) for c, s in zip(counters, strides, strict=True) if s and c != "0"]
    if base or not terms:
        terms.insert(0, str(base))
    return " + ".join(terms) if len(terms) == 1 else f"({' + '.join(terms)})"


def _times(index: str, factor: int) -> str:
    return index if factor == 1 else str(int(index) * factor) if index.isdigit() else f"{index} * {factor}"


def _reads(given: Sequence[Operand], buffer: Buffer) -> bool:
    return any(buffer_of(item) is buffer for item in given)


def _collapsed(
    sizes: Sizes, operands: Sequence[Sequence[Operand]], places: Sequence[Access]
) -> tuple[Sizes, list[list[Operand]], list[Access]]:
    """Fewer loops over the same entries: two that every access passes as one become one."""
    accesses = [item for given in (*operands, places) for item in given if isinstance(item, Access)]
    groups: list[list[int]] = []
    for axis, size in enumerate(sizes):
        if size == 1:
            continue
        if groups and all(item.strides[groups[-1][-1]] == item.strides[axis] * size for item in accesses):
            groups[-1].append(axis)
        else:
            groups.append([axis])
    new = tuple(prod(sizes[axis] for axis in group) for group in groups)

    def moved(item: Operand) -> Operand:
        if not isinstance(item, Access):
            return item
        return Access(item.buffer, item.base, tuple(item.strides[group[-1]] for group in groups))

    found = [Access(item.buffer, item.base, tuple(item.strides[group[-1]] for group in groups)) for item in places]
    return new, [[moved(item) for item in given] for given in operands], found


def _called(text: str, callers: dict[str, Callable[[str], str]]) -> str:
    """`{x0}(index)` becomes the entry: parentheses may be nested."""
    while (found := re.search(r"\{(y|x\d+)\}\(", text)) is not None:
        depth, end = 1, found.end()
        while depth:
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            end += 1
        text = text[: found.start()] + callers[found.group(1)](text[found.end() : end - 1]) + text[end:]
    return text


__all__ = ["Printer", "Types", "flat"]
