"""A program to its model: names to values, fields to regions, layers to operations, every type checked on the way."""

from __future__ import annotations

from typing import Literal

from isocline_compiler.graph import Graph, Node
from isocline_compiler.lower.blocks import DataLowering, DeployLowering
from isocline_compiler.lower.defaults import check_held
from isocline_compiler.lower.deployed import plan_faults
from isocline_compiler.lower.expressions import Solution, room_to_nest
from isocline_compiler.lower.faults import LowerError, Poisoned
from isocline_compiler.lower.marked import STIFF
from isocline_compiler.lower.reach import by_use, check_inlined
from isocline_compiler.lower.training import TrainLowering
from isocline_compiler.lower.training_blocks import in_turn
from isocline_compiler.lower.values import FileValues
from isocline_compiler.model import DataPlan, DeploymentPlan, Model, Port, TrainingPlan
from isocline_compiler.passes.join import join
from isocline_compiler.solvers.schemes import SCHEMES
from isocline_compiler.solvers.side_by_side import of_points
from isocline_compiler.vocabulary.controls import ControlPath
from isocline_compiler.vocabulary.distributions import DISTRIBUTIONS
from isocline_compiler.vocabulary.functions import FUNCTIONS
from isocline_compiler.vocabulary.integral import INTEGRAL
from isocline_compiler.vocabulary.regularizers import REGULARIZERS
from isocline_compiler.vocabulary.transition_nll import FIELD_LOSSES
from isocline_dsl import messages
from isocline_dsl.diagnostics import Diagnostic, IsoclineError, Source
from isocline_dsl.messages import driven
from isocline_dsl.partly import Partly
from isocline_dsl.resolve import resolve
from isocline_dsl.sharing import linked, used_alone
from isocline_dsl.tree import Block, Field, Input, Net, Output, Program, Target

CALLABLE = frozenset({*FUNCTIONS, *FIELD_LOSSES, INTEGRAL.name, STIFF})
"""The names that may be called in an expression without being declared; `regularize` has its own."""
VALUED = frozenset(
    (name, parameter.name)
    for name, function in FUNCTIONS.items()
    for parameter in function.parameters
    if parameter.kind.name in ("value", "solution")
)
"""Functions and their keywords before which a value stands, and no word."""

ELSEWHERE = {
    **dict.fromkeys(DISTRIBUTIONS, "it is a distribution, and stands behind `~` or after `draw NAME:` in `train`"),
    **dict.fromkeys(SCHEMES, "it is a scheme, and stands behind `with` or `solver`"),
    **{name: f"it is a regularizer: `regularize 0.1*{name}(...)` in `train`" for name in REGULARIZERS},
}
"""What is called, but in no expression, and where it stands."""


def lower(program: Program, source: Source) -> Model:
    """The typed model of a program, with the declarations of the files that it uses.

    Raises IsoclineError with every mistake of the file, in the order of its text.
    """
    program, source = linked(program, source)
    resolved = resolve(program, CALLABLE, VALUED, ELSEWHERE, source.own)
    lowering = ProgramLowering(used_alone(program, source), source)
    with room_to_nest():
        model = lowering.model()
    told = {item.span for item in resolved}  # `dense(n)`, n unknown: that it is no number is not told besides
    found = [*resolved, *(item for item in lowering.values.mistakes.found if item.span not in told)]
    if found:
        places = sorted(set(found), key=lambda item: (item.span.start if item.span else -1, item.code))
        raise IsoclineError(places, source)
    assert model is not None, "a name without a value, and no message that says why"
    return model


def mistakes_beside(found: Partly, source: Source) -> list[Diagnostic]:
    """What else is wrong with a file that has syntax errors, in its declarations that have none: in the names of all of
    them, and in the types of those that need none that is broken. Nothing that follows from these.
    """
    if not found.readable:
        return []
    independent = found.independent(source.text)
    try:
        whole, joined = linked(found.program, source)
        part, _ = linked(independent.program, source)
    except IsoclineError:
        return []  # a file that this one uses, told once this one can be read
    resolved = resolve(whole, CALLABLE, VALUED, ELSEWHERE, joined.own, found.lost)
    named = list(found.without_consequences(resolved, source.text))
    lowering = ProgramLowering(used_alone(part, joined), joined)
    lowering.values.mistakes.poisoned = True
    with room_to_nest():
        lowering.model()
    told = {item.span for item in named}
    typed = independent.without_consequences(lowering.values.mistakes.found, source.text)
    own = [*named, *(item for item in typed if item.span not in told)]
    return [item for item in dict.fromkeys(own) if item.span is None or item.span.start < len(source.text)]


