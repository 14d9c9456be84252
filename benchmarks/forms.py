"""The forms of a solve beside each other: plain steps, the form that is chosen, and `torch.onnx.export` of a loop.

    python -m benchmarks.forms [--only net,lotka_volterra] [--batches 1,32,1024] [--rounds 15] [--export] [-o FILE]

Classic Runge-Kutta steps throughout, float32, onnxruntime with one thread. At each batch all take their turn in every
round, a burst of calls each; the median over the rounds of the processor's time of a call is shown, and ratios of
those: other work on the machine stretches long calls by the clock, and short ones hardly. Nodes a step are counted on
two graphs of different numbers of steps, all laid out. `--export` adds the loop written by hand in eager torch,
exported by the TorchScript exporter with all steps laid out.
"""

from __future__ import annotations

import argparse
import io
import json
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from isocline_compiler.backends.to_onnx import to_onnx
from isocline_compiler.certify.evaluation import scheme_steps
from isocline_compiler.graph import Array, Graph, everything
from isocline_compiler.graph.called import Called
from isocline_compiler.lower.check import model
from isocline_compiler.packing import PLAIN, Packed, deployed
from isocline_compiler.passes import bind
from isocline_compiler.solvers.unroll.forms import Unrolling, solves_of
from isocline_compiler.training.initial import initial_weights

BURST = 0.03
"""Seconds of a burst of calls."""
BATCHES = (1, 32, 1024)
Weights = Mapping[str, Array]
Slope = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Case:
    """Equations, the steps over them, and the same slope in torch: of (batch, states), from the weights."""

    name: str
    text: str
    steps: int
    slope: Callable[[Weights], Slope]
    end: float


@dataclass(frozen=True)
class Row:
    """One case at one batch: nodes a step, microseconds of a call, and how many times as fast as plain steps."""

    case: str
    batch: int
    form: str
    plain_nodes: float
    nodes: float
    plain: float
    packed: float
    ratio: float
    exported: float | None = None
    exported_ratio: float | None = None


# ---------------------------------------------------------------------------------------------------- the cases


def _net(states: int, *hidden: int) -> str:
    layers = " ".join(f"|> dense({width}) |> tanh" for width in hidden)
    return (
        f"dyn 1\nmodel net\ninput start: real[{states}] in (-1, 1)\n"
        f"field f(t, x: real[{states}]) {{ x' = x {layers} |> dense({states}) }}\n"
        "s = solve f from x = start over 0..1\noutput y = s.x\n"
    )


def _net_slope(weights: Weights) -> Slope:
    layers = [torch.tensor(item, dtype=torch.float32) for item in weights.values()]

    def slope(x: Tensor) -> Tensor:
        for w, b in zip(layers[:-2:2], layers[1:-2:2], strict=True):
            x = torch.tanh(x @ w + b)
        return x @ layers[-2] + layers[-1]

    return slope


def _scalars(equations: Sequence[str], end: float) -> str:
    states = [f"x{i}" for i in range(len(equations))]
    lines = [f"input s{i}: real in (0.2, 1)" for i in range(len(states))]
    lines += [f"field f(t, {', '.join(f'{x}: real' for x in states)}) {{"]
    lines += [f"  {x}' = {e}" for x, e in zip(states, equations, strict=True)]
    lines += ["}", f"s = solve f from {', '.join(f'x{i} = s{i}' for i in range(len(states)))} over 0..{end:g}"]
    return "\n".join(["dyn 1", "model scalars", *lines, *(f"output y{i} = s.x{i}" for i in range(len(states)))]) + "\n"


LOTKA_VOLTERRA = ("1.1 * x0 - 0.4 * x0 * x1", "0.1 * x0 * x1 - 0.4 * x1")
RATES = [(1 + 0.1 * i, 0.5 + 0.05 * i, 0.02 * (i + 1)) for i in range(12)]
"""Of twelve substances in a ring: the largest rate and the half saturation of what turns one into the next, and the
exchange with a bath.
"""


def _flow(i: int) -> str:
    return f"{RATES[i][0]:.2f} * x{i} / ({RATES[i][1]:.2f} + x{i})"


MECHANISM = [f"{_flow((i - 1) % 12)} - {_flow(i)} + {RATES[i][2]:.2f} * (0.5 - x{i})" for i in range(12)]


