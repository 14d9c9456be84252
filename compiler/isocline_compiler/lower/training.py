"""The block `train` to its plan: the loss, its regularizers and priors as one graph, and the settings of the fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from isocline_compiler.graph import Fault, Graph, Node, at
from isocline_compiler.graph.called import Called
from isocline_compiler.graph.solve import choice_of
from isocline_compiler.lower.called import FIXED, means_steps, scheme_called
from isocline_compiler.lower.calls import plain
from isocline_compiler.lower.draws import drawn_leaf, random_value
from isocline_compiler.lower.expressions import Expressions, Solution, Value
from isocline_compiler.lower.faults import LowerError, Mistakes, Poisoned
from isocline_compiler.lower.gradient_paths import flat_operations
from isocline_compiler.lower.kept import members_in
from isocline_compiler.lower.likelihood import likelihood_of
from isocline_compiler.lower.regularization import LossContext
from isocline_compiler.lower.settings import Settings
from isocline_compiler.lower.values import FileValues
from isocline_compiler.model import LOG_PRIOR, Likelihood, Port, RandomValue, TrainingPlan
from isocline_compiler.passes.join import join
from isocline_compiler.solvers.reversible import irreversible, reversible_schemes
from isocline_compiler.solvers.unroll.forms import solves_of
from isocline_compiler.vocabulary.functions.record import Callee, Parameter, bind, check
from isocline_compiler.vocabulary.options import (
    ADAPTIVE,
    ADAPTIVE_WITH_NOISE,
    EARLY_STOP,
    ENGINES,
    GRADIENTS,
    OPTIMIZERS,
    PRECISIONS,
    SCHEDULES,
    Choice,
)
from isocline_compiler.vocabulary.regularizers import REGULARIZERS
from isocline_compiler.vocabulary.regularizers.record import TrainingSetting as TrainingSetting
from isocline_compiler.vocabulary.transition_nll import FIELD_LOSSES
from isocline_dsl import messages
from isocline_dsl.messages import calls, ensemble, fitting
from isocline_dsl.tree import Binary, Binding, Block, Call, Draw, Expression, Field, Name, Setting, Span


class TrainLowering:
    """`train { loss ...; regularize ...; optimizer ...; ... }`"""

    def __init__(self, block: Block, values: FileValues) -> None:
        self.block = block
        self.values = values
        self.settings = Settings(block, values.numbers)
        self.expressions = values.expressions("loss")
        self.expressions.special = dict.fromkeys(FIELD_LOSSES, self._field_loss)
        self.expressions.frame.outer = self._with_definitions()
        self.steer: float | None = None
        self.steered: Span | None = None
        self.likelihood: Likelihood | None = None
        self.stated: dict[Span, Node] = {}
        self.draws: dict[str, RandomValue] = {}
        self.drawn: dict[str, Node] = {}

    def lower(self, inputs: Sequence[Port], targets: Sequence[Port]) -> TrainingPlan:
        """The plan, with every default filled in. Raises LowerError."""
        mistakes = Mistakes()
        found: dict[str, Any] = {
            key: mistakes.attempt(read) for key, read in self._readers([*inputs, *targets], targets).items()
        }
        mistakes.settle()
        if found["gradient"] == "reversible":
            _require_reversible(found["losses"], found["solver"])
        self._require_weights(found["only"])  # last: where a weight is missing by another mistake, that one is told
        name = self.block.name.text if self.block.name else "train"
        draws = tuple(self.draws.values())
        return TrainingPlan(
            **found, steer=self.steer, likelihood=self.likelihood, draws=draws, span=self.block.span, name=name
        )

    def _readers(self, ports: Sequence[Port], targets: Sequence[Port]) -> dict[str, Callable[[], Any]]:
        """How each part of the plan is read; each is tried for itself, so that all mistakes of the block are told."""
        read = self.settings
        adam, constant = _default(OPTIMIZERS["adam"]), _default(SCHEDULES["constant"])
        return {
            "losses": lambda: self._losses(ports, frozenset(port.name for port in targets)),
            "optimizer": lambda: read.choice("optimizer", OPTIMIZERS, messages.unknown_optimizer) or adam,
            "schedule": lambda: read.choice("schedule", SCHEDULES, messages.unknown_schedule) or constant,
            "solver": self._solver,
            "gradient": lambda: read.word("gradient", GRADIENTS, "backprop"),
            "epochs": lambda: read.count("epochs", 1, 100),
            "batch": lambda: read.count("batch", 1, None),
            "clip": lambda: read.number("clip", 0.0, None),
            "early_stop": lambda: read.choice("early_stop", EARLY_STOP, messages.unknown_early_stop),
            "validation": lambda: self._fraction("validation"),
            "seed": lambda: read.count("seed", 0, 0),
            "precision": lambda: read.word("precision", PRECISIONS, "float32"),
            "engine": lambda: read.word("engine", ENGINES, "auto"),
            "only": self._only,
        }

    def _with_definitions(self) -> Callable[[str, Span], Value]:
        """Names mean what the block defines (`d = forecast - pelts`) or draws, or what the file does."""
        drawn = {item.name.text: item for item in self.settings.items(Draw)}
        definitions = {item.name.text: item.value for item in self.settings.items(Binding)}
        begun: list[str] = []

        def lookup(name: str, span: Span) -> Value:
            if name in drawn:
                if name not in self.draws:
                    self.draws[name] = random_value(drawn[name], self.values.numbers)
                    self.drawn[name] = self.expressions.frame.names[name] = drawn_leaf(self.draws[name])
                    self.values.table.drawn.add(self.drawn[name])
                return self.expressions.frame.names[name]
            if name not in definitions:
                return self.values.get(name, span)
            if name in begun:
                raise LowerError(messages.definition_cycle(span, begun[begun.index(name) :]))
            begun.append(name)
            names = self.expressions.frame.names
            names[name] = self.values.define(name, definitions[name], self.expressions)
            begun.remove(name)
            return names[name]

        return lookup

    def _fraction(self, key: str) -> float | None:
        number = self.settings.number(key, 0.0, None)
        if number is not None and number >= 1:
            value = self.settings.value(key)
            raise LowerError(
                messages.setting_value(value.span if value else None, key, f"{number:g}", "a fraction between 0 and 1")
            )
        return number

    def _solver(self) -> Called:
        """A scheme on the grid that will be deployed, or an adaptive solver; some names are both."""
        value = self.settings.value("solver")
        if value is None:
            return _default(ADAPTIVE["dopri5"])
        if isinstance(value, Call) and means_steps(value):
            return scheme_called(value, self.values.numbers)
        known = {**FIXED, **ADAPTIVE, **ADAPTIVE_WITH_NOISE}
        return self.settings.option(value, "solver", known, messages.unknown_solver)

    # ----------------------------------------------------------------------------------------------- losses

    def _losses(self, ports: Sequence[Port], targets: frozenset[str]) -> Graph:
        stated = self.settings.all("loss")
        if not stated:
            raise Poisoned  # reported where names are resolved
        terms: dict[str, Node] = {}
        for setting in stated:
            for value in setting.values:
                text = self._new_term(value, terms)
                terms[text] = self.stated[value.span] = self._term(value, setting)
        if not terms:
            raise Poisoned  # no value: reported where names are resolved
        self.likelihood = likelihood_of(terms.values(), self.values.table.densities, targets)
        terms = dict(join(Graph((), terms, "losses")).outputs)  # a solve and its variations are one solution
        context = LossContext(
            list(terms.values()), self.values.table, self.values.parameters, self.values.fields(), self._signs,
            self._solver,
        )  # fmt: skip
        weighted = self._regularizers(context, terms)
        outputs = dict(zip(terms, context.terms, strict=True)) | weighted
        outputs = dict(join(Graph((), outputs, "losses")).outputs)  # and so is one and its integrals
        total = _sum(list(outputs.values()))
        members = members_in([total])
        if members is not None:
            raise LowerError(ensemble.samples_out_of_place(members.span, "a loss"))
        leaves = (*(self._leaf(port) for port in ports), *self._drawn())
        priors = [item.log_prior for item in self.values.parameters.values() if item.log_prior is not None]
        extra = {LOG_PRIOR: _sum(priors)} if priors else {}
        named = {text: node for text, node in outputs.items() if text != "loss"}
        return Graph(leaves, {"loss": total, **named, **extra}, "losses")

    def _drawn(self) -> list[Node]:
        """The inputs that the draws are, in the order they were met."""
        return [self.drawn[name] for name in self.draws]

    def _signs(self, name: str, shape: tuple[int, ...]) -> Node:
        """Random signs that a regularizer asks for."""
        name = f"{name} {len(self.draws)}"  # a draw of the author's has no space in its name
        self.draws[name] = RandomValue(f"draw {name}", shape, Called("rademacher", {}))
        self.drawn[name] = drawn_leaf(self.draws[name])
        return self.drawn[name]

    def _leaf(self, port: Port) -> Node:
        node = self.values.get(port.name, port.span or self.block.span)
        assert isinstance(node, Node)
        return node

    def _term(self, expression: Expression, setting: Setting) -> Node:
        return _single(self.expressions.node(expression), expression)

    def _only(self) -> tuple[str, ...] | None:
        """The names that `only` states."""
        stated = (value for setting in self.settings.all("only") for value in setting.values)
        return tuple(value.text if isinstance(value, Name) else self.values.excerpt(value) for value in stated) or None

    def _require_weights(self, only: tuple[str, ...] | None) -> None:
        """What `only` names has weights, and a gradient comes back to some of them. Raises LowerError."""
        every = [weight for weight in self.values.table.weights.values() if weight.role == "trained"]
        stated = [value for setting in self.settings.all("only") for value in setting.values]
        for name, value in zip(only or (), stated, strict=True):
            if not any(weight.belongs_to(name) for weight in every):
                known = sorted({weight.name.split(".")[0] for weight in every})
                raise LowerError(messages.only_nothing(value.span, name, known))
        trained = {weight.name for weight in every if weight.trained_by(only)}
        flat = flat_operations(list(self.stated.values()), trained)
        if flat is not None:
            place = next(iter(self.stated))
            raise LowerError(messages.loss_without_weights(place, flat[0] if flat else None))

    def _new_term(self, expression: Expression, *known: Mapping[str, Node]) -> str:
        """The text by which a term goes. Raises LowerError when another has the same."""
        text = self.values.excerpt(expression)
        if any(text in terms for terms in known):
            raise LowerError(messages.repeated_term(expression.span, text))
        return text

    def _regularizers(self, context: LossContext, losses: Mapping[str, Node]) -> dict[str, Node]:
        """Every `regularize` term by its text; a path integral extends the solve that the loss already makes."""
        inside = Expressions(
            self.expressions.frame, self.values.numbers, self.values.nets, self.values.call_net,
            {name: lambda call: self._regularizer(call, context) for name in REGULARIZERS}, regularizing=True,
            integral=self.values.integral,
        )  # fmt: skip
        terms: dict[str, Node] = {}
        for setting in self.settings.all("regularize"):
            for addend in (item for value in setting.values for item in _addends(value)):
                if isinstance(addend, Call) and addend.name.text == "steer":
                    if self.steered is not None:
                        raise LowerError(messages.setting_twice(addend.span, "steer", self.steered))
                    self.steered = addend.span
                    self._record(addend, context)
                else:
                    text = self._new_term(addend, losses, terms)
                    terms[text] = _single(inside.node(addend), addend)
        return {text: context.current(node) for text, node in terms.items()}

    def _regularizer(self, call: Call, context: LossContext) -> Node:
        built = self._record(call, context)
        if built is None:
            raise LowerError(messages.regularizer_setting(call.span, call.name.text))
        return built

    def _given(self, value: Expression, parameter: Parameter, callee: str) -> Any:
        """The value of an argument of a regularizer or a loss; the name of a field or a solution must be one."""
        kind = parameter.kind.name
        if kind == "value":
            return self.expressions.node(value)
        if kind not in ("field", "solution"):
            return plain(value, kind, self.values.numbers)
        name = value.text if isinstance(value, Name) else self.values.excerpt(value)
        if isinstance(self.values.declared.get(name), Field):
            return name
        solved = None if kind == "field" else self._solution(value)
        if solved is None:
            expected = parameter.kind.expected
            raise LowerError(calls.wrong_argument(value.span, callee, parameter.name, expected, f"`{name}`"))
        return solved

    def _solution(self, value: Expression) -> str | None:
        """The name of the solve that a value is the solution of."""
        if not isinstance(value, Name) or value.text not in self.values.declared:
            return None
        found = self.values.get(value.text, value.span)
        if not isinstance(found, Solution):
            return None
        if found.solve is None:
            raise LowerError(
                messages.not_available_yet(value.span, "a regularizer of solves in a `scan`, or with jumps")
            )
        return choice_of(found.solve)

    def _record(self, call: Call, context: LossContext) -> Node | None:
        """The term of a regularizer; None when it only changes how training goes. Raises LowerError."""
        built = self._built(REGULARIZERS[call.name.text], call, context)
        if isinstance(built, TrainingSetting):
            self.steer = built.options["width"]
            return None
        assert isinstance(built, Node)
        return built

    def _field_loss(self, call: Call) -> Node:
        """The term of a loss that is stated of a field. Raises LowerError."""
        built = self._built(FIELD_LOSSES[call.name.text], call, self.values.fields())
        assert isinstance(built, Node)
        return built

    def _built(self, record: Callee, call: Call, context: Any) -> Any:
        """What the record makes of the arguments of a call, in its context. Raises LowerError."""
        keywords = [(item.name.text, item.value) for item in call.keywords]
        try:
            given = {
                parameter.name: check(record, parameter, self._given(value, parameter, record.name))
                for parameter, value in bind(record, call.arguments, keywords)
            }
            with at(call.span):
                return record.build(**given)(context)
        except Fault as fault:
            raise LowerError(fault.make(call.span)) from None


def _single(node: Node, expression: Expression) -> Node:
    """A term of what is made small: one real number for each sample, or one for all. Raises LowerError."""
    if node.type.sample != () or node.type.kind != "real":
        raise LowerError(messages.loss_not_scalar(expression.span, str(node.type.with_shape(node.type.sample))))
    return node


def _addends(expression: Expression) -> list[Expression]:
    """The terms of a sum, from left to right."""
    if isinstance(expression, Binary) and expression.operator == "+":
        return [*_addends(expression.left), *_addends(expression.right)]
    return [expression]


def _require_reversible(losses: Graph, solver: Called) -> None:
    """The steps of every solve have to be undone exactly, its own or those of the block. Raises LowerError."""
    for solve in solves_of(losses):
        reason = irreversible(solve, solve.spec.scheme or solver)
        if reason is not None:
            names = reversible_schemes()
            raise LowerError(fitting.gradient_not_reversible(solve.span, solve.spec.field, reason, names))


def _sum(nodes: Sequence[Node]) -> Node:
    total = nodes[0]
    for node in nodes[1:]:
        total = total + node
    return total


def _default(choice: Choice) -> Called:
    return Called(choice.name, dict(choice.defaults))
