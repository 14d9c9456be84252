"""Samples that an artifact carries, so that what was proved of it can be measured again elsewhere."""

from __future__ import annotations

import io

import numpy as np

from isocline_compiler.certify.certificate import Certificate
from isocline_compiler.certify.deployed import run_deployed
from isocline_compiler.certify.evaluation import Choices
from isocline_compiler.certify.prove import Proving
from isocline_compiler.certify.samples import Samples
from isocline_compiler.graph import Array
from isocline_runtime import Session

STORED = 16
"""Samples that are stored: the worst of those measured, for every output, and others spread over them."""


def stored_samples(proving: Proving, choices: Choices, certificate: Certificate, session: Session) -> bytes:
    """An npz with `input/NAME`, and of every output `output/NAME` as deployed, `exact/NAME` in float64 on the same
    grid, and `reference/NAME`, the solution, where the model is a differential equation. Of a stochastic model `rows`
    are the numbers of the rows whose noise, of the seed 0, they have.
    """
    measuring = proving.measuring
    rows = _chosen(measuring.samples, certificate)
    chosen = measuring.samples.taken(rows) if measuring.samples.inputs else measuring.samples
    batched = {name for name, node in measuring.graph.outputs.items() if node.type.batched}
    reference = proving.solution
    answers = {
        "input": {port.name: chosen.inputs[port.name] for port in proving.model.inputs},
        "output": run_deployed(session, chosen),
        "exact": proving.evaluator(chosen).run(choices),
        "reference": {name: array[rows] if name in batched else array for name, array in reference.items()},
    }
    arrays: dict[str, Array] = {
        f"{kind}/{name}": array for kind, named in answers.items() for name, array in named.items()
    }
    numbers = proving.row_numbers(rows)
    if numbers is not None:
        arrays["rows"] = numbers
    sink = io.BytesIO()
    np.savez_compressed(sink, allow_pickle=False, **arrays)
    return sink.getvalue()


def _chosen(measured: Samples, certificate: Certificate) -> Array:
    """The places of the worst samples, and of others spread over all of them."""
    spreads = (*certificate.parity.values(), *certificate.deployed.values())
    rows = {item.worst_sample for item in spreads if item.worst_sample < measured.count}
    rows |= set(measured.spread(STORED)[: max(STORED - len(rows), 1)].tolist())
    return np.array(sorted(rows))
