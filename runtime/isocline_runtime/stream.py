"""A model one step at a time: `start.onnx` once, then `step.onnx` with the state that the last step left.

A stream takes the same memory whatever the number of its steps. Its state can be saved and loaded, and goes on bit for
bit; its noise is that of the model's own runs: of the same seed, rows and steps.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isocline_runtime import messages_input, messages_run, messages_stream
from isocline_runtime.artifact import Artifact, describe_file, read_limited, read_listed, write_atomic
from isocline_runtime.feeds import Feed, as_array, prepare_feed
from isocline_runtime.limits import Limits, memory_limit
from isocline_runtime.manifest import BATCH, START_FILE, STEP_FILE, NoiseInfo, Port, StreamInfo
from isocline_runtime.model_facts import check_operations, inspect_model
from isocline_runtime.named_arrays import read_npz
from isocline_runtime.noises import Rows, check_rows, check_seed, draw_steps
from isocline_runtime.provider import open_session
from isocline_runtime.signature import check_signature, read_ports
from isocline_runtime.stream_info import StreamSequence

Array = NDArray[Any]
Run: TypeAlias = "Callable[[Any, Sequence[Port], Feed], dict[str, Array]]"
"""(backend, ports, feed) -> the outputs by name."""
BLOCK = 64
"""Steps whose noise is drawn at once: a call of the generator costs more than its numbers."""
STATE_LIMIT = 2**30
"""Bytes of a saved state."""
COUNTING = "batch.rows"
"""The input of a start that says how many samples there are, where nothing else does: one number for each."""
ABOUT = "about"
"""Of a saved state, what is no array."""


class Stepper:
    """`start.onnx` and `step.onnx`, ready to run, for the model whose own `inputs` and `noises` these are."""

    def __init__(
        self,
        name: str,
        info: StreamInfo,
        inputs: Sequence[Port],
        noises: Sequence[NoiseInfo],
        files: Mapping[str, bytes],
        open_file: Callable[[str, bytes], Any],
        limits: Limits,
    ) -> None:
        self.name = name
        self.info = info
        self.noises = {noise.name: noise for noise in noises}
        self.sha256 = describe_file(files[STEP_FILE]).sha256
        self.memory = memory_limit(limits.memory)
        self.backends = {name: open_file(name, files[name]) for name in (START_FILE, STEP_FILE)}
        made = {*self.noises, *self.info.held, *(pair.input for pair in self.info.states)}
        self.sequences = {item.name: item for item in self.info.sequences}
        self.rows = tuple(
            port for port in self.info.step_inputs if port.name in self.sequences and port.name not in made
        )
        fixed = [port for port in self.info.step_inputs if port.name not in {*made, *self.sequences}]
        known = {port.name for port in fixed}
        self.counts = next((port for port in self.info.start_inputs if _counts_samples(port, inputs)), None)
        own = [*fixed, *(port for port in self.info.start_inputs if port.name not in {*made, *known})]
        self.given = tuple(port for port in own if port is not self.counts)
        counting = [port for port in self.info.step_inputs if port.name in self.noises]
        counting += [self.counts] if self.counts is not None else []
        self.fixed = next((port.shape[0] for port in counting if isinstance(port.shape[0], int)), None)

    @classmethod
    def of(cls, artifact: Artifact, providers: tuple[str, ...], limits: Limits) -> Stepper:
        """Those of an artifact, checked as its model is. Raises RunError E790 where there are none, ArtifactError."""
        manifest = artifact.manifest
        if manifest is None or manifest.stream is None:
            raise messages_stream.no_stream(artifact.name)
        info = manifest.stream
        signatures = {
            START_FILE: (info.start_inputs, info.start_outputs),
            STEP_FILE: (info.step_inputs, info.step_outputs),
        }

        def open_file(name: str, content: bytes) -> Any:
            file = str(artifact.path / name)
            check_operations(inspect_model(content, file, limits.node_limit), manifest, file, limits)
            backend = open_session(content, file, providers, limits.threads, limits.memory)
            inputs, outputs = signatures[name]
            check_signature(file, read_ports(backend.get_inputs(), file), inputs)
            check_signature(file, read_ports(backend.get_outputs(), file), outputs)
            return backend

        files = {name: read_listed(artifact.path, name, manifest.files[name]) for name in signatures}
        return cls(manifest.name, info, manifest.inputs, manifest.noises, files, open_file, limits)


def run_plainly(backend: Any, ports: Sequence[Port], feed: Feed) -> dict[str, Array]:
    """The outputs by name, whatever they are."""
    names = [port.name for port in ports]
    return dict(zip(names, map(np.asarray, backend.run(names, feed.arrays)), strict=True))


def _counts_samples(port: Port, inputs: Sequence[Port]) -> bool:
    """Whether an input of the start says how many samples there are and nothing else: the model has no such input."""
    return port.name == COUNTING and port.name not in {item.name for item in inputs}


@dataclass(frozen=True)
class _Beginning:
    """What a stream begins with, and keeps: the inputs that do not change, how many samples it has, its noise."""

    inputs: Mapping[str, Array]
    batch: int
    single: bool
    seed: int
    rows: tuple[int, ...]


class Stream:
    """A model that takes one step at a time; `Session.stream` starts it, `Session.resume` goes on from a saved state.

    `first` holds the entries of the outputs that there are before the first step, along the axis that the steps have
    in them, and outputs that no step changes. `position` counts the steps that are done, those of the start among them.
    """

    def __init__(self, stepper: Stepper, run: Run, begin: _Beginning) -> None:
        self._stepper = stepper
        self._run = run
        self._begin = begin
        self._noise: dict[str, tuple[int, Array]] = {}
        self._held: dict[str, Array] = {}
        self._states: dict[str, Array] = {}
        self.first: dict[str, Array] = {}
        self.position = 0

    @classmethod
    def start(
        cls, stepper: Stepper, run: Run, given: Mapping[str, ArrayLike], seed: int | None, rows: Rows, batch: int | None
    ) -> Stream:
        """A stream before its first step. Raises InputError."""
        names = {port.name for port in stepper.given}
        unknown = [name for name in given if name not in names and name not in stepper.sequences]
        if unknown:
            raise messages_input.unknown_input(unknown[0], tuple(names), None)
        if not stepper.noises and (seed is not None or rows is not None):
            raise messages_input.no_noise(stepper.name, "seed" if seed is not None else "rows")
        cut = {
            port.name: _beginning_of(port, given[port.name], stepper) for port in stepper.given if port.name in given
        }
        asked = batch if batch is not None else None if rows is None or not hasattr(rows, "__len__") else len(rows)
        feed = prepare_feed(stepper.given, cut, rows=asked)
        sizes = [len(feed.arrays[port.name]) for port in stepper.given if port.batched]
        count = sizes[0] if sizes else stepper.fixed or (1 if asked is None else asked)
        if asked is not None and asked != count:
            raise messages_stream.other_batch(next((x.name for x in stepper.given), "batch"), count, asked)
        numbers = check_rows(range(count) if rows is None else rows)
        if len(numbers) != count:
            raise messages_input.wrong_rows(str(list(numbers)[:6]), count)
        single = feed.single or not (sizes or stepper.fixed or asked is not None)
        begin = _Beginning(feed.arrays, count, single, check_seed(seed or 0), tuple(int(row) for row in numbers))
        stream = cls(stepper, run, begin)
        stream.restart()
        return stream

    def restart(self) -> None:
        """Back to where the stream began, with the same inputs and the same noise."""
        stepper, begin, info = self._stepper, self._begin, self._stepper.info
        arrays: dict[str, Array] = {}
        for port in info.start_inputs:
            if port is stepper.counts:
                arrays[port.name] = np.zeros(begin.batch, port.dtype)
            elif port.name in stepper.noises:
                noise = stepper.noises[port.name]
                arrays[port.name] = draw_steps(noise, begin.seed, begin.rows, 0, int(port.shape[2]))
            else:
                arrays[port.name] = begin.inputs[port.name]
        found = self._run(stepper.backends[START_FILE], info.start_outputs, Feed(arrays, single=False))
        self._held = {name: found[name] for name in info.held}
        self._states = {pair.input: found[pair.initial] for pair in info.states}
        self.first = {name: self._shown(found[name], self._started(name)) for name in (*info.given, *info.first)}
        self.position = info.behind
        self._noise = {}

    def _started(self, name: str) -> Port:
        return next(port for port in self._stepper.info.start_outputs if port.name == name)

    def step(self, inputs: Mapping[str, ArrayLike] | None = None, /, **named: ArrayLike) -> dict[str, Array]:
        """The outputs of the next step, for the entries of the sequences that it reads: `step(xs=[0.3, 1.2])`.

        As in `Session.run`, samples come with a leading axis, or one without it. Raises RunError E791 past the end,
        InputError; the state is then what it was.
        """
        stepper, info = self._stepper, self._stepper.info
        done = self.position - info.behind
        if info.steps is not None and done >= info.steps:
            raise messages_stream.past_the_end(stepper.name, info.loop, info.steps + info.behind)
        feed = prepare_feed(stepper.rows, {**(inputs or {}), **named}, rows=self._begin.batch)
        for port in stepper.rows:
            if port.batched and len(feed.arrays[port.name]) != self._begin.batch:
                raise messages_stream.other_batch(port.name, len(feed.arrays[port.name]), self._begin.batch)
        own = {port.name for port in info.step_inputs}
        arrays = {name: array for name, array in self._begin.inputs.items() if name in own and name not in feed.arrays}
        arrays |= {**feed.arrays, **self._held, **self._states}
        arrays |= {port.name: self._noise_of(port, done) for port in info.step_inputs if port.name in stepper.noises}
        found = self._run(stepper.backends[STEP_FILE], info.step_outputs, Feed(arrays, single=False))
        self._states = {pair.input: found[pair.output] for pair in info.states}
        self.position += 1
        return {item.name: self._shown(found[item.name], self._answer(item.name)) for item in info.outputs}

    __call__ = step

    def _answer(self, name: str) -> Port:
        return next(port for port in self._stepper.info.step_outputs if port.name == name)

    def _shown(self, value: Array, port: Port) -> Array:
        return value[0] if self._begin.single and port.batched else value

    def _noise_of(self, port: Port, done: int) -> Array:
        """The numbers that a step reads, of some steps that are drawn at once."""
        info, sequence = self._stepper.noises[port.name], self._stepper.sequences.get(port.name)
        known = self._noise.get(port.name)
        if sequence is None:
            known = self._noise[port.name] = known or (0, self._block(info, 0, info.steps))
            return known[1]
        first, width = sequence.at(done)[0], int(port.shape[2])
        if known is None or not known[0] <= first <= known[0] + known[1].shape[2] - width:
            count = info.steps if info.lattice else min(max(BLOCK, width), info.steps - first)
            begin = 0 if info.lattice else first
            known = self._noise[port.name] = begin, self._block(info, begin, count)
        place = first - known[0]
        return np.ascontiguousarray(known[1][:, :, place : place + width])

    def _block(self, info: NoiseInfo, first: int, count: int) -> Array:
        size = self._begin.batch * info.samples * count * info.channels * np.dtype(info.dtype).itemsize
        if size > self._stepper.memory:
            raise messages_run.out_of_memory(self._stepper.name, self._stepper.memory, "its noise")
        return draw_steps(info, self._begin.seed, self._begin.rows, first, count)

    # ------------------------------------------------------------------------------------------------ the state

    @property
    def state(self) -> dict[str, Array]:
        """What goes from step to step, by the inputs of `step.onnx` that take it; copies, with the axis of samples."""
        return {name: array.copy() for name, array in self._states.items()}

    @property
    def ended(self) -> bool:
        """Whether the model has no further step."""
        info = self._stepper.info
        return info.steps is not None and self.position >= info.behind + info.steps

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the state, whole or not at all: an npz with all that `Session.resume` needs beside the artifact."""
        begin = self._begin
        about = {
            "step": self._stepper.sha256, "position": self.position, "batch": begin.batch, "single": begin.single,
            "seed": begin.seed, "rows": list(begin.rows),
        }  # fmt: skip
        kinds = {"state": self._states, "held": self._held, "input": begin.inputs, "first": self.first}
        arrays = {f"{kind}/{name}": array for kind, named in kinds.items() for name, array in named.items()}
        text = np.frombuffer(json.dumps(about).encode(), np.uint8)
        sink = io.BytesIO()
        np.savez(sink, allow_pickle=False, **{ABOUT: text}, **arrays)
        write_atomic(path, sink.getvalue())

    @classmethod
    def load(cls, stepper: Stepper, run: Run, path: str | os.PathLike[str]) -> Stream:
        """The stream whose state was saved. Raises InputError E792 for a file that is no such state."""
        place = Path(path)
        arrays = read_npz(place, read_limited(place, STATE_LIMIT))
        try:
            about = json.loads(bytes(arrays.pop(ABOUT)).decode())
            step, position = str(about["step"]), int(about["position"])
            rows = tuple(int(row) for row in about["rows"])
            batch, single, seed = int(about["batch"]), bool(about["single"]), int(about["seed"])
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise messages_stream.not_a_state(place, f"what it says about itself cannot be read ({error})") from None
        if step != stepper.sha256:
            raise messages_stream.not_a_state(place, f"it is of the step {step[:12]}..., not {stepper.sha256[:12]}...")
        of = {kind: _of(kind, arrays) for kind in ("state", "held", "input", "first")}
        stream = cls(stepper, run, _Beginning(of["input"], batch, single, seed, rows))
        stream._states, stream._held, stream.first, stream.position = of["state"], of["held"], of["first"], position
        info = stepper.info
        fixed = {port.name for port in stepper.given if port.name not in stepper.sequences}
        for port in info.step_inputs:
            if port.name in {*(pair.input for pair in info.states), *info.held, *fixed}:
                _check_state(place, port, {**of["state"], **of["held"], **of["input"]}.get(port.name), batch)
        if not info.behind <= position <= info.behind + (info.steps or position):
            raise messages_stream.not_a_state(place, f"it has done {position} steps")
        return stream


