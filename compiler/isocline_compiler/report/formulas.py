"""Equations of a file as MathML, which browsers typeset themselves."""

from __future__ import annotations

from dataclasses import dataclass, replace

from markupsafe import Markup

from isocline_dsl import tree
from isocline_dsl.diagnostics import Source

LOOSENESS = {
    "or": 1,
    "and": 2,
    "==": 4,
    "!=": 4,
    "<": 4,
    "<=": 4,
    ">": 4,
    ">=": 4,
    "+": 5,
    "-": 5,
    "*": 7,
    "@": 7,
    "/": 7,
}
NEGATION, POWER, ATOM = 8, 9, 10
SIGNS = {"*": "⋅", "@": "⁢", "-": "−", "<=": "≤", ">=": "≥", "!=": "≠", "==": "="}
THIN = Markup('<mspace width="0.1em"/>')
GREEK = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "zeta": "ζ", "eta": "η", "theta": "θ",
    "kappa": "κ", "lambda": "λ", "mu": "μ", "nu": "ν", "xi": "ξ", "pi": "π", "rho": "ρ", "sigma": "σ", "tau": "τ",
    "phi": "φ", "chi": "χ", "psi": "ψ", "omega": "ω",
}  # fmt: skip


@dataclass(frozen=True)
class FormulaRow:
    """One line of a field: left of the equals sign, and the terms to its right, between which a line may break."""

    left: Markup
    right: tuple[Markup, ...]


@dataclass(frozen=True)
class StateRow:
    """A state of a field, and where its solves start it."""

    name: str
    type: str
    starts: tuple[str, ...]


@dataclass(frozen=True)
class FieldPage:
    """A field as the page shows it."""

    name: str
    arguments: str
    per_step: bool
    rows: tuple[FormulaRow, ...]
    states: tuple[StateRow, ...]
    solves: tuple[str, ...]


def fields(program: tree.Program, source: Source) -> list[FieldPage]:
    """Every field of a file with its equations, states and solves."""
    solves = [node for node in tree.walk(program) if isinstance(node, tree.Solve)]
    return [
        _field(item, [solve for solve in solves if solve.field.text == item.name.text], source)
        for item in program.declarations
        if isinstance(item, tree.Field)
    ]


def _field(item: tree.Field, solves: list[tree.Solve], source: Source) -> FieldPage:
    typesetter = Typesetter(source)
    rows = tuple(row for statement in item.body if (row := typesetter.row(statement, item.time.text)))
    states = tuple(
        StateRow(
            state.name.text,
            _text(state.type, source) if state.type else "real",
            _starts(state, solves, source),
        )
        for state in item.states
    )
    arguments = ", ".join([item.time.text, *(state.name.text for state in item.states)])
    texts = tuple(_text(solve, source) for solve in solves)
    return FieldPage(item.name.text, arguments, item.per_step, rows, states, texts)


def _starts(state: tree.Argument, solves: list[tree.Solve], source: Source) -> tuple[str, ...]:
    """The starts of a state, and of its velocity when it has one, each once."""
    found = {
        f"{start.name.text}′ = {_text(start.value, source)}" if start.order else _text(start.value, source): None
        for solve in solves
        for start in solve.initial
        if start.name.text == state.name.text
    }
    return tuple(found)


def _text(node: tree.Node, source: Source) -> str:
    return " ".join(source.text[node.span.start : node.span.stop].split())


