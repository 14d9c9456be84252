"""Operations that move, repeat or regroup entries without computing any."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from isocline_compiler.graph import Example, Node, Op
from isocline_compiler.graph.c_form import Moves
from isocline_compiler.graph.emission import Emitter
from isocline_compiler.graph.tensor_type import Shape, Size, TensorType, broadcast, describe
from isocline_compiler.ops.broadcasting import sum_to
from isocline_compiler.ops.enclosures import each_end
from isocline_compiler.ops.shapes import axis_in, misfit, real


def _names(shape: Shape) -> list[str]:
    return [size for size in shape if isinstance(size, str)]


def _named_axes(shape: Shape) -> list[int]:
    return [i for i, size in enumerate(shape) if isinstance(size, str)]


def _displaced(source: Shape, target: Shape) -> list[int]:
    """Positions of `target` whose named size does not stand at the same place in `source`."""
    return [i for i in _named_axes(target) if source[i : i + 1] != (target[i],)]


def _pair(x: TensorType, shape: Shape) -> str:
    return f"{describe(x)} for {describe(x.with_shape(shape))}"


def _reshaped(x: TensorType, *, shape: Shape) -> TensorType:
    """The named sizes stay, all but the last in their places, and the numbers have the same product."""
    counts = [prod(size for size in sizes if isinstance(size, int)) for sizes in (x.shape, shape)]
    if sorted(_names(x.shape)) != sorted(_names(shape)) or counts[0] != counts[1]:
        raise misfit("reshape", _pair(x, shape), "as many entries as the new shape has")
    if set(_displaced(x.shape, shape)) - set(_named_axes(shape)[-1:]):
        raise misfit("reshape", _pair(x, shape), "a shape in which named sizes but the last keep their places")
    return x.with_shape(shape)


def _torch_reshape(torch: Any, x: Any, shape: Shape) -> Any:
    """All named sizes but the last keep their places; the last is inferred."""
    names = _named_axes(shape)
    kept = {i: int(x.shape[i]) for i in names[:-1]}
    return x.reshape([size if isinstance(size, int) else kept.get(i, -1) for i, size in enumerate(shape)])


def _emit_reshape(emitter: Emitter, node: Node, x: str) -> str:
    """A named size is copied (0) when it keeps its place, and inferred (-1) when it does not."""
    source, target = node.inputs[0].shape, node.attrs["shape"]
    displaced = _displaced(source, target)
    sizes = [size if isinstance(size, int) else -1 if i in displaced else 0 for i, size in enumerate(target)]
    return emitter.node("Reshape", x, emitter.ints(sizes))


RESHAPE: Op = Op(
    "reshape", _reshaped, _torch_reshape, _emit_reshape,
    lambda g, y, x, shape: (RESHAPE(g, shape=x.shape),), "The same entries in row-major order in another shape.",
    examples=(
        Example((real("batch", 12),), {"shape": ("batch", 3, 4)}),
        Example((real("batch", 2, 3),), {"shape": (1, "batch", 6)}),
        Example((real(6),), {"shape": (2, 3, 1)}),
        Example((real(1, 1),), {"shape": ()}),
        Example((real("batch", "T", 4),), {"shape": ("batch", "T", 2, 2)}),
        Example((real("batch", "T", 1),), {"shape": ("batch", 1, "T")}),
    ),
    moves=True,
    enclose=each_end(_torch_reshape), c=Moves(),
)  # fmt: skip


def _transposed(x: TensorType, *, perm: Sequence[int]) -> TensorType:
    if sorted(perm) != list(range(x.rank)):
        raise misfit("transpose", f"{describe(x)} and the order {tuple(perm)}", "an order that names each axis once")
    return x.with_shape(tuple(x.shape[i] for i in perm))


def inverse(perm: Sequence[int]) -> tuple[int, ...]:
    """The permutation that undoes `perm`."""
    return tuple(sorted(range(len(perm)), key=lambda i: perm[i]))


def _emit_transpose(emitter: Emitter, node: Node, x: str) -> str:
    return emitter.node("Transpose", x, perm=list(node.attrs["perm"]))


TRANSPOSE: Op = Op(
    "transpose", _transposed, lambda torch, x, perm: x.permute(*perm), _emit_transpose,
    lambda g, y, x, perm: (TRANSPOSE(g, perm=inverse(perm)),), "Axis i of the result is axis perm[i] of x.",
    examples=(
        Example((real("batch", 3, 4),), {"perm": (0, 2, 1)}),
        Example((real("batch", 3, 2),), {"perm": (2, 0, 1)}),
    ),
    moves=True,
    enclose=each_end(lambda torch, x, perm: x.permute(*perm)), c=Moves(),
)  # fmt: skip


def _expanded(x: TensorType, *, shape: Shape) -> TensorType:
    """Only numbers are repeated: a named size must be there already."""
    lead = len(shape) - x.rank
    padded: Shape = (1,) * lead + x.shape
    new = [size for size, own in zip(shape, padded, strict=False) if size != own]
    if lead < 0 or broadcast(x.shape, shape) != tuple(shape) or _names(tuple(new)):
        raise misfit("expand", _pair(x, shape), "a shape that differs only where x has one entry")
    return x.with_shape(shape)


def _torch_expand(torch: Any, x: Any, shape: Shape) -> Any:
    return x.expand(tuple(-1 if isinstance(size, str) else size for size in shape))


def _emit_expand(emitter: Emitter, node: Node, x: str) -> str:
    return emitter.node("Expand", x, emitter.ints([_or_one(size) for size in node.attrs["shape"]]))


def _or_one(size: Size) -> int:
    return 1 if isinstance(size, str) else size


EXPAND = Op(
    "expand", _expanded, _torch_expand, _emit_expand, lambda g, y, x, shape: (sum_to(g, x),),
    "x repeated along axes where it has one entry, and along new leading axes.",
    examples=(
        Example((real("batch", 1, 3),), {"shape": ("batch", 2, 3)}),
        Example((real(3),), {"shape": (4, 3)}),
        Example((real(),), {"shape": (2,)}),
    ),
    repeats=True, moves=True,
    enclose=each_end(_torch_expand), c=Moves(),
)  # fmt: skip


def _expanded_like(x: TensorType, like: TensorType) -> TensorType:
    if broadcast(x.shape, like.shape) != like.shape:
        raise misfit("expand_like", (x, like), "a value that broadcasts to the other")
    return x.with_shape(like.shape)


def _emit_expand_like(emitter: Emitter, node: Node, x: str, like: str) -> str:
    return emitter.node("Expand", x, emitter.once("Shape", like))


EXPAND_LIKE = Op(
    "expand_like", _expanded_like, lambda torch, x, like: x.expand(like.shape), _emit_expand_like,
    lambda g, y, x, like: (sum_to(g, x), None), "x repeated to the shape of another value, read when the model is run.",
    examples=(
        Example((real(3), real("batch", 3))),
        Example((real("batch", 1, 2), real("batch", "T", 2))),
    ),
    repeats=True, moves=True,
    enclose=each_end(lambda torch, x, like: x.expand(like.shape)), c=Moves(),
)  # fmt: skip


def _spread_type(x: TensorType, like: TensorType) -> TensorType:
    if x.batched or not like.batched:
        raise misfit("spread", f"{describe(x)} and {describe(like)}", "a value without a batch axis, and one with it")
    return x.with_shape((like.shape[0], *x.shape))


def _emit_spread(emitter: Emitter, node: Node, x: str, like: str) -> str:
    batch = emitter.once("Shape", like, start=0, end=1)
    own = [_or_one(size) for size in node.inputs[0].shape]
    shape = emitter.once("Concat", batch, emitter.ints(own), axis=0) if own else batch
    return emitter.node("Expand", x, shape)


SPREAD = Op(
    "spread", _spread_type, lambda torch, x, like: x.expand(like.shape[0], *x.shape), _emit_spread,
    lambda g, y, x, like: (sum_to(g, x), None), "x once for each sample of `like`: gives it the batch axis.",
    examples=(
        Example((real(3, 2), real("batch", 5))),
        Example((real(), real("batch"))),
    ),
    repeats=True, moves=True,
    enclose=each_end(lambda torch, x, like: x.expand(like.shape[0], *x.shape)), c=Moves(),
)  # fmt: skip


def _flipped(x: TensorType, *, axis: int) -> TensorType:
    axis_in("a reversal", x, axis)
    return x


def _emit_flip(emitter: Emitter, node: Node, x: str) -> str:
    """Slice from the last entry backwards: the length need not be known."""
    axis = node.attrs["axis"] % node.type.rank
    beyond = np.iinfo(np.int64).min + 1
    return emitter.node("Slice", x, *(emitter.ints([item]) for item in (-1, beyond, axis, -1)))


def _torch_flip(torch: Any, x: Any, axis: int) -> Any:
    return x.flip(axis)


FLIP: Op = Op(
    "flip", _flipped, _torch_flip, _emit_flip, lambda g, y, x, axis: (FLIP(g, axis=axis),),
    "The entries along an axis in the opposite order, however many there are.",
    examples=(Example((real("batch", "T", 2),), {"axis": 1}), Example((real("batch", 3),), {"axis": -1})),
    moves=True,
    enclose=each_end(_torch_flip), c=Moves(),
)  # fmt: skip

SHAPING = (RESHAPE, TRANSPOSE, EXPAND, EXPAND_LIKE, SPREAD, FLIP)
