"""Accuracy, weights, and what another number of steps does to a neural ODE and to a residual network after training.

Each is compiled again for every number of steps, with the weights it has, and asked for the held-out images.
"""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import isocline
from isocline_compiler.driver import dataset_of

EXAMPLES = Path(__file__).parents[1]
DATA = EXAMPLES / "digits" / "digits.npz"
STEPS = (1, 2, 4, 8)


@dataclass(frozen=True)
class Trained:
    """A model as it was trained: its file, and the scheme it is stepped with."""

    title: str
    name: str
    scheme: str

    @property
    def file(self) -> Path:
        return EXAMPLES / self.name / f"{self.name}.dyn"

    @property
    def weights(self) -> Path:
        return Path("runs") / self.name / "weights.safetensors"

    def count(self) -> int:
        """How many numbers were trained."""
        return sum(int(np.prod(w.shape)) for w in isocline.check(self.file).weights if w.role == "trained")

    def accuracy(self, steps: int) -> float:
        """The share of the held-out images that is classified right with this number of steps."""
        images, labels = held_out(self.file)
        with tempfile.TemporaryDirectory() as folder:
            unchecked = Path(folder) / self.file.name
            unchecked.write_text(re.sub(r"check [^\n}]*", "", self.file.read_text()))
            solver = f"{self.scheme}(steps={steps})"
            isocline.compile(unchecked, weights=self.weights, data=DATA, out=Path(folder) / "artifact", solver=solver)
            logits = isocline.load(Path(folder) / "artifact").run(image=images)["logits"]
        return float(np.mean(logits.argmax(axis=1) == labels))


MODELS = (Trained("neural ODE", "digits", "rk4"), Trained("residual network", "resnet", "euler"))


def held_out(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """The images and labels that no weight was fitted to."""
    dataset = dataset_of(isocline.check(file), file.parent, DATA)
    assert dataset is not None
    arrays = dataset.held_out.arrays
    return np.asarray(arrays["image"], np.float32), arrays["label"]


def main() -> None:
    print(f"{'':18}{'weights':>8}  " + "".join(f"{steps:>8}" for steps in STEPS) + "  steps")
    for model in MODELS:
        if not model.weights.is_file():
            raise SystemExit(f"{model.weights} is missing: isocline build {model.file} --run {model.weights.parent}")
        accuracies = "".join(f"{100 * model.accuracy(steps):7.1f}%" for steps in STEPS)
        print(f"{model.title:18}{model.count():8}  {accuracies}  of {model.scheme}")


if __name__ == "__main__":
    main()
