"""The blocks `data` and `deploy` to their plans."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime
from typing import Any

from isocline_compiler.graph import INPUT, Graph, Node, everything, leaf
from isocline_compiler.graph.called import Called
from isocline_compiler.graph.solve import SOLVE, spec_of
from isocline_compiler.graph.tensor_type import describe
from isocline_compiler.lower.attribution import AttributionLowering
from isocline_compiler.lower.called import BESPOKE, bespoke_called, scheme_called
from isocline_compiler.lower.expressions import Expressions, Frame, Value
from isocline_compiler.lower.faults import LowerError, Mistakes, Poisoned
from isocline_compiler.lower.kept import ensemble_faults, members_in, unexplained
from isocline_compiler.lower.known_numbers import Numbers
from isocline_compiler.lower.ports import port_leaf
from isocline_compiler.lower.proofs import ProofLowering
from isocline_compiler.lower.settings import Settings
from isocline_compiler.lower.solves import MOST_SAMPLES
from isocline_compiler.lower.values import FileValues, excerpt
from isocline_compiler.lower.weights import LayerScope
from isocline_compiler.model import (
    AttributionPlan,
    Check,
    DataBinding,
    DataPlan,
    DeploymentPlan,
    NativePlan,
    StreamPlan,
)
from isocline_compiler.streaming.loops import chosen_loop
from isocline_compiler.vocabulary.options import ADAPTIVE, MISSING, NATIVE_TARGETS, SPLITS
from isocline_dsl import messages
from isocline_dsl.diagnostics import IsoclineError, Source
from isocline_dsl.messages import calls, data, ensemble, noise, training
from isocline_dsl.tree import (
    Attribution,
    Binary,
    Binding,
    Block,
    Call,
    Expression,
    Name,
    Output,
    Setting,
    Span,
    String,
)

_FORMS = ("row", "rows", "column", "columns", "past", "future", "array")
_COUNTED = ("row", "past", "future")
DERIVATIVES = ("adjoint", "forward")
COMPARISONS = ("<", "<=", ">", ">=")


class DataLowering:
    """`data { source "pelts.csv"; first = row(0, hare, lynx); ... }`"""

    def __init__(self, block: Block, numbers: Numbers, source: Source) -> None:
        self.source = source
        self.settings = Settings(block, numbers)
        self.numbers = numbers
        self.block = block

    def lower(self) -> DataPlan:
        """The plan; columns are looked up when the data is read. Raises LowerError."""
        source = self.settings.text("source")
        time, form = self._time()
        group = self.settings.value("group")
        return DataPlan(
            source=None if source is None else source[0],
            source_span=None if source is None else source[1],
            bindings=tuple(self._binding(item) for item in self.settings.items(Binding)),
            split=self._split(time),
            missing=self.settings.word("missing", MISSING, "error"),
            stride=self.settings.count("stride", 1, 1),
            time=time,
            time_form=form,
            span=self.block.span,
            group=None if group is None else self._column(group),
            group_span=None if group is None else group.span,
        )

    def _time(self) -> tuple[str | None, str | None]:
        """The column of `time stamp`, and the form of its dates in `time stamp, "%d.%m.%Y"`."""
        values = [value for setting in self.settings.all("time") for value in setting.values]
        if len(values) == 2 and isinstance(values[1], String):
            return self._column(values[0]), _date_form(values[1])
        value = self.settings.value("time")
        return (None if value is None else self._column(value)), None

    def _split(self, time: str | None) -> Called | None:
        split = self.settings.choice("split", SPLITS, data.unknown_split)
        if split is not None and split.name == "time" and split.get("column") is None and time is None:
            usage = "split time(column=..., test=...)"
            raise LowerError(calls.argument_missing(split.span, "time", "column", usage))
        return split

    def _binding(self, item: Binding) -> DataBinding:
        call = item.value
        if not isinstance(call, Call) or call.name.text not in _FORMS:
            name = call.name.text if isinstance(call, Call) else excerpt(self.source, item.value)
            raise LowerError(messages.unknown_data_form(item.value.span, name, _FORMS))
        form = call.name.text
        arguments = list(call.arguments)
        count = None
        if form in _COUNTED:
            if not arguments:
                raise LowerError(calls.argument_missing(call.span, form, "count", f"{form}(count, columns...)"))
            count = self.numbers.integer(arguments.pop(0))
        columns = tuple(self._column(argument) for argument in arguments)
        if not columns:
            raise LowerError(calls.argument_missing(call.span, form, "columns", f"{form}(columns...)"))
        return DataBinding(item.name.text, form, columns, count, item.span)  # type: ignore[arg-type]

    def _column(self, expression: Expression) -> str:
        if isinstance(expression, Name | String):
            return expression.text
        raise LowerError(messages.column_name_expected(expression.span))


def _date_form(value: String) -> str:
    """A form that reads at least the year, the month and the day. Raises LowerError."""
    try:
        written = datetime(2001, 12, 31, 13, 14, 15).strftime(value.text)
        if datetime.strptime(written, value.text).date() == date(2001, 12, 31):
            return value.text
    except ValueError:
        pass
    expected = 'the form of a date, such as `"%d.%m.%Y %H:%M"`'
    raise LowerError(training.setting_value(value.span, "time", f'`"{value.text}"`', expected))


class DeployLowering:
    """`deploy { solver auto(error=1e-3); check ... }`"""

    def __init__(self, block: Block | None, values: FileValues, outputs: dict[str, Node]) -> None:
        self.settings = Settings(block or Block("deploy"), values.numbers)
        self.values = values
        self.outputs = outputs

    def lower(self) -> DeploymentPlan:
        """The plan, with every default filled in. Raises LowerError."""
        mistakes = Mistakes()
        for span, what in self._not_yet():
            mistakes.attempt(_refuse, span, what)
        found: dict[str, Any] = {key: mistakes.attempt(read) for key, read in self._readers().items()}
        lowering = AttributionLowering(self.values, self.outputs)
        attributions = lowering.lower(self.settings.items(Attribution), mistakes)
        proofs = ProofLowering(self.values, self.outputs)
        settings = self.settings.all("check")
        checks = tuple(mistakes.attempt(self._check, item) for item in settings if not proofs.reads(item))
        proved = tuple(mistakes.attempt(proofs.lower, item) for item in settings if proofs.reads(item))
        mistakes.settle()
        self._check_ensemble(found["samples"], found["solver"][0], attributions, mistakes)
        mistakes.settle()
        solver, error, weak, of = found.pop("solver")
        return DeploymentPlan(
            solver=solver, error=error, weak=weak, of=of, checks=tuple(item for item in checks if item is not None),
            proved=tuple(item for item in proved if item is not None), attributions=attributions,
            span=self.settings.block.span, **found,
        )  # fmt: skip

    def _readers(self) -> dict[str, Callable[[], Any]]:
        """How each part of the plan is read; each is tried for itself, so that all mistakes of the block are told."""
        read = self.settings
        return {
            "solver": self._solver,
            "opset": self._opset,
            "dtype": lambda: read.word("dtype", ("float32", "float64"), "float32"),
            "batch": lambda: read.count("batch", 1, None),
            "parity": lambda: read.number("parity", 0, None),
            "derivatives": lambda: read.words("derivatives", DERIVATIVES),
            "unroll": self._unroll,
            "samples": self._samples,
            "stream": self._stream,
            "native": self._native,
        }

    def _not_yet(self) -> Iterator[tuple[Span, str]]:
        """What the language has and this version does not compile."""
        for key in ("bound", "target"):
            yield from ((item.span, f"`{key}`") for item in self.settings.all(key))

    def _unroll(self) -> int | str:
        value = self.settings.value("unroll")
        if not isinstance(value, Name):
            return self.settings.count("unroll", 1, "auto")
        if value.text not in ("auto", "all"):
            expected = "`auto`, `all` or a whole number of steps"
            raise LowerError(messages.setting_value(value.span, "unroll", value.text, expected))
        return value.text

    def _samples(self) -> int | None:
        """The members of the ensemble in which noise that regularizes is kept."""
        count = self.settings.count("samples", 1, None)
        if count is not None and count > MOST_SAMPLES:
            value = self.settings.value("samples")
            raise LowerError(noise.samples_out_of_range(value.span if value else None, count, MOST_SAMPLES))
        return count

    def _stream(self) -> StreamPlan | None:
        """`stream`, or `stream NAME`: of which solve or scan the steps are. Raises LowerError."""
        for setting in self.settings.all("stream"):
            named = setting.values[0] if setting.values else None
            if len(setting.values) > 1 or not isinstance(named, Name | None):
                found = f"{len(setting.values)} values" if len(setting.values) > 1 else "an expression"
                raise LowerError(messages.setting_value(setting.span, "stream", found, "the name of a solve or a scan"))
            if not self.values.mistakes.found and not self.values.mistakes.poisoned:
                try:
                    chosen_loop(Graph((), self.outputs), named.text if named else None, setting.span)
                except IsoclineError as error:
                    raise LowerError(error.diagnostics[0]) from None
            return StreamPlan(named.text if named else None, setting.span)
        return None

    def _native(self) -> NativePlan | None:
        """`native` alone, or with the names of processors. Raises LowerError."""
        for setting in self.settings.all("native"):
            targets = []
            for value in setting.values:
                if not isinstance(value, Name) or value.text not in NATIVE_TARGETS or value.text in targets:
                    found = (
                        f"`{value.text}`"
                        if isinstance(value, Name)
                        else "a text"
                        if isinstance(value, String)
                        else "an expression"
                    )
                    wanted = f"the word alone, or some of {', '.join(NATIVE_TARGETS)}"
                    raise LowerError(messages.setting_value(value.span, "native", found, wanted))
                targets.append(value.text)
            return NativePlan(setting.span, tuple(targets))
        return None

    def _check_ensemble(
        self, samples: int | None, solver: Called | None, attributions: Iterable[AttributionPlan], mistakes: Mistakes
    ) -> None:
        """An ensemble has noise to keep, and outputs that have a mean."""
        value = self.settings.value("samples") if samples is not None else None
        if value is None or self.values.mistakes.found or self.values.mistakes.poisoned:
            return
        declared = (item.name for item in self.values.program.declarations if isinstance(item, Output))
        spans = {name.text: name.span for name in declared}
        mistakes.found += ensemble_faults(self.outputs, spans, value.span, solver)
        mistakes.found += unexplained(self.outputs, attributions)

    def _opset(self) -> int:
        opset = self.settings.count("opset", 1, 18)
        if not 18 <= opset <= 21:
            value = self.settings.value("opset")
            raise LowerError(messages.opset_out_of_range(value.span if value else None, opset, 18, 21))
        return opset

    def _solver(self) -> tuple[Called | None, float, float | None, tuple[str, ...] | None]:
        """A scheme, the stated error, the stated weak error of a stochastic model, and the outputs they are of."""
        value = self.settings.value("solver")
        if value is None:
            return None, 1e-3, None, None
        name = value.name.text if isinstance(value, Call) else value.text if isinstance(value, Name) else ""
        if name == "auto":
            return None, *self._auto(value)
        if name == BESPOKE.name:
            return self._bespoke(value)
        if not isinstance(value, Call):
            if name in ADAPTIVE:
                raise LowerError(messages.adaptive_solver_in_deploy(value.span, name))
            raise LowerError(messages.scheme_needs_steps(value.span, name or "solver"))
        if name in ADAPTIVE and not any(item.name.text == "steps" for item in value.keywords):
            raise LowerError(messages.adaptive_solver_in_deploy(value.span, name))
        return scheme_called(value, self.values.numbers), 1e-3, None, None

    def _bespoke(self, value: Expression) -> tuple[Called, float, None, tuple[str, ...] | None]:
        found = bespoke_called(value, self.values.numbers)
        of = found.options["of"]
        if of is not None and of not in self.outputs:
            raise Poisoned  # unknown, or at fault: reported where names are resolved, or there
        return found, float(found.options["error"]), None, None if of is None else (of,)

    def _auto(self, value: Expression) -> tuple[float, float | None, tuple[str, ...] | None]:
        stated, of = {"error": 1e-3}, None
        if isinstance(value, Call) and value.arguments:
            usage = "auto(error=1e-3, of=output)"
            raise LowerError(calls.too_many_arguments(value.span, "auto", len(value.arguments), 0, usage))
        for keyword in value.keywords if isinstance(value, Call) else ():
            match keyword.name.text, keyword.value:
                case "error" | "weak" as key, expression:
                    stated[key] = error = float(self.values.numbers.real(expression))
                    if not 0 < error < 1:
                        raise LowerError(
                            messages.setting_value(expression.span, key, f"{error:g}", "a number between 0 and 1")
                        )
                case "of", Name(text=text):
                    if text not in self.outputs:
                        raise Poisoned  # unknown, or at fault: reported where names are resolved, or there
                    of = (text,)
                case name, _:
                    raise LowerError(calls.unknown_keyword(keyword.name.span, "auto", name, ("error", "weak", "of")))
        self._require_noise(value, "weak" in stated)
        return stated["error"], stated.get("weak"), of

    def _require_noise(self, value: Expression, weak: bool) -> None:
        """A weak error is that of means over paths: it is one of stochastic models alone."""
        nodes = everything(self.outputs.values())
        if weak and not any(node.op is SOLVE and spec_of(node).noises for node in nodes):
            raise LowerError(messages.weak_without_noise(value.span))

    def _check(self, setting: Setting) -> Check:
        values = setting.values
        if len(values) != 1 or not isinstance(values[0], Binary) or values[0].operator not in COMPARISONS:
            raise Poisoned  # reported where names are resolved
        comparison = values[0]
        expressions = self._whole_split()
        sides = {"left": expressions.node(comparison.left), "right": expressions.node(comparison.right)}
        for side, node in sides.items():
            if node.shape != ():
                expression = comparison.left if side == "left" else comparison.right
                raise LowerError(messages.check_not_a_number(expression.span, describe(node.type)))
        graph = Graph(tuple(self._leaves.values()), sides, "check")
        members = members_in(sides.values())
        if members is not None:
            raise LowerError(ensemble.samples_out_of_place(members.span, "a check"))
        return Check(graph, comparison.operator, self.values.excerpt(comparison), setting.span)

    def _whole_split(self) -> Expressions:
        """Names mean what was computed and measured for every sample of the held-out split."""
        ports = self.values.ports
        self._leaves: dict[str, Node] = {}

        def lookup(name: str, span: Span) -> Value:
            if name in self._leaves:
                return self._leaves[name]
            if name in self.outputs:
                node = leaf(INPUT, name, self.outputs[name].type)
            elif name in ports:
                node = port_leaf(ports[name])
            elif name in self.values.declared and name not in self.values.output_names:
                raise LowerError(messages.check_of_inner_value(span, name, sorted({*self.outputs, *ports})))
            else:
                raise Poisoned
            self._leaves[name] = node
            return node

        scope = LayerScope(self.values.table, "check", whole_split=True)
        return Expressions(Frame(scope, lookup), self.values.numbers, frozenset(), self.values.call_net)


def _refuse(span: Span, what: str) -> None:
    raise LowerError(messages.not_available_yet(span, what))
