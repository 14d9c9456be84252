"""What a certificate says of a stochastic model, as lines of a summary: a name and a text each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from isocline.noise_facts import CALCULI

Facts: TypeAlias = Mapping[str, Any]
INTERVAL = 1.96
"""Half of a 95 % interval, in standard errors."""


def stochastic_lines(certificate: Facts) -> Iterator[tuple[str, str]]:
    """Noise, strong error with its order, weak error, second walk, samples and moments; nothing without noise."""
    found = certificate.get("stochastic")
    if not found:
        return
    for solve in found["solves"]:
        yield "noise", _noise(solve)
    for noise in found["kept"]:
        yield "noise", _kept(noise)
    if found["errors"]:
        yield from _errors(certificate, found)
    yield from _samples(found["doubling"])
    yield from (("moments", _moments(noise)) for noise in found["moments"])


def _errors(certificate: Facts, found: Facts) -> Iterator[tuple[str, str]]:
    errors: Facts = found["errors"]
    bound = f"stated {certificate['stated_error']:.0e}, "
    finer = f"a grid {found['finer']} times finer on the same {found['paths']} paths"
    promised = {kind: bound if found["states"] == kind else "" for kind in ("strong", "weak")}
    strong = ", ".join(f"{name} {_interval(item['strong'], item['strong_error'])}" for name, item in errors.items())
    yield "strong", f"{strong}  ({promised['strong']}root mean square against {finer}, 95 %)"
    orders = [f"{name} {item['order']:.2f} ± {INTERVAL * item['order_error']:.2f}"
              for name, item in errors.items() if item["order"] is not None]  # fmt: skip
    if orders:
        yield "halving", f"strong order {', '.join(orders)}  (when every step is halved, 95 %)"
    weak = ", ".join(f"{name} {item['weak']:.1e} ± {item['weak_interval']:.1e}" for name, item in errors.items())
    yield "weak", f"{weak}  ({promised['weak']}means over the same paths, 95 %)"
    yield from _walks(errors)


def _noise(solve: Facts) -> str:
    samples = "one path" if solve["samples"] is None else f"{solve['samples']} samples"
    ordering = "" if solve["ordering"] == "independent" else f", {solve['ordering'].replace('_', ' ')}"
    kind = f"{solve['kind']} {CALCULI[solve['calculus']]} noise"
    return f"{solve['name']}: {', '.join(solve['noises'])}, {kind}, {samples}{ordering}"


def _kept(noise: Facts) -> str:
    """dropout: bernoulli(0.8), 1 draw of 32 numbers, 16 samples"""
    draws = "1 draw" if noise["draws"] == 1 else f"{noise['draws']} draws"
    numbers = "1 number" if noise["numbers"] == 1 else f"{noise['numbers']} numbers"
    return f"{noise['name']}: {noise['law']}, {draws} of {numbers}, {noise['samples']} samples"


def _interval(value: float | None, error: float | None) -> str:
    if value is None or error is None:
        return "not finite"
    return f"{value:.1e} ± {INTERVAL * error:.1e}"


def _walks(errors: Facts) -> Iterator[tuple[str, str]]:
    walks = [f"{name} {item['walk']:.1e} of at most {item['allowed']:.1e}"
             for name, item in errors.items() if item["walk"] is not None]  # fmt: skip
    if walks:
        yield "walk", f"{', '.join(walks)}  (the finest grid from an independent walk of the equation)"


def _samples(doubling: Facts) -> Iterator[tuple[str, str]]:
    count = doubling["samples"]
    for name, item in doubling["outputs"].items():
        spread = f"{name} {item['spread']:.1e} from seed to seed with {count} samples"
        again = f"{item['doubled']:.1e} with {2 * count}"
        moved = f"its mean moves by {item['change']:.1e} ± {item['change_interval']:.1e}"
        yield "samples", f"{spread}, {again}; {moved}"


def _moments(noise: Facts) -> str:
    """W: of 10 moments the correlation of neighbouring rows is furthest off, 0.8 standard deviations"""
    offs = {
        item["name"]: abs(item["found"] - item["expected"]) / item["deviation"]
        for item in noise["moments"]
        if item["deviation"]
    }
    worst = max(offs, key=lambda name: offs[name])
    told = f"the {worst} is furthest off, {offs[worst]:.1f} of at most 5 standard deviations"
    return f"{noise['name']}: of {len(offs)} moments of {noise['numbers']:,} drawn numbers {told}"
