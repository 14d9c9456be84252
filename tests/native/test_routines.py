"""The C library's functions, by how many units in the last place they are off numpy's and scipy's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.special

from isocline_compiler.backends.to_c import to_c
from isocline_compiler.graph import INPUT, Graph, leaf
from isocline_compiler.ops import OPS
from isocline_compiler.ops.shapes import real
from tests.native.in_c import built, called, needs_compiler

REFERENCE: dict[str, tuple[Callable[[Any], Any], tuple[float, float], float, float]] = {
    "exp": (np.exp, (-80, 80), 2, 3),
    "log": (np.log, (1e-6, 1e6), 3, 3),
    "sin": (np.sin, (-100, 100), 3, 3),
    "cos": (np.cos, (-100, 100), 3, 3),
    "tan": (np.tan, (-1.5, 1.5), 1, 5),
    "tanh": (np.tanh, (-9, 9), 7, 6),
    "sigmoid": (scipy.special.expit, (-30, 30), 4, 5),
    "softplus": (lambda x: np.logaddexp(0, x), (-30, 30), 1, 6),
    "sqrt": (np.sqrt, (0, 1e6), 1, 1),
    "atan": (np.arctan, (-50, 50), 1, 4),
    "asin": (np.arcsin, (-0.999, 0.999), 1, 5),
    "acos": (np.arccos, (-0.999, 0.999), 1, 5),
    "sinh": (np.sinh, (-20, 20), 1, 6),
    "cosh": (np.cosh, (-20, 20), 1, 5),
    "asinh": (np.arcsinh, (-50, 50), 1, 6),
    "acosh": (np.arccosh, (1.01, 50), 1, 6),
    "atanh": (np.arctanh, (-0.99, 0.99), 1, 8),
    "erf": (scipy.special.erf, (-6, 6), 1, 6),
}
"""By function: what it is, on which interval, and how far it may be off in single and in double precision, in ulp."""


def units(found: np.ndarray, exact: np.ndarray, type_: type) -> float:
    """The largest distance in units in the last place of the exact value."""
    return float(np.max(np.abs(found.astype(np.longdouble) - exact) / np.spacing(np.abs(exact).astype(type_))))


@needs_compiler
@pytest.mark.parametrize("name", sorted(REFERENCE))
def test_a_function_is_as_exact_as_stated(name: str, tmp_path: Path) -> None:
    function, (low, high), single, double = REFERENCE[name]
    x = leaf(INPUT, "x", real("batch"))
    graph = Graph((x,), {"y": OPS[name](x)}, "m")
    for type_, dtype, bound in ((np.float32, "float32", single), (np.float64, "float64", double)):
        program = to_c(graph, {}, name="m", dtype=dtype)
        library = built(program, tmp_path / dtype, "-O2")
        points = np.linspace(low, high, 40_001).astype(type_)
        points = points[np.abs(points) > 1e-6]
        found = called(library, program, {"x": points}, len(points), type_)["y"].reshape(-1)
        assert units(found, function(points.astype(np.float64)), type_) <= bound


@needs_compiler
def test_the_ends_of_the_numbers(tmp_path: Path) -> None:
    """Overflow, underflow, and what is not a number, as numpy has them."""
    x = leaf(INPUT, "x", real("batch"))
    names = ("exp", "log", "tanh", "sqrt", "sigmoid", "floor", "round")
    program = to_c(Graph((x,), {name: OPS[name](x) for name in names}, "m"), {}, name="m")
    library = built(program, tmp_path, "-O2")
    points = np.array([np.inf, -np.inf, np.nan, 0.0, 1e30, -1e30, 100.0, -100.0, 2.5, -2.5, -0.5, 1e-40], np.float32)
    functions = (np.exp, np.log, np.tanh, np.sqrt, scipy.special.expit, np.floor, np.rint)
    answers = called(library, program, {"x": points}, len(points))
    with np.errstate(all="ignore"):
        for name, function in zip(names, functions, strict=True):
            expected = function(points.astype(np.float64)).astype(np.float32)
            np.testing.assert_allclose(answers[name].reshape(-1), expected, rtol=1e-6, atol=1e-43, err_msg=name)
