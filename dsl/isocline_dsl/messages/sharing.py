"""E25x of names: functions without weights, and files that use the declarations of others."""

from __future__ import annotations

from collections.abc import Sequence

from isocline_dsl.messages.message import Draft, message
from isocline_dsl.tree import Span


@message("E252")
def function_has_weights(span: Span | None, function: str, what: str, parameter: str | None = None) -> Draft:
    """A function reads something that is trained.

    The value of a `function` is that of its arguments, of constants and of other functions: it is the same in every
    model that uses it. What has weights is a `net`: layers, parameters, statistics of the training data and other nets
    may stand in it.

        param top: positive
        function rate(x: real) = top*x/(1 + x)                 # wrong: it reads the parameter
        function rate(x: real, top: real) = top*x/(1 + x)      # right: it is given one
        net learned(x: real[2]) = x |> dense(8) |> tanh        # a layer makes it a net
    """
    hint = f"write `net {function}(...)`, since it has weights then"
    if parameter is not None:
        hint = f"make `{parameter}` an argument of `{function}`, or {hint}"
    return Draft(span, f"the function `{function}` has no weights, and {what}", hint)


@message("E254")
def use_circle(span: Span, files: Sequence[str]) -> Draft:
    """Files that use each other in a circle.

    `use` brings in the declarations of another file, which may use others. Put what both need into a third file.
    """
    way = " -> ".join(f"`{name}`" for name in files)
    return Draft(span, f"files use each other in a circle: {way}", "put what both need into a file of its own")


@message("E258")
def used_file_not_read(span: Span, path: str, reason: str) -> Draft:
    """The file that `use` names cannot be read.

    Its path is relative to the file that uses it; in a text that stands in no file, to the current folder.
    """
    return Draft(span, f"cannot read {path}: {reason}", "the path starts at the folder of the file that uses it")


@message("E259")
def not_shared(span: Span, what: str, user: str) -> Draft:
    """A file that others use declares what belongs to one model.

    Constants, functions, nets, fields and parameters may be shared, and `use` of further files. What a model is given,
    computes and answers, its data, its training and its deployment stand in the file of the model: that file hands
    them to the shared functions and fields.

        dyn 1
        const gas = 8.314
        function arrhenius(rate: real, energy: real, temperature: real) = rate*exp(-energy/(gas*temperature))
    """
    return Draft(span, f"{what} in a file that {user} uses", "it belongs into the file of the model")
