"""Sums of products in accumulators that stay in registers: vectors of sixteen numbers, some eight of them at once.

A compiler that keeps to the order of sums adds one number after another, each waiting for the one before. Sixteen side
by side are one instruction, and eight of those are on their way at the same time. Vectors are an extension of gcc and
clang; for other compilers the same macros are loops.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import TypeAlias

from isocline_compiler.backends.to_c.kernels import Access, Contraction, Operand
from isocline_compiler.backends.to_c.printing import SIDE_BY_SIDE, Printer, flat
from isocline_compiler.backends.to_c.storage import Literal

VECTOR = 16
"""Numbers of a vector: the lanes of a block, or as many entries of one sample."""
AT_ONCE = 8
"""Accumulators at once: an addition takes four cycles, and two begin in each."""
ROWS = 8
"""Results of a block that share what they read."""
HEAD = f"""/* Sums of {VECTOR} numbers side by side, which stay in registers. */
#if defined(__GNUC__)
typedef @real iso_lanes __attribute__((vector_size({VECTOR} * sizeof(@real))));
typedef @real iso_lanes_at __attribute__((vector_size({VECTOR} * sizeof(@real)), aligned(sizeof(@real)), may_alias));
#define ISO_ZERO {{0}}
#define ISO_ADD(s, p, w) ((s) += *(const iso_lanes_at *)(p) * (w))
#define ISO_ADD_PAIR(s, p, q) ((s) += *(const iso_lanes_at *)(p) * *(const iso_lanes_at *)(q))
#define ISO_JOIN(s, r) ((s) += (r))
#define ISO_PUT(p, s) (*(iso_lanes_at *)(p) = (s))
#else
typedef struct {{ @real at[{VECTOR}]; }} iso_lanes;
#define ISO_EACH(text) do {{ for (int i_ = 0; i_ < {VECTOR}; ++i_) {{ text; }} }} while (0)
#define ISO_ZERO {{{{0}}}}
#define ISO_ADD(s, p, w) ISO_EACH((s).at[i_] += (p)[i_] * (w))
#define ISO_ADD_PAIR(s, p, q) ISO_EACH((s).at[i_] += (p)[i_] * (q)[i_])
#define ISO_JOIN(s, r) ISO_EACH((s).at[i_] += (r).at[i_])
#define ISO_PUT(p, s) ISO_EACH((p)[i_] = (s).at[i_])
#endif"""

Finish: TypeAlias = "Callable[[Printer, Contraction, str, Operand | None, Sequence[str]], str]"


def fits(out: Printer, kernel: Contraction) -> bool:
    """Whether a contraction is a sum of real products of one or two vectors; others are written in plain loops."""
    if kernel.combine != "sum" or kernel.targets[0].kind != "real":
        return False
    if any(item.buffer.kind != "real" for item in kernel.factors):
        return False
    vectors = _vectors(out, kernel)
    return vectors is not None and (sum(vectors) == 1 or vectors == (True, True))


def print_accumulated(out: Printer, kernel: Contraction, finish: Finish) -> None:
    """The loops of a contraction that `fits`."""
    out.types.used.add("lanes")
    if out.width(kernel.targets[0]) > 1:
        _Lanes(out, kernel, finish).print()
    elif kernel.targets[0].scalar:
        _Few(out, kernel, finish).print()
    else:
        _Many(out, kernel, finish).print()


def _vectors(out: Printer, kernel: Contraction) -> tuple[bool, ...] | None:
    """Which factors are read as vectors, which as one number for all lanes; None where neither will do."""
    if out.width(kernel.targets[0]) > 1:
        return tuple(item.buffer.batched for item in kernel.factors)
    few = kernel.targets[0].scalar
    if (few and (not kernel.over or kernel.over[-1] < VECTOR)) or (
        not few and (not kernel.out or kernel.out[-1] < VECTOR)
    ):
        return None
    axis = -1 if few else len(kernel.out) - 1
    strides = [item.strides[axis] for item in kernel.factors]
    if any(stride not in (0, 1) for stride in strides) or any(
        stride and item.buffer.scalar for stride, item in zip(strides, kernel.factors, strict=True)
    ):
        return None
    return tuple(stride == 1 for stride in strides)


