"""Write what the zoo trains on, besides the archives of other examples: small real data that ship in packages.

* cells.npz: radius, texture, smoothness and compactness of the cells of 569 tumours (Wisconsin, scikit-learn).
* sequences.npz: seven frames of each of 640 utterances, picked at random and in order, and when they were spoken
  (JapaneseVowels, sktime): irregular times, and who speaks is asked for.
* profiles.npz: 1096 days of the demand for electricity in Italy, hour by hour (ItalyPowerDemand, sktime).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from examples.cde.fetch import MEMBER as VOWELS
from examples.cde.fetch import PARTS, SHA256, WHEEL, utterances
from examples.fetching import file_of_package, member_of_wheel, require_sha256, write_whole

CANCER = "fed3eb72d0575ef6192293f5093c6e801b1476b577d0386bf4455504522172ed"
FEATURES = ("mean radius", "mean texture", "mean smoothness", "mean compactness")
COLUMNS = (0, 1, 4, 5)
DEMAND = "sktime/datasets/data/ItalyPowerDemand/ItalyPowerDemand_{}.ts"
FRAMES = 7
TEST = 0.2

Array = np.ndarray


def cells() -> dict[str, Array]:
    """`point` (569, 4), in deviations from the mean of all; `z`, standard normal numbers of the same shape."""
    content = file_of_package("sklearn", "datasets/data/breast_cancer.csv").read_bytes()
    require_sha256("breast_cancer.csv", content, CANCER)
    rows = list(csv.reader(io.StringIO(content.decode("ascii"))))[1:]
    table = np.array([[float(row[i]) for i in COLUMNS] for row in rows])
    point = (table - table.mean(axis=0)) / table.std(axis=0)
    generator = np.random.default_rng(0)
    part = np.where(generator.permutation(len(point)) < TEST * len(point), "test", "train")
    return {"point": point, "z": generator.standard_normal(point.shape), "part": part}


def sequences() -> dict[str, Array]:
    """`ts` (640, 7), `xs` (640, 7, 12), `speaker` and the `part` that the source states."""
    generator = np.random.default_rng(0)
    found: dict[str, list[Array]] = {"ts": [], "xs": [], "speaker": [], "part": []}
    for part in PARTS:
        series, speaker = utterances(member_of_wheel(WHEEL, SHA256, VOWELS.format(part.upper())))
        for frames in series:
            kept = np.sort(generator.choice(len(frames), FRAMES, replace=False))
            found["ts"].append(kept / 10)
            found["xs"].append(frames[kept])
        found["speaker"].append(speaker)
        found["part"].append(np.repeat(part, len(series)))
    stacked = {name: np.stack(found[name]) for name in ("ts", "xs")}
    return {**stacked, **{name: np.concatenate(found[name]) for name in ("speaker", "part")}}


def profiles() -> dict[str, Array]:
    """`profile` (1096, 24), in the units of the source (deviations of each day), and its `part`."""
    found, part = [], []
    for name in ("TRAIN", "TEST"):
        text = member_of_wheel(WHEEL, SHA256, DEMAND.format(name)).decode("ascii").lower().partition("@data")[2]
        days = [line.rpartition(":")[0] for line in text.split()]
        found += [np.array([float(x) for x in day.split(",")]) for day in days]
        part += [name.lower()] * len(days)
    # The source keeps 67 days to train on, for another task than ours: of all of them a fifth is the test.
    order = np.random.default_rng(0).permutation(len(found))
    profile = np.stack(found)[order]
    return {"profile": profile, "part": np.where(np.arange(len(profile)) < TEST * len(profile), "test", "train")}


def write_archives(folder: Path, named: Mapping[str, Mapping[str, np.ndarray]]) -> list[Path]:
    """An archive for each name, whole or not at all."""
    paths = []
    for name, arrays in named.items():
        sink = io.BytesIO()
        np.savez_compressed(sink, allow_pickle=False, **arrays)
        write_whole(folder / f"{name}.npz", sink.getvalue())
        paths.append(folder / f"{name}.npz")
    return paths


if __name__ == "__main__":
    for written in write_archives(
        Path(__file__).parent, {"cells": cells(), "sequences": sequences(), "profiles": profiles()}
    ):
        print(written)
