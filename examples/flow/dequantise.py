"""Write pixels.npz: the 8x8 digits of scikit-learn with uniform noise in the place of what was rounded away.

    x = k + u,   k a gray value from 0 to 16,   u uniform in (0, 1)

so that an image has a density, and its mean logarithm is at most that of the probability of the gray values (Theis, van
den Oord, Bethge 2016). A tenth of the images, drawn from a stated seed, is held out; those to train on are there in
several copies, each with its own noise.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from examples.digits.fetch import digits
from examples.fetching import write_whole

SEED = 1811  # Gauss
COPIES = 8
HELD_OUT = 0.1


def main() -> None:
    rng = np.random.default_rng(SEED)
    grays = digits()[0].reshape(-1, 64)
    order = rng.permutation(len(grays))
    held_out, rest = np.split(grays[order], [round(HELD_OUT * len(grays))])
    shown = np.concatenate([*[rest] * COPIES, held_out])
    part = ["train"] * COPIES * len(rest) + ["test"] * len(held_out)
    sink = io.BytesIO()
    np.savez_compressed(
        sink,
        images=(shown + rng.uniform(size=shown.shape)).astype(np.float32),
        normals=rng.standard_normal(shown.shape).astype(np.float32),
        part=np.array(part),
    )
    path = Path(__file__).with_name("pixels.npz")
    write_whole(path, sink.getvalue())
    print(f"{path}: {len(rest)} images to train on, in {COPIES} copies, and {len(held_out)} held out")


if __name__ == "__main__":
    main()
