"""A solve and what varies it -> one solve of the states with all their directions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from isocline_compiler.graph import ARGUMENT, Graph, Node, Nodes, leaf, substitute, topological, transform
from isocline_compiler.graph.solve import PICK, SOLVE, Solve, SolveSpec, State, choice_of, pick, spec_of
from isocline_compiler.passes.share import share, shared


def join(graph: Graph) -> Graph:
    """solve(x), solve(x, v), solve(x, w) -> solve(x, v, w): the states are integrated once, on one grid.

    Tangents along the same direction are one. A variation whose start or captured values depend on the solution itself
    stays a solve of its own, under another name, with the same scheme and grid. The same graph comes back when no solve
    is varied.
    """
    if not any(node.op is SOLVE and spec_of(node).varies for node in graph.nodes()):
        return graph
    graph = share(graph)
    kept: set[str] = set()
    while True:
        group = _joinable(graph, kept)
        if not group:
            return _named_apart(graph)
        kept.add(choice_of(group[0]))
        graph = _with_joined(graph, group)


def _joinable(graph: Graph, done: set[str]) -> list[Node]:
    """Solves of one solution of which none depends on another, the fewest states first; the next that is not done."""
    groups: dict[str, list[Node]] = {}
    for node in graph.nodes():
        if node.op is SOLVE and choice_of(node) not in done:
            groups.setdefault(choice_of(node), []).append(node)
    for members in groups.values():
        free = [node for node in members if not set(topological(node.inputs)) & set(members)]
        free = [node for node in free if _only_drift(spec_of(node))]
        if len(free) > 1:
            return sorted(free, key=lambda node: len(node.types))
    return []


def _only_drift(spec: SolveSpec) -> bool:
    """Whether all further states only drift: what noise drives and what jumps, if anything, are the author's states."""
    own, others = set(spec.own), ("diffusion", "switch", "jump")
    return all(term.kind == "drift" or (term.kind in others and set(term.states) <= own) for term in spec.terms)


def _with_joined(graph: Graph, group: Sequence[Node]) -> Graph:
    whole = _Whole(Solve.of(group[0]))
    places = {node: whole.places_of(Solve.of(node)) for node in group}
    spec = whole.solve.spec
    joined = whole.solve.rebuilt(spec=replace(spec, name=spec.choice, varies=None)).node()

    def visit(node: Node, inputs: tuple[Node, ...]) -> Node:
        if node.op is PICK and node.inputs[0] in places:
            return pick(joined, places[node.inputs[0]][node.attrs["index"]])
        return node.rebuilt(inputs)

    outputs = transform(tuple(graph.outputs.values()), visit)
    return graph.with_outputs(dict(zip(graph.outputs, outputs, strict=True)))