def _of(kind: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {name.removeprefix(f"{kind}/"): array for name, array in arrays.items() if name.startswith(f"{kind}/")}


def _check_state(path: Path, port: Port, array: Array | None, batch: int) -> None:
    """A saved array has the type that the step takes, and is finite. Raises InputError E792."""
    if array is None:
        raise messages_stream.not_a_state(path, f"`{port.name}` is missing")
    sizes = [batch if size == BATCH else size for size in port.shape]
    fits = len(sizes) == array.ndim and all(
        isinstance(size, str) or size == found for size, found in zip(sizes, array.shape, strict=True)
    )
    if not fits or array.dtype != np.dtype(port.dtype):
        found = f"{array.dtype}{list(array.shape)}"
        expected = f"{port.dtype}[{', '.join(map(str, sizes))}]"
        raise messages_stream.not_a_state(path, f"`{port.name}` is {found}, expected {expected}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise messages_stream.not_a_state(path, f"`{port.name}` is not finite")


def _beginning_of(port: Port, value: ArrayLike, stepper: Stepper) -> ArrayLike:
    """Of a sequence the entries that the start reads; more may be given."""
    sequence: StreamSequence | None = stepper.sequences.get(port.name)
    if sequence is None:
        return value
    array = as_array(port, value)
    axis = sequence.axis - (array.ndim == len(port.shape) - 1)
    wanted = port.shape[sequence.axis]
    if not 0 <= axis < array.ndim or not isinstance(wanted, int):
        return array
    return array[(slice(None),) * axis + (slice(wanted),)]


__all__ = ["Stepper", "Stream", "run_plainly"]
