"""Small builds, each of which ends with a certificate: where a fault stands in their way, does one stop?"""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

FIELD = """dyn 1
model m
input start: real in (0.5, 2)
input push: real in (0.5, 1)
field f(t, x, v: real) { x' = v; v' = -x - 0.3*v*x^2 + push*sin(2*t) }
path = solve f from x = start, v = 0.5 %s
output y = %s
deploy { %s }
"""
PATH, END = "stack(path.x, path.v, axis=-1)", "[path.x, path.v]"
EXPLAIN = """attribute y wrt start, push by saliency, integrated_gradients(steps=4), adjoint_path
 derivatives adjoint, forward"""

RESIDUAL = """dyn 1
model m
input start: real[3] in (-1, 1)
field block(t, h: real[3]) weights per step { h' = h |> dense(3, init=normal(0.5)) |> tanh }
path = solve block from h = start over 0..4 with %s
output y = path.h
deploy { %s }
"""

FUNCTIONS = """dyn 1
model m
input x: real[4] in (0.2, 0.9)
input z: real[3, 4] in (-1, 1)
input c: class[3]
output a = stack(exp(x), log(x), sqrt(x), tan(x), sinh(x), cosh(x), tanh(x), asinh(x), acosh(x + 1), atanh(x),
                 log1p(x), expm1(x))
output b = stack(sigmoid(z), softplus(z), leaky_relu(z), elu(z), selu(z), silu(z), mish(z), where(z > 0.1, z, 2*z),
                 clip(z, -0.5, 0.5))
r = stack(logsumexp(z), max(z, axis=1), mean(z, axis=1), sum(z^3, axis=1), axis=-1)
output d = concat(softmax(z), log_softmax(z, axis=0), r, axis=1)
output e = where(one_hot(c, 3)[0] != 1, x @ transpose(z), x/z[0, 0] @ transpose(z)) + one_hot(c, 3)
output g = abs(z) + sign(z) + x^2.5 - x^3 + (x - 0)/3 + x*0.0001 + x*(-1)
output k = (x - z) + (z - x)*4 + max(z, 0) + (-(z - x))/8
%s
deploy { %s }
"""
SINGLE = "output s = gelu(z) + erf(z) + asin(x) + acos(x) + atan(x)"

LAYERS = """dyn 1
model m
input image: real[4, 6, 6] in (-1, 1)
input series: real[5, 3] in (-1, 1)
input label: class[4]
h = image |> conv(4, kernel=3, pad=1) |> groupnorm(2) |> batchnorm |> maxpool(2) |> meanpool(3) |> flatten
output y = concat(h, series |> gru(3), series |> lstm(2), label |> embedding(4, 3)) |> layernorm |> dense(3) |> softmax
%s
deploy { %s }
"""

EXPLAINED = """dyn 1
model m
input x: real[4] in (0.3, 0.9)
input z: real[4] in (0.3, 1)
u = stack(sin(x), cos(x*z), tanh(x - 2*z), exp(-x), sqrt(x + z + 1), x/(z + 1), (x + 0.1)^2.5, log(z + 1), silu(x),
          mish(z), sigmoid(x*z), softplus(z))
v = concat(softmax(u), u |> dense(4) |> gelu, u - mean(u, axis=0))
output y = [logsumexp(v[0]), sum(v), norm(v[:, 1]), prod(x), sum(max(x, z)), (x @ z)^2, sum(v @ transpose(u))]
deploy { attribute y wrt x, z by saliency, input_x_gradient, integrated_gradients(steps=4)
 derivatives adjoint, forward }
"""

TIMES = """dyn 1
model m
input start: real in (0.5, 2)
input ts: time[4] in (0, 2)
field f(t, x: real) { x' = -x^2 + sin(2*t) }
path = solve f from x = start at ts
output y = path
deploy { %s }
"""

TRAINED = """dyn 1
model m
data { source "d.npz"; x0 = array(x0); y = array(y); split tail(test=0.25) }
input x0: real in (0, 3)
target y: real[4]
param k: positive = 0.3 ~ lognormal(-0.5, 0.5)
field f(t, x: real) { x' = -k*x }
path = solve f from x = x0 at 0..3 step 1
output out = path
train { loss mse(out, y); optimizer lbfgs; epochs 4; solver rk4(steps=12) }
deploy { solver auto(error=1e-3); check rmse(out, y) < 0.03 }
"""

