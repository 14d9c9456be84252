"""Data in the precision of training: what single precision cannot hold stops the training before it begins.

In float32 numbers near 1.7e9 are 128 apart, those near 300 are 3e-5 apart. Inputs are measured by what their rounding
does to the outputs, targets by what of their own variation it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from isocline_compiler.backends.to_torch import TorchProgram
from isocline_compiler.data import Split
from isocline_compiler.graph import Array, Graph, everything
from isocline_compiler.model import Model, TrainingPlan
from isocline_compiler.ops.points import MEMBERS
from isocline_compiler.training.batches import Batches
from isocline_compiler.training.solvers import TrainingSolver
from isocline_dsl.diagnostics import Diagnostic, IsoclineError
from isocline_dsl.messages import fitting as messages

SAMPLES = 256
"""How many samples are tried."""
MOVED = 1e-3
"""What rounding may move, relative to the root mean square of an output, or to the deviation of a target."""


def require_held(
    model: Model, plan: TrainingPlan, solver: TrainingSolver, weights: Mapping[str, Array], train: Split
) -> None:
    """Raises E465 for every port of which training in single precision would see other values than the data's."""
    if plan.precision == "float64":
        return
    split = _some(train)
    inputs = [port.name for port in model.inputs if _is_rounded(split.arrays.get(port.name))]
    does = _moved(model, solver, weights, split, inputs)
    for port in model.targets:
        if _is_rounded(split.arrays.get(port.name)) and _varies_too_little(split.arrays[port.name]):
            does[port.name] = f"changes them by more than {MOVED:g} of their deviation"
    ports = [port for port in (*model.inputs, *model.targets) if port.name in does]
    found: list[Diagnostic] = [messages.data_narrowed(port.span, port.name, does[port.name]) for port in ports]
    if found:
        raise IsoclineError(found, model.source)


def _some(train: Split) -> Split:
    """At most `SAMPLES` samples, evenly over all of them."""
    count = train.count
    return train if count <= SAMPLES else train.take(np.linspace(0, count - 1, SAMPLES).round().astype(int))


def rounded(array: Array) -> Array:
    """As single precision holds it, still float64."""
    with np.errstate(over="ignore"):
        return array.astype(np.float32).astype(np.float64)


def _is_rounded(array: Array | None) -> bool:
    return array is not None and array.dtype.kind == "f" and bool((rounded(array) != array).any())


def _varies_too_little(target: Array) -> bool:
    """Than its rounding allows; one that does not vary at all loses nothing that could be fitted."""
    lost = np.abs(rounded(target) - target).max()
    return bool(np.ptp(target) > 0) and not lost <= MOVED * target.std()


def _moved(
    model: Model, solver: TrainingSolver, weights: Mapping[str, Array], split: Split, names: Sequence[str]
) -> dict[str, str]:
    """Of each input, in words, what its rounding moves too much, at the first weights.

    Nothing where the model has no answer there. All are rounded together first, and each alone where that is too much.
    """
    if not names:
        return {}
    stepped, noise = solver.unrolled(_of_one_draw(model.graph))
    program = TorchProgram(stepped)
    bound = {name: torch.tensor(value, dtype=torch.float64) for name, value in weights.items()}

    @torch.no_grad()
    def outputs(narrow: Sequence[str]) -> dict[str, Array]:
        arrays = {name: rounded(array) if name in narrow else array for name, array in split.arrays.items()}
        batch = Batches.of(Split(arrays, split.shared), torch.float64, torch.device("cpu")).take(slice(None))
        found = program(noise.filled({**bound, **batch}, training=False), integrator=solver.integrator)
        return {name: value.numpy() for name, value in found.items() if value.is_floating_point()}

    try:
        exact = outputs(())
        if _worst(exact, outputs(names)) is None:
            return {}
        worst = {name: _worst(exact, outputs((name,))) for name in names}
    except IsoclineError:
        return {}  # the equations have no solution at the first weights: training says so, and where
    return {name: f"moves {what}" for name, what in worst.items() if what is not None}


def _of_one_draw(graph: Graph) -> Graph:
    """The graph without outputs that go over the samples of an ensemble: of a single draw their spread is rounding."""
    single = {
        name: node for name, node in graph.outputs.items() if all(item.op is not MEMBERS for item in everything([node]))
    }
    return Graph(graph.inputs, single, graph.name)


def _worst(exact: Mapping[str, Array], found: Mapping[str, Array]) -> str | None:
    """The output that is moved most, in words, if that is too much."""
    moved: dict[str, float] = {}
    for name, array in exact.items():
        usual = float(np.sqrt(np.mean(np.square(array))))
        if np.isfinite(usual) and usual > 0:
            moved[name] = float(np.abs(found[name] - array).max()) / usual
    most = max(moved, key=lambda name: moved[name], default=None)
    return None if most is None or moved[most] <= MOVED else f"`{most}` by {moved[most]:.1e} of its size"
