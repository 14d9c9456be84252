"""Forms of a square weight matrix that hold by construction: the words after `weight=`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from isocline_compiler.graph import Fault, Node, constant
from isocline_compiler.graph.naming import by_name
from isocline_compiler.ops.shaping import TRANSPOSE
from isocline_compiler.vocabulary.functions.kinds import Real, WordCall
from isocline_compiler.vocabulary.functions.record import callees, choose
from isocline_dsl.messages import calls

WeightForm: TypeAlias = Callable[[Node], Node]

FREE = WordCall("free")


def formed(weight: Node, word: WordCall) -> Node:
    """The matrix that `word` makes of a free one. Raises `Fault` for an unknown word or a matrix that is not square."""
    form: WeightForm = choose("dense", "weight", word, FORMS)
    inputs, units = weight.shape
    if word.name != "free" and inputs != units:
        raise Fault(lambda span: calls.not_square(span, word.name, int(inputs), int(units)))
    return form(weight)


def free() -> WeightForm:
    """W itself."""
    return lambda w: w


def antisymmetric(damping: Real = 0.0) -> WeightForm:
    """W - W' - damping*I: all eigenvalues have the real part -damping, so signals neither explode nor die out at once.

    Haber, Ruthotto (2017); Chang, Chen, Haber, Chi (2019).
    """
    return lambda w: _damped(w - _transposed(w), damping)


def symmetric() -> WeightForm:
    """(W + W')/2: all eigenvalues are real."""
    return lambda w: 0.5 * (w + _transposed(w))


def negative_definite(damping: Real = 0.01) -> WeightForm:
    """-W W' - damping*I: symmetric, and all eigenvalues are at most -damping."""
    return lambda w: _damped(-(w @ _transposed(w)), damping)


def _transposed(w: Node) -> Node:
    return TRANSPOSE(w, perm=(1, 0))


def _damped(w: Node, damping: float) -> Node:
    return w - constant(damping * np.eye(int(w.shape[0]))) if damping else w


FORMS = by_name(*callees(free, antisymmetric, symmetric, negative_definite))
