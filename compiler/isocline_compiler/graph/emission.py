"""What an operation is given to write itself in ONNX: the interface alone; the back end has the class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn, Protocol

from isocline_compiler.graph import Array, Node
from isocline_compiler.graph.tensor_type import Kind


class Emitter(Protocol):
    """Operators to add, literals to name. Every method that adds something returns its name.

    `wide` is true when reals are float64.
    """

    wide: bool

    def node(self, operator: str, *inputs: str, **attrs: Any) -> str:
        """Add an operator with one result."""
        ...

    def once(self, operator: str, *inputs: str, **attrs: Any) -> str:
        """The same, but not again for the same arguments."""
        ...

    def results(self, operator: str, count: int, *inputs: str, **attrs: Any) -> tuple[str, ...]:
        """Add an operator with several results, not again for the same arguments."""
        ...

    def ints(self, values: Sequence[int]) -> str:
        """A vector of int64."""
        ...

    def integer(self, value: int) -> str:
        """One int64."""
        ...

    def real(self, value: float) -> str:
        """One real in the precision of the model."""
        ...

    def number(self, value: float, kind: Kind) -> str:
        """One number of this kind."""
        ...

    def elements(self, kind: Kind) -> int:
        """The element type of a kind in this model."""
        ...

    def array(self, value: Array, name: str | None = None) -> str:
        """An initializer with these entries."""
        ...

    def apart(self, name: str, operator: str) -> str:
        """An initializer that only this operator reads: a second one, of the same entries, where another does."""
        ...

    def refuse_wide(self, node: Node) -> NoReturn:
        """Stop: this operation has no float64 kernel, and no formula of full accuracy."""
        ...
