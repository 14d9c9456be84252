r"""Adjoint schemes: Phi*_h = (Phi_{-h})^{-1}, by which a step backwards in time undoes a step of Phi.

Of a composition of exact flows it is the same flows in the other order; of a Runge-Kutta scheme the tableau
a*_ij = b_{s+1-j} - a_{s+1-i,s+1-j}, b*_i = b_{s+1-i}. A scheme is symmetric when it is its own adjoint.
Hairer, Lubich, Wanner (2006), Geometric Numerical Integration, II.3, V.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import groupby
from typing import TypeAlias

import numpy as np

from isocline_compiler.graph import Array
from isocline_compiler.solvers.schemes import SCHEMES
from isocline_compiler.solvers.schemes.implicit import ImplicitRungeKutta
from isocline_compiler.solvers.schemes.partitioned import Momentum, MomentumAdjoint, Splitting
from isocline_compiler.solvers.schemes.scheme import Scheme
from isocline_compiler.solvers.schemes.stratonovich import ReversibleHeun
from isocline_compiler.solvers.schemes.tableau import TOLERANCE, Tableau

Coefficients: TypeAlias = "tuple[Array, Array]"


def adjoint_of(scheme: Scheme) -> Scheme | None:
    """The scheme of ours whose step backwards undoes one of this; None where there is none, or it is implicit in more
    than one stage.
    """
    if isinstance(scheme, Momentum | MomentumAdjoint):
        other = MomentumAdjoint if isinstance(scheme, Momentum) else Momentum
        return _first(lambda item: isinstance(item, other))
    if isinstance(scheme, ReversibleHeun):
        return scheme
    if isinstance(scheme, Splitting):
        turned = _moves(scheme)[::-1]
        return _first(lambda item: isinstance(item, Splitting) and _alike(_moves(item), turned))
    given = _coefficients(scheme)
    if given is None:
        return None
    a, b = given
    wanted = b[None, ::-1] - a[::-1, ::-1], b[::-1]
    return _first(lambda item: _same(_coefficients(item), wanted))


def undoable(*, noise: bool = False) -> tuple[str, ...]:
    """The names of the schemes that have an adjoint, of those for equations with noise or without."""
    alike = ((name, scheme) for name, scheme in SCHEMES.items() if bool(scheme.normals) is noise)
    return tuple(name for name, scheme in alike if adjoint_of(scheme) is not None)


def _first(fits: Callable[[Scheme], bool]) -> Scheme | None:
    return next((scheme for scheme in SCHEMES.values() if fits(scheme)), None)


def _moves(scheme: Splitting) -> list[tuple[str, float]]:
    """Kicks and drifts in turn, without those of length zero, neighbours of one kind together."""
    pairs = zip(scheme.kicks, scheme.drifts, strict=True)
    every = [(move, part) for b, a in pairs for move, part in (("kick", b), ("drift", a)) if part]
    return [(move, sum(part for _, part in group)) for move, group in groupby(every, key=lambda item: item[0])]


def _alike(left: Iterable[tuple[str, float]], right: Iterable[tuple[str, float]]) -> bool:
    (names, parts), (others, same) = (tuple(zip(*moves, strict=True)) for moves in (left, right))
    return names == others and bool(np.allclose(parts, same, rtol=0, atol=TOLERANCE))


def _coefficients(scheme: Scheme) -> Coefficients | None:
    """A and b of a scheme of one stage, or of the trapezoidal rule."""
    tableau = scheme.tableau if isinstance(scheme, ImplicitRungeKutta) else scheme
    if not isinstance(tableau, Tableau):
        return None
    return tableau.matrix, tableau.weights


def _same(found: Coefficients | None, wanted: Coefficients) -> bool:
    return found is not None and all(
        a.shape == b.shape and np.allclose(a, b, rtol=0, atol=TOLERANCE) for a, b in zip(found, wanted, strict=True)
    )
