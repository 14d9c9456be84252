"""The Frobenius norm of the Jacobian along the solution: fields that treat neighbours alike need fewer steps."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from isocline_compiler.derivatives.reverse_forward import jvps, vjp
from isocline_compiler.graph import ARGUMENT, Fault, Node, Nodes, constant, leaf
from isocline_compiler.graph.solve import Solve
from isocline_compiler.ops.broadcasting import broadcast_like
from isocline_compiler.ops.indexing import SELECT
from isocline_compiler.vocabulary.functions.broadcasting import known_sample
from isocline_compiler.vocabulary.functions.kinds import Count, SolutionName
from isocline_compiler.vocabulary.regularizers.path_integral import augment, square, summed
from isocline_compiler.vocabulary.regularizers.record import Context, LossTerm, Regularizer
from isocline_dsl import messages

MOST_COLUMNS = 256
"""More entries than this are not differentiated by one by one."""


def jacobian_norm(solution: SolutionName, probes: Count | None = None) -> LossTerm:
    r"""The integral of |df/dx|^2 along a solution, the sum of the squares of all entries of the Jacobian.

    df/dx is that of all states by all states; with noise, of the drift. Without `probes` it is exact, a forward pass
    for each entry of the states. With them it is Hutchinson's estimate, the mean of |v^T df/dx|^2 over so many vectors
    v of random signs: a reverse pass each. They are new for each sample and each step of training, and constant along a
    solution, so that a solver meets no jumps. Of a field, each of its solves adds its own.

    Example: 1e-2 * jacobian_norm(populations, probes=1)

    Finlay, Jacobsen, Nurbekyan, Oberman (2020); Hutchinson (1989), Comm. Statist. Simulation Comput. 18, 1059-1076.
    """

    def term(context: Context) -> Node:
        def extend(node: Node) -> tuple[Node, int]:
            if probes is None:
                return augment(node, lambda t, states, slopes: exact(states, slopes))
            solve, vectors = _with_probes(Solve.of(node), context, probes)
            return augment(solve.node(), lambda t, states, slopes: estimated(states, slopes, vectors, probes))

        return summed(context, solution, extend)

    return term


def exact(states: Sequence[Node], slopes: Sequence[Node]) -> Node:
    """|df/dx|^2 column by column."""
    count = sum(math.prod(known_sample("jacobian_norm", x)) for x in states)
    if count > MOST_COLUMNS:
        raise Fault(lambda span: messages.jacobian_too_wide(span, "jacobian_norm", count, MOST_COLUMNS))
    columns = jvps(slopes, states, list(_units(states)))
    return square("jacobian_norm", [entry for column in columns for entry in column])


def _units(states: Sequence[Node]) -> list[Nodes]:
    """For each entry of the states the direction that is 1 there and 0 elsewhere."""
    found = []
    for x in states:
        for index in np.ndindex(*known_sample("jacobian_norm", x)):
            unit = np.zeros(known_sample("jacobian_norm", x))
            unit[index] = 1.0
            found.append(tuple(broadcast_like(constant(unit if y is x else 0.0), y) for y in states))
    return found


def estimated(states: Sequence[Node], slopes: Sequence[Node], vectors: Sequence[Node], probes: int) -> Node:
    """The mean of |v^T df/dx|^2 over the probes v: `vectors` holds those of each state, (batch, probes, *state)."""
    total = constant(0.0)
    for i in range(probes):
        v = [SELECT(item, axis=1, index=i) for item in vectors]
        total = total + square("jacobian_norm", vjp(slopes, v, states))
    return total / float(probes)


def _with_probes(solve: Solve, context: Context, probes: int) -> tuple[Solve, list[Node]]:
    """The solve with random signs among what its field captures: (batch, probes, *state) for each of its states."""
    own = [solve.spec.states[place] for place in solve.spec.own]
    shapes = [known_sample("jacobian_norm", solve.initial[place]) for place in solve.spec.own]
    drawn = [context.draw(f"{solve.spec.name} {x.name}", (probes, *n)) for x, n in zip(own, shapes, strict=True)]
    arguments = [leaf(ARGUMENT, f"probes~{x.name}", item.type) for x, item in zip(own, drawn, strict=True)]
    return solve.with_captured(drawn, arguments), arguments


JACOBIAN_NORM = Regularizer(jacobian_norm)