class ProgramLowering:
    """Lowers the declarations one by one, noting mistakes and going on."""

    def __init__(self, program: Program, source: Source) -> None:
        self.program = program
        self.source = source
        self.values = FileValues(program, source)
        self.outputs: dict[str, Node] = {}
        self.ports: dict[str, Port] = {}
        self.data: DataPlan | None = None
        self.training: tuple[TrainingPlan, ...] = ()
        self.deployment = DeploymentPlan()

    def model(self) -> Model | None:
        """The model, or None when a mistake was noted."""
        values = self.values
        values.mistakes.attempt(check_inlined, self.program)
        if values.mistakes.found:
            return None
        for name in by_use(values.declared):
            if not isinstance(values.declared[name], Net | Field):
                values.mistakes.attempt(values.get, name, values.declared[name].span)
        for item in self.program.declarations:
            if isinstance(item, Output):
                values.mistakes.attempt(self._output, item)
        self._blocks()
        if values.mistakes.found or values.mistakes.poisoned:
            values.rehearse()
        return None if values.mistakes.found or values.mistakes.poisoned else values.mistakes.attempt(self._assembled)

    def _output(self, output: Output) -> None:
        name = output.name.text
        value = self.values.get(name, output.name.span)
        if isinstance(value, ControlPath):
            raise LowerError(driven.control_as_value((output.value or output.name).span, value.name))
        node = value if isinstance(value, Node) else value.only()
        if node is None:
            assert isinstance(value, Solution)
            raise LowerError(messages.solution_needs_state((output.value or output.name).span, sorted(value.states)))
        self.outputs[name] = node
        self.ports[name] = _output_port(output, node)

    def _blocks(self) -> None:
        blocks = {item.kind: item for item in self.program.declarations if isinstance(item, Block)}
        attempt = self.values.mistakes.attempt
        if "data" in blocks:
            self.data = attempt(DataLowering(blocks["data"], self.values.numbers, self.source).lower)
        training = [item for item in self.program.declarations if isinstance(item, Block) and item.kind == "train"]
        plans = {block: attempt(self._train, block) for block in training}
        self.training = attempt(in_turn, plans, self.values.numbers) or ()
        deploy = DeployLowering(blocks.get("deploy"), self.values, self.outputs)
        self.deployment = attempt(deploy.lower) or self.deployment

    def _train(self, block: Block) -> TrainingPlan:
        return TrainLowering(block, self.values).lower(self._of(Input), self._of(Target))

    def _of(self, kind: type[Input] | type[Target]) -> tuple[Port, ...]:
        names = [item.name.text for item in self.program.declarations if isinstance(item, kind)]
        if any(name not in self.values.ports for name in names):
            raise Poisoned
        return tuple(self.values.ports[name] for name in names)

    def _assembled(self) -> Model:
        inputs = self._of(Input)
        self._check_defaults()
        leaves = tuple(self._leaf(port) for port in inputs)
        graph = of_points(join(Graph(leaves, dict(self.outputs), self.program.name.text)))
        faults = list(plan_faults(graph, self.deployment, self.training))
        if faults:
            raise LowerError(*faults)
        return Model(
            source=self.source, program=self.program, name=self.program.name.text,
            description=self.program.description, inputs=inputs, targets=self._of(Target),
            outputs=tuple(self.ports.values()), graph=graph, parameters=tuple(self.values.parameters.values()),
            weights=tuple(self.values.table.weights.values()), statistics=tuple(self.values.table.fitted),
            data=self.data, training=self.training[-1] if self.training else None, deployment=self.deployment,
            earlier=self.training[:-1],
        )  # fmt: skip

    def _check_defaults(self) -> None:
        """The defaults of inputs are what the deployed precision holds of them. Raises LowerError."""
        for item in self.program.declarations:
            if isinstance(item, Input) and item.default is not None:
                check_held(item.default, self.values.ports[item.name.text], self.deployment.dtype)

    def _leaf(self, port: Port) -> Node:
        node = self.values.known[port.name]
        assert isinstance(node, Node)
        return node


def _output_port(output: Output, node: Node) -> Port:
    kinds: dict[str, Literal["real", "class", "bool"]] = {"real": "real", "int": "class", "bool": "bool"}
    return Port(
        output.name.text, kinds[node.type.kind], node.type.sample, node.type.batched,
        unit=output.unit, description=output.description, span=output.span,
    )  # fmt: skip
