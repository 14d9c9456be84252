"""Layers that are noisy while training and deterministic when deployed: regularization.

On what a step adds, x + h f, a factor of mean 1 and variance v makes the step one of the weak Euler scheme for
dx = f dt + sqrt(h v) f dW: the noise vanishes with the steps, and h = 1 is the residual network.
"""

from __future__ import annotations

from isocline_compiler.graph import Fault, Node
from isocline_compiler.graph.tensor_type import describe
from isocline_compiler.ops.elementwise import STOP_GRADIENT
from isocline_compiler.ops.indexing import SELECT
from isocline_compiler.ops.noise import NOISE_LIKE
from isocline_compiler.vocabulary.functions.broadcasting import as_real, reshape_sample, sample_rank
from isocline_compiler.vocabulary.functions.kinds import Positive, Probability, Value
from isocline_compiler.vocabulary.functions.record import functions
from isocline_dsl.messages import calls


def gaussian_noise(x: Value, std: Positive = 0.1) -> Node:
    """In training, x + std*xi with a standard normal xi for each entry; x itself otherwise.

    On what a step adds, dx = f dt + sqrt(h) std dW: additive noise.

    Example: x |> dense(16) |> gaussian_noise(0.1) |> relu

    Bishop (1995); on residual networks Wang, Yuan, Shi, Osher (2019).
    """
    x = as_real(x)
    return x + NOISE_LIKE(x, law="normal", parameters=(std,), deployed=0.0, layer="gaussian_noise")


def dropout(x: Value, p: Probability = 0.5) -> Node:
    """In training, sets each entry to 0 with probability p and divides the others by 1 - p; x itself otherwise.

    On what a step adds, dx = f dt + sqrt(h p/(1 - p)) f dW, entry by entry.

    Example: x |> dense(16) |> relu |> dropout(0.2)

    Srivastava et al. (2014); Liu, Xiao, Si, Cao, Kumar, Hsieh (2019).
    """
    return as_real(x) * _kept(as_real(x), p, "dropout")


def depth(x: Value, p: Probability = 0.5) -> Node:
    """Stochastic depth: in training, sets all of a sample to 0 with probability p, or divides it by 1 - p.

    x itself otherwise. On what a step adds, dx = f dt + sqrt(h p/(1 - p)) f dB with one Brownian motion B.

    Example: x + (x |> dense(4) |> relu |> depth(0.2))

    Huang, Sun, Liu, Sedra, Weinberger (2016); Lu, Zhong, Li, Dong (2018).
    """
    return as_real(x) * _kept(_one_each(as_real(x)), p, "depth")


def shake(a: Value, b: Value) -> Node:
    """Shake-Shake: in training eta*a + (1 - eta)*b, eta uniform in (0, 1), one a sample; (a + b)/2 otherwise.

    Derivatives see another eta, which is independent of the first. On what a step adds,
    dx = (a + b)/2 dt + sqrt(h/12) (a - b) dB with one Brownian motion B.

    Example: x + shake(dense(x, 4), dense(x, 4))

    Gastaldi (2017).
    """
    a, b = as_real(a), as_real(b)
    if a.type.sample != b.type.sample:
        rule = "both branches have one shape"
        raise Fault(lambda span: calls.shapes_differ(span, "shake", describe(a.type), describe(b.type), rule))
    difference = a - b
    each = _one_each(difference)
    forwards, backwards = _uniform(each, 0.0, 0.5, "shake"), _uniform(each, 0.0, 0.5)
    return backwards * a + (1.0 - backwards) * b + STOP_GRADIENT((forwards - backwards) * difference)


def shake_drop(x: Value, p: Probability = 0.5) -> Node:
    """ShakeDrop: in training eta*x with eta = 1, or with probability p uniform in (-1, 1), one a sample.

    (1 - p)*x otherwise. Where eta is not 1, derivatives see another one, uniform in (0, 1). On what a step adds,
    dx = (1 - p) f dt + sqrt(h p (4/3 - p)) f dB with one Brownian motion B.

    Example: x + (x |> dense(4) |> relu |> shake_drop(0.2))

    Yamada, Iwamura, Akiba, Kise (2019).
    """
    x = as_real(x)
    each = _one_each(x)
    whole = NOISE_LIKE(each, law="bernoulli", parameters=(1.0 - p,), deployed=1.0 - p, layer="shake_drop")
    forwards, backwards = _uniform(each, -1.0, 0.0, "shake_drop"), _uniform(each, 0.0, 0.0)
    seen = whole + (1.0 - whole) * backwards
    return seen * x + STOP_GRADIENT((1.0 - whole) * (forwards - backwards) * x)


def _kept(like: Node, p: float, layer: str) -> Node:
    """1/(1 - p), or 0 with probability p."""
    return NOISE_LIKE(like, law="kept", parameters=(1.0 - p,), deployed=1.0, layer=layer)


def _uniform(like: Node, low: float, deployed: float, layer: str = "") -> Node:
    """Uniform between `low` and 1; without a layer, of a derivative alone."""
    return NOISE_LIKE(like, law="uniform", parameters=(low, 1.0), deployed=deployed, layer=layer)


def _one_each(x: Node) -> Node:
    """One number for each sample, with axes of size 1."""
    each = x
    for _ in range(sample_rank(x)):
        each = SELECT(each, axis=int(x.type.batched), index=0)
    return reshape_sample(each, (1,) * sample_rank(x))


TRAINING_NOISE = functions("layer", gaussian_noise, dropout, depth, shake, shake_drop)
