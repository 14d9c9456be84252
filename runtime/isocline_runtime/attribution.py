"""Explanations of what a model answers: `attribute.onnx`, fed with the inputs, an index and noise from a seed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isocline_runtime import messages_input, messages_run
from isocline_runtime.artifact import Artifact, read_listed
from isocline_runtime.feeds import Feed, prepare_feed
from isocline_runtime.limits import Limits
from isocline_runtime.manifest import ATTRIBUTION_FILE, AttributionInfo, ExplainedOutput, Port
from isocline_runtime.model_facts import check_operations, inspect_model
from isocline_runtime.native.building import Library
from isocline_runtime.native.opening import open_native
from isocline_runtime.provider import open_session
from isocline_runtime.signature import check_signature, read_ports

Index: TypeAlias = "int | ArrayLike | Mapping[str, ArrayLike] | None"
DEFAULT_INDEX = -1
"""The predicted class of a classifier, the sum of all entries of any other output."""


class Attributor:
    """`attribute.onnx` of an artifact, ready to run; in C where the session is. Raises RunError E782 without one."""

    def __init__(
        self,
        artifact: Artifact,
        providers: tuple[str, ...],
        limits: Limits,
        native: bool = False,
        trusted: bool = False,
    ) -> None:
        info = artifact.manifest.attribution if artifact.manifest else None
        if artifact.manifest is None or info is None:
            raise messages_run.no_attribution(artifact.name)
        content = read_listed(artifact.path, ATTRIBUTION_FILE, artifact.manifest.files[ATTRIBUTION_FILE])
        file = str(artifact.path / ATTRIBUTION_FILE)
        check_operations(inspect_model(content, file, limits.node_limit), artifact.manifest, file, limits)
        self.info: AttributionInfo = info
        self._noises = frozenset(noise.name for noise in artifact.manifest.noises)
        self.backend: Any
        self.built: Library | None = None
        if native and any(item.model == ATTRIBUTION_FILE for item in artifact.manifest.native):
            opened = open_native(artifact, ATTRIBUTION_FILE, info.outputs, limits.threads, trusted)
            self.backend, self.built = opened.model, opened.built
            return
        self.backend = open_session(content, file, providers, limits.threads, limits.memory)
        check_signature(file, read_ports(self.backend.get_inputs(), file), info.inputs)
        check_signature(file, read_ports(self.backend.get_outputs(), file), info.outputs)

    @property
    def names(self) -> list[str]:
        """The results, in order."""
        return [port.name for port in self.info.outputs]

    def feed(self, inputs: Mapping[str, ArrayLike], index: Index, seed: int, run: Feed) -> Feed:
        """The arrays of a call; the model's own noise is that of its `run`.

        Raises InputError, E740 for an index that the output does not have.
        """
        extra = {*self.info.noise, *self._noises, *(item.index for item in self.info.explained)}
        own = tuple(port for port in self.info.inputs if port.name not in extra)
        feed = prepare_feed(own, inputs)
        driving = {port.name: run.arrays[port.name] for port in self.info.inputs if port.name in self._noises}
        rows = _rows(own, feed, driving)
        added = {item.index: _indices(item, _of(index, item.output), rows) for item in self.info.explained}
        ports = {port.name: port for port in self.info.inputs}
        generator = np.random.default_rng(seed)
        for name in self.info.noise:
            shape = (rows, *(int(size) for size in ports[name].shape[1:]))
            added[name] = generator.standard_normal(shape).astype(ports[name].dtype)
        return Feed({**feed.arrays, **driving, **added}, run.single)


def _rows(ports: tuple[Port, ...], feed: Feed, noises: Mapping[str, NDArray[Any]]) -> int:
    """The number of samples: a noise and attributed inputs have a leading axis, named or of a fixed size."""
    counted = [*noises.values(), *(feed.arrays[port.name] for port in ports if port.shape)]
    return len(counted[0]) if counted else 1


def _of(index: Index, output: str) -> ArrayLike | None:
    return index.get(output) if isinstance(index, Mapping) else index


def _indices(explained: ExplainedOutput, index: ArrayLike | None, rows: int) -> NDArray[np.int64]:
    """One entry for each sample; a single number is for all of them."""
    given = np.asarray(DEFAULT_INDEX if index is None else index)
    whole = given.astype(np.int64) if given.dtype.kind in "iu" else given
    fits = given.dtype.kind in "iu" and given.shape in ((), (1,), (rows,))
    if not fits or not bool(((whole >= -1) & (whole < explained.entries)).all()):
        raise messages_input.wrong_index(explained.output, str(given.tolist()), explained.entries, rows)
    return np.ascontiguousarray(np.broadcast_to(whole, (rows,)))
