"""How fast the runtime draws, beside numpy's own generator of the same family, and what its designs of samples bring.

    python -m benchmarks.noise_rate [--rounds 20] [--compiled]

Nanoseconds a number, the fastest of some rounds, with one thread. numpy's `Philox` (4x64-10, with a ziggurat in C) is
the yardstick; it cannot be asked for one number without those before. Then the root mean square error of E exp(W(1)/2)
over 1024 paths of 16 steps, from 400 rows, and how many independent paths would be as good.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable

import numpy as np

from isocline_runtime.randomness import Draws, normals, poisson, stable, uniforms
from isocline_runtime.randomness.compiled import CHOICE, load

SHAPES = ((100, 100, 64, 1), (1000, 1, 64, 5), (1, 256, 64, 5), (1, 1, 64, 1))
DESIGNS = {
    "independent": {},
    "antithetic": {"antithetic": True},
    "lattice": {"lattice": True},
    "both": {"antithetic": True, "lattice": True},
}


def nanoseconds(draws: tuple[Callable[[], np.ndarray], ...], rounds: int) -> tuple[float, ...]:
    """Of one number, in the fastest of the rounds, in which they take turns."""
    fastest = [math.inf] * len(draws)
    for _ in range(rounds):
        for i, draw in enumerate(draws):
            begin = time.perf_counter()
            numbers = draw()
            fastest[i] = min(fastest[i], (time.perf_counter() - begin) / numbers.size)
    return tuple(1e9 * seconds for seconds in fastest)


def rates(shape: tuple[int, int, int, int], rounds: int) -> dict[str, tuple[float, ...]]:
    """Ours and numpy's, by what is drawn."""
    rows, samples, steps, channels = shape
    generator = np.random.Generator(np.random.Philox(1))
    draws = Draws(seed=1, samples=samples, steps=steps, channels=channels)
    pairs: dict[str, tuple[Callable[[], np.ndarray], Callable[[], np.ndarray]]] = {
        "uniform": (lambda: uniforms(draws, range(rows)), lambda: generator.random(shape)),
        "normal": (lambda: normals(draws, range(rows)), lambda: generator.standard_normal(shape)),
        "normal float32": (
            lambda: normals(draws, range(rows), np.float32),
            lambda: generator.standard_normal(shape, np.float32),
        ),
        "Cauchy": (lambda: stable(draws, range(rows), 1.0), lambda: generator.standard_cauchy(shape)),
        "counts, rate 5": (lambda: poisson(draws, range(rows), 5.0), lambda: generator.poisson(5.0, shape)),
    }
    return {name: nanoseconds(pair, rounds) for name, pair in pairs.items()}


def error(design: dict[str, bool], rows: int = 400) -> float:
    """Root mean square error of a mean over 1024 paths."""
    numbers = normals(Draws(seed=2, samples=1024, steps=16, **design), range(rows))
    means = np.exp(0.5 * numbers.sum(axis=(2, 3)) / 4).mean(axis=1)
    return float(np.sqrt(np.mean((means - math.exp(1 / 8)) ** 2)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--compiled", action="store_true", help="with the functions that numba compiles")
    arguments = parser.parse_args()
    rounds, compiled = arguments.rounds, load() if arguments.compiled else None
    if arguments.compiled and compiled is None:
        parser.error("numba is not installed: pip install 'isocline[fast]'")
    CHOICE.take(compiled)
    print(
        "| (rows, samples, steps, channels) | numbers | ours, ns | numpy, ns | ratio |\n| --- | --- | --- | --- | --- |"
    )
    for shape in SHAPES:
        for name, (ours, theirs) in rates(shape, rounds).items():
            print(f"| {shape} | {name} | {ours:.1f} | {theirs:.1f} | {ours / theirs:.1f} |", flush=True)
    plain = error({})
    print("\n| samples | error | as many independent paths |\n| --- | --- | --- |")
    for name, design in DESIGNS.items():
        found = error(design)
        print(f"| {name} | {found:.2g} | {1024 * (plain / found) ** 2:.0f} |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
