"""What the runtime raises: a code, what was found, and how to mend it.

The sentences themselves stand in `isocline_runtime.messages`.
"""

from __future__ import annotations


class RuntimeFault(Exception):
    """An artifact, an input, a provider or a run is at fault.

    Prints in the layout of the compiler's diagnostics: `error[E701]: what was found`, then `  hint: what
    to do`.
    """

    def __init__(self, code: str, message: str, hint: str | None = None) -> None:
        super().__init__(code, message, hint)
        self.code = code
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        head = f"error[{self.code}]: {self.message}"
        return head if self.hint is None else f"{head}\n  hint: {self.hint}"


class ArtifactError(RuntimeFault):
    """The folder, the manifest or the model is damaged, altered or of a kind that is refused."""


class InputError(RuntimeFault):
    """A value, or the file that holds it, does not fit the model's signature."""


class ProviderError(RuntimeFault):
    """onnxruntime is missing, or the execution provider that was asked for is not there."""


class RunError(RuntimeFault):
    """The model stopped, or gave a value that is not finite."""
