"""Inside a field: states and their equations balance, definitions are used, differentials are known."""

from __future__ import annotations

from collections.abc import Iterator

from isocline_dsl import tree
from isocline_dsl.diagnostics import Diagnostic
from isocline_dsl.messages import dynamics, jumps, names, noise
from isocline_dsl.scopes import BUILT_IN, Scope, circles
from isocline_dsl.uses import Place, Uses

_MAY_BE_HIDDEN = frozenset({"value", "output", "input", "target"})


def orders(field: tree.Field) -> dict[str, int]:
    """The order of each state's equation; 1 where the equation is missing."""
    found = {argument.name.text: 1 for argument in field.states}
    for line in field.body:
        if isinstance(line, tree.Equation) and line.state.text in found:
            found[line.state.text] = max(found[line.state.text], line.order)
    return found


def read_field(field: tree.Field, file: Scope, uses: Uses) -> None:
    """All that can be said of a field without types; what is wrong goes to `uses.found`."""
    scope = _scope(field, file, uses)
    noises: set[str] = set()
    for line in field.body:
        if isinstance(line, tree.Jump):
            _read_jump(line, field, file, uses)
            continue
        if isinstance(line, tree.Event):
            scope.current = None
            uses.read(line.condition, Place(scope))
            _read_replaced(line, field, Scope(scope), uses)
            continue
        scope.current = line.name.text if isinstance(line, tree.Assign) else None
        for child in line.children():
            _read_part(child, scope, field, uses, noises)
    uses.found += _balance(field)
    uses.found += _leftovers(field, scope, noises, uses.attributes)
    uses.found += _circles(scope)


def _read_jump(jump: tree.Jump, field: tree.Field, file: Scope, uses: Uses) -> None:
    """The times belong to the file. The body sees states and time, and assigns states and values of its own in turn."""
    for item in jump.over:
        uses.read(item, Place(file))
    if jump.names and len(jump.names) != len(jump.over):
        uses.found.append(jumps.jump_names(jump.names[0].span, len(jump.names), len(jump.over)))
    scope = Scope(file)
    scope.declare(field.time, "time")
    for state in field.states:
        scope.declare(state.name, "state")
    for name in jump.names:
        _declare(scope, name, "argument", uses)
    _read_replaced(jump, field, scope, uses)


def _read_replaced(jump: tree.Jump | tree.Event, field: tree.Field, scope: Scope, uses: Uses) -> None:
    """The body of a jump, in a scope that sees states and time: states and values of its own, assigned in turn."""
    word = "when" if isinstance(jump, tree.Event) else "at"
    states = {state.name.text for state in field.states}
    second = {state for state, order in uses.orders.get(field.name.text, {}).items() if order == 2}
    turned = False
    for line in jump.body:
        if isinstance(line, tree.Equation) and line.order == 1 and line.state.text in second:
            uses.read(line.value, Place(scope))
            turned = True
        elif not isinstance(line, tree.Assign):
            uses.found.append(jumps.jump_statement(line.span, word))
        else:
            uses.read(line.value, Place(scope))
            if line.name.text not in states:
                scope.declare(line.name, "definition")
    assigned = [line.name for line in jump.body if isinstance(line, tree.Assign)]
    if turned or any(name.text in states for name in assigned):
        uses.found += _unused(scope, "definition")
    elif len(assigned) == len(jump.body):
        named = assigned[0] if len(assigned) == 1 else None
        place = jump.span if named is None else named.span
        uses.found.append(jumps.jump_changes_nothing(place, named.text if named else "", sorted(states)))


def _scope(field: tree.Field, file: Scope, uses: Uses) -> Scope:
    scope = Scope(file)
    _declare(scope, field.time, "time", uses)
    for argument in field.states:
        _declare(scope, argument.name, "state", uses)
    for line in field.body:
        if isinstance(line, tree.Assign):
            _declare(scope, line.name, "definition", uses)
        elif isinstance(line, tree.NoiseDeclaration):
            _declare(scope, line.name, "noise", uses)
    return scope


