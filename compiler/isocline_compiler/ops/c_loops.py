"""Contractions as loops: what the C back end sums over, from the sizes of the arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from isocline_compiler.graph.c_form import Index, Loops, Sizes, Sums


def _broadcast_lead(lead: Sizes, own: Sizes) -> list[dict[int, int]]:
    """The index of leading axes that are repeated to `lead`, whose loops are numbered from 0."""
    first = len(lead) - len(own)
    return [{} if size == 1 else {first + axis: 1} for axis, size in enumerate(own)]


def _matmul(sizes: tuple[Sizes, ...], attrs: Mapping[str, Any]) -> Loops:
    """y[..., i, j] = sum_k a[..., i, k] b[..., k, j]; a vector is a row or a column."""
    a, b = sizes
    stacks = (a[:-2], b[:-2])
    rank = max(map(len, stacks))
    padded = [(1,) * (rank - len(stack)) + stack for stack in stacks]
    lead = tuple(max(pair) for pair in zip(*padded, strict=True))
    rows, columns = a[-2:-1] if len(a) > 1 else (), b[-1:] if len(b) > 1 else ()
    i, j, k = rank, rank + len(rows), rank + len(rows) + len(columns)
    left = (*_broadcast_lead(lead, stacks[0]), *([{i: 1}] if rows else []), {k: 1})
    right = (*_broadcast_lead(lead, stacks[1]), {k: 1}, *([{j: 1}] if columns else []))
    return Loops((*lead, *rows, *columns), (a[-1],), ((0, left), (1, right)))


def _linear(sizes: tuple[Sizes, ...], attrs: Mapping[str, Any]) -> Loops:
    """y[..., j] = sum_k x[..., k] w[k, j] + b[j]."""
    x, w = sizes[:2]
    lead, transposed = len(x) - 1, attrs.get("transposed", False)
    j, k = lead, lead + 1
    left: Index = (*({axis: 1} for axis in range(lead)), {k: 1})
    right: Index = ({j: 1}, {k: 1}) if transposed else ({k: 1}, {j: 1})
    bias = (2, ({j: 1},)) if len(sizes) > 2 else None
    return Loops((*x[:-1], w[0] if transposed else w[1]), (x[-1],), ((0, left), (1, right)), bias)


def _reduced(combine: str, mean: bool = False) -> Callable[[tuple[Sizes, ...], Mapping[str, Any]], Loops]:
    """One entry for each index of the axes that are kept."""

    def loops(sizes: tuple[Sizes, ...], attrs: Mapping[str, Any]) -> Loops:
        x = sizes[0]
        dropped = sorted({axis % len(x) for axis in attrs["axes"]})
        kept = [axis for axis in range(len(x)) if axis not in dropped]
        numbers = {axis: i for i, axis in enumerate([*kept, *dropped])}
        over = tuple(x[axis] for axis in dropped)
        count = 1
        for size in over:
            count *= size
        index = tuple({numbers[axis]: 1} for axis in range(len(x)))
        scale = 1.0 / count if mean else 1.0
        return Loops(tuple(x[axis] for axis in kept), over, ((0, index),), None, combine, scale)

    return loops


def _windows(size: int, kernel: int, stride: int, dilation: int = 1) -> int:
    return (size - dilation * (kernel - 1) - 1) // stride + 1


def convolved(sizes: tuple[Sizes, ...], attrs: Mapping[str, Any]) -> Loops:
    """y[m, o, p] = sum_{c, q} x[m, c, s p + d q] w[o, c, q] + b[o], without margins; loops m, group, o, p, c, q."""
    x, w = sizes[:2]
    rank, groups = len(x) - 2, attrs.get("groups", 1)
    stride, dilation = (_each(attrs.get(key, 1), rank) for key in ("stride", "dilation"))
    space = tuple(_windows(*item) for item in zip(x[2:], w[2:], stride, dilation, strict=True))
    channels, results = w[1], w[0] // groups
    p, c = 3, 3 + rank
    moved = [{p + i: stride[i], c + 1 + i: dilation[i]} for i in range(rank)]
    image: Index = ({0: 1}, {1: channels, c: 1}, *moved)
    kernel: Index = ({1: results, 2: 1}, {c: 1}, *({c + 1 + i: 1} for i in range(rank)))
    bias = (2, ({1: results, 2: 1},)) if len(sizes) > 2 else None
    return Loops((x[0], groups, results, *space), (channels, *w[2:]), ((0, image), (1, kernel)), bias)


def pooled(combine: str) -> Callable[[tuple[Sizes, ...], Mapping[str, Any]], Loops]:
    """The mean, or the largest, of windows without margins."""

    def loops(sizes: tuple[Sizes, ...], attrs: Mapping[str, Any]) -> Loops:
        x = sizes[0]
        rank = len(x) - 2
        kernel, stride = (_each(attrs[key], rank) for key in ("kernel", "stride"))
        space = tuple(_windows(*item) for item in zip(x[2:], kernel, stride, strict=True))
        moved = [{2 + i: stride[i], 2 + rank + i: 1} for i in range(rank)]
        count = 1
        for size in kernel:
            count *= size
        scale = 1.0 / count if combine == "sum" else 1.0
        return Loops((*x[:2], *space), kernel, ((0, ({0: 1}, {1: 1}, *moved)),), None, combine, scale)

    return loops


def _each(value: Any, rank: int) -> tuple[int, ...]:
    return (value,) * rank if isinstance(value, int) else tuple(value)


MATMUL_IN_C, LINEAR_IN_C = Sums(_matmul), Sums(_linear)
SUM_IN_C, MEAN_IN_C = Sums(_reduced("sum")), Sums(_reduced("sum", mean=True))
MAX_IN_C, MIN_IN_C, PROD_IN_C = (Sums(_reduced(name)) for name in ("max", "min", "prod"))
