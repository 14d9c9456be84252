"""The compiler's front door: what the commands call, each step of the pipeline in its order.

parse ▶ lower ▶ (train) ▶ compile ▶ artifact
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from isocline_compiler.artifact.folder import require_ours
from isocline_compiler.artifact.shipped import require_compilers
from isocline_compiler.data import Dataset, load_data
from isocline_compiler.graph import Array
from isocline_compiler.graph.called import Called
from isocline_compiler.lower.called import scheme_of_text
from isocline_compiler.lower.check import check, parsed
from isocline_compiler.model import Model
from isocline_compiler.pipeline import Compiled, Trained, compile_model
from isocline_compiler.show import shown
from isocline_compiler.training.doubts import loss_doubts
from isocline_compiler.training.fit import TrainingResult
from isocline_compiler.training.fit import train as fit
from isocline_compiler.training.fitted import fitted_parameters
from isocline_compiler.training.initial import initial_weights
from isocline_compiler.training.interrupt import Interrupted
from isocline_compiler.training.metrics import read_history
from isocline_compiler.training.progress import Progress, Quiet
from isocline_dsl import messages
from isocline_dsl.diagnostics import IsoclineError, Source
from isocline_runtime.seal import read_private_key

Location = str | Path
File: TypeAlias = "str | Path | Model"
"""A `.dyn` file, or what `model` made of a text."""
Data: TypeAlias = Any
"""A file of data in place of the model's own, a mapping from names to columns or arrays, or a data frame."""


def train(
    path: File,
    run: Location | None = None,
    *,
    data: Data = None,
    resume: bool = False,
    device: str | None = None,
    epochs: int | None = None,
    progress: Progress | None = None,
) -> TrainingResult:
    """Fit a model to its data; `run` (runs/NAME) gets metrics, checkpoints and `weights.safetensors`.

    `data` takes the place of the file's `source`: a file, a mapping from names to columns or arrays, or a data frame.
    Raises IsoclineError; Interrupted, a KeyboardInterrupt, after the checkpoint is written.
    """
    model = check(path)
    folder = run_of(model, run)
    dataset = dataset_of(model, folder_of(model), data)
    if dataset is None:
        raise IsoclineError([messages.missing_data(model.training.span if model.training else None)], model.source)
    with pointing_into(model.source), _resumable(folder):
        return fit(model, dataset, folder, resume=resume, device=device, progress=progress, epochs=epochs)


def compile(  # noqa: A001 - the command's name
    path: File,
    out: Location | None = None,
    *,
    weights: Location | None = None,
    data: Data = None,
    solver: str | None = None,
    sign: Location | None = None,
    progress: Progress | None = None,
) -> Compiled:
    """The artifact of a model, in `out` (build/NAME), with what was proved of it.

    `weights` is what `train` wrote; a model without trained weights needs none. `solver` such as "euler(steps=16)"
    takes the place of every scheme in the file. `sign` is the PEM file of an ed25519 key that signs the artifact.
    Raises IsoclineError; then nothing is written.
    """
    model = check(path)
    require_compilers(model)
    folder = artifact_folder(model, out)
    key = None if sign is None else read_private_key(sign)
    dataset = dataset_of(model, folder_of(model), data)
    if dataset is not None and weights is not None:
        dataset = replace(dataset, notes=(*dataset.notes, *_doubts_beside(Path(weights))))
    values = stored_weights(model, Path(weights)) if weights is not None else untrained_weights(model)
    metrics = Path(weights).parent / "metrics.csv" if weights is not None else None
    override = None if solver is None else scheme_of_text(solver)
    return _compiled(model, dataset, values, metrics, folder, override, progress, key)


def build(
    path: File,
    out: Location | None = None,
    *,
    data: Data = None,
    run: Location | None = None,
    resume: bool = False,
    device: str | None = None,
    epochs: int | None = None,
    sign: Location | None = None,
    progress: Progress | None = None,
) -> Compiled:
    """Train when the file says how, then compile: the main job; `sign` as for `compile`. Raises IsoclineError."""
    model = check(path)
    if model.training is None:
        return compile(model, out, data=data, sign=sign, progress=progress)
    require_compilers(model)
    folder = artifact_folder(model, out)
    key = None if sign is None else read_private_key(sign)
    result = train(model, data=data, run=run, resume=resume, device=device, epochs=epochs, progress=progress)
    if not result.complete:
        raise Interrupted(result.folder)
    metrics = result.folder / "metrics.csv"
    dataset = replace(result.dataset, notes=(*result.dataset.notes, *result.doubts))
    with _resumable(result.folder):
        return _compiled(model, dataset, result.free_weights, metrics, folder, None, progress, key)