@dataclass
class _Whole:
    """The joined solve as it grows."""

    solve: Solve

    def places_of(self, other: Solve) -> list[int]:
        """Where the states of another solve of the same solution are in this one, those that are new added."""
        known = self._arguments(other)
        results = substitute(other.region.results, known)
        slopes = {place: results[i] for place, (i,) in other.spec.results("drift").items()}
        places: dict[int, int] = {}
        for group in _groups(other.spec.states):
            found = self._same(other, group, slopes, places)
            if found is None:
                found = self._added(other, group, slopes, places)
            places.update(zip(group, found, strict=True))
        return [places[i] for i in range(len(other.initial))]

    def _arguments(self, other: Solve) -> dict[Node, Node]:
        """The arguments of the other region for time, captured values and rows, by this one's, new ones added."""
        known = {other.time: self.solve.time}
        mine = dict(zip(self.solve.captured, self.solve.captured_arguments, strict=True))
        for value, argument in zip(other.captured, other.captured_arguments, strict=True):
            if value not in mine:
                mine[value] = argument
                self.solve = self.solve.with_captured([value], [argument])
            known[argument] = mine[value]
        rows = {value: a for (_, value), a in zip(self.solve.field_rows, self.solve.row_arguments, strict=True)}
        for (row, value), argument in zip(other.field_rows, other.row_arguments, strict=True):
            if value not in rows:
                rows[value] = argument
                self.solve = self.solve.with_rows([row], [value], [argument])
            known[argument] = rows[value]
        return known

    def _same(
        self, other: Solve, group: Sequence[int], slopes: Mapping[int, Node], places: Mapping[int, int]
    ) -> list[int] | None:
        """States of this solve that start as the group does and move as it does."""
        for candidate in _groups(self.solve.spec.states):
            if len(candidate) != len(group):
                continue
            pairs = list(zip(candidate, group, strict=True))
            if any(self.solve.initial[i] is not other.initial[j] for i, j in pairs):
                continue
            if any(self.solve.spec.states[i].role != other.spec.states[j].role for i, j in pairs):
                continue
            known = {other.state_arguments[j]: self.solve.state_arguments[i] for i, j in pairs}
            moved = self._moved(other, [slopes[j] for j in group], places, known)
            own = self.solve.spec.results("drift")
            mine = [self.solve.region.results[own[i][0]] for i in candidate]
            both = shared((*mine, *moved))
            if all(a is b for a, b in zip(both[: len(mine)], both[len(mine) :], strict=True)):
                return list(candidate)
        return None

    def _added(
        self, other: Solve, group: Sequence[int], slopes: Mapping[int, Node], places: Mapping[int, int]
    ) -> list[int]:
        """The group as further states of this solve."""
        count = len(self.solve.initial)
        taken = max((n for state in self.solve.spec.states for n in state.direction), default=-1) + 1
        old = [other.spec.states[j] for j in group]
        records = [replace(state, name=f"{_own(state)}~{taken}.{i}", direction=(*state.direction[:-1], taken))
                   for i, state in enumerate(old)]  # fmt: skip
        fresh = [
            leaf(ARGUMENT, state.name, other.state_arguments[j].type) for state, j in zip(records, group, strict=True)
        ]
        known = {other.state_arguments[j]: argument for j, argument in zip(group, fresh, strict=True)}
        moved = self._moved(other, [slopes[j] for j in group], places, known)
        self.solve = self.solve.with_states(records, [other.initial[j] for j in group], fresh, moved)
        return list(range(count, count + len(group)))

    def _moved(
        self, other: Solve, slopes: Sequence[Node], places: Mapping[int, int], known: Mapping[Node, Node]
    ) -> Nodes:
        earlier = {other.state_arguments[j]: self.solve.state_arguments[i] for j, i in places.items()}
        return substitute(tuple(slopes), {**earlier, **known})


def _own(state: State) -> str:
    return state.name.partition("~")[0]


def _groups(states: Sequence[State]) -> list[list[int]]:
    """The places of the states by role and direction, the author's own first, each after those that it varies; nothing
    reads an integral, so each is a group of its own.
    """
    found: dict[tuple[str, tuple[int, ...], str], list[int]] = {}
    for i, state in enumerate(states):
        found.setdefault((state.role, state.direction, state.name if state.role == "integral" else ""), []).append(i)
    return [found[key] for key in sorted(found, key=lambda key: (len(key[1]), found[key][0]))]


def _named_apart(graph: Graph) -> Graph:
    """Solves that stayed apart, with names of their own."""
    taken: set[str] = set()

    def visit(node: Node, inputs: tuple[Node, ...]) -> Node:
        node = node.rebuilt(inputs)
        if node.op is not SOLVE:
            return node
        name, count = spec_of(node).name, 1
        while name in taken:
            count += 1
            name = f"{spec_of(node).name}_{count}"
        taken.add(name)
        if name == spec_of(node).name:
            return node
        solve = Solve.of(node)
        return solve.rebuilt(spec=replace(solve.spec, name=name)).node()

    outputs = transform(tuple(graph.outputs.values()), visit)
    return graph.with_outputs(dict(zip(graph.outputs, outputs, strict=True)))
