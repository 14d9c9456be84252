"""onnxruntime: imported on first use, its sessions made for small graphs, its faults turned into ours."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from typing import Any

from isocline_runtime import messages_artifact, messages_run
from isocline_runtime.errors import RuntimeFault
from isocline_runtime.limits import memory_limit

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
PROVIDER_OPTIONS = {CUDA: {"use_tf32": "0"}}  # TF32 errs by 1e-3 a product, and a solver repeats it
FATAL_ONLY = 4  # onnxruntime's log; what it reports of an error is in our message
# Quadratic in the number of unrolled steps that share weights; the compiler has shared equal terms already.
SLOW_OPTIMIZERS = ["CommonSubexpressionElimination"]


def require_onnxruntime() -> Any:
    """The module onnxruntime. Raises ProviderError E770 when it is not installed or does not start."""
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise messages_run.no_onnxruntime(None if error.name == "onnxruntime" else str(error)) from None
    except (ImportError, OSError) as error:
        raise messages_run.no_onnxruntime(str(error)) from None
    return onnxruntime


def available_providers() -> tuple[str, ...]:
    """The execution providers that the installed onnxruntime was built with."""
    return tuple(require_onnxruntime().get_available_providers())


def resolve_providers(asked: str | Sequence[str]) -> tuple[str, ...]:
    """Full names, in order: "cpu" is CPUExecutionProvider. Raises ProviderError E771 for an unknown one."""
    known = available_providers()
    by_short_name = {name.lower().removesuffix("executionprovider"): name for name in known}
    names = [asked] if isinstance(asked, str) else list(asked)
    resolved = [by_short_name.get(name.lower().removesuffix("executionprovider")) for name in names]
    for name, full in zip(names, resolved, strict=True):
        if full is None:
            raise messages_run.unknown_provider(name, known)
    if not resolved:
        raise messages_run.unknown_provider("(none)", known)
    return tuple(name for name in resolved if name is not None)


_creating = threading.Lock()
"""A session takes the allocator that was registered last."""


def open_session(
    model: bytes, file: str, providers: str | Sequence[str], threads: int, memory: int | None = None
) -> Any:
    """An onnxruntime session that runs on the first provider asked for, or a ProviderError (E770 to E772).

    Its values take at most `memory` bytes on the host, three quarters of the machine's unless it is said.

    Sequential, without spinning threads: a graph of a solver is a chain of small operations. Raises
    ArtifactError E717 when onnxruntime refuses the model.
    """
    onnxruntime = require_onnxruntime()
    names = resolve_providers(providers)
    if CUDA in names and hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()
    try:
        with _creating:
            _register_arena(onnxruntime, memory_limit(memory))
            session = onnxruntime.InferenceSession(
                model,
                sess_options=_session_options(onnxruntime, names, threads),
                providers=[(name, PROVIDER_OPTIONS.get(name, {})) for name in names],
                disabled_optimizers=SLOW_OPTIMIZERS,
                enable_fallback=0,
            )
    except Exception as error:  # onnxruntime's exceptions have no base of their own
        raise _creation_fault(names[0], file, error) from None
    if session.get_providers()[0] != names[0]:
        raise messages_run.provider_fell_back(names[0], session.get_providers()[0])
    return session


def _register_arena(onnxruntime: Any, limit: int) -> None:
    """An allocator of its own for the next session, which gives out no more than `limit` bytes."""
    kinds = onnxruntime.OrtAllocatorType, onnxruntime.OrtMemType
    info = onnxruntime.OrtMemoryInfo("Cpu", kinds[0].ORT_ARENA_ALLOCATOR, 0, kinds[1].DEFAULT)
    onnxruntime.create_and_register_allocator(info, onnxruntime.OrtArenaCfg({"max_mem": limit}))


def _session_options(onnxruntime: Any, names: tuple[str, ...], threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = FATAL_ONLY
    options.add_session_config_entry("session.use_env_allocators", "1")
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    if CPU not in names:
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    return options


def run_options() -> Any:
    """Options of one run, whose `terminate` ends it."""
    return require_onnxruntime().RunOptions()


def _creation_fault(provider: str, file: str, error: Exception) -> RuntimeFault:
    reason = plain_reason(error)
    if "fallback to CPU" in str(error):
        return messages_run.provider_fell_back(provider, CPU, "some operations have no kernel there")
    if provider != CPU and re.search(r"provider|cuda|cudnn|\.so|\.dll", reason, re.IGNORECASE):
        return messages_run.provider_fell_back(provider, "no session", reason)
    return messages_artifact.refused_model(file, reason)


def plain_reason(error: Exception) -> str:
    """What onnxruntime says, without its marks, its source files and what follows the first line."""
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", str(error).strip())
    text = re.sub(r"Status Message: \S*onnxruntime\S*:\d+ (?:onnxruntime::)?", "Status Message: ", text)
    first = text.splitlines()[0] if text else type(error).__name__
    return first if len(first) <= 400 else first[:397] + "..."


def failing_node(error: Exception) -> str | None:
    """The node that onnxruntime names in the text of its exception."""
    match = re.search(r"Name:'([^']*)'", str(error))
    return match.group(1) if match else None
