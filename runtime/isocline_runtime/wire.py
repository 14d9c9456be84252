"""Reading protobuf's wire format: the fields of one message, without knowing its type.

https://protobuf.dev/programming-guides/encoding/. As strict as the C++ parser or stricter, so that
nothing is seen by onnxruntime that was not seen here: a tag above 32 bits, which that parser truncates,
is malformed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


class WireError(ValueError):
    """The bytes are not a protobuf message; `offset` is where they stop making sense."""

    def __init__(self, reason: str, offset: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.offset = offset


class Slice(NamedTuple):
    """The bytes of a message or string: data[start:end]."""

    start: int
    end: int


class WireField(NamedTuple):
    """One field: its number, how it is encoded, and its payload: the integer, or where the bytes are."""

    number: int
    kind: int
    value: int
    body: Slice


def read_varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """A base-128 integer of at most 64 bits, and the offset after it."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= end:
            raise WireError("an integer is cut off", at)
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
    raise WireError("an integer is longer than ten bytes", at)


def read_fields(data: bytes, message: Slice) -> Iterator[WireField]:
    """The fields of the message in data[start:end], in order. Raises WireError."""
    at, end = message
    while at < end:
        tag = data[at]
        if tag < 0x80:
            at += 1
        else:
            tag, at = _read_tag(data, at, end)
        number, kind = tag >> 3, tag & 7
        if number == 0:
            raise WireError("a field has the number 0", at)
        if kind == BYTES:
            length, at = read_varint(data, at, end)
            if length > end - at:
                raise WireError("a field is longer than its message", at)
            yield WireField(number, kind, 0, Slice(at, at + length))
            at += length
        elif kind == VARINT:
            value, at = read_varint(data, at, end)
            yield WireField(number, kind, value, Slice(at, at))
        else:
            at = _skip_fixed(kind, at, end)
            yield WireField(number, kind, 0, Slice(at, at))


def _read_tag(data: bytes, at: int, end: int) -> tuple[int, int]:
    tag, after = read_varint(data, at, end)
    if tag > 0xFFFFFFFF or after - at > 5:
        raise WireError("a tag is longer than 32 bits", at)
    return tag, after


def _skip_fixed(kind: int, at: int, end: int) -> int:
    width = {FIXED64: 8, FIXED32: 4}.get(kind)
    if width is None:
        raise WireError("a field is of an unknown kind", at)
    if width > end - at:
        raise WireError("a number is cut off", at)
    return at + width


def read_text(data: bytes, body: Slice) -> str:
    """A string field; bytes that are not UTF-8 are shown as replacement characters, never refused."""
    return data[body.start : body.end].decode("utf-8", errors="replace")
