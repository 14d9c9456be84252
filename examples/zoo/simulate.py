"""Write the simulated systems of the zoo: mackey_glass.npz, burgers.npz and balls.npz, from fixed seeds.

    x' = 0.2 x(t - 6)/(1 + x(t - 6)^10) - 0.1 x      Mackey and Glass (1977), a blood count
    u' = -u u_x + 0.2 u_xx                          Burgers' equation on a ring of length 2 pi
    h'' = -9.81, at the floor h' <- -0.8 h'          a ball that bounces

All are observed with normal errors. They are simulated because of these the answer is known.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.integrate import solve_ivp

from examples.zoo.fetch import write_archives

DELAY, FINE, COUNTS, CURVES = 6.0, 600, 21, 160
POINTS, FIELDS, VISCOSITY = 32, 160, 0.2
TIMES = np.linspace(0.0, 1.0, 6)
BALLS, GRAVITY, KEPT = 120, 9.81, 0.8
NOISE = 0.01

Array = np.ndarray


def blood(level: Array, step: float) -> Array:
    """Heun's method on steps that divide the delay, from a constant history: (curves, 21) counts, 2 apart."""
    late = round(DELAY / step)
    path = [level] * (late + 1)

    def slope(x: Array, before: Array) -> Array:
        return np.asarray(0.2 * before / (1 + before**10) - 0.1 * x)

    for _ in range(round(2 * (COUNTS - 1) / step)):
        x, before, after = path[-1], path[-1 - late], path[-late]
        first = slope(x, before)
        path.append(x + step / 2 * (first + slope(x + step * first, after)))
    return np.stack(path[late :: round(2 / step)], axis=1)


def mackey_glass() -> dict[str, Array]:
    """`level` (curves,), what was before the start; `seen` (curves, 21)."""
    generator = np.random.default_rng(1977)
    level = generator.uniform(0.4, 1.4, CURVES)
    exact = blood(level, DELAY / FINE)
    return {"level": level, "seen": exact + generator.normal(0, NOISE, exact.shape)}


def ring(_: float, u: Array) -> Array:
    """Burgers' right side, its derivatives by Fourier's series."""
    waves = np.fft.fft(u)
    k = np.fft.fftfreq(len(u), 1 / len(u))
    first, second = np.fft.ifft(1j * k * waves).real, np.fft.ifft(-(k**2) * waves).real
    return np.asarray(-u * first + VISCOSITY * second)


def burgers() -> dict[str, Array]:
    """`start` (fields, 32) and `seen` (fields, 6, 32), at every fourth point of a finer ring."""
    generator = np.random.default_rng(1948)
    x = np.arange(4 * POINTS) * 2 * np.pi / (4 * POINTS)
    seen = []
    for _ in range(FIELDS):
        amplitude, phase = generator.normal(0, 0.5, 3), generator.uniform(0, 2 * np.pi, 3)
        first = sum(a * np.sin((i + 1) * x + p) for i, (a, p) in enumerate(zip(amplitude, phase, strict=True)))
        solution = solve_ivp(ring, (0.0, 1.0), first, "BDF", TIMES, rtol=1e-8, atol=1e-8)
        assert solution.success, solution.message
        seen.append(solution.y.T[:, ::4])
    exact = np.stack(seen)
    return {"start": exact[:, 0], "seen": exact + generator.normal(0, NOISE, exact.shape)}


def balls() -> dict[str, Array]:
    """`height` (balls,), from which each falls; `seen` (balls, 17), how high it is every eighth of a second."""
    generator = np.random.default_rng(1687)
    height = generator.uniform(0.6, 1.4, BALLS)
    seen = np.stack([[_fallen(first, time) for time in np.arange(17) / 8] for first in height])
    return {"height": height, "seen": seen + generator.normal(0, NOISE, seen.shape)}


def _fallen(height: float, time: float) -> float:
    """From parabola to parabola: a bounce takes 2 v/g, and v is 0.8 of what it was."""
    fall = float(np.sqrt(2 * height / GRAVITY))
    if time < fall:
        return height - GRAVITY / 2 * time**2
    time, speed = time - fall, KEPT * GRAVITY * fall
    while time > 2 * speed / GRAVITY:
        time, speed = time - 2 * speed / GRAVITY, KEPT * speed
    return speed * time - GRAVITY / 2 * time**2


if __name__ == "__main__":
    for written in write_archives(
        Path(__file__).parent, {"mackey_glass": mackey_glass(), "burgers": burgers(), "balls": balls()}
    ):
        print(written)
