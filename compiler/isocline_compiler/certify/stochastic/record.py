"""What a certificate says of a stochastic model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from isocline_compiler.certify.stochastic.moments import NoiseMoments

STRONG = (
    "root mean square, over rows, paths and entries, of the difference from the finer grid on the same paths of noise, "
    "relative to the root mean square of the output of the same inputs"
)
WEAK = (
    "largest difference, over inputs and entries, of a mean over paths from that of the finer grid on the same paths, "
    "relative to the root mean square of the output of the same inputs, with its 95 % interval"
)


@dataclass(frozen=True)
class PathErrors:
    """The errors of one output. `strong` with its standard error; `weak` with the half width of its 95 % interval;
    `order`, log2 of the factor by which `strong` falls when the steps are halved, with its standard error; `walk`: how
    far the finest grid is from a walk of its own kind, and `allowed`, what that may be. `halvings`: the strong error,
    and with the steps halved once and twice; `stands`: that brings the grid no nearer to the finer one, as if they were
    not on the same path.
    """

    strong: float
    strong_error: float
    weak: float
    weak_interval: float
    order: float | None = None
    order_error: float | None = None
    walk: float | None = None
    allowed: float | None = None
    halvings: tuple[float, ...] = ()
    stands: bool = False


@dataclass(frozen=True)
class DrivenSolve:
    """One solve that noise drives: of which kinds it is, and what the scheme's record promises for those."""

    name: str
    noises: tuple[str, ...]
    calculus: str
    kind: str
    strong_order: float
    weak_order: float
    samples: int | None
    ordering: str


@dataclass(frozen=True)
class KeptDraws:
    """Noise that regularizes, kept in an ensemble: its law in standard form, how many draws of how many numbers a
    sample reads, and of how many samples an output is made.
    """

    name: str
    law: str
    draws: int
    numbers: int
    samples: int


@dataclass(frozen=True)
class SampleSpread:
    """Relative to the root mean square of an output: its standard deviation from seed to seed, with as many samples as
    are deployed and with twice as many, each with its standard error; and the largest change of its mean over seeds
    when they are doubled, with the half width of its 95 % interval.
    """

    spread: float
    spread_error: float
    doubled: float
    doubled_error: float
    change: float
    change_interval: float


@dataclass(frozen=True)
class Doubling:
    """By output that is one number for all samples; `why` nothing was measured, where nothing was."""

    outputs: Mapping[str, SampleSpread] = field(default_factory=dict)
    samples: int = 0
    seeds: int = 0
    rows: int = 0
    why: str = ""


@dataclass(frozen=True)
class Stochastic:
    """Errors of the grid by output, from `paths` paths against a grid `finer` times finer. `states` what is promised:
    "strong", "weak", or nothing where the scheme is the author's. `doubling`: what twice the samples would bring;
    `moments` are those of the noise that the runtime makes. `kept` is the noise of an ensemble, which has no steps to
    be judged: then there are neither errors nor solves.
    """

    errors: Mapping[str, PathErrors]
    solves: tuple[DrivenSolve, ...]
    paths: int
    rows: int
    finer: int
    states: str = ""
    doubling: Doubling = field(default_factory=lambda: Doubling(why="nothing was tried"))
    moments: tuple[NoiseMoments, ...] = ()
    kept: tuple[KeptDraws, ...] = ()
    definitions: Mapping[str, str] = field(default_factory=lambda: {"strong": STRONG, "weak": WEAK})
