"""`input`, `target` and `param` declarations: types, bounds, first values."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from isocline_compiler.graph import INPUT, Fault, Node, as_node, at, leaf
from isocline_compiler.graph.tensor_type import BATCH, Kind, TensorType, describe
from isocline_compiler.lower.calls import word
from isocline_compiler.lower.defaults import default_of
from isocline_compiler.lower.faults import LowerError
from isocline_compiler.lower.known_numbers import Numbers
from isocline_compiler.lower.weights import WeightTable
from isocline_compiler.model import Initializer, Parameter, Port
from isocline_compiler.ops.reduction import REDUCE_SUM
from isocline_compiler.vocabulary.bijections import bijection
from isocline_compiler.vocabulary.distributions import DISTRIBUTIONS
from isocline_compiler.vocabulary.distributions.record import Distribution
from isocline_compiler.vocabulary.functions.initializers import Fans, initializer
from isocline_dsl import messages
from isocline_dsl.tree import Call, Expression, Identifier, Input, Name, Param, Target, TypeName
from isocline_dsl.tree import Interval as Bounds
from isocline_dsl.tree import Node as Tree

_KINDS: dict[str, Kind] = {
    "real": "real",
    "positive": "real",
    "time": "real",
    "class": "int",
    "group": "int",
    "bool": "bool",
}


def port(declaration: Input | Target, numbers: Numbers) -> Port:
    """The declared type of an input or a target. Raises LowerError for a kind, a size, bounds or a default that make no
    sense.
    """
    kind = declaration.type.kind.text
    known = set(_KINDS) if isinstance(declaration, Input) else set(_KINDS) - {"group"}
    if kind not in known:
        raise LowerError(messages.unknown_type(declaration.type.kind.span, kind, sorted(known)))
    if kind == "group":
        return _group(declaration, numbers)
    bounds = declared_bounds(declaration.type, declaration.bounds if isinstance(declaration, Input) else None, numbers)
    sizes = numbers.sizes(declaration.type)
    classes = _classes(declaration.type, numbers) if kind == "class" else None
    made = Port(
        name=declaration.name.text,
        kind="real" if kind == "positive" else kind,  # type: ignore[arg-type]
        shape=() if kind == "class" and len(sizes) == 1 else sizes[:-1] if kind == "class" else sizes,
        classes=classes,
        bounds=bounds,
        unit=declaration.unit,
        description=declaration.description,
        span=declaration.span,
    )
    if not isinstance(declaration, Input) or declaration.default is None:
        return made
    return replace(made, default=default_of(declaration.default, made, numbers))


def _group(declaration: Input | Target, numbers: Numbers) -> Port:
    """`input subject: group[59]`: a class for each member, and a last one for whoever is none of them."""
    type_ = declaration.type
    if len(type_.sizes) != 1 or not isinstance(declaration, Input):
        raise LowerError(messages.class_without_count(type_.span))
    count = numbers.integer(type_.sizes[0])
    if count < 2:
        raise LowerError(messages.class_without_count(type_.span))
    made = Port(
        declaration.name.text, "class", (), classes=count + 1, unit=declaration.unit,
        description=declaration.description, span=declaration.span, group=True,
    )  # fmt: skip
    return (
        made if declaration.default is None else replace(made, default=default_of(declaration.default, made, numbers))
    )


def _classes(type_: TypeName, numbers: Numbers) -> int:
    if not type_.sizes:
        raise LowerError(messages.class_without_count(type_.span))
    count = numbers.integer(type_.sizes[-1])
    if count < 2:
        raise LowerError(messages.class_without_count(type_.span))
    return count


def port_leaf(port: Port) -> Node:
    """The graph's input of a port, with its batch axis."""
    kind: Kind = "int" if port.kind == "class" else "bool" if port.kind == "bool" else "real"
    return leaf(INPUT, port.name, TensorType(kind, (BATCH, *port.shape)))


