"""Standardization: layers whose weights are what the training split shows."""

from __future__ import annotations

from isocline_compiler.graph import Fault, Node
from isocline_compiler.graph.tensor_type import describe
from isocline_compiler.vocabulary.functions.broadcasting import as_real, reshape_sample, sample_axes, sample_rank
from isocline_compiler.vocabulary.functions.kinds import Axes, Value
from isocline_compiler.vocabulary.functions.record import functions
from isocline_compiler.vocabulary.functions.scope import Scope
from isocline_dsl.messages import calls


def standardize(x: Value, keep: Axes = (), *, scope: Scope) -> Node:
    """(x - mean)/deviation: the model sees numbers near 1 while the caller passes raw ones.

    One mean and one deviation over everything in the training split, or with `keep=[0]` one for each index along axis
    0. They are fitted once, before training, and stay in the deployed graph.

    Example: image |> standardize(keep=[0])
    """
    mean, deviation = _statistic("standardize", x, x, keep, scope)
    return (as_real(x) - mean) / deviation


def unstandardize(x: Value, of: Value, keep: Axes = (), *, scope: Scope) -> Node:
    """x*deviation + mean: back to the units of `of`, with the statistics that `standardize(of)` uses.

    Example: x |> dense(2) |> unstandardize(y)
    """
    mean, deviation = _statistic("unstandardize", x, of, keep, scope)
    return as_real(x) * deviation + mean


def _statistic(callee: str, x: Node, of: Node, keep: Axes, scope: Scope) -> tuple[Node, Node]:
    """Mean and deviation of `of`, shaped to broadcast with samples of x along the same axes."""
    axes = tuple(sorted(sample_axes(callee, of, keep)))
    if axes and axes != tuple(sorted(sample_axes(callee, x, keep))):
        raise Fault(
            lambda span: calls.wrong_rank(span, callee, f"as many axes as {describe(of.type)}", describe(x.type))
        )
    unequal = [axis for axis in axes if x.type.sample[axis] != of.type.sample[axis]]
    if unequal:
        rule = f"the sizes along the kept axis {unequal[0]} must be equal"
        raise Fault(lambda span: calls.shapes_differ(span, callee, describe(x.type), describe(of.type), rule))
    shape = tuple(size if i in axes else 1 for i, size in enumerate(x.type.sample)) if axes else ()
    mean, deviation = scope.statistic(of, axes)
    assert sample_rank(mean) == len(axes), "a statistic has the kept sizes alone"
    return reshape_sample(mean, shape), reshape_sample(deviation, shape)


SCALING = functions("layer", standardize, unstandardize)
