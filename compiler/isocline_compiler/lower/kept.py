"""What `deploy { samples m }` asks for, checked: noise to keep, rows that it is drawn for, and outputs with means."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from isocline_compiler.graph import INPUT, Node, everything, regions_of, topological
from isocline_compiler.graph.called import Called
from isocline_compiler.graph.solve import SOLVE, Solve, spec_of
from isocline_compiler.model import AttributionPlan
from isocline_compiler.ops.points import MEMBERS
from isocline_compiler.solvers.ensemble import is_kept
from isocline_compiler.solvers.schemes.bespoke import Bespoke
from isocline_compiler.solvers.schemes.explicit import EXPLICIT
from isocline_dsl import messages
from isocline_dsl.diagnostics import Diagnostic
from isocline_dsl.messages import ensemble, noise
from isocline_dsl.tree import Span

MOST_CHANNELS = 2**20
"""Numbers of one draw that the generator can number."""


def ensemble_faults(
    outputs: Mapping[str, Node], spans: Mapping[str, Span], samples: Span | None, solver: Called | None
) -> Iterator[Diagnostic]:
    """What is wrong with an ensemble of these outputs, whose declarations stand at `spans`."""
    nodes = list(everything(outputs.values()))
    noises = [node for node in nodes if is_kept(node)]
    random = random_nodes(outputs.values())
    if not random:
        yield ensemble.nothing_to_keep(samples)
    driven = next((spec_of(node) for node in nodes if node.op is SOLVE and spec_of(node).noises), None)
    if driven is not None:
        yield ensemble.ensemble_of_paths(samples, driven.field)
    if solver is not None and solver.name == Bespoke.name:
        why = "`samples` keeps noise, and there is no solution of one sample to learn from"
        yield noise.no_fitting_scheme(solver.span, solver.name, why, [scheme.name for scheme in EXPLICIT])
    yield from _faults_of_noise(noises)
    yield from _faults_of_solves(nodes, solver)
    unknown = next((str(s) for x in nodes if x.op is INPUT for s in x.type.sample if isinstance(s, str)), None)
    if noises and unknown is not None:
        yield messages.not_available_yet(samples, f"an ensemble of values whose size `{unknown}` is known later")
    for name, node in outputs.items():
        if node in random and node.type.kind != "real":
            yield ensemble.label_of_samples(spans.get(name), name)


def _faults_of_noise(noises: Sequence[Node]) -> Iterator[Diagnostic]:
    for node in noises:
        layer = node.attrs["layer"]
        if not node.type.batched:
            yield ensemble.noise_without_row(node.span, layer)
        entries = 1
        for size in node.type.sample:
            entries *= size if isinstance(size, int) else 1
        if entries > MOST_CHANNELS:
            yield ensemble.too_many_draws(node.span, layer, f"{entries:,} entries", f"{MOST_CHANNELS:,}")


def _faults_of_solves(nodes: Sequence[Node], solver: Called | None) -> Iterator[Diagnostic]:
    """A solve with noise in its field names its scheme; nothing inside of a field or a loop knows other samples."""
    for node in nodes:
        inside = [item for region in regions_of(node) for item in everything(region.results)]
        yield from (ensemble.samples_out_of_place(item.span, "a field") for item in inside if item.op is MEMBERS)
        if node.op is SOLVE and solver is None and Solve.of(node).spec.scheme is None:
            noise = next((item for item in inside if is_kept(item)), None)
            if noise is not None:
                yield ensemble.noise_without_steps(noise.span, noise.attrs["layer"], spec_of(node).field)


def unexplained(outputs: Mapping[str, Node], attributions: Iterable[AttributionPlan]) -> Iterator[Diagnostic]:
    """An adjoint along a solution whose steps have noise of an ensemble."""
    nodes = [node for node in everything(outputs.values()) if node.op is SOLVE]
    noisy = [node for node in nodes if any(map(is_kept, everything(Solve.of(node).region.results)))]
    for method in (method for plan in attributions for method in plan.methods if method.name == "adjoint_path"):
        for node in noisy[:1]:
            what = f"`adjoint_path` through `{spec_of(node).field}`, whose noise is kept,"
            yield messages.not_available_yet(method.span, what)


def random_nodes(roots: Iterable[Node]) -> set[Node]:
    """What differs from sample to sample: noise, and what depends on it otherwise than through all samples."""
    found: set[Node] = set()
    for node in topological(roots):
        inner = (item for region in regions_of(node) for item in everything(region.results))
        drawn = is_kept(node) or any(map(is_kept, inner))
        if drawn or (node.op is not MEMBERS and any(item in found for item in node.inputs)):
            found.add(node)
    return found


def members_in(roots: Iterable[Node]) -> Node | None:
    """The first `over=samples` that `roots` go over."""
    return next((node for node in everything(roots) if node.op is MEMBERS), None)
