"""What nothing reads is dropped; and what is read is filled, or there is no program."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from isocline_compiler.backends.to_c.kernels import (
    Contraction,
    Kernel,
    Nest,
    Repeat,
    Straight,
    Text,
    buffer_of,
    read_by,
    walk,
    written_by,
)
from isocline_compiler.backends.to_c.storage import Buffer


def prune(kernels: list[Kernel], outputs: set[Buffer]) -> None:
    """Drop what nothing reads, until nothing changes."""
    while True:
        read = {buffer for kernel in walk(kernels) for buffer in read_by(kernel)}
        # one array may have rows in several loops: the one that fills it, and those that read what was filled
        rows = [item for kernel in walk(kernels) if isinstance(kernel, Repeat) for item in kernel.rows]
        outside = _read_outside(kernels) | outputs
        kept = read | outputs | {row for row, whole, _ in rows if whole in outside}
        if not _dropped(kernels, kept):
            return


def _read_outside(kernels: Sequence[Kernel]) -> set[Buffer]:
    """Buffers that something other than the loop that fills them reads."""
    found: set[Buffer] = set()
    for kernel in walk(kernels):
        if not isinstance(kernel, Repeat):
            found.update(read_by(kernel))
        else:
            filled = {buffer for inner in walk(kernel.body) for buffer in written_by(inner)}
            found.update(whole for row, whole, _ in kernel.rows if row not in filled)
    return found


def _dropped(kernels: list[Kernel], kept: set[Buffer]) -> bool:
    changed = False
    for kernel in list(kernels):
        if isinstance(kernel, Straight):
            alive = [item for item in kernel.statements if item.target.buffer in kept]
            changed |= len(alive) < len(kernel.statements)
            kernel.statements = alive
            empty = not alive
        elif isinstance(kernel, Nest):
            alive_at = [i for i, place in enumerate(kernel.places) if place.buffer in kept]
            changed |= len(alive_at) < len(kernel.places)
            kernel.statements = [kernel.statements[i] for i in alive_at]
            kernel.places = [kernel.places[i] for i in alive_at]
            empty = not alive_at
        elif isinstance(kernel, Contraction):
            empty = not any(target in kept for target in kernel.targets)
        elif isinstance(kernel, Text):
            empty = kernel.target not in kept
        else:
            changed |= _dropped(kernel.body, kept)
            used = {buffer for inner in walk(kernel.body) for buffer in (*read_by(inner), *written_by(inner))}
            kernel.rows = [item for item in kernel.rows if item[0] in used]
            empty = not kernel.body
        if empty:
            kernels.remove(kernel)
            changed = True
    return changed


def require_filled(kernels: Sequence[Kernel], given: set[Buffer]) -> None:
    """Raises AssertionError where an array is read that nothing before has filled: its numbers would be anything.

    Read and written are arrays, not entries: what is filled in part is not seen.
    """
    _filled_after(kernels, set(given))


def _filled_after(kernels: Sequence[Kernel], filled: set[Buffer]) -> set[Buffer]:
    """What is filled behind these kernels, of which each reads what is filled before it."""
    for kernel in kernels:
        if isinstance(kernel, Repeat):
            own = {buffer for inner in walk(kernel.body) for buffer in written_by(inner)}
            full = (row for row, whole, _ in kernel.rows if whole in filled or whole.data is not None)
            rows = set(full) - own
            behind = _filled_after(kernel.body, filled | rows)
            filled |= behind | {whole for row, whole, _ in kernel.rows if row in own}
            continue
        for read, written in _in_order(kernel):
            missing = sorted({item.name for item in read if item not in filled and item.data is None})
            if missing:
                raise AssertionError(f"C reads {', '.join(missing)}, which nothing has filled")
            filled |= written
    return filled


def _in_order(kernel: Kernel) -> Iterator[tuple[set[Buffer], set[Buffer]]]:
    """What is read and what is written, statement after statement."""
    if isinstance(kernel, Straight):
        lines = [(statement.operands, statement.target.buffer) for statement in kernel.statements]
    elif isinstance(kernel, Nest):
        lines = [(operands, target) for target, _, operands in kernel.statements]
    else:
        lines = []
        yield set(read_by(kernel)), set(written_by(kernel))
    for operands, target in lines:
        yield set(filter(None, map(buffer_of, operands))), {target}
    yield set(), set(written_by(kernel))


__all__ = ["prune", "require_filled"]
