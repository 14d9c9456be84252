"""How good the density of the flows is: held-out likelihood, mass, the way back, and pictures of points.

    python -m examples.flow.compare

Of the moons the likelihood stands beside that of the density they were drawn from, which no model can exceed but by
chance; of both beside that of a normal density with the mean and the full covariance of the training points. Means are
over held-out points, with their standard errors.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np

import isocline
from examples.flow.draws import log_density
from examples.flow.pictures import density_and_points, faces, write
from isocline_compiler.driver import dataset_of
from isocline_compiler.lower.check import check
from isocline_runtime import Session, load

FOLDER = Path(__file__).parent
OUT = Path("build/flow")
SPACING = 0.02
LOW, HIGH = np.array([-2.5, -2.0]), np.array([3.5, 2.5])
KINDS = ("moons", "taynode", "ot_flow", "matching")
"""Flows of the moons, trained in as many ways."""


def parts(name: str) -> dict[str, dict[str, np.ndarray]]:
    """The arrays of a file's inputs, to train on ("train") and held out ("held_out")."""
    file = FOLDER / f"{name}.dyn"
    dataset = dataset_of(check(file), FOLDER, None)
    assert dataset is not None
    return {"train": dict(dataset.train.arrays), "held_out": dict(dataset.held_out.arrays)}


def normal_log_density(train: np.ndarray, x: np.ndarray) -> np.ndarray:
    """log N(x; m, C), m and C the mean and the full covariance of the training points."""
    covariance = np.cov(train.T)
    apart = x - train.mean(axis=0)
    squares = np.sum(apart * np.linalg.solve(covariance, apart.T).T, axis=1)
    return np.asarray(-(squares + np.linalg.slogdet(2 * np.pi * covariance)[1]) / 2)


def told(scores: np.ndarray) -> str:
    return f"{scores.mean():.3f} ± {scores.std(ddof=1) / np.sqrt(len(scores)):.3f}"


def grid() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coordinates along both axes, and the points (n, 2) of the plane."""
    x, y = (np.arange(a, b, SPACING) for a, b in zip(LOW, HIGH, strict=True))
    across, up = np.meshgrid(x, y)
    return x, y, np.stack([across.ravel(), up.ravel()], axis=1)


def moons(session: Session) -> None:
    found = parts("moons")
    point, z = (np.asarray(found["held_out"][name]) for name in ("point", "z"))
    answers = session.run(point=point, z=z)
    truth, bar = log_density(point), normal_log_density(np.asarray(found["train"]["point"]), point)
    print(f"| log density of {len(point)} held-out points | nats | less than the truth by |\n| --- | --- | --- |")
    print(f"| the density they were drawn from | {told(truth)} | |")
    for name, scores in (("flow", answers["log_p"]), ("a normal density", bar)):
        print(f"| {name} | {told(scores)} | {told(truth - scores)} |")
    x, y, plane = grid()
    density = np.exp(session.run(point=plane, z=np.zeros_like(plane))["log_p"])
    print(f"\nmass of the density on a grid: {density.sum() * SPACING**2:.5f}")
    back = session.run(point=point, z=answers["base"])["sample"]
    print(f"largest distance of a point from where it was, there and back: {np.abs(back - point).max():.1e}")
    made = log_density(answers["sample"])
    print(f"true log density of {len(made)} samples: {told(made)}; below the least of the points: "
          f"{100 * np.mean(made < truth.min()):.1f} %")  # fmt: skip
    write(OUT / "moons.svg", density_and_points(x, y, density.reshape(len(y), len(x)), point, answers["sample"]))


def kinds() -> None:
    """The flows of the moons beside each other: their likelihood, and what each direction takes when deployed."""
    found = parts("moons")
    point, z = (np.asarray(found["held_out"][name]) for name in ("point", "z"))
    truth = log_density(point)
    print("\n| | nats | less than the truth by | evaluations, log_p and sample | error of log_p |")
    print("| --- | --- | --- | --- | --- |")
    for name in KINDS:
        folder = Path("build") / name
        scores = load(folder).run(point=point, z=z)["log_p"]
        certificate = json.loads((folder / "certificate.json").read_text())
        taken = {solve["name"]: f"{solve['evaluations']} ({solve['scheme']})" for solve in certificate["solves"]}
        error = certificate["discretisation"]["log_p"]["maximum"]
        print(
            f"| {name} | {told(scores)} | {told(truth - scores)} | {taken['base']}, {taken['sample']} | {error:.1e} |"
        )


def bits(log_density: np.ndarray) -> np.ndarray:
    """Bits a dimension of images: of a gray value, since the density is in units of gray values."""
    return -log_density / (64 * np.log(2))


def finer(steps: int) -> Session:
    """The flow of images by so many steps, with the weights as they are."""
    text = (FOLDER / "pixels.dyn").read_text()
    text = text.replace("steps=3", f"steps={steps}").replace('"pixels.npz"', f'"{FOLDER.resolve()}/pixels.npz"')
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pixels.dyn"
        file.write_text(text)
        compiled = isocline.compile(file, weights="runs/pixels/weights.safetensors", out=Path(folder) / "artifact")
        return load(compiled.folder)


def pixels(session: Session) -> None:
    found = parts("pixels")
    image, z = (np.asarray(found["held_out"][name], np.float64) for name in ("image", "z"))
    train = np.asarray(found["train"]["image"], np.float64)
    answers = session.run(image=image, z=z)
    flow, bar = bits(answers["log_p"]), bits(normal_log_density(train, image))
    seen = train[: len(image)]
    again = bits(session.run(image=seen, z=np.zeros_like(seen))["log_p"])
    print(f"\n| bits a dimension of {len(image)} held-out images | | more than the flow by |\n| --- | --- | --- |")
    print(f"| flow | {told(flow)} | |\n| a normal density | {told(bar)} | {told(bar - flow)} |")
    print(f"| all gray values alike | {np.log2(17):.3f} | {told(np.log2(17) - flow)} |")
    print(f"\nbits a dimension of images that were trained on: {told(again)}")
    for steps, model in ((3, session), (12, finer(12))):
        there = model.run(image=image, z=z)
        back = model.run(image=image, z=there["base"])["sample"]
        print(f"{steps} steps: {told(bits(there['log_p']))} bits a dimension, and there and back no gray value is off "
              f"by more than {np.abs(back - image).max():.1e}")  # fmt: skip
    write(OUT / "pixels.svg", faces({"held out": image[:12], "samples": answers["sample"][:12]}))


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    moons(load("build/moons"))
    kinds()
    pixels(load("build/pixels"))


if __name__ == "__main__":
    main()