def declared_bounds(type_: TypeName, bounds: Bounds | None, numbers: Numbers) -> tuple[float, float] | None:
    """The open interval of `in (low, high)` or of `positive`. Raises LowerError when it is empty."""
    low, high = (0.0, math.inf) if type_.kind.text == "positive" else (-math.inf, math.inf)
    if bounds is not None:
        low = max(low, float(numbers.real(bounds.low)))
        high = min(high, float(numbers.real(bounds.high)))
        if not low < high:
            raise LowerError(messages.bad_bounds(bounds.span, f"{low:g}", f"{high:g}"))
    return None if (low, high) == (-math.inf, math.inf) else (low, high)


class ParamLowering:
    """`param a, b: positive = 0.5 ~ lognormal(0, 1)`: one parameter for each name."""

    def __init__(
        self,
        numbers: Numbers,
        table: WeightTable,
        excerpt: Callable[[Tree], str],
        evaluate: Callable[[Expression], Node],
        members: Callable[[Identifier], int],
    ) -> None:
        """`evaluate` gives the value of an argument of a prior, `members` how many a group has."""
        self.excerpt = excerpt
        self.evaluate = evaluate
        self.members = members
        self.numbers = numbers
        self.table = table

    def lower(self, declaration: Param) -> tuple[Parameter, ...]:
        """The parameters; their values are bijections of weights of the same name. Raises LowerError."""
        kind = declaration.type.kind.text
        if kind not in ("real", "positive"):
            raise LowerError(messages.param_type(declaration.type.span, kind))
        bounds = declared_bounds(declaration.type, declaration.bounds, self.numbers) or (-math.inf, math.inf)
        shape = tuple(self._size(size, declaration) for size in self.numbers.sizes(declaration.type))
        if declaration.group is not None:
            shape = (self.members(declaration.group), *shape)
        first = self._first_value(declaration, shape, bounds)
        return tuple(self._parameter(name.text, declaration, shape, bounds, first) for name in declaration.names)

    def _size(self, size: int | str, declaration: Param) -> int:
        if isinstance(size, str):
            raise LowerError(messages.symbolic_size_in_weight(declaration.type.span, size))
        return size

    def _parameter(
        self,
        name: str,
        declaration: Param,
        shape: tuple[int, ...],
        bounds: tuple[float, float],
        first: Initializer,
    ) -> Parameter:
        with at(declaration.span):
            raw = self.table.get(name, shape, first, "trained", declaration.span)
            value = bijection(*bounds).forward(raw)
            if declaration.group is not None:
                return self._of_group(declaration, name, bounds, raw, value)
            prior = None if declaration.prior is None else self._log_prior(declaration.prior, value)
        return Parameter(
            name, shape, bounds, value, prior, None if declaration.prior is None else self.excerpt(declaration.prior),
            declaration.unit, declaration.description, declaration.span,
        )  # fmt: skip

    def _of_group(
        self, declaration: Param, name: str, bounds: tuple[float, float], raw: Node, value: Node
    ) -> Parameter:
        """One number for each member, of one distribution: its density is that of the free weight, log p(value) +
        log |d value/d weight|, so that what is integrated over them depends on no bounds.
        """
        assert declaration.group is not None
        group, prior = declaration.group.text, declaration.prior
        if prior is None:
            raise LowerError(messages.group_without_prior(declaration.span, name, group))
        distribution = self._distribution(prior)
        if distribution.middle is None:
            raise LowerError(messages.group_prior(prior.span, f"`{prior.name.text}` has none that is its median"))
        support = distribution.support_of({})
        if support != bounds:
            inside, own = (f"({low:g}, {high:g})" for low, high in (support, bounds))
            reason = f"`{prior.name.text}` is one on {inside}, and `{name}` lies in {own}"
            raise LowerError(messages.group_prior(prior.span, reason))
        positional = [self._argument(item) for item in prior.arguments]
        named = [(item.name.text, self._argument(item.value)) for item in prior.keywords]
        try:
            log_prior, population = distribution.shared(value, positional, named)
        except Fault as fault:
            raise LowerError(fault.make(prior.span)) from None
        slope = bijection(*bounds).log_slope(raw)
        log_prior = log_prior + REDUCE_SUM(slope, axes=tuple(range(slope.type.rank)), keepdims=False)
        shape = raw.shape
        return Parameter(
            name, tuple(map(int, shape)), bounds, value, log_prior, self.excerpt(prior), declaration.unit,
            declaration.description, declaration.span, group, as_node(population),
        )  # fmt: skip

    def _argument(self, expression: Expression) -> float | Node:
        """A number, or a value that is the same for all members. Raises LowerError."""
        if self.numbers.is_known(expression):
            return self.numbers.real(expression)
        node = self.evaluate(expression)
        if node.type.batched or node.shape != ():
            found = describe(node.type)
            which = "one for each sample" if node.type.batched else "not one number"
            reason = f"`{self.excerpt(expression)}` is {found}, {which}"
            raise LowerError(messages.group_prior(expression.span, reason))
        return node

    def _distribution(self, prior: Call) -> Distribution:
        if prior.name.text not in DISTRIBUTIONS:
            raise LowerError(messages.unknown_distribution(prior.name.span, prior.name.text, sorted(DISTRIBUTIONS)))
        return DISTRIBUTIONS[prior.name.text]

    def _log_prior(self, prior: Call, value: Node) -> Node:
        distribution = self._distribution(prior)
        positional = [self.numbers.real(item) for item in prior.arguments]
        named = [(item.name.text, self.numbers.real(item.value)) for item in prior.keywords]
        try:
            return distribution.log_density(value, positional, named)
        except Fault as fault:
            raise LowerError(fault.make(prior.span)) from None

    def _first_value(self, declaration: Param, shape: tuple[int, ...], bounds: tuple[float, float]) -> Initializer:
        """The raw weight whose bijection is the stated (or default) first value."""
        inverse = bijection(*bounds).inverse
        expression = declaration.initial
        if expression is None:
            start = _default(bounds)
            return lambda generator, size: inverse(np.full(size, start))
        drawn = self._drawn(expression, shape)
        if drawn is not None:
            return lambda generator, size: inverse(drawn(generator, size))
        value = self.numbers.array(expression)
        if value.shape not in ((), shape):
            raise LowerError(
                messages.shape_differs(
                    expression.span,
                    declaration.names[0].text,
                    describe(TensorType("real", value.shape)),
                    describe(TensorType("real", shape)),
                )
            )
        if not ((bounds[0] < value) & (value < bounds[1])).all():
            raise LowerError(
                messages.initial_outside_bounds(
                    expression.span,
                    declaration.names[0].text,
                    f"{value.flat[0]:g}",
                    f"{bounds[0]:g}",
                    f"{bounds[1]:g}",
                )
            )
        return lambda generator, size: inverse(np.broadcast_to(value, size))

    def _drawn(self, expression: Expression, shape: tuple[int, ...]) -> Initializer | None:
        """`normal(0.1)`, `uniform(a, b)`, `ones`: first values that are words; None for numbers."""
        if not isinstance(expression, Name | Call) or self.numbers.is_known(expression):
            return None
        chosen = word(expression, "param", self.numbers)
        fans = Fans(shape[0] if shape else 1, shape[-1] if shape else 1)
        try:
            return initializer("param", "initial value", chosen, fans)
        except Fault as fault:
            raise LowerError(fault.make(expression.span)) from None


def _default(bounds: tuple[float, float]) -> float:
    """0 without bounds, 1 beyond a lower or before an upper bound, the middle of an interval."""
    low, high = bounds
    if math.isinf(low) and math.isinf(high):
        return 0.0
    if math.isinf(high):
        return low + 1.0
    return high - 1.0 if math.isinf(low) else (low + high) / 2
