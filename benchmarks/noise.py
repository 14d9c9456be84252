"""An ensemble of 256 paths of 64 steps beside torchsde and diffrax, drawing its noise included and apart.

    python -m benchmarks.noise [--rounds 20] [--batches 1 32]

The equation is ds = 0.05 s dt + 0.2 s dW with five entries, Euler and Maruyama's scheme in single precision, one
thread, the fastest of some rounds in which all take turns: the whole, which draws and steps, and either of the two
alone. torchsde draws by its BrownianInterval, diffrax, where it is installed, by its UnsafeBrownianPath, the cheapest
it has, compiled beforehand.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Callable

import numpy as np

THREADS = "OMP_NUM_THREADS"
os.environ.setdefault(THREADS, "1")
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

SAMPLES, STEPS, ENTRIES, DRIFT, SPREAD = 256, 64, 5, 0.05, 0.2
MODEL = f"""dyn 1
model market
input s0: real[{ENTRIES}] in (50, 150)
field market(t, s: real[{ENTRIES}]) {{
  noise W: brownian[{ENTRIES}]
  ds = {DRIFT}*s dt + {SPREAD}*s dW
}}
paths = solve market from s = s0 over 0..1 with euler_maruyama(steps={STEPS}) samples {SAMPLES}
output price = mean(paths.s, axis=0)
"""
Contender = Callable[[], object]


def ours(batch: int) -> dict[str, Contender]:
    """The emitted graph by onnxruntime, and the runtime's generator."""
    from isocline_compiler.backends.to_onnx import to_onnx
    from isocline_compiler.certify.evaluation import scheme_steps
    from isocline_compiler.lower.check import model
    from isocline_compiler.passes import optimise
    from isocline_compiler.solvers.unroll import unroll
    from isocline_compiler.solvers.unroll.forms import solves_of, with_forms
    from isocline_runtime.provider import CPU, open_session
    from isocline_runtime.randomness import Draws, normals

    graph = model(MODEL).graph
    (solve,) = solves_of(graph)
    assert solve.spec.scheme is not None
    choices = with_forms(graph, {solve.spec.choice: scheme_steps(solve, solve.spec.scheme)}, "auto", batch)
    content = to_onnx(optimise(unroll(optimise(graph), choices).graph), {}, opset=18, dtype="float32")
    session = open_session(content.SerializeToString(), "model.onnx", (CPU,), 1, None)
    draws = Draws(seed=1, samples=SAMPLES, steps=STEPS, channels=ENTRIES)
    start = np.full((batch, ENTRIES), 100, np.float32)
    given = normals(draws, range(batch), np.float32)
    return {
        "isocline": lambda: session.run(None, {"s0": start, "W": normals(draws, range(batch), np.float32)}),
        "isocline, steps alone": lambda: session.run(None, {"s0": start, "W": given}),
        "isocline, noise alone": lambda: normals(draws, range(batch), np.float32),
    }


def by_torchsde(batch: int) -> dict[str, Contender]:
    """sdeint of torchsde, Euler's scheme."""
    import torch
    import torchsde

    torch.set_num_threads(1)

    class Market(torch.nn.Module):
        noise_type, sde_type = "diagonal", "ito"

        def f(self, t: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
            return DRIFT * s

        def g(self, t: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
            return SPREAD * s

    start, times = torch.full((batch * SAMPLES, ENTRIES), 100.0), torch.tensor([0.0, 1.0])
    increments = torch.randn(STEPS, batch * SAMPLES, ENTRIES) / math.sqrt(STEPS)

    class Given:
        """Increments that were drawn beforehand."""

        shape, dtype, device, levy_area_approximation = start.shape, start.dtype, start.device, "none"

        def __call__(self, ta: torch.Tensor, tb: torch.Tensor, **_: object) -> torch.Tensor:
            return increments[min(round(float(ta) * STEPS), STEPS - 1)]

    def run(brownian: object = None) -> torch.Tensor:
        with torch.no_grad():
            end = torchsde.sdeint(Market(), start, times, bm=brownian, method="euler", dt=1 / STEPS)[-1]
            return end.reshape(batch, SAMPLES, ENTRIES).mean(1)

    def drawn() -> list[torch.Tensor]:
        motion = torchsde.BrownianInterval(0.0, 1.0, start.shape, dtype=start.dtype)
        return [motion(i / STEPS, (i + 1) / STEPS) for i in range(STEPS)]

    return {"torchsde": run, "torchsde, steps alone": lambda: run(Given()), "torchsde, noise alone": drawn}


def by_diffrax(batch: int) -> dict[str, Contender]:
    """diffeqsolve of diffrax, Euler's scheme, compiled; nothing where it is not installed."""
    try:
        import diffrax
        import jax
        import jax.numpy as jnp
    except ImportError:
        return {}

    def path(start: jax.Array, key: jax.Array) -> jax.Array:
        brownian = diffrax.UnsafeBrownianPath((ENTRIES,), key)
        terms = diffrax.MultiTerm(
            diffrax.ODETerm(lambda t, s, _: DRIFT * s),
            diffrax.WeaklyDiagonalControlTerm(lambda t, s, _: SPREAD * s, brownian),
        )
        adjoint = diffrax.DirectAdjoint()
        found = diffrax.diffeqsolve(terms, diffrax.Euler(), 0, 1, 1 / STEPS, start, adjoint=adjoint)
        assert found.ys is not None
        return found.ys[0]

    @jax.jit
    def run(starts: jax.Array, seed: jax.Array) -> jax.Array:
        keys = jax.random.split(jax.random.key(seed), batch * SAMPLES).reshape(batch, SAMPLES)
        return jax.vmap(lambda start, own: jax.vmap(lambda key: path(start, key))(own).mean(0))(starts, keys)

    starts = jnp.full((batch, ENTRIES), 100.0)
    run(starts, 0).block_until_ready()
    return {"diffrax": lambda: run(starts, 1).block_until_ready()}


def milliseconds(contenders: dict[str, Contender], rounds: int) -> dict[str, float]:
    """Of one call, in the fastest of the rounds, in which they take turns."""
    fastest = dict.fromkeys(contenders, math.inf)
    for _ in range(rounds):
        for name, run in contenders.items():
            begin = time.perf_counter()
            run()
            fastest[name] = min(fastest[name], 1e3 * (time.perf_counter() - begin))
    return fastest


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 32])
    asked = parser.parse_args()
    print(f"{SAMPLES} paths of {STEPS} steps of {ENTRIES} entries, milliseconds a call\n")
    print("| batch | what | ms | times isocline |\n| --- | --- | --- | --- |")
    for batch in asked.batches:
        found = milliseconds({**ours(batch), **by_torchsde(batch), **by_diffrax(batch)}, asked.rounds)
        for name, value in found.items():
            print(f"| {batch} | {name} | {value:.2f} | {value / found['isocline']:.2f} |", flush=True)
        if "diffrax" not in found:
            print(f"| {batch} | diffrax | not installed | |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
