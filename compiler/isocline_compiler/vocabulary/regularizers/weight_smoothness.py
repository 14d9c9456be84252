"""Weights that change smoothly from step to step: the squared differences of those of neighbouring steps."""

from __future__ import annotations

from isocline_compiler.graph import Fault, Node, constant
from isocline_compiler.graph.solve import Solve, spec_of
from isocline_compiler.ops.elementwise import SQUARE
from isocline_compiler.ops.indexing import SLICE
from isocline_compiler.ops.reduction import REDUCE_SUM
from isocline_compiler.vocabulary.functions.kinds import SolutionName
from isocline_compiler.vocabulary.regularizers.record import Context, LossTerm, Regularizer
from isocline_dsl import messages


def weight_smoothness(solution: SolutionName) -> LossTerm:
    r"""The sum of |w_(k+1) - w_k|^2 over neighbouring steps of a solution whose field has `weights per step`.

    Over all that is trained in a step, kernels and biases alike. A network of many layers then stays near an equation
    whose weights are a smooth function of time. Weights that several solutions share are counted once.

    Example: 0.1 * weight_smoothness(block)

    Haber, Ruthotto (2018), Inverse Problems 34, 014004: smooth decay in time.
    """

    def term(context: Context) -> Node:
        stacked = dict.fromkeys(value for node in context.solves(solution) for value in _per_step(node))
        found = constant(0.0)
        for value in stacked:
            steps = int(value.size(0))
            if steps > 1:
                later = SLICE(value, axis=0, start=1, stop=None, step=1)
                moves = later - SLICE(value, axis=0, start=0, stop=steps - 1, step=1)
                found = found + REDUCE_SUM(SQUARE(moves), axes=tuple(range(moves.type.rank)), keepdims=False)
        return found

    return term


def _per_step(node: Node) -> list[Node]:
    """The weights of all steps, (steps, ...). Raises `Fault` where there are none."""
    pairs = zip(spec_of(node).rows, Solve.of(node).stacked, strict=True)
    found = [value for row, value in pairs if row.kind == "weights"]
    if not found:
        field = spec_of(node).field
        raise Fault(lambda span: messages.weights_of_no_step(span, "weight_smoothness", field))
    return found


WEIGHT_SMOOTHNESS = Regularizer(weight_smoothness)
