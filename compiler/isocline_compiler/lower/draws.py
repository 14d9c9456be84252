"""`draw z: normal[2]` in `train`: a value that is new for each sample and step, an input of the graph of the losses."""

from __future__ import annotations

import math

from isocline_compiler.graph import INPUT, Fault, Node, at, leaf
from isocline_compiler.graph.called import Called
from isocline_compiler.graph.tensor_type import BATCH, TensorType
from isocline_compiler.lower.calls import plain
from isocline_compiler.lower.faults import LowerError
from isocline_compiler.lower.known_numbers import Numbers
from isocline_compiler.model import RandomValue
from isocline_compiler.vocabulary.draws import DRAWS
from isocline_compiler.vocabulary.functions.broadcasting import known_size
from isocline_compiler.vocabulary.functions.record import bind, call, check
from isocline_dsl import messages
from isocline_dsl.messages import calls
from isocline_dsl.tree import Draw

MOST_DRAWN = 2**21
"""Entries of a sample: more than this the generator cannot number."""


def random_value(item: Draw, numbers: Numbers) -> RandomValue:
    """The record of a draw. Raises LowerError."""
    name = item.type.kind.text
    if name not in DRAWS:
        raise LowerError(messages.unknown_distribution(item.type.kind.span, name, sorted(DRAWS)))
    keywords = [(given.name.text, given.value) for given in item.keywords]
    try:
        sizes = tuple(known_size("draw", size) for size in numbers.sizes(item.type))
        if math.prod(sizes) > MOST_DRAWN:
            raise Fault(lambda span: calls.too_many_entries(span, "draw", math.prod(sizes), MOST_DRAWN))
        options = {parameter.name: parameter.default for parameter in DRAWS[name].parameters}
        for parameter, expression in bind(DRAWS[name], item.arguments, keywords):
            with at(expression.span):
                value = plain(expression, parameter.kind.name, numbers)
            options[parameter.name] = check(DRAWS[name], parameter, value)
        call(DRAWS[name], (), options.items())  # raises for parameters that are wrong together
    except Fault as fault:
        raise LowerError(fault.make(item.type.span)) from None
    return RandomValue(f"draw {item.name.text}", sizes, Called(name, options, item.span))


def drawn_leaf(value: RandomValue) -> Node:
    """The input of the losses that holds a random value, with its batch axis."""
    return leaf(INPUT, value.name, TensorType(DRAWS[value.distribution.name].kind, (BATCH, *value.shape)))
