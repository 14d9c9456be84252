"""The manifest: what an artifact takes, gives and was made of. The compiler writes it, the runtime reads it.

Everything here is plain data. The JSON text of a manifest depends on its fields alone (no time, no
machine), so the same input compiles to the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

from isocline_runtime.native_info import NativeInfo as NativeInfo
from isocline_runtime.port import BATCH as BATCH
from isocline_runtime.port import Port as Port
from isocline_runtime.port import require
from isocline_runtime.stream_info import StreamInfo as StreamInfo

FORMAT_VERSION = 4
MANIFEST_FILE = "manifest.json"
MODEL_FILE = "model.onnx"
CERTIFICATE_FILE = "certificate.json"
ATTRIBUTION_FILE = "attribute.onnx"
SAMPLES_FILE = "samples.npz"
STEP_FILE, START_FILE = "step.onnx", "start.onnx"
SIGNATURE_FILE = "manifest.sig"
ARTIFACT_FILES = frozenset(
    [
        MANIFEST_FILE, MODEL_FILE, CERTIFICATE_FILE, ATTRIBUTION_FILE, SAMPLES_FILE, SIGNATURE_FILE,
        "report.html", f"adj_{MODEL_FILE}", f"fwd_{MODEL_FILE}", STEP_FILE, START_FILE,
        *(f"{name}.{kind}" for name in ("model", "attribute", "adj_model", "fwd_model") for kind in "ch"),
    ]
)  # fmt: skip
"""Every name that a file of an artifact may have."""


@dataclass(frozen=True)
class SolveInfo:
    """One solve as deployed: the field, the scheme, how many steps on which grid, and what they cost.

    `grid` holds the step times, or None where they depend on an input; `evaluations` counts calls of the
    field, `nodes` the ONNX nodes that the solve became. `segment` is how many steps the body of its loop holds, None
    where the steps are laid out.
    """

    field: str
    scheme: str
    steps: int
    grid: tuple[float, ...] | None
    evaluations: int
    nodes: int | None = None
    segment: int | None = None


Distribution: TypeAlias = Literal["normal", "poisson", "stable", "uniform", "bernoulli"]
DISTRIBUTIONS: tuple[Distribution, ...] = ("normal", "poisson", "stable", "uniform", "bernoulli")
Ordering: TypeAlias = Literal["independent", "antithetic", "lattice", "antithetic_lattice"]
ORDERINGS: tuple[Ordering, ...] = ("independent", "antithetic", "lattice", "antithetic_lattice")
GENERATOR, GENERATOR_VERSION = "philox4x32-10", 1


@dataclass(frozen=True)
class NoiseInfo:
    """An input of random numbers, (batch, samples, steps, channels), which the runtime draws from a seed.

    `stream` keeps it apart from the others of the model. `entries` is the size m of the noise: a scheme that reads k
    numbers of each has channels = k m. `alpha` is the index of stable numbers, `rates` are the expected counts of a
    Poisson process: of every step, or one for all of them, `probability` is that of a 1 among 0 and 1. `generator` and
    `version` say which numbers a seed stands for: those of docs/noise.md.
    """

    name: str
    stream: int
    distribution: Distribution
    samples: int
    steps: int
    channels: int
    entries: int
    dtype: str
    alpha: float | None = None
    rates: tuple[float, ...] = ()
    ordering: Ordering = "independent"
    generator: str = GENERATOR
    version: int = GENERATOR_VERSION
    probability: float | None = None

    def __post_init__(self) -> None:
        require(bool(self.name), "a noise needs a name")
        require(self.distribution in DISTRIBUTIONS, f"distribution {self.distribution!r}: {_any_of(DISTRIBUTIONS)}")
        require(self.ordering in ORDERINGS, f"ordering {self.ordering!r}: {_any_of(ORDERINGS)}")
        require(self.dtype in ("float32", "float64"), f"dtype {self.dtype!r}: {_any_of(('float32', 'float64'))}")
        points = {"lattice": 2**20, "antithetic_lattice": 2**21}.get(self.ordering, 2**24)
        for size, least, most in (
            ("stream", 0, 2**32 - 1), ("samples", 1, points), ("steps", 0, 2**20), ("channels", 1, 2**20),
            ("entries", 1, self.channels),
        ):  # fmt: skip
            require(least <= getattr(self, size) <= most, f"{size} lies between {least} and {most}")
        require(self.channels % self.entries == 0, "channels are a multiple of entries")
        stable, jumping = self.distribution == "stable", self.distribution == "poisson"
        require(stable == (self.alpha is not None), "stable numbers have an alpha, others have none")
        require(self.alpha is None or 0.1 <= self.alpha <= 2, "alpha lies between 0.1 and 2")
        require(not (stable and self.lattice), "stable numbers have no lattice")
        require(len(self.rates) in ((1, self.steps) if jumping else (0,)), "counts have one rate, or one a step")
        require((self.distribution == "bernoulli") == (self.probability is not None), "0 and 1 have a probability")
        require(self.probability is None or 0 <= self.probability <= 1, "a probability lies between 0 and 1")
        require(all(0 <= rate <= 2**23 for rate in self.rates), f"a rate lies between 0 and {2**23}")

    @property
    def antithetic(self) -> bool:
        """Whether samples 2k and 2k + 1 are each other's mirror image."""
        return self.ordering.startswith("antithetic")

    @property
    def lattice(self) -> bool:
        """Whether the samples of a row are a shifted lattice."""
        return self.ordering.endswith("lattice")

    def port(self, batch: int | str = BATCH) -> Port:
        """As an input of the model, whose batch may be a number."""
        return Port(self.name, self.dtype, (batch, self.samples, self.steps, self.channels))

    def __str__(self) -> str:
        return f"{self.distribution} {self.port()}"


