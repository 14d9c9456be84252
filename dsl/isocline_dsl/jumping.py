"""Inside the jumps of a field: what they go over is known outside of it, and what they assign are its states."""

from __future__ import annotations

from collections.abc import Iterator

from isocline_dsl import tree
from isocline_dsl.diagnostics import Diagnostic
from isocline_dsl.messages import dynamics, jumps, names
from isocline_dsl.scopes import Scope
from isocline_dsl.uses import Place, Uses

_WORDS = {
    tree.Differential: "a differential equation",
    tree.NoiseDeclaration: "noise",
    tree.Jump: "a jump",
}


def read_jump(jump: tree.Jump, field: tree.Field, file: Scope, uses: Uses) -> None:
    """The names of one jump. Its body sees the time, the states and its rows, and no definition of the field: that is
    of the states as they move.
    """
    for value in jump.over:
        uses.read(value, Place(file))
    scope = Scope(file)
    for name, kind in (
        (field.time, "time"),
        *((state.name, "state") for state in field.states),
        *((name, "argument") for name in jump.names),
    ):
        if name.text in scope.names:
            uses.found.append(names.duplicate_name(name.span, name.text, scope.names[name.text].span))
        scope.declare(name, kind)
    for line in jump.body:
        if isinstance(line, tree.Assign | tree.Equation):
            uses.read(line.value, Place(scope))
    uses.found += _assigned(jump, field, uses.orders.get(field.name.text, {}))


def _assigned(jump: tree.Jump, field: tree.Field, orders: dict[str, int]) -> Iterator[Diagnostic]:
    """New values for states, and for velocities of those of second order, and nothing else."""
    for line in jump.body:
        match line:
            case tree.Assign(name=name):
                if name.text not in orders:
                    yield jumps.jump_of_no_state(name.span, name.text, field.name.text, list(orders))
            case tree.Equation(state=state, order=order) if state.text in orders:
                if orders[state.text] < 2:
                    yield jumps.jump_statement(line.span, "an equation")
                elif order > 1:
                    yield dynamics.order_too_high(state.span, state.text, order)
            case tree.Equation(state=state):
                yield jumps.jump_of_no_state(state.span, state.text, field.name.text, list(orders))
            case _:
                yield jumps.jump_statement(line.span, _WORDS[type(line)])


__all__ = ["read_jump"]
