"""What a user would take instead, each as its own documentation advises: same field, same weights, numpy in and out.

Every function gives calls by name for a work and its starts, or none where the package is not installed. Of the same
scheme they take RK4 with the same steps; of the same error, whatever they have.
"""

from __future__ import annotations

import importlib.util
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.works import Work
from isocline_compiler.graph import Array

Call = Callable[[], Array]
Named = Mapping[str, Call]

os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")


def is_here(package: str) -> bool:
    """Whether a package can be imported."""
    return importlib.util.find_spec(package) is not None


# ---------------------------------------------------------------------------------------------------- the same scheme


def of_torch(work: Work, starts: Array, steps: int) -> Iterator[tuple[str, Call]]:
    """Eager torch, torchdiffeq's rk4 on the same grid, and the exported loop under onnxruntime."""
    import torch
    from torchdiffeq import odeint

    weights = {name: torch.tensor(x, dtype=torch.float32) for name, x in work.short().items()}
    start = torch.tensor(starts)
    grid = torch.linspace(0, work.until, steps + 1)

    class Loop(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return _rk4(lambda z: work.field(torch, weights, z), x, work.until / steps, steps)

    loop = Loop()

    def eager() -> Array:
        with torch.inference_mode():
            found: Array = loop(start).numpy()
        return found

    def solved() -> Array:
        with torch.inference_mode():
            found: Array = odeint(lambda t, z: work.field(torch, weights, z), start, grid, method="rk4")[-1].numpy()
        return found

    yield "torch, eager", eager
    yield "torchdiffeq rk4", solved
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "loop.onnx"
        with suppress(Exception):
            _exported(loop, start, file)
        if file.exists():
            yield "torch.onnx.export, onnxruntime", _by_onnxruntime(file.read_bytes(), starts)


def _rk4(field: Callable[[Any], Any], z: Any, h: float, steps: int) -> Any:
    for _ in range(steps):
        k1 = field(z)
        k2 = field(z + h / 2 * k1)
        k3 = field(z + h / 2 * k2)
        k4 = field(z + h * k3)
        z = z + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return z


def _exported(loop: Any, start: Any, file: Path) -> None:
    import torch

    torch.onnx.export(
        loop, (start,), str(file), input_names=["x"], output_names=["y"], dynamo=False, opset_version=18,
        dynamic_axes={"x": {0: "batch"}, "y": {0: "batch"}},
    )  # fmt: skip


def _by_onnxruntime(content: bytes, starts: Array) -> Call:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def call() -> Array:
        found: Array = session.run(None, {"x": starts})[0]
        return found

    return call


def of_jax(work: Work, starts: Array, steps: int) -> Iterator[tuple[str, Call]]:
    """A jitted `lax.scan` over the steps, and the steps written out where they are few."""
    import jax
    import jax.numpy as jnp

    weights = {name: jnp.asarray(x, jnp.float32) for name, x in work.short().items()}
    h = work.until / steps

    def step(z: Any, _: Any) -> tuple[Any, None]:
        return _rk4(lambda x: work.field(jnp, weights, x), z, h, 1), None

    scanned = jax.jit(lambda x: jax.lax.scan(step, x, None, length=steps)[0])
    yield "JAX, scan", _jax_call(scanned, starts)
    if steps <= 20 and work.width <= 12:
        written = jax.jit(lambda x: _rk4(lambda z: work.field(jnp, weights, z), x, h, steps))
        yield "JAX, written out", _jax_call(written, starts)


def _jax_call(function: Callable[[Any], Any], starts: Array) -> Call:
    """A call on an array that is on the device; the result is waited for."""
    import jax

    placed = jax.device_put(starts)

    def call() -> Array:
        return np.asarray(function(placed))

    call()
    return call


def of_diffrax(work: Work, starts: Array, steps: int) -> Iterator[tuple[str, Call]]:
    """RK4 with constant steps: diffrax has no classic one, so its tableau is given."""
    import diffrax

    class Classic(diffrax.AbstractERK):
        tableau = diffrax.ButcherTableau(
            a_lower=(np.array([0.5]), np.array([0.0, 0.5]), np.array([0.0, 0.0, 1.0])),
            b_sol=np.array([1, 2, 2, 1]) / 6, b_error=np.array([1, 2, 2, 1]) / 6 - np.array([1, 0, 0, 0]),
            c=np.array([0.5, 0.5, 1.0]),
        )  # fmt: skip
        interpolation_cls = diffrax.ThirdOrderHermitePolynomialInterpolation.from_k

        def order(self, terms: Any) -> int:
            return 4

    yield "diffrax rk4", _diffrax_call(work, starts, Classic(), diffrax.ConstantStepSize(), work.until / steps, steps)


def _diffrax_call(work: Work, starts: Array, solver: Any, control: Any, h: float | None, most: int) -> Call:
    import diffrax
    import jax
    import jax.numpy as jnp

    weights = {name: jnp.asarray(x, jnp.float32) for name, x in work.short().items()}
    term = diffrax.ODETerm(lambda t, z, _: work.field(jnp, weights, z))

    def one(x: Any) -> Any:
        solution = diffrax.diffeqsolve(
            term, solver, 0.0, work.until, h, x, stepsize_controller=control, max_steps=most + 1,
            saveat=diffrax.SaveAt(t1=True), throw=False,
        )  # fmt: skip
        return solution.ys[0]

    adaptive = h is None
    return _jax_call(jax.jit(jax.vmap(one) if adaptive else one), starts)


def of_openvino(content: bytes, starts: Array) -> Iterator[tuple[str, Call]]:
    """Our ONNX file under OpenVINO."""
    import openvino

    core = openvino.Core()
    core.set_property("CPU", {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"})
    request = core.compile_model(core.read_model(content), "CPU").create_infer_request()

    def call() -> Array:
        found: Array = next(iter(request.infer([starts]).values()))
        return found

    yield "OpenVINO, our file", call


# ---------------------------------------------------------------------------------------------------- the same error


def adaptive(work: Work, starts: Array) -> Iterator[tuple[str, Callable[[float], Call]]]:
    """By name, solvers with an error control: a tolerance gives a call. Slow ones only take a few samples."""
    import torch
    from torchdiffeq import odeint

    weights = {name: torch.tensor(x, dtype=torch.float32) for name, x in work.short().items()}
    start, ends = torch.tensor(starts), torch.tensor([0.0, work.until])

    def slope(t: Any, z: Any) -> Any:
        return work.field(torch, weights, z)

    def dopri5(tolerance: float) -> Call:
        def call() -> Array:
            with torch.inference_mode():
                found: Array = odeint(slope, start, ends, method="dopri5", rtol=tolerance, atol=tolerance)[-1].numpy()
            return found

        return call

    yield "torchdiffeq dopri5", dopri5
    if is_here("diffrax"):
        import diffrax

        for name in ("Tsit5", "Dopri5", "Heun"):
            solver = getattr(diffrax, name)()

            def made(tolerance: float, solver: Any = solver) -> Call:
                control = diffrax.PIDController(rtol=tolerance, atol=tolerance)
                return _diffrax_call(work, starts, solver, control, None, 4096)

            yield f"diffrax {name}, adaptive", made
    if len(starts) == 1:
        yield from _of_scipy(work, starts)


def fixed(work: Work, starts: Array) -> Iterator[tuple[str, Callable[[int], Call]]]:
    """By name, solvers with constant steps: a number of steps gives a call."""
    if is_here("diffrax"):
        import diffrax

        for name in ("Tsit5", "Dopri8"):
            solver = getattr(diffrax, name)()

            def made(steps: int, solver: Any = solver) -> Call:
                return _diffrax_call(work, starts, solver, diffrax.ConstantStepSize(), work.until / steps, steps)

            yield f"diffrax {name}, constant", made


def _of_scipy(work: Work, starts: Array) -> Iterator[tuple[str, Callable[[float], Call]]]:
    from scipy.integrate import solve_ivp

    weights = work.short()

    def slope(t: float, z: Array) -> Array:
        found: Array = work.field(np, weights, z)
        return found

    for method in ("RK45", "DOP853", "LSODA"):

        def made(tolerance: float, method: str = method) -> Call:
            start, span = starts[0].astype(np.float64), (0.0, work.until)
            return lambda: solve_ivp(slope, span, start, method, rtol=tolerance, atol=tolerance).y[None, :, -1]

        yield f"SciPy {method}", made


def reference(work: Work, starts: Array) -> Array:
    """DOP853 of SciPy at 1e-11 in double precision, a sample at a time."""
    from scipy.integrate import solve_ivp

    weights = work.short()
    ends = [
        solve_ivp(lambda t, z: work.field(np, weights, z), (0, work.until), x, "DOP853", rtol=1e-11, atol=1e-11).y[
            :, -1
        ]
        for x in starts.astype(np.float64)
    ]
    return np.array(ends)


def error_of(found: Array, right: Array) -> float:
    """Of the worst sample, the largest difference relative to its largest entry."""
    return float((np.abs(found - right).max(axis=1) / np.abs(right).max(axis=1)).max())
