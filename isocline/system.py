"""What is installed here, which execution providers work, and what is missing."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

# y = x + x for x: float[1] at opset 18, as onnx serialises it.
TINY_MODEL = bytes.fromhex(
    "08083a350a0e0a01780a017812017922034164641201745a0f0a0178120a0a08080112040a02"
    "0801620f0a0179120a0a08080112040a02080142040a001012"
)

PACKAGES = (
    ("numpy", "run an artifact", None),
    ("pyarrow", "read and write parquet", None),
    ("onnxruntime", "run an artifact", "cpu"),
    ("lark", "read .dyn files", "compiler"),
    ("networkx", "draw graphs", "compiler"),
    ("onnx", "write models", "compiler"),
    ("torch", "train", "compiler"),
    ("torchdiffeq", "train with adaptive solvers", "compiler"),
    ("accelerate", "train on accelerators", "compiler"),
    ("safetensors", "keep weights", "compiler"),
    ("tensorboard", "follow training", "compiler"),
    ("matplotlib", "plot", "compiler"),
    ("jinja2", "write reports", "compiler"),
)
EXTRAS = (None, "cpu", "compiler")


@dataclass(frozen=True)
class Package:
    """A package that something here needs; `version` is None when it is not installed."""

    name: str
    version: str | None
    purpose: str
    extra: str | None


@dataclass(frozen=True)
class Provider:
    """An execution provider that onnxruntime offers, and whether a session really ran on it."""

    name: str
    works: bool
    reason: str | None = None


@dataclass(frozen=True)
class Report:
    """What `isocline doctor` prints."""

    version: str
    python: str
    platform: str
    packages: tuple[Package, ...]
    providers: tuple[Provider, ...]
    advice: tuple[str, ...]
    compiler: str | None = None
    """The C compiler that the native engine builds with, as it names itself."""

    @property
    def can_run(self) -> bool:
        """Whether an artifact runs here."""
        return any(provider.works for provider in self.providers)


def doctor() -> Report:
    """Look at the installation; every provider is tried on a model of one operation."""
    packages = tuple(Package(name, _version(name), purpose, extra) for name, purpose, extra in PACKAGES)
    providers = _providers()
    return Report(
        version=_version("isocline") or "not installed",
        python=platform.python_version(),
        platform=platform.platform(),
        packages=packages,
        providers=providers,
        advice=_advice(packages),
        compiler=_compiler(),
    )


def _compiler() -> str | None:
    from isocline_runtime.errors import ProviderError
    from isocline_runtime.native.compilers import find_compiler

    try:
        return find_compiler().version
    except ProviderError:
        return None


def _version(package: str) -> str | None:
    names = ("onnxruntime", "onnxruntime-gpu") if package == "onnxruntime" else (package,)
    for name in names:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return None


def _providers() -> tuple[Provider, ...]:
    from isocline_runtime.errors import ProviderError
    from isocline_runtime.provider import available_providers

    try:
        return tuple(_tried(name) for name in available_providers())
    except ProviderError:
        return ()


def _tried(name: str) -> Provider:
    import numpy as np

    from isocline_runtime.errors import RuntimeFault
    from isocline_runtime.provider import open_session

    try:
        session = open_session(TINY_MODEL, "a model of one operation", [name], 1)
        (doubled,) = session.run(None, {"x": np.ones(1, np.float32)})
    except RuntimeFault as fault:
        return Provider(name, False, fault.message)
    except Exception as error:  # onnxruntime's exceptions have no base of their own
        return Provider(name, False, str(error).partition("\n")[0])
    works = bool(doubled[0] == 2)
    return Provider(name, works, None if works else f"1 + 1 = {doubled[0]}")


def _advice(packages: tuple[Package, ...]) -> tuple[str, ...]:
    missing = [package for package in packages if package.version is None]
    return tuple(
        f"missing: {', '.join(item.name for item in group)}; install with: pip install '{_requirement(extra)}'"
        for extra, group in ((extra, [item for item in missing if item.extra == extra]) for extra in EXTRAS)
        if group
    )


def _requirement(extra: str | None) -> str:
    return f"isocline[{extra}]" if extra else "isocline"
