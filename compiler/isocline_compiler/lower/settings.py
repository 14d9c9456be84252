"""Settings of blocks: read once each, and checked against the records of what they may be."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeVar

from isocline_compiler.graph.called import Called
from isocline_compiler.lower.called import called
from isocline_compiler.lower.faults import LowerError, Poisoned
from isocline_compiler.lower.known_numbers import Numbers
from isocline_compiler.vocabulary.options import Choice
from isocline_dsl.diagnostics import Diagnostic
from isocline_dsl.messages import training
from isocline_dsl.tree import (
    Block,
    BlockItem,
    Call,
    Expression,
    Identifier,
    Name,
    Setting,
    Span,
    String,
)

T = TypeVar("T")
Unknown = Callable[[Span, str, Sequence[str]], Diagnostic]


class Settings:
    """The settings of one block by key."""

    def __init__(self, block: Block, numbers: Numbers) -> None:
        self.block = block
        self.numbers = numbers

    def all(self, key: str) -> list[Setting]:
        """Every setting with this key, in order."""
        return [item for item in self.block.items if isinstance(item, Setting) and item.key.text == key]

    def items(self, kind: type[T]) -> list[T]:
        """The items of another kind: bindings, draws, attributions."""
        items: tuple[BlockItem, ...] = self.block.items
        return [item for item in items if isinstance(item, kind)]

    def value(self, key: str) -> Expression | None:
        """The one value of a setting, or None when it is not there. Raises LowerError for several."""
        found = self.all(key)
        if not found:
            return None
        values = found[0].values
        if not values:
            raise Poisoned  # reported where names are resolved
        if len(values) != 1:
            raise LowerError(training.setting_value(found[0].span, key, f"{len(values)} values", "one value"))
        return values[0]

    def number(self, key: str, least: float, default: T) -> float | T:
        """A known number above `least`."""
        value = self.value(key)
        if value is None:
            return default
        number = float(self.numbers.real(value))
        if not number > least:
            raise LowerError(training.setting_value(value.span, key, f"{number:g}", f"a number above {least:g}"))
        return number

    def count(self, key: str, least: int, default: T) -> int | T:
        """A known whole number from `least`."""
        value = self.value(key)
        if value is None:
            return default
        number = self.numbers.integer(value)
        if number < least:
            raise LowerError(training.setting_value(value.span, key, str(number), f"a whole number from {least}"))
        return number

    def word(self, key: str, known: Collection[str], default: str) -> str:
        """One of some words."""
        value = self.value(key)
        if value is None:
            return default
        if not isinstance(value, Name) or value.text not in known:
            found = value.text if isinstance(value, Name) else "an expression"
            raise LowerError(training.setting_value(value.span, key, found, "one of " + ", ".join(known)))
        return value.text

    def words(self, key: str, known: Collection[str]) -> tuple[str, ...]:
        """Some of some words, each once; none when the setting is not there."""
        chosen: list[str] = []
        for value in (value for setting in self.all(key)[:1] for value in setting.values):
            if not isinstance(value, Name) or value.text not in known or value.text in chosen:
                found = value.text if isinstance(value, Name) else "an expression"
                expected = "one or more of " + ", ".join(known)
                raise LowerError(training.setting_value(value.span, key, found, expected))
            chosen.append(value.text)
        return tuple(chosen)

    def text(self, key: str) -> tuple[str, Span] | None:
        """A string."""
        value = self.value(key)
        if value is None:
            return None
        if not isinstance(value, String):
            raise LowerError(training.setting_value(value.span, key, "something else", 'text in quotes: `"..."`'))
        return value.text, value.span

    def choice(self, key: str, known: Mapping[str, Choice], unknown: Unknown) -> Called | None:
        """A call of one of `known`, with its options checked and its defaults filled in."""
        value = self.value(key)
        return None if value is None else self.option(value, key, known, unknown)

    def option(self, value: Expression, key: str, known: Mapping[str, Choice], unknown: Unknown) -> Called:
        """`adam(lr=0.02)` or `adam`. Raises LowerError."""
        if isinstance(value, Name):
            value = Call(Identifier(value.text, span=value.span), span=value.span)
        if not isinstance(value, Call):
            raise LowerError(training.setting_value(value.span, key, "an expression", f"one of {', '.join(known)}"))
        name = value.name.text
        if name not in known:
            raise LowerError(unknown(value.name.span, name, sorted(known)))
        return called(value, known[name], self.numbers)
