"""How far a stochastic solve misses its start, walked backwards on its own path from the end state alone.

    python -m tests.stochastic_reversal

    dx = -sin(x + y) dt + (0.5 + 0.3 cos y) dW_0,     dy = (x - y) dt + 0.4 x dW_1      (Stratonovich)

From 0 to 1 by a scheme, then from 1 to 0 by the same, with the increments negated and in the reverse order: the root
mean square over paths and states of what is left of the start, in double precision.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from isocline_compiler.backends.to_torch import TorchProgram
from isocline_compiler.certify.evaluation import scheme_steps
from isocline_compiler.lower.check import model
from isocline_compiler.solvers.unroll import unroll
from isocline_compiler.solvers.unroll.forms import solves_of

SCHEMES = ("euler_heun", "stratonovich_heun", "stratonovich_midpoint", "reversible_heun")
STEPS = (16, 64, 256, 1024)
PATHS = 512
TEXT = """dyn 1
model there_and_back
input x0: real
input y0: real
field f(t, x: real, y: real) {{
  noise W: brownian[2] stratonovich
  dx = -sin(x + y) dt + (0.5 + 0.3*cos(y)) dW[0]
  dy = (x - y) dt + 0.4*x dW[1]
}}
there = solve f from x = x0, y = y0 over 0..1 with {scheme}(steps={steps})
back = solve f from x = there.x, y = there.y over 1..0 with {scheme}(steps={steps})
output x = back.x
output y = back.y
output moved = there.x
"""


def returned(scheme: str, steps: int) -> tuple[float, float]:
    """How far from the start it ends, and how far it had been, root mean squares."""
    found = model(TEXT.format(scheme=scheme, steps=steps))
    choices = {}
    for solve in solves_of(found.graph):
        assert solve.spec.scheme is not None
        choices[solve.spec.choice] = replace(scheme_steps(solve, solve.spec.scheme), segment=1)
    noise = np.random.default_rng(0).standard_normal((PATHS, 1, steps, 2))
    start = np.random.default_rng(1).uniform(0.5, 1.5, (2, PATHS))
    given = {"x0": start[0], "y0": start[1], "W": noise, "back_W": -noise[:, :, ::-1].copy()}
    ends = TorchProgram(unroll(found.graph, choices).graph)({name: torch.tensor(a) for name, a in given.items()})
    left = np.stack([ends["x"].numpy() - start[0], ends["y"].numpy() - start[1]])
    return float(np.sqrt(np.mean(left**2))), float(np.sqrt(np.mean((ends["moved"].numpy() - start[0]) ** 2)))


def main() -> int:
    print(f"| scheme | {' | '.join(f'{steps} steps' for steps in STEPS)} |\n| --- |{' --- |' * len(STEPS)}")
    for scheme in SCHEMES:
        print(f"| `{scheme}` | {' | '.join(f'{returned(scheme, steps)[0]:.1e}' for steps in STEPS)} |", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
