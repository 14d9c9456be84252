"""Stiff equations from their papers, deployed on fixed grids, against scipy's Radau."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

from isocline_compiler import driver
from isocline_runtime import load
from tests.acceptance.stiff_equations import PROBLEMS

MODELS = Path(__file__).parent / "stiff"
QUICK = ("robertson", "van_der_pol")
"""Built in every run; all of them by `python -m tests.acceptance.test_stiff`."""


def measured(name: str, folder: Path) -> tuple[str, float, float]:
    """The scheme with its steps, the largest error of an output at five inputs within the bounds, and the seconds of
    the processor that compiling took.
    """
    problem, begun = PROBLEMS[name], time.process_time()
    compiled = driver.compile(MODELS / f"{name}.dyn", out=folder / name)
    taken = time.process_time() - begun
    session = load(folder / name)
    scan = np.linspace(problem.low, problem.high, 7)[1:-1] if problem.given else np.zeros(1)
    scan = scan.astype(np.float32).astype(np.float64)
    found = session.run({port.name: scan.astype(port.dtype) for port in session.inputs})
    exact = np.stack([problem.solved(float(s)) for s in scan])
    worst = 0.0
    for output, place in problem.places.items():
        expected = exact[:, :, place].reshape(len(scan), -1)
        values = np.asarray(found[output], dtype=float).reshape(len(scan), -1)
        expected = expected[:, -values.shape[1] :]  # of a solve `over` a span the end alone
        worst = max(worst, float((np.abs(values - expected).max(axis=1) / np.abs(expected).max(axis=1)).max()))
    certificate = compiled.certificate
    (solve,) = certificate["solves"]
    certified = max(item["maximum"] for item in certificate["deployed"].values())
    said = f"{solve['scheme']} | {solve['steps']} | {certificate['dtype']} | {certified:.1e}"
    assert worst <= certificate["stated_error"]
    return said, worst, taken


@pytest.mark.parametrize("name", QUICK)
def test_a_stiff_problem_is_deployed_within_its_stated_error(name: str, tmp_path: Path) -> None:
    _, worst, _ = measured(name, tmp_path)
    assert worst <= 1e-4


def test_the_true_solution_of_hires_is_the_published_one() -> None:
    """The reference solution of the test set of Bari, at t = 321.8122."""
    published = [
        0.7371312573325668e-3, 0.1442485726316185e-3, 0.5888729740967575e-4, 0.1175651343283149e-2,
        0.2386356198831331e-2, 0.6238968252742796e-2, 0.2849998395185769e-2, 0.2850001604814231e-2,
    ]  # fmt: skip
    np.testing.assert_allclose(PROBLEMS["hires"].solved(1.0)[-1], published, rtol=2e-6)


def test_the_true_solution_of_van_der_pol_is_the_published_one() -> None:
    """The reference solution of the test set of Bari, at t = 2 mu; y is in its units of 1/mu."""
    x, y = PROBLEMS["van_der_pol"].solved(0.0)[-1]
    np.testing.assert_allclose([x, 1000 * y], [0.1706167732170483e1, -0.8928097010247975], rtol=1e-7)


def main() -> None:
    """A line for each problem: `python -m tests.acceptance.test_stiff`."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("names", nargs="*", help="problems, all if none is named")
    for name in parser.parse_args().names or PROBLEMS:
        with tempfile.TemporaryDirectory() as folder:
            said, worst, taken = measured(name, Path(folder))
            print(f"| {name} | {said} | {worst:.1e} | {taken:.0f} |", flush=True)


if __name__ == "__main__":
    main()
