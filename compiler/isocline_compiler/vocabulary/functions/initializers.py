"""First values of weights: the words after `init=`.

A layer states how many numbers enter and leave each unit, its fans; the word then draws an array of the weight's
shape.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from isocline_compiler.graph import Array
from isocline_compiler.graph.naming import by_name
from isocline_compiler.model import Initializer
from isocline_compiler.vocabulary.functions.kinds import Positive, Real, WordCall
from isocline_compiler.vocabulary.functions.record import callees, choose


@dataclass(frozen=True)
class Fans:
    """How many numbers enter and leave each unit of a layer."""

    inputs: int
    outputs: int


Initial: TypeAlias = Callable[[Fans], Initializer]

GLOROT = WordCall("glorot")
ZEROS = WordCall("zeros")


def initializer(callee: str, parameter: str, word: WordCall, fans: Fans) -> Initializer:
    """The initializer that a word names. Raises `Fault` for an unknown one."""
    initial: Initial = choose(callee, parameter, word, INITIALIZERS)
    return initial(fans)


def uniform_within(bound: float) -> Initializer:
    """Uniform on (-bound, bound)."""
    return lambda generator, shape: generator.uniform(-bound, bound, shape)


def normal_with(deviation: float) -> Initializer:
    """Normal with mean 0."""
    return lambda generator, shape: generator.normal(0.0, deviation, shape)


def filled_with(value: float) -> Initializer:
    """The same number everywhere; draws nothing."""
    return lambda generator, shape: np.full(shape, value)


def glorot() -> Initial:
    """Uniform with variance 2/(inputs + outputs): keeps the size of values and of gradients from layer to layer.

    Glorot, Bengio (2010).
    """
    return lambda fans: uniform_within(math.sqrt(6.0 / (fans.inputs + fans.outputs)))


def he() -> Initial:
    """Normal with variance 2/inputs: keeps the size of values before a relu.

    He, Zhang, Ren, Sun (2015).
    """
    return lambda fans: normal_with(math.sqrt(2.0 / fans.inputs))


def lecun() -> Initial:
    """Normal with variance 1/inputs, which `selu` needs.

    LeCun, Bottou, Orr, Müller (1998).
    """
    return lambda fans: normal_with(math.sqrt(1.0 / fans.inputs))


def zeros() -> Initial:
    """0 everywhere: a correction that begins as no correction."""
    return lambda fans: filled_with(0.0)


def ones() -> Initial:
    """1 everywhere."""
    return lambda fans: filled_with(1.0)


def constant(value: Real) -> Initial:
    """The same number everywhere."""
    return lambda fans: filled_with(value)


def normal(std: Positive = 0.01) -> Initial:
    """Normal with mean 0 and this standard deviation."""
    return lambda fans: normal_with(std)


def uniform(bound: Positive = 0.1) -> Initial:
    """Uniform from -bound to bound."""
    return lambda fans: uniform_within(bound)


def orthogonal(gain: Positive = 1.0) -> Initial:
    """A matrix with orthonormal rows or columns, times the gain: Q of a normal matrix, with the signs of R's diagonal.

    Axes after the first count as one. Saxe, McClelland, Ganguli (2014).
    """
    return lambda fans: lambda generator, shape: gain * _orthonormal(generator, shape)


def _orthonormal(generator: np.random.Generator, shape: tuple[int, ...]) -> Array:
    rows, columns = shape[0], math.prod(shape[1:])
    q, r = np.linalg.qr(generator.normal(size=(max(rows, columns), min(rows, columns))))
    q = q * np.sign(np.diag(r))
    return np.asarray((q if rows >= columns else q.T).reshape(shape))


INITIALIZERS = by_name(*callees(glorot, he, lecun, zeros, ones, constant, normal, uniform, orthogonal))
