"""Norms in which a map draws points together: of a Jacobian that is a known matrix and how far it may be from it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.linalg import LinAlgError, cholesky, solve_continuous_lyapunov, solve_discrete_lyapunov

from isocline_compiler.certify.jacobian import Gate, Jacobian, spectral
from isocline_compiler.graph import Array

EUCLIDEAN = "the Euclidean norm"
WEIGHTED = "a weighted maximum norm"
QUADRATIC = "a quadratic norm"
BARELY = 1e-9
"""What decays by less a step, or a time of its own, has no quadratic norm that could be computed."""


def logarithmic(found: Jacobian) -> tuple[float, float, str]:
    """The least bound on a logarithmic norm, the size of what it is made of, and the norm.

    Euclidean: the largest eigenvalue of (J + J')/2. Weighted maximum: with C = J, its entries beside the diagonal by
    their size, max_i (C w)_i/w_i for any w > 0; best for the eigenvector of Perron. Quadratic: Euclidean after a change
    of coordinates T, T'T = P with M'P + P M = -I; or the one in which a gate descends. Desoer, Vidyasagar (1975), II.8.
    """
    m, e = found.matrix.T, found.around.T
    scale = spectral(m) + found.apart
    if not (np.isfinite(e).all() and np.isfinite(found.apart)):
        return np.inf, 0.0, EUCLIDEAN
    bounds = [(_euclidean(m, e, found.apart), scale, EUCLIDEAN), (_weighted(m, e), scale, WEIGHTED)]
    turn = _continuous(m)
    if turn is not None:
        back = np.linalg.inv(turn)
        stretch = spectral(turn) * spectral(back)
        bounds.append(
            (
                _euclidean(turn @ m @ back, np.abs(turn) @ e @ np.abs(back), stretch * found.apart),
                stretch * scale,
                QUADRATIC,
            )
        )
    turn = _descending(found.gate)
    if turn is not None and found.gate is not None:
        near, apart = _turned(found.gate, turn)
        bounds.append((float(np.linalg.eigvalsh((near + near.T) / 2).max()) + apart, spectral(near) + apart, QUADRATIC))
    return min(bounds, key=lambda item: item[0])


def _descending(gate: Gate | None) -> Array | None:
    """T = P^(1/2) where a gate is B + D A with A = -P, symmetric and negative definite, and D >= 0 diagonal.

    T D A T^-1 = -T D T has no eigenvalue above 0, whatever the slopes D: so NAIS-Net is stable. Ciccone, Gallieri,
    Masci, Osendorfer, Gomez (2018).
    """
    if gate is None or gate.map.shape[0] != gate.map.shape[1] or gate.least.min() < 0:
        return None
    values, vectors = np.linalg.eigh(-(gate.map + gate.map.T) / 2)
    if values.min() <= BARELY * np.abs(values).max():
        return None
    found: Array = (vectors * np.sqrt(values)) @ vectors.T
    return found


def _turned(gate: Gate, turn: Array) -> tuple[Array, float]:
    """N and r with |T J T^-1 - N| <= r, for T D A T^-1 = (T D T) K, K = T^-1 A T^-1.

    T D T lies between those of the least and the largest D; K is a multiple of I where A is one of -T^2.
    """
    back, size = np.linalg.inv(turn), len(turn)
    bottom = float(np.linalg.eigvalsh((turn * gate.least) @ turn.T).min())
    top = float(np.linalg.eigvalsh((turn * gate.most) @ turn.T).max())
    inner = back @ gate.map.T @ back
    factor = float(np.trace(inner)) / size
    off = spectral(inner - factor * np.eye(size))
    near = turn @ gate.base.T @ back + factor * (bottom + top) / 2 * np.eye(size)
    return near, abs(factor) * (top - bottom) / 2 + top * off + spectral(turn) * spectral(back) * gate.apart


def _euclidean(m: Array, e: Array, apart: float) -> float:
    middle = float(np.linalg.eigvalsh((m + m.T) / 2).max())
    return middle + min(apart, float(np.linalg.eigvalsh((e + e.T) / 2).max()))


def _weighted(m: Array, e: Array) -> float:
    comparison = np.abs(m) + e
    np.fill_diagonal(comparison, np.diag(m) + np.diag(e))
    values, vectors = np.linalg.eig(comparison)
    weights = np.abs(vectors[:, values.real.argmax()].real)
    weights = np.maximum(weights, 1e-9 * weights.max())
    return float((comparison @ weights / weights).max())


def _continuous(m: Array) -> Array | None:
    """T with T'T = P and M'P + P M = -I; None where M has an eigenvalue that does not decay."""
    if not np.linalg.eigvals(m).real.max() < -BARELY * spectral(m):
        return None
    return _root(solve_continuous_lyapunov(m.T, -np.eye(len(m))))


def _discrete(m: Array) -> Array | None:
    """T with T'T = P and M'P M - P = -I; None where M has an eigenvalue outside of the unit circle."""
    if not np.abs(np.linalg.eigvals(m)).max() < 1 - BARELY:
        return None
    return _root(solve_discrete_lyapunov(m.T, np.eye(len(m))))


def _root(matrix: Array) -> Array | None:
    try:
        found: Array = cholesky((matrix + matrix.T) / 2)
    except LinAlgError:
        return None
    return found


def step_norms(steps: Sequence[Jacobian], counts: Sequence[int]) -> tuple[float, str]:
    """The product of the norms of steps, each so many times, and the norm: Euclidean, or a quadratic one for all."""
    bounds = [(_product([item.norm for item in steps], counts), EUCLIDEAN)]
    turn = _discrete(steps[0].matrix.T)
    if turn is not None:
        back = np.linalg.inv(turn)
        stretch = spectral(turn) * spectral(back)
        norms = [
            spectral(turn @ item.matrix.T @ back)
            + min(stretch * item.apart, spectral(np.abs(turn) @ item.around.T @ np.abs(back)))
            for item in steps
        ]
        bounds.append((_product(norms, counts), QUADRATIC))
    gates = [item.gate for item in steps if item.gate is not None]
    turn = _descending(gates[0]) if len(gates) == len(steps) else None
    if turn is not None and all(gate.map.shape == turn.shape and gate.least.min() >= 0 for gate in gates):
        moved = [_turned(gate, turn) for gate in gates]
        bounds.append((_product([spectral(near) + apart for near, apart in moved], counts), QUADRATIC))
    return min(bounds)


def _product(norms: Sequence[float], counts: Sequence[int]) -> float:
    with np.errstate(divide="ignore"):
        return float(np.exp(np.dot(np.log(norms), counts))) if np.isfinite(norms).all() else np.inf
