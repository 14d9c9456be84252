"""What `check` finds of the noise of a field: its kind, its processes, and the schemes that converge for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from isocline_compiler.graph.noise import Noise
    from isocline_compiler.graph.solve import Solve
    from isocline_compiler.model import Model

CALCULI = {"ito": "Ito", "stratonovich": "Stratonovich"}


def noise_facts(model: Model) -> dict[str, dict[str, Any]]:
    """By field that a solve of the model drives with noise: kinds, calculus, noises, and schemes with their orders.

    Solves of one field have the same noise; the schemes are those that converge for all of them.
    """
    from isocline_compiler.solvers.schemes import SCHEMES
    from isocline_compiler.solvers.schemes.stochastic_scheme import Stochastic, kind_of
    from isocline_compiler.solvers.unroll.forms import solves_of

    driven: dict[str, list[Solve]] = {}
    for solve in solves_of(model.graph):
        if solve.spec.noises and solve.spec.varies is None:
            driven.setdefault(solve.spec.field, []).append(solve)
    schemes = [scheme for scheme in SCHEMES.values() if isinstance(scheme, Stochastic)]
    return {
        field: {
            "kind": kind_of(same[0].spec.kinds),
            "kinds": sorted(same[0].spec.kinds),
            "calculus": same[0].spec.calculus,
            "noises": [_noise(noise) for noise in same[0].spec.noises],
            "schemes": [
                {
                    "name": scheme.name,
                    "strong_order": scheme.strong_order(same[0].spec.kinds),
                    "weak_order": scheme.weak_order(same[0].spec.kinds),
                }
                for scheme in schemes
                if all(scheme.fits(solve) is None for solve in same)
            ],
        }
        for field, same in driven.items()
    }


def ensemble_facts(model: Model) -> dict[str, Any] | None:
    """The ensemble that `deploy` asks for: its samples, and the layers whose noise is kept, with the numbers that one
    draw of each takes. None where none is asked for.
    """
    from isocline_compiler.solvers.ensemble import draws_of

    if model.deployment.samples is None:
        return None
    layers: dict[str, int] = {}
    for source in draws_of(tuple(model.graph.outputs.values())):
        where = "" if source.span is None else f", {model.source.line(source.span.start)}"
        layers[f"{source.layer}{where}"] = layers.get(f"{source.layer}{where}", 0) + source.channels
    return {
        "samples": model.deployment.samples,
        "kept": [{"layer": layer, "numbers": numbers} for layer, numbers in layers.items()],
    }


def _noise(noise: Noise) -> dict[str, Any]:
    parameter = None if noise.process == "brownian" else noise.parameter
    return {"name": noise.name, "process": noise.process, "entries": noise.size, "parameter": parameter}


def noise_words(noise: dict[str, Any]) -> str:
    """general Ito noise W[2], poisson(3) noise N"""
    brownian = f"{noise['kind']} {CALCULI[noise['calculus']]} noise"
    told = []
    for item in noise["noises"]:
        size = f"[{item['entries']}]" if item["entries"] > 1 else ""
        kind = brownian if item["process"] == "brownian" else f"{item['process']}({item['parameter']:g}) noise"
        told.append(f"{kind} {item['name']}{size}")
    return ", ".join(told)


def scheme_words(noise: dict[str, Any]) -> list[str]:
    """schemes that converge with strong order 1/2, weak 1: euler_maruyama, ...; the fastest first"""
    found: dict[tuple[float, float], list[str]] = {}
    for item in noise["schemes"]:
        found.setdefault((item["strong_order"], item["weak_order"]), []).append(item["name"])
    return [
        f"schemes that converge with strong order {_order(strong)}, weak {_order(weak)}: {', '.join(names)}"
        for (strong, weak), names in sorted(found.items(), reverse=True)
    ] or ["no scheme converges"]


def _order(order: float) -> str:
    return {0.5: "1/2", 1.5: "3/2"}.get(order, f"{order:g}")
