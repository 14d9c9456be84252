"""The axis of an ensemble: what `solve ... samples m` or `deploy { samples m }` adds, the first of a sample."""

from __future__ import annotations

from isocline_compiler.graph import Fault, Node, topological
from isocline_compiler.graph.solve import SOLVE, spec_of
from isocline_compiler.graph.tensor_type import describe
from isocline_compiler.ops.points import MEMBERS
from isocline_compiler.vocabulary.functions.broadcasting import as_real, offset
from isocline_compiler.vocabulary.functions.kinds import WordCall
from isocline_dsl.messages import calls, noise

OVER = ("samples",)
"""What `over` may say."""


def ensemble_axis(callee: str, x: Node, over: WordCall) -> int:
    """The axis of the graph that holds the samples of the solve that x comes from.

    Raises `Fault` where x comes from no solve with samples, or its first axis is not theirs any more.
    """
    if over.name not in OVER:
        raise Fault(lambda span: calls.unknown_word(over.span or span, callee, "over", over.name, OVER))
    if x.op is MEMBERS:
        return offset(x)
    counts = _counts(x)
    if not counts:
        raise Fault(lambda span: noise.no_ensemble(span, callee, describe(x.type)))
    if not x.type.sample or x.type.sample[0] not in counts:
        raise Fault(lambda span: noise.ensemble_axis_gone(span, callee, describe(x.type), sorted(counts)))
    return offset(x)


def members(x: Node, count: int) -> Node:
    """x for each of so many members of an ensemble, along a new first axis of a sample."""
    return MEMBERS(as_real(x), count=count, axis=offset(x))


def has_samples(x: Node) -> bool:
    """Whether `ensemble_axis` would answer."""
    return bool(x.type.sample) and x.type.sample[0] in _counts(x)


def _counts(x: Node) -> set[int]:
    """The numbers of samples of the solves that x comes from."""
    found = (spec_of(node).samples for node in topological([x]) if node.op is SOLVE)
    return {count for count in found if count is not None}
