"""Saliency, where the score reacts at all: the magnitude of its gradient."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from isocline_compiler.attribution.problem import Problem
from isocline_compiler.attribution.record import Build, Definition, Method, Oracle, Result
from isocline_compiler.graph import Array
from isocline_compiler.ops.elementwise import ABS


def saliency() -> Build:
    """How strongly the score reacts to each entry of an input: |dS/dx|.

    Simonyan, Vedaldi, Zisserman (2014), Deep inside convolutional networks.

    Example: attribute y wrt x by saliency
    """

    def build(problem: Problem) -> tuple[Result, ...]:
        return tuple(Result("attribution", ABS(g), name) for name, g in problem.input_gradients().items())

    return build


def _definition() -> Definition:
    def measure(oracle: Oracle) -> Mapping[str, Array]:
        here = {name: x[:, None] for name, x in oracle.inputs.items()}
        return {name: np.abs(oracle.slopes(name, here))[:, 0] for name in here}

    return measure


SALIENCY = Method(saliency, axioms=("implementation invariance",), cost="one gradient", definition=_definition)
