r"""Jumps at a state: each event is located inside its step, the states jump, the rest of the step is walked.

A step of a scheme goes from x at t to y at t + h. Where a switch g falls from zero or above to below zero on the way,
it is located on the cubic through x, h f(t, x), y, h f(t + h, y): theta in (0, 1) by a fixed number of halvings, which
keep a sign on either side, then of Newton's steps. The states there are those of the cubic, O(h^4) from the solution;
they jump, and the scheme steps over the rest, (1 - theta) h. Where there is no event, y stays as it is.

The last of Newton's steps carries the gradient: theta' = theta - g/(dg/dtheta) at a root has the derivative
-(dg/dp)/(dg/dtheta) by every p, which is that of the time of the event; the saltation of the states follows.
Hairer, Norsett, Wanner (1993), II.6; Aizerman, Gantmacher (1958), Quart. J. Mech. Appl. Math. 11.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from isocline_compiler.graph import Node, Nodes, Operand, constant, topological
from isocline_compiler.graph.terms import Event
from isocline_compiler.ops.arithmetic import MAXIMUM, MINIMUM
from isocline_compiler.ops.broadcasting import broadcast_like
from isocline_compiler.ops.comparison import AND, GREATER_EQUAL, LESS, NOT, OR, WHERE
from isocline_compiler.ops.elementwise import STOP_GRADIENT
from isocline_compiler.ops.shaping import SPREAD
from isocline_compiler.solvers.field import Field
from isocline_compiler.solvers.schemes.step import Memory, Step, Stepping, beside

HALVINGS, NEWTONS = 6, 2
"""Halvings of a step, and Newton's steps after them: 2^-6, then its square, and the square of that; one more carries
the gradient.
"""
STEEP = 1e-3
"""The least slope of a switch at its root, in that of the line from there to the end: one that grazes has none."""


@dataclass(frozen=True)
class Piece:
    """What is left of a step: from the states `x` at `t` to `y` at its end, a width away; of each sample its own."""

    t: Operand
    width: Operand
    x: Nodes
    y: Nodes


@dataclass(frozen=True)
class Cubic:
    """x + theta (a + theta (b + theta c)), state by state: the solution over a piece, and its derivative by theta."""

    piece: Piece
    a: Nodes
    b: Nodes
    c: Nodes

    @classmethod
    def of(cls, field: Field, piece: Piece, end: Operand) -> Cubic:
        """That of Hermite: through the ends of the piece, with the slopes there."""
        first, last = field(piece.t, piece.x), field(end, piece.y)
        a, b, c = [], [], []
        for x, y, k, last_k in zip(piece.x, piece.y, first, last, strict=True):
            width = beside(piece.width, x)
            begins, ends, way = width * k, width * last_k, y - x
            a.append(begins)
            b.append(3.0 * way - 2.0 * begins - ends)
            c.append(begins + ends - 2.0 * way)
        return cls(piece, tuple(a), tuple(b), tuple(c))

    def time(self, theta: Node) -> Node:
        return self.piece.t + theta * self.piece.width

    def at(self, theta: Node) -> Nodes:
        """The states at a part of the piece."""
        found = []
        for x, a, b, c in zip(self.piece.x, self.a, self.b, self.c, strict=True):
            s = beside(theta, x)
            found.append(x + s * (a + s * (b + s * c)))
        return tuple(found)

    def slope(self, theta: Node) -> Nodes:
        """dx/dtheta."""
        found = []
        for a, b, c in zip(self.a, self.b, self.c, strict=True):
            s = beside(theta, a)
            found.append(a + s * (2.0 * b + s * (3.0 * c)))
        return tuple(found)


@dataclass(frozen=True)
class Turn:
    """Of an event in the step that is taken, whether it waits for another one at its time, and whether it is over."""

    waits: Node | None = None
    over: Node | None = None


@dataclass(frozen=True)
class Crossing:
    """Where the switch of an event falls below zero on a piece: whether it does, and at which part of it."""

    event: Event
    happens: Node
    theta: Node


@dataclass(frozen=True)
class Cut:
    """What steps as a scheme does, and is cut at events."""

    inner: Stepping
    normals: int = 0

    def start(self, field: Field, x: Nodes) -> Memory:
        return None

    def advance(self, memory: Memory, field: Field, step: Step, x: Nodes) -> tuple[Memory, Nodes]:
        """One step, cut at the events in it."""
        return None, located(self.inner, field, step, x)


def located(inner: Stepping, field: Field, step: Step, x: Nodes) -> Nodes:
    """The states after a step that is cut at its events: as often as there are events, the first that is left.

    Each happens once: where its jump leaves its switch at zero, what is met again right behind it is rounding.
    """
    step = _of_each_sample(step, field, x)
    events = field.spec.events
    _, y = inner.advance(None, field, step, x)
    piece = Piece(step.t, step.h, x, y)
    turns = [Turn() for _ in events]
    for _ in events:
        cubic = Cubic.of(field, piece, step.end)
        crossings = [_crossing(field, cubic, step.end, event, turn) for event, turn in zip(events, turns, strict=True)]
        piece, turns = _after_first(inner, field, step, cubic, crossings, turns)
    return piece.y


def _of_each_sample(step: Step, field: Field, x: Nodes) -> Step:
    """The step with its times once for each sample, where the field reads the time."""
    if not field.solve.time.type.batched or field.solve.time not in topological(field.solve.region.results):
        return step
    t, end = (
        SPREAD(time if isinstance(time, Node) else constant(float(time)), x[0])
        if not isinstance(time, Node) or not time.type.batched
        else time
        for time in (step.t, step.end)
    )
    return replace(step, t=t, end=end)


def _crossing(field: Field, cubic: Cubic, end: Operand, event: Event, turn: Turn) -> Crossing:
    """Where a switch falls below zero on a piece.

    It begins at zero or above; where it waits for its turn, a value below zero at the beginning is rounding.
    """
    piece = cubic.piece
    zero = constant(0.0)
    begins = GREATER_EQUAL(field.result(event.switch, piece.t, piece.x), zero)
    behind = field.result(event.switch, end, piece.y)
    happens = AND(begins if turn.waits is None else OR(begins, turn.waits), LESS(behind, zero))
    if turn.over is not None:
        happens = AND(happens, NOT(turn.over))
    low, high = broadcast_like(zero, behind), broadcast_like(constant(1.0), behind)
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        above = GREATER_EQUAL(field.result(event.switch, cubic.time(middle), cubic.at(middle)), zero)
        low, high = WHERE(above, middle, low), WHERE(above, high, middle)
    theta = 0.5 * (low + high)
    for _ in range(NEWTONS):
        theta = STOP_GRADIENT(MINIMUM(MAXIMUM(_newton(field, cubic, event, theta, happens, behind), low), high))
    return Crossing(event, happens, _newton(field, cubic, event, theta, happens, behind))


def _newton(field: Field, cubic: Cubic, event: Event, theta: Node, happens: Node, behind: Node) -> Node:
    """theta - g/(dg/dtheta); any number where nothing happens."""
    t, x = cubic.time(theta), cubic.at(theta)
    g = field.result(event.switch, t, x)
    moving = broadcast_like(
        cubic.piece.width if isinstance(cubic.piece.width, Node) else constant(cubic.piece.width), g
    )
    rate = field.result_jvp(event.switch, t, x, moving, cubic.slope(theta))
    falling = WHERE(happens, MINIMUM(rate, STEEP * behind), -1.0)
    return theta - WHERE(happens, g, 0.0) / falling


def _after_first(
    inner: Stepping, field: Field, step: Step, cubic: Cubic, crossings: Sequence[Crossing], turns: Sequence[Turn]
) -> tuple[Piece, list[Turn]]:
    """The rest of a piece after the first of its crossings, of equal ones that of the file; and whose turn it is."""
    piece = cubic.piece
    anything, theta, chosen = (
        crossings[0].happens,
        WHERE(crossings[0].happens, crossings[0].theta, 1.0),
        [crossings[0].happens],
    )
    for item in crossings[1:]:
        earlier = AND(item.happens, OR(LESS(item.theta, theta), NOT(anything)))
        chosen = [*(AND(takes, NOT(earlier)) for takes in chosen), earlier]
        anything, theta = OR(anything, item.happens), WHERE(earlier, item.theta, theta)
    t, before = cubic.time(theta), cubic.at(theta)
    after = before
    for item, takes in zip(crossings, chosen, strict=True):
        jumped = list(before)
        for state, result in item.event.jumps:
            jumped[state] = field.result(result, t, before)
        after = tuple(_chosen(takes, new, old) for new, old in zip(jumped, after, strict=True))
    begins = tuple(_chosen(anything, new, old) for new, old in zip(after, piece.x, strict=True))
    start = WHERE(anything, t, piece.t)
    width = WHERE(anything, (1.0 - theta) * piece.width, piece.width)
    widths = tuple(beside(width, x) for x in begins)
    _, stepped = inner.advance(None, field, replace(step, t=start, h=width, widths=widths, even=False), begins)
    y = tuple(_chosen(anything, new, old) for new, old in zip(stepped, piece.y, strict=True))
    after_it = []
    for item, takes, turn in zip(crossings, chosen, turns, strict=True):
        unchanged = GREATER_EQUAL(field.result(item.event.switch, t, after), field.result(item.event.switch, t, before))
        waits = AND(AND(item.happens, NOT(takes)), unchanged)
        after_it.append(Turn(waits, takes if turn.over is None else OR(turn.over, takes)))
    return Piece(start, width, begins, y), after_it


def _chosen(condition: Node, new: Node, old: Node) -> Node:
    """`new` of the samples in which it holds, in the shape of the states."""
    if new is old:
        return old
    found = beside(condition, old)
    assert isinstance(found, Node)
    return WHERE(found, new, old)
