"""`f(x, over=samples)`: a net of each sample of a stochastic solve, all of them as one larger batch."""

from __future__ import annotations

from collections.abc import Callable, MutableSequence, Sequence
from typing import TypeAlias

from isocline_compiler.graph import ARGUMENT, Fault, Node, leaf, transform
from isocline_compiler.graph.tensor_type import BATCH, TensorType, describe
from isocline_compiler.lower.outside import Body
from isocline_compiler.ops.points import MERGE_POINTS, SPLIT_POINTS
from isocline_compiler.solvers.points import at_points, enlarge
from isocline_compiler.vocabulary.functions.ensembles import ensemble_axis
from isocline_compiler.vocabulary.functions.kinds import WordCall
from isocline_dsl.messages import calls

Function: TypeAlias = "Callable[[tuple[Node, ...]], Node]"


def each_member(
    callee: str,
    body: Function,
    arguments: Sequence[Node],
    ranks: Sequence[int],
    over: WordCall,
    bodies: MutableSequence[Body],
) -> Node:
    """(batch, m, ...) -> (batch, m, ...): `body` of each of the m samples, whose other arguments are the same for all.

    `ranks` are those that `body` declares: an argument with one axis more has the samples first. Raises `Fault` where
    no argument has, or where an axis is not that of samples. What the arguments of `body` stand for goes to `bodies`.
    """
    several = [x.type.batched and len(x.type.sample) == rank + 1 for x, rank in zip(arguments, ranks, strict=True)]
    count = _count(callee, arguments, several, over)
    of_one = [_of_one(x, many) for x, many in zip(arguments, several, strict=True)]
    of_all = [
        MERGE_POINTS(x) if many else at_points(x, count) if x.type.batched else x
        for x, many in zip(arguments, several, strict=True)
    ]
    known = dict(zip(of_one, of_all, strict=True))
    bodies.append(Body({x: known[x] for x in of_one if x.op is ARGUMENT}, count))
    (result,) = transform([body(tuple(of_one))], enlarge(count), known)
    return SPLIT_POINTS(result, count=count)


def _count(callee: str, arguments: Sequence[Node], several: Sequence[bool], over: WordCall) -> int:
    """How many samples there are, the same in every argument that has them."""
    having = [x for x, many in zip(arguments, several, strict=True) if many]
    sizes = {int(x.shape[ensemble_axis(callee, x, over)]): x for x in having or arguments}
    if not having:
        found = describe(arguments[0].type)
        rule = "an argument that has samples has them before the axes that the net declares"
        raise Fault(lambda span: calls.shapes_differ(span, callee, found, "what the net declares", rule))
    if len(sizes) > 1:
        first, second = (describe(x.type) for x in list(sizes.values())[:2])
        raise Fault(lambda span: calls.shapes_differ(span, callee, first, second, "the numbers of samples are equal"))
    return next(iter(sizes))


def _of_one(x: Node, many: bool) -> Node:
    """What stands for one sample of x."""
    if not x.type.batched:
        return x
    sample = x.type.sample[1:] if many else x.type.sample
    return leaf(ARGUMENT, "x", TensorType(x.type.kind, (BATCH, *sample)))
