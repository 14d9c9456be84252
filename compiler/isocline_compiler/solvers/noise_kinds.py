r"""What holds of the noise of a solve, found from its expressions: which schemes converge, and how fast, hangs on it.

    dx = f dt + sum_j b_j(t, x) dW_j,      L_j = sum_k b_{k,j} d/dx_k

additive: no b reads a state. scalar: there is one dW. diagonal: each dW_j drives one entry of one state, each entry is
driven by one dW_j at most, and its factor reads, of all entries that are driven, none but that entry. commutative:
L_i b_j = L_j b_i for all i, j, as in all of these. general: nothing of it.

Kloeden, Platen (1992), 10.3; Rossler (2010), SIAM J. Numer. Anal. 48, 922-952.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from isocline_compiler.derivatives.reverse_forward import dependent
from isocline_compiler.graph import Node, topological
from isocline_compiler.graph.solve import NoiseKind, Solve, Term
from isocline_compiler.ops.activation import ACTIVATION
from isocline_compiler.ops.arithmetic import ARITHMETIC
from isocline_compiler.ops.comparison import COMPARISON
from isocline_compiler.ops.elementwise import ELEMENTWISE

_ENTRY_BY_ENTRY = frozenset((*ARITHMETIC, *ELEMENTWISE, *ACTIVATION, *COMPARISON))


def noise_kinds(solve: Solve) -> frozenset[NoiseKind]:
    """All kinds that the noise of a solve is of; none where it has none."""
    diffusions = list(_diffusions(solve))
    if not diffusions:
        return frozenset()
    found: set[NoiseKind] = {"general"}
    if not any(_reads(solve, g) for _, _, g in diffusions):
        found.add("additive")
    if sum(noise.size for noise in solve.spec.noises) == 1:
        found.add("scalar")
    if _is_diagonal(solve, diffusions):
        found.add("diagonal")
    if found & {"additive", "scalar", "diagonal"}:
        found.add("commutative")
    return frozenset(found)


def _diffusions(solve: Solve) -> Iterator[tuple[Term, int, Node]]:
    for term, state, place in solve.spec.by_term():
        if term.kind == "diffusion":
            yield term, state, solve.region.results[place]


def _reads(solve: Solve, g: Node) -> set[int]:
    """The places of the states that a factor depends on."""
    order = topological([g])
    return {i for i, x in enumerate(solve.state_arguments) if g in dependent(order, [x])}


def _is_diagonal(solve: Solve, diffusions: list[tuple[Term, int, Node]]) -> bool:
    driven = {state for _, state, _ in diffusions}
    channels: list[tuple[str | None, int]] = []
    for term, state, g in diffusions:
        entries = prod(int(size) for size in solve.spec.states[state].shape)
        if term.product == "matrix" or (term.product == "entry" and entries > 1):
            return False
        own = range(entries) if term.product == "each" else [term.entry]
        channels += [(term.noise, entry) for entry in own]
        if _reads(solve, g) & driven - {state} or not _is_entrywise(g, solve.state_arguments[state]):
            return False
    once = len({state for _, state, _ in diffusions}) == len(diffusions)
    return once and len(set(channels)) == len(channels)


def _is_entrywise(g: Node, x: Node) -> bool:
    """Whether entry i of g reads of x none but entry i: every operation between them works entry by entry."""
    if x.type.sample in ((), (1,)):
        return True
    between = dependent(topological([g]), [x]) - {x}
    return all(node.op in _ENTRY_BY_ENTRY and node.type.sample == x.type.sample for node in between)
