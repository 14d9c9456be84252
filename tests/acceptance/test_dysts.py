"""Systems translated from functions of Python: the translation, and three systems as they are deployed.

The package `dysts` itself is not among the project's: `python -m tests.acceptance.dysts` measures all of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.acceptance.dysts.systems import STATED, System
from tests.acceptance.dysts.traced import Untranslatable, traced_field
from tests.acceptance.measured import measure

WORDS: dict[str, Any] = {
    **{name: getattr(math, name) for name in ("sin", "cos", "tanh", "exp", "sqrt", "atan", "floor")},
    "abs": abs, "min": min, "max": max, "sign": np.sign, "where": lambda holds, a, b: a if holds else b,
}  # fmt: skip
MATRIX = np.array([[0.3, -1.2], [2.0, 0.0]])


def arrays(x: Any, t: Any) -> Any:
    return -x / 0.7 + np.matmul(MATRIX, 1 / (1 + np.exp(-x))) * np.cos(t)


def in_place(x: Any, t: Any) -> Any:
    found = np.zeros_like(x)
    found[0] = (x[1] - x[-1] ** 2) * 3
    found[1:] = x[:-1] * t
    found *= 2
    return found


def steps(x: Any, t: Any) -> Any:
    a = np.heaviside(x[0], 0) * x[1] + np.abs(x[1]) - np.sign(x[1])
    b = np.minimum(x[0], 0.2) + np.maximum(0, x[1]) + (x[0] > x[1]) * 3 + (x[0] + 7.5) % 2
    return a, b


def accumulated(x: Any, t: Any) -> Any:
    u = x[0] * x[1]
    u += 0.5 * np.sqrt(u + 9)
    u *= np.arctan(2.0 ** x[1])
    return u, 1


def smallest(x: Any, t: Any) -> Any:
    return np.min(MATRIX * x + 0.1, axis=1)


def evaluated(right: Callable[[Any, Any], Any], x: list[float], t: float) -> list[float]:
    """The statements of the field, read as Python."""
    known: dict[str, Any] = {**WORDS, "x0": x[0], "x1": x[1], "t": t}
    found = []
    for statement in traced_field(right, ["x0", "x1"]):
        left, _, expression = statement.partition(" = ")
        value = eval(expression.replace("^", "**"), {}, known)
        if left.endswith("'"):
            found.append(value)
        else:
            known[left] = value
    return found


@pytest.mark.parametrize("right", [arrays, in_place, steps, accumulated, smallest], ids=lambda f: f.__name__)
def test_translation_keeps_the_values(right: Callable[[Any, Any], Any]) -> None:
    for x in ([0.4, -1.3], [-0.7, 0.2], [1.9, 2.3]):
        expected = np.asarray(right(np.array(x), 0.6), dtype=float)
        assert evaluated(right, x, 0.6) == pytest.approx(list(expected), rel=1e-12)


def test_a_branch_is_not_translated() -> None:
    with pytest.raises(Untranslatable, match="a branch"):
        traced_field(lambda x, t: [x[0] if x[0] > 0 else -x[0]], ["x0"])


def test_a_function_without_a_word_is_not_translated() -> None:
    with pytest.raises(Untranslatable, match="cbrt"):
        traced_field(lambda x, t: [np.cbrt(x[0])], ["x0"])


@dataclass(frozen=True)
class Published:
    """What `System` reads of a class of the package."""

    name: str
    ic: list[float]
    maximum_lyapunov_estimated: float | None
    period: float
    rhs: Callable[[Any, Any], Any]


def lorenz(x: Any, t: Any) -> Any:
    return 10 * (x[1] - x[0]), x[0] * (28 - x[2]) - x[1], x[0] * x[1] - 8 / 3 * x[2]


def roessler(x: Any, t: Any) -> Any:
    return -x[1] - x[2], x[0] + 0.2 * x[1], 0.2 + x[2] * (x[0] - 5.7)


def thomas(x: Any, t: Any) -> Any:
    return np.sin(np.roll(x, -1)) - 0.18 * x


SAMPLE = (
    Published("Lorenz", [-9.79, -15.04, 20.53], 0.89, 1.5, lorenz),
    Published("Rossler", [6.5, 0.02, 0.06], 0.151, 5.9, roessler),
    Published("Thomas", [1.8, -0.7, 0.9], None, 5.0, thomas),
)


@pytest.mark.slow
@pytest.mark.parametrize("made", SAMPLE, ids=lambda made: made.name)
def test_certificates_are_true(made: Published, tmp_path: Path) -> None:
    system = System(made)
    file = tmp_path / "system.dyn"
    file.write_text(system.text())
    row = measure(system.problem(), file, STATED, count=21)
    assert row.verdict == "true", row.cells
