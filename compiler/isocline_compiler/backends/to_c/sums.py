"""Contractions as text: sums of real products in accumulators, and all others in plain loops: extremes, products,
counts, and what lies at distances. Many results of one sample side by side, partial sums of few, rows of a block.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from isocline_compiler.backends.to_c.accumulators import fits, halved, print_accumulated, row_of
from isocline_compiler.backends.to_c.kernels import Access, Contraction, Operand
from isocline_compiler.backends.to_c.printing import SIDE_BY_SIDE, Printer

CHUNK = 128
"""Results of one sample that are summed side by side."""
PARTIAL = 16
"""Partial sums of one result of one sample."""
ROWS = 8
"""Results of a block that share what they read."""
_COMBINE = {
    "sum": "{0} += {1};", "prod": "{0} *= {1};",
    "max": "{0} = ({1} > {0} || {1} != {1}) ? {1} : {0};", "min": "{0} = ({1} < {0} || {1} != {1}) ? {1} : {0};",
}  # fmt: skip
_START = {"sum": 0.0, "prod": 1.0, "max": float("-inf"), "min": float("inf")}


def print_contraction(out: Printer, kernel: Contraction) -> None:
    """The loops of one contraction, in the form that suits its sizes."""
    lanes = out.width(kernel.targets[0])
    if fits(out, kernel):
        print_accumulated(out, kernel, _finish)
    elif lanes > 1:
        _in_lanes(out, kernel)
    elif kernel.targets[0].scalar:
        _partial_sums(out, kernel)
    else:
        _side_by_side(out, kernel)


def _combined(kernel: Contraction, target: str, factors: Sequence[str]) -> str:
    return _COMBINE[kernel.combine].replace("{0}", target).replace("{1}", " * ".join(factors))


def _finished(out: Printer, kernel: Contraction, total: str, bias: str | None) -> str:
    text = total
    if kernel.scale != 1:
        text = f"{text} * {out.types.literal(kernel.scale, kernel.targets[0].kind)}"
    return f"{text} + {bias}" if bias is not None else text


def _finish(out: Printer, kernel: Contraction, total: str, bias: Operand | None, counters: Sequence[str]) -> str:
    return _finished(out, kernel, total, None if bias is None else out.read(bias, counters))


def _bias(out: Printer, kernel: Contraction, number: int, counters: Sequence[str]) -> str | None:
    if kernel.bias is None:
        return None
    item: Operand = kernel.bias[number] if isinstance(kernel.bias, tuple) else kernel.bias
    return out.read(item, counters)


# ---------------------------------------------------------------------------------------------------- one sample


def _partial_sums(out: Printer, kernel: Contraction) -> None:
    """Few results: each in partial sums over the innermost loop, which is then one instruction at a time."""
    type_ = out.types.name(kernel.targets[0].kind)
    last = kernel.over[-1] if kernel.over else 1
    width = next((w for w in (PARTIAL, 8, 4) if last >= w), 1) if kernel.combine == "sum" else 1
    start = out.types.literal(_START[kernel.combine], kernel.targets[0].kind)
    numbers, every = out.read_of(kernel), list(product(*map(range, kernel.out)))
    entries, names = [every[i] for i in numbers], [kernel.targets[i].name for i in numbers]
    for name in names:
        out.line(f"{type_} {name};")
    with out.block(""):
        for name in names:
            zeros = ", ".join([start] * width)
            out.line(f"{type_} s_{name}[{width}] = {{{zeros}}};")
        with out.loops(kernel.over[:-1], "k") as outer:
            count = last - last % width
            chunks, places = (
                f"for (int k = 0; k < {count}; k += {width})",
                f"{SIDE_BY_SIDE} for (int q = 0; q < {width}; ++q)",
            )
            with out.block(chunks), out.block(places):
                _terms(out, kernel, entries, names, (*outer, "(k + q)"), "q")
            if last % width:
                with out.block(f"for (int k = {count}; k < {last}; ++k)"):
                    _terms(out, kernel, entries, names, (*outer, "k"), "0")
        for number, name in zip(numbers, names, strict=True):
            total = halved([f"s_{name}[{i}]" for i in range(width)])
            out.line(f"{name} = {_finished(out, kernel, total, _bias(out, kernel, number, ()))};")


def _terms(
    out: Printer, kernel: Contraction, entries: Sequence[tuple[int, ...]], names: Sequence[str],
    over: tuple[str, ...], place: str,
) -> None:  # fmt: skip
    over = over if kernel.over else ()
    for entry, name in zip(entries, names, strict=True):
        counters = (*map(str, entry), *over)
        factors = [_fixed(out, item, counters, len(entry)) for item in kernel.factors]
        out.line(_combined(kernel, f"s_{name}[{place}]", factors))


def _fixed(out: Printer, item: Access, counters: Sequence[str], known: int) -> str:
    """An entry whose first counters are numbers."""
    base = item.base + sum(int(c) * s for c, s in zip(counters[:known], item.strides[:known], strict=True))
    return out.read(Access(item.buffer, base, item.strides[known:]), counters[known:])


def _side_by_side(out: Printer, kernel: Contraction) -> None:
    """Many results: a chunk of them along the last axis at a time, in sums that stay in registers."""
    kind = kernel.targets[0].kind
    type_ = out.types.name(kind)
    start = out.types.literal(_START[kernel.combine], kind)
    axes = len(kernel.out)
    last = kernel.out[-1] if axes else 1
    target = kernel.targets[0]
    with out.loops(kernel.out[:-1]) as outer:
        first = 0
        for width, count in _chunks(last, CHUNK):
            end = first + width * count
            with out.block(f"for (int j = {first}; j < {end}; j += {width})"):
                out.line(f"{type_} s[{width}];")
                out.line(f"{SIDE_BY_SIDE} for (int q = 0; q < {width}; ++q) {{ s[q] = {start}; }}")
                here = (*outer, "(j + q)")[-axes:] if axes else ()
                with out.loops(kernel.over, "k") as over:
                    factors = [out.read(item, (*here, *over)) for item in kernel.factors]
                    out.line(
                        f"{SIDE_BY_SIDE} for (int q = 0; q < {width}; ++q) {{ {_combined(kernel, 's[q]', factors)} }}"
                    )
                place = row_of(kernel.out, here)
                value = _finished(out, kernel, "s[q]", _bias(out, kernel, 0, here))
                out.line(f"{SIDE_BY_SIDE} for (int q = 0; q < {width}; ++q) {{ {target.name}[{place}] = {value}; }}")
            first = end


def _chunks(size: int, width: int) -> list[tuple[int, int]]:
    """(width, how many): full chunks, then the rest."""
    found = [(width, size // width)] if size >= width else []
    return [*found, (size % width, 1)] if size % width else found


# ---------------------------------------------------------------------------------------------------- a block


def _in_lanes(out: Printer, kernel: Contraction) -> None:
    """A few results at a time, each a sum for every lane."""
    if kernel.targets[0].scalar:
        entries, numbers = list(product(*map(range, kernel.out))), out.read_of(kernel)
        for i in range(0, len(numbers), 2 * ROWS):
            _few_in_lanes(out, kernel, entries, numbers[i : i + 2 * ROWS])
        return
    axes = len(kernel.out)
    last = kernel.out[-1] if axes else 1
    with out.loops(kernel.out[:-1]) as outer:
        first = 0
        for width, count in _chunks(last, ROWS):
            end = first + width * count
            with out.block(f"for (int j = {first}; j < {end}; j += {width})"):
                rows = [(*outer, f"(j + {q})" if q else "j")[-axes:] if axes else () for q in range(width)]
                targets = [f"{kernel.targets[0].name}[({row_of(kernel.out, r)}) * {out.lanes} + l]" for r in rows]
                _rows(out, kernel, rows, targets, range(width))
            first = end


def _few_in_lanes(
    out: Printer, kernel: Contraction, entries: Sequence[tuple[int, ...]], numbers: Sequence[int]
) -> None:
    with out.block(""):
        rows = [tuple(map(str, entries[i])) for i in numbers]
        _rows(out, kernel, rows, [f"{kernel.targets[i].name}[l]" for i in numbers], numbers)


def _rows(
    out: Printer, kernel: Contraction, rows: Sequence[tuple[str, ...]], targets: Sequence[str], numbers: Sequence[int]
) -> None:
    kind = kernel.targets[0].kind
    type_, start = out.types.name(kind), out.types.literal(_START[kernel.combine], kind)
    sums = [f"s{q}" for q in range(len(rows))]
    out.line(f"{type_} {', '.join(f'{name}[{out.lanes}]' for name in sums)};")
    with out.lane(True):
        out.line(" ".join(f"{name}[l] = {start};" for name in sums))
    with out.loops(kernel.over, "k") as over, out.lane(True):
        for row, name in zip(rows, sums, strict=True):
            factors = [out.read(item, (*row, *over)) for item in kernel.factors]
            out.line(_combined(kernel, f"{name}[l]", factors))
    with out.lane(True):
        for number, row, name, target in zip(numbers, rows, sums, targets, strict=True):
            bias = _bias(out, kernel, number, row if not isinstance(kernel.bias, tuple) else ())
            out.line(f"{target} = {_finished(out, kernel, f'{name}[l]', bias)};")
