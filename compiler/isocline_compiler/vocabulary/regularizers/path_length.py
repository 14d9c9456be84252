"""The length of the path, the integral of |f| along the solution: straight paths, however fast."""

from __future__ import annotations

from isocline_compiler.graph import Node
from isocline_compiler.vocabulary.functions.kinds import SolutionName
from isocline_compiler.vocabulary.regularizers.path_integral import augment, length, require_smooth, square, summed
from isocline_compiler.vocabulary.regularizers.record import LossTerm, Regularizer


def path_length(solution: SolutionName) -> LossTerm:
    """The integral of |f| along a solution: how far its states go, by any way and at any speed.

    |f| is the Euclidean length of all entries of all states together. Where a path rests, its gradient is taken as 0.
    Of a field, each of its solves adds its own length, found by the solver.

    Example: 1e-3 * path_length(populations)
    """

    def extend(node: Node) -> tuple[Node, int]:
        require_smooth("path_length", node)
        return augment(node, lambda t, states, derivatives: length(square("path_length", derivatives)))

    return lambda context: summed(context, solution, extend)


PATH_LENGTH = Regularizer(path_length)