@dataclass
class _Accumulated:
    """What the three forms share."""

    out: Printer
    kernel: Contraction
    finish: Finish
    """How a result is written: its sum, scaled and with what is added to it."""

    def __post_init__(self) -> None:
        self.vectors = _vectors(self.out, self.kernel) or ()
        self.real = self.out.types.name("real")

    def add(self, name: str, counters: Sequence[str]) -> None:
        """One term more of a sum, at these counters of the loops over results and over terms."""
        factors = list(zip(self.kernel.factors, self.vectors, strict=True))
        pointers = [self._pointer(item, counters) for item, is_vector in factors if is_vector]
        numbers = [self.out.read(item, counters) for item, is_vector in factors if not is_vector]
        if len(pointers) == 2:
            self.out.line(f"ISO_ADD_PAIR({name}, {pointers[0]}, {pointers[1]});")
        else:
            factor = " * ".join(numbers) or self.out.types.literal(1, "real")
            self.out.line(f"ISO_ADD({name}, {pointers[0]}, {factor});")

    def _pointer(self, item: Access, counters: Sequence[str]) -> str:
        buffer = item.buffer
        if buffer.scalar:
            return buffer.name
        index = flat(item.base, item.strides, counters)
        if self.out.width(buffer) > 1:
            index = f"({index}) * {self.out.lanes}" if index != "0" else "0"
        return buffer.name if index == "0" else f"{buffer.name} + {index}"

    def declared(self, names: Sequence[str]) -> None:
        """Accumulators that are zero."""
        self.out.line(f"iso_lanes {', '.join(f'{name} = ISO_ZERO' for name in names)};")

    def terms(self, parts: int, add: Callable[[int, tuple[str, ...]], None]) -> None:
        """The loops over terms, of which `parts` go into accumulators of their own at a time."""
        over = self.kernel.over
        last = over[-1] if over else 1
        count = last - last % parts
        with self.out.loops(over[:-1], "k") as outer:
            if parts == 1:
                with self.out.loops(over[-1:], "m") as inner:
                    add(0, (*outer, *inner))
                return
            with self.out.block(f"for (int m = 0; m < {count}; m += {parts})"):
                for part in range(parts):
                    add(part, (*outer, f"(m + {part})" if part else "m"))
            for rest in range(count, last):
                add(0, (*outer, str(rest)))

    def joined(self, names: Sequence[Sequence[str]]) -> None:
        """The accumulators of all parts in those of the first."""
        while len(names) > 1:
            half = len(names) // 2
            for first, second in zip(names[:half], names[half:], strict=True):
                for name, other in zip(first, second, strict=True):
                    self.out.line(f"ISO_JOIN({name}, {other});")
            names = names[:half]

    def bias(self, number: int, counters: Sequence[str]) -> tuple[Operand | None, Sequence[str]]:
        """What is added to a result, if it is not nothing."""
        item = self.kernel.bias
        if isinstance(item, tuple):
            item, counters = item[number], ()
        if isinstance(item, Literal) and item.value == 0:
            item = None
        return item, counters


