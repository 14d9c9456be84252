"""What the samplers of one score model give: errors against evaluations of the net, distributions, pictures.

    python -m examples.diffusion.compare mixture handwriting

An error is the root mean square of the difference from 1000 steps, by the scheme that stands in `REFERENCES`, from the
same starts and on the same Brownian paths, divided by the root mean square of the samples. All seeds are `SEED` and
the numbers after it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

import isocline
from examples.diffusion.draws import drawn, noise_in, strays
from examples.diffusion.judge import Images, discrepancy
from examples.diffusion.pictures import clouds, curves, images, write
from examples.diffusion.samplers import FINEST, Paths, Sampler, Trained
from isocline_compiler.driver import dataset_of
from isocline_runtime import load

HERE, PICTURES = Path(__file__).parent, Path("build/diffusion")
SEED = 1
LEVELS = (-4, -2, 0, 1, 2, 3, 4)
EVALUATIONS = (10, 20, 40, 100, 200, 500)
REFERENCES = {"ode": "rk4", "ddim": "rk4", "data": "rk4", "sde": "shark", "pc": "shark"}
SAMPLERS = tuple(
    Sampler(output, scheme)
    for output, schemes in {
        "ode": ("euler", "heun", "rk4"),
        "ddim": ("euler", "exponential_euler", "exponential_midpoint"),
        "data": ("midpoint", "exponential_midpoint", "etd_ab2", "dpm_solver_2m", "etd_rk4"),
        "sde": ("euler_maruyama", "shark"),
        "pc": ("euler_maruyama", "shark"),
    }.items()
    for scheme in schemes
)
NUMBER = 1000
"""Samples of each sampler that are judged."""


def errors(trained: Trained, paths: Paths) -> dict[str, dict[int, float]]:
    """The relative error of each sampler for each number of evaluations that it can take."""
    has, found = trained.outputs, {}
    exact = {name: trained.samples(Sampler(name, REFERENCES[name]), FINEST, paths) for name in has}
    for sampler in SAMPLERS:
        if sampler.output not in has:
            continue
        truth = exact[sampler.output]
        found[str(sampler)] = {
            number: float(np.sqrt(np.mean((trained.samples(sampler, steps, paths) - truth) ** 2) / np.mean(truth**2)))
            for number in EVALUATIONS
            if (steps := sampler.steps(number))
        }
    return found


def rows(*items: tuple[str, ...]) -> str:
    """A table, its first row the head."""
    lines = [f"| {' | '.join(item)} |" for item in items]
    return "\n".join([lines[0], "|" + " --- |" * len(items[0]), *lines[1:], ""])


def error_table(found: Mapping[str, Mapping[int, float]]) -> str:
    cells = ((name, *(f"{items[n]:.1e}" if n in items else "" for n in EVALUATIONS)) for name, items in found.items())
    return rows(("evaluations", *map(str, EVALUATIONS)), *cells)


def distance_table(sets: Mapping[str, np.ndarray], pairs: tuple[tuple[str, str], ...]) -> str:
    """The squared discrepancies, a thousand times as large, beside what chance makes of them."""
    found = ((f"{a}, {b}", discrepancy(sets[a], sets[b])) for a, b in pairs)
    cells = ((name, f"{1e3 * d.squared:.2f}", f"{1e3 * d.chance:.2f}", f"{d.p:.3f}") for name, d in found)
    return rows(("1000 MMD^2", "found", "95 % by chance", "p"), *cells)


# ---------------------------------------------------------------------------------------------------- a mixture


def mixture() -> None:
    trained = Trained(HERE / "mixture.dyn", Path("runs/mixture/weights.safetensors"))
    print(score_table(trained))
    found = errors(trained, Paths(256, SEED))
    print(error_table(found))
    answers = load("build/mixture").run(rows=range(NUMBER), seed=SEED)
    sets = {"truth": drawn(NUMBER, SEED), "truth again": drawn(NUMBER, SEED + 1), **answers}
    lines = ((name, f"{100 * strays(points):.1f} %") for name, points in sets.items())
    print(rows(("points", "far from every component"), *lines))
    own = tuple((name, "truth") for name in answers)
    print(distance_table(sets, (("truth again", "truth"), *own, ("sde", "ode"), ("pc", "ode"))))
    del sets["truth again"]
    write((("mixture", clouds(sets)), ("mixture_errors", curves(found))), PICTURES)


def score_table(trained: Trained) -> str:
    """How far the learned noise is from its closed form, where points in noise lie; the noise itself has size 1."""
    points, generator, cells = drawn(4000, SEED), np.random.default_rng(SEED), []
    for level in LEVELS:
        alpha, sigma = (1 / np.sqrt(1 + np.exp(sign * 2.0 * level)) for sign in (-1, 1))
        x = alpha * points + sigma * generator.standard_normal(points.shape)
        cells.append(np.sqrt(np.mean((trained.eps(x, level) - noise_in(x, level)) ** 2)))
    return rows(("log(alpha/sigma)", *map(str, LEVELS)), ("error of eps", *(f"{cell:.3f}" for cell in cells)))


# ---------------------------------------------------------------------------------------------------- handwriting


def handwriting() -> None:
    trained = Trained(HERE / "handwriting.dyn", Path("runs/handwriting/weights.safetensors"))
    labels = np.arange(NUMBER) % 10
    found = errors(trained, Paths(100, SEED, {"digit": labels[:100]}))
    print(error_table(found))
    seen, held = real(trained.file)
    answers = load("build/handwriting").run(digit=labels, seed=SEED)
    sets = {"held-out images": held, **{name: Images(pixels, labels) for name, pixels in answers.items()}}
    print(nearest_table(sets, seen))
    half = Paths(NUMBER // 2, SEED, {"digit": labels[: NUMBER // 2]})
    finer = {"sde in 250 steps": Images(trained.samples(Sampler("sde", "shark"), 250, half), half.inputs["digit"])}
    pixels = {"training images": seen.pixels, **{name: item.pixels for name, item in {**sets, **finer}.items()}}
    own = tuple((name, "training images") for name in (*sets, *finer))
    print(distance_table(pixels, (*own, *((name, "ode") for name in ("sde", *finer)))))
    faces = {name: item.in_order(2) for name, item in sets.items()}
    write((("handwriting", images(faces)), ("handwriting_errors", curves(found))), PICTURES)


def real(file: Path) -> tuple[Images, Images]:
    """The images that training saw and those held out, gray values from -1 to 1."""
    dataset = dataset_of(isocline.check(file), file.parent)
    assert dataset is not None
    parts = (dataset.train.arrays, dataset.held_out.arrays)
    seen, held = (Images(part["image"].reshape(-1, 64) / 8 - 1, part["digit"]) for part in parts)
    return seen, held


def nearest_table(sets: Mapping[str, Images], seen: Images) -> str:
    """The share whose nearest training image shows the right digit, and how far that is in gray values of 0 to 16.

    Beside it the largest pixel on the scale of -1 to 1, which no sampler is told to keep.
    """
    cells = ((name, *item.nearest(seen), np.abs(item.pixels).max()) for name, item in sets.items())
    lines = ((name, f"{100 * share:.1f} %", f"{8 * off:.2f}", f"{most:.1f}") for name, share, off, most in cells)
    return rows(("nearest training image", "shows that digit", "is off by", "largest pixel"), *lines)


if __name__ == "__main__":
    for chosen in sys.argv[1:] or ("mixture", "handwriting"):
        {"mixture": mixture, "handwriting": handwriting}[chosen]()
