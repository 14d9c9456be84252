"""Expressions and types as text, with no more parentheses than the grammar needs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import MappingProxyType

from isocline_dsl import tree

# How tightly each form binds, as in grammar.lark; a form stands bare where at most its own level is asked for.
ANYTHING, PIPE, OR, AND, NOT, COMPARE, SUM, PRODUCT, SIGNED, POWER, POSTFIX = range(11)

_LEVELS = MappingProxyType(
    {"or": OR, "and": AND, "+": SUM, "-": SUM, "*": PRODUCT, "/": PRODUCT, "@": PRODUCT, "^": POWER}
    | dict.fromkeys(("==", "!=", "<", "<=", ">", ">="), COMPARE)
)
_TIGHT = frozenset("*/^")


def phrase(node: tree.Node, level: int = ANYTHING) -> str:
    """An expression as text, in parentheses when it binds less tightly than `level`."""
    text = _bare(node)
    return text if _level(node) >= level else f"({text})"


def _level(node: tree.Node) -> int:
    match node:
        case tree.Solve() | tree.Scan() | tree.Range():
            return ANYTHING
        case tree.Pipe():
            return PIPE
        case tree.Binary(operator=operator):
            return _LEVELS[operator]
        case tree.Unary(operator=operator):
            return NOT if operator == "not" else SIGNED
    return POSTFIX


def _bare(node: tree.Node) -> str:
    match node:
        case tree.Name(text=text) | tree.Number(text=text) | tree.Identifier(text=text):
            return text
        case tree.String(text=text):
            return quoted(text)
        case tree.Derivative(name=name, order=order):
            return name.text + "'" * order
        case tree.Array(items=items):
            return f"[{listed(items)}]"
        case tree.Keyword(name=name, value=value):
            return f"{name.text}={phrase(value, PIPE)}"
        case tree.Call():
            return call(node)
        case tree.Slice():
            return _slice(node)
        case tree.Index(value=value, items=items):
            return f"{phrase(value, POSTFIX)}[{listed(items)}]"
        case tree.Attribute(value=value, name=name, order=order):
            return f"{_before_dot(value)}.{name.text}{chr(39) * order}"
    return _formula(node)


def _formula(node: tree.Node) -> str:
    match node:
        case tree.Unary(operator=operator, operand=operand):
            return f"not {phrase(operand, NOT)}" if operator == "not" else f"-{phrase(operand, SIGNED)}"
        case tree.Binary():
            return _binary(node)
        case tree.Pipe():
            return " |> ".join(pipeline(node))
        case tree.Range():
            return times(node)
        case tree.Solve():
            return " ".join(solve_clauses(node))
        case tree.Scan():
            return f"{scan_head(node)} {{ {'; '.join(line(item) for item in node.body)} }}"
    raise TypeError(f"{type(node).__name__} is not an expression")


def _binary(node: tree.Binary) -> str:
    operator, level = node.operator, _LEVELS[node.operator]
    left, right = level, level + 1
    if operator == "^":
        left, right = POSTFIX, SIGNED
    elif level == COMPARE:
        left = right = SUM
    sign = operator if operator in _TIGHT else f" {operator} "
    return f"{phrase(node.left, left)}{sign}{phrase(node.right, right)}"


def pipeline(node: tree.Pipe) -> list[str]:
    """The value that a pipeline begins with, and its stages."""
    stages: list[str] = []
    here: tree.Expression = node
    while isinstance(here, tree.Pipe):
        stages.append(here.stage.name.text if here.bare else call(here.stage))
        here = here.value
    return [phrase(here, OR), *reversed(stages)]


def _before_dot(value: tree.Expression) -> str:
    return f"({value.text})" if isinstance(value, tree.Number) else phrase(value, POSTFIX)


def _slice(node: tree.Slice) -> str:
    start, stop, step = (phrase(part, PIPE) if part else "" for part in (node.start, node.stop, node.step))
    return f"{start}:{stop}:{step}" if step else f"{start}:{stop}"


def call(node: tree.Call) -> str:
    """`dense(16, init=zeros)`; parentheses always."""
    return f"{node.name.text}({listed([*node.arguments, *node.keywords])})"


def stage(node: tree.Call) -> str:
    """A scheme, a prior, a method: without parentheses when it has no arguments."""
    return call(node) if node.arguments or node.keywords else node.name.text


def listed(nodes: Iterable[tree.Node]) -> str:
    """Expressions with commas between them."""
    return ", ".join(phrase(node, PIPE) if not isinstance(node, tree.Slice) else _slice(node) for node in nodes)


def times(node: tree.Expression | tree.Range) -> str:
    """`0..20 step 1`, or an expression that lists times."""
    if not isinstance(node, tree.Range):
        return phrase(node, OR)
    start = phrase(node.start, SUM)
    text = f"{start}{' ' if start.endswith('.') else ''}..{phrase(node.stop, SUM)}"
    return f"{text} step {phrase(node.step, SUM)}" if node.step else text


def bindings(nodes: Sequence[tree.Binding]) -> str:
    """`hare = first[0], lynx(s) = cos(s)`."""
    return ", ".join(f"{_begun(b)} = {phrase(b.value, PIPE)}" for b in nodes)


def _begun(node: tree.Binding) -> str:
    return node.name.text + "'" * node.order + (f"({node.time.text})" if node.time else "")


def solve_clauses(node: tree.Solve) -> list[str]:
    """`solve f`, `from x = 1`, and the times with what follows them."""
    times_and_more = [f"{'at' if node.everywhere else 'over'} {times(node.times)}"]
    times_and_more += [f"with {stage(node.scheme)}"] if node.scheme else []
    times_and_more += [f"samples {phrase(node.samples, SUM)}"] if node.samples else []
    times_and_more += [node.ordering.text] if node.ordering else []
    return [f"solve {node.field.text}", f"from {bindings(node.initial)}", " ".join(times_and_more)]


def scan_head(node: tree.Scan) -> str:
    """A scan up to the brace that opens its body."""
    over = ", ".join(phrase(item, PIPE) for item in node.over)
    return f"scan ({words(node.names)}) over ({over}) from {bindings(node.initial)}"


def jump_head(node: tree.Jump | tree.Event) -> str:
    """A jump up to the brace that opens its body."""
    if isinstance(node, tree.Event):
        return f"when {phrase(node.condition, PIPE)}"
    if not node.names:
        return f"at {phrase(node.over[0], PIPE)}"
    return f"at ({words(node.names)}) over ({', '.join(phrase(item, PIPE) for item in node.over)})"


def words(names: Iterable[tree.Identifier]) -> str:
    """Names with commas between them."""
    return ", ".join(name.text for name in names)


def type_text(node: tree.TypeName) -> str:
    """`real[2, n]`."""
    return f"{node.kind.text}[{listed(node.sizes)}]" if node.sizes else node.kind.text


def quoted(text: str) -> str:
    """A string in quotes, with its escapes."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'


