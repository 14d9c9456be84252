"""How large a file of data may be, packed or unpacked: as large as a file that a model is run on."""

from __future__ import annotations

from pathlib import Path

from isocline_compiler.data.place import Place
from isocline_dsl.messages import data as messages
from isocline_runtime.limits import INPUT_LIMIT


def require_size(path: Path, found: int, how: str, place: Place) -> None:
    """Raises E504 for what a file has or unpacks to, by what it says of itself, before it is read."""
    if not 0 <= found <= INPUT_LIMIT:
        reason = f"it {how} {found} bytes, the limit is {INPUT_LIMIT}; give arrays or a data frame from Python instead"
        raise place.error(messages.data_unreadable(place.span, path.name, reason))
