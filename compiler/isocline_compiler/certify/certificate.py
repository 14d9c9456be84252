"""The certificate: what was proved of a deployed model, on which samples, with which numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from isocline_compiler.certify.choose import Trial
from isocline_compiler.certify.measures import DEFINITION, Spread
from isocline_compiler.certify.stability import Stability


@dataclass(frozen=True)
class DeployedSolve:
    """One solve as deployed. `declared` is "continuous" for an equation, "discrete" where the scheme is the model."""

    field: str
    declared: str
    scheme: str
    order: int
    steps: int
    evaluations: int


@dataclass(frozen=True)
class FittedParameter:
    """A declared parameter's value and its standard error (None: not estimated, `reason` says why)."""

    name: str
    value: Any
    standard_error: Any
    low: float | None
    high: float | None
    unit: str | None
    prior: str | None
    reason: str | None = None


@dataclass(frozen=True)
class CheckResult:
    """A `check` of the file with both of its sides, measured on what the deployed model answers."""

    text: str
    left: float
    operator: str
    right: float
    holds: bool


@dataclass(frozen=True)
class Certificate:
    """Everything is relative unless it says otherwise; `definition` says relative to what."""

    model: str
    samples: str
    parity: Mapping[str, Spread]
    parity_bound: float
    discretisation: Mapping[str, Spread]
    stated_error: float
    reference: str
    solves: tuple[DeployedSolve, ...]
    work_precision: tuple[Trial, ...] = ()
    step_halving: Mapping[str, float] = field(default_factory=dict)
    stability: tuple[Stability, ...] = ()
    checks: tuple[CheckResult, ...] = ()
    parameters: tuple[FittedParameter, ...] = ()
    data_notes: tuple[str, ...] = ()
    graph: Mapping[str, Any] = field(default_factory=dict)
    latency: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    definition: str = DEFINITION

    def to_json(self) -> str:
        """Indented JSON; numbers that are not finite become null, since JSON has no other word for them."""
        return json.dumps(_finite(asdict(self)), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    match value:
        case dict():
            return {key: _finite(item) for key, item in value.items()}
        case list() | tuple():
            return [_finite(item) for item in value]
        case float() if value != value or value in (float("inf"), float("-inf")):
            return None
    return value