def _declare(scope: Scope, name: tree.Identifier, kind: str, uses: Uses, hides: bool = False) -> None:
    """Declare a local name; report a second one, and, unless it `hides`, one that hides a name of the file."""
    first = scope.names.get(name.text)
    hidden = scope.outer.find(name.text) if scope.outer else None
    if name.text in BUILT_IN:
        uses.found.append(names.reserved_name(name.span, name.text))
    elif first is not None:
        uses.found.append(names.duplicate_name(name.span, name.text, first.span))
    elif hides:
        pass
    elif hidden is not None and hidden.kind == "output" and name.text in uses.attributes:
        pass  # `output current = path.current`
    elif hidden is not None and (kind == "definition" or hidden.kind not in _MAY_BE_HIDDEN):
        uses.found.append(names.shadowed_name(name.span, name.text, hidden.span))
    scope.declare(name, kind)


def read_net(net: tree.Net, file: Scope, uses: Uses) -> None:
    """A net sees its arguments, constants, parameters and other nets; it uses all of its arguments.

    The names of a function are its own: whatever the models that share it call theirs.
    """
    scope = Scope(file, net=net.name.text)
    hides = isinstance(net, tree.Function)
    for argument in net.arguments:
        _declare(scope, argument.name, "argument", uses, hides)
    for line in net.body:
        _declare(scope, line.name, "definition", uses, hides)
    for line in net.body:
        scope.current = line.name.text
        uses.read(line.value, Place(scope))
    scope.current = None
    uses.read(net.result, Place(scope))
    uses.found += _unused(scope, "argument", "definition")
    uses.found += _circles(scope)


def _read_part(part: tree.Node, scope: Scope, field: tree.Field, uses: Uses, noises: set[str]) -> None:
    if isinstance(part, tree.Term):
        if part.factor is not None:
            uses.read(part.factor, Place(scope))
        if part.entry is not None:
            uses.read(part.entry, Place(scope))
        _differential(part, scope, field, uses, noises)
    elif not isinstance(part, tree.Identifier | tree.TypeName):
        uses.read(part, Place(scope))


def _differential(part: tree.Term, scope: Scope, field: tree.Field, uses: Uses, noises: set[str]) -> None:
    name = part.differential
    known = {"d" + other for other in {field.time.text, *scope.of_kind("noise", "control")}}
    if name.text not in known:
        uses.found.append(dynamics.unknown_differential(name.span, name.text, known))
        return
    if name.text[1:] == field.time.text and (part.entry is not None or part.product):
        uses.found.append(noise.entry_of_time(name.span, name.text))
    noises.add(name.text[1:])
    scope.use(name.text[1:])


def _balance(field: tree.Field) -> Iterator[Diagnostic]:
    """Each state has one equation, each equation one state."""
    states = [argument.name.text for argument in field.states]
    first: dict[str, tree.Span] = {}
    lines = [line for line in field.body if isinstance(line, (tree.Equation, tree.Differential))]
    for line in lines:
        name = line.state.text
        if name not in states:
            yield dynamics.equation_without_state(line.state.span, name, field.name.text, states)
        elif name in first:
            yield dynamics.equation_twice(line.state.span, name, first[name])
        if isinstance(line, tree.Equation) and line.order > 2:
            yield dynamics.order_too_high(line.state.span, name, line.order)
        first.setdefault(name, line.state.span)
    for argument in field.states:
        if argument.name.text not in first:
            yield dynamics.state_without_equation(argument.name.span, argument.name.text, field.name.text)


def _leftovers(field: tree.Field, scope: Scope, noises: set[str], read_along: frozenset[str]) -> Iterator[Diagnostic]:
    scope.used |= read_along
    yield from _unused(scope, "definition")
    for line in field.body:
        if isinstance(line, tree.NoiseDeclaration) and line.name.text not in noises | scope.used:
            yield dynamics.noise_unused(line.name.span, line.name.text)


def _unused(scope: Scope, *kinds: str) -> Iterator[Diagnostic]:
    for name, meaning in scope.names.items():
        if meaning.kind in kinds and name not in scope.used:
            yield names.unused_name(meaning.span, meaning.kind, name)


def _circles(scope: Scope) -> Iterator[Diagnostic]:
    for circle in circles(scope.edges):
        yield names.definition_cycle(scope.names[circle[0]].span, circle)
