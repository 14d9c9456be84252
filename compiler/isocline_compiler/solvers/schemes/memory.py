"""What a scheme remembers, taken apart into values and put together again: so that a loop can carry it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

from isocline_compiler.solvers.schemes.step import Memory


def _parts(memory: Memory) -> dict[Any, Memory] | None:
    """What a tuple, a mapping or a record holds, by place, nothing and words for yes and no none; None for a value."""
    if memory is None or isinstance(memory, bool):
        return {}
    if isinstance(memory, tuple):
        return dict(enumerate(memory))
    if isinstance(memory, Mapping):
        return dict(memory)
    if is_dataclass(memory) and not isinstance(memory, type):
        return {item.name: getattr(memory, item.name) for item in fields(memory)}
    return None


def values_of(memory: Memory) -> list[Memory]:
    """The values in a memory made of tuples, records and nothing, in their order."""
    parts = _parts(memory)
    return [memory] if parts is None else [value for part in parts.values() for value in values_of(part)]


def replaced(memory: Memory, values: Iterator[Memory]) -> Memory:
    """The same memory with other values, taken one after another."""
    parts = _parts(memory)
    if parts is None:
        return next(values)
    changed = {key: replaced(part, values) for key, part in parts.items()}
    if memory is None or isinstance(memory, bool):
        return memory
    if isinstance(memory, tuple):
        return tuple(changed.values())
    if isinstance(memory, Mapping):
        return changed
    return replace(memory, **changed)


def same_form(left: Memory, right: Memory) -> bool:
    """Whether two memories hold as many values in the same places."""
    one, other = _parts(left), _parts(right)
    if one is None or other is None:
        return one is other
    if isinstance(left, bool):
        return left is right
    return type(left) is type(right) and one.keys() == other.keys() and all(same_form(one[k], other[k]) for k in one)
