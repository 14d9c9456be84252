"""A program of one sample in float64, read from its syntax tree: numpy alone, nothing of the compiler is in it.

Values are arrays of one sample; there is no batch. A derivative is a complex step, Im f(x + ih)/h, of what the name
stands for; where another derivative is inside, a central difference. Steps are written from the textbooks' tableaus.
Squire, Trapp (1998), SIAM Review 40, 110-112. Hairer, Norsett, Wanner (1993), II.1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.special import erf

from isocline_dsl import tree

Array = np.ndarray[Any, np.dtype[Any]]
STEP = 1e-30
DIFFERENCE = 1e-4


NEAR = 1e-5
"""How near to a jump a value may be, relative to its size."""
CORNER = 0.05
"""The second difference, as a part of the first and of the step, from which on a bend is a corner."""


class Kink(Exception):
    """A derivative is asked for where there is none."""


class Nested(Exception):
    """A derivative inside a complex step."""


TABLEAUS: Mapping[str, tuple[list[list[float]], list[float]]] = {
    "euler": ([[]], [1]),
    "midpoint": ([[], [1 / 2]], [0, 1]),
    "heun": ([[], [1]], [1 / 2, 1 / 2]),
    "ralston2": ([[], [2 / 3]], [1 / 4, 3 / 4]),
    "kutta3": ([[], [1 / 2], [-1, 2]], [1 / 6, 4 / 6, 1 / 6]),
    "ssprk3": ([[], [1], [1 / 4, 1 / 4]], [1 / 6, 1 / 6, 2 / 3]),
    "ralston3": ([[], [1 / 2], [0, 3 / 4]], [2 / 9, 3 / 9, 4 / 9]),
    "rk4": ([[], [1 / 2], [0, 1 / 2], [0, 0, 1]], [1 / 6, 2 / 6, 2 / 6, 1 / 6]),
    "rk38": ([[], [1 / 3], [-1 / 3, 1], [1, -1, 1]], [1 / 8, 3 / 8, 3 / 8, 1 / 8]),
}


@dataclass
class Scope:
    """Names with values, and names with definitions that are evaluated when they are asked for."""

    outer: Scope | None
    values: dict[str, Any] = field(default_factory=dict)
    definitions: dict[str, tree.Expression] = field(default_factory=dict)
    known: dict[str, Any] = field(default_factory=dict)

    def home(self, name: str) -> Scope:
        """The scope that the name belongs to."""
        if name in self.values or name in self.definitions or self.outer is None:
            return self
        return self.outer.home(name)

    def forgotten(self) -> Scope:
        """The same names, nothing of them evaluated yet."""
        outer = self.outer.forgotten() if self.outer else None
        return Scope(outer, dict(self.values), self.definitions)


class Interpreter:
    """The outputs of a program for one sample of its inputs."""

    def __init__(self, program: tree.Program, inputs: Mapping[str, Array]) -> None:
        self.nets: dict[str, tree.Net] = {}
        self.fields: dict[str, tree.Field] = {}
        self.outputs: list[str] = []
        self.stepping = False
        self.differenced = False
        """Whether a derivative was a quotient of differences, in which some eight digits are left."""
        self.file = Scope(None, {name: np.asarray(value, float) for name, value in inputs.items()})
        for item in program.declarations:
            self._declare(item)

    def _declare(self, item: tree.Declaration) -> None:
        match item:
            case tree.Net(name=name):
                self.nets[name.text] = item
            case tree.Field(name=name):
                self.fields[name.text] = item
            case tree.Param(names=names, type=kind, initial=initial):
                value = np.asarray(self.value(initial, self.file), float)
                shape = tuple(int(self.value(size, self.file)) for size in kind.sizes)
                self.file.values.update({name.text: np.broadcast_to(value, shape) for name in names})
            case tree.Const(name=name, value=value):
                self.file.definitions[name.text] = value
            case tree.Assign(name=name, value=value):
                self.file.definitions[name.text] = value
            case tree.Output(name=name, value=value):
                self.outputs.append(name.text)
                if value is not None:
                    self.file.definitions[name.text] = value

    def run(self) -> dict[str, Array]:
        """Every output."""
        return {name: np.asarray(_single(self._name(name, self.file))) for name in self.outputs}

    # ------------------------------------------------------------------------------------------- expressions

    def value(self, node: Any, scope: Scope) -> Any:
        """The value of an expression; of a solve, its states by name."""
        match node:
            case tree.Number(text=text):
                return np.asarray(float(text))
            case tree.Name(text="pi"):
                return np.asarray(np.pi)
            case tree.Name(text=text):
                return _single(self._name(text, scope))
            case tree.Derivative(name=name, order=order):
                return self._name(name.text + "'" * order, scope)
            case tree.Unary(operator=sign, operand=operand):
                inner = self.value(operand, scope)
                return ~inner if sign == "not" else -inner
            case tree.Binary(operator=sign, left=left, right=right):
                return OPERATORS[sign](self.value(left, scope), self.value(right, scope))
            case tree.Array(items=items):
                return np.stack([self.value(item, scope) for item in items])
            case tree.Pipe(value=value, stage=stage):
                return self._call(stage, (value, *stage.arguments), scope)
            case tree.Call(arguments=arguments):
                return self._call(node, arguments, scope)
            case tree.Index(value=value, items=items):
                return self.value(value, scope)[tuple(self._position(item, scope) for item in items)]
            case tree.Attribute(value=value, name=name, order=order):
                return self._name(value.text, scope)[name.text + "'" * order]
            case tree.Solve():
                return self._solve(node, scope)
        raise NotImplementedError(type(node).__name__)

    def _name(self, name: str, scope: Scope) -> Any:
        home = scope.home(name)
        if name in home.values:
            return home.values[name]
        if name not in home.known:
            home.known[name] = self.value(home.definitions[name], home)
        return home.known[name]

    def _position(self, item: Any, scope: Scope) -> Any:
        if isinstance(item, tree.Slice):
            return slice(*(None if part is None else int(self.value(part, scope)) for part in
                           (item.start, item.stop, item.step)))  # fmt: skip
        return int(self.value(item, scope))

    def _call(self, call: tree.Call, arguments: Sequence[Any], scope: Scope) -> Any:
        name = call.name.text
        if name in DERIVATIVES:
            return self._derivative(name, arguments, scope)
        given = [self.value(item, scope) for item in arguments]
        if name in self.nets:
            net = self.nets[name]
            values = {item.name.text: np.broadcast_to(value, self._sizes(item.type)) for item, value in
                      zip(net.arguments, given, strict=True)}  # fmt: skip
            inner = Scope(self.file, values, {item.name.text: item.value for item in net.body})
            return self.value(net.result, inner)
        keywords = {item.name.text: self._plain(item.value, scope) for item in call.keywords}
        return FUNCTIONS[name](*given, **keywords)

    def _sizes(self, kind: tree.TypeName | None) -> tuple[int, ...]:
        return tuple(int(self.value(size, self.file)) for size in kind.sizes) if kind else ()

    def _plain(self, value: Any, scope: Scope) -> Any:
        if isinstance(value, tree.Name) and value.text in ("true", "false"):
            return value.text == "true"
        if isinstance(value, tree.Array):
            return tuple(int(self.value(item, scope)) for item in value.items)
        return float(self.value(value, scope))

    # ------------------------------------------------------------------------------------------- derivatives

    def _derivative(self, name: str, arguments: Sequence[Any], scope: Scope) -> Any:
        if self.stepping:
            raise Nested
        y, x = arguments[0], arguments[1]
        if name in ("hessian", "laplacian"):
            inner = tree.Call(tree.Identifier("grad"), (y, x))
            found = self._jacobian(inner, x.text, scope)
        else:
            found = self._jacobian(y, x.text, scope)
        directions = [self.value(item, scope) for item in arguments[2:]]
        return DERIVATIVES[name](found, self.value(x, scope), *directions)

    def _jacobian(self, y: Any, x: str, scope: Scope) -> Array:
        """dy/dx with the axes of x last, entry by entry."""
        base = self._name(x, scope)
        columns = [self._column(y, x, scope, base, index) for index in np.ndindex(base.shape)]
        columns = [np.asarray(column) for column in columns]
        return np.stack(columns, axis=-1).reshape(columns[0].shape + base.shape)

    def _column(self, y: Any, x: str, scope: Scope, base: Array, index: tuple[int, ...]) -> Array:
        unit = np.zeros(base.shape)
        unit[index] = 1.0
        self.stepping = True
        try:
            return np.imag(self._moved(y, x, scope, base + 1j * STEP * unit)) / STEP
        except Nested:
            self.differenced = True
        finally:
            self.stepping = False
        after, before = (self._moved(y, x, scope, base + sign * DIFFERENCE * unit) for sign in (1, -1))
        here = self._moved(y, x, scope, base)
        bent, steep = np.abs(after - 2 * here + before), np.abs(after - before)
        if np.any((bent > CORNER * DIFFERENCE) & (bent > CORNER * steep)):
            raise Kink  # slopes on both sides differ, as where two entries are the largest
        near, far = (self._moved(y, x, scope, base + 2 * sign * DIFFERENCE * unit) for sign in (1, -1))
        return (8 * (after - before) - (near - far)) / (12 * DIFFERENCE)

    def _moved(self, y: Any, x: str, scope: Scope, value: Array) -> Array:
        """y where the name x stands for another value, and all that is defined by it follows."""
        fresh = scope.forgotten()
        home = fresh.home(x)
        home.values[x] = value
        file = self.file
        self.file = _outermost(fresh)
        try:
            return np.asarray(self.value(y, fresh))
        finally:
            self.file = file

    # ------------------------------------------------------------------------------------------------ solves

    def _solve(self, node: tree.Solve, scope: Scope) -> dict[str, Array]:
        body = self.fields[node.field.text]
        orders = {item.state.text: item.order for item in body.body if isinstance(item, tree.Equation)}
        shapes = {item.name.text: self._sizes(item.type) for item in body.states}
        given = {item.name.text + "'" * item.order: item.value for item in node.initial}
        names = [name + "'" * k for name, order in orders.items() for k in range(order)]
        state = [np.broadcast_to(self.value(given[name], scope), shapes[name.rstrip("'")]) for name in names]
        times = self._times(node, scope)
        assert node.scheme is not None
        steps = next(int(self.value(item.value, scope)) for item in node.scheme.keywords) // (len(times) - 1)

        def slope(t: float, values: Sequence[Array]) -> list[Array]:
            return self._slope(body, orders, shapes, t, dict(zip(names, values, strict=True)))

        path = [state]
        for start, end in pairwise(times):
            for k in range(steps):
                h = (end - start) / steps
                state = advanced(TABLEAUS[node.scheme.name.text], slope, start + k * h, state, h)
            path.append(state)
        kept = path if node.everywhere else path[-1:]
        stacked = [np.stack([values[i] for values in kept]) for i in range(len(names))]
        return {name: part if node.everywhere else part[0] for name, part in zip(names, stacked, strict=True)}

    def _times(self, node: tree.Solve, scope: Scope) -> list[float]:
        if not isinstance(node.times, tree.Range):
            return [float(np.real(time)) for time in self.value(node.times, scope)]
        start, stop = float(self.value(node.times.start, scope)), float(self.value(node.times.stop, scope))
        if node.times.step is None:
            return [start, stop]
        count = round((stop - start) / float(self.value(node.times.step, scope)))
        return [start + (stop - start) * i / count for i in range(count + 1)]

    def _slope(
        self, body: tree.Field, orders: Mapping[str, int], shapes: Mapping[str, tuple[int, ...]], t: float,
        values: Mapping[str, Array],
    ) -> list[Array]:  # fmt: skip
        definitions = {item.name.text: item.value for item in body.body if isinstance(item, tree.Assign)}
        inner = Scope(self.file, {body.time.text: np.asarray(t), **values}, definitions)
        slopes = {}
        for item in body.body:
            if isinstance(item, tree.Equation):
                name = item.state.text
                if orders[name] == 2:
                    slopes[name] = values[name + "'"]
                highest = name + "'" * (orders[name] - 1)
                slopes[highest] = np.broadcast_to(self.value(item.value, inner), shapes[name])
        return [slopes[name] for name in values]


def _single(value: Any) -> Any:
    """A solution of one state is that state."""
    plain = [part for name, part in value.items() if name[-1] != "'"] if isinstance(value, dict) else [value]
    return plain[0]


def _outermost(scope: Scope) -> Scope:
    return scope if scope.outer is None else _outermost(scope.outer)


def advanced(
    tableau: tuple[list[list[float]], list[float]], slope: Callable[..., list[Array]], t: float,
    state: Sequence[Array], h: float,
) -> list[Array]:  # fmt: skip
    """One explicit Runge-Kutta step: k_i = f(t + c_i h, x + h sum a_ij k_j), x + h sum b_i k_i, c_i = sum a_ij."""
    a, b = tableau
    k: list[list[Array]] = []
    for row in a:
        inside = [x + h * sum((c * kj[i] for c, kj in zip(row, k, strict=False)), 0.0) for i, x in enumerate(state)]
        k.append(slope(t + h * sum(row), inside))
    return [x + h * sum((c * kj[i] for c, kj in zip(b, k, strict=True)), 0.0) for i, x in enumerate(state)]


# ------------------------------------------------------------------------------------------------------ functions


def _compared(compare: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda a, b: compare(np.real(a), np.real(b))


def _power(a: Any, b: Any) -> Any:
    """a^b; by products where b is whole, since the complex logarithm of a negative number loses the step."""
    if np.isrealobj(b) and b.ndim == 0 and float(b).is_integer() and abs(b) < 20:
        found = np.ones(np.shape(a)) * np.prod([a] * abs(int(b)), axis=0) if b else np.ones(np.shape(a))
        return found if b >= 0 else 1 / found
    return np.exp(b * np.log(a))


OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide, "^": _power, "@": np.matmul,
    "<": _compared(np.less), "<=": _compared(np.less_equal), ">": _compared(np.greater),
    ">=": _compared(np.greater_equal), "and": np.logical_and, "or": np.logical_or,
}  # fmt: skip


def _chosen(condition: Any, a: Any, b: Any) -> Any:
    return np.where(condition, a, b)


def _larger(sign: int) -> Callable[..., Any]:
    """max or min, of two or along an axis; between equals there is no derivative."""

    def choose(a: Any, b: Any = None, axis: float | None = None, axes: Any = None) -> Any:
        if b is not None:
            if np.iscomplexobj(a + b) and np.any(np.real(a) == np.real(b)):
                raise Kink
            return np.where(sign * np.real(a) >= sign * np.real(b), a, b)
        flat = np.reshape(a, -1) if axis is None else np.moveaxis(a, int(axis), -1)
        order = np.sort(np.real(flat), axis=-1)
        if np.iscomplexobj(a) and flat.shape[-1] > 1 and np.any(np.diff(order, axis=-1) == 0):
            raise Kink
        place = np.argmax(sign * np.real(flat), axis=-1)
        return np.take_along_axis(flat, place[..., None], axis=-1)[..., 0]

    return choose


def _reduced(reduce: Callable[..., Any]) -> Callable[..., Any]:
    def along(x: Any, axis: float | None = None, axes: Any = None, keep: bool = False) -> Any:
        where = axes if axes is not None else None if axis is None else int(axis)
        return reduce(x, axis=where, keepdims=keep)

    return along


def _bent(x: Any, at: float = 0.0) -> Any:
    if np.iscomplexobj(x) and np.any(np.real(x) == at):
        raise Kink
    return np.real(x) > at


def _floor(x: Any) -> Any:
    """On which side of a whole number a value lies is for rounding to say, unless it is 0."""
    if np.any((np.abs(x - np.rint(x)) < NEAR * np.maximum(np.abs(x), 1.0)) & (x != 0)):
        raise Kink
    return np.floor(x)


def _sign(x: Any) -> Any:
    if np.any((np.abs(x) < NEAR) & (x != 0)):
        raise Kink
    return np.sign(x)


def _softmax(x: Any, axis: float = -1) -> Any:
    e = np.exp(x - np.max(np.real(x), axis=int(axis), keepdims=True))
    return e / e.sum(axis=int(axis), keepdims=True)


def _clip(x: Any, low: Any, high: Any) -> Any:
    return np.where(_bent(x, float(low)), np.where(_bent(x, float(high)), high, x), low)


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    **{name: getattr(np, name) for name in ("exp", "expm1", "log", "log1p", "sqrt", "sin", "cos", "tanh", "sinh",
                                            "cosh", "square")},
    "asinh": np.arcsinh, "atan": np.arctan, "erf": erf,
    "abs": lambda x: np.where(_bent(x), x, -x),
    "sign": lambda x: _sign(np.real(x)), "floor": lambda x: _floor(np.real(x)),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)), "softplus": lambda x: np.log(1 + np.exp(x)),
    "relu": lambda x: np.where(_bent(x), x, 0.0), "leaky_relu": lambda x: np.where(_bent(x), x, 0.01 * x),
    "elu": lambda x: np.where(_bent(x), x, np.exp(x) - 1), "silu": lambda x: x / (1 + np.exp(-x)),
    "gelu": lambda x: x * (1 + erf(x / np.sqrt(2))) / 2,
    "mish": lambda x: x * np.tanh(np.log(1 + np.exp(x))),
    "clip": _clip, "where": _chosen, "max": _larger(1), "min": _larger(-1),
    "softmax": _softmax, "log_softmax": lambda x, axis=-1: np.log(_softmax(x, axis)),
    "sum": _reduced(np.sum), "mean": _reduced(np.mean), "prod": _reduced(np.prod),
    "norm": _reduced(lambda x, axis, keepdims: np.sqrt(np.sum(x * x, axis=axis, keepdims=keepdims))),
    "var": _reduced(lambda x, axis, keepdims: np.mean((x - np.mean(x, axis=axis, keepdims=True)) ** 2, axis=axis,
                                                      keepdims=keepdims)),
    "logsumexp": lambda x, axis=-1: np.log(np.sum(np.exp(x), axis=int(axis))),
    "cumsum": lambda x, axis=-1: np.cumsum(x, axis=int(axis)), "dot": lambda a, b: np.sum(a * b, axis=-1),
    "concat": lambda *x, axis=0: np.concatenate([np.atleast_1d(item) for item in x], axis=int(axis)),
    "stack": lambda *x, axis=0: np.stack(x, axis=int(axis)),
    "reshape": lambda x, *sizes: np.reshape(x, [int(size) for size in sizes]), "flatten": np.ravel,
    "transpose": lambda x, *axes: np.transpose(x, [int(axis) for axis in axes] or None),
    "pad": lambda x, count: np.concatenate([x, np.zeros((*x.shape[:-1], int(count)))], axis=-1),
    "reverse": lambda x, axis=0: np.flip(x, int(axis)),
    "repeat": lambda x, count, axis=0: np.concatenate([x] * int(count), axis=int(axis)),
    "outer": lambda a, b: a[:, None] * b[None, :],
    "broadcast_to": lambda x, *sizes: np.broadcast_to(x, [int(size) for size in sizes]),
    "zeros": lambda *sizes: np.zeros([int(size) for size in sizes]),
    "full": lambda value, *sizes: np.full([int(size) for size in sizes], value),
    "range": lambda count: np.arange(float(count)), "linspace": lambda a, b, count: np.linspace(a, b, int(count)),
}  # fmt: skip


def _inner(a: Array, b: Array, count: int, last: bool) -> Array:
    """The Jacobian times a direction: over its last axes, those of x, or over its first, those of y."""
    axes = range(a.ndim - count, a.ndim) if last else range(count)
    return np.tensordot(a, b, axes=(list(axes), list(range(count))))


def _trace(j: Array, x: Array) -> Any:
    return np.trace(j.reshape(x.size, x.size))


DERIVATIVES: Mapping[str, Callable[..., Any]] = {
    "grad": lambda j, x: j, "jacobian": lambda j, x: j, "hessian": lambda j, x: j,
    "jvp": lambda j, x, v: _inner(j, np.broadcast_to(v, x.shape), x.ndim, last=True),
    "vjp": lambda j, x, u: _inner(j, u, u.ndim, last=False),
    "divergence": _trace, "laplacian": _trace,
}  # fmt: skip
