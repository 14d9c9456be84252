"""What a built library answers to the samples of the certificate, against what the ONNX file answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from isocline_runtime import messages_native as messages
from isocline_runtime.artifact import read_listed
from isocline_runtime.manifest import SAMPLES_FILE
from isocline_runtime.named_arrays import read_npz
from isocline_runtime.parts import Arrays, in_parts, kept, largest_error

if TYPE_CHECKING:
    from isocline_runtime.session import Session

APART = 2.0
"""How many times the bound on rounding two answers may be apart: each may be as far from the exact one as that."""


def compare(session: Session) -> None:
    """Raises ArtifactError E763 where an answer differs; an artifact without samples has nothing to compare with."""
    manifest, certificate = session.manifest, session.certificate
    if manifest is None or certificate is None or SAMPLES_FILE not in manifest.files:
        return
    path = session.path / SAMPLES_FILE
    stored = read_npz(path, read_listed(session.path, SAMPLES_FILE, manifest.files[SAMPLES_FILE]))

    def run(given: Arrays, rows: NDArray[Any] | None) -> dict[str, NDArray[Any]]:
        return session.run(given, rows=rows)

    found = in_parts(run, session.batch, kept("input", stored), stored.get("rows"), bool(session.noises))
    bound = APART * float(certificate["parity_bound"])
    for name, expected in kept("output", stored).items():
        apart = largest_error(found[name], expected)
        if not apart <= bound:
            raise messages.answers_differ(session.name, name, f"{apart:.1e}", f"{bound:.1e}")
