"""What a certificate was made with."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("isocline", "numpy", "torch", "torchdiffeq", "onnx", "onnxruntime", "onnxruntime-gpu")


def versions() -> dict[str, str]:
    """The installed version of every package that had a part, and the machine's kind."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
