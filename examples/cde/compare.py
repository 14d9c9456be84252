"""Accuracy with 30, 50 and 70 of 100 numbers missing, beside a gated recurrent unit of as many weights.

    python -m examples.cde.compare

Both are trained on the same utterances with the same numbers missing, as many epochs, by the same optimizer, from three
seeds each; the equation is the one of vowels.dyn by the steps that it is trained with, deployed in onnxruntime.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor, nn

import isocline
from examples.cde.fetch import DROPPED

FOLDER = Path(__file__).parent
SEEDS = (0, 1, 2)
HIDDEN, EPOCHS, BATCH, RATE, DECAY, CLIP = 38, 30, 32, 5e-3, 0.01, 1.0
"""Of the block `train` of vowels.dyn; so many hidden numbers make as many weights."""

Array = np.ndarray


class Gru(nn.Module):
    """A gated recurrent unit on the last values, which of them are new, and how old they are; its state at the end of
    an utterance says who speaks.
    """

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(36, HIDDEN, batch_first=True)
        self.head = nn.Linear(HIDDEN, 9)

    def forward(self, rows: Tensor, end: Tensor) -> Tensor:
        found = self.gru(rows)[0]
        logits: Tensor = self.head(found[torch.arange(len(found)), end])
        return logits


def rows_of(data: dict[str, Array]) -> tuple[Tensor, Tensor]:
    """(n, 29, 36): what was last observed of each number, whether now, and how many frames ago; where each ends."""
    seen = data["seen"] > 0.5
    frames = np.arange(seen.shape[1])[:, None]
    last = np.maximum.accumulate(np.where(seen, frames, -1), axis=1)
    held = np.take_along_axis(data["xs"], np.maximum(last, 0), axis=1) * (last >= 0)
    rows = np.concatenate([held, seen, (frames - last) / len(frames)], axis=2)
    return torch.tensor(rows, dtype=torch.float32), torch.tensor(data["clock"][:, :, 0].argmax(axis=1))


def recurrent(data: dict[str, Array], test: Array, seed: int) -> tuple[float, int]:
    """Accuracy on the held-out utterances, and the number of weights."""
    torch.manual_seed(seed)
    model, (rows, end) = Gru(), rows_of(data)
    speaker = torch.tensor(data["speaker"])
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    own = torch.tensor(np.flatnonzero(~test))
    for _ in range(EPOCHS):
        for batch in own[torch.randperm(len(own))].split(BATCH):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(rows[batch], end[batch]), speaker[batch]).backward()
            nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            optimizer.step()
        schedule.step()
    with torch.no_grad():
        right = model(rows[test], end[test]).argmax(dim=1) == speaker[test]
    return float(right.float().mean()), sum(weight.numel() for weight in model.parameters())


def controlled(data: dict[str, Array], test: Array, dropped: int, seed: int) -> tuple[float, int]:
    """The same of the equation."""
    text = (FOLDER / "vowels.dyn").read_text(encoding="utf-8")
    changes = {
        "vowels_50.npz": str(FOLDER / f"vowels_{dropped}.npz"),
        "over 0..28": "over 0..28 with rk4(steps=28)",
        "  solver rk4(steps=28)\n": f"  seed {seed}\n",
        "  solver auto(error=1e-2, of=logits)\n  check accuracy(logits, speaker) > 0.8\n": "",
    }
    for old, new in changes.items():
        assert text.count(old) == 1, f"vowels.dyn says {old!r} {text.count(old)} times"
        text = text.replace(old, new)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "vowels.dyn"
        file.write_text(text, encoding="utf-8")
        isocline.build(file, out=Path(folder) / "out", run=Path(folder) / "run")
        given = {name: data[name][test].astype(np.float32) for name in ("xs", "seen", "clock")}
        found = isocline.load(Path(folder) / "out").run(given)["logits"].argmax(axis=1)
        count = sum(int(np.prod(w.shape)) for w in isocline.check(file).weights if w.role == "trained")
    return float((found == data["speaker"][test]).mean()), count


def cell(found: list[float]) -> str:
    """The mean over seeds, and their least and largest."""
    return f"{100 * np.mean(found):.1f} % ({100 * min(found):.1f} to {100 * max(found):.1f})"


def main() -> None:
    print("| missing | controlled equation | weights | GRU | weights |\n| --- | --- | --- | --- | --- |")
    for dropped in DROPPED:
        with np.load(FOLDER / f"vowels_{dropped}.npz") as file:
            data = {name: file[name] for name in file.files}
        test = data["part"] == "test"
        ours = [controlled(data, test, dropped, seed) for seed in SEEDS]
        theirs = [recurrent(data, test, seed) for seed in SEEDS]
        pairs = [(cell([accuracy for accuracy, _ in found]), str(found[0][1])) for found in (ours, theirs)]
        print(f"| {dropped} % | {' | '.join(item for pair in pairs for item in pair)} |", flush=True)


if __name__ == "__main__":
    main()
