"""Measurements on the emitted file itself: parity with float64, the checks of the author, latency."""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from isocline_compiler.backends.to_torch import TorchProgram
from isocline_compiler.certify.certificate import CheckResult, DeployedSolve
from isocline_compiler.certify.measures import Spread, relative_errors, spread
from isocline_compiler.certify.samples import Samples
from isocline_compiler.graph import Array, Graph
from isocline_compiler.graph.solve import Solve
from isocline_compiler.graph.tensor_type import BATCH
from isocline_compiler.model import Check
from isocline_compiler.solvers.grid import Discretisation
from isocline_compiler.solvers.unroll.time_span import steps_of
from isocline_dsl import messages
from isocline_dsl.diagnostics import Diagnostic
from isocline_runtime import Session, measure_latency

COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "measured": lambda left, right: True,
}
MEASURED = "measured"
"""In place of the sign of a check that is measured and not required."""
ROWS = 1024
"""Samples a call when a whole split is run."""
TIMED = 1.0
"""Seconds that timing may take: a large graph is not run hundreds of times for a third digit."""


def taken_by(session: Session, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """What a file takes of these: noise that drives none of what it computes is no input of it."""
    names = {port.name for port in session.inputs}
    return {name: array for name, array in arrays.items() if name in names}


def run_deployed(session: Session, samples: Samples) -> dict[str, Array]:
    """The outputs of the deployed model for all samples, in chunks."""
    if not samples.inputs:
        return session.run({})
    fixed = next((port.shape[0] for port in session.inputs if isinstance(port.shape[0], int)), None)
    rows = ROWS if fixed is None else int(fixed)
    parts = []
    for start in range(0, samples.count, rows):
        chunk = {name: array[start : start + rows] for name, array in samples.inputs.items()}
        if fixed is not None:  # the last ones are repeated to fill the batch, and left out again
            chunk = {name: np.resize(array, (rows, *array.shape[1:])) for name, array in chunk.items()}
        parts.append(session.run(chunk))
    batched = {port.name: bool(port.shape) and port.shape[0] in (BATCH, fixed) for port in session.outputs}
    return {
        name: np.concatenate([part[name] for part in parts])[: samples.count] if batched[name] else parts[0][name]
        for name in parts[0]
    }


def compare(found: Mapping[str, Array], reference: Mapping[str, Array], graph: Graph) -> dict[str, Spread]:
    """Relative errors of every real output, over the samples."""
    return {
        name: spread(relative_errors(found[name], array, graph.outputs[name].type.batched))
        for name, array in reference.items()
        if array.dtype.kind == "f"
    }


def evaluate_check(check: Check, outputs: Mapping[str, Array], samples: Samples) -> CheckResult:
    """Both sides of a check, in float64, over what the deployed model answered for the whole split."""
    known = {**samples.inputs, **samples.targets, **outputs}
    names = [str(leaf.attrs["name"]) for leaf in check.graph.inputs]
    bound = {name: torch.tensor(_wide(known[name])) for name in names}
    sides = TorchProgram(check.graph)(bound)
    left, right = float(sides["left"]), float(sides["right"])
    return CheckResult(check.text, left, check.operator, right, COMPARE[check.operator](left, right))


def _wide(array: Array) -> Array:
    return array.astype(np.float64) if array.dtype.kind == "f" else array


def missed_checks(checks: tuple[Check, ...], results: tuple[CheckResult, ...]) -> list[Diagnostic]:
    """A diagnostic for each check that does not hold."""
    return [
        messages.check_missed(check.span, f"{result.left:.4g}", check.operator, f"{result.right:.4g}")
        for check, result in zip(checks, results, strict=True)
        if not result.holds
    ]


def latency(session: Session, samples: Samples, batch: int) -> dict[str, Any]:
    """How long one call takes here, in microseconds, and loading in milliseconds; on `batch` of the samples."""
    inputs = {name: np.resize(array, (batch, *array.shape[1:])) for name, array in samples.inputs.items()}
    return asdict(measure_latency(session, batch=batch, inputs=inputs, seconds=TIMED))


def graph_facts(session: Session, model_file: Path) -> dict[str, Any]:
    """The size of the file in operations and bytes, and the sha256 of what all other numbers speak of."""
    facts, content = session.facts, model_file.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    return {"nodes": facts.nodes, "opset": facts.opset, "bytes": len(content), "sha256": digest}


def deployed_solve(solve: Solve, choice: Discretisation) -> DeployedSolve:
    """What is said of one solve as it is deployed."""
    steps, scheme = steps_of(solve, choice), choice.scheme
    declared = "continuous" if solve.spec.scheme is None else "discrete"
    order = scheme.strong_order(solve.spec.kinds)
    return DeployedSolve(
        solve.spec.choice, solve.spec.field, declared, scheme.name, order, steps, steps * scheme.evaluations,
        choice.segment,
    )  # fmt: skip
