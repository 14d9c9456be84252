"""A state at an earlier time, as an operation in the field of a solve: what it was is for the solve to remember."""

from __future__ import annotations

from typing import Any

from isocline_compiler.graph import Fault, Node, Op, everything, topological
from isocline_compiler.graph.solve import Solve
from isocline_compiler.graph.tensor_type import TensorType
from isocline_dsl import messages


def _delayed_type(now: TensorType, lag: TensorType, before: TensorType, *, state: int) -> TensorType:
    if lag.kind != "real" or lag.sample or before.sample != now.sample:
        raise Fault(lambda span: messages.not_available_yet(span, "a delay for each entry of a state"))
    batched = next((item for item in (now, lag, before) if item.batched), None)
    return now if batched is None else now.with_shape((batched.shape[0], *now.sample))


def _no_torch(*_: Any, **__: Any) -> Any:
    raise AssertionError("a state at an earlier time is known to a solve alone")


DELAYED = Op(
    "delayed", _delayed_type, _no_torch, None, lambda g, y, now, lag, before, state: (None, None, None),
    """x(t - lag) of the state at a place, which is the first argument now; `before` where t - lag is not after the
    start. The state now is not read, so the derivative with respect to it is zero; that with respect to the others is
    taken of the steps of a solve, which know what there was.
    """,
)  # fmt: skip


def delays_of(solve: Solve) -> list[Node]:
    """The states at earlier times that the field of a solve reads."""
    return [node for node in topological(solve.region.results) if node.op is DELAYED]


def remembers(solve: Node) -> bool:
    """Whether the field of a solve node reads a state at an earlier time."""
    return any(node.op is DELAYED for node in everything(solve.attrs["region"].results))


__all__ = ["DELAYED", "delays_of", "remembers"]
