"""Which solves are walked back exactly: their steps are undone in closed form, and their fields are functions."""

from __future__ import annotations

from isocline_compiler.graph import everything
from isocline_compiler.graph.called import Called
from isocline_compiler.graph.solve import Solve
from isocline_compiler.solvers.schemes import SCHEMES
from isocline_compiler.solvers.schemes.adjoint import adjoint_of
from isocline_compiler.solvers.schemes.scheme import Scheme


def exact_adjoint(scheme: Scheme) -> Scheme | None:
    """The adjoint whose step undoes one of this in closed form; None where either is found by iterations."""
    found = adjoint_of(scheme)
    iterates = "iterations" in scheme.options or (found is not None and "iterations" in found.options)
    return None if iterates else found


def reversible_schemes() -> tuple[str, ...]:
    """The names of the schemes whose steps are undone in closed form."""
    return tuple(name for name, scheme in SCHEMES.items() if not scheme.normals and exact_adjoint(scheme) is not None)


def irreversible(solve: Solve, named: Called | None) -> str | None:
    """Why the steps of a solve by this scheme, or by an adaptive solver, cannot be walked back; None where they can."""
    if solve.spec.noises:
        return "noise drives it"
    if solve.spec.events:
        return "its states jump, and where they did cannot be told from behind"
    if named is None or named.name not in SCHEMES or "steps" not in named.options:
        return "an adaptive solver steps it"
    adjoint = exact_adjoint(SCHEMES[named.name].with_options(named.options))
    if adjoint is None:
        return f"a step of `{named.name}` is not undone in closed form"
    misfit = adjoint.fits(solve)
    if misfit is not None:
        return misfit(None).message.split(": ", 1)[-1]
    if any(item.op.training is not None for item in everything(solve.region.results)):
        return "it is random while training, and differs each time it is evaluated"
    return None
