"""The steps of a stream, one after another, against what the model gives at once."""

from __future__ import annotations

import numpy as np

from isocline_compiler.certify.certificate import Certificate, StreamProof
from isocline_compiler.certify.deployed import run_deployed
from isocline_compiler.certify.measures import figures, relative_errors
from isocline_compiler.certify.prove import Proving
from isocline_compiler.certify.samples import Samples
from isocline_compiler.graph import Array
from isocline_compiler.model import Model
from isocline_dsl import messages
from isocline_dsl.diagnostics import Diagnostic
from isocline_runtime import Session
from isocline_runtime.noises import draw_noise
from isocline_runtime.replay import replayed, steps_over
from isocline_runtime.stream import Stepper, run_plainly

SAMPLES = 8
"""Samples that go step by step: every step is a call."""
NUMBERS = 2**24
"""Random numbers of all of them together."""
SAME = 1e-6
"""How far the steps may be from the whole, relative to its largest entry."""
ROUNDED = 2.0
"""Where rounding alone moves the model's output further than that, how many times as far: steps may round otherwise."""


def prove_stream(
    proving: Proving, session: Session, stepper: Stepper, certificate: Certificate, known: tuple[str, ...] = ()
) -> StreamProof:
    """Run both on the same samples, with the same noise: that of the seed 0, and of rows counted from 0.

    `known` are the inputs that are given whole before the first step, for the record.
    """
    model, info = proving.model, stepper.info
    given = _samples(proving, stepper)
    count = next((len(array) for array in given.values()), model.deployment.batch or 1)
    rows = np.arange(count) if stepper.noises else None
    noise = {name: draw_noise(item, 0, rows) for name, item in stepper.noises.items()}
    whole = run_deployed(session, Samples({**given, **noise}, {}, ""))
    found = replayed(stepper, run_plainly, given, None, rows)
    errors: dict[str, float] = {}
    same = []
    for output in info.outputs:
        expected, batched = whole[output.name], model.graph.outputs[output.name].type.batched
        errors[output.name] = float(relative_errors(found[output.name], expected, batched).max())
        if np.array_equal(found[output.name], expected):
            same.append(output.name)
    parity = {name: item.maximum for name, item in certificate.parity.items()}
    bounds = {name: max(SAME, ROUNDED * parity.get(name, 0.0)) for name in errors}
    return StreamProof(
        info.loop, info.behind + steps_over(info, given), count, errors, bounds, tuple(same), info.whole, known
    )  # fmt: skip


def _samples(proving: Proving, stepper: Stepper) -> dict[str, Array]:
    """Some samples spread over all, as a caller gives them, whose noise there is room for; as many as the batch that
    the model is compiled for.
    """
    model, fixed = proving.model, proving.model.deployment.batch
    samples = proving.own_inputs.rounded(model.deployment.dtype)
    each = sum(item.samples * item.steps * item.channels for item in stepper.noises.values())
    count = min(SAMPLES, max(1, NUMBERS // max(each, 1)))
    few = samples.taken(np.resize(samples.spread(fixed), fixed)) if fixed else samples.first(count)
    return {port.name: few.inputs[port.name] for port in model.inputs}


def missed_steps(model: Model, proof: StreamProof) -> list[Diagnostic]:
    """E695 for every output whose steps differ from the whole."""
    spans = {port.name: port.span for port in model.outputs}
    return [
        messages.stream_differs(spans[name], name, *figures(error, proof.bounds[name]))
        for name, error in proof.errors.items()
        if not error <= proof.bounds[name]
    ]
