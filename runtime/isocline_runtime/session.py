"""A loaded model: numpy in, numpy out, by name; `loading.load` makes it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isocline_runtime import messages_input, messages_run
from isocline_runtime.artifact import Artifact
from isocline_runtime.attribution import Attributor, Index
from isocline_runtime.bound import Bound, bound
from isocline_runtime.errors import RunError
from isocline_runtime.feeds import Feed, find_nonfinite, left_out, plain_feed, prepare_feed
from isocline_runtime.frames import named_inputs
from isocline_runtime.limits import WATCHDOG, Limits, memory_limit
from isocline_runtime.manifest import Manifest, NoiseInfo, Port
from isocline_runtime.model_facts import ModelFacts
from isocline_runtime.narrowed import bound_of, measured_of, moved_most
from isocline_runtime.native.building import Library, discard
from isocline_runtime.native.calling import ENGINE, Ending, NativeModel
from isocline_runtime.native.checking import compare_explanations
from isocline_runtime.native.opening import Asking
from isocline_runtime.noises import Asked, Noises, Rows, check_seed, is_one
from isocline_runtime.parts import Arrays, Run
from isocline_runtime.provider import CPU, failing_node, plain_reason, run_options
from isocline_runtime.stream import Stepper, Stream

SHOWN = 6
"""Ports that the text of a session lists."""
Inputs: TypeAlias = Any
"""A mapping of arrays by name, a data frame of any library, an Arrow table, or None."""


def _listed(ports: Sequence[Port]) -> str:
    """The first ports of a signature."""
    shown = [f"{port.name}: {port}" for port in ports[:SHOWN]]
    return ", ".join(shown + ([f"... {len(ports) - SHOWN} more"] if len(ports) > SHOWN else []))


class Session:
    """A model ready to run; `load` makes it. Any number of threads may run it at once: nothing in it changes.

    `inputs` and `outputs` are its ports, `noises` the inputs that are drawn from a seed; `manifest` and `certificate`
    are None for a bare `.onnx` file, whose noises are inputs as others; `facts` is what was read of the model,
    `load_ms` how long loading took in milliseconds, `engine` what runs it, and `engine_reason` why that.
    """

    load_ms = 0.0

    def __init__(
        self,
        artifact: Artifact,
        facts: ModelFacts,
        backend: Any,
        inputs: tuple[Port, ...],
        outputs: tuple[Port, ...],
        limits: Limits,
        asking: Asking,
        noises: Noises | None = None,
    ) -> None:
        self.name = artifact.name
        self.path = artifact.path
        self.manifest: Manifest | None = artifact.manifest
        self.certificate: dict[str, Any] | None = artifact.certificate
        self.facts = facts
        self.inputs = inputs
        self.outputs = outputs
        self.providers: tuple[str, ...] = tuple(backend.get_providers())
        self._noises = noises or Noises(artifact.name, (), ())
        self.noises: tuple[NoiseInfo, ...] = self._noises.infos
        self._limits = limits
        self.engine: str = ENGINE if ENGINE in self.providers else "onnxruntime"
        self.engine_reason = asking.reason
        self._asking = asking
        self._backend = backend
        # The bytes are in the backend; the place stays where it was when the process changes its folder.
        self._artifact = Artifact(artifact.path.absolute(), b"", artifact.manifest)
        self._attributor: Attributor | None = None
        self._stepper: Stepper | None = None
        self._measured = measured_of(artifact.certificate)

    def run(
        self,
        inputs: Inputs = None,
        /,
        *,
        seed: int | None = None,
        rows: Rows = None,
        noise: Mapping[str, ArrayLike] | None = None,
        **named: ArrayLike,
    ) -> dict[str, NDArray[Any]]:
        """The outputs by name, for inputs given as a mapping or a data frame, by keyword, or both.

        Columns of a frame have the names of the inputs, or of the columns that the model was trained on.

        Inputs that have a default may be left out; every sample has it then.

        Inputs have a leading batch axis; when all of them leave it out, one sample is run and the
        outputs have none either. Raises InputError before anything runs, E742 for values that the type of an
        input cannot hold well enough, RunError when the model stops (E780) or an output is not finite (E781).

        Of a model with noise: `seed` says which noise is drawn (0 unless it is given), `rows` numbers the samples (from
        0 on), and `noise` gives some or all of it by name instead. A sample has the same noise whatever else is in
        its batch: `run(x[12:13], seed=7, rows=[12])` repeats it alone. Where no input has a batch axis, there are as
        many samples as rows; with one number or none, a single one. Raises InputError E743 to E748 too.
        """
        plain = not self.noises and isinstance(inputs, dict | None) and seed is rows is noise is None
        feed = plain_feed(self.inputs, {**(inputs or {}), **named}) if plain else None
        feed = feed or self._feed(self.named(inputs, **named), Asked(seed, rows, noise))
        outputs = self._run(self._backend, self.outputs, feed)
        self._require_held(feed, outputs)
        return outputs

    __call__ = run

    def bind(self, batch: int = 1) -> Bound:
        """A call on fixed arrays of so many samples, for loops in which every microsecond counts; see `Bound`.

        Noises are inputs there as others: `session.noise` draws them. Raises InputError E749 where a size has a name.
        """
        ports = (*self.inputs, *self._noises.ports)
        return bound(self._backend, ports, self.outputs, self.batch or batch)

    @property
    def batch(self) -> int | None:
        """How many samples a call takes, where the model was compiled for so many; None for any number."""
        sizes = (port.shape[0] for port in (*self.inputs, *self._noises.ports) if port.shape)
        return next((size for size in sizes if isinstance(size, int)), None)

    def named(self, inputs: Inputs = None, /, **named: ArrayLike) -> dict[str, ArrayLike]:
        """The inputs of a call by their names, as `run` takes them. Raises InputError E741 and E752 to E759."""
        if isinstance(inputs, Mapping) or inputs is None:
            return named_inputs({**(inputs or {}), **named}, self.inputs)
        return {**named_inputs(inputs, self.inputs), **named}

    def complete(
        self, given: Mapping[str, ArrayLike], /, *, rows: Rows = None, noise: Mapping[str, ArrayLike] | None = None
    ) -> dict[str, ArrayLike]:
        """The inputs of a call with the defaults of those that it leaves out, as `run` takes them."""
        asked = Asked(None, rows, noise)
        self._noises.check_asked(given, asked)
        return {**given, **left_out(self.inputs, given, self._noises.asked_rows(asked))}

    def noise(self, rows: Rows = 0, seed: int = 0) -> dict[str, NDArray[Any]]:
        """The noise of rows by name, (rows, samples, steps, channels); of one number, without the first axis.

        Raises InputError E744 and E745.
        """
        arrays = self._noises.drawn(rows, seed, memory_limit(self._limits.memory))
        return {name: array[0] if is_one(rows) else array for name, array in arrays.items()}

    def open_rows(self, count: int) -> range | None:
        """So many rows where nothing but rows says how many samples there are; else None."""
        counted = any(isinstance(noise.shape[0], int) for noise in self._noises.ports)
        counted = counted or any(port.batched for port in self.inputs)
        return range(count) if self.noises and not counted else None

    def noise_of(
        self,
        inputs: Inputs = None,
        /,
        *,
        seed: int | None = None,
        rows: Rows = None,
        noise: Mapping[str, ArrayLike] | None = None,
        **named: ArrayLike,
    ) -> dict[str, NDArray[Any]]:
        """The noise that `run` takes when it is called so: drawn, or as it is given."""
        feed = self._feed(self.named(inputs, **named), Asked(seed, rows, noise))
        arrays = {info.name: feed.arrays[info.name] for info in self.noises}
        return {name: array[0] if feed.single else array for name, array in arrays.items()}

    def _feed(self, given: Mapping[str, ArrayLike], asked: Asked) -> Feed:
        """The arrays of a call, checked, its noise among them."""
        self._noises.check_asked(given, asked)
        feed = prepare_feed(self.inputs, given, self._measured, self._noises.asked_rows(asked))
        return self._noises.fill(self.inputs, feed, asked, memory_limit(self._limits.memory)) if self.noises else feed

    def attribute(
        self,
        inputs: Inputs,
        /,
        *,
        index: Index = None,
        seed: int = 0,
        rows: Rows = None,
        noise: Mapping[str, ArrayLike] | None = None,
    ) -> dict[str, NDArray[Any]]:
        """The explanations by name, as `manifest.attribution` lists them: what of the inputs the outputs depend on.

        `index` chooses the entry of the flattened output that is explained: one for all samples, one for each, or
        these by the name of the output; by default the predicted class of a classifier and the sum of all entries of
        any other output. `seed` is that of the noise, where a method needs some; a model with noise has the same as in
        `run` for the same seed, rows and noise. Raises E782 when the artifact has no attribution, InputError (E740 for
        an index), RunError.
        """
        asked = Asked(check_seed(seed) if self.noises else None, rows, noise)
        given = self.complete(self.named(inputs), rows=rows, noise=noise)
        feed = self._feed(given, asked)
        found = self._explained(self.attributor(), given, index, check_seed(seed), feed)
        if feed.narrowed is not None:
            self._require_held(feed, self._values(self._backend, self.outputs, feed))
        return found

    def _explained(
        self, by: Attributor, given: Mapping[str, ArrayLike], index: Index, seed: int, feed: Feed
    ) -> dict[str, NDArray[Any]]:
        return self._run(by.backend, by.info.outputs, by.feed(given, index, seed, feed))

    def _require_held(self, feed: Feed, outputs: Mapping[str, NDArray[Any]]) -> None:
        """Raises E742 where rounding an input, as no sample of the certificate was, changes the answer."""
        lost = feed.narrowed
        if lost is None:
            return
        tried = (self._values(self._backend, self.outputs, Feed(run, feed.single)) for run in lost.runs(feed.arrays))
        moved, output = max(moved_most(outputs, beside) for beside in tried)
        bound = bound_of(self.certificate)
        if moved > bound:
            dtype = next(port.dtype for port in self.inputs if port.name == lost.name)
            raise messages_input.narrowed(
                lost.name, lost.index, lost.given, lost.held, dtype, output, f"{moved:.1e}", f"{bound:.1e}"
            )

    def attributor(self) -> Attributor:
        """`attribute.onnx`, opened on first use. Raises E782 when the artifact has none, ArtifactError."""
        if self._attributor is None:
            limits = self._limits
            found = Attributor(
                self._artifact, self._onnx_providers, limits, self.engine == ENGINE, self._asking.trusted
            )
            if found.built is not None and found.built.built:
                self._check_explanations(found, found.built)
            self._attributor = found
        return self._attributor

    def _check_explanations(self, native: Attributor, library: Library) -> None:
        """A library that is new explains the certificate's samples as the ONNX file does. Raises ArtifactError E763."""
        plain = Attributor(self._artifact, self._onnx_providers, self._limits)

        def run(by: Attributor) -> Run:
            def explained(given: Arrays, rows: NDArray[Any] | None) -> dict[str, NDArray[Any]]:
                return self._explained(by, given, None, 0, self._feed(given, Asked(None, rows, None)))

            return explained

        try:
            compare_explanations(self, plain.info, run(native), run(plain))
        except BaseException:
            discard(library)
            raise

    @property
    def _onnx_providers(self) -> tuple[str, ...]:
        """Where the files of the artifact that are not native run."""
        return (CPU,) if self.engine == ENGINE else self.providers

    def stream(
        self,
        inputs: Inputs = None,
        /,
        *,
        seed: int | None = None,
        rows: Rows = None,
        batch: int | None = None,
        **named: ArrayLike,
    ) -> Stream:
        """The model one step at a time, before its first step: `stream.step(xs=...)` then gives the outputs of each.

        `inputs` are those that do not change from step to step, and of those that do the entries that the start reads.
        Samples, `seed` and `rows` are as in `run`; where no input says how many samples there are, `batch` does.
        Raises E790 when the artifact has no step, InputError.
        """
        given = {**(inputs or {}), **named}
        return Stream.start(self.stepper(), self._run, given, seed, rows, batch)

    def resume(self, path: str | os.PathLike[str]) -> Stream:
        """The stream whose state `Stream.save` wrote, where it was. Raises E790, InputError E792."""
        return Stream.load(self.stepper(), self._run, path)

    def stepper(self) -> Stepper:
        """`start.onnx` and `step.onnx`, opened on first use. Raises E790 when the artifact has none, ArtifactError."""
        if self._stepper is None:
            self._stepper = Stepper.of(self._artifact, self._onnx_providers, self._limits)
        return self._stepper

    def _run(self, backend: Any, ports: Sequence[Port], feed: Feed) -> dict[str, NDArray[Any]]:
        """The outputs of a checked call, which are finite unless they need not be."""
        outputs = self._values(backend, ports, feed)
        self._check_outputs(outputs)
        return outputs

    def _values(self, backend: Any, ports: Sequence[Port], feed: Feed) -> dict[str, NDArray[Any]]:
        """The outputs of a checked call."""
        options, seconds = Ending() if isinstance(backend, NativeModel) else run_options(), self._limits.seconds
        if isinstance(backend, NativeModel) and backend.is_short(feed.arrays):
            seconds = None  # over before anybody could end it
        if seconds is not None:
            WATCHDOG.begin(options, seconds)
        try:
            values = backend.run([port.name for port in ports], feed.arrays, options)
        except Exception as error:  # onnxruntime's exceptions have no base of their own
            raise self._stopped(error, options.terminate) from None
        finally:
            if seconds is not None:
                WATCHDOG.end(options)
        return {
            port.name: np.asarray(value)[0] if feed.single and port.batched else np.asarray(value)
            for port, value in zip(ports, values, strict=True)
        }

    def __repr__(self) -> str:
        noise = f" with noise {', '.join(info.name for info in self.noises)}" if self.noises else ""
        signature = f"({_listed(self.inputs)}){noise} -> ({_listed(self.outputs)})"
        return f"<Session {self.name}: {signature} on {self.providers[0]}>"

    def __reduce__(self) -> tuple[Any, ...]:
        """A session is its folder: a copy, here or in another process, loads it again. It must still be the same."""
        asking = self._asking
        return asking.again, (self._artifact.path, asking.providers, asking.engine, self._limits, self.manifest)

    def _check_outputs(self, outputs: dict[str, NDArray[Any]]) -> None:
        wrong = None if self._limits.allow_nonfinite else find_nonfinite(outputs)
        if wrong is not None:
            raise messages_run.output_not_finite(*wrong)

    def _stopped(self, error: Exception, in_time: bool) -> RunError:
        if in_time:
            return messages_run.out_of_time(self.name, self._limits.seconds or 0.0)
        if "Available memory of" in str(error):
            return messages_run.out_of_memory(self.name, memory_limit(self._limits.memory), self._place_of(error))
        return messages_run.stopped(self.name, plain_reason(error), self._place_of(error))

    def _place_of(self, error: Exception) -> str | None:
        """Where the operation that onnxruntime names stands; a fused one keeps a name as part of its own."""
        node = failing_node(error)
        if not node:
            return None
        parts = [node, *re.split(r"[\s/]+", node)]
        span = next((self.facts.spans[part] for part in parts if part in self.facts.spans), None)
        return f"line {span} of its .dyn file (node {node!r})" if span else f"node {node!r}"
