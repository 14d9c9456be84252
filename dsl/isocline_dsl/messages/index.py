"""All messages by code, and their long forms."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType, ModuleType
from typing import Any

from isocline_dsl.messages import (
    attribution,
    calls,
    comparing,
    compiling,
    data,
    declarations,
    defaults,
    delays,
    derivatives,
    driven,
    dynamics,
    ensemble,
    fitting,
    folders,
    fractional,
    jumps,
    learned,
    names,
    noise,
    operations,
    panels,
    proofs,
    regularizers,
    scans,
    schemes,
    shapes,
    sharing,
    streaming,
    syntax,
    training,
    unsolved,
)
from isocline_dsl.messages.message import Message, did_you_mean

AREAS: tuple[ModuleType, ...] = (
    syntax,
    names,
    noise,
    driven,
    jumps,
    learned,
    delays,
    fractional,
    schemes,
    ensemble,
    shapes,
    sharing,
    operations,
    calls,
    dynamics,
    scans,
    derivatives,
    training,
    regularizers,
    declarations,
    defaults,
    proofs,
    fitting,
    comparing,
    panels,
    data,
    compiling,
    attribution,
    folders,
    streaming,
    unsolved,
)


def messages_of(area: ModuleType) -> Iterator[Message[Any]]:
    """The messages that a module defines, in the order of its text."""
    return (value for value in vars(area).values() if isinstance(value, Message))


def index(areas: tuple[ModuleType, ...]) -> dict[str, Message[Any]]:
    """Messages by code. Raises ValueError when two share a code or one has no long form."""
    found: dict[str, Message[Any]] = {}
    for area in areas:
        for message in messages_of(area):
            if message.code in found:
                raise ValueError(f"{message.code} is both {found[message.code].name} and {message.name}")
            if not message.explanation:
                raise ValueError(f"{message.code} ({message.name}) has no long form")
            found[message.code] = message
    return found


CATALOGUE = MappingProxyType(index(AREAS))


def explain(code: str) -> str:
    """The long form of a message. Raises KeyError, with a hint, when there is no such code."""
    wanted = code.strip().upper()
    if wanted not in CATALOGUE:
        raise KeyError(f"there is no message {code}; {did_you_mean(wanted, CATALOGUE) or 'codes look like E214'}")
    message = CATALOGUE[wanted]
    return f"{message.code} ({message.name.replace('_', ' ')})\n\n{message.explanation}\n"
