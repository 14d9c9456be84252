"""What a comparison says: means and spreads over seeds, and differences of runs with the same seed."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO

from isocline.comparison.outcome import Outcome

FACTS = {
    "trained": "numbers trained", "evaluations": "evaluations", "training_s": "training, s", "latency_us": "a call, µs",
    "grid_error": "error of the grid", "parity": "rounding",
}  # fmt: skip
"""What is told of each model besides its measures, in this order."""
ROUND = ("trained", "evaluations", "training_s", "latency_us")


@dataclass(frozen=True)
class Spread:
    """Values over seeds: how many, their mean, and their standard deviation; nan of a single one."""

    count: int
    mean: float
    deviation: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        count = len(values)
        mean = math.fsum(values) / count if count else math.nan
        square = math.fsum((value - mean) ** 2 for value in values)
        return cls(count, mean, math.sqrt(square / (count - 1)) if count > 1 else math.nan)

    @property
    def error(self) -> float:
        """The standard error of the mean."""
        return self.deviation / math.sqrt(self.count)


@dataclass(frozen=True)
class Comparison:
    """Outcomes of models, in the order in which they were named; `epochs` is the budget of each."""

    models: tuple[str, ...]
    outcomes: tuple[Outcome, ...]
    epochs: Mapping[str, int | None]

    @property
    def failures(self) -> list[Outcome]:
        return [item for item in self.outcomes if item.failed is not None]

    @property
    def measures(self) -> tuple[str, ...]:
        """Every measure of any model, those of the first model first."""
        return tuple(dict.fromkeys(name for item in self.outcomes for name in item.measures))

    def values(self, model: str, name: str) -> dict[int, float]:
        """A measure or a fact of a model, by seed."""
        own = [item for item in self.outcomes if item.model == model and item.failed is None]
        return {item.seed: item.numbers[name] for item in own if name in item.numbers}

    def spread(self, model: str, name: str) -> Spread | None:
        """None where the model has no such number."""
        values = list(self.values(model, name).values())
        return Spread.of(values) if values else None

    def difference(self, model: str, name: str) -> Spread | None:
        """Of the runs from one seed each, this model minus the first; None where they share no seed."""
        first, own = self.values(self.models[0], name), self.values(model, name)
        shared = [own[seed] - first[seed] for seed in own if seed in first]
        return Spread.of(shared) if shared and model != self.models[0] else None

    def lines(self) -> Iterator[str]:
        """The comparison as text."""
        from isocline.tables import table

        for name in self.measures:
            head = ("", "mean ± deviation", "seeds", f"beside {self.models[0]}")
            yield from table(name, [head, *(self._row(model, name) for model in self.models)])
        facts = [name for name in FACTS if any(self.spread(model, name) for model in self.models)]
        rows = [(model, *(self._fact(model, name) for name in facts)) for model in self.models]
        yield from table("what each takes, on average", [("", *(FACTS[name] for name in facts)), *rows])
        budgets = {value for value in self.epochs.values() if value is not None}
        if len(budgets) > 1:
            told = ", ".join(f"{name} {count}" for name, count in self.epochs.items() if count is not None)
            yield f"the budgets differ: {told} epochs; --epochs gives all of them the same"
        for item in self.failures:
            yield f"{item.model}, seed {item.seed} failed: {item.failed}"

    def _row(self, model: str, name: str) -> tuple[str, ...]:
        found, apart = self.spread(model, name), self.difference(model, name)
        if found is None:
            return model, "not measured", "", ""
        told = f"{found.mean:.4g}" if found.count == 1 else f"{found.mean:.4g} ± {found.deviation:.2g}"
        beside = "" if apart is None else f"{apart.mean:+.2g}"
        if apart is not None and apart.count > 1:
            beside += f" ± {apart.error:.1g} (standard error, {apart.count} pairs)"
        return model, told, str(found.count), beside

    def _fact(self, model: str, name: str) -> str:
        found = self.spread(model, name)
        if found is None:
            return ""
        return f"{found.mean:,.0f}" if name in ROUND and found.mean >= 10 else f"{found.mean:.2g}"

    def csv(self) -> str:
        """A row a run and number: model, seed, what, value."""
        stream = StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["model", "seed", "name", "value"])
        for item in self.outcomes:
            writer.writerows([item.model, item.seed, name, repr(value)] for name, value in item.numbers.items())
        return stream.getvalue()


__all__ = ["Comparison", "Spread"]
