"""Pooling: summaries of windows of a signal or an image, and of all of it."""

from __future__ import annotations

from collections.abc import Sequence

from isocline_compiler.graph import Fault, Node
from isocline_compiler.ops import OPS
from isocline_compiler.vocabulary.functions.broadcasting import as_real, with_batch
from isocline_compiler.vocabulary.functions.convolution import check_window, per_axis, spatial
from isocline_compiler.vocabulary.functions.kinds import Counts, Paddings, Value, Word, WordCall
from isocline_compiler.vocabulary.functions.record import functions
from isocline_compiler.vocabulary.functions.reductions import reduce
from isocline_dsl.messages import calls

MEAN = WordCall("mean")


def maxpool(x: Value, kernel: Counts = (2,), stride: Counts | None = None, pad: Paddings = (0,)) -> Node:
    """The largest entry of each window, channel by channel; windows do not overlap unless `stride` says so.

    Example: image |> maxpool(2)
    """
    return _pool("maxpool", "max_pool", x, kernel, stride, pad)


def meanpool(x: Value, kernel: Counts = (2,), stride: Counts | None = None, pad: Paddings = (0,)) -> Node:
    """The mean of each window, channel by channel; the zeros of the padding count.

    Example: image |> meanpool(2)
    """
    return _pool("meanpool", "avg_pool", x, kernel, stride, pad)


def globalpool(x: Value, kind: Word = MEAN) -> Node:
    """One number for each channel: the mean over all places, or the largest with `kind=max`.

    Example: image |> globalpool |> dense(10)
    """
    spatial("globalpool", x)
    if kind.name not in ("mean", "max"):
        raise Fault(
            lambda span: calls.unknown_word(kind.span or span, "globalpool", "kind", kind.name, ("mean", "max"))
        )
    return reduce(f"reduce_{kind.name}", x, tuple(range(1 + x.type.batched, x.type.rank)))


def _pool(
    callee: str, op: str, x: Node, kernel: Sequence[int], stride: Sequence[int] | None, pad: Sequence[int]
) -> Node:
    dims = spatial(callee, x)
    window, width = per_axis(callee, dims, kernel), per_axis(callee, dims, pad)
    step = per_axis(callee, dims, kernel if stride is None else stride)
    check_window(callee, x, window, width, (1,) * dims)
    if any(2 * margin > size for margin, size in zip(width, window, strict=True)):
        # a window may not lie in the padding alone: it would have no largest entry
        raise Fault(lambda span: calls.wrong_argument(span, callee, "pad", "at most half the kernel", str(max(width))))
    return with_batch(as_real(x), lambda v: OPS[op](v, kernel=window, stride=step, pad=width))


POOLING = functions("layer", maxpool, meanpool, globalpool)
