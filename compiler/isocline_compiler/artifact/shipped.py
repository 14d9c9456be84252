"""Libraries that an artifact brings: its C built for the processors that `deploy { native ... }` names.

Nothing is linked to: the C calls no function but those that compilers make of copies, which any process has.
"""

from __future__ import annotations

import platform
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from isocline_compiler.model import Model, NativePlan
from isocline_dsl.diagnostics import IsoclineError
from isocline_dsl.messages import operations as messages
from isocline_runtime.errors import RuntimeFault
from isocline_runtime.messages_native import no_cross_compiler
from isocline_runtime.native.building import OPTIONS, SECONDS
from isocline_runtime.native.compilers import Compiler, find_compiler, zig_compiler
from isocline_runtime.native.targets import TARGETS, Target
from isocline_runtime.native_info import NativeInfo

COMMON = tuple(option for option in OPTIONS if option != "-shared")
STACK = 1 << 16
"""Bytes of the stack of WebAssembly besides those that a model takes itself."""


def require_compilers(model: Model) -> None:
    """Told before anything is searched for. Raises IsoclineError E654, E656 where a compiler is missing."""
    plan = model.deployment.native
    if plan is None:
        return
    for name in plan.targets:
        try:
            _compiler(TARGETS[name])
        except RuntimeFault as fault:
            missing = messages.target_not_built(plan.span, name, "model.c", fault.message)
            raise IsoclineError([missing], model.source) from None
    if not plan.targets:
        try:
            find_compiler()
        except RuntimeFault as fault:
            raise IsoclineError([messages.native_not_measured(plan.span, fault.message)], model.source) from None


def with_libraries(model: Model, info: NativeInfo, folder: Path, plan: NativePlan) -> NativeInfo:
    """What a manifest says of a model in C with the libraries that were built of it, which lie beside the source.

    Raises IsoclineError E656 where a library cannot be built here.
    """
    libraries = {}
    for name in plan.targets:
        target = TARGETS[name]
        libraries[name] = target.file(Path(info.source).stem)
        try:
            _build(info, target, folder, libraries[name])
        except RuntimeFault as fault:
            reason = fault.message
        except OSError as error:
            reason = f"{error}"
        except subprocess.TimeoutExpired:
            reason = f"the compiler had not ended after {SECONDS} s"
        except subprocess.CalledProcessError as error:
            said = error.stderr.strip().splitlines()
            reason = next((line for line in said if "error" in line), said[0] if said else "the compiler failed")
        else:
            continue
        raise IsoclineError([messages.target_not_built(plan.span, name, info.source, reason)], model.source)
    return replace(info, libraries=libraries)


def _build(info: NativeInfo, target: Target, folder: Path, name: str) -> None:
    contracted = "-ffp-contract=fast" if info.contracted else "-ffp-contract=off"
    command = [*_compiler(target).command, *COMMON, contracted, *_options(target, info), "-o", name, info.source]
    subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=True)


def _compiler(target: Target) -> Compiler:
    """zig's, which compiles for any target; this machine's own for libraries of its own kind. Raises ProviderError."""
    zig = zig_compiler()
    if zig is not None:
        triple = "wasm32-freestanding" if target.name == "wasm" else f"{target.name}-linux-gnu"
        return Compiler((*zig.command, "-target", triple), f"{zig.version} (zig), -target {triple}")
    if sys.platform == "linux" and platform.machine() in target.machines:
        return find_compiler()
    raise no_cross_compiler()


def compiler_of(target: Target | None) -> str:
    """What builds the libraries of a target, or what is built for this machine alone. Raises ProviderError."""
    return (find_compiler() if target is None else _compiler(target)).version


def _options(target: Target, info: NativeInfo) -> tuple[str, ...]:
    if target.name == "wasm":
        exported = (f"{info.name}_run", "__heap_base")
        return (
            "-msimd128", "-mbulk-memory", "-nostdlib", "-s", "-Wl,--no-entry",
            f"-Wl,-z,stack-size={info.stack + STACK}", *(f"-Wl,--export={name}" for name in exported),
        )  # fmt: skip
    level = {"x86_64": ("-mcpu=x86_64_v3",) if zig_compiler() else ("-march=x86-64-v3",)}.get(target.name, ())
    return ("-shared", "-fPIC", "-nostdlib", "-s", *level)


__all__ = ["compiler_of", "require_compilers", "with_libraries"]
