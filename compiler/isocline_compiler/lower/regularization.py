"""What a regularizer sees of the loss, and how it extends the solves that the loss makes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from isocline_compiler.graph import Fault, Node, Nodes, Region, everything, substitute, topological
from isocline_compiler.graph.called import Called
from isocline_compiler.graph.solve import SOLVE, Solve, choice_of, spec_of
from isocline_compiler.lower.field_values import FieldValues
from isocline_compiler.lower.weights import WeightTable
from isocline_compiler.passes.share import shared
from isocline_dsl import messages
from isocline_dsl.messages import noise


class LossContext:
    """The terms of the loss so far. A path integral replaces a solve by one with a further state, in every term."""

    def __init__(
        self,
        terms: Sequence[Node],
        table: WeightTable,
        parameters: Collection[str],
        fields: FieldValues | None = None,
        drawing: Callable[[str, tuple[int, ...]], Node] | None = None,
        solver: Callable[[], Called] | None = None,
    ) -> None:
        self.terms = tuple(terms)
        self._table = table
        self._parameters = parameters
        self._fields = fields
        self._drawing = drawing or _no_draws
        self._solver = solver
        self._replaced: list[tuple[Node, Node]] = []

    @property
    def weights(self) -> Sequence[Node]:
        """The trained weights of layers; declared parameters are not among them."""
        trained = [name for name, weight in self._table.weights.items() if weight.role == "trained"]
        return [self._table.leaves[name] for name in trained if name not in self._parameters]

    def solves(self, name: str) -> Sequence[Node]:
        """The solves of a field that the loss depends on, or that of one solution, as they are now. Raises `Fault` when
        there is none.

        A solve and its variations are one: what varies it goes along the same solution.
        """
        found: dict[str, Node] = {}
        for node in topological(self.terms):
            if node.op is SOLVE and name in (spec_of(node).field, choice_of(node)):
                known = found.get(choice_of(node))
                if known is None or spec_of(known).varies is not None:
                    found[choice_of(node)] = node
        if not found:
            looped = {spec_of(node).field for node in everything(self.terms) if node.op is SOLVE}
            if name in looped:
                raise Fault(lambda span: messages.not_available_yet(span, "a regularizer of solves in a `scan`"))
            raise Fault(lambda span: messages.solution_not_in_loss(span, name))
        return list(found.values())

    def draw(self, name: str, shape: tuple[int, ...]) -> Node:
        """Random signs, (batch, *shape), new for each sample and each step of training."""
        return self._drawing(name, shape)

    def beside(self, node: Node, field: str) -> tuple[Solve, Nodes]:
        """A solve that has captured what another field reads, and the slopes that field gives its states.

        Raises `Fault` unless both have the same states and the same noise, of which the other may have none.
        """
        assert self._fields is not None
        solve = Solve.of(node)
        other = self._fields.record(field, time_batched=solve.time.type.batched)
        own = [solve.spec.states[place] for place in solve.spec.own]
        if [(item.name, item.shape) for item in own] != [(item.name, item.shape) for item in other.spec.states]:
            raise Fault(lambda span: noise.prior_of_other_states(span, solve.spec.field, field, "its states differ"))
        pairs = zip(map(self.current, other.captured), other.captured_arguments, strict=True)
        solve, known = solve.capturing(list(pairs))
        known |= {other.time: solve.time}
        known |= {a: solve.state_arguments[b] for a, b in zip(other.state_arguments, solve.spec.own, strict=True)}
        region = Region(other.region.arguments, substitute(other.region.results, known))
        other = other.rebuilt(region=region)
        reason = _apart(solve, other)
        if reason is not None:
            raise Fault(lambda span: noise.prior_of_other_states(span, solve.spec.field, field, reason))
        return solve, other.slopes()

    def scheme(self, node: Node) -> Called:
        """What steps a solve in training: its own scheme, or the solver of the block."""
        own = spec_of(node).scheme
        if own is not None:
            return own
        assert self._solver is not None
        return self._solver()

    def replace(self, old: Node, new: Node) -> None:
        """Let every term use `new` where it used `old`."""
        self._replaced.append((old, new))
        self.terms = substitute(self.terms, {old: new})

    def current(self, node: Node) -> Node:
        """`node` as it is after all replacements, in their order."""
        for old, new in self._replaced:
            (node,) = substitute((node,), {old: new})
        return node


def _no_draws(name: str, shape: tuple[int, ...]) -> Node:
    raise AssertionError("nothing is drawn outside of a block `train`")


def _apart(solve: Solve, other: Solve) -> str | None:
    """Why the paths of two fields have no finite divergence: other factors of the noise, or, where there is no noise,
    another drift.
    """
    factors, others = _factors(solve), _factors(other)
    if others and (factors.keys() != others.keys() or not _same(factors, others)):
        return "its noise differs, in the factors or the order of its terms"
    driven = {state for state, *_ in factors}
    free = [place for place in solve.spec.own if solve.spec.states[place].name not in driven]
    slopes, given = dict(enumerate(solve.slopes(free))), dict(enumerate(other.slopes(free)))
    if not _same(slopes, given):
        names = ", ".join(f"`{solve.spec.states[place].name}`" for place in free)
        return f"{names} moves without noise, and not alike in both"
    return None


def _factors(solve: Solve) -> dict[tuple[object, ...], Node]:
    """What multiplies the noise, by state, noise and how they meet."""
    order = {noise.name: i for i, noise in enumerate(solve.spec.noises)}
    return {
        (solve.spec.states[state].name, order[str(term.noise)], term.product, term.entry): solve.region.results[place]
        for term, state, place in solve.spec.by_term()
        if term.kind == "diffusion"
    }


def _same(left: Mapping[Any, Node], right: Mapping[Any, Node]) -> bool:
    """Whether two sets of values are computed alike."""
    keys = list(left)
    found = shared([*(left[key] for key in keys), *(right[key] for key in keys)])
    return all(a is b for a, b in zip(found[: len(keys)], found[len(keys) :], strict=True))
