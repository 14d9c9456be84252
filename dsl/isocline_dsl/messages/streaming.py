"""E690 to E695: one step at a time."""

from __future__ import annotations

from collections.abc import Sequence

from isocline_dsl.messages.message import Draft, message
from isocline_dsl.tree import Span


@message("E690")
def nothing_to_stream(span: Span | None) -> Draft:
    """`stream` in a model without steps: no output needs a solve or a scan.

    `deploy { stream }` writes one step of a solve, or of a scan over observations, as a graph of its own. Layers such
    as `gru(32)` over a sequence of known length are no scan; one is written so:

        h = scan (x) over (xs) from h = zeros(32) { h = gru_cell(h, x) }
    """
    return Draft(span, "no output needs a solve or a scan: there are no steps", "leave out `stream`, or write a scan")


@message("E691")
def several_to_stream(span: Span | None, found: Sequence[str]) -> Draft:
    """A model with several solves or scans, and nothing said about which of them is taken step by step.

    What comes before the one that is named is computed before its first step; what comes after it, in every step.

        deploy { stream path }
    """
    return Draft(span, f"the outputs need {listed(found)}: which of them?", f"write `stream {found[-1]}`")


@message("E692")
def unknown_to_stream(span: Span | None, name: str, found: Sequence[str]) -> Draft:
    """`stream NAME` names nothing that has steps.

    A solve has the name of its solution, a scan that of its first state.
    """
    return Draft(span, f"`{name}` is no solve and no scan that an output needs", f"there is {listed(found)}")


@message("E693")
def cannot_step(span: Span | None, name: str, reason: str, hint: str) -> Draft:
    """A solve or a scan that cannot be taken one step at a time.

    Every step is the same operation on a state of the same form. A solve needs output times that are equally many steps
    apart, and more than one of these intervals beyond those in which a multistep method gathers its first slopes.
    """
    return Draft(span, f"`{name}` cannot be taken step by step: {reason}", hint)


@message("E694")
def nothing_along(span: Span | None, name: str, outputs: Sequence[str]) -> Draft:
    """Every output needs the whole path, so that no step has an answer.

    A step can give what is computed of the path entry by entry, or of where the path ends: `dense(1)`, `h[-1]`. A mean
    over the path, or its largest entry, is known when the path is.

        output each = path |> dense(1)
    """
    what = "need the whole path" if len(outputs) > 1 else "needs the whole path"
    return Draft(span, f"{listed(outputs)} {what} of `{name}`", "add an output that is computed entry by entry")


@message("E695")
def stream_differs(span: Span | None, output: str, found: str, bound: str) -> Draft:
    """The steps one after another do not give what the model gives at once.

    `step.onnx` was run over the samples of the certificate and compared with `model.onnx`. What rounding leaves is
    1e-6, where the bound on parity allows no more. The compiler is at fault, or the path doubles differences many times
    over.
    """
    return Draft(span, f"`{output}` in steps differs from the model by {found}; the bound is {bound}")


def listed(names: Sequence[str]) -> str:
    """`a`, `b` and `c`."""
    quoted = [f"`{name}`" for name in names]
    return quoted[0] if len(quoted) == 1 else ", ".join(quoted[:-1]) + f" and {quoted[-1]}"
