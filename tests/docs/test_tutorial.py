"""The tutorial, done: its files are written, its commands run in order, and what it shows is what they print."""

from __future__ import annotations

import io
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from isocline.cli import app

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "tutorial.md"
TEXT = PAGE.read_text("utf-8")

BLOCK = re.compile(
    r"(?:<!-- (?P<mark>.*?) -->\n)?```(?P<kind>\w*)(?: title=\"(?P<title>.*?)\")?\n(?P<text>.*?)^```", re.S | re.M
)
NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e[+-]\d+)?(?![\w.]*\w)")
ELIDED = "…"


@dataclass(frozen=True)
class Block:
    """A fenced block: where it begins, its language, the name of its file, its text, and the exit status it expects."""

    line: int
    kind: str
    title: str | None
    text: str
    status: int


@dataclass(frozen=True)
class Command:
    """A command of a `console` block with the lines that are shown below it."""

    line: int
    text: str
    shown: tuple[str, ...]
    status: int


def blocks(page: str) -> Iterator[Block]:
    for found in BLOCK.finditer(page):
        mark = re.fullmatch(r"exits: (\d+)", found["mark"] or "")
        line = page[: found.start("text")].count("\n") + 1
        yield Block(line, found["kind"], found["title"], found["text"], int(mark[1]) if mark else 0)


def commands(block: Block) -> Iterator[Command]:
    """Of several commands in a block, the mark is about the last one."""
    parts = re.split(r"^\$ ", block.text, flags=re.M)[1:]
    for number, part in enumerate(parts, start=1):
        text, *shown = part.splitlines()
        status = block.status if number == len(parts) else 0
        yield Command(block.line, text, tuple(shown), status)


# ------------------------------------------------------------------------------- shown and printed


def pattern(shown: str) -> re.Pattern[str]:
    """The line with any number for each number, any text for each `…`, and any spaces for spaces."""
    template = NUMBER.sub("\0", " ".join(shown.split()))
    exact = re.escape(template).replace(re.escape(ELIDED), ".*").replace("\0", f"({NUMBER.pattern})")
    return re.compile(exact)


def near(shown: str, printed: str) -> bool:
    """Small whole numbers are exact, powers of ten may be a factor of 3 apart, others a quarter."""
    if re.fullmatch(r"-?\d{1,3}", shown):
        return shown == printed
    expected, found = float(shown), float(printed)
    factor = 3 if "e" in shown else 1.25
    return expected == found or 1 / factor <= found / (expected or 1e-30) <= factor


def matches(shown: str, printed: str) -> bool:
    found = pattern(shown).fullmatch(" ".join(printed.split()))
    numbers = NUMBER.findall(shown)
    return found is not None and all(map(near, numbers, found.groups()))


def missing(shown: tuple[str, ...], printed: str) -> list[str]:
    """The lines that are shown and do not follow one another in what was printed."""
    rest = iter(printed.splitlines())
    wanted = [line for line in shown if line.strip() not in {"", ELIDED, "^C"}]
    return [line for line in wanted if not any(matches(line, candidate) for candidate in rest)]


# ------------------------------------------------------------------------------- doing it


def run(command: Command) -> tuple[int, str]:
    """Commands of isocline here, to load torch once; others, and one that is interrupted, in a shell of their own."""
    words = shlex.split(command.text)
    if "^C" in command.shown:
        return interrupted(words)
    if words[0] == "isocline" and "|" not in words:
        result = CliRunner().invoke(app, words[1:])
        return result.exit_code, result.output
    done = subprocess.run(command.text, shell=True, capture_output=True, text=True, env=environment(), check=False)
    return done.returncode, done.stdout + done.stderr


def environment() -> dict[str, str]:
    return os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def interrupted(words: list[str]) -> tuple[int, str]:
    """Ctrl-C as soon as the first epoch is told."""
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=environment()) as running:
        assert running.stderr is not None
        printed = []
        for line in running.stderr:
            printed.append(line)
            if line.startswith("epoch"):
                running.send_signal(signal.SIGINT)
                break
        printed.append(running.stderr.read())
    return running.returncode, "".join(printed)


class Reader:
    """Somebody who follows the page: one folder, one Python prompt, what was printed last."""

    def __init__(self) -> None:
        self.prompt: dict[str, object] = {}
        self.printed = ""

    def follow(self, block: Block) -> None:
        if block.title is not None:
            Path(block.title).write_text(block.text, "utf-8")
        elif block.kind == "python":
            self.type_in(block)
        elif block.kind == "text":
            self.compare(block.line, tuple(block.text.splitlines()))
        else:
            for command in commands(block):
                self.execute(command)

    def type_in(self, block: Block) -> None:
        with redirect_stdout(io.StringIO()) as out:
            exec(compile(block.text, f"tutorial.md:{block.line}", "exec"), self.prompt)
        self.printed = out.getvalue()

    def execute(self, command: Command) -> None:
        status, self.printed = run(command)
        assert status == command.status, f"tutorial.md:{command.line}: {command.text}\n{self.printed}"
        self.compare(command.line, command.shown)

    def compare(self, line: int, shown: tuple[str, ...]) -> None:
        absent = missing(shown, self.printed)
        assert not absent, f"tutorial.md:{line}: not printed: {absent[0]}\n{self.printed}"


@pytest.mark.slow
def test_whoever_follows_the_tutorial_sees_what_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    reader = Reader()
    for block in blocks(TEXT):
        reader.follow(block)


def test_ten_steps_each_with_something_to_do() -> None:
    steps = re.split(r"^## ", TEXT, flags=re.M)[1:11]
    assert [step.split(".")[0] for step in steps] == [str(number) for number in range(1, 11)]
    assert all(any(block.kind == "console" for block in blocks(step)) for step in steps)


# ------------------------------------------------------------------------------- the rule itself


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("error  1.7e-04", "error 2.1e-04"),
        ("rate 0.52 ± 0.05", "rate 0.514 ± 0.05"),
        ("latency  … µs, batch 1", "latency  812 µs, batch 1"),
        ("rk4, 40 steps", "rk4, 40 steps"),
    ],
)
def test_what_counts_as_the_same(shown: str, printed: str) -> None:
    assert not missing((shown,), f"before\n{printed}\nafter")


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("error  1.7e-04", "error 1.7e-03"),
        ("rk4, 40 steps", "rk4, 60 steps"),
        ("rk4, 40 steps", "rk38, 40 steps"),
        ("rate 0.52", "rate 0.8"),
        ("rate 0.52", "rate nan"),
        ("error[E201]", "error[E202]"),
    ],
)
def test_what_does_not(shown: str, printed: str) -> None:
    assert missing((shown,), printed) == [shown]


def test_lines_come_in_the_order_shown() -> None:
    assert missing(("b", "a"), "a\nb\n") == ["a"]
