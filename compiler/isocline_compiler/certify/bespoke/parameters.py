"""Coefficients and grid of a learned scheme as numbers that may vary freely, within the constraints that it keeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from isocline_compiler.solvers.schemes.bespoke import Bespoke, Unlearned

EARLIEST = 1 / 16
"""The earliest of the later stages, in the step: where all are at its begin no weights give order 2."""


@dataclass
class Parameters:
    r"""Freely varying numbers behind a table of coefficients.

    a as it is, with EARLIEST <= c_i <= 1 for i > 1: no stage leaves its step, and time its stretch. b is the nearest to
    what varies among those with sum b = 1 and sum b c = 1/2. The widths between two times that stay nodes are a
    softmax of logits, times the stretch between them.
    """

    start: Unlearned
    kept: Tensor
    a: Tensor
    b: Tensor
    logits: Tensor

    @classmethod
    def of(cls, scheme: Unlearned, kept: Sequence[float]) -> Parameters:
        """At the coefficients and the even grid that a scheme starts with; the `kept` times stay nodes."""
        a, b = (torch.tensor(rows, dtype=torch.float64, requires_grad=True) for rows in (scheme.a, scheme.b))
        stretches = len(kept) - 1
        logits = torch.zeros(stretches, scheme.steps // stretches, dtype=torch.float64, requires_grad=True)
        return cls(scheme, torch.tensor(kept, dtype=torch.float64), a, b, logits)

    @property
    def varying(self) -> list[Tensor]:
        """What the optimizer moves."""
        return [self.a, self.b, self.logits]

    @property
    def rows(self) -> list[slice]:
        """The entries of each row of a below its diagonal."""
        return [slice(i * (i - 1) // 2, i * (i + 1) // 2) for i in range(self.start.stages)]

    def stages(self) -> Tensor:
        """c, (steps, stages): the sums of the rows."""
        return torch.stack([self.a[:, row].sum(dim=1) for row in self.rows], dim=1)

    def weights(self, c: Tensor) -> Tensor:
        """b, (steps, stages), onto the constraints."""
        conditions = torch.stack([torch.ones_like(c), c], dim=1)
        left = (conditions @ self.b[:, :, None])[:, :, 0] - torch.tensor([1.0, 1 / 2], dtype=torch.float64)
        normal = conditions @ conditions.transpose(1, 2)
        back = conditions.transpose(1, 2) @ torch.linalg.solve(normal, left[:, :, None])
        found: Tensor = self.b - back[:, :, 0]
        return found

    def widths(self) -> Tensor:
        """h, (stretches, steps in each)."""
        return torch.softmax(self.logits, dim=1) * self.kept.diff()[:, None]

    def table(self) -> Tensor:
        """What the steps read, as `Bespoke.table` has it; the gradient flows through it."""
        c, h = self.stages(), self.widths()
        begins = (self.kept[:-1, None] + h.cumsum(dim=1) - h).reshape(-1, 1)
        h = h.reshape(-1, 1)
        return torch.cat([begins + h * c, h * self.a, h * self.weights(c)], dim=1)

    def project(self) -> None:
        """Rows whose stage has left its step go back to its edge, by as much in each entry."""
        with torch.no_grad():
            for row in self.rows[1:]:
                sums = self.a[:, row].sum(dim=1, keepdim=True)
                self.a[:, row] += (sums.clamp(EARLIEST, 1.0) - sums) / (row.stop - row.start)

    def scheme(self) -> Bespoke:
        """The scheme of the present numbers, rounded so that its sums are exact."""
        with torch.no_grad():
            a, b, h = (x.numpy().copy() for x in (self.a, self.weights(self.stages()), self.widths()))
        kept = self.kept.numpy()
        inner = kept[:-1, None] + np.cumsum(h, axis=1)
        inner[:, -1] = kept[1:]
        return Bespoke.rounded(self.start.base, (float(kept[0]), *inner.reshape(-1).tolist()), a, b)


def unlearned(scheme: Bespoke, solve: str) -> Unlearned:
    """A scheme whose table becomes an input of the graph."""
    return Unlearned(scheme.base, scheme.times, scheme.a, scheme.b, scheme.c, solve=solve)


__all__ = ["Parameters", "unlearned"]
