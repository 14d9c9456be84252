r"""Mean and covariance of a transition of a stochastic equation, to second order in its time h.

    dx = f dt + g dW,    L phi = d phi/dt + (D phi) f + 1/2 sum_k (D^2 phi)[g_k, g_k],    S = sum_k g_k g_k^T
    E x(t+h) = x + h f + h^2/2 L f
    Cov x(t+h) = h (S + h/2 W + h^2/8 W S^{-1} W),    W = L S + J S + S J^T,    J = df/dx

Both follow from E phi(x(t+h)) = phi + h L phi + h^2/2 L L phi + O(h^3), for phi = x and phi = x x^T. The last term
of the covariance is below their order and makes 1 + a + a^2/2 of 1 + a: it is positive definite at any h, where a
search for parameters may try rates far beyond 1/h.
Kessler (1997), Scandinavian Journal of Statistics 24, 211-229.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from isocline_compiler.derivatives.reverse_forward import push_forward
from isocline_compiler.graph import ARGUMENT, Fault, Node, Nodes, constant, leaf, substitute
from isocline_compiler.ops.broadcasting import broadcast_like
from isocline_compiler.solvers.field import Field
from isocline_compiler.vocabulary.gaussian import Factors, total
from isocline_compiler.vocabulary.spread_of_noise import MOST, beside, columns_of, entries_of, flat_entries
from isocline_dsl.messages import noise as messages


@dataclass(frozen=True)
class Moments:
    """How far the mean moves, one node for each state, and the factors of the covariance over all entries."""

    shift: Nodes
    factors: Factors


def transition_moments(callee: str, field: Field, t: Node, x: Nodes, h: Node) -> Moments:
    """What a time h, one for each sample, does to states x. Raises `Fault` beyond `MOST` entries of states."""
    spec = field.spec
    count = sum(entries_of(spec, place) for place in range(len(spec.states)))
    if count > MOST:
        reason = f"has {count} entries of its states, and its moments are written out for {MOST} at most"
        raise Fault(lambda span: messages.density_without_noise(span, callee, spec.field, reason))
    local = _Local(field)
    columns = columns_of(field, field.solve.time, local.states, range(len(local.states)))
    g = [flat_entries(column) for column in columns]
    turned = [flat_entries(local.along(local.slopes, column)) for column in columns]
    pairs = [(i, j) for i in range(count) for j in range(i + 1)]
    spread = [total([a[i] * a[j] for a in g]) for i, j in pairs]
    mixed = [total([b[i] * a[j] + a[i] * b[j] for a, b in zip(g, turned, strict=True)]) for i, j in pairs]
    generated = [a + b for a, b in zip(local.generated(spread, columns), mixed, strict=True)]
    found = iter(field.filled([*local.slopes, *local.generated(local.slopes, columns), *spread, *generated], t, x))
    first, second = ([next(found) for _ in local.states] for _ in range(2))
    s, w = ({pair: next(found) for pair in pairs} for _ in range(2))
    half = 0.5 * (h * h)
    shift = tuple(beside(h, a) * a + beside(half, b) * b for a, b in zip(first, second, strict=True))
    bent = Factors.of([[s[i, j] for j in range(i + 1)] for i in range(count)]).whitened(
        [[w[max(i, j), min(i, j)] for i in range(count)] for j in range(count)]
    )
    last = 0.125 * (h * h * h)
    covariance = [
        [h * s[i, j] + half * w[i, j] + last * total([a * b for a, b in zip(bent[i], bent[j], strict=True)])
         for j in range(i + 1)]
        for i in range(count)
    ]  # fmt: skip
    return Moments(shift, Factors.of(covariance))


class _Local:
    """Derivatives of functions of the arguments (t, x) of a field."""

    def __init__(self, field: Field) -> None:
        self.time, self.states = field.solve.time, field.solve.state_arguments
        self.slopes = field(self.time, self.states)

    def along(self, values: Sequence[Node], direction: Sequence[Node]) -> Nodes:
        """(D phi) v with respect to the states."""
        return self._moved(values, self.states, direction)

    def generated(self, values: Sequence[Node], columns: Sequence[Nodes]) -> Nodes:
        """L phi: along v = g_k the second derivative is taken with v held, so of a leaf that g_k then replaces."""
        probes = tuple(leaf(ARGUMENT, f"g{i}", x.type) for i, x in enumerate(self.states))
        bent = self.along(self.along(values, probes), probes)
        parts = [substitute(bent, dict(zip(probes, column, strict=True))) for column in columns]
        parts.append(self.along(values, self.slopes))
        parts.append(self._moved(values, [self.time], [broadcast_like(constant(1.0), self.time)]))
        weights = [*[0.5] * len(columns), 1.0, 1.0]
        return tuple(total([w * x for w, x in zip(weights, some, strict=True)]) for some in zip(*parts, strict=True))

    def _moved(self, values: Sequence[Node], wrt: Sequence[Node], direction: Sequence[Node]) -> Nodes:
        (found,) = push_forward(values, wrt, [tuple(broadcast_like(v, x) for v, x in zip(direction, wrt, strict=True))])
        return tuple(0.0 * y if moved is None else moved for y, moved in zip(values, found, strict=True))