ResultKind: TypeAlias = Literal["score", "attribution", "residual", "path", "times", "sensitivity", "deviation"]
RESULT_KINDS: tuple[ResultKind, ...] = (
    "score", "attribution", "residual", "path", "times", "sensitivity", "deviation",
)  # fmt: skip


@dataclass(frozen=True)
class AttributionResult:
    """One result of `attribute.onnx`: what the output `name` is.

    `explains` is the model's output that is explained, `method` the word of the language ("" for the score itself).
    `kind`: "score" is the number S that is explained, (batch,); "attribution" has the shape of the input `of`;
    "residual" is what a complete attribution leaves of S(x) - S(baseline), (batch,); "path" is dS/dx(t_i) of the state
    `of` = "field.state", (batch, times, *state); "times" are the t_i of the field `of`; "sensitivity" is dS/dp of the
    parameter `of`, (batch, *parameter); "deviation" is the standard deviation of S that the parameters' errors imply.
    """

    name: str
    explains: str
    method: str
    kind: ResultKind
    of: str | None = None

    def __post_init__(self) -> None:
        require(self.kind in RESULT_KINDS, f"kind {self.kind!r}: expected one of {', '.join(RESULT_KINDS)}")


@dataclass(frozen=True)
class ExplainedOutput:
    """An output that is explained: by which methods, with respect to which inputs.

    The input `index` (batch,) of `attribute.onnx` chooses the entry of the flattened output that is S; -1 is the
    default: the predicted class when `classifier`, else the sum of all entries. `entries` is how many there are.
    """

    output: str
    index: str
    entries: int
    classifier: bool
    wrt: tuple[str, ...]
    methods: tuple[str, ...]


@dataclass(frozen=True)
class AttributionInfo:
    """What `attribute.onnx` takes and gives: the model's inputs, its noises too, then indices and noise of the methods.

    `noise` names the inputs of standard normal draws that methods need, filled from a seed.
    """

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    explained: tuple[ExplainedOutput, ...]
    results: tuple[AttributionResult, ...]
    noise: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        inputs, outputs = {port.name for port in self.inputs}, {port.name for port in self.outputs}
        require(inputs.issuperset(self.noise), "noise names an input that is not there")
        require(inputs.issuperset(item.index for item in self.explained), "an index names no input")
        require(outputs == {item.name for item in self.results}, "every output is a result")


