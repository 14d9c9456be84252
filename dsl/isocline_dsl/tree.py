"""The syntax tree of a `.dyn` file: frozen dataclasses, one a form of the language.

Every node carries the span of the text it came from. Spans are ignored by equality, so that
`parse(print(parse(text))) == parse(text)` compares meaning and not layout.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import TypeAlias


@dataclass(frozen=True, order=True)
class Span:
    """Half-open range of character offsets in the source text;

    line and column exist only where a message is printed.
    """

    start: int = 0
    stop: int = 0

    def to(self, other: Span) -> Span:
        """The smallest span that covers both."""
        return Span(min(self.start, other.start), max(self.stop, other.stop))


@dataclass(frozen=True)
class Node:
    """Anything that was written in the file."""

    span: Span = field(default=Span(), compare=False, repr=False, kw_only=True)

    def children(self) -> Iterator[Node]:
        """The nodes directly below this one, in the order of the text."""
        for item in fields(self):
            yield from _nodes(getattr(self, item.name))


def _nodes(value: object) -> Iterator[Node]:
    if isinstance(value, Node):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _nodes(item)


def walk(node: Node) -> Iterator[Node]:
    """`node` and everything below it, parents first; no recursion, however deep the tree."""
    stack = [node]
    while stack:
        here = stack.pop()
        yield here
        stack.extend(reversed(tuple(here.children())))


# ---------------------------------------------------------------------------------------------- expressions


@dataclass(frozen=True)
class Identifier(Node):
    """A name where it is introduced or used, with its own span: `hare`."""

    text: str


@dataclass(frozen=True)
class Number(Node):
    """`0.5`, `20`, `1e-3`. The text is kept, so that printing does not change it; equality is by text."""

    text: str

    @property
    def value(self) -> float:
        return float(self.text)

    @property
    def is_integer(self) -> bool:
        return self.text.isdigit()


@dataclass(frozen=True)
class String(Node):
    """`"pelts.csv"`, without the quotes and with escapes resolved."""

    text: str


@dataclass(frozen=True)
class Name(Node):
    """A use of a name: `hare`. `inf`, `pi`, `true` and `false` are names too."""

    text: str


@dataclass(frozen=True)
class Derivative(Node):
    """`q'` in an expression:

    the velocity of a state that has an equation of second order. `order` counts the primes.
    """

    name: Identifier
    order: int = 1


@dataclass(frozen=True)
class Array(Node):
    """`[a, b, c]`, nested for matrices: stacks its items along a new first axis."""

    items: tuple[Expression, ...]


@dataclass(frozen=True)
class Unary(Node):
    """`-x`, `not x`."""

    operator: str
    operand: Expression


@dataclass(frozen=True)
class Binary(Node):
    """`a + b`; operators `+ - * / ^ @ == != < <= > >= and or`."""

    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True)
class Keyword(Node):
    """`init=zeros` inside a call."""

    name: Identifier
    value: Expression


@dataclass(frozen=True)
class Call(Node):
    """`dense(16, init=zeros)`, `tanh(x)`, `x(t - tau)`."""

    name: Identifier
    arguments: tuple[Expression, ...] = ()
    keywords: tuple[Keyword, ...] = ()


@dataclass(frozen=True)
class Pipe(Node):
    """`x |> dense(16)`: the value becomes the first argument. The stage is a call; a bare name (`|> tanh`) is a
    call without arguments and prints without parentheses when `bare`."""

    value: Expression
    stage: Call
    bare: bool = False


@dataclass(frozen=True)
class Slice(Node):
    """`a:b:c` inside an index; any part may be absent."""

    start: Expression | None = None
    stop: Expression | None = None
    step: Expression | None = None


@dataclass(frozen=True)
class Index(Node):
    """`x[0]`, `x[1:3, :]`."""

    value: Expression
    items: tuple[Expression | Slice, ...]


@dataclass(frozen=True)
class Attribute(Node):
    """`path.hare`: one state of a solution; `path.q'` (order 1): the velocity of a state of second order."""

    value: Expression
    name: Identifier
    order: int = 0


@dataclass(frozen=True)
class Range(Node):
    """`0..20 step 1` or `1..0.001`: only where times are expected (`over`, `at`, `split time`)."""

    start: Expression
    stop: Expression
    step: Expression | None = None


@dataclass(frozen=True)
class Binding(Node):
    """`hare = first[0]`: in `from` of a solve or scan, and in the blocks `data` and `train`.

    `q' = v0` (order 1), in a solve only: where the velocity of a state of second order starts.
    """

    name: Identifier
    value: Expression
    order: int = 0


@dataclass(frozen=True)
class Solve(Node):
    """`solve F from x = x0, y = y0 (over a..b | at times) [with rk4(steps=8)] [samples 256]`.

    `times` is a `Range` or an expression; `everywhere` is true for `at` (the solution has a leading time
    axis) and false for `over` (only the end is kept).
    """

    field: Identifier
    initial: tuple[Binding, ...]
    times: Expression | Range
    everywhere: bool
    scheme: Call | None = None
    samples: Expression | None = None


@dataclass(frozen=True)
class Scan(Node):
    """`scan (t0, t1, x) over (ts, xs) from h = zeros(32) { ... }`."""

    names: tuple[Identifier, ...]
    over: tuple[Expression, ...]
    initial: tuple[Binding, ...]
    body: tuple[Statement, ...]


Expression: TypeAlias = (
    Number
    | String
    | Name
    | Derivative
    | Array
    | Unary
    | Binary
    | Call
    | Pipe
    | Index
    | Attribute
    | Range
    | Solve
    | Scan
)


# --------------------------------------------------------------------------------------------------- types


@dataclass(frozen=True)
class TypeName(Node):
    """`real`, `real[2, n]`, `class[10]`, `time[T]`, `bool[3]`, `brownian[5]`; sizes are expressions over
    numbers, consts and symbolic sizes (`2 + 3`)."""

    kind: Identifier
    sizes: tuple[Expression, ...] = ()


@dataclass(frozen=True)
class Interval(Node):
    """`in (0, 10)`. `positive` is written back as `positive` and means `(0, inf)`."""

    low: Expression
    high: Expression


# ---------------------------------------------------------------------------------------------- statements


@dataclass(frozen=True)
class Assign(Node):
    """`h = expression`; several names take a tuple apart: `q, p = ...` is not in the language, so always one."""

    name: Identifier
    value: Expression


@dataclass(frozen=True)
class Equation(Node):
    """`hare' = ...`, `q'' = ...`: order 1 or 2 (more are reported by the checker)."""

    state: Identifier
    order: int
    value: Expression


@dataclass(frozen=True)
class Term(Node):
    """`mu*s dt`: a factor and the differential it stands before."""

    sign: str
    factor: Expression | None
    differential: Identifier


@dataclass(frozen=True)
class Differential(Node):
    """`ds = mu*s dt + sigma*s dW`: `state` is `s` (the name without its `d`)."""

    state: Identifier
    terms: tuple[Term, ...]


@dataclass(frozen=True)
class NoiseDeclaration(Node):
    """`noise W: brownian[5]` with an optional `stratonovich`."""

    name: Identifier
    type: TypeName
    convention: Identifier | None = None


Statement: TypeAlias = Assign | Equation | Differential | NoiseDeclaration


# -------------------------------------------------------------------------------------------- declarations


@dataclass(frozen=True)
class Argument(Node):
    """`z: real[2]`; several names may share a type in the text (`q, p: real`), the tree has one node each.
    The time argument of a field has no type."""

    name: Identifier
    type: TypeName | None = None


@dataclass(frozen=True)
class Const(Node):
    """`const k = 8.53`, `const A: real[2, 2] = [[...], [...]]`."""

    name: Identifier
    value: Expression
    type: TypeName | None = None


@dataclass(frozen=True)
class Input(Node):
    """`input image: real[1, 28, 28] in (0, 1) unit "lux" "what it is"`."""

    name: Identifier
    type: TypeName
    bounds: Interval | None = None
    unit: str | None = None
    description: str | None = None


@dataclass(frozen=True)
class Target(Node):
    """`target label: class[10]`: known in training data only."""

    name: Identifier
    type: TypeName
    unit: str | None = None
    description: str | None = None


@dataclass(frozen=True)
class Param(Node):
    """`param birth, death: positive = 0.5 ~ lognormal(0, 1) unit "1/year" "..."`."""

    names: tuple[Identifier, ...]
    type: TypeName
    bounds: Interval | None = None
    initial: Expression | None = None
    prior: Call | None = None
    unit: str | None = None
    description: str | None = None


@dataclass(frozen=True)
class Net(Node):
    """`net f(z: real[2]) -> real[2] = z |> dense(16) |> ...` or a block of assignments that ends in the result."""

    name: Identifier
    arguments: tuple[Argument, ...]
    result: Expression
    result_type: TypeName | None = None
    body: tuple[Assign, ...] = ()


@dataclass(frozen=True)
class Field(Node):
    """`field f(t, x: real[2]) [weights per step] { ... }`; the first argument is time and has no type."""

    name: Identifier
    time: Identifier
    states: tuple[Argument, ...]
    body: tuple[Statement, ...]
    per_step: bool = False


@dataclass(frozen=True)
class Control(Node):
    """`control X = hermite(xs, at=ts)`."""

    name: Identifier
    value: Call


@dataclass(frozen=True)
class Output(Node):
    """`output forecast = ...`; `output logits` alone names a value that exists (then `value` is None)."""

    name: Identifier
    value: Expression | None = None
    unit: str | None = None
    description: str | None = None


@dataclass(frozen=True)
class Setting(Node):
    """`epochs 600`, `solver dopri5(rtol=1e-6)`, `stream`: a key and its values, in a block."""

    key: Identifier
    values: tuple[Expression, ...] = ()


@dataclass(frozen=True)
class Draw(Node):
    """`draw z: normal[2]` or `draw t0: uniform(0.001, 1)` in `train`."""

    name: Identifier
    distribution: TypeName | Call


@dataclass(frozen=True)
class Attribution(Node):
    """`attribute forecast wrt first by saliency, integrated_gradients(steps=32)`."""

    output: Identifier
    wrt: tuple[Identifier, ...]
    methods: tuple[Call, ...]


BlockItem: TypeAlias = Setting | Binding | Draw | Attribution


@dataclass(frozen=True)
class Block(Node):
    """`data { ... }`, `train { ... }` or `deploy { ... }`: the kind and its items in order."""

    kind: str
    items: tuple[BlockItem, ...] = ()


Declaration: TypeAlias = (
    Const | Input | Target | Param | Net | Field | Control | Assign | Output | Block | NoiseDeclaration
)


@dataclass(frozen=True)
class Program(Node):
    """One file: `dyn 1`, `model name "description"`, declarations in order."""

    version: Number
    name: Identifier
    description: str | None = None
    declarations: tuple[Declaration, ...] = ()