class _Lanes(_Accumulated):
    """A block: a vector are the samples, and some results share what they read of each term."""

    def print(self) -> None:
        """Results that are variables are all written out; of an array, some of a row at a time."""
        kernel, out = self.kernel, self.out
        if kernel.targets[0].scalar:
            entries = [tuple(map(str, entry)) for entry in product(*map(range, kernel.out))]
            numbers = out.read_of(kernel)
            for i in range(0, len(numbers), ROWS):
                with out.block(""):
                    self._rows([entries[n] for n in numbers[i : i + ROWS]], numbers[i : i + ROWS])
            return
        axes = len(kernel.out)
        last = kernel.out[-1] if axes else 1
        with out.loops(kernel.out[:-1]) as outer:
            first = 0
            for width in (*[ROWS] * (last >= ROWS), *([last % ROWS] if last % ROWS else [])):
                end = first + (last // ROWS) * ROWS if width == ROWS and first == 0 and last >= ROWS else last
                with out.block(f"for (int j = {first}; j < {end}; j += {width})"):
                    rows = [(*outer, f"(j + {q})" if q else "j")[-axes:] if axes else () for q in range(width)]
                    self._rows(rows, range(width))
                first = end

    def _rows(self, rows: Sequence[tuple[str, ...]], numbers: Sequence[int]) -> None:
        out, kernel = self.out, self.kernel
        names = [f"s{q}" for q in range(len(rows))]
        self.declared(names)

        def add(part: int, over: tuple[str, ...]) -> None:
            for row, name in zip(rows, names, strict=True):
                self.add(name, (*row, *over) if kernel.over else row)

        self.terms(1, add)
        out.line(f"{self.real} {', '.join(f't{q}[{VECTOR}]' for q in range(len(rows)))};")
        out.line(" ".join(f"ISO_PUT(t{q}, s{q});" for q in range(len(rows))))
        with out.lane(True):
            for i, (number, row) in enumerate(zip(numbers, rows, strict=True)):
                target = kernel.targets[number] if kernel.targets[0].scalar else kernel.targets[0]
                index = "0" if target.scalar else row_of(kernel.out, row)
                place = f"{target.name}[l]" if index == "0" else f"{target.name}[({index}) * {out.lanes} + l]"
                item, counters = self.bias(number, row)
                out.line(f"{place} = {self.finish(out, kernel, f't{i}[l]', item, counters)};")


class _Few(_Accumulated):
    """Few results of one sample: a vector are terms that follow one another, added up at the end."""

    def print(self) -> None:
        """Each result in accumulators of its own."""
        out, kernel = self.out, self.kernel
        numbers, every = out.read_of(kernel), list(product(*map(range, kernel.out)))
        targets, entries = [kernel.targets[i].name for i in numbers], [every[i] for i in numbers]
        last = kernel.over[-1]
        vectors, rest = last // VECTOR, last % VECTOR
        parts = next((p for p in (4, 2) if p * len(targets) <= AT_ONCE and vectors >= p), 1)
        names = [[f"s{i}_{part}" for i in range(len(targets))] for part in range(parts)]
        for name in targets:
            out.line(f"{self.real} {name};")
        with out.block(""):
            self.declared([name for part in names for name in part])
            with out.loops(kernel.over[:-1], "k") as outer:
                self._over(vectors, names, entries, outer)
            self.joined(names)
            out.line(f"{self.real} {', '.join(f't{i}[{VECTOR}]' for i in range(len(targets)))};")
            out.line(" ".join(f"ISO_PUT(t{i}, s{i}_0);" for i in range(len(targets))))
            if rest:
                self._rest(last - rest, rest, entries)
            for place, (number, name) in enumerate(zip(numbers, targets, strict=True)):
                item, counters = self.bias(number, ())
                total = halved([f"t{place}[{i}]" for i in range(VECTOR)])
                out.line(f"{name} = {self.finish(out, kernel, total, item, counters)};")

    def _over(
        self, vectors: int, names: Sequence[Sequence[str]], entries: Sequence[tuple[int, ...]], outer: tuple[str, ...]
    ) -> None:
        parts = len(names)
        step, end = VECTOR * parts, VECTOR * (vectors - vectors % parts)
        with self.out.block(f"for (int m = 0; m < {end}; m += {step})"):
            for part, own in enumerate(names):
                place = f"(m + {VECTOR * part})" if part else "m"
                for entry, name in zip(entries, own, strict=True):
                    self.add(name, (*map(str, entry), *outer, place))
        for vector in range(vectors - vectors % parts, vectors):
            for entry, name in zip(entries, names[0], strict=True):
                self.add(name, (*map(str, entry), *outer, str(VECTOR * vector)))

    def _rest(self, begin: int, count: int, entries: Sequence[tuple[int, ...]]) -> None:
        """Terms that fill no vector, each to a place of its own."""
        with self.out.loops(self.kernel.over[:-1], "k") as outer, self.out.block(f"for (int q = 0; q < {count}; ++q)"):
            for number, entry in enumerate(entries):
                counters = (*map(str, entry), *outer, f"({begin} + q)")
                factors = [self.out.read(item, counters) for item in self.kernel.factors]
                self.out.line(f"t{number}[q] += {' * '.join(factors)};")


class _Many(_Accumulated):
    """Many results of one sample: a vector are results that follow one another."""

    def print(self) -> None:
        """Several vectors of results at a time, and of few vectors several terms; what fills no vector by itself."""
        out, kernel = self.out, self.kernel
        last = kernel.out[-1]
        vectors, rest = last // VECTOR, last % VECTOR
        with out.loops(kernel.out[:-1]) as outer:
            first = 0
            for group, count in ((min(vectors, AT_ONCE), vectors // min(vectors, AT_ONCE)), (vectors % AT_ONCE, 1)):
                if group and first < VECTOR * vectors:
                    end = first + VECTOR * group * count
                    with out.block(f"for (int j = {first}; j < {end}; j += {VECTOR * group})"):
                        self._group(group, outer)
                    first = end
            if rest:
                with out.block(f"for (int j = {first}; j < {last}; ++j)"):
                    self._single((*outer, "j"))

    def _group(self, group: int, outer: tuple[str, ...]) -> None:
        out, kernel = self.out, self.kernel
        last = kernel.over[-1] if kernel.over else 1
        parts = next((p for p in (8, 4, 2) if p * group <= AT_ONCE and last >= 2 * p), 1)
        names = [[f"s{vector}_{part}" for vector in range(group)] for part in range(parts)]
        self.declared([name for part in names for name in part])

        def add(part: int, over: tuple[str, ...]) -> None:
            for vector, name in enumerate(names[part]):
                place = f"(j + {VECTOR * vector})" if vector else "j"
                self.add(name, (*outer, place, *(over if kernel.over else ())))

        self.terms(parts, add)
        self.joined(names)
        out.line(f"{self.real} r[{VECTOR * group}];")
        out.line(" ".join(f"ISO_PUT(r + {VECTOR * vector}, s{vector}_0);" for vector in range(group)))
        here = (*outer, "(j + q)")
        item, counters = self.bias(0, here)
        value = self.finish(out, kernel, "r[q]", item, counters)
        place = f"{kernel.targets[0].name}[{row_of(kernel.out, here)}]"
        out.line(f"{SIDE_BY_SIDE} for (int q = 0; q < {VECTOR * group}; ++q) {{ {place} = {value}; }}")

    def _single(self, here: tuple[str, ...]) -> None:
        out, kernel = self.out, self.kernel
        out.line(f"{self.real} s = {out.types.literal(0, 'real')};")
        with out.loops(kernel.over, "k") as over:
            out.line(f"s += {' * '.join(out.read(item, (*here, *over)) for item in kernel.factors)};")
        item, counters = self.bias(0, here)
        value = self.finish(out, kernel, "s", item, counters)
        out.line(f"{kernel.targets[0].name}[{row_of(kernel.out, here)}] = {value};")


def row_of(sizes: Sequence[int], counters: Sequence[str]) -> str:
    """Where a result lies in its array."""
    terms = []
    for axis, counter in enumerate(counters):
        step = prod(sizes[axis + 1 :])
        if counter != "0":
            terms.append(counter if step == 1 else f"{counter} * {step}")
    return " + ".join(terms) or "0"


def halved(terms: Sequence[str]) -> str:
    """The sum of partial sums, in pairs."""
    while len(terms) > 1:
        half = len(terms) // 2
        terms = [f"({a} + {b})" for a, b in zip(terms[:half], terms[half:], strict=True)]
    return terms[0]