def _lotka_volterra_slope(weights: Weights) -> Slope:
    def slope(x: Tensor) -> Tensor:
        a, b = x[..., 0], x[..., 1]
        return torch.stack((1.1 * a - 0.4 * a * b, 0.1 * a * b - 0.4 * b), -1)

    return slope


def _mechanism_slope(weights: Weights) -> Slope:
    def slope(x: Tensor) -> Tensor:
        s = [x[..., i] for i in range(12)]
        flows = [v * y / (k + y) for (v, k, _), y in zip(RATES, s, strict=True)]
        return torch.stack([flows[i - 1] - flows[i] + RATES[i][2] * (0.5 - s[i]) for i in range(12)], -1)

    return slope


HAMILTON = """dyn 1
model hamilton
input q0: real[2] in (-1, 1)
input p0: real[2] in (-1, 1)
net energy(q, p: real[2]) -> real = concat(q, p) |> dense(64) |> tanh |> dense(1, bias=false) |> squeeze(-1)
field f(t, q, p: real[2]) {
  H = energy(q, p)
  q' = grad(H, p)
  p' = -grad(H, q)
}
s = solve f from q = q0, p = p0 over 0..1
output q = s.q
output p = s.p
"""


def _hamilton_slope(weights: Weights) -> Slope:
    first, bias, last = (torch.tensor(item, dtype=torch.float32) for item in weights.values())

    def slope(z: Tensor) -> Tensor:
        y = torch.tanh(z @ first + bias)
        gradient = ((1 - y * y) * last[:, 0]) @ first.T
        return torch.cat((gradient[:, 2:], -gradient[:, :2]), 1)

    return slope


CASES = (
    Case("net 2-64-2", _net(2, 64), 20, _net_slope, 1.0),
    Case("net 32-128-32", _net(32, 128), 20, _net_slope, 1.0),
    Case("net 4-64-64-4", _net(4, 64, 64), 20, _net_slope, 1.0),
    Case("Lotka-Volterra", _scalars(LOTKA_VOLTERRA, 10), 100, _lotka_volterra_slope, 10.0),
    Case("12 substances", _scalars(MECHANISM, 5), 50, _mechanism_slope, 5.0),
    Case("Hamiltonian 4-64-1", HAMILTON, 20, _hamilton_slope, 1.0),
)


class Loop(torch.nn.Module):
    """Classic Runge-Kutta steps in eager torch, the states of a sample side by side."""

    def __init__(self, case: Case, weights: Weights) -> None:
        super().__init__()
        self.slope, self.steps, self.h = case.slope(weights), case.steps, case.end / case.steps

    def forward(self, x: Tensor) -> Tensor:
        h = self.h
        for _ in range(self.steps):
            k1 = self.slope(x)
            k2 = self.slope(x + h / 2 * k1)
            k3 = self.slope(x + h / 2 * k2)
            k4 = self.slope(x + h * k3)
            x = x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        return x


# ---------------------------------------------------------------------------------------------------- measuring


class Trial:
    """A case with its weights drawn: its graphs, and their sessions."""

    def __init__(self, case: Case) -> None:
        self.case, self.lowered = case, model(case.text)
        self.weights = initial_weights(self.lowered.weights, 0)
        self.bound = bind(self.lowered.graph, self.weights)

    def graph(self, steps: int, samples: int, form: Packed | None, unrolling: Unrolling = "auto") -> tuple[Graph, str]:
        scheme = Called("rk4", {"steps": steps, "compensated": False})
        choices = {solve.spec.choice: scheme_steps(solve, scheme) for solve in solves_of(self.bound)}
        found = deployed(self.bound, choices, unrolling, samples, form)
        return found.graph, found.form.name

    def nodes(self, samples: int, form: Packed | None) -> float:
        """Operations a step, all steps laid out."""
        few, many = (_count(self.graph(steps, samples, form, "all")[0]) for steps in (6, 10))
        return (many - few) / 4

    def feeds(self, batch: int) -> dict[str, Array]:
        rng = np.random.default_rng(0)
        shapes = {str(item.attrs["name"]): item.type.sample for item in self.bound.inputs}
        return {name: rng.uniform(0.2, 1, (batch, *shape)).astype(np.float32) for name, shape in shapes.items()}

    def exported(self) -> onnxruntime.InferenceSession:
        stream, width = io.BytesIO(), sum(int(np.prod(item.type.sample)) for item in self.bound.inputs)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                Loop(self.case, self.weights), (torch.full((2, width), 0.5),), stream, dynamo=False,
                input_names=["x"], dynamic_axes={"x": {0: "batch"}},
            )  # fmt: skip
        return _session(stream.getvalue())


