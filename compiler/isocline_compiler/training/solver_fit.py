"""Whether the solver that `train` names can step what it should: told of equations, before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, TypeAlias

from isocline_compiler.graph import Graph, Node, everything
from isocline_compiler.graph.called import Called
from isocline_compiler.graph.delay import remembers
from isocline_compiler.graph.fractional import has_order, is_fractional
from isocline_compiler.graph.solve import SOLVE, Solve, SolveSpec, parts, spec_of
from isocline_compiler.ops.noise import NOISE_LIKE
from isocline_compiler.solvers.noise_kinds import channels_apart
from isocline_compiler.solvers.schemes import SCHEMES
from isocline_compiler.vocabulary.options import ADAPTIVE, ADAPTIVE_WITH_NOISE
from isocline_dsl import messages as language
from isocline_dsl.diagnostics import Diagnostic, IsoclineError
from isocline_dsl.messages import delays, fractional
from isocline_dsl.messages import fitting as messages

STEPS, SUBSTEPS = 64, 2
"""Of a solve with noise for which no solver is named: how many in all, and at least between two times."""
ORDERED = "fractional_abm"
"""The scheme of a solve of fractional order for which no solver is named."""
ITO = frozenset({"srk", "euler", "milstein"})
"""The solvers of torchsde that converge to Ito's integral; the others, to Stratonovich's."""

Form: TypeAlias = Literal["diagonal", "additive", "scalar", "general"]


def solver_faults(named: Called, graph: Graph) -> Iterator[Diagnostic]:
    """E402, E466, E467, or the misfit of a scheme, where the solver of `train` is not for what it should step in the
    graph of the losses; the first of each kind.
    """
    adaptive = "steps" not in named.options and named.name in {*ADAPTIVE, *ADAPTIVE_WITH_NOISE}
    driven = named.name if adaptive and named.name in ADAPTIVE_WITH_NOISE else None
    left = [node for node in solves_of(graph) if spec_of(node).scheme is None]
    if adaptive:
        yield from _left_to_no_steps(named, driven, left)
    if named.span is None:
        return
    own = [node for node in left if takes(named, spec_of(node))]
    if adaptive and driven is None:
        if left and all(spec_of(node).noises for node in left):
            scheme, field = str(scheme_for_noise(left[0])), spec_of(left[0]).field
            yield messages.solver_without_noise(named.span, named.name, field, scheme)
        return
    for node in own or left:
        if driven is not None:
            why = noise_misfit(driven, spec_of(node))
            reason = None if why is None else language.scheme_does_not_fit(named.span, driven, why)
        else:
            misfit = SCHEMES[named.name].fits(Solve.of(node))
            reason = None if misfit is None else misfit(named.span)
        if reason is not None:
            yield reason
            return


def _left_to_no_steps(named: Called, driven: str | None, left: list[Node]) -> Iterator[Diagnostic]:
    """What an adaptive solver cannot take: jumps at a state, noise of training, fractional orders, delays."""
    jumping = next((node for node in left if spec_of(node).events), None)
    if jumping is not None:
        span, field = named.span or jumping.span, spec_of(jumping).field
        yield messages.events_by_adaptive_solver(span, named.name, field)
        return
    for node in left:
        noise = next((item for item in everything(Solve.of(node).region.results) if item.op is NOISE_LIKE), None)
        if noise is not None and not _stepped_anyway(node, driven):
            yield messages.training_noise_needs_steps(noise.span, spec_of(node).field, named.name)
            return
    if named.span is None:
        return
    slow = next((node for node in left if is_fractional(node)), None)
    if slow is not None:
        yield fractional.fractional_needs_steps(named.span, spec_of(slow).field, named.name, ORDERED)
        return
    late = next((node for node in left if remembers(node)), None)
    if late is not None:
        yield delays.delays_need_steps(named.span, spec_of(late).field, named.name)


def _stepped_anyway(node: Node, driven: str | None) -> bool:
    """Whether steps are taken of it although nobody named them."""
    spec = spec_of(node)
    by_torchsde = driven is not None and noise_misfit(driven, spec) is None
    return is_fractional(node) or remembers(node) or (bool(spec.noises) and not by_torchsde)


def noise_misfit(method: str, spec: SolveSpec) -> str | None:
    """Why a solver of torchsde cannot solve these equations; None where it can."""
    if not spec.noises:
        return "it is for a field with noise"
    if any(noise.process != "brownian" for noise in spec.noises):
        return "it is for Brownian noise alone"
    if any(noise.turned for noise in spec.noises):
        return "a path that is walked back has the steps of the solve that it undoes"
    wanted = "ito" if method in ITO else "stratonovich"
    if "additive" not in spec.kinds and spec.calculus != wanted:
        whose = {"ito": "Ito's", "stratonovich": "Stratonovich's"}
        return f"it converges to {whose[wanted]} integral, and the noise is {spec.calculus}"
    if method == "srk" and form_of(spec) == "general":
        return "it needs diagonal, additive or scalar noise, and this is general"
    return None


def form_of(spec: SolveSpec) -> Form:
    """The kind of noise in torchsde's words: the narrowest that holds."""
    if "diagonal" in spec.kinds and channels_apart(spec):
        return "diagonal"
    if "additive" in spec.kinds:
        return "additive"
    return "scalar" if "scalar" in spec.kinds else "general"


def solves_of(graph: Graph) -> list[Node]:
    """The solves of a graph, those in its regions too."""
    return [node for node in everything(graph.outputs.values()) if node.op is SOLVE]


def takes(choice: Called, spec: SolveSpec) -> bool:
    """Whether a scheme is meant for such a solve: one for noise where there is noise, another where there is none."""
    scheme = SCHEMES.get(choice.name)
    return scheme is None or (bool(scheme.normals) == bool(spec.noises) and scheme.fractional == has_order(spec))


def scheme_for_noise(node: Node) -> Called:
    """The first of the schemes that fits the noise of a solve; equally many steps in every interval."""
    known = [scheme for scheme in SCHEMES.values() if scheme.normals]
    fitting = [scheme for scheme in known if scheme.fits(Solve.of(node)) is None]
    if not fitting:
        reason = known[0].fits(Solve.of(node))
        assert reason is not None
        raise IsoclineError([reason(node.span)])
    intervals = intervals_of(node)
    return Called(fitting[0].name, {"steps": intervals * max(SUBSTEPS, -(-STEPS // intervals))})


def intervals_of(node: Node) -> int:
    """How many intervals the times of a solve make."""
    known, times = spec_of(node).interval.times, parts(node).times
    count = times.size(-1) if times is not None else len(known or ())
    return max(count - 1, 1) if isinstance(count, int) else 1
