"""How well scores tell digits from what is none: areas under the curve (AUROC), with DeLong's intervals, and a picture.

    python -m examples.sde_net.compare build/sde_net

The 2000 test digits of `sde_net.npz` as they are, as many clothes, and the digits gone wrong in eight ways. The
artifact is run by onnxruntime with seed 1; beside it stand networks without noise, trained by `plain.py`. The cost is
counted in evaluations of the drift for one image, what nearly all arithmetic goes into.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

import numpy as np
from scipy.stats import rankdata

from examples.sde_net.corruptions import CORRUPTIONS, corrupted
from examples.sde_net.plain import STEPS, Plain, probabilities, trained
from isocline_runtime import Session, load

Scores: TypeAlias = Mapping[str, np.ndarray]

SEED, MEMBERS = 1, 10
COSTS = {
    "diffusion g": 0,
    "SDE-Net, spread": 10 * STEPS,
    "SDE-Net, confidence": 10 * STEPS,
    "plain net": STEPS,
    "dropout, ten passes": MEMBERS * STEPS,
    "ten plain nets": MEMBERS * STEPS,
}
"""Evaluations of the drift for one image; g is evaluated once, without the drift."""

PICTURED = ("diffusion g", "SDE-Net, confidence", "plain net")

PICTURED = ("diffusion g", "SDE-Net, confidence", "plain net")


def auroc(inside: np.ndarray, outside: np.ndarray) -> tuple[float, float]:
    """The share of pairs in which `outside` has the higher score, ties half; and its standard error.

    DeLong, DeLong, Clarke-Pearson (1988): var = var(p)/m + var(q)/n, where p and q are for each of the m and n scores
    the share of the other sample on its right side; from ranks, as Sun and Xu (2014).
    """
    m, n = len(inside), len(outside)
    together = rankdata(np.concatenate([inside, outside]))
    below = 1 - (together[:m] - rankdata(inside)) / n
    above = (together[m:] - rankdata(outside)) / m
    return float(above.mean()), float(np.sqrt(np.var(below, ddof=1) / m + np.var(above, ddof=1) / n))


class Contenders:
    """The artifact and the networks it is compared with: scores that are high for what is no digit."""

    def __init__(self, session: Session, images: np.ndarray, labels: np.ndarray, folder: Path) -> None:
        self.session = session
        self.plain = [trained(images, labels, seed, folder) for seed in range(MEMBERS)]
        self.dropout: list[Plain] = [trained(images, labels, 0, folder, dropout=0.1)] * MEMBERS

    def scores(self, images: np.ndarray) -> tuple[Scores, Scores]:
        """Scores, and the probabilities of those that have any."""
        answers: dict[str, list[np.ndarray]] = {"probability": [], "diffusion": [], "spread": []}
        for rows in np.array_split(np.arange(len(images)), -(-len(images) // 250)):
            found = self.session.run(image=images[rows], seed=SEED, rows=rows)
            for name, values in answers.items():
                values.append(found[name])
        ours = {name: np.concatenate(values) for name, values in answers.items()}
        classes = {
            "SDE-Net, confidence": ours["probability"],
            "plain net": probabilities(self.plain[:1], images),
            "dropout, ten passes": probabilities(self.dropout, images),
            "ten plain nets": probabilities(self.plain, images),
        }
        unsure = {name: 1 - p.max(axis=1) for name, p in classes.items()}
        return {"diffusion g": ours["diffusion"], "SDE-Net, spread": ours["spread"], **unsure}, classes


def outsiders(digits: np.ndarray, fashion: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """What is no digit of MNIST, by name."""
    yield "Fashion-MNIST", fashion
    for name in CORRUPTIONS:
        yield name, corrupted(digits, name, SEED)


def row(title: str, cells: list[str]) -> str:
    return f"| {title} | " + " | ".join(cells) + " |"


def draw(inside: Scores, outside: Mapping[str, Scores], file: Path) -> None:
    """Histograms of three scores, of digits and of what is none, over their logarithm."""
    from isocline_compiler.report.ink import PAPER, SERIES, inked, sheet, to_svg

    shown = {"digits": inside, **{name: outside[name] for name in ("Fashion-MNIST", "stripe", "rotate")}}
    with inked():
        picture = sheet(3.2)
        for plot, score in zip(picture.subplots(1, 3), PICTURED, strict=True):
            for colour, (name, scores) in zip(SERIES, shown.items(), strict=False):
                logarithm = np.log10(np.maximum(scores[score], 1e-6))
                plot.hist(logarithm, np.linspace(-6, 0, 49), histtype="step", color=colour, label=name)
            plot.set(xlabel="log10 of the score", title=score, yscale="log")
        picture.axes[0].set(ylabel="images")
        picture.axes[0].legend(fontsize=7)
    file.write_text(to_svg(picture, PAPER), encoding="utf-8")


def main(artifact: Path) -> None:
    data = np.load(Path(__file__).parent / "sde_net.npz")
    train = data["part"] == "train"
    digits, labels = data["image"][~train].astype(np.float32), data["label"][~train]
    folder = artifact.parent / f"{artifact.name}_plain"
    contenders = Contenders(load(artifact), data["image"][train], data["label"][train], folder)
    inside, classes = contenders.scores(digits)
    right = {name: f"{100 * np.mean(p.argmax(axis=1) == labels):.1f} %" for name, p in classes.items()}
    print(row(f"{len(digits)} images", list(COSTS)) + "\n" + row("---", ["---"] * len(COSTS)))
    print(row("evaluations of the drift", [str(cost) for cost in COSTS.values()]))
    print(row("digits right", [right.get(name, "") for name in COSTS]))
    outside = {}
    for name, images in outsiders(digits, data["fashion"].astype(np.float32)):
        outside[name], _ = contenders.scores(images)
        found = {score: auroc(inside[score], outside[name][score]) for score in COSTS}
        print(row(name, [f"{area:.3f} ± {1.96 * error:.3f}" for area, error in found.values()]), flush=True)
    picture = artifact.parent / "sde_net_scores.svg"
    draw(inside, outside, picture)
    print(f"picture  {picture}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "build/sde_net"))
