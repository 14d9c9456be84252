"""Which names an expression uses, and whether they may stand there."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from isocline_dsl import tree
from isocline_dsl.diagnostics import Diagnostic
from isocline_dsl.messages import delays, driven, dynamics, names, noise, scans, sharing
from isocline_dsl.messages.message import nearest
from isocline_dsl.scopes import BUILT_IN, VALUES, Meaning, Scope

INTEGRAL = "integral"
"""The one function that names mean something else in."""

MOST_SUGGESTIONS = 50
"""For mistakes beyond these nothing is suggested."""


@dataclass(frozen=True)
class Place:
    """Where an expression stands: the names it sees, and what is allowed there.

    `training`: targets may be used, and fields be named. `words`: a name that means nothing is a word, such
    as `zeros` in `init=zeros`, and calls are not looked up. `slopes`: how often each state may be derived in
    time, where it is not the equations of a field that say so.
    """

    scope: Scope
    training: bool = False
    words: bool = False
    any_call: bool = False
    slopes: Mapping[str, int] | None = None


@dataclass
class Uses:
    """Reads expressions; collects what is wrong in `found`. `orders` holds the order of each state of each field,
    `solved` the field of each solution; `valued` are keywords, each behind its function, that stand before a value
    where the others stand before a word; `elsewhere` says where names stand that are no functions.
    """

    functions: Collection[str]
    valued: Collection[tuple[str, str]] = frozenset()
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    orders: dict[str, dict[str, int]] = field(default_factory=dict)
    solved: dict[str, tree.Field] = field(default_factory=dict)
    attributes: frozenset[str] = frozenset()
    """What is read of solutions: `current` of `path.current`."""
    found: list[Diagnostic] = field(default_factory=list)
    targets: list[tuple[str | None, tree.Name]] = field(default_factory=list)
    """Where targets stand outside of training, each with the declaration that reads it."""

    def read(self, node: tree.Node, place: Place) -> None:
        """Everything in an expression, from left to right."""
        match node:
            case tree.Name():
                self._name(node, place)
            case tree.Derivative():
                self._derivative(node, place)
            case tree.Call():
                self._call(node, place)
            case tree.Pipe(value=value, stage=stage) if self._integrates(stage, place):
                self._integral(replace(stage, arguments=(value, *stage.arguments)), place)
            case tree.Keyword(value=value):
                self.read(value, replace(place, words=True))
            case tree.Attribute(value=tree.Name(text=solution)) if solution in self.solved:
                self.read(node.value, place)
                self._read_of_solution(node, self.solved[solution])
            case tree.Solve():
                self._solve(node, place)
            case tree.Scan():
                self._scan(node, place)
            case _:
                for child in node.children():
                    self.read(child, place)

    # ------------------------------------------------------------------------------------------------ names

    def _name(self, node: tree.Name, place: Place) -> None:
        if node.text in BUILT_IN:
            return
        meaning = place.scope.find(node.text)
        if meaning is not None:
            place.scope.use(node.text)
            self._allowed(node, meaning, place)
        elif _is_differential(node.text, place.scope):
            place.scope.use(node.text[1:])
            self.found.append(noise.differential_out_of_place(node.span, node.text))
        elif not place.words:
            known = self._suggested(place.scope, *VALUES)
            self.found.append(names.unknown_name(node.span, node.text, known))
            self._meant(node.text, known, place.scope)

    def _suggested(self, scope: Scope, *kinds: str) -> set[str]:
        """The names that may have been meant; none where a file has more mistakes than anyone would read."""
        return scope.of_kind(*kinds) if len(self.found) < MOST_SUGGESTIONS else set()

    def _meant(self, name: str, known: Collection[str], scope: Scope) -> None:
        """The name that was most likely meant counts as used: one mistake, one message."""
        near = nearest(name, known)
        if near is not None:
            scope.use(near)

    def _allowed(self, node: tree.Name, meaning: Meaning, place: Place) -> None:
        net = next((scope.net for scope in place.scope.enclosing() if scope.net), None)
        around = place.scope.find(net) if net is not None else None
        function = around is not None and around.kind == "function"
        if meaning.kind == "target" and net is None and not place.training:
            self.targets.append((place.scope.declaration(), node))
        elif net is not None and meaning.kind in ("input", "value", "output", "target"):
            self.found.append(
                names.not_captured(node.span, node.text, net, meaning.kind, "function" if function else "net")
            )
        elif net is not None and function and meaning.kind == "parameter":
            self.found.append(
                sharing.function_has_weights(node.span, net, f"reads the parameter `{node.text}`", node.text)
            )
        elif meaning.kind in ("net", "function", "field", "noise") and not (place.training or place.words):
            self.found.append(names.not_a_value(node.span, node.text, meaning.kind))

    def _read_of_solution(self, node: tree.Attribute, solved: tree.Field) -> None:
        """`path.x`: a state of the field, or what it defines."""
        known = {state.name.text for state in solved.states}
        known |= {line.name.text for line in solved.body if isinstance(line, tree.Assign)}
        if node.name.text not in known:
            self.found.append(dynamics.unknown_state(node.name.span, node.name.text, sorted(known)))

    def _derivative(self, node: tree.Derivative, place: Place) -> None:
        meaning = place.scope.find(node.name.text)
        if meaning is None:
            states = place.scope.of_kind("state")
            self.found += [] if place.words else [names.unknown_name(node.name.span, node.name.text, states)]
        elif meaning.kind == "state" and place.slopes is not None:
            if node.order > place.slopes[node.name.text]:
                known = place.slopes[node.name.text]
                self.found.append(dynamics.slope_of_higher_order(node.span, node.name.text, known))
        elif meaning.kind != "state" or not self._second_order(node.name.text, place.scope):
            self.found.append(dynamics.derivative_of_first_order(node.span, node.name.text))
        elif node.order > 1:
            self.found.append(dynamics.order_too_high(node.span, node.name.text, node.order))

    def _second_order(self, state: str, scope: Scope) -> bool:
        return self.orders.get(scope.declaration() or "", {}).get(state, 1) >= 2

    def _call(self, node: tree.Call, place: Place) -> None:
        if not (place.words or place.any_call):
            self._callee(node, place.scope)
        elif place.scope.find(node.name.text) is not None:
            place.scope.use(node.name.text)
        if self._integrates(node, place):
            self._integral(node, place)
            return
        for argument in (*node.arguments, *node.keywords):
            if isinstance(argument, tree.Keyword) and (node.name.text, argument.name.text) in self.valued:
                self.read(argument.value, place)
            else:
                self.read(argument, place)

    def _integrates(self, node: tree.Call, place: Place) -> bool:
        return node.name.text == INTEGRAL and place.scope.find(INTEGRAL) is None

    def _integral(self, node: tree.Call, place: Place) -> None:
        """`integral(expression, over=solution)`: within it the names of the solution's field mean its time and states.

        Where no solution is named, that is told when the call is lowered, and names are not looked for.
        """
        over = next((item.value for item in node.keywords if item.name.text == "over"), None)
        solved = self.solved.get(over.text) if isinstance(over, tree.Name) else None
        inside = replace(place, words=True)
        if over is not None:
            self.read(over, place)
        if solved is not None:
            scope = Scope(place.scope)
            scope.declare(solved.time, "time")
            for state in solved.states:
                scope.declare(state.name, "state")
            inside = replace(place, scope=scope, slopes=self.orders[solved.name.text])
        for argument in (*node.arguments, *(item.value for item in node.keywords if item.value is not over)):
            self.read(argument, inside)

    def _callee(self, node: tree.Call, scope: Scope) -> None:
        name, meaning = node.name.text, scope.find(node.name.text)
        if name.endswith("'"):
            self._slope(node, name.rstrip("'"), scope)
            return
        if meaning is not None:
            scope.use(name)
        if meaning is not None and meaning.kind in ("net", "function", "state", "control"):
            self._called_in_function(node, meaning, scope)
            return
        if name in self.functions:
            return
        if meaning is not None:
            orders = self.orders.get(name, {})
            states = tuple(state + "'" * k for state, order in orders.items() for k in range(order))
            self.found.append(names.not_callable(node.name.span, name, meaning.kind, states))
        else:
            known = {*self.functions, *self._suggested(scope, "net", "function")}
            self.found.append(names.unknown_function(node.name.span, name, known, self.elsewhere.get(name)))

    def _slope(self, node: tree.Call, name: str, scope: Scope) -> None:
        """`u'(t)`: of a control its slope; that of a state, at another time, is none that is known."""
        meaning = scope.find(name)
        if meaning is None or meaning.kind != "control":
            self.found.append(delays.delay_neutral(node.span, name))
            return
        scope.use(name)
        if node.name.text != f"{name}'":
            self.found.append(driven.control_slope_of_higher_order(node.name.span, name))

    def _called_in_function(self, node: tree.Call, called: Meaning, scope: Scope) -> None:
        """A function calls no net: its weights would be the function's."""
        around = next((item.net for item in scope.enclosing() if item.net), None)
        meaning = scope.find(around) if around is not None else None
        if around is not None and meaning is not None and meaning.kind == "function" and called.kind == "net":
            what = f"calls the net `{node.name.text}`"
            self.found.append(sharing.function_has_weights(node.name.span, around, what))

    # -------------------------------------------------------------------------------------- solves and scans

    def _solve(self, node: tree.Solve, place: Place) -> None:
        self._solved_field(node, place.scope)
        for binding in node.initial:
            self._started(binding, place)
        self.read(node.times, place)
        if node.scheme is not None:
            self.read(node.scheme, replace(place, any_call=True))
        if node.samples is not None:
            self.read(node.samples, place)

    def _started(self, binding: tree.Binding, place: Place) -> None:
        """Where a state starts; a history sees the time that it names."""
        if binding.time is None:
            self.read(binding.value, place)
            return
        scope = Scope(place.scope)
        scope.declare(binding.time, "time")
        self.read(binding.value, replace(place, scope=scope))

    def _solved_field(self, node: tree.Solve, scope: Scope) -> None:
        name, meaning = node.field.text, scope.find(node.field.text)
        fields = self._suggested(scope, "field")
        if meaning is None or meaning.kind != "field":
            kind = f"a {meaning.kind}" if meaning else ""
            self.found.append(dynamics.solve_of_no_field(node.field.span, name, kind, fields))
            self._meant(name, fields, scope)
            return
        scope.use(name)
        self._starts(node, self.orders.get(name, {}))

    def _starts(self, node: tree.Solve, orders: dict[str, int]) -> None:
        wanted = [state + "'" * k for state, order in orders.items() for k in range(min(order, 2))]
        first: dict[str, tree.Span] = {}
        for binding in node.initial:
            name = binding.name.text + "'" * binding.order
            if name not in wanted:
                self.found.append(dynamics.start_of_no_state(binding.name.span, name, node.field.text, wanted))
            elif name in first:
                self.found.append(dynamics.start_twice(binding.name.span, name, first[name]))
            first.setdefault(name, binding.name.span)
        misspelt = any(name not in wanted for name in first)
        for state in () if misspelt else wanted:
            if state not in first:
                self.found.append(dynamics.state_without_start(node.span, state, node.field.text))

    def _scan(self, node: tree.Scan, place: Place) -> None:
        """The rows and the states are known in the body, whose assignments follow one another."""
        for sequence in node.over:
            self.read(sequence, place)
        inner = Scope(place.scope)
        for binding in node.initial:
            if binding.time is not None:
                self.found.append(delays.scan_history(binding.span, binding.name.text))
            self._started(binding, place)
        for name, kind in (*((item.name, "state") for item in node.initial), *((x, "argument") for x in node.names)):
            if name.text in inner.names:
                self.found.append(scans.scan_name_twice(name.span, name.text))
            inner.declare(name, kind)
        for statement in node.body:
            if isinstance(statement, tree.Assign):
                self.read(statement.value, replace(place, scope=inner))
                inner.declare(statement.name, "definition")
            else:
                self.found.append(scans.scan_statement(statement.span, _described(statement)))
        if not self._carried(node):
            return  # what is unused was meant to be the state
        for local, meaning in inner.names.items():
            if meaning.kind == "definition" and local not in inner.used:
                self.found.append(names.unused_name(meaning.span, meaning.kind, local))

    def _carried(self, node: tree.Scan) -> bool:
        """Whether the body changes every state."""
        changed = {line.name.text for line in node.body if isinstance(line, tree.Assign)}
        kept = [binding.name for binding in node.initial if binding.name.text not in changed]
        self.found += [dynamics.scan_carries_nothing(name.span, name.text) for name in kept]
        return not kept


def _described(statement: tree.Statement) -> str:
    return "noise" if isinstance(statement, tree.NoiseDeclaration) else "an equation"


def _is_differential(name: str, scope: Scope) -> bool:
    """Whether a name is that of a noise, or of the time of a field, behind a `d`."""
    meaning = scope.find(name[1:]) if name.startswith("d") and len(name) > 1 else None
    return meaning is not None and meaning.kind in ("noise", "time")
