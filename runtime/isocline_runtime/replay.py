"""A whole path taken step by step: what a stream answers, put together as the model answers it at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isocline_runtime.noises import Rows
from isocline_runtime.stream import Run, Stepper, Stream
from isocline_runtime.stream_info import StreamInfo, StreamSequence

Array = NDArray[Any]


def replayed(
    stepper: Stepper, run: Run, inputs: Mapping[str, Array], seed: int | None = None, rows: Rows = None
) -> dict[str, Array]:
    """The outputs of a stream over the whole `inputs` of the model, (batch, ...) each, by their names."""
    info = stepper.info
    own = {port.name for port in stepper.given}
    batch = next((len(inputs[port.name]) for port in stepper.rows if port.batched), None)
    stream = Stream.start(stepper, run, {name: x for name, x in inputs.items() if name in own}, seed, rows, batch)
    given = [item for item in info.sequences if item.name in inputs]
    answers = [stream.step({item.name: taken(inputs[item.name], item, i) for item in given})
               for i in range(steps_over(info, inputs))]  # fmt: skip
    found = {name: stream.first[name] for name in info.given}
    for output in info.outputs:
        if output.axis is None:
            found[output.name] = answers[-1][output.name]
            continue
        parts = [np.stack([answer[output.name] for answer in answers], axis=output.axis)]
        begun = [stream.first[output.name]] if output.name in info.first else []
        found[output.name] = np.concatenate([*begun, *parts], axis=output.axis)
    return found


def taken(array: Array, sequence: StreamSequence, step: int) -> Array:
    """What a step reads of an input of the model."""
    entries: Sequence[int] = sequence.at(step)
    found = np.take(array, entries, axis=sequence.axis)
    return np.ascontiguousarray(found if sequence.window else np.take(found, 0, axis=sequence.axis))


def steps_over(info: StreamInfo, inputs: Mapping[str, Array]) -> int:
    """How many steps there are over these inputs: those of the model, or as many as the shortest sequence has."""
    if info.steps is not None:
        return info.steps
    return min(int(inputs[item.name].shape[item.axis]) for item in info.sequences if item.name in inputs)
