"""Shape rules that several operations share, and the words the rules are written in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from isocline_compiler.graph import Fault
from isocline_compiler.graph.tensor_type import Kind, Shape, Size, TensorType, broadcast, describe
from isocline_dsl import messages
from isocline_dsl.messages import operations

Rule: TypeAlias = "tuple[Kind, ...]"

NUMBER: Rule = ("real", "int")
REAL: Rule = ("real",)


def real(*shape: Size) -> TensorType:
    """`real[shape]`."""
    return TensorType("real", shape)


def integer(*shape: Size) -> TensorType:
    """`int[shape]`."""
    return TensorType("int", shape)


def truth(*shape: Size) -> TensorType:
    """`bool[shape]`."""
    return TensorType("bool", shape)


def misfit(operation: str, found: Sequence[TensorType] | str, expected: str) -> Fault:
    """The fault of arguments that `operation` cannot take."""
    given = found if isinstance(found, str) else " and ".join(describe(type_) for type_ in found)
    return Fault(lambda span: operations.operands_do_not_fit(span, operation, given, expected))


def require(operation: str, kinds: Sequence[Kind], *types: TensorType) -> None:
    """All arguments are of the same kind, one of `kinds`; else a fault."""
    if types[0].kind not in kinds or any(type_.kind != types[0].kind for type_ in types):
        raise misfit(operation, types, f"values of one kind: {' or '.join(kinds)}")


def same(x: TensorType) -> TensorType:
    """The result has the type of the argument, a real."""
    require("this function", REAL, x)
    return x


def same_number(x: TensorType) -> TensorType:
    """The result has the type of the argument, a real or an integer."""
    require("this function", NUMBER, x)
    return x


def _mismatch(left: TensorType, right: TensorType) -> Fault:
    return Fault(lambda span: messages.broadcast_mismatch(span, describe(left), describe(right)))


def joined(*types: TensorType) -> Shape:
    """Numpy's broadcasting of the shapes."""
    shape = types[0].shape
    for other in types[1:]:
        common = broadcast(shape, other.shape)
        if common is None:
            raise _mismatch(types[0].with_shape(shape), other)
        shape = common
    return shape


def elementwise(*types: TensorType) -> TensorType:
    """Numpy's broadcasting of numbers of one kind."""
    require("arithmetic", NUMBER, *types)
    return types[0].with_shape(joined(*types))


def elementwise_real(*types: TensorType) -> TensorType:
    """Numpy's broadcasting of reals."""
    require("arithmetic", REAL, *types)
    return types[0].with_shape(joined(*types))


def comparison(left: TensorType, right: TensorType) -> TensorType:
    """Numpy's broadcasting; the result is true or false."""
    require("a comparison", ("real", "int", "bool"), left, right)
    return truth(*joined(left, right))


def logical(*types: TensorType) -> TensorType:
    """Numpy's broadcasting of truth values."""
    require("logic", ("bool",), *types)
    return types[0].with_shape(joined(*types))


def axis_in(operation: str, x: TensorType, axis: int) -> int:
    """`axis` counted from 0, or a fault when `x` does not have it."""
    if not -x.rank <= axis < x.rank:
        raise Fault(lambda span: operations.axis_absent(span, operation, axis, describe(x)))
    return axis % x.rank


def known(operation: str, size: Size) -> int:
    """A size that must be a number when compiling."""
    if isinstance(size, str):
        raise Fault(lambda span: operations.size_not_known(span, operation, size))
    return size
