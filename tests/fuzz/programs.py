"""Type-correct programs at random: fields, solves with a stated scheme, derivatives, nets, loops, opsets 18 to 21."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

Shape = tuple[int, ...]

SHAPES: tuple[Shape, ...] = ((), (), (2,), (3,), (2, 3), (3, 3), (1,))
SCHEMES = ("euler", "midpoint", "heun", "ralston2", "kutta3", "ssprk3", "ralston3", "rk4", "rk38")
NARROW = 3
"""How many of the functions, the first, onnxruntime has no float64 kernels for."""
SAFE = (
    "atan({})", "gelu({})", "erf({})", "sin({})", "cos({})", "tanh({})", "sigmoid({})", "softplus({})",
    "relu({})", "abs({})", "asinh({})", "exp(-{}^2)", "exp(sin({}))", "sqrt(1 + {}^2)", "log(1 + {}^2)",
    "log1p({}^2)", "expm1(tanh({}))", "square({})",
    "silu({})", "mish({})", "elu({})", "leaky_relu({})", "-{}", "{}^2", "{}^3", "2^tanh({})",
    "({} |> tanh)", "clip({}, -0.5, 0.75)", "1/(1.5 + {}^2)", "sinh(tanh({}))", "floor(3*{})", "sign({})",
)  # fmt: skip
PAIRS = (
    "({} + {})", "({} - {})", "{}*{}", "{}/(1 + {}^2)", "max({}, {})", "min({}, {})", "({} - 0.5*{})", "{}*sin({})",
)  # fmt: skip


@dataclass
class Maker:
    """Writes one program. `names` are those that may be used in an expression, with their shapes."""

    random: Random
    nets: dict[str, tuple[list[Shape], Shape]] = field(default_factory=dict)
    first: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    wide: bool = True

    def shape(self) -> Shape:
        return self.random.choice(SHAPES)

    def number(self) -> str:
        return self.random.choice(("0.5", "1", "2", "0.25", "1.5", "0.1", "pi", "3"))

    def expression(self, shape: Shape, names: dict[str, Shape], depth: int) -> str:
        """An expression of this shape."""
        if depth <= 0:
            return self._leaf(shape, names)
        makers: Sequence[Callable[[Shape, dict[str, Shape], int], str]] = (
            self._unary, self._unary, self._unary, self._pair, self._pair, self._pair, self._where, self._call,
            *{0: (self._reduced, self._reduced), 1: (self._vector, self._vector), 2: (self._matrix,)}[len(shape)],
        )  # fmt: skip
        return self.random.choice(makers)(shape, names, depth - 1)

    def _leaf(self, shape: Shape, names: dict[str, Shape]) -> str:
        fitting = [name for name, found in names.items() if found == shape]
        if fitting and self.random.random() < 0.9:
            return self.random.choice(fitting)
        if shape == ():
            longer = [name for name, found in names.items() if len(found) == 1]
            return f"{self.random.choice(longer)}[0]" if longer and self.random.random() < 0.6 else self.number()
        scalars = [name for name, found in names.items() if found == ()]
        if len(shape) == 1 and scalars and self.random.random() < 0.6:
            items = [self.random.choice([*scalars, self.number()]) for _ in range(shape[0])]
            return f"[{', '.join(items)}]"
        return f"full({self.random.choice(('0.5', '1.25'))}, {', '.join(map(str, shape))})"

    def _unary(self, shape: Shape, names: dict[str, Shape], depth: int) -> str:
        return self.random.choice(SAFE[NARROW * self.wide :]).format(f"({self.expression(shape, names, depth)})")

    def _pair(self, shape: Shape, names: dict[str, Shape], depth: int) -> str:
        other = self.random.choice([shape, shape, (), shape[1:], (1,) * len(shape)])
        sides = [self.expression(shape, names, depth), self.expression(other, names, depth - 1)]
        pattern = self.random.choice(PAIRS)
        if self.random.random() < 0.5 and "/" not in pattern:
            sides.reverse()
        return "(" + pattern.format(*(f"({side})" for side in sides)) + ")"

    def _where(self, shape: Shape, names: dict[str, Shape], depth: int) -> str:
        a, b = self.expression((), names, depth - 1), self.expression(shape, names, depth - 1)
        compare = self.random.choice(("<", "<=", ">", ">="))
        joint = self.random.choice(("", "", f" and ({a}) > -1.7713", f" or not ({a}) < 0.2519"))
        condition = f"({a}) {compare} 0.3137{joint}"
        return f"where({condition}, {self.expression(shape, names, depth)}, {b})"

    def _call(self, shape: Shape, names: dict[str, Shape], depth: int) -> str:
        fitting = [name for name, (_, result) in self.nets.items() if result == shape]
        if not fitting:
            return self._unary(shape, names, depth)
        name = self.random.choice(fitting)
        return f"{name}({', '.join(self.expression(item, names, depth) for item in self.nets[name][0])})"

    def _reduced(self, shape: Shape, names: dict[str, Shape], depth: int) -> str:
        inner = self.random.choice([(2,), (3,), (2, 3)])
        x = self.expression(inner, names, depth)
        if len(inner) == 1:
            forms = (f"dot({x}, {self.expression(inner, names, depth - 1)})", f"({x})[-1]", f"logsumexp({x})",
                     f"(({x}) @ ({self.expression(inner, names, depth - 1)}))", f"cumsum({x})[1]")  # fmt: skip
        else:
            forms = (f"({x})[1, 0]", f"({x})[0][-1]", f"mean({x}, axes=[0, 1])")
        whole = (f"sum({x})", f"mean({x})", f"norm(1.5 + ({x})^2)", f"prod(cos({x}))", f"var({x})", f"max({x})")
        return self.random.choice((*forms, *whole))

    def _vector(self, shape: Shape, names: dict[str, Shape], depth: int) -> str:
        (n,) = shape
        x = self.expression(shape, names, depth)
        forms = [f"softmax({x})", f"cumsum({x})", f"reverse({x})", f"log_softmax({x})"]
        matrix = self.expression((n, 3), names, depth) if n != 1 else None
        if matrix is not None:
            forms += [f"(({matrix}) @ ({self.expression((3,), names, depth - 1)}))", f"sum({matrix}, axis=1)",
                      f"({matrix})[:, 1]", f"max({matrix}, axis=-1)", f"mean({matrix}, axis=1)"]  # fmt: skip
        if n == 3:
            two, one = self.expression((2,), names, depth), self.expression((), names, depth)
            forms += [f"concat({two}, {one})", f"pad({two}, 1)", f"({self.expression((2, 3), names, depth)})[0]"]
        if n == 2:
            three = self.expression((3,), names, depth)
            forms += [f"({three})[1:]", f"({three})[::2]", f"stack(({three})[0], ({three})[2])"]
        return self.random.choice(forms)

    def _matrix(self, shape: Shape, names: dict[str, Shape], depth: int) -> str:
        rows, columns = shape
        a, b = self.expression((rows,), names, depth), self.expression((columns,), names, depth)
        whole = self.expression(shape, names, depth)
        forms = [
            f"outer({a}, {b})", f"softmax({whole}, axis=0)", f"reverse({whole}, axis=1)",
            f"reshape(({whole}) |> flatten, {rows}, {columns})", f"transpose(outer({b}, {a}))",
            f"(({whole}) @ ({self.expression((columns, columns), names, depth - 2)}))",
            f"stack({', '.join([b] * rows)})", f"broadcast_to({b}, {rows}, {columns})", f"cumsum({whole}, axis=0)",
        ]  # fmt: skip
        return self.random.choice(forms)


def program(random: Random) -> str:
    """A whole program with its bounds, its schemes stated."""
    make = Maker(random, wide=random.random() < 0.75)
    names: dict[str, Shape] = {}
    lines: list[str] = []
    for i in range(random.choice((1, 2, 2, 3))):
        names[f"x{i}"] = make.shape()
        lines.append(f"input x{i}: {_type(names[f'x{i}'])} in (-1.5, 1.5)")
    for i in range(random.choice((0, 1, 2))):
        shape = names[f"k{i}"] = make.shape()
        lines.append(f"param k{i}: {_type(shape)} = {random.choice(('0.3', '0.7', '-0.4'))}")
    given = dict(names)
    params = {name: shape for name, shape in names.items() if name[0] == "k"}
    for i in range(random.choice((0, 0, 1, 2))):
        lines += _net(make, f"g{i}", params)
    for i in range(random.choice((0, 1, 1, 2))):
        lines += _solve(make, f"s{i}", names)
    for i in range(random.choice((1, 2, 3))):
        shape = make.shape()
        lines.append(f"a{i} = {make.expression(shape, names, 3)}")
        names[f"a{i}"] = shape
    for i in range(random.choice((0, 1, 1, 2))):
        lines += _derivative(make, f"d{i}", names)
    for i, (net, (arguments, shape)) in enumerate(make.nets.items()):
        given_to = [make.expression(argument, given, 1) for argument in arguments]
        lines.append(f"n{i} = {net}({', '.join(given_to)})")
        names[f"n{i}"] = shape
    computed = [name for name in names if name not in given]
    used = "\n".join(lines)
    for i, (name, shape) in enumerate(given.items()):
        if used.count(name) == 1:
            lines.append(f"u{i} = {make.expression(shape, {name: shape}, 1)} + {name}")
            computed.append(f"u{i}")
    lines += [f"output o_{name} = {_value(name)}" for name in computed]
    lines.append(_deploy(random, make.wide))
    return "dyn 1\nmodel m\n" + "\n".join(lines) + "\n"


def _value(name: str) -> str:
    return name if name.isidentifier() else f"1*{name}"


def _type(shape: Shape) -> str:
    return f"real[{', '.join(map(str, shape))}]" if shape else "real"


def _net(make: Maker, name: str, params: dict[str, Shape]) -> list[str]:
    shapes = [make.shape() for _ in range(make.random.choice((1, 1, 2)))]
    result = make.shape()
    arguments = {f"z{i}": shape for i, shape in enumerate(shapes)}
    body = make.expression(result, {**arguments, **params}, 2)
    local = f"sum({' + '.join(f'mean({item})' for item in arguments)})"
    head = f"net {name}({', '.join(f'{item}: {_type(shape)}' for item, shape in arguments.items())})"
    lines = [f"{head} -> {_type(result)} {{", f"  w = {local}", f"  w*({body})", "}"]
    make.nets[name] = (shapes, result)
    return lines


def _solve(make: Maker, name: str, names: dict[str, Shape]) -> list[str]:
    """A field and a solve of it; what comes of it is added to the names."""
    random = make.random
    states = {f"{name}h{i}": make.shape() for i in range(random.choice((1, 1, 2)))}
    second = {state: random.random() < 0.25 for state in states}
    scope = {**names, **states, **{state + "'": shape for state, shape in states.items() if second[state]}, "t": ()}
    first, shape = next(iter(states.items()))
    lines = [f"field {name}f(t, {', '.join(f'{state}: {_type(s)}' for state, s in states.items())}) {{"]
    local: dict[str, Shape] = {}
    if random.random() < 0.5:
        form = make.shape()
        lines.append(f"  {name}v = {make.expression(form, scope, 2)}")
        local = {f"{name}v": form}
    if random.random() < 0.4:
        energy = make.expression((), {first: shape}, 1)
        lines += [f"  {name}e = ({energy}) + sum(sin({first}))", f"  {name}g = grad({name}e, {first})"]
        local[f"{name}g"] = shape
    for state, form in states.items():
        terms = [make.expression(form, {**scope, **local}, 2)]
        terms += [f"mean({item})" for item in [*local, "t"] if random.random() < 0.9 or item != "t"]
        pull = f" - 0.2*{state}'" if second[state] else ""
        lines.append(f"  {state}{chr(39) * (1 + second[state])} = tanh({' + '.join(terms)}) - 0.5*{state}{pull}")
    lines.append("}")
    starts = [f"{state} = {make.expression(s, names, 1)}" for state, s in states.items()]
    starts += [f"{state}' = {make.expression(s, names, 1)}" for state, s in states.items() if second[state]]
    times, intervals, kept = random.choice((
        ("over 0..1", 1, 0), ("over 1..0", 1, 0), ("over 0.25..2", 1, 0), ("at 0..1 step 0.25", 4, 5),
        ("at 2..1 step -0.5", 2, 3), ("at [0, 0.5, 0.75]", 2, 3), ("at linspace(0, 1, 3)", 2, 3),
    ))  # fmt: skip
    steps = intervals * random.choice((1, 1, 2, 3, 5, 12))
    lines.append(
        f"{name} = solve {name}f from {', '.join(starts)} {times} with {random.choice(SCHEMES)}(steps={steps})"
    )
    for state, s in states.items():
        for velocity in ("", "'") if second[state] else ("",):
            label = f"{state}p" + ("v" if velocity else "")
            lines.append(f"{label} = {name}.{state}{velocity}")
            names[label] = (kept, *s) if kept else s
    return lines


def _derivative(make: Maker, name: str, names: dict[str, Shape]) -> list[str]:
    """A derivative of something that surely depends on what it is by."""
    random = make.random
    x = random.choice([item for item in names if item[0] in "xk" and len(names[item]) < 3])
    shape = names[x]
    kind = random.choice(("grad", "grad", "jacobian", "vjp", "jvp", "divergence", "hessian", "laplacian"))
    inner = shape if kind == "divergence" else () if kind in ("grad", "hessian", "laplacian") else make.shape()
    first = kind in ("grad", "jacobian", "vjp", "jvp", "divergence")
    seen = {item: found for item, found in names.items() if item[0] != "d" or (first and item in make.first)}
    y = f"({make.expression(inner, seen, 2)}) + mean(sin({x})*{x})"
    lines = [f"{name}y = {y}"]
    more = {"vjp": inner, "jvp": shape}.get(kind)
    argument = "" if more is None else f", {make.expression(more, names, 1)}"
    lines.append(f"{name} = {kind}({name}y, {x}{argument})")
    result = {"grad": shape, "jacobian": inner + shape, "vjp": shape, "jvp": inner, "divergence": (), "laplacian": (),
              "hessian": shape + shape}[kind]  # fmt: skip
    names[name] = result
    names[f"{name}y"] = inner
    if first and not any(item in y for item in make.first):
        make.first.append(name)  # may be differentiated once more: beyond, differences tell too little
    return lines


def _deploy(random: Random, wide: bool) -> str:
    settings = [f"opset {random.choice((18, 19, 20, 21))}", f"unroll {random.choice(('auto', 'all', '1', '2', '3'))}"]
    settings.append(f"dtype {'float64' if wide else 'float32'}")
    return "deploy { " + "; ".join(settings) + " }"
