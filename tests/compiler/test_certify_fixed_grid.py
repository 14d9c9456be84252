"""Walking a scheme on tensors gives the numbers of the unrolled graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from isocline_compiler.backends.to_torch import TorchProgram
from isocline_compiler.certify.choose import discretisation
from isocline_compiler.certify.evaluation import Evaluator
from isocline_compiler.certify.samples import drawn
from isocline_compiler.lower.check import check
from isocline_compiler.solvers.schemes import SCHEMES
from isocline_compiler.solvers.unroll import unroll
from isocline_compiler.training.initial import initial_weights

MODELS = Path(__file__).parents[1] / "acceptance" / "models"
STACKED = """dyn 1
model stacked
input x: real[3] in (-1, 1)
field f(t, h: real[3]) weights per step { h' = h |> dense(5) |> tanh |> dense(3) }
h = solve f from h = x over 0..1 with rk4(steps=4)
output h
"""


def evaluator_of(file: Path) -> Evaluator:
    model = check(file)
    weights = initial_weights(model.weights, 3)
    return Evaluator(model, weights, drawn(model.inputs, model.source).first(7))


def both(evaluator: Evaluator, scheme: str | None, steps: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """The outputs walked, and those of the unrolled graph."""
    choices = {} if scheme is None else {node: discretisation(node, scheme, steps) for node in evaluator.open}
    every = {**evaluator.stated, **choices}
    with torch.no_grad():
        flat = TorchProgram(unroll(evaluator.graph, every.__getitem__))(evaluator.bound)
    return [(array, flat[name].numpy()) for name, array in evaluator.run(choices).items()]


@pytest.mark.parametrize("scheme", sorted(SCHEMES))
@pytest.mark.parametrize("name", ["van_der_pol", "logistic", "fitzhugh_nagumo", "phosphorylation"])
def test_walked_and_unrolled_agree(name: str, scheme: str) -> None:
    """Several times kept, times that come with the input, backwards, states of several shapes."""
    for walked, unrolled in both(evaluator_of(MODELS / f"{name}.dyn"), scheme, 2):
        np.testing.assert_allclose(walked, unrolled, rtol=1e-13, atol=1e-14)


def test_each_step_has_its_own_weights(tmp_path: Path) -> None:
    file = tmp_path / "stacked.dyn"
    file.write_text(STACKED)
    evaluator = evaluator_of(file)
    assert not evaluator.open
    ((walked, unrolled),) = both(evaluator, None, 0)
    np.testing.assert_allclose(walked, unrolled, rtol=1e-13, atol=1e-14)
    first = dict(evaluator.weights)
    for array in first.values():
        array[1:] = array[:1]
    ((same, _),) = both(Evaluator(evaluator.model, first, evaluator.samples), None, 0)
    assert np.abs(same - walked).max() > 1e-3, "the slices of the later steps were read"
