"""What an engine takes and gives, and what it says where it does not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, Any]
Arrays: TypeAlias = Mapping[str, Array]


class Failed(Exception):
    """The engine refused the model or stopped; the message is its own."""


class NotThere(Exception):
    """The artifact holds nothing for this engine; the message is the reason."""
