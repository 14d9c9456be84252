"""Right sides as one call of onnxruntime, and their Jacobians by colours, against numpy and differences."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from isocline_compiler.backends.to_torch import TorchField
from isocline_compiler.certify import compiled_field
from isocline_compiler.certify.compiled_field import CompiledField, quick
from isocline_compiler.certify.evaluation import Evaluator
from isocline_compiler.certify.flat_states import FlatStates
from isocline_compiler.certify.samples import Samples
from isocline_compiler.certify.stiff_reference import AdaptiveImplicit
from isocline_compiler.graph import Node
from isocline_compiler.lower.check import check
from isocline_compiler.training.clock import Clock

Array = np.ndarray
Tensors = tuple[Tensor, ...]

LINE = """input k: real in (0, 5)
input push: real[3] in (-1, 1)
const m: real[3, 3] = [[1, 2, 0], [0, -1, 0], [3, 0, 1]]
field f(t, u: real[6], v: real, w: real[3]) {
  a = concat(u[1:], [0]) - 2*u + concat([v], u[:5])
  u' = k*a - sin(t)*u^3
  v' = exp(-v^2)*sum(w) - k*v + where(t > 2, 1, 0)
  w' = m @ w - tanh(w)*push + v
}
path = solve f from u = zeros(6), v = k, w = push over 0..1
output u = path.u"""
M = np.array([[1.0, 2, 0], [0, -1, 0], [3, 0, 1]])


def slopes_of_line(t: float, x: Array, k: float, push: Array) -> Array:
    u, v, w = x[:6], x[6], x[7:]
    a = np.append(u[1:], 0) - 2 * u + np.append(v, u[:5])
    return np.concatenate([
        k * a - np.sin(t) * u**3,
        [np.exp(-(v**2)) * w.sum() - k * v + float(t > 2)],
        M @ w - np.tanh(w) * push + v,
    ])  # fmt: skip


class Found(Exception):
    """Stops the evaluation at the solve."""


def met(folder: Path, body: str, then: Callable[[Node, TorchField, Tensors], None], **inputs: Array) -> None:
    """Give the node, the field and the start of the one solve of a model to a function."""
    file = folder / "m.dyn"
    file.write_text(f"dyn 1\nmodel m\n{body}\n")
    evaluator = Evaluator(check(file), {}, Samples(inputs, {}, "by hand"))

    def integrator(
        node: Node, field: TorchField, initial: Tensors, captured: Tensors, stacked: Tensors, times: Tensor | None
    ) -> Tensors:
        then(node, field, initial)
        raise Found

    with pytest.raises(Found):
        evaluator.outputs(evaluator.stepped({}), integrator)


K, PUSH = np.array([0.5, 2.0, 4.0]), np.array([[0.1, 0.2, 0.3], [-1, 0, 1], [0.5, -0.5, 0.25]])


@pytest.mark.parametrize("t", [0.3, 2.5])
def test_a_compiled_field_and_its_jacobian_are_those_of_numpy(t: float, tmp_path: Path) -> None:
    x = np.random.default_rng(3).normal(size=(3, 10))

    def then(node: Node, field: TorchField, initial: Tensors) -> None:
        found = quick(field, Clock.of(node, None))
        assert isinstance(found, CompiledField)
        flat, time = FlatStates.of(node, initial), torch.tensor(t, dtype=torch.float64)
        states = flat.apart(x.reshape(-1))
        exact = np.array([slopes_of_line(t, row, k, push) for row, k, push in zip(x, K, PUSH, strict=True)])
        np.testing.assert_allclose(flat.joined(found(time, states)).reshape(3, 10), exact, rtol=1e-13, atol=1e-14)
        jacobian = found.differentiated
        assert jacobian is not None
        assert len(jacobian._seeds) < 10
        (entries,) = jacobian(time, states)
        whole = jacobian.beside(entries.numpy()).toarray()
        h = 1e-6
        for row, (k, push) in enumerate(zip(K, PUSH, strict=True)):
            moved = [
                (slopes_of_line(t, x[row] + e, k, push) - slopes_of_line(t, x[row] - e, k, push)) / (2 * h)
                for e in h * np.eye(10)
            ]
            block = slice(10 * row, 10 * row + 10)
            np.testing.assert_allclose(whole[block, block], np.transpose(moved), atol=1e-8)
            whole[block, block] = 0
        assert not whole.any()

    met(tmp_path, LINE, then, k=K, push=PUSH)


def test_a_small_field_stays_with_torch(tmp_path: Path) -> None:
    body = "input k: real in (0, 5)\nfield f(t, x: real) { x' = -k*x }\nx = solve f from x = 1 over 0..1\noutput x"

    def then(node: Node, field: TorchField, initial: Tensors) -> None:
        assert quick(field, Clock.of(node, None)) is field

    met(tmp_path, body, then, k=K)


def test_a_solution_is_the_same_with_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "m.dyn"
    file.write_text(f"dyn 1\nmodel m\n{LINE}\n")
    found = []
    for worth in (1, 10**9):
        monkeypatch.setattr(compiled_field, "WORTH", worth)
        compiled_field._compiled.cache_clear()
        evaluator = Evaluator(check(file), {}, Samples({"k": K, "push": PUSH}, {}, "by hand"))
        evaluator._solve_by(AdaptiveImplicit(1e-9))
        found.append(evaluator.run({})["u"])
    compiled_field._compiled.cache_clear()
    np.testing.assert_allclose(found[0], found[1], rtol=1e-8, atol=1e-10)
