"""`python -m isocline.comparison.one FOLDER`: one run of a comparison, in a process of its own.

The checks of the model are measured and not required: what is compared are their left sides.
"""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isocline.comparison.outcome import ARTIFACT, INTERRUPTED, RUN, Asked, Outcome

if TYPE_CHECKING:
    from isocline_compiler.driver import Compiled
    from isocline_compiler.model import Model


def run(folder: Path) -> Outcome:
    """Train, compile and measure what is asked in the folder, from its last checkpoint where there is one."""
    from isocline_compiler.driver import build
    from isocline_compiler.lower.check import check
    from isocline_compiler.training.run_folder import CHECKPOINT
    from isocline_dsl.diagnostics import IsoclineError

    asked = Asked.read(folder)
    try:
        model = seeded(check(asked.file), asked.seed)
        resume = (folder / RUN / CHECKPOINT).exists()
        compiled = build(
            model, folder / ARTIFACT, data=asked.data, run=folder / RUN, resume=resume, epochs=asked.epochs
        )
    except IsoclineError as error:
        first = error.diagnostics[0]
        return Outcome(asked.model, asked.seed, asked.digest, failed=f"{first.code}: {first.message}")
    measures = _measures(model, compiled.certificate)
    return Outcome(asked.model, asked.seed, asked.digest, measures, _facts(model, compiled, folder))


def seeded(model: Model, seed: int) -> Model:
    """The model with this seed in every training, its checks measured and not required."""
    from isocline_compiler.certify.deployed import MEASURED

    plan = model.training
    return replace(
        model,
        training=None if plan is None else replace(plan, seed=seed),
        earlier=tuple(replace(item, seed=seed) for item in model.earlier),
        deployment=replace(
            model.deployment, checks=tuple(replace(item, operator=MEASURED) for item in model.deployment.checks)
        ),
    )


def _measures(model: Model, certificate: Any) -> dict[str, float]:
    """The left sides of the checks, by their text."""
    return {
        measure_of(check.text): float(found["left"])
        for check, found in zip(model.deployment.checks, certificate["checks"], strict=True)
    }


def measure_of(text: str) -> str:
    """What is left of the comparison, whose sign stands in no bracket: `rmse(y, z)` of `rmse(y, z) < 0.4`."""
    depth = 0
    for place, letter in enumerate(text):
        depth += (letter in "([") - (letter in ")]")
        if letter in "<>" and depth == 0:
            return text[:place].strip()
    return text


def _facts(model: Model, compiled: Compiled, folder: Path) -> dict[str, float]:
    """What the model took: numbers that were trained, evaluations a call, seconds of training, microseconds a call."""
    from isocline_compiler.training.metrics import read_history

    certificate, metrics = compiled.certificate, folder / RUN / "metrics.csv"
    facts = {
        "trained": float(sum(math.prod(weight.shape) for weight in model.weights if weight.role == "trained")),
        "evaluations": float(sum(solve["evaluations"] or 0 for solve in certificate["solves"])),
        "latency_us": float(certificate["latency"]["p50_us"]),
        "parity": max((item["maximum"] for item in certificate["parity"].values()), default=0.0),
        "grid_error": max((item["maximum"] for item in certificate["discretisation"].values()), default=0.0),
    }
    if metrics.exists():
        history = read_history(metrics)
        facts |= {"epochs": float(len(history)), "training_s": float(history[-1]["seconds"] or 0.0)}
    return facts


def main() -> None:
    folder = Path(sys.argv[1])
    try:
        run(folder).write(folder)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
