"""What is told of a family: from its certificate, and from every engine that is on this machine."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist

import isocline
from benchmarks.conformance import Case, measured, reference_of, sample_inputs
from benchmarks.engines import Engine
from examples.zoo.families import Family
from isocline.comparison.one import measure_of
from isocline_compiler.driver import dataset_of
from isocline_compiler.model import Model
from isocline_runtime.artifact import read_artifact
from isocline_runtime.manifest import MODEL_FILE

Row = dict[str, Any]
Array = np.ndarray[Any, Any]
SAMPLED = {"sample": "point", "sample_2m": "point", "day": "profile"}
"""Outputs that are to be distributed like an input or a target."""


def described(family: Family) -> Row:
    """The row before anything is built: what its header says."""
    return {
        "name": family.name,
        "family": family.family,
        "equation": list(family.equations),
        "reference": family.reference,
        "good_for": family.good_for,
        "questions": list(family.questions),
        "file": family.file,
    }


def measurements(model: Model, file: Path, folder: Path, tools: Sequence[Engine]) -> Row:
    """The numbers of an artifact."""
    found = json.loads((folder / "certificate.json").read_text(encoding="utf-8"))
    return {
        "scheme": [_scheme(solve) for solve in found["solves"]],
        "evaluations": sum(solve["evaluations"] for solve in found["solves"]),
        "parameters": sum(math.prod(weight.shape) for weight in model.weights if weight.role == "trained"),
        "score": [_score(check) for check in found["checks"]] + distances(model, file, folder),
        "parity": max((item["maximum"] for item in found["parity"].values()), default=None),
        "error": _error(found),
        "stability": _stability(found),
        "nodes": found["graph"]["nodes"],
        "bytes": found["graph"]["bytes"],
        "latency_us": found["latency"]["p50_us"],
        "engines": run_on(file, folder, tools),
        "versions": found["versions"],
    }


def _score(check: Mapping[str, Any]) -> Row:
    return {"text": measure_of(check["text"]), "value": check["left"]}


def distances(model: Model, file: Path, folder: Path) -> list[Row]:
    """Of new samples the energy distance to the held-out data, and that of the training data beside it.

    A check speaks of one sample after another; whether many of them are like the data is measured here.
    """
    dataset = dataset_of(model, file.parent)
    ports = {port.name for port in (*model.inputs, *model.targets)}
    pairs = [(port.name, SAMPLED[port.name]) for port in model.outputs if SAMPLED.get(port.name) in ports]
    if dataset is None or not pairs:
        return []
    session = isocline.load(folder)
    held, trained = dataset.held_out, dataset.train
    given = {port.name: held.arrays[port.name].astype(port.dtype) for port in session.inputs}
    made = (
        session.run(**given, seed=0, rows=None if given else range(held.count))
        if session.noises
        else session.run(**given)
    )
    return [
        {"text": f"energy distance of {name} to held-out data", "value": energy_distance(made[name], held.arrays[data]),
         "beside": energy_distance(trained.arrays[data], held.arrays[data])}
        for name, data in pairs
    ]  # fmt: skip


def energy_distance(x: Array, y: Array) -> float:
    """2 E|X - Y| - E|X - X'| - E|Y - Y'|, without the pairs of a point with itself (Szekely, Rizzo 2013)."""
    between = cdist(x, y).mean()
    within = [cdist(z, z).sum() / (len(z) * (len(z) - 1)) for z in (x, y)]
    return float(2 * between - sum(within))


def _scheme(solve: Mapping[str, Any]) -> str:
    return f"{solve['name']}: {solve['scheme']}, {solve['steps']} steps"


def _error(found: Mapping[str, Any]) -> Row:
    """How far the steps are from the equation, or why there is no such number."""
    if found["stochastic"]:
        strong = [item["strong"] for item in found["stochastic"]["errors"].values()]
        return {"strong": max(strong)} if strong else {"none": "driven by noise; see the report"}
    if found["discretisation"]:
        return {"largest": max(item["maximum"] for item in found["discretisation"].values())}
    if found["solves"]:
        return {"none": "the scheme is the model"}
    return {"none": "nothing is solved"}


def _stability(found: Mapping[str, Any]) -> Row:
    """The largest growth of a step: of any eigenvalue, and of one that the equation makes decay. Proofs beside it.

    Of a scheme that takes a part implicitly the certificate tells none.
    """
    largest, decaying = ([item[key] for item in found["stability"]] for key in ("largest", "decaying"))
    return {
        "largest": max(largest, default=None),
        "decaying": max(decaying, default=None),
        "proved": [f"{item['text']}: {item['bound']:.4g}" for item in found["proofs"]],
    }


def run_on(file: Path, folder: Path, tools: Sequence[Engine]) -> Row:
    """By engine the largest error against the file in double precision, or in words why there is none."""
    manifest = read_artifact(folder).manifest
    assert manifest is not None
    case = Case(folder.name, folder / MODEL_FILE, sample_inputs(file, manifest), {})
    reference = reference_of(case)
    results = {tool.name: measured(tool, case, reference) for tool in tools if tool.version is not None}
    return {name: item.reason if item.error is None else item.error for name, item in results.items()}
