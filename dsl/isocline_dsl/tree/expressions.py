"""Whatever has a value: numbers, names, calls, pipes, solves and scans; types, whose sizes are such; and what stands in
the braces of a field or a scan. One file, since each of the three holds the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from isocline_dsl.tree.node import Node


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

    `q' = v0` (order 1), in a solve only: where the velocity of a state of second order starts. `x(s) = cos(s)`, in a
    solve only: where the state was at times `s` up to the start.
    """

    name: Identifier
    value: Expression
    order: int = 0
    time: Identifier | None = None


@dataclass(frozen=True)
class Solve(Node):
    """`solve F from x = x0, y = y0 (over a..b | at times) [with rk4(steps=8)] [samples 256 [antithetic]]`.

    `times` is a `Range` or an expression; `everywhere` is true for `at` (the solution has a leading time
    axis) and false for `over` (only the end is kept).
    """

    field: Identifier
    initial: tuple[Binding, ...]
    times: Expression | Range
    everywhere: bool
    scheme: Call | None = None
    samples: Expression | None = None
    ordering: Identifier | None = None


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


@dataclass(frozen=True)
class Assign(Node):
    """`h = expression`; several names take a tuple apart: `q, p = ...` is not in the language, so always one."""

    name: Identifier
    value: Expression


@dataclass(frozen=True)
class Equation(Node):
    """`hare' = ...`, `q'' = ...`: order 1 or 2 (more are reported by the checker); `D(x, 0.8) = ...`, whose `fraction`
    is the order of a Caputo derivative.
    """

    state: Identifier
    order: int
    value: Expression
    fraction: Expression | None = None


@dataclass(frozen=True)
class Term(Node):
    """`mu*s dt`: a factor and the differential it stands before.

    `entry`: `sigma dW[0]`, one entry of a noise; `product`: `g @ dW`, a matrix times it.
    """

    sign: str
    factor: Expression | None
    differential: Identifier
    entry: Expression | None = None
    product: bool = False


@dataclass(frozen=True)
class Differential(Node):
    """`ds = mu*s dt + sigma*s dW`: `state` is `s` (the name without its `d`)."""

    state: Identifier
    terms: tuple[Term, ...]


@dataclass(frozen=True)
class NoiseDeclaration(Node):
    """`noise W: brownian[5]` with an optional `stratonovich`; `noise L: stable(1.5)[2]` with its `arguments`."""

    name: Identifier
    type: TypeName
    convention: Identifier | None = None
    arguments: tuple[Expression, ...] = ()


@dataclass(frozen=True)
class Jump(Node):
    """`at doses { gut = gut + 100 }`, `at (tau, a) over (doses, amounts) { gut = gut + a }`: states are replaced.

    `names` stand for the time and for the entries of what else is in `over`; none in the short form.
    """

    names: tuple[Identifier, ...]
    over: tuple[Expression, ...]
    body: tuple[Statement, ...]


@dataclass(frozen=True)
class Event(Node):
    """`when height < 0 { speed = -0.9*speed }`: states are replaced where the solution crosses into the condition."""

    condition: Expression
    body: tuple[Statement, ...]


Statement: TypeAlias = Assign | Equation | Differential | NoiseDeclaration | Jump | Event
