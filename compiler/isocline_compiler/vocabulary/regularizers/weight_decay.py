"""Weight decay: the sum of squared kernels, which keeps weights small."""

from __future__ import annotations

from isocline_compiler.graph import Node, constant
from isocline_compiler.ops.elementwise import SQUARE
from isocline_compiler.ops.reduction import REDUCE_SUM
from isocline_compiler.vocabulary.regularizers.record import Context, LossTerm, Regularizer


def weight_decay() -> LossTerm:
    """The sum of the squares of all kernels: the matrices of dense, recurrent and embedding layers and of convolutions.

    Biases, the scales of normalisations and declared parameters are left alone; a parameter has its prior.

    Example: 1e-4 * weight_decay()

    Krogh, Hertz (1991).
    """

    def term(context: Context) -> Node:
        squares = constant(0.0)
        for weight in filter(is_kernel, context.weights):
            axes = tuple(range(weight.type.rank))
            squares = squares + REDUCE_SUM(SQUARE(weight), axes=axes, keepdims=False)
        return squares

    return term


def is_kernel(weight: Node) -> bool:
    """By its name, not its rank: where each step has its own weights a bias is an array of two axes too."""
    return str(weight.attrs["name"]).endswith("weight")


WEIGHT_DECAY = Regularizer(weight_decay)
