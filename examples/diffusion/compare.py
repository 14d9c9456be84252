"""What the samplers of one score model give: errors against evaluations of the net, distributions, pictures.

    python -m examples.diffusion.compare mixture

Errors are root mean squares against 1000 steps from the same starts and on the same Brownian paths, relative to the
root mean square of the samples. Seeds stand at the top of the file.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from examples.diffusion.draws import drawn, noise_in
from examples.diffusion.judge import discrepancy
from examples.diffusion.samplers import FINEST, Paths, Sampler, Trained
from isocline_runtime import load

HERE = Path(__file__).parent
SEED = 1
LEVELS = (-4, -2, 0, 1, 2, 3, 4)
EVALUATIONS = (10, 20, 40, 100, 200, 500)
REFERENCES = {"ode": "rk4", "ddim": "rk4", "data": "rk4", "sde": "shark", "pc": "shark"}
SAMPLERS = (
    Sampler("ode", "euler"),
    Sampler("ode", "heun"),
    Sampler("ode", "rk4"),
    Sampler("ddim", "euler"),
    Sampler("ddim", "midpoint"),
    Sampler("data", "euler"),
    Sampler("data", "midpoint"),
    Sampler("sde", "euler_maruyama"),
    Sampler("sde", "shark"),
    Sampler("pc", "euler_maruyama"),
)


def errors(trained: Trained, count: int) -> dict[Sampler, dict[int, float]]:
    """The relative error of each sampler for each number of evaluations that it can take."""
    paths, found = Paths(count, SEED), {}
    exact = {name: trained.samples(Sampler(name, scheme), FINEST, paths) for name, scheme in REFERENCES.items()}
    for sampler in SAMPLERS:
        truth = exact[sampler.output]
        found[sampler] = {
            number: float(np.sqrt(np.mean((trained.samples(sampler, steps, paths) - truth) ** 2) / np.mean(truth**2)))
            for number in EVALUATIONS
            if (steps := sampler.steps(number))
        }
    return found


def table(found: dict[Sampler, dict[int, float]]) -> str:
    rows = ["| evaluations | " + " | ".join(map(str, EVALUATIONS)) + " |", "| --- |" + " --- |" * len(EVALUATIONS)]
    for sampler, items in found.items():
        cells = (f"{items[number]:.1e}" if number in items else "" for number in EVALUATIONS)
        rows.append(f"| {sampler} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def score_table(trained: Trained) -> str:
    """The relative error of the learned noise, by the level, where points in noise lie."""
    points, generator = drawn(4000, SEED), np.random.default_rng(SEED)
    cells = []
    for level in LEVELS:
        alpha, sigma = np.sqrt(1 / (1 + np.exp(-2.0 * level))), np.sqrt(1 / (1 + np.exp(2.0 * level)))
        x = alpha * points + sigma * generator.standard_normal(points.shape)
        truth = noise_in(x, level)
        cells.append(np.sqrt(np.mean((trained.eps(x, level) - truth) ** 2) / np.mean(truth**2)))
    head = f"| log(alpha/sigma) | {' | '.join(map(str, LEVELS))} |\n| --- |{' --- |' * len(LEVELS)}\n"
    return head + "| error of eps | " + " | ".join(f"{cell:.3f}" for cell in cells) + " |"


def main() -> None:
    trained = Trained(HERE / "mixture.dyn", Path("runs/mixture/weights.safetensors"))
    print(score_table(trained), flush=True)
    print(table(errors(trained, 256)))
    answers = load("build/mixture").run(rows=range(1000), seed=SEED)
    sets = {"truth": drawn(1000, SEED), "other truth": drawn(1000, SEED + 1), **answers}
    for a, b in (("other truth", "truth"), ("ode", "truth"), ("sde", "truth"), ("pc", "truth"), ("ode", "sde")):
        print(f"| {a} and {b} | {discrepancy(sets[a], sets[b])} |")


if __name__ == "__main__":
    main()
