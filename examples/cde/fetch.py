"""Write vowels_30.npz, vowels_50.npz, vowels_70.npz: spoken vowels, of which so many of a hundred numbers are missing.

The source is JapaneseVowels (Kudo, Toyama, Shimbo 1999; UCI), which sktime ships: nine men say two vowels, 7 to 29
frames of twelve cepstral coefficients an utterance; the speaker is asked for. Each number is dropped by itself, at
random, the same ones for every model; what is missing is 0 and `seen` is 0 there, as behind the end of an utterance,
where `clock` stands still. The utterances and their parts, 270 to train on and 370 to test, are those of the source.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from examples.fetching import member_of_wheel, write_whole

WHEEL = "sktime==1.2.0"
SHA256 = "dbffc6731d2d683b668dceb5e2bbc5804bebc8446b4c580803a281684d90e4ae"
MEMBER = "sktime/datasets/data/JapaneseVowels/JapaneseVowels_{}.ts"
PARTS = {"train": 270, "test": 370}
FRAMES, CHANNELS = 29, 12
DROPPED = (30, 50, 70)

Array = np.ndarray


def utterances(content: bytes) -> tuple[list[Array], Array]:
    """The frames of each, (frames, 12), and who speaks, 0 to 8."""
    lines = content.decode("ascii").partition("@data")[2].split()
    rows = [line.split(":") for line in lines]
    series = [np.array([[float(x) for x in channel.split(",")] for channel in row[:-1]]).T for row in rows]
    return series, np.array([int(row[-1]) - 1 for row in rows])


def padded(series: list[Array]) -> dict[str, Array]:
    """`xs` (n, 29, 12), 0 behind the end; `spoken` (n, 29), 1 up to it; `clock` (n, 29, 1), which rests there."""
    count = np.array([len(x) for x in series])
    xs = np.zeros((len(series), FRAMES, CHANNELS))
    for row, x in zip(xs, series, strict=True):
        row[: len(x)] = x
    frames = np.arange(FRAMES)
    clock = np.minimum(frames, count[:, None] - 1) / (FRAMES - 1)
    return {"xs": xs, "spoken": (frames < count[:, None]).astype(float), "clock": clock[:, :, None]}


def with_gaps(whole: dict[str, Array], dropped: int) -> dict[str, Array]:
    """With so many of a hundred numbers missing."""
    kept = np.random.default_rng(dropped).uniform(size=whole["xs"].shape) >= dropped / 100
    seen = kept * whole["spoken"][:, :, None]
    return {"xs": whole["xs"] * seen, "seen": seen, "clock": whole["clock"]}


def main() -> None:
    found = {part: utterances(member_of_wheel(WHEEL, SHA256, MEMBER.format(part.upper()))) for part in PARTS}
    for part, count in PARTS.items():
        if len(found[part][0]) != count or any(x.shape[1] != CHANNELS for x in found[part][0]):
            raise SystemExit(f"JapaneseVowels has {len(found[part][0])} utterances to {part}, not {count}")
    whole = padded([x for part in PARTS for x in found[part][0]])
    speaker = np.concatenate([found[part][1] for part in PARTS])
    part = np.repeat(list(PARTS), list(PARTS.values()))
    for dropped in DROPPED:
        sink = io.BytesIO()
        np.savez_compressed(sink, **with_gaps(whole, dropped), speaker=speaker, part=part)
        path = Path(__file__).parent / f"vowels_{dropped}.npz"
        write_whole(path, sink.getvalue())
        print(f"{path}: {len(speaker)} utterances, {dropped} of 100 numbers dropped")


if __name__ == "__main__":
    main()
