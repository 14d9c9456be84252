"""Kinetic energy, the integral of |f|^2 along the solution: slow, straight paths take fewer steps for an accuracy."""

from __future__ import annotations

import math
from collections.abc import Sequence

from isocline_compiler.graph import Node
from isocline_compiler.vocabulary.functions.broadcasting import known_sample
from isocline_compiler.vocabulary.functions.kinds import SolutionName
from isocline_compiler.vocabulary.regularizers.path_integral import augment, square, summed
from isocline_compiler.vocabulary.regularizers.record import LossTerm, Regularizer


def kinetic_energy(field: SolutionName) -> LossTerm:
    """The integral of mean(f^2) along every solution of a field, or along one solution: how far and how fast its states
    move.

    mean is over all entries of all states. Each solve of the field adds its own integral, found by the solver.

    Example: 1e-3 * kinetic_energy(populations)

    Finlay, Jacobsen, Nurbekyan, Oberman (2020).
    """

    def extend(node: Node) -> tuple[Node, int]:
        return augment(node, lambda t, states, derivatives: mean_square(derivatives))

    return lambda context: summed(context, field, extend)


def mean_square(derivatives: Sequence[Node]) -> Node:
    """mean(x'^2) over all entries of all states, one number for each sample."""
    count = sum(math.prod(known_sample("kinetic_energy", item)) for item in derivatives)
    return square("kinetic_energy", derivatives) / float(count)


KINETIC_ENERGY = Regularizer(kinetic_energy)
