"""`noise W: brownian[2]` and `dx = f dt + g dW` to the terms of a field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from isocline_compiler.graph import Node, at
from isocline_compiler.graph.noise import Calculus, Noise, Process
from isocline_compiler.graph.tensor_type import Shape, TensorType, describe
from isocline_compiler.graph.terms import Product
from isocline_compiler.lower.conform import conform
from isocline_compiler.lower.expressions import Expressions
from isocline_compiler.lower.faults import LowerError, Poisoned
from isocline_compiler.lower.known_numbers import Numbers
from isocline_dsl import messages
from isocline_dsl.tree import Field, Identifier, NoiseDeclaration, Number, Term

PROCESSES: Mapping[str, Process] = {"brownian": "brownian", "poisson": "poisson", "stable": "stable"}
PARAMETERS: Mapping[str, tuple[float, float, str]] = {
    "poisson": (1e-9, 1e9, "`poisson(rate)`, the rate a number above 0"),
    "stable": (0.1, 2.0, "`stable(alpha)`, the index a number from 0.1 to 2"),
}
CALCULI: Mapping[str, Calculus] = {"ito": "ito", "stratonovich": "stratonovich"}


@dataclass(frozen=True)
class Declared:
    """A noise as it was declared: its record, and its shape."""

    noise: Noise
    shape: Shape

    @property
    def words(self) -> str:
        """How many entries it has, for messages."""
        return "the one entry" if self.noise.size == 1 else f"the {' x '.join(map(str, self.shape))} entries"


@dataclass(frozen=True)
class Diffusion:
    """What multiplies the increments of a noise in the equation of a state."""

    noise: str
    product: Product
    entry: int
    node: Node


def declared_noises(declaration: Field, numbers: Numbers) -> dict[str, Declared]:
    """The noises of a field by name. Raises LowerError."""
    found = {
        item.name.text: _declared(item, numbers) for item in declaration.body if isinstance(item, NoiseDeclaration)
    }
    calculi = {item.noise.calculus for item in found.values() if item.noise.process == "brownian"}
    if len(calculi) > 1:
        raise LowerError(messages.two_calculi(declaration.name.span, declaration.name.text))
    return found


def _declared(item: NoiseDeclaration, numbers: Numbers) -> Declared:
    name = item.type.kind.text
    if name not in PROCESSES:
        raise LowerError(messages.unknown_process(item.type.span, name, tuple(PROCESSES)))
    process, shape = PROCESSES[name], numbers.sizes(item.type)
    for size, expression in zip(shape, item.type.sizes, strict=True):
        if isinstance(size, str):
            raise LowerError(messages.not_a_known_number(expression.span))
    size = prod(int(size) for size in shape)
    return Declared(Noise(item.name.text, size, process, _calculus(item.convention), _parameter(item, numbers)), shape)


def _calculus(word: Identifier | None) -> Calculus:
    if word is not None and word.text not in CALCULI:
        raise LowerError(messages.unknown_calculus(word.span, word.text))
    return "ito" if word is None else CALCULI[word.text]


def _parameter(item: NoiseDeclaration, numbers: Numbers) -> float:
    name, given = item.type.kind.text, item.arguments
    if name not in PARAMETERS:
        if given:
            raise LowerError(messages.process_parameter(given[0].span, name, "`brownian`", "takes no parameter"))
        return 0.0
    low, high, expected = PARAMETERS[name]
    if len(given) != 1:
        raise LowerError(messages.process_parameter(item.type.span, name, expected, "without its parameter"))
    value = float(numbers.real(given[0]))
    if not low <= value <= high:
        raise LowerError(messages.process_parameter(given[0].span, name, expected, f"with {value:g}"))
    return value


def diffusion(
    term: Term, state: str, shape: Shape, declared: Declared, expressions: Expressions, numbers: Numbers
) -> Diffusion:
    """One term of a differential equation: `g dW`, `g dW[i]` or `g @ dW`. Raises LowerError.

    A factor `real[*state]` beside as many entries is diagonal, beside one entry the same noise for all.
    """
    factor = term.factor if term.factor is not None else Number("1", span=term.span)
    node = expressions.node(factor)
    size, name = declared.noise.size, declared.noise.name
    product: Product = "matrix" if term.product else "entry" if term.entry is not None or size == 1 else "each"
    wanted: Shape = (*shape, size) if term.product else shape
    with at(factor.span):
        fitted = None if product == "matrix" and not node.type.sample else conform(node, wanted)
    if fitted is None or (product == "each" and declared.shape != shape):
        expected = describe(TensorType("real", wanted))
        if product == "each" and fitted is not None:
            expected = f"{describe(TensorType('real', (*shape, size)))} before `@ d{name}`"
        found = f"{describe(node.type)} before `{'@ ' if term.product else ''}d{name}`"
        raise LowerError(messages.noise_shape(term.span, state, found, expected, name, declared.words))
    entry = 0 if term.entry is None else numbers.integer(term.entry)
    if not 0 <= entry < size:
        raise LowerError(messages.noise_entry(term.entry.span if term.entry else term.span, name, entry, size))
    return Diffusion(name, product, entry, -fitted if term.sign == "-" else fitted)


def drift(terms: Sequence[Term], time: str, state: str, shape: Shape, expressions: Expressions) -> Node | None:
    """The sum of what stands before `dt`; None where nothing does. Raises LowerError."""
    total: Node | None = None
    for term in terms:
        if term.differential.text != f"d{time}":
            continue
        factor = term.factor if term.factor is not None else Number("1", span=term.span)
        node = expressions.node(factor)
        with at(factor.span):
            fitted = conform(node, shape)
            if fitted is None:
                expected = describe(TensorType("real", shape))
                raise LowerError(messages.equation_shape(factor.span, state, describe(node.type), expected))
            signed = -fitted if term.sign == "-" else fitted
            total = signed if total is None else total + signed
    return total


def noise_of(term: Term, declared: Mapping[str, Declared]) -> Declared:
    """The noise whose differential a term holds. Raises Poisoned where there is none: reported with the names."""
    name = term.differential.text[1:]
    if name not in declared:
        raise Poisoned
    return declared[name]
