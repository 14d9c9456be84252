"""Kinetic energy, the integral of |f|^2 along the solution: slow, straight paths take fewer steps for an accuracy."""

from __future__ import annotations

import math
from collections.abc import Sequence

from isocline_compiler.graph import Node, constant
from isocline_compiler.ops.elementwise import SQUARE
from isocline_compiler.vocabulary.functions.broadcasting import known_sample
from isocline_compiler.vocabulary.functions.kinds import FieldName
from isocline_compiler.vocabulary.functions.reductions import reduce
from isocline_compiler.vocabulary.regularizers.path_integral import augment, total
from isocline_compiler.vocabulary.regularizers.record import Context, LossTerm, Regularizer


def kinetic_energy(field: FieldName) -> LossTerm:
    """The integral of mean(f^2) along every solution of a field: how far and how fast its states move.

    mean is over all entries of all states. Each solve of the field adds its own integral, found by the solver.

    Example: 1e-3 * kinetic_energy(populations)

    Finlay, Jacobsen, Nurbekyan, Oberman (2020).
    """

    def term(context: Context) -> Node:
        energy = constant(0.0)
        for place in range(len(context.solves(field))):
            # asked again each time: a solve that starts where another ends is a new node when that one is replaced
            solve = context.solves(field)[place]
            augmented, index = augment(solve, lambda t, states, derivatives: mean_square(derivatives))
            context.replace(solve, augmented)
            energy = energy + total(augmented, index)
        return energy

    return term


def mean_square(derivatives: Sequence[Node]) -> Node:
    """mean(x'^2) over all entries of all states, one number for each sample."""
    count = sum(math.prod(known_sample("kinetic_energy", item)) for item in derivatives)
    energy = constant(0.0)
    for item in derivatives:
        axes = tuple(range(int(item.type.batched), item.type.rank))
        energy = energy + reduce("reduce_sum", SQUARE(item), axes)
    return energy / float(count)


KINETIC_ENERGY = Regularizer(kinetic_energy)