def _doubts_beside(weights: Path) -> list[str]:
    """What the metrics in the folder of the weights say against them."""
    metrics = weights.parent / "metrics.csv"
    return loss_doubts(read_history(metrics)) if metrics.exists() else []


def show(path: File, stage: str = "graph", *, svg: bool = False) -> str:
    """A stage of a model as text or as an svg drawing: tree, graph, unrolled, optimised or onnx."""
    if isinstance(path, Model):
        return shown((path.program, path.source), stage, svg)
    place = Path(path)
    return shown(place if _is_artifact(place) else parsed(place), stage, svg)


def _is_artifact(path: Path) -> bool:
    return path.is_dir() or path.suffix == ".onnx"


def _compiled(
    model: Model,
    dataset: Dataset | None,
    weights: Mapping[str, Array],
    metrics: Path | None,
    folder: Path,
    override: Called | None,
    progress: Progress | None,
    key: Any,
) -> Compiled:
    say = (progress or Quiet()).say
    fitted = fitted_parameters(model, dataset, weights)
    if dataset is not None:
        dataset = replace(dataset, notes=(*dataset.notes, *fitted.doubts))
    metrics = metrics if metrics is not None and metrics.exists() else None
    trained = Trained(weights, fitted.parameters, metrics, fitted.covariance)
    with pointing_into(model.source):
        return compile_model(model, trained, dataset, override, say, folder, key)


def run_of(model: Model, run: Location | None) -> Path:
    """Where a training leaves what it writes."""
    return Path(run) if run is not None else Path("runs") / model.name


@contextmanager
def _resumable(folder: Path) -> Iterator[None]:
    """Ctrl-C anywhere in it knows whether there is a checkpoint to go on from."""
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(folder) from None


def artifact_folder(model: Model, out: Location | None) -> Path:
    """Where the artifact goes. Raises E640 before any work is done when the folder holds files that are not ours."""
    folder = Path(out) if out is not None else Path("build") / model.name
    require_ours(folder)
    return folder


@contextmanager
def pointing_into(source: Source) -> Iterator[None]:
    """Mistakes that were found far from the text of the file still show its lines."""
    try:
        yield
    except IsoclineError as error:
        raise IsoclineError(error.diagnostics, error.source or source) from None


def folder_of(model: Model) -> Path:
    """Where relative paths in a file start: its folder, or the current one for a text."""
    return Path(model.source.name).parent


def dataset_of(model: Model, folder: Path, override: Data = None) -> Dataset | None:
    """The data of a model, or None when the file names none. Raises IsoclineError."""
    if model.data is None:
        return None
    given = Path(override) if isinstance(override, str | Path) else override
    return load_data(model.data, model.inputs, model.targets, folder, model.source, given)


def stored_weights(model: Model, path: Path) -> dict[str, Array]:
    """Weights from a safetensors file, float64. Raises E605 and E606 where one is missing or has another shape."""
    from safetensors.numpy import load_file

    try:
        stored = load_file(path)
    except (OSError, ValueError) as problem:
        raise IsoclineError([messages.weights_unreadable(None, str(path), str(problem))]) from None
    faults = [
        messages.missing_weights(weight.span, weight.name)
        if weight.name not in stored
        else messages.weights_shape(
            weight.span, weight.name, str(list(stored[weight.name].shape)), str(list(weight.shape))
        )
        for weight in model.weights
        if weight.name not in stored or stored[weight.name].shape != weight.shape
    ]
    if faults:
        raise IsoclineError(faults, model.source)
    return {weight.name: np.asarray(stored[weight.name], dtype=np.float64) for weight in model.weights}


def untrained_weights(model: Model) -> dict[str, Array]:
    """The first values of declared parameters. Raises E605 when a layer has weights: those must be trained."""
    parameters = {parameter.name for parameter in model.parameters}
    faults = [
        messages.missing_weights(weight.span, weight.name) for weight in model.weights if weight.name not in parameters
    ]
    if faults:
        raise IsoclineError(faults[:1], model.source)
    return initial_weights(model.weights, 0)


__all__ = ["Compiled", "Interrupted", "TrainingResult", "build", "check", "compile", "show", "train"]