@dataclass(frozen=True)
class FileInfo:
    """What a file of the artifact must be: the sha256 of its bytes in hexadecimal, and how many there are."""

    sha256: str
    bytes: int

    def __post_init__(self) -> None:
        require(len(self.sha256) == 64 and set(self.sha256) <= set("0123456789abcdef"), "not a sha256 in hex")
        require(self.bytes >= 0, "a size is not negative")


@dataclass(frozen=True)
class Manifest:
    """An artifact's signature, its solves and its files. `producer` is the version of the compiler.

    `inputs` are the user's; `noises` are those that the runtime draws, and stand behind them in the model.
    `source_sha256` is that of the `.dyn` text; `attribution` says what `attribute.onnx` holds, where there is one, and
    `stream` what `step.onnx` and `start.onnx` hold. `native` are the files that are there in C too,
    `not_native` says of others why they are not.
    """

    name: str
    description: str | None
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    producer: str
    opset: int
    dtype: str
    solves: tuple[SolveInfo, ...]
    files: dict[str, FileInfo]
    source_sha256: str
    noises: tuple[NoiseInfo, ...] = ()
    attribution: AttributionInfo | None = None
    stream: StreamInfo | None = None
    native: tuple[NativeInfo, ...] = ()
    not_native: Mapping[str, str] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION

    def __post_init__(self) -> None:
        noises = [noise.name for noise in self.noises]
        _require_distinct("input", [*(port.name for port in self.inputs), *noises])
        _require_distinct("output", (port.name for port in self.outputs))
        require(bool(self.outputs), "a model has at least one output")
        require(self.dtype in ("float32", "float64"), f"dtype {self.dtype!r}: expected float32 or float64")
        require(MODEL_FILE in self.files, f"files must list {MODEL_FILE}")
        require(
            (ATTRIBUTION_FILE in self.files) == (self.attribution is not None),
            f"{ATTRIBUTION_FILE} is described",
        )
        require(SIGNATURE_FILE not in self.files, f"files cannot list {SIGNATURE_FILE}, which signs them")
        require(MANIFEST_FILE not in self.files, f"files cannot list {MANIFEST_FILE} itself")
        require(
            (STEP_FILE in self.files) == (START_FILE in self.files) == (self.stream is not None),
            f"{STEP_FILE} and {START_FILE} are described",
        )
        for item in self.native:
            named = (item.model, item.source, item.header, *item.libraries.values())
            require(set(named) <= self.files.keys(), f"files must list {', '.join(named)}")
        explained = {port.name: port for port in self.attribution.inputs} if self.attribution else {}
        for noise in self.noises:
            also = explained.get(noise.name)
            same = also is None or (also.dtype, also.shape[1:]) == (noise.dtype, noise.port().shape[1:])
            require(same, f"the noise {noise.name!r} is another in {ATTRIBUTION_FILE}")


def to_json(manifest: Manifest) -> str:
    """The text of `manifest.json`: fields in the order of their declaration, files by name, a newline at
    the end. A port without a default, or members, has no such field, nor has C without libraries, so that readers
    that know of none read it.

    Raises ValueError when a number of a grid is not finite.
    """
    fields = {"format_version": manifest.format_version} | asdict(manifest, dict_factory=_stated)
    fields["files"] = dict(sorted(fields["files"].items()))
    return json.dumps(fields, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


OPTIONAL = ("default", "members", "libraries")
"""Fields that a port, or a model in C, without them does not have."""


def _stated(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: value for name, value in fields if name not in OPTIONAL or value}


def _any_of(words: Iterable[str]) -> str:
    return f"expected one of {', '.join(words)}"


def _require_distinct(kind: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        require(name not in seen, f"two {kind}s are named {name!r}")
        seen.add(name)
