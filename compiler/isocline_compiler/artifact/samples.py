"""Samples that an artifact carries, so that what was proved of it can be measured again elsewhere."""

from __future__ import annotations

import io

import numpy as np

from isocline_compiler.certify.certificate import Certificate
from isocline_compiler.certify.deployed import run_deployed
from isocline_compiler.certify.evaluation import Choices
from isocline_compiler.certify.prove import MEASURED, Proving
from isocline_compiler.certify.samples import Samples
from isocline_compiler.graph import Array
from isocline_runtime import Session

STORED = 16
"""Samples that are stored: the worst of those measured, for every output, and others spread over them."""


def stored_samples(proving: Proving, choices: Choices, certificate: Certificate, session: Session) -> bytes:
    """An npz with `input/NAME`, and of every output `output/NAME` as deployed, `exact/NAME` in float64 on the same
    grid, and `reference/NAME`, the solution, where the model is a differential equation."""
    chosen = _chosen(proving, certificate)
    evaluator = proving.evaluator(chosen)
    answers = {
        "input": chosen.inputs,
        "output": run_deployed(session, chosen),
        "exact": evaluator.run(choices),
        "reference": evaluator.reference if evaluator.open else {},
    }
    arrays: dict[str, Array] = {
        f"{kind}/{name}": array for kind, named in answers.items() for name, array in named.items()
    }
    sink = io.BytesIO()
    np.savez_compressed(sink, allow_pickle=False, **arrays)
    return sink.getvalue()


def _chosen(proving: Proving, certificate: Certificate) -> Samples:
    measured = proving.samples.first(MEASURED)
    if not measured.inputs:
        return measured
    spreads = (*certificate.parity.values(), *certificate.deployed.values())
    rows = {item.worst_sample for item in spreads if item.worst_sample < measured.count}
    spread = np.linspace(0, measured.count - 1, min(STORED, measured.count)).round().astype(int)
    rows |= set(spread[: max(STORED - len(rows), 1)].tolist())
    picked = sorted(rows)
    return Samples({name: array[picked] for name, array in measured.inputs.items()}, {}, measured.origin)