def line(node: tree.Statement) -> str:
    """A statement of a field, a net or a scan on one line."""
    match node:
        case tree.Jump(body=body) | tree.Event(body=body):
            return f"{jump_head(node)} {{ {'; '.join(map(line, body))} }}"
        case tree.Assign(name=name, value=value):
            return f"{name.text} = {phrase(value)}"
        case tree.Equation(value=value):
            return f"{derivative(node)} = {phrase(value)}"
        case tree.Differential(state=state, terms=terms):
            return f"d{state.text} = {_terms(terms)}"
        case tree.NoiseDeclaration(name=name, convention=convention):
            return f"noise {name.text}: {process(node)}" + (f" {convention.text}" if convention else "")


def derivative(node: tree.Equation) -> str:
    """The left side of an equation: `x'`, `q''`, `D(x, 0.8)`."""
    if node.fraction is not None:
        return f"D({node.state.text}, {phrase(node.fraction)})"
    return f"{node.state.text}{chr(39) * node.order}"


def process(node: tree.NoiseDeclaration | tree.Draw) -> str:
    """`brownian[2]`, `stable(1.5)[2]`, `uniform(low=1, high=2)`."""
    keywords = node.keywords if isinstance(node, tree.Draw) else ()
    if not (node.arguments or keywords):
        return type_text(node.type)
    given = call(tree.Call(node.type.kind, node.arguments, keywords))
    sizes = f"[{', '.join(map(phrase, node.type.sizes))}]" if node.type.sizes else ""
    return f"{given}{sizes}"


def _terms(terms: Sequence[tree.Term]) -> str:
    text = ""
    for place, term in enumerate(terms):
        factor = f"{phrase(term.factor, PRODUCT)} " if term.factor is not None else ""
        sign = f" {term.sign} " if place else "-" if term.sign == "-" else ""
        sign += f"{factor}@ " if term.product else factor
        entry = "" if term.entry is None else f"[{phrase(term.entry)}]"
        text += f"{sign}{term.differential.text}{entry}"
    return text
