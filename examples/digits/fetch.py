"""Write digits.npz: the 8x8 handwritten digits that scikit-learn ships (1797 images, values 0 to 16)."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import numpy as np

from examples.fetching import file_of_package, require_sha256, write_whole

SHA256 = "68aea062d35a127749050fa0e52dca09d6569ac08092c925610e0954e172dde2"


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Images, float32 (1797, 1, 8, 8), and labels, int64 (1797,)."""
    path = file_of_package("sklearn", "datasets/data/digits.csv.gz")
    table = np.loadtxt(io.StringIO(gzip.decompress(path.read_bytes()).decode("ascii")), delimiter=",", dtype=np.uint8)
    require_sha256(path.name, table.tobytes(), SHA256)
    return table[:, :64].reshape(-1, 1, 8, 8).astype(np.float32), table[:, 64].astype(np.int64)


def write(path: Path) -> None:
    """Write the archive with the arrays `images` and `labels`."""
    images, labels = digits()
    buffer = io.BytesIO()
    np.savez_compressed(buffer, images=images, labels=labels)
    write_whole(path, buffer.getvalue())


if __name__ == "__main__":
    target = Path(__file__).with_name("digits.npz")
    write(target)
    print(target)
