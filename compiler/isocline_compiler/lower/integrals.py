"""`integral(expression, over=solution)`: the expression is lowered within the region of the solution's solve."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from isocline_compiler.graph import Fault, Node, at, substitute
from isocline_compiler.graph.solve import Solve
from isocline_compiler.lower.expressions import Expressions, Frame, Solution, Value
from isocline_compiler.lower.faults import LowerError
from isocline_compiler.lower.field_body import Captures, refuse_batch_norm
from isocline_compiler.vocabulary.functions.record import bind
from isocline_compiler.vocabulary.integral import INTEGRAL, along
from isocline_dsl import messages, tree

Jumping: TypeAlias = "Callable[[tree.Call, tree.Expression, tree.Expression, Expressions], Node | None]"
"""(call, its expression, the solution it is along, what is around it) -> the integral along a solution that jumps at
known times; None of any other."""


def integral(
    call: tree.Call,
    arguments: Sequence[tree.Expression],
    outer: Expressions,
    declared: Mapping[str, Any],
    jumping: Jumping,
) -> Node:
    """The value of a call. `outer` lowers what is around it, `declared` are the declarations of the file."""
    keywords = [(item.name.text, item.value) for item in call.keywords]
    try:
        given = {parameter.name: value for parameter, value in bind(INTEGRAL, arguments, keywords)}
    except Fault as fault:
        raise LowerError(fault.make(call.span)) from None
    over, expression = given["over"], given["expression"]
    found = outer.value(over)
    if not isinstance(found, Solution):
        raise LowerError(messages.integral_over_no_solution(over.span))
    if found.solve is None:
        jumped = jumping(call, expression, over, outer)
        if jumped is None:
            what = "an integral along the states of a `scan` (a state is one: `area = area + x`)"
            raise LowerError(messages.not_available_yet(over.span, what))
        return jumped
    solve = Solve.of(found.solve)
    field = declared[solve.spec.field]
    captures = Captures(outer.frame.lookup)
    outer.frame.scope.table.bodies.append(captures.body)
    states = frozenset(argument.name.text for argument in field.states)
    frame = Frame(outer.frame.scope, captures.lookup, _names(solve, field), states)
    inside = Expressions(frame, outer.numbers, outer.nets, outer.call_net)
    value = inside.node(expression)
    refuse_batch_norm([value])
    solve, known = solve.capturing(list(captures.found.items()))
    with at(call.span):
        return along(solve, *substitute([value], known))


def _names(solve: Solve, field: tree.Field) -> dict[str, Value]:
    """What the names of the field mean in its region: the time, the states, and how they move."""
    own = [solve.spec.states[place].name for place in solve.spec.own]
    states = dict(zip(own, (solve.state_arguments[place] for place in solve.spec.own), strict=True))
    slopes = dict(zip((f"{name}'" for name in own), solve.slopes(solve.spec.own), strict=True))
    return {**slopes, **states, field.time.text: solve.time}
