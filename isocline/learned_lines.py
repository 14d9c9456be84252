"""What the screen says of schemes whose coefficients were learned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Facts = Mapping[str, Any]


def learned_lines(learned: Facts | None) -> Iterator[tuple[str, str]]:
    """On what they were learned, what they keep, their errors beside classical ones, and where they stop holding."""
    if learned is None:
        return
    yield "learned", f"on {learned['lesson']}; the best of {learned['updates']} updates on {learned['other']}"
    for solve in learned["solves"]:
        exact = "exactly" if solve["weights"] == solve["rows"] == 0 else "NOT exactly"
        kept = f"sum b = 1 and the row sums {exact}, sum b c = 1/2 to {solve['second']:.0e}"
        yield "keeps", f"{solve['solve']}: {kept}; time to {solve['clock']:.0e}"
    base = "+".join(dict.fromkeys(solve["base"] for solve in learned["solves"]))
    yield "held out", _beside(learned["held_out"], base)
    for item in learned["shifted"]:
        yield "shifted", _beside(item, base)
    yield "holds", _holding(learned, base)
    if learned["halved"]:
        moved = ", ".join(f"{name} {_number(value)}" for name, value in learned["halved"].items())
        yield "halving", f"{moved}, bound by nothing: {learned['no_halving']}"


def _beside(item: Facts, base: str) -> str:
    if item["why"]:
        return f"nothing to compare with: {item['why']}  ({item['samples']})"
    errors = [
        f"{name} {_number(spread['maximum'])} ({base} {_number(item['classical'][name]['maximum'])})"
        for name, spread in item["learned"].items()
    ]
    return f"{', '.join(errors)}  ({item['samples']})"


def _holding(learned: Facts, base: str) -> str:
    limit = f"{base} with as many steps" if learned["limit"] is None else f"the error {learned['limit']:.0e}"
    within = "better than" if learned["limit"] is None else "within"
    if learned["holds_to"] == 0:
        return f"not {within} {limit} even on inputs like those it was learned on"
    if learned["holds_to"] == 1:
        return f"{within} {limit} on inputs like those it was learned on, and not on wider ones that were tried"
    return f"{within} {limit} on inputs up to {learned['holds_to']:g} times as wide as those it was learned on"


def _number(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.1e}"


__all__ = ["learned_lines"]
