"""Networks of families that hold more than one state says: against the same networks written by hand in torch."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from torch.nn.functional import conv2d

import isocline
from isocline_compiler.graph import Array
from isocline_compiler.training.initial import initial_weights

PROGRAMS = Path(__file__).parent / "programs"
RANDOM = np.random.default_rng(7)


def deployed(name: str, folder: Path, **inputs: Array) -> tuple[dict[str, Array], dict[str, Array], dict]:
    """The answers of a program with weights that are moved from its first, these weights, and its certificate."""
    file = PROGRAMS / f"{name}.dyn"
    model = isocline.check(file)
    weights = {
        key: np.asarray(x + 0.1 * RANDOM.normal(size=x.shape), dtype=np.float32)
        for key, x in initial_weights(model.weights, 0).items()
    }
    save_file(weights, folder / "weights.safetensors")
    compiled = isocline.compile(file, folder / name, weights=folder / "weights.safetensors")
    return isocline.load(folder / name).run(**inputs), weights, compiled.certificate


def test_a_dense_block_reads_all_layers_before(tmp_path: Path) -> None:
    """The concatenation of Huang et al. (2017): kernels over channels that are not there yet play no part."""
    image = RANDOM.uniform(-0.9, 0.9, (3, 4, 6, 6))
    found, weights, _ = deployed("densenet", tmp_path, image=image)
    layers = [torch.tensor(image, dtype=torch.float64)]
    kernel = torch.tensor(next(x for x in weights.values() if x.ndim == 5), dtype=torch.float64)
    bias = torch.tensor(next(x for x in weights.values() if x.ndim == 2), dtype=torch.float64)
    for i in range(3):
        seen = torch.cat(layers, dim=1)
        layers.append(conv2d(seen.relu(), kernel[i][:, : seen.shape[1]], bias[i], padding=1))
    np.testing.assert_allclose(found["h"], torch.cat(layers, dim=1).numpy(), rtol=0, atol=2e-6)


def test_an_imex_network_solves_its_convolution(tmp_path: Path) -> None:
    """(I + h L/2) x' = x + h relu(K x + b), the matrix of L column by column, the system by LAPACK."""
    image = RANDOM.uniform(-0.9, 0.9, (3, 2, 6, 6))
    found, weights, _ = deployed("imexnet", tmp_path, image=image)
    kernel = torch.tensor(next(x for x in weights.values() if x.shape == (2, 2, 2, 3, 3)), dtype=torch.float64)
    solved = torch.tensor(next(x for x in weights.values() if x.shape == (2, 2, 1, 3, 3)), dtype=torch.float64)
    bias = torch.tensor(next(x for x in weights.values() if x.ndim == 2), dtype=torch.float64)
    units = torch.eye(72, dtype=torch.float64).reshape(72, 2, 6, 6)
    x = torch.tensor(image, dtype=torch.float64)
    for i in range(2):
        matrix = torch.eye(72, dtype=torch.float64)
        matrix += 0.25 * conv2d(units, solved[i], padding=1, groups=2).reshape(72, 72).T
        right = (x + 0.5 * conv2d(x, kernel[i], bias[i], padding=1).relu()).reshape(3, 72)
        x = torch.linalg.solve(matrix, right.T).T.reshape(3, 2, 6, 6)
    np.testing.assert_allclose(found["h"], x.numpy(), rtol=0, atol=2e-6)


def test_an_invertible_residual_network_comes_back_and_knows_its_density(tmp_path: Path) -> None:
    """log |det d z/d x| by torch's slogdet of autograd's Jacobian, of x + g(x) with W of norm 0.9 at most."""
    x = RANDOM.uniform(-0.9, 0.9, (5, 3))
    found, weights, certificate = deployed("iresnet", tmp_path, x=x)
    kernels = [torch.tensor(w, dtype=torch.float64) for w in weights.values() if w.ndim == 3]
    offsets = [torch.tensor(w, dtype=torch.float64) for w in weights.values() if w.ndim == 2]
    assert {tuple(w.shape) for w in kernels} == {(2, 3, 16), (2, 16, 3)}
    first, second = sorted(kernels, key=lambda w: w.shape[1])
    wide, narrow = sorted(offsets, key=lambda b: -b.shape[1])

    def bounded(w: torch.Tensor) -> torch.Tensor:
        return w * min(1.0, 0.9 / float(torch.linalg.matrix_norm(w, 2)))

    def network(h: torch.Tensor) -> torch.Tensor:
        for i in range(2):
            h = h + torch.tanh(h @ bounded(first[i]) + wide[i]) @ bounded(second[i]) + narrow[i]
        return h

    for row in range(5):
        start = torch.tensor(x[row], dtype=torch.float64)
        z = network(start)
        volume = torch.linalg.slogdet(torch.autograd.functional.jacobian(network, start)).logabsdet
        expected = float(-(z**2).sum() / 2 - 1.5 * math.log(2 * math.pi) + volume)
        np.testing.assert_allclose(found["z"][row], z.numpy(), rtol=0, atol=2e-6)
        assert abs(float(found["log_p"][row]) - expected) < 1e-5
    np.testing.assert_allclose(found["back"], x, rtol=0, atol=2e-6)
    assert certificate["restored"]["back"] < 1e-5
    (newton,) = certificate["newton"]
    assert newton["largest"] < 1e-9
