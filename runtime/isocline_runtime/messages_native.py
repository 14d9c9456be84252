"""Messages about the native engine and about packages (E760 to E769)."""

from __future__ import annotations

from collections.abc import Sequence

from isocline_runtime.errors import ArtifactError, ProviderError, RunError


def no_native(model: str, reason: str) -> RunError:
    """The artifact holds no C.

    It is written beside the ONNX file while compiling, where every operation has a form in C; the manifest says why it
    is missing. A bare `.onnx` file has none.
    """
    return RunError("E760", f"{model} has no C: {reason}", 'load it with engine="onnxruntime"')


def no_compiler(named: str | None, tried: Sequence[str]) -> ProviderError:
    """The native engine needs a C compiler, and there is none.

    It builds the C source of the artifact on this machine, once. Any compiler that takes the options of gcc and clang
    will do; `pip install isocline[native]` brings one that needs nothing else.
    """
    found = f"{named!r} (ISOCLINE_CC) does not run" if named else f"none of {', '.join(tried)} is here"
    hint = 'install one, or `pip install "isocline[native]"`, or load with engine="onnxruntime"'
    return ProviderError("E761", f"no C compiler: {found}", hint)


def no_cross_compiler() -> ProviderError:
    """A library for another processor needs a compiler that compiles for it.

    That of `pip install isocline[native]` compiles for all of them, and needs nothing else.
    """
    return ProviderError("E769", "no compiler for another processor is here", 'pip install "isocline[native]"')


def not_built(source: str, reason: str, variable: str | None) -> RunError:
    """The C source of an artifact could not be built.

    The compiler's first error is shown. The library is kept in the user's folder for caches, which must be writable by
    this user and by nobody else.
    """
    hint = f"name a folder of your own in {variable}" if variable else "name another compiler in ISOCLINE_CC"
    return RunError("E762", f"{source} could not be built: {reason}", hint)


def answers_differ(model: str, output: str, found: str, bound: str) -> ArtifactError:
    """The library that was built answers the samples of the certificate differently.

    After it is built, a library is run on the samples that the artifact carries; what it says must be within twice the
    bound on rounding of what the ONNX file said when it was compiled, and what it explains within a thousandth of what
    the ONNX file explains now. A compiler that takes liberties with sums (-ffast-math) fails here, and so does a source
    that is not that of the model.
    """
    message = f"{model} in C is {found} from what the artifact says of `{output}`, the bound is {bound}"
    return ArtifactError("E763", message, 'name another compiler in ISOCLINE_CC, or load with engine="onnxruntime"')


def unknown_engine(name: object, known: Sequence[str]) -> ProviderError:
    """There is no engine of this name.

    "onnxruntime" runs the ONNX file. "native" builds the C of the artifact on this machine and runs that. "auto" takes
    the native one where it was built here before, or where the artifact's signature is checked (`trust`).
    """
    return ProviderError("E764", f"there is no engine {name!r}", f"one of {', '.join(known)}")


def only_on_cpu(provider: str) -> ProviderError:
    """The native engine runs on the processor alone.

    A provider is where onnxruntime runs a model.
    """
    return ProviderError("E765", f"the native engine does not run on {provider}", "leave `providers` out")


def unknown_package(name: object, known: Sequence[str]) -> RunError:
    """Nothing takes a package of this name.

    "c" is source for a C compiler, with a program that runs it.
    """
    return RunError("E766", f"there is no package for {name!r}", f"one of {', '.join(known)}")


def folder_not_ours(folder: object, name: str) -> RunError:
    """The folder that is to be written holds a file that is not part of such a package.

    Nothing of yours is overwritten.
    """
    message = f"{folder} holds {name}, which is not part of the package: nothing was written"
    return RunError("E767", message, "name a folder that is empty or not there yet, with `-o`")


def not_written(folder: object, reason: str) -> RunError:
    """The system did not let the package be written: no permission, a full disk, a folder that is a file."""
    return RunError("E768", f"cannot write {folder}: {reason}", "make room, or name another folder with `-o`")
