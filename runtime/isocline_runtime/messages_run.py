"""Messages about execution providers and runs (E770 to E781)."""

from __future__ import annotations

from isocline_runtime.errors import ProviderError, RunError


def no_onnxruntime(reason: str | None = None) -> ProviderError:
    """onnxruntime, which runs the model, is not installed or does not start.

    It is an extra, because the wheels for CPU and GPU write the same folder and must never be installed
    together: `pip install "isocline[cpu]"`, or `pip install "isocline[gpu]"` on a machine with an NVIDIA GPU.
    """
    tail = f": {reason}" if reason else ""
    hint = 'pip install "isocline[cpu]", or "isocline[gpu]" for an NVIDIA GPU (never both)'
    return ProviderError("E770", f"onnxruntime is not available{tail}", hint)


def unknown_provider(name: str, available: tuple[str, ...]) -> ProviderError:
    """The execution provider that was asked for is not part of the installed onnxruntime.

    Nothing is run elsewhere silently: name the providers that you accept, the first one is the one that
    must run.
    """
    extra = ' For CUDA: pip install "isocline[gpu]" in a fresh environment.' if "CUDA" in name else ""
    return ProviderError(
        "E771", f"the provider {name!r} is not installed", f"available: {', '.join(available)}.{extra}"
    )


def provider_fell_back(asked: str, got: str, reason: str | None = None) -> ProviderError:
    """onnxruntime listed the provider, but ran the model on another one.

    This happens when the libraries of the provider (CUDA, cuDNN) are missing or of another version, or
    when an operator has no kernel there. onnxruntime only logs a line; here it is an error.
    """
    tail = f": {reason}" if reason else ""
    hint = 'pip install "isocline[gpu]" brings the CUDA libraries; `isocline doctor` shows what is missing'
    return ProviderError("E772", f"asked for {asked}, onnxruntime gives {got}{tail}", hint)


def no_pyarrow(path: object) -> ProviderError:
    """parquet files are read and written by pyarrow, which is not installed."""
    return ProviderError("E773", f"{path}: parquet needs pyarrow", "pip install pyarrow")


def no_cryptography() -> ProviderError:
    """Signatures are made and checked by the package cryptography, which is not installed."""
    return ProviderError("E774", "signing needs cryptography", 'pip install "isocline[sign]"')


def stopped(model: str, reason: str, place: str | None = None) -> RunError:
    """onnxruntime stopped in the middle of a run.

    The line and column are those of the `.dyn` file that the failing operation was compiled from. The inputs
    passed all checks, so this is likely a fault of the model, or memory ran out.
    """
    where = f" at {place}" if place else ""
    return RunError("E780", f"{model} stopped{where}: {reason}")


def out_of_time(model: str, seconds: float) -> RunError:
    """The run was ended because it took too long.

    A model is not allowed to occupy its host for ever. Give fewer samples at a time, or more time.
    """
    hint = "fewer samples a call, or `load(path, seconds=...)`; None is without an end"
    return RunError("E783", f"{model} was stopped after {seconds:g} s", hint)


def out_of_memory(model: str, limit: int, place: str | None = None) -> RunError:
    """The values of a run need more memory than the limit, three quarters of the machine's unless it is stated."""
    where = f" at {place}" if place else ""
    hint = "fewer samples a call, or `load(path, memory=...)`"
    return RunError("E784", f"{model} needs more than {limit} bytes of memory{where}", hint)


def output_not_finite(name: str, index: tuple[int, ...], found: object, count: int) -> RunError:
    """An output holds NaN or an infinity.

    The inputs were finite and within their bounds, so the solution left the range of the numbers: the
    model is unstable at these inputs, or they are far from those that it was trained and certified on.
    """
    place = f"{name}{list(index)}" if index else name
    message = f"the output {place} is {found} ({count} such value{'s' if count > 1 else ''})"
    return RunError("E781", message, "`load(path, allow_nonfinite=True)` returns such values instead of stopping")


def no_certificate(model: str, what: str) -> RunError:
    """There is nothing that could be verified.

    `isocline verify` measures anew what a certificate says. The folder that `isocline compile` writes holds one, and
    samples that it was measured on; a single `.onnx` file does not.
    """
    hint = "give the folder that `isocline compile` wrote; build an old one again"
    return RunError("E785", f"{model} has no {what}", hint)


def no_attribution(model: str) -> RunError:
    """The artifact holds no explanations.

    They are compiled beside the model when its file asks for them in `deploy`:

        attribute forecast wrt first by saliency, integrated_gradients(steps=32)
    """
    hint = "ask for one in `deploy { attribute <output> wrt <input> by integrated_gradients }` and compile again"
    return RunError("E782", f"{model} has no attribution", hint)