@dataclass(frozen=True)
class Typesetter:
    """Expressions as MathML; a form that mathematics has no sign for is shown as it is written.

    `flat` writes fractions with a stroke: inside calls and arrays.
    """

    source: Source
    flat: bool = False

    def row(self, statement: tree.Statement, time: str) -> FormulaRow | None:
        """A line of a field; None for a declaration that is no equation."""
        match statement:
            case tree.Equation(state=state, order=order, value=value):
                return FormulaRow(_math(_rate(state.text, order, time)), self.terms(value))
            case tree.Assign(name=name, value=value):
                return FormulaRow(_math(_name(name.text)), self.terms(value))
            case tree.Differential(state=state):
                written = _text(statement, self.source).partition("=")[2].strip()
                return FormulaRow(
                    _math(_tag("mrow", '<mi mathvariant="normal">d</mi>', _name(state.text))),
                    (_math(_words(written)),),
                )
        return None

    def terms(self, value: tree.Expression) -> tuple[Markup, ...]:
        """The terms of a sum, or the stages of a pipeline, each a formula of its own."""
        match value:
            case tree.Binary(operator="+" | "-" as sign, left=left, right=right):
                last = _tag("mrow", _infix(SIGNS.get(sign, sign)), self.inside(right, LOOSENESS[sign] + 1))
                return (*self.terms(left), _math(last))
            case tree.Pipe(value=left, stage=stage, bare=bare):
                return (*self.terms(left), _math(_tag("mrow", _infix("▹"), self.stage(stage, bare))))
        return (_math(self.show(value)),)

    def inside(self, value: tree.Expression, tightness: int) -> Markup:
        """The expression, in parentheses where it binds less tightly than its place asks."""
        shown = self.show(value)
        return shown if _tightness(value) >= tightness else _fenced("(", shown, ")")

    def show(self, value: tree.Expression) -> Markup:
        match value:
            case tree.Number(text=text):
                return _number(text)
            case tree.Name(text=text):
                return _name(text)
            case tree.Derivative(name=name, order=order):
                return _tag("mrow", _name(name.text), _sign("′" * order))
            case tree.Unary(operator=sign, operand=operand):
                shown = _sign("−") if sign == "-" else _sign("not ")
                return _tag("mrow", shown, self.inside(operand, NEGATION if sign == "-" else 3))
            case tree.Binary():
                return self.binary(value)
            case tree.Call(name=name, arguments=arguments, keywords=keywords):
                return self.call(name.text, arguments, keywords)
            case tree.Index(value=base, items=items):
                written = ", ".join(_text(item, self.source) for item in items)
                return _tag("msub", self.inside(base, ATOM), _words(written, "mn"))
            case tree.Attribute(value=base, name=name, order=order):
                return _tag("mrow", self.inside(base, ATOM), _sign("."), _name(name.text), _sign("′" * order))
            case tree.Array(items=items):
                return _fenced("[", replace(self, flat=True).listed(items), "]", stretched=False)
        return _words(_text(value, self.source))

    def binary(self, value: tree.Binary) -> Markup:
        sign, left, right = value.operator, value.left, value.right
        if sign == "/" and not self.flat:
            return _tag("mfrac", self.show(left), self.show(right))
        if sign == "^":
            return _tag("msup", self.inside(left, ATOM), self.show(right))
        place = LOOSENESS.get(sign, 0)
        shown = _sign(SIGNS.get(sign, f" {sign} " if sign.isalpha() else sign))
        return _tag("mrow", self.inside(left, place), shown, self.inside(right, place + 1))

    def call(self, name: str, arguments: tuple[tree.Expression, ...], keywords: tuple[tree.Keyword, ...]) -> Markup:
        if not keywords and len(arguments) == 1:
            if name == "sqrt":
                return _tag("msqrt", self.show(arguments[0]))
            if name == "abs":
                return _fenced("|", self.show(arguments[0]), "|")
        inside = replace(self, flat=True).listed((*arguments, *keywords))
        return _tag("mrow", _name(name), _fenced("(", inside, ")", stretched=False))

    def stage(self, stage: tree.Call, bare: bool) -> Markup:
        return _name(stage.name.text) if bare else self.call(stage.name.text, stage.arguments, stage.keywords)

    def listed(self, items: tuple[tree.Expression | tree.Keyword, ...]) -> Markup:
        shown = [
            _tag("mrow", _name(item.name.text), _sign("="), self.show(item.value))
            if isinstance(item, tree.Keyword)
            else self.show(item)
            for item in items
        ]
        return _tag("mrow", Markup("<mo>,</mo>").join(shown))


def _tightness(value: tree.Expression) -> int:
    match value:
        case tree.Binary(operator="^"):
            return POWER
        case tree.Binary(operator=sign):
            return LOOSENESS.get(sign, 0)
        case tree.Unary(operator=sign):
            return NEGATION if sign == "-" else 3
        case tree.Pipe() | tree.Solve() | tree.Scan() | tree.Range():
            return 0
    return ATOM


def _rate(state: str, order: int, time: str) -> Markup:
    """dx/dt, d²x/dt²."""
    d, power = Markup('<mi mathvariant="normal">d</mi>'), Markup("<mn>{}</mn>").format(order)
    if order == 1:
        return _tag("mfrac", _tag("mrow", d, THIN, _name(state)), _tag("mrow", d, THIN, _name(time)))
    above = _tag("mrow", _tag("msup", d, power), THIN, _name(state))
    return _tag("mfrac", above, _tag("mrow", d, THIN, _tag("msup", _name(time), power)))


def _name(text: str) -> Markup:
    """A name: Greek letters by their names, what follows the first underscore below the line."""
    head, _, tail = text.partition("_")
    if head and tail:
        return _tag("msub", _letters(head), _words(tail.replace("_", " ")))
    return _letters(text)


def _letters(text: str) -> Markup:
    return Markup("<mi>{}</mi>").format(GREEK.get(text, text))


def _number(text: str) -> Markup:
    mantissa, _, exponent = text.lower().partition("e")
    if not exponent:
        return Markup("<mn>{}</mn>").format(text)
    ten = Markup("<msup><mn>10</mn><mn>{}</mn></msup>").format(exponent.lstrip("+").replace("-", "−"))
    return ten if mantissa == "1" else _tag("mrow", _number(mantissa), _sign("×"), ten)


def _words(text: str, tag: str = "mtext") -> Markup:
    return Markup("<{0}>{1}</{0}>").format(Markup(tag), text)


def _sign(text: str) -> Markup:
    return Markup("<mo>{}</mo>").format(text)


def _infix(text: str) -> Markup:
    """A sign that keeps its spaces at the beginning of a formula, where a term follows one before the line's break."""
    return Markup('<mo form="infix" lspace="0.22em" rspace="0.22em">{}</mo>').format(text)


def _fenced(left: str, inside: Markup, right: str, *, stretched: bool = True) -> Markup:
    sign = Markup("<mo>{}</mo>") if stretched else Markup('<mo stretchy="false">{}</mo>')
    return _tag("mrow", sign.format(left), inside, sign.format(right))


def _tag(tag: str, *parts: Markup | str) -> Markup:
    return Markup(f"<{tag}>") + Markup("").join(Markup(part) for part in parts) + Markup(f"</{tag}>")


def _math(inside: Markup) -> Markup:
    return Markup('<math displaystyle="true">') + inside + Markup("</math>")