AT = "at 0..2 step 0.5"
SCHEMES = (
    "euler", "midpoint", "heun", "ralston2", "ralston3", "ssprk3", "kutta3", "bosh3", "rk4", "rk38", "dopri5", "tsit5",
    "dopri8",
)  # fmt: skip
TEXTS = {
    "auto": FIELD % (AT, PATH, "solver auto(error=1e-3)"),
    "double": FIELD % (AT, PATH, "solver auto(error=1e-6); dtype float64"),
    "end": FIELD % ("over 2..0", END, "solver rk4(steps=12)"),
    "uneven": FIELD % ("at [0, 0.3, 1, 1.1]", PATH, "solver dopri5(steps=12); unroll 2"),
    "looped": FIELD % (AT, PATH, "solver rk4(steps=24); unroll 4"),
    "part": FIELD % (AT, PATH, "solver rk4(steps=28); unroll 3"),
    "explained": EXPLAINED,
    "explained_path": FIELD % (AT, PATH, "solver rk4(steps=8); unroll all\n" + EXPLAIN),
    "explained_loop": FIELD % (AT, PATH, "solver rk4(steps=24); unroll 2\n" + EXPLAIN),
    "times": TIMES % "solver rk4(steps=12); unroll all",
    "times_looped": TIMES % "solver rk4(steps=24); unroll 2",
    "residual": RESIDUAL % ("euler(steps=4)", ""),
    "residual_looped": RESIDUAL % ("rk4(steps=8)", "unroll 2"),
    "functions": FUNCTIONS % (SINGLE, ""),
    "functions_double": FUNCTIONS % ("", "dtype float64"),
    "layers": LAYERS % ("", ""),
    "trained": TRAINED,
    **{name: FIELD % (AT, PATH, f"solver {name}(steps=40)") for name in SCHEMES},
}
FASTER = (
    ("isocline_compiler.pipeline", "report_of", lambda *_: ""),
    ("isocline_compiler.certify.deployed", "TIMED", 0.01),
)
"""What takes time and proves nothing: the page, and how long a call takes."""


def outcome(name: str, folder: Path) -> str:
    """`built`, or what stopped the build: the codes of its messages, or an exception that is none of ours."""
    from isocline_compiler.lower.check import check
    from isocline_compiler.pipeline import Trained, compile_model
    from isocline_compiler.training.initial import initial_weights
    from isocline_dsl.diagnostics import IsoclineError

    file = folder / f"{name}.dyn"
    file.write_text(TEXTS[name])
    try:
        if name == "trained":
            from isocline_compiler import driver

            write_data(folder)
            driver.build(file, out=folder / name, run=folder / f"{name}_run")
            return "built"
        model = check(file)
        trained = Trained(initial_weights(model.weights, 0))
        compile_model(model, trained, None, None, lambda _: None, folder / name)
    except IsoclineError as error:
        return " ".join(sorted({item.code for item in error.diagnostics}))
    return "built"


def write_data(folder: Path) -> None:
    """Decays at the rate 0.7, with a little noise."""
    generator = np.random.default_rng(0)
    x0 = generator.uniform(0.5, 2.5, 24)
    y = x0[:, None] * np.exp(-0.7 * np.arange(4.0)) + generator.normal(0, 0.01, (24, 4))
    np.savez(folder / "d.npz", x0=x0, y=y)


def run(names: Iterable[str]) -> tuple[str, str] | None:
    """The first of the builds that stops, with what stopped it; None where all are made."""
    try:
        for module, name, value in FASTER:
            loaded = importlib.import_module(module)
            assert hasattr(loaded, name), f"{module} has no {name} any more"
            setattr(loaded, name, value)
    except Exception as error:
        return "import", f"{type(error).__name__}: {error}"
    with tempfile.TemporaryDirectory() as place:
        for name in names:
            try:
                found = outcome(name, Path(place))
            except Exception as error:
                return name, f"{type(error).__name__}: {error}".splitlines()[0][:120]
            if found != "built":
                return name, found
    return None


__all__ = ["TEXTS", "run"]
