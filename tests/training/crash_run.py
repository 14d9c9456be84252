"""Trains a small model in a process of its own, to be killed: `python crash_run.py FOLDER fresh|resume EPOCHS`."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from isocline_compiler.graph.called import Called
from isocline_compiler.training.fit import train
from isocline_compiler.training.progress import Lines
from tests.training.models import decay, decay_data


def main(folder: str, how: str, epochs: str) -> None:
    torch.set_num_threads(1)
    tiny = decay(
        epochs=int(epochs), batch=8, validation=0.25, schedule=Called("plateau", {"factor": 0.7, "patience": 2}),
        solver=Called("dopri5", {"rtol": 1e-3, "atol": 1e-4}), steer=0.2,
    )  # fmt: skip
    progress = Lines(sys.stdout, every=0)
    train(tiny, decay_data(), Path(folder), device="cpu", resume=how == "resume", progress=progress, checkpoint_every=0)


if __name__ == "__main__":
    main(*sys.argv[1:])
