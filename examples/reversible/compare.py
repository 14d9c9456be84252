"""Accuracy and weights beside those of a residual network, and how exactly float32 undoes the layers.

    python -m examples.reversible.compare

Everything is measured on the held-out fifth of the digits by the deployed graphs in onnxruntime: the error is that of
the features which come back, the largest of all entries and images, and as a part of the largest feature.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

import isocline
from examples.resnet.compare import held_out

EXAMPLES = Path(__file__).parents[1]
FILES = {
    "residual network": EXAMPLES / "resnet" / "resnet.dyn",
    "RevNet": EXAMPLES / "reversible" / "revnet.dyn",
    "Momentum ResNet": EXAMPLES / "reversible" / "momentum.dyn",
}


def row(title: str, file: Path) -> str:
    """One line of the table."""
    images, labels = held_out(file)
    answers = isocline.load(f"build/{file.stem}").run(image=images)
    right = answers["logits"].argmax(axis=1) == labels
    accuracy = right.mean()
    error = np.sqrt(accuracy * (1 - accuracy) / len(right))
    count = sum(int(np.prod(w.shape)) for w in isocline.check(file).weights if w.role == "trained")
    cells = [title, str(count), f"{100 * accuracy:.1f} ± {100 * error:.1f} %", "", ""]
    if "restored" in answers:
        apart = float(np.abs(answers["restored"] - answers["before"]).max())
        cells[3:] = [f"{apart:.1e}", f"{apart / np.abs(answers['before']).max():.1e}"]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    print("| four steps | weights | accuracy | largest error of a feature | relative |")
    print("| --- | --- | --- | --- | --- |")
    for title, file in FILES.items():
        print(row(title, file))


if __name__ == "__main__":
    main()
