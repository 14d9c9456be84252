"""Weights become constants, weight -> literal: after training, weights are numbers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from isocline_compiler.graph import WEIGHT, Array, Graph, Node, constant
from isocline_compiler.graph.collecting import uncollected
from isocline_compiler.passes.rewrite import rewrite


@uncollected()
def bind(graph: Graph, weights: Mapping[str, Array]) -> Graph:
    """weight `w` -> literal with the entries of `w`, named `w`.

    What is computed from weights alone (bounds of parameters, scales of normalisation) then folds; those that are used
    as they are keep their names in the deployed graph. Weights that are not given stay.
    """
    literals = {name: constant(np.asarray(value, dtype=np.float64), name=name) for name, value in weights.items()}

    def visit(node: Node, inputs: tuple[Node, ...]) -> Node:
        return literals.get(node.attrs["name"], node) if node.op is WEIGHT else node.rebuilt(inputs)

    return rewrite(graph, visit)
