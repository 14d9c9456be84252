"""What the names of a file mean: lowered when first used, once, so that declarations may stand in any order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from isocline_compiler.graph import ARGUMENT, Fault, Node, at, constant, leaf
from isocline_compiler.graph.solve import spec_of
from isocline_compiler.graph.tensor_type import BATCH, TensorType, describe
from isocline_compiler.lower.conform import conform
from isocline_compiler.lower.controls import control_path
from isocline_compiler.lower.each_member import each_member
from isocline_compiler.lower.expressions import Expressions, Frame, Solution, Value
from isocline_compiler.lower.faults import LowerError, Mistakes, Poisoned
from isocline_compiler.lower.field_body import Around
from isocline_compiler.lower.field_values import FieldValues
from isocline_compiler.lower.indexing import first
from isocline_compiler.lower.inner_solves import InnerSolves
from isocline_compiler.lower.integrals import integral
from isocline_compiler.lower.jumping import Jumping
from isocline_compiler.lower.jumps import jumps_of
from isocline_compiler.lower.known_numbers import Numbers
from isocline_compiler.lower.ports import ParamLowering, port, port_leaf
from isocline_compiler.lower.reach import by_use
from isocline_compiler.lower.scans import ScanLowering
from isocline_compiler.lower.settings import Settings
from isocline_compiler.lower.solves import SolveLowering
from isocline_compiler.lower.undone import undone
from isocline_compiler.lower.weights import LayerScope, WeightTable
from isocline_compiler.model import Parameter, Port
from isocline_compiler.ops.indexing import CONCAT, GATHER
from isocline_compiler.ops.shaping import EXPAND
from isocline_compiler.vocabulary.functions.ensembles import has_samples
from isocline_compiler.vocabulary.functions.kinds import WordCall
from isocline_dsl import messages
from isocline_dsl.diagnostics import Source
from isocline_dsl.tree import (
    Argument,
    Array,
    Assign,
    Block,
    Call,
    Const,
    Control,
    Expression,
    Field,
    Function,
    Identifier,
    Input,
    Name,
    Net,
    NoiseDeclaration,
    Output,
    Param,
    Program,
    Scan,
    Solve,
    Span,
    Target,
    walk,
)
from isocline_dsl.tree import Node as Tree

Named = Const | Input | Target | Param | Net | Field | Control | Assign | Output | NoiseDeclaration


@dataclass
class FileValues:
    """The values of one file, its weights, and the mistakes found so far."""

    program: Program
    source: Source
    table: WeightTable = field(default_factory=WeightTable)
    mistakes: Mistakes = field(default_factory=Mistakes)
    ports: dict[str, Port] = field(default_factory=dict)
    parameters: dict[str, Parameter] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.declared = _declared(self.program)
        consts = {name: item.value for name, item in self.declared.items() if isinstance(item, Const)}
        self.numbers = Numbers(consts)
        self.table.members = self._members()
        self.table.controls = frozenset(name for name, item in self.declared.items() if isinstance(item, Control))
        self.output_names = frozenset(item.name.text for item in self.program.declarations if isinstance(item, Output))
        self.nets = frozenset(name for name, item in self.declared.items() if isinstance(item, Net))
        self.known: dict[str, Value] = {}
        self.begun: set[str] = set()
        self.inputs = {name for name, item in self.declared.items() if isinstance(item, Input)}
        self.inlined: set[str] = set()

    def _members(self) -> int | None:
        """The size of the ensemble; what is wrong with it is reported where the block `deploy` is read."""
        for block in (item for item in self.program.declarations if isinstance(item, Block) and item.kind == "deploy"):
            try:
                return Settings(block, self.numbers).count("samples", 1, None)
            except (LowerError, Poisoned):
                return None
        return None

    # ------------------------------------------------------------------------------------------------ names

    def get(self, name: str, span: Span) -> Value:
        """The value of a name. Raises Poisoned when it has none; why is reported at its declaration."""
        if name not in self.known:
            declaration = self.declared.get(name)
            if declaration is None or name in self.begun:
                raise Poisoned
            self.begun.add(name)
            self.mistakes.attempt(self._declare, name, declaration)
        if name not in self.known:
            raise Poisoned
        return self.known[name]

    def rehearse(self) -> None:
        """Lower nets and fields for themselves: in a file with mistakes, what uses them may never get as far."""
        solving, self.table.alone = self._solving(), True
        for name in reversed(by_use(self.declared)):  # what calls others before them: those are done then, too
            declaration = self.declared[name]
            if isinstance(declaration, Net) and name not in self.inlined:
                self.mistakes.attempt(self._rehearse_net, name, declaration)
            elif isinstance(declaration, Field):
                self.mistakes.attempt(solving.rehearse, declaration)

    def _rehearse_net(self, name: str, net: Net) -> None:
        leaves = []
        for argument in net.arguments:
            if argument.type is None:
                raise LowerError(messages.net_argument_type(argument.span, argument.name.text))
            sizes = self.numbers.sizes(argument.type)
            labels = argument.type.kind.text == "class"
            type_ = TensorType("int", (BATCH,)) if labels else TensorType("real", (BATCH, *sizes))
            leaves.append(leaf(ARGUMENT, argument.name.text, type_))
        self._body_of(net, tuple(leaves), net.span)

    def _declare(self, name: str, declaration: Named) -> None:
        with at(declaration.span):
            match declaration:
                case Const():
                    self.known[name] = self._const(declaration)
                case Input() | Target():
                    self.ports[name] = port(declaration, self.numbers)
                    self.known[name] = port_leaf(self.ports[name])
                case Param():
                    evaluate = self.expressions(name).node
                    lowering = ParamLowering(self.numbers, self.table, self.excerpt, evaluate, self._members_of)
                    for parameter in lowering.lower(declaration):
                        self.parameters[parameter.name] = parameter
                        self.known[parameter.name] = self._own(parameter)
                case Assign():
                    self.known[name] = self.define(name, declaration.value)
                case Output() if declaration.value is not None:
                    self.known[name] = self.define(name, declaration.value)
                case Control():
                    self.known[name] = control_path(declaration, self.expressions(name), self.numbers)
                case NoiseDeclaration():
                    raise Poisoned  # outside of a field: reported where names are resolved
                case Net() | Field():
                    raise LowerError(messages.not_a_value(declaration.span, name, type(declaration).__name__.lower()))

    def _members_of(self, group: Identifier) -> int:
        """How many members a group has. Raises LowerError where the name is not of an input of type `group`, or of
        another group than parameters before it.
        """
        found = self.get(group.text, group.span)
        port = self.ports.get(group.text)
        if port is None or not port.group or not isinstance(found, Node):
            kind = "value" if port is None else f"{port.kind} input"
            raise LowerError(messages.group_of_no_input(group.span, group.text, kind, ()))
        others = [item.group for item in self.parameters.values() if item.group not in (None, group.text)]
        if others:
            raise LowerError(messages.several_groups(group.span, group.text, str(others[0])))
        return (port.classes or 0) - 1

    def _own(self, parameter: Parameter) -> Node:
        """The value of a parameter where its name stands: of a group, that of the member that the sample is of, or of
        the population where it is of none.
        """
        if parameter.group is None:
            return parameter.value
        member = self.known[parameter.group]
        assert isinstance(member, Node)
        assert parameter.population is not None
        whole = EXPAND(parameter.population, shape=(1, *parameter.shape[1:]))
        return GATHER(CONCAT(parameter.value, whole, axis=0), member, axis=0)

    def _const(self, declaration: Const) -> Node:
        name = declaration.name
        if isinstance(declaration.value, Call) and not self.numbers.is_known(declaration.value):
            raise LowerError(messages.not_a_known_number(declaration.value.span, name.text))
        value = self.numbers.array(Name(name.text, span=name.span) if is_scalar(declaration) else declaration.value)
        if declaration.type is None:
            return constant(value)
        expected = TensorType("real", self.numbers.sizes(declaration.type))
        node = conform(constant(value), expected.shape)
        if node is None:
            found = describe(constant(value).type)
            raise LowerError(
                messages.const_shape(declaration.value.span, declaration.name.text, found, describe(expected))
            )
        return node

    def excerpt(self, node: Tree) -> str:
        """The text of a node as the author wrote it, on one line."""
        return excerpt(self.source, node)

    # ------------------------------------------------------------------------------------------ definitions

    def expressions(self, path: str) -> Expressions:
        """Lowers expressions at the level of the file; weights of layers are named after `path`."""
        frame = Frame(LayerScope(self.table, path), self.get)
        return Expressions(frame, self.numbers, self.nets, self.call_net, integral=self.integral)

    def integral(self, call: Call, arguments: tuple[Expression, ...], outer: Expressions) -> Node:
        """The integral of an expression along a solution. Raises LowerError."""
        return integral(call, arguments, outer, self.declared, self._integral_of_jumps)

    def define(self, name: str, expression: Expression, within: Expressions | None = None) -> Value:
        """The value of `name = expression`, in the file or `within` a block. Raises LowerError and Poisoned."""
        expressions = within or self.expressions(name)
        if isinstance(expression, Solve):
            return self._solve(name, expression, expressions)
        if isinstance(expression, Scan):
            return self._scan(name, expression, expressions)
        match expression:
            case Call(name=Identifier(text="inverse"), arguments=(Name(text=of),)) if self._is_solve(of):
                solution = self.get(of, expression.span)
                assert isinstance(solution, Solution), "the value of a solve is a solution"
                with at(expression.span):
                    return undone(name, expression, of, solution, expressions, self.numbers)
        return expressions.value(expression)

    @cached_property
    def _undone(self) -> frozenset[str]:
        """The solutions that an `inverse` of the file undoes."""
        calls = (node for item in self.declared.values() for node in walk(item) if isinstance(node, Call))
        named = (call.arguments[0] for call in calls if call.name.text == "inverse" and len(call.arguments) == 1)
        return frozenset(item.text for item in named if isinstance(item, Name) and self._is_solve(item.text))

    def _is_solve(self, name: str) -> bool:
        """Whether a name is declared as a solve: then `inverse` of it inverts no matrix."""
        declared = self.declared.get(name)
        return isinstance(declared, Assign | Output) and isinstance(declared.value, Solve)

    def _scan(self, name: str, scan: Scan, expressions: Expressions) -> Solution:
        times = frozenset(port.name for port in self.ports.values() if port.kind == "time")
        lowering = ScanLowering(self.table, self._solve_within, times, self.excerpt)
        with at(scan.span):
            try:
                return lowering.lower(name, scan, expressions)
            except Fault as fault:
                raise LowerError(fault.make(scan.span)) from None

    def _solve_within(self, name: str, solve: Solve, expressions: Expressions) -> Solution:
        """The solution of a solve in the body of a scan. Raises LowerError."""
        solution = self._solve(name, solve, expressions)
        if solution.solve is None:
            raise LowerError(messages.not_available_yet(solve.span, "a solve with jumps within a `scan`"))
        if spec_of(solution.solve).noises:
            raise LowerError(messages.scan_noise(solve.span, solve.field.text))
        return solution

    def _solve(self, name: str, solve: Solve, expressions: Expressions) -> Solution:
        declaration = self.declared.get(solve.field.text)
        if not isinstance(declaration, Field):
            raise Poisoned  # not a field, or unknown: reported where names are resolved
        if jumps_of(declaration):
            return self._jumping().solution(name, solve, declaration, expressions)
        return self._continuous(name, solve, declaration, expressions)

    def _continuous(self, name: str, solve: Solve, declaration: Field, expressions: Expressions) -> Solution:
        """The solution of the equations of a field, whatever jumps there are. Raises LowerError."""
        with at(solve.span):
            try:
                return self._solving().lower(name, solve, declaration, expressions, name in self._undone)
            except Fault as fault:
                raise LowerError(fault.make(solve.span)) from None

    def _jumping(self) -> Jumping:
        return Jumping(self._solving(), self._continuous, self.integral, self.excerpt)

    def _integral_of_jumps(
        self, call: Call, expression: Expression, over: Expression, outer: Expressions
    ) -> Node | None:
        """The integral along a solution of the file that jumps at known times. Raises LowerError."""
        declared = self.declared.get(over.text) if isinstance(over, Name) else None
        solve = declared.value if isinstance(declared, Assign | Output) else None
        if not isinstance(over, Name) or not isinstance(solve, Solve):
            return None
        field = self.declared[solve.field.text]
        assert isinstance(field, Field), "what is solved is a field"
        return self._jumping().integrated(over.text, solve, field, call, expression, outer)

    def _solving(self) -> SolveLowering:
        plain = Around(self.table, self.numbers, self.nets, self.call_net, self.get)
        around = replace(plain, inner=InnerSolves(plain, self.declared, self.inputs))
        return SolveLowering(around, self.inputs)

    def fields(self) -> FieldValues:
        """The fields of the file, for losses that are stated of a field."""
        return FieldValues(self._solving().around, self.declared)

    def call_net(self, name: str, arguments: tuple[Node, ...], over: WordCall | None, span: Span) -> Node:
        """A net's value, or with `over=samples` its value for each sample of an ensemble. Raises LowerError, Fault."""
        net = self.declared[name]
        assert isinstance(net, Net)
        self._check_count(net, arguments, span)
        if over is None or not arguments:
            return self._body_of(net, arguments, span)
        ranks = [self._rank(item) for item in net.arguments]
        return each_member(
            name, lambda nodes: self._body_of(net, nodes, span), arguments, ranks, over, self.table.bodies
        )

    def _body_of(self, net: Net, arguments: tuple[Node, ...], span: Span) -> Node:
        """A net's body with its arguments in place; every call shares the net's weights. Raises LowerError."""
        name = net.name.text
        if f"{name}()" in self.begun:
            raise Poisoned  # a net that calls itself: reported where names are resolved
        values = self._arguments(net, arguments, span)
        function = name if isinstance(net, Function) else None
        frame = Frame(LayerScope(self.table, name, function=function), self.get, dict(values))
        inside = Expressions(frame, self.numbers, self.nets, self.call_net)
        self.begun.add(f"{name}()")
        try:
            definitions = {item.name.text: item.value for item in net.body}
            for local in by_use(definitions):
                frame.names[local] = inside.value(definitions[local])
            result = inside.node(net.result)
        finally:
            self.begun.discard(f"{name}()")
        self.inlined.add(name)
        return self._returned(net, result)

    def _rank(self, argument: Argument) -> int:
        if argument.type is None:
            raise LowerError(messages.net_argument_type(argument.span, argument.name.text))
        return len(self.numbers.sizes(argument.type)) - (argument.type.kind.text == "class")

    def _check_count(self, net: Net, arguments: Sequence[Node], span: Span) -> None:
        if len(arguments) != len(net.arguments):
            raise LowerError(messages.net_argument_count(span, net.name.text, len(arguments), len(net.arguments)))

    def _arguments(self, net: Net, arguments: Sequence[Node], span: Span) -> dict[str, Value]:
        values: dict[str, Value] = {}
        for argument, node in zip(net.arguments, arguments, strict=True):
            if argument.type is None:
                raise LowerError(messages.net_argument_type(argument.span, argument.name.text))
            fitted = conform(node, self.numbers.sizes(argument.type)) if argument.type.kind.text != "class" else node
            if fitted is None:
                expected = describe(TensorType("real", self.numbers.sizes(argument.type)))
                name = argument.name.text
                found = describe(node.type)
                several = has_samples(node) and len(node.type.sample) == self._rank(argument) + 1
                raise LowerError(messages.net_argument_shape(span, net.name.text, name, found, expected, several))
            values[argument.name.text] = fitted
        return values

    def _returned(self, net: Net, result: Node) -> Node:
        if net.result_type is None:
            return result
        expected = self.numbers.sizes(net.result_type)
        if result.type.sample == (1,) and expected == ():
            return first(result)
        fitted = conform(result, expected)
        if fitted is None:
            found, stated = describe(result.type), describe(TensorType("real", expected))
            raise LowerError(messages.shape_differs(net.result.span, net.name.text, found, stated))
        return fitted


def is_scalar(declaration: Const) -> bool:
    """Whether a constant is one number."""
    return not isinstance(declaration.value, Array)


def excerpt(source: Source, node: Tree) -> str:
    """The text of a node, on one line."""
    return " ".join(source.text[node.span.start : node.span.stop].split())


def _declared(program: Program) -> dict[str, Named]:
    """Declarations by name, the first of each; duplicates are reported where names are resolved."""
    found: dict[str, Named] = {}
    for item in program.declarations:
        if isinstance(item, Param):
            for name in item.names:
                found.setdefault(name.text, item)
        elif isinstance(item, Output) and item.value is None:
            continue  # names a value that is declared elsewhere
        elif isinstance(item, Named):
            found.setdefault(item.name.text, item)
    return found
