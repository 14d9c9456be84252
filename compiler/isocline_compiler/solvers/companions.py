"""What a scheme remembers of each state as a state of its own: so that it is a value that a solve ends with."""

from __future__ import annotations

from dataclasses import replace

from isocline_compiler.graph import ARGUMENT, Region, leaf, substitute
from isocline_compiler.graph.solve import Solve, SolveSpec, State

GROUP = "companion"
"""The group of companions, and of what varies them."""


def with_companions(solve: Solve) -> Solve:
    """x' = f(t, x) as the pair x' = f(t, z), z' = f(t, z), both from the start of x, noise alike: z are companions.

    Its solution is that of the equation twice; which scheme makes something else of x and z is its own business.
    """
    spec, count = solve.spec, len(solve.initial)
    names = [f"{state.name}~" for state in spec.states]
    beside = tuple(leaf(ARGUMENT, name, a.type) for name, a in zip(names, solve.state_arguments, strict=True))
    along = substitute(solve.region.results, dict(zip(solve.state_arguments, beside, strict=True)))
    others = solve.region.arguments[1 + count :]
    states = (
        State(name, x.shape, "companion", x.name, group=GROUP) for name, x in zip(names, spec.states, strict=True)
    )
    moved = (replace(term, states=tuple(count + place for place in term.states)) for term in spec.terms)
    return solve.rebuilt(
        spec=replace(spec, states=(*spec.states, *states), terms=(*spec.terms, *moved)),
        region=Region((solve.time, *solve.state_arguments, *beside, *others), (*along, *along)),
        initial=(*solve.initial, *solve.initial),
    )


def companions(spec: SolveSpec) -> dict[int, int]:
    """The place of its companion by that of a state, of tangents too: they stand in one order along each direction."""
    beside = [i for i, state in enumerate(spec.states) if state.group == GROUP]
    along = {spec.states[i].direction for i in beside}
    moving = spec.places("own", "tangent")
    owners = [i for i in moving if spec.states[i].direction in along and spec.states[i].group != GROUP]
    return dict(zip(owners, beside, strict=True))


__all__ = ["companions", "with_companions"]
