"""`check lipschitz(f) <= 1`, `check contracting(f)` and `check stable(path)` to what is to be proved."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

from isocline_compiler.graph import ARGUMENT, INPUT, Graph, Node, everything, leaf
from isocline_compiler.graph.solve import SOLVE, Solve, spec_of
from isocline_compiler.graph.tensor_type import BATCH, TensorType
from isocline_compiler.lower.faults import LowerError, Poisoned
from isocline_compiler.lower.values import FileValues
from isocline_compiler.model import ProvedCheck
from isocline_dsl import messages, tree
from isocline_dsl.messages import calls

BOUNDED = "lipschitz"
ALONE: Mapping[str, tuple[str, float]] = {"contracting": ("rate", 0.0), "stable": ("growth", 1.000001)}
"""What is compared with a number, and what holds or does not, with the option that says by how much: a millionth is for
rounding."""
RELATIONS = ("<", "<=")


class ProofLowering:
    """Checks that are proved of nets, outputs, fields and solutions of a file."""

    def __init__(self, values: FileValues, outputs: Mapping[str, Node]) -> None:
        self.values = values
        self.outputs = outputs

    def reads(self, setting: tree.Setting) -> bool:
        """Whether a `check` is one of these."""
        return any(_call_of(value) is not None for value in setting.values)

    def lower(self, setting: tree.Setting) -> ProvedCheck:
        """The check with its subject found. Raises LowerError and Poisoned."""
        if len(setting.values) != 1:
            raise Poisoned
        value = setting.values[0]
        call = _call_of(value)
        assert call is not None
        kind, text = call.name.text, self.values.excerpt(value)
        subject = _subject(call)
        if kind == BOUNDED:
            bound, strict = self._bound(value, call)
            graph, ranges = self._function(call, subject), self._ranges(call, ())
            known = [str(item.attrs["name"]) for item in graph.inputs]
            return self._checked(
                call, ProvedCheck("lipschitz", subject, bound, text, strict, graph, ranges, setting.span), known
            )
        if not isinstance(value, tree.Call):
            raise LowerError(messages.proof_form(value.span, kind, f"{kind}({subject})"))
        option, default = ALONE[kind]
        stated = [item.value for item in call.keywords if item.name.text == option]
        bound = float(self.values.numbers.real(stated[0])) if stated else default
        if kind == "stable" and not bound > 0:
            raise LowerError(calls.wrong_argument(stated[0].span, kind, option, "a number above 0", f"{bound:g}"))
        states = self._states(call, subject)
        found = ProvedCheck(
            "contracting" if kind == "contracting" else "stable", subject, bound, text,
            within=self._ranges(call, (option,)), span=setting.span,
        )  # fmt: skip
        return self._checked(call, found, states)

    def _bound(self, value: tree.Node, call: tree.Call) -> tuple[float, bool]:
        form = messages.proof_form(value.span, BOUNDED, f"{BOUNDED}({_subject(call)}) <= 1")
        if not isinstance(value, tree.Binary) or value.left is not call or value.operator not in RELATIONS:
            raise LowerError(form)
        if not self.values.numbers.is_known(value.right):
            raise LowerError(form)
        return float(self.values.numbers.real(value.right)), value.operator == "<"

    def _function(self, call: tree.Call, subject: str) -> Graph:
        """A net as a graph over its arguments, or an output as one over the inputs of the model."""
        declaration = self.values.declared.get(subject)
        if isinstance(declaration, tree.Net):
            leaves = []
            for argument in declaration.arguments:
                if argument.type is None:
                    raise Poisoned
                sizes = self.values.numbers.sizes(argument.type)
                if argument.type.kind.text == "class" or any(isinstance(size, str) for size in sizes):
                    raise LowerError(
                        messages.no_bound(call.span, self.values.excerpt(call), "an argument is no array of known size")
                    )
                leaves.append(leaf(ARGUMENT, argument.name.text, TensorType("real", (BATCH, *sizes))))
            return Graph(
                tuple(leaves), {subject: self.values.call_net(subject, tuple(leaves), None, call.span)}, "proved"
            )
        if subject in self.outputs:
            found = self.outputs[subject]
            self._refuse_events(call, found)
            inputs = [node for node in everything([found]) if node.op is INPUT and node.type.kind == "real"]
            return Graph(tuple(inputs), {subject: found}, "proved")
        known = {*self.values.nets, *self.outputs}
        raise LowerError(messages.proof_subject(call.span, BOUNDED, subject, "a net or an output", known))

    def _refuse_events(self, call: tree.Call, *nodes: Node) -> None:
        """Raises LowerError where states jump: what is proved of equations does not go across."""
        for node in everything(nodes):
            if node.op is SOLVE and spec_of(node).events:
                why = "what is proved of its equations does not go across their jumps"
                raise LowerError(messages.events_not_here(call.span, spec_of(node).field, why))

    def _states(self, call: tree.Call, subject: str) -> list[str]:
        """The states of the field, or of the field of the solution, velocities as `angle'`."""
        for node in everything(self.outputs.values()):
            if node.op is not SOLVE:
                continue
            spec = spec_of(node)
            if subject == (spec.field if call.name.text == "contracting" else spec.name):
                self._refuse_events(call, node)
                return [item.name for item in Solve.of(node).spec.states]
        kind = call.name.text
        solved = {spec_of(item) for item in everything(self.outputs.values()) if item.op is SOLVE}
        known = {spec.field if kind == "contracting" else spec.name for spec in solved}
        expected = "a field that an output needs" if kind == "contracting" else "a solution that an output needs"
        raise LowerError(messages.proof_subject(call.span, kind, subject, expected, known))

    def _ranges(self, call: tree.Call, options: Collection[str]) -> dict[str, tuple[float, float]]:
        found = {}
        for keyword in call.keywords:
            name, value = keyword.name.text, keyword.value
            if name in options:
                continue
            items: Sequence[tree.Expression] = value.items if isinstance(value, tree.Array) else ()
            if len(items) != 2 or not all(self.values.numbers.is_known(item) for item in items):
                raise LowerError(messages.proof_range(value.span, name))
            low, high = (float(self.values.numbers.real(item)) for item in items)
            if not low < high or math.isnan(low + high):
                raise LowerError(messages.proof_range(value.span, name))
            found[name] = (low, high)
        return found

    def _checked(self, call: tree.Call, check: ProvedCheck, known: Collection[str]) -> ProvedCheck:
        for keyword in call.keywords:
            if keyword.name.text in check.within and keyword.name.text not in known:
                options = ALONE[check.kind][:1] if check.kind in ALONE else ()
                raise LowerError(
                    messages.proof_domain(keyword.name.span, check.kind, keyword.name.text, {*known, *options})
                )
        return check


def _call_of(value: tree.Node) -> tree.Call | None:
    """The call of a check that is proved; None of one that is measured."""
    sides = (value.left, value.right) if isinstance(value, tree.Binary) else (value,)
    return next((item for item in sides if isinstance(item, tree.Call) and item.name.text in (BOUNDED, *ALONE)), None)


def _subject(call: tree.Call) -> str:
    """The one name that a check is about. Raises LowerError."""
    if len(call.arguments) != 1 or not isinstance(call.arguments[0], tree.Name):
        form = f"{call.name.text}(NAME)" + (" <= 1" if call.name.text == BOUNDED else "")
        raise LowerError(messages.proof_form(call.span, call.name.text, form))
    return call.arguments[0].text
