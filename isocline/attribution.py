"""Why a deployed model answered what it did: arrays, and a picture of them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isocline_runtime import Session, load, read_inputs, write_outputs
from isocline_runtime.artifact import write_atomic
from isocline_runtime.manifest import AttributionInfo, Port
from isocline_runtime.noises import Rows

if TYPE_CHECKING:
    from isocline_compiler.report.explanations import Explanations

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Attribution:
    """The explanations of some samples: `results` by name, as `info` describes them; `index` is what was asked for.

    `noise` is that of the model, by name, where it has some.
    """

    session: Session
    info: AttributionInfo
    inputs: Mapping[str, ArrayLike]
    results: dict[str, NDArray[Any]]
    index: int | None = None
    noise: Mapping[str, ArrayLike] | None = None

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the arrays: csv, parquet, json or npz by the name's ending. Raises InputError, ArtifactError.

        A table has a row for each sample. What has no samples, such as the times of a path, stands in every row.
        """
        rows = len(next(iter(self._samples(self.info.outputs, self.results).values())))
        ports = [port if port.batched else _repeated(port) for port in self.info.outputs]
        arrays = {
            port.name: self.results[port.name] if port.batched else _over(self.results[port.name], rows, self._single)
            for port in self.info.outputs
        }
        is_table = Path(path).suffix.lower() in (".csv", ".parquet")
        write_outputs(path, arrays if is_table else self.results, ports if is_table else self.info.outputs)

    def draw(self, path: str | os.PathLike[str]) -> list[str]:
        """Write an svg that fits the inputs; returns a sentence for each of its parts. Needs the extra `compiler`."""
        from isocline_compiler.report.explanations import panels, stacked
        from isocline_compiler.report.ink import PAPER, to_svg

        parts = list(panels(self._explanations()))
        write_atomic(path, to_svg(stacked(parts), PAPER).encode())
        return [f"{part.title}: {part.caption}" for part in parts]

    @property
    def _single(self) -> bool:
        """Whether one sample was given without a batch axis; its results have none either."""
        first = next(port for port in self.info.outputs if port.batched)
        return self.results[first.name].ndim < len(first.shape)

    def _samples(self, ports: Sequence[Port], arrays: Mapping[str, ArrayLike]) -> dict[str, NDArray[Any]]:
        """The arrays that have samples, with the axis that counts them."""
        found = {port.name: np.asarray(arrays[port.name]) for port in ports if port.batched}
        return {name: array[None] if self._single else array for name, array in found.items()}

    def _explanations(self) -> Explanations:
        from isocline_compiler.report.explanations import Explanations

        session = self.session
        asked = {item.output: np.asarray(-1 if self.index is None else self.index) for item in self.info.explained}
        outputs = session.run(self.inputs, noise=self.noise)
        return Explanations(
            self.info,
            self._samples(session.inputs, self.inputs),
            self._samples(session.outputs, outputs),
            {**self.results, **self._samples(self.info.outputs, self.results)},
            asked,
            {port.name: port.unit for port in (*session.inputs, *session.outputs)},
        )


def attribute(
    path: str | Path,
    inputs: Any,
    *,
    index: int | None = None,
    seed: int = 0,
    rows: Rows = None,
    noise: Mapping[str, ArrayLike] | None = None,
    providers: Sequence[str] = ("cpu",),
    threads: int = 1,
) -> Attribution:
    """Ask an artifact why it answers what it does to some inputs: arrays by name, a data frame, or a file.

    `index` is the entry of the output that is explained; by default the predicted class, or the sum of all entries.
    `seed` is that of the noise, where a method needs some; a model with noise takes `seed`, `rows` and `noise` as
    `Session.run` does. Raises RunError E782 when the file has no `attribute`.
    """
    session = load(path, providers, threads)
    given = read_inputs(inputs, session.inputs) if isinstance(inputs, str | Path) else session.named(inputs)
    given = session.complete(given, rows=rows, noise=noise)
    if session.noises:
        noise, rows = session.noise_of(given, seed=seed, rows=rows, noise=noise), None
    results = session.attribute(given, index=index, seed=seed, rows=rows, noise=noise)
    assert session.manifest is not None
    assert session.manifest.attribution is not None
    return Attribution(session, session.manifest.attribution, given, results, index, noise)


def _repeated(port: Port) -> Port:
    return Port(port.name, port.dtype, ("batch", *port.shape))


def _over(array: NDArray[Any], rows: int, single: bool) -> NDArray[Any]:
    return array if single else np.broadcast_to(array, (rows, *array.shape))
