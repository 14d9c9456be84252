"""The certificate: what was proved of a deployed model, on which samples, with which numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from isocline_compiler.certify.bespoke.facts import LearnedProof
from isocline_compiler.certify.enclosure import Finite
from isocline_compiler.certify.event_facts import EventFacts
from isocline_compiler.certify.measures import DEFINITION, Spread
from isocline_compiler.certify.newton import NewtonResidual
from isocline_compiler.certify.order import ObservedOrder
from isocline_compiler.certify.posterior import Posterior
from isocline_compiler.certify.proofs import Proof
from isocline_compiler.certify.stability import Stability
from isocline_compiler.certify.stochastic.record import Stochastic
from isocline_compiler.certify.work_precision import Trial
from isocline_compiler.model import FittedParameter


@dataclass(frozen=True)
class DeployedSolve:
    """One solve as deployed: `name` is the solution's. `declared` is "continuous" for an equation, "discrete" where the
    scheme is the model;
    `segment` is how many steps the body of its loop holds, None where they are laid out.
    """

    name: str
    field: str
    declared: str
    scheme: str
    order: float
    steps: int
    evaluations: int
    segment: int | None = None


@dataclass(frozen=True)
class CheckResult:
    """A `check` of the file with both of its sides, measured on what the deployed model answers."""

    text: str
    left: float
    operator: str
    right: float
    holds: bool


@dataclass(frozen=True)
class Curve:
    """A classifier's probability or score while the highest-ranked entries of its input go, or come.

    `fractions` of the entries replaced (deletion) or restored (insertion), the mean score at each, and the area under
    them; `random_area` is that of entries in random order. A good attribution deletes low and inserts high.
    """

    kind: str
    fractions: tuple[float, ...]
    scores: tuple[float, ...]
    area: float
    random_area: float


@dataclass(frozen=True)
class AttributionProof:
    """What was measured of one result of `attribute.onnx`.

    `error` is the largest relative difference from finite differences (of the deployed graph in float64) at fresh
    perturbed samples, `bound` what it may be; `varies`: two samples have different attributions where their finite
    differences differ; `completeness` is the largest residual, relative to |S(x) - S(baseline)|. None: not claimed of
    this method. `near`: the sample with the largest error in words, if it is one of those near a zero of a divisor.
    """

    result: str
    output: str
    method: str
    of: str | None
    samples: int
    error: float | None = None
    bound: float | None = None
    varies: bool | None = None
    completeness: float | None = None
    curves: tuple[Curve, ...] = ()
    near: str | None = None


@dataclass(frozen=True)
class StreamProof:
    """`steps` of `step.onnx` one after another, on so many `samples`, against what `model.onnx` gives at once.

    `errors` are the largest by output, relative as all others, `bounds` what they may be, `same` the outputs that agree
    bit for bit. `whole` are the outputs that no step has, because they need the whole path, `known` the inputs that
    have to be given whole before the first step.
    """

    loop: str
    steps: int
    samples: int
    errors: Mapping[str, float]
    bounds: Mapping[str, float]
    same: tuple[str, ...]
    whole: tuple[str, ...]
    known: tuple[str, ...] = ()


@dataclass(frozen=True)
class NativeProof:
    """The C of the model, built by `compiler`: its errors against float64 by output, and the time of a call.

    `libraries` are the processors that the artifact brings libraries for; what was measured is the `measured` one of
    these, or one that was built for this machine alone.
    """

    compiler: str
    parity: Mapping[str, Spread]
    latency: Mapping[str, Any]
    libraries: tuple[str, ...] = ()
    measured: str | None = None


@dataclass(frozen=True)
class Certificate:
    """Everything is relative unless it says otherwise; `definition` says relative to what.

    `discretisation` is the float64 grid against the reference, `deployed` the emitted file against the same reference:
    discretisation and rounding together, which is what a caller meets and what the stated error bounds. `beyond` is the
    grid's error on draws from the inputs' declared bounds, where the samples are data: a fact, not a promise. `orders`
    are those that the deployed schemes showed beside those they declare, `second_walk` how far a model whose scheme is
    its own is from an independent walk of the same steps in float64. `newton` is what the iterations of an implicit
    scheme leave of a step, `restored` how far a solve that undoes another is from where that one began.
    `references_apart` is how far the second reference is from the first, by output: no error can be known better.
    `largest_inputs` holds the largest magnitude of each real input that was measured: what rounding does to larger
    ones is not known. `finite` is whether every output is proved to be a finite number for every input within its
    bounds. `posterior` bounds how far a third solution is from the exact one, and says how far the reference is from
    that. `proofs` are the checks of the file that were proved of the equations. `stochastic` is what is proved where
    noise drives a solve: there is no reference then but finer grids on the same paths. `stream` is what the steps of a
    stream were compared with, `native` what was measured of the model in C, where the file asks for it. `learned` is
    what is particular to schemes whose coefficients were learned.
    """

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
    newton: tuple[NewtonResidual, ...] = ()
    checks: tuple[CheckResult, ...] = ()
    proofs: tuple[Proof, ...] = ()
    parameters: tuple[FittedParameter, ...] = ()
    data_notes: tuple[str, ...] = ()
    graph: Mapping[str, Any] = field(default_factory=dict)
    latency: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    attribution: tuple[AttributionProof, ...] = ()
    derivatives: tuple[AttributionProof, ...] = ()
    deployed: Mapping[str, Spread] = field(default_factory=dict)
    beyond: Mapping[str, Spread] = field(default_factory=dict)
    orders: tuple[ObservedOrder, ...] = ()
    second_walk: Mapping[str, float] = field(default_factory=dict)
    events: Mapping[str, EventFacts] = field(default_factory=dict)
    restored: Mapping[str, float] = field(default_factory=dict)
    inputs_rounded: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    largest_inputs: Mapping[str, float] = field(default_factory=dict)
    finite: Finite = field(default_factory=lambda: Finite(False, "nothing was enclosed"))
    posterior: Posterior = field(default_factory=lambda: Posterior({}, {}, 0, "nothing was solved"))
    second_reference: str = ""
    error_is_stated: bool = True
    references_apart: Mapping[str, float] = field(default_factory=dict)
    dtype: str = "float32"
    definition: str = DEFINITION
    stochastic: Stochastic | None = None
    stream: StreamProof | None = None
    native: NativeProof | None = None
    learned: LearnedProof | None = None

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
