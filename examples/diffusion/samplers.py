"""One output of a model, its solve stepped by any scheme in any number of steps: for tables and pictures.

The graph is the one that compiling emits, with the weights of a run, but in float64 and without a certificate: what
two of them differ by is the steps alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import onnxruntime

import isocline
from isocline_compiler.backends.to_onnx import to_onnx
from isocline_compiler.certify.stochastic.paths import coarsened
from isocline_compiler.driver import stored_weights
from isocline_compiler.graph import Graph
from isocline_compiler.graph.noise import Noise
from isocline_compiler.passes import optimise
from isocline_compiler.show import unrolled
from isocline_compiler.solvers.schemes import SCHEMES

PRIOR = "V"
"""The noise that every sampler starts from."""
FINEST = 1000
"""Steps of a reference."""


@dataclass(frozen=True)
class Sampler:
    """An output of the model, and the scheme that its solve is stepped by."""

    output: str
    scheme: str

    def __str__(self) -> str:
        return f"{self.output} by {self.scheme}"

    def steps(self, evaluations: int) -> int | None:
        """The steps in which the net is evaluated so often; None where they do not divide the finest grid."""
        steps, left = divmod(evaluations, SCHEMES[self.scheme].evaluations)
        return steps if steps and not left and not FINEST % steps else None


@dataclass(frozen=True)
class Trained:
    """A `.dyn` file, with the weights that training left."""

    file: Path
    weights: Path

    @property
    def outputs(self) -> tuple[str, ...]:
        """The outputs that samplers have."""
        return tuple(port.name for port in isocline.check(self.file).outputs)

    def emitted(self, text: str, output: str) -> onnxruntime.InferenceSession:
        """The graph of one output of a text, on one core."""
        model = isocline.model(text)
        kept = replace(model, graph=Graph(model.graph.inputs, {output: model.graph.outputs[output]}, model.name))
        proto = to_onnx(optimise(unrolled(kept)), stored_weights(model, self.weights), dtype="float64")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        return onnxruntime.InferenceSession(proto.SerializeToString(), options, ["CPUExecutionProvider"])

    def samples(self, sampler: Sampler, steps: int, paths: Paths) -> np.ndarray:
        """One sample of each path, float64."""
        session = self.emitted(restepped(self.file.read_text(), sampler, steps), sampler.output)
        normals = SCHEMES[sampler.scheme].normals
        feeds = dict(paths.inputs)
        for item in session.get_inputs():
            if item.name not in feeds:
                _, _, number, channels = item.shape
                feeds[item.name] = paths.noise(item.name, number, channels, normals)
        return np.asarray(session.run([sampler.output], feeds)[0])

    def eps(self, x: np.ndarray, level: float) -> np.ndarray:
        """What the net takes for the noise in x, (n, d)."""
        probe = f"\ninput seen: real[{x.shape[1]}]\ninput level: real\noutput noise = eps(seen, level)\n"
        session = self.emitted(self.file.read_text() + probe, "noise")
        return np.asarray(session.run(None, {"seen": x, "level": np.full(len(x), float(level))})[0])


def restepped(text: str, sampler: Sampler, steps: int) -> str:
    """The model with the solve `output_x = ...`, of any state x, stepped otherwise."""
    line = re.compile(rf"^({sampler.output}_\w+ = solve .* with )\w+\(.*\)$", re.MULTILINE)
    changed, count = line.subn(rf"\g<1>{sampler.scheme}(steps={steps})", text)
    if count != 1:
        raise SystemExit(f"{count} lines read `{sampler.output}_... = solve ... with SCHEME(...)`; there must be one")
    return changed


@dataclass
class Paths:
    """Starts and Brownian paths, of a coarse grid those of the finest one, and what else the model is given."""

    count: int
    seed: int
    inputs: Mapping[str, np.ndarray] = field(default_factory=dict)
    _finest: dict[str, np.ndarray] = field(default_factory=dict)

    def noise(self, name: str, steps: int, channels: int, normals: int) -> np.ndarray:
        """Standard numbers (count, 1, steps, channels) of an input; with two normals, increments, then areas."""
        size, most = (channels, 1) if name == PRIOR else (channels // normals, FINEST)
        if name not in self._finest:
            generator = np.random.default_rng([self.seed, *name.encode()])
            self._finest[name] = generator.standard_normal((self.count, 1, most, 2 * size))
        finest = self._finest[name][..., :channels]
        return finest if steps == most else coarsened(finest, Noise(name, size), most // steps)
