"""A small model with every method of attribution and both seeded derivatives, its steps laid out and in a loop."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import isocline
from isocline_runtime.manifest import MODEL_FILE

FILE = Path(__file__).with_name("every_method.dyn")
FORMS = {"every_method": "all", "every_method_loop": "1"}
"""By name of the artifact, what its file says of `unroll`."""


def build(folder: Path, name: str) -> Path:
    """The file, written beside made-up data; trained and compiled into the folder unless that is done already."""
    source = folder / f"{name}_source"
    source.mkdir(parents=True, exist_ok=True)
    file = source / FILE.name
    file.write_text(FILE.read_text().replace("unroll all", f"unroll {FORMS[name]}"))
    np.savez(file.with_suffix(".npz"), **samples(200))
    if not (folder / name / MODEL_FILE).is_file():
        isocline.build(file, out=folder / name, run=source / "run")
    return file


def samples(count: int) -> dict[str, np.ndarray]:
    """Normal inputs, and a smooth function of them."""
    rng = np.random.default_rng(0)
    image, state = rng.normal(size=(count, 1, 6, 6)), rng.normal(size=(count, 3))
    upper, lower = image[:, 0, :3].mean((1, 2)), image[:, 0, 3:].mean((1, 2))
    first = 0.6 + np.tanh(3 * upper) + np.tanh(state[:, 0])
    second = 0.6 + np.tanh(state[:, 1]) + lower
    return {"images": image, "states": state, "seen": np.stack([first, second], axis=1)}
