r"""What holds of the noise of a solve, found from its expressions: which schemes converge, and how fast, hangs on it.

    dx = f dt + sum_j b_j(t, x) dW_j,      L_j = sum_k b_{k,j} d/dx_k

additive: no b reads a state. scalar: there is one dW. diagonal: each dW_j drives one entry of one state, each entry is
driven by one dW_j at most, and its factor reads, of all entries that are driven, none but that entry. commutative:
L_i b_j = L_j b_i for all i, j, as in all of these; where the expressions do not show it, both sides are computed
at random points, as identities of analytic functions are tested. general: nothing of it.

Kloeden, Platen (1992), 10.3; Rossler (2010), SIAM J. Numer. Anal. 48, 922-952.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

import numpy as np

from isocline_compiler.derivatives.reverse_forward import dependent
from isocline_compiler.graph import ARGUMENT, CONSTANT, Array, Fault, Node, Nodes, leaf, topological
from isocline_compiler.graph.noise import NoiseKind
from isocline_compiler.graph.solve import Solve, SolveSpec
from isocline_compiler.graph.tensor_type import BATCH, TensorType
from isocline_compiler.graph.terms import Term
from isocline_compiler.ops.activation import ACTIVATION
from isocline_compiler.ops.arithmetic import ARITHMETIC, POW
from isocline_compiler.ops.comparison import COMPARISON
from isocline_compiler.ops.elementwise import ELEMENTWISE, SQRT
from isocline_compiler.solvers.field import Field

POINTS = 16
"""Points at which both sides of L_i b_j = L_j b_i are computed, with states and weights of their own each time."""
DRAWS = 4
"""Times that weights are drawn."""
MOST_CHANNELS = 4096
"""Channels of noise beyond which nothing is drawn, and nothing said."""
SAME = 1e-9
"""The largest relative difference between two sides that are equal but for rounding."""
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
    if found & {"additive", "scalar", "diagonal"} or _commutes(solve):
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


def _commutes(solve: Solve) -> bool:
    """Whether L_i b_j = L_j b_i for all i, j, by values.

    With a, c random: sum_ij a_i c_j (L_i b_j - L_j b_i), the derivative of g c along g a less that of g a along g c,
    is zero at random points. Half of the points are positive numbers, where roots and logarithms are. What has corners
    may hold on one side of them alone, so that nothing is said of it.
    """
    noises = solve.spec.noises
    if any(noise.process != "brownian" for noise in noises) or sum(noise.size for noise in noises) > MOST_CHANNELS:
        return False
    along, across = (
        {noise.name: leaf(ARGUMENT, f"{noise.name}_{i}", TensorType("real", (BATCH, noise.size)))
         for noise in solve.spec.noises}
        for i in range(2)
    )  # fmt: skip
    field, t, x = Field(solve, solve.row_arguments), solve.time, solve.state_arguments
    try:
        pairs = zip(
            field.stir_jvp(t, x, across, field.stir(t, x, along)),
            field.stir_jvp(t, x, along, field.stir(t, x, across)),
            strict=True,
        )
    except Fault:
        return False
    factors = topological([g for _, _, g in _diffusions(solve)])
    if not all(_is_plain(node) for node in factors):
        return False
    sides = [item for pair in pairs for item in pair]
    order = topological([item for item in sides if item is not None])
    leaves = [node for node in order if not node.inputs and node.op is not CONSTANT]
    return all(_vanishes(sides, leaves, np.random.default_rng(seed)) for seed in range(DRAWS))


def _is_plain(node: Node) -> bool:
    """Whether it is an analytic operation on real numbers, in shapes whose one unknown is the number of points."""
    sizes_known = all(isinstance(size, int) or size == BATCH for size in node.shape)
    analytic = node.op.smooth or node.op in (SQRT, POW)  # where they have a value, but for zero
    return analytic and len(node.types) == 1 and node.type.kind == "real" and sizes_known


def _vanishes(sides: Sequence[Node | None], leaves: Nodes | list[Node], random: np.random.Generator) -> bool:
    from isocline_compiler.ops.evaluation import evaluated  # torch is loaded where noise is not plain, not before

    def drawn(node: Node) -> Array:
        shape = tuple(POINTS if size == BATCH else int(size) for size in node.shape)
        positive = random.uniform(0.1, 0.9, shape)
        if not node.type.batched:
            return positive if random.integers(2) else random.standard_normal(shape)
        return np.where(
            np.arange(POINTS).reshape(-1, *(1,) * (len(shape) - 1)) % 2, positive, random.standard_normal(shape)
        )

    values = evaluated([item for item in sides if item is not None], {node: drawn(node) for node in leaves})
    found = iter(values)
    both = [np.zeros(1) if item is None else next(found) for item in sides]
    for left, right in zip(both[::2], both[1::2], strict=True):
        difference, size = np.abs(left - right), np.abs(left) + np.abs(right)
        if not np.isfinite(difference).mean() >= 0.25 or not np.nanmax(difference - SAME * size) <= 0:
            return False
    return True


def channels_apart(spec: SolveSpec) -> bool:
    """Whether every entry that is driven has a channel of noise of its own, whatever its factor reads."""
    driven = [(term, state) for term, state, _ in spec.by_term() if term.kind == "diffusion"]
    channels: list[tuple[str | None, int]] = []
    for term, state in driven:
        entries = prod(int(size) for size in spec.states[state].shape)
        if term.product == "matrix" or (term.product == "entry" and entries > 1):
            return False
        channels += [(term.noise, i) for i in (range(entries) if term.product == "each" else [term.entry])]
    return len(set(channels)) == len(channels) and len({state for _, state in driven}) == len(driven)
