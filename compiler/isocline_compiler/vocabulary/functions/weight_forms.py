"""Forms of a weight that hold by construction: the words after `weight=`.

Training moves free entries W; the layer computes with what a form makes of them. When the model is deployed that is a
literal, the form is gone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from isocline_compiler.graph import Fault, Node, constant
from isocline_compiler.graph.naming import by_name
from isocline_compiler.ops.activation import SOFTPLUS
from isocline_compiler.ops.arithmetic import MAXIMUM
from isocline_compiler.ops.indexing import CONCAT, SLICE
from isocline_compiler.ops.matrix import MATRIX_EXP, SPECTRAL_NORM
from isocline_compiler.ops.shaping import TRANSPOSE
from isocline_compiler.vocabulary.functions.kernels import kernel_norm, turned
from isocline_compiler.vocabulary.functions.kinds import NonNegative, Positive, WordCall
from isocline_compiler.vocabulary.functions.record import callees, choose
from isocline_dsl.messages import calls

FREE = WordCall("free")
ROUNDING = 1e-6
"""By which part of itself a bound is undercut, so that it holds of a matrix that was rounded to single precision."""


@dataclass(frozen=True)
class WeightForm:
    """What a form makes of a free matrix (inputs, units), and of the free kernel (units, inputs, *window) of a
    convolution, where it is one of those too. `square`: it keeps the size of what it maps.
    """

    matrix: Callable[[Node], Node]
    kernel: Callable[[Node], Node] | None = None
    square: bool = False


def formed(weight: Node, word: WordCall) -> Node:
    """The matrix that `word` makes of a free one. Raises `Fault` for an unknown word or a matrix that is not square."""
    form: WeightForm = choose("dense", "weight", word, FORMS)
    inputs, units = weight.shape
    if form.square and inputs != units:
        raise Fault(lambda span: calls.not_square(span, word.name, int(inputs), int(units)))
    return form.matrix(weight)


def formed_kernel(weight: Node, word: WordCall, keeps_size: bool) -> Node:
    """The kernel that `word` makes of a free one; `keeps_size`: the convolution maps a signal to one of its own shape
    around the middle of the window. Raises `Fault` for an unknown word, and where the form needs that and has it not.
    """
    form: WeightForm = choose("conv", "weight", word, KERNEL_FORMS)
    assert form.kernel is not None
    if form.square and not keeps_size:
        raise Fault(lambda span: calls.kernel_not_square(span, word.name))
    return form.kernel(weight)


# ---------------------------------------------------------------------------------------------------- the forms


def free() -> WeightForm:
    """W itself."""
    return WeightForm(lambda w: w, lambda w: w)


def antisymmetric(damping: NonNegative = 0.0) -> WeightForm:
    """W - W' - damping*I: all eigenvalues have the real part -damping, so signals neither explode nor die out at once.

    Of a convolution, W' is its transpose. Haber, Ruthotto (2017); Chang, Chen, Haber, Chi (2019).
    """
    return WeightForm(
        lambda w: _damped(w - _transposed(w), damping),
        lambda w: _damped_kernel(w - turned(w), damping),
        square=True,
    )


def symmetric() -> WeightForm:
    """(W + W')/2: all eigenvalues are real. Of a convolution, W' is its transpose."""
    return WeightForm(lambda w: 0.5 * (w + _transposed(w)), lambda w: 0.5 * (w + turned(w)), square=True)


def negative_definite(damping: NonNegative = 0.01) -> WeightForm:
    """-W W' - damping*I: symmetric, and all eigenvalues are at most -damping.

    The matrix of NAIS-Net. Ciccone, Gallieri, Masci, Osendorfer, Gomez (2018).
    """
    return WeightForm(lambda w: _damped(-(w @ _transposed(w)), damping), square=True)


def dissipative(damping: NonNegative = 0.01) -> WeightForm:
    """L - L' - U U' - damping*I, with L below the diagonal of W and U the rest of it: x' A x <= -damping*|x|^2.

    Every matrix whose symmetric part is at most -damping*I is of this form: what moves by x' = A x loses |x|^2 at
    least that fast, oscillating or not. The linear port-Hamiltonian system of van der Schaft, Jeltsema (2014).
    """

    def matrix(w: Node) -> Node:
        size = int(w.shape[0])
        whole = np.ones((size, size))
        lower, upper = w * constant(np.tril(whole, -1)), w * constant(np.triu(whole))
        return _damped(lower - _transposed(lower) - upper @ _transposed(upper), damping)

    return WeightForm(matrix, square=True)


def orthogonal() -> WeightForm:
    """exp(W - W'), the exponential of a matrix: a rotation, which keeps lengths and angles.

    Where it maps to fewer or more numbers than it is given, the first columns or rows of one. Lezcano-Casado,
    Martinez-Rubio (2019).
    """
    return WeightForm(_rotation)


def positive() -> WeightForm:
    """log(1 + e^W) divided by the inputs: no entry is negative, and a sum of n of them stays near their mean.

    Between convex and nondecreasing activations it makes a net that is convex in its input. Amos, Xu, Kolter (2017).
    """
    return WeightForm(
        lambda w: SOFTPLUS(w) * (1.0 / int(w.shape[0])),
        lambda w: SOFTPLUS(w) * (1.0 / math.prod(map(int, w.shape[1:]))),
    )


def spectral(bound: Positive = 1.0) -> WeightForm:
    """W where its spectral norm is below the bound, else W*bound/norm: it draws no two inputs further apart than that.

    The norm of a matrix is exact. That of a convolution is bounded for signals of every size, by its largest
    singular value over a grid of frequencies and how far it may rise between them: at most 4 % above it. Miyato,
    Kataoka, Koyama, Yoshida (2018); Sedghi, Gupta, Long (2019).
    """

    def within(w: Node, norm: Node) -> Node:
        return w * (bound * (1.0 - ROUNDING) / MAXIMUM(norm, constant(bound)))

    return WeightForm(lambda w: within(w, SPECTRAL_NORM(w)), lambda w: within(w, kernel_norm(w)))


FORMS = by_name(
    *callees(free, antisymmetric, symmetric, negative_definite, dissipative, orthogonal, positive, spectral)
)
KERNEL_FORMS = by_name(*callees(free, antisymmetric, symmetric, positive, spectral))
"""Those of convolutions."""


# ---------------------------------------------------------------------------------------------------- their parts


def _transposed(w: Node) -> Node:
    return TRANSPOSE(w, perm=(1, 0))


def _damped(w: Node, damping: float) -> Node:
    return w - constant(damping * np.eye(int(w.shape[0]))) if damping else w


def _damped_kernel(w: Node, damping: float) -> Node:
    """Less the kernel of damping*I: one entry a channel, in the middle of the window."""
    identity = np.zeros([int(size) for size in w.shape])
    middle = [size // 2 for size in identity.shape[2:]]
    for channel in range(identity.shape[0]):
        identity[(channel, channel, *middle)] = damping
    return w - constant(identity) if damping else w


def _rotation(w: Node) -> Node:
    """exp of [[A, -B'], [B, 0]], with W = [A; B], as many columns of it as W has; a wide W is transposed first."""
    inputs, units = (int(size) for size in w.shape)
    if units > inputs:
        return _transposed(_rotation(_transposed(w)))
    whole = CONCAT(w, constant(np.zeros((inputs, inputs - units))), axis=1) if units < inputs else w
    turn = MATRIX_EXP(whole - _transposed(whole))
    return SLICE(turn, axis=1, start=0, stop=units) if units < inputs else turn


def keeps_shape(inputs: int, units: int, window: Sequence[int], pads: Sequence[int], dilation: Sequence[int]) -> bool:
    """Whether a convolution of stride 1 maps to as many channels and places, each from those around it."""
    middle = all(
        size % 2 == 1 and 2 * pad == spacing * (size - 1)
        for size, pad, spacing in zip(window, pads, dilation, strict=True)
    )
    return inputs == units and middle
