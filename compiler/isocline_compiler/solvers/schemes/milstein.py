"""Milstein's scheme, with the derivative of the diffusion and without."""

from __future__ import annotations

from collections.abc import Iterator

from isocline_compiler.graph import Nodes
from isocline_compiler.ops.indexing import SLICE
from isocline_compiler.solvers.field import Field, Stirred
from isocline_compiler.solvers.schemes.step import Memory, Step
from isocline_compiler.solvers.schemes.stochastic_scheme import (
    BOTH,
    Increments,
    Stochastic,
    beside,
    channels,
    drifted,
    each_drives_its_own,
    increments,
    moved,
    ones,
    root,
    scaled,
    span,
    total,
    unit,
)


class Milstein(Stochastic):
    r"""Milstein's scheme, for commutative noise: L_i b_j = L_j b_i, with L_j = sum_k b_kj d/dx_k.

    x' = x + f h + g dW + 1/2 sum_ij L_i b_j (dW_i dW_j - [i = j, Ito] |h|)

    The double sum over products is the derivative of g dW along g dW: one of them, whatever the number of channels.
    Ito's correction is sum_j L_j b_j: of diagonal and scalar noise the derivative of g 1 along g 1, else one derivative
    a channel. The iterated integrals of noise that is not commutative cannot be had from dW. Additive noise has neither
    term. Kloeden, Platen (1992), 10.3.
    """

    def advance(self, memory: Memory, field: Field, step: Step, x: Nodes) -> tuple[Memory, Nodes]:
        """One step; nothing is remembered."""
        dw = increments(field, step)
        noise = field.stir(step.t, x, dw)
        after = drifted(step, x, field(step.t, x))
        if "additive" in field.spec.kinds:
            return memory, moved(after, noise)
        second = field.stir_jvp(step.t, x, dw, noise)
        if field.spec.calculus == "ito":
            columns = [ones(field)] if each_drives_its_own(field) else [unit(*item) for item in channels(field)]
            own = total([field.stir_jvp(step.t, x, e, field.stir(step.t, x, e)) for e in columns])
            second = total([second, scaled([-span(h) for h in step.widths], own)])
        return memory, moved(after, total([noise, scaled(0.5, second)]))


class MilsteinFree(Stochastic):
    r"""Milstein's scheme without a derivative: the difference of g between x and y_j = x + f h + b_j sqrt |h|.

    x' = x + f h + g dW + sum_ij (b_j(t, y_i) - b_j(t, x)) (dW_i dW_j - [i = j] |h|) / (2 sqrt |h|)

    Of diagonal and scalar noise one y serves all channels. For Ito's integral alone: in Stratonovich's, where |h| is
    not subtracted, the error of the difference has a mean of size h^(3/2), and there is euler_heun. Kloeden, Platen
    (1992), 11.1.
    """

    def advance(self, memory: Memory, field: Field, step: Step, x: Nodes) -> tuple[Memory, Nodes]:
        """One step; nothing is remembered."""
        dw = increments(field, step)
        noise = field.stir(step.t, x, dw)
        after = drifted(step, x, field(step.t, x))
        if "additive" in field.spec.kinds:
            return memory, moved(after, noise)
        parts: list[Stirred] = [noise]
        for e, weights in _pairs(field, step, dw):
            along = scaled([root(h) for h in step.widths], field.stir(step.t, x, e))
            there, here = (field.stir(step.t, y, weights) for y in (moved(after, along), x))
            parts += [there, scaled(-1.0, here)]
        return memory, moved(after, total(parts))


def _pairs(field: Field, step: Step, dw: Increments) -> Iterator[tuple[Increments, Increments]]:
    """The channels that a supporting value y is moved along, and (dW_i dW_j - [i = j] |h|) / (2 sqrt |h|)."""
    half, width = 0.5 / beside(root(step.h)), beside(span(step.h))
    if each_drives_its_own(field):
        yield ones(field), {name: half * (w * w - width) for name, w in dw.items()}
        return
    for noise, i in channels(field):
        e, chosen = unit(noise, i), SLICE(dw[noise.name], axis=1, start=i, stop=i + 1)
        products = {name: chosen * w for name, w in dw.items()}
        products[noise.name] = products[noise.name] - width * e[noise.name]
        yield e, {name: half * product for name, product in products.items()}


MILSTEIN = Milstein(
    name="milstein", strong={"commutative": 1.0}, weak={"commutative": 1.0}, calculi=BOTH,
    reference="Milstein (1974), Theory Probab. Appl. 19, 557-562; Kloeden, Platen (1992), 10.3",
)  # fmt: skip

MILSTEIN_FREE = MilsteinFree(
    name="milstein_free", strong={"commutative": 1.0}, weak={"commutative": 1.0}, calculi=("ito",),
    reference="Kloeden, Platen (1992), 11.1: without a derivative of g",
)  # fmt: skip
