"""Programs with mistakes: bytes at random, and programs that exist with some of their words changed for others."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from random import Random

from isocline_dsl.layout import BLOCKS, DECLARING, RESERVED

ROOT = Path(__file__).parents[2]
FOLDERS = ("tests/acceptance/programs", "tests/dsl/programs", "tests/stages/programs", "examples", "tests/fuzz/corpus")
LONGEST = 8_000
TEXTS = [
    text
    for folder in FOLDERS
    for path in sorted((ROOT / folder).rglob("*.dyn"))
    if len(text := path.read_text(encoding="utf-8")) < LONGEST
]
PIECES = re.compile(r"\n|[^\S\n]+|\"[^\"\n]*\"|[^\W\d]\w*|\d[\w.]*|\|>|->|\.\.|[<>=!]=|.", re.DOTALL)
WORDS = sorted({piece for text in TEXTS for piece in PIECES.findall(text) if piece.isidentifier()})
NUMBERS = (
    "0", "1", "2", "3", "7", "-1", "0.5", "1e-3", "1e3", "1e9", "1e308", "1e400", "1e-320", "10000000", "1000000000",
    "9223372036854775808", "inf", "pi", "1.", "1e", "0x10", "1_000",
)  # fmt: skip
SIGNS = (
    "+", "-", "*", "/", "@", "^", "|>", "==", "<", ">=", "..", ".", ",", ":", ";", "=", "~", "->", "(", ")", "[", "]",
    "{", "}", "'", "''", " and ", " or ", " not ", " in ", "#", '"', "\\",
)  # fmt: skip
ODD = ("\0", "\ufeff", "\r", "\u2028", "\x85", "²", "−", "１", "٣", "é", "e\u0301", "\U0001d7d9", "…", "′", "\x1b", "$")
KEYWORDS = tuple(sorted(BLOCKS | DECLARING | RESERVED))
CALLS = (
    "grad(x, x)", "jacobian(y, x)", "vjp(y, x, x)", "jvp(y, k, x)", "hessian(y, x)", "divergence(x, x)", "zeros(3)",
    "full(1, 2)", "range(5)", "linspace(0, 1, 3)", "reshape(x, -1)", "pad(x, 2)", "stack(x, x, axis=-1)",
    "one_hot(x, 3)", "x[0]", "x[-1:]", "x[:, 0]", "[x, 1]", "[[1, 2], [3]]", "(x |> dense(2))",
    "where(x > 0, x, 1)", "0*inf",
    "real[3]", "real[T]", "class[3]", "positive", "bool", "time[4]", "0..1 step 0.1", "auto(error=1e-3)",
)  # fmt: skip


def any_bytes(random: Random) -> bytes:
    """Bytes at random, or a program with some of its bytes changed."""
    if random.random() < 0.3:
        return bytes(random.randrange(256) for _ in range(random.randrange(200)))
    content = bytearray(random.choice(TEXTS).encode())
    for _ in range(random.randrange(1, 8)):
        place = random.randrange(len(content))
        match random.randrange(4):
            case 0:
                content[place] = random.randrange(256)
            case 1:
                content[place] = random.choice(b"(){}[]\"'\n#;,=+-*/^@|>.0123456789ex")
            case 2:
                del content[place : place + random.randrange(1, 20)]
            case _:
                content[place:place] = content[max(0, place - random.randrange(1, 40)) : place]
        if not content:
            break
    return bytes(content)


def any_words(random: Random) -> str:
    """A program with one to four changes, most of which leave it readable."""
    pieces = PIECES.findall(random.choice(TEXTS))
    for _ in range(random.choice((1, 1, 1, 2, 2, 3, 4))):
        random.choice(CHANGES)(random, pieces)
    return "".join(pieces)


def _place(random: Random, pieces: list[str], wanted: Callable[[str], bool]) -> int | None:
    places = [place for place, piece in enumerate(pieces) if wanted(piece)]
    return random.choice(places) if places else None


def _other_name(random: Random, pieces: list[str]) -> None:
    """A name for another one, of this program if it can be."""
    place = _place(random, pieces, str.isidentifier)
    if place is not None:
        own = [piece for piece in pieces if piece.isidentifier()]
        pieces[place] = random.choice(own if random.random() < 0.7 else WORDS)


def _other_number(random: Random, pieces: list[str]) -> None:
    place = _place(random, pieces, lambda piece: piece[:1].isdigit())
    if place is not None:
        pieces[place] = random.choice(NUMBERS)


def _other_sign(random: Random, pieces: list[str]) -> None:
    place = _place(random, pieces, lambda piece: piece in SIGNS)
    if place is not None:
        pieces[place] = random.choice(SIGNS)


def _expression(random: Random, pieces: list[str]) -> None:
    """A name or a number for a call."""
    place = _place(random, pieces, lambda piece: piece.isidentifier() or piece[:1].isdigit())
    if place is not None:
        names = [piece for piece in pieces if piece.isidentifier()]
        text = re.sub(r"\b[xyk]\b", lambda _: random.choice(names), random.choice(CALLS))
        pieces[place] = text


def _around(random: Random, pieces: list[str]) -> None:
    """Something around a name or a number: a call, a sign, brackets."""
    place = _place(random, pieces, lambda piece: piece.isidentifier() or piece[:1].isdigit())
    if place is not None:
        before, after = random.choice((("-", ""), ("(", ")"), ("[", "]"), ("", "[0]"), ("", "'"), ("", " |> tanh"),
                                       (random.choice(WORDS) + "(", ")"), ("grad(", ", x)"), ("not ", "")))  # fmt: skip
        pieces[place] = before + pieces[place] + after


def _lines(pieces: list[str]) -> list[list[str]]:
    lines: list[list[str]] = [[]]
    for piece in pieces:
        lines[-1].append(piece)
        if piece == "\n":
            lines.append([])
    return lines


def _shuffle_lines(random: Random, pieces: list[str]) -> None:
    """A line taken away, said twice, or moved."""
    lines = _lines(pieces)
    line = lines.pop(random.randrange(len(lines)))
    for _ in range(random.randrange(3)):
        lines.insert(random.randrange(len(lines) + 1), line)
    pieces[:] = [piece for line in lines for piece in line]


def _foreign_line(random: Random, pieces: list[str]) -> None:
    """A line of another program."""
    lines = _lines(PIECES.findall(random.choice(TEXTS)))
    own = _lines(pieces)
    own.insert(random.randrange(len(own) + 1), random.choice(lines))
    pieces[:] = [piece for line in own for piece in line]


def _piece(random: Random, pieces: list[str]) -> None:
    """Any piece taken away, changed for another, or put in."""
    place = random.randrange(len(pieces)) if pieces else 0
    other = random.choice(random.choice((WORDS, NUMBERS, SIGNS, ODD, KEYWORDS)))
    match random.randrange(3):
        case 0:
            del pieces[place : place + 1]
        case 1:
            pieces[place : place + 1] = [other]
        case _:
            pieces.insert(place, other)


CHANGES = (
    _other_name, _other_name, _other_number, _other_sign, _expression, _expression, _around, _shuffle_lines,
    _foreign_line, _piece, _piece,
)  # fmt: skip
