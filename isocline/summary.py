"""A certificate in ten lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def certificate_lines(certificate: Mapping[str, Any]) -> list[str]:
    """What was proved, with which numbers."""
    return [f"{key}: {value}" for key, value in certificate.items()]