def _count(graph: Graph) -> int:
    return sum(1 for node in everything(graph.outputs.values()) if node.inputs)


def _session(content: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])


def medians(calls: Sequence[Callable[[], object]], rounds: int) -> list[float]:
    """Microseconds of the processor of a call of each: the median over rounds of bursts, all in turn."""
    counts, found = [], [[] for _ in calls]
    for call in calls:
        call()
        counts.append(max(3, int(BURST / max(_seconds(call, 1), 1e-6))))
    for _ in range(rounds):
        for i, call in enumerate(calls):
            found[i].append(_seconds(call, counts[i]))
    return [1e6 * float(np.median(item)) for item in found]


def _seconds(call: Callable[[], object], times: int) -> float:
    begin = time.process_time()
    for _ in range(times):
        call()
    return (time.process_time() - begin) / times


def measured(case: Case, batches: Sequence[int], rounds: int, export: bool) -> list[Row]:
    """The rows of a case. Raises SystemExit where the sides disagree."""
    trial, rows = Trial(case), []
    theirs = trial.exported() if export else None
    for batch in batches:
        feeds = trial.feeds(batch)
        plain, form = trial.graph(case.steps, batch, PLAIN)[0], trial.graph(case.steps, batch, None)
        sides = [(_session(to_onnx(graph, {}).SerializeToString()), feeds) for graph in (plain, form[0])]
        if theirs is not None:
            columns = [item.reshape(batch, -1) for item in feeds.values()]
            sides.append((theirs, {"x": np.concatenate(columns, axis=1)}))
        _agree(case.name, [_answer(session, fed) for session, fed in sides])
        times = medians([lambda side=side: side[0].run(None, side[1]) for side in sides], rounds)
        exported = times[2] if theirs is not None else None
        each = trial.nodes(batch, PLAIN), trial.nodes(batch, None)
        rows.append(Row(
            case.name, batch, form[1], *each, times[0], times[1], times[0] / times[1], exported,
            None if exported is None else exported / times[1],
        ))  # fmt: skip
        print(text_of(rows[-1]), flush=True)
    return rows


def _answer(session: onnxruntime.InferenceSession, feeds: dict[str, Array]) -> Array:
    found = session.run(None, feeds)
    return np.concatenate([item.reshape(len(item), -1) for item in found], axis=1)


def _agree(name: str, answers: Sequence[Array]) -> None:
    for other in answers[1:]:
        if not np.allclose(other, answers[0], rtol=1e-4, atol=1e-4):
            raise SystemExit(f"{name}: the forms disagree by {np.abs(other - answers[0]).max():.1e}")


HEAD = (
    "| case | batch | form | nodes a step: plain | packed | plain, µs | packed, µs | plain / packed "
    "| exported / packed |\n"
    "| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |"
)


def text_of(row: Row) -> str:
    """A row of the table."""
    exported = "" if row.exported_ratio is None else f"{row.exported_ratio:.2f}"
    return (
        f"| {row.case} | {row.batch} | {row.form} | {row.plain_nodes:g} | {row.nodes:g} | {row.plain:.0f} "
        f"| {row.packed:.0f} | {row.ratio:.2f} | {exported} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="The forms of a solve beside each other.")
    parser.add_argument("--only", default="", help="parts of names of cases, with commas between them")
    parser.add_argument("--batches", default=",".join(map(str, BATCHES)))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--export", action="store_true", help="with torch.onnx.export of a loop in eager torch")
    parser.add_argument("-o", type=Path, help="write the rows as JSON")
    arguments = parser.parse_args()
    parts = arguments.only.split(",")
    chosen = [case for case in CASES if any(part.lower() in case.name.lower() for part in parts)]
    print(HEAD)
    batches = tuple(map(int, arguments.batches.split(",")))
    rows = [row for case in chosen for row in measured(case, batches, arguments.rounds, arguments.export)]
    if arguments.o is not None:
        arguments.o.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")


if __name__ == "__main__":
    main()
