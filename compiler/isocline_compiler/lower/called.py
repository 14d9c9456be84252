"""Calls of settings: checked against the record of what may be called, with the defaults filled in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from isocline_compiler.graph.called import LEARNED, Called
from isocline_compiler.lower.faults import LowerError
from isocline_compiler.lower.known_numbers import Numbers
from isocline_compiler.solvers.schemes import SCHEMES
from isocline_compiler.solvers.schemes.bespoke import BASES, Bespoke
from isocline_compiler.vocabulary.options import ADAPTIVE, POSITIVE, Choice, out_of_range
from isocline_dsl import Source, messages, parse
from isocline_dsl.diagnostics import IsoclineError
from isocline_dsl.messages import calls, learned
from isocline_dsl.tree import Block, Call, Expression, Keyword, Name, Setting, String

FIXED: Mapping[str, Choice] = {
    name: Choice(
        name,
        scheme.options,
        ("steps",),
        tuple(key for key, default in scheme.options.items() if default is None),
        learnable=frozenset(scheme.learnable),
    )
    for name, scheme in SCHEMES.items()
}
"""The schemes on fixed grids as what may be called."""

BESPOKE = Choice("bespoke", Bespoke.options, ("steps",))
"""A scheme that is learned, as what may be called."""


def called(call: Call, choice: Choice, numbers: Numbers) -> Called:
    """`adam(lr=0.02)` with its options checked. Raises LowerError."""
    options = dict(choice.defaults)
    usage = f"{choice.name}({', '.join(choice.defaults)})"
    if len(call.arguments) > len(choice.positional):
        count, most = len(call.arguments), len(choice.positional)
        raise LowerError(calls.too_many_arguments(call.span, choice.name, count, most, usage))
    for key, expression in zip(choice.positional, call.arguments, strict=False):
        options[key] = option_value(expression, choice, key, numbers)
    for keyword in call.keywords:
        key = _key(keyword, choice)
        options[key] = option_value(keyword.value, choice, key, numbers)
    for key in choice.required:
        if options[key] is None:
            raise LowerError(calls.argument_missing(call.span, choice.name, key, usage))
    said = frozenset((*choice.positional[: len(call.arguments)], *(item.name.text for item in call.keywords)))
    return Called(choice.name, options, call.span, said)


def option_value(expression: Expression, choice: Choice, key: str, numbers: Numbers) -> Any:
    """A number, text, a word, true or false, of the kind of the option's default."""
    match expression:
        case String(text=text):
            found: Any = text
        case Name(text="true" | "false" as text):
            found = text == "true"
        case Name(text=text) if choice.defaults[key] is None and key not in POSITIVE:
            found = text
        case Name(text=text) if text == LEARNED and key in choice.learnable:
            return LEARNED
        case _:
            found = numbers.real(expression)
    default = choice.defaults[key]
    counted = default is None and key in POSITIVE
    wrong = (isinstance(default, bool) != isinstance(found, bool)) or (
        (counted or isinstance(default, int | float)) and isinstance(found, str)
    )
    if (default is not None or counted) and wrong:
        expected = "true or false" if isinstance(default, bool) else "a number"
        raise LowerError(calls.wrong_argument(expression.span, choice.name, key, expected, str(found)))
    fault = None if isinstance(found, str | bool) else out_of_range(key, default, found)
    if fault is not None:
        raise LowerError(calls.wrong_argument(expression.span, choice.name, key, fault, f"{found:g}"))
    return int(found) if key == "steps" else found


def _key(keyword: Keyword, choice: Choice) -> str:
    if keyword.name.text not in choice.defaults:
        name = keyword.name.text
        raise LowerError(calls.unknown_keyword(keyword.name.span, choice.name, name, tuple(choice.defaults)))
    return keyword.name.text


# ---------------------------------------------------------------------------------------------------- schemes


def means_steps(call: Call) -> bool:
    """Whether a call means a fixed grid: `dopri5(steps=20)` does, `dopri5(rtol=1e-6)` is an adaptive solver. What is
    learned when a model is compiled does as well.
    """
    steps = any(keyword.name.text == "steps" for keyword in call.keywords)
    return (call.name.text in SCHEMES and steps) or call.name.text == BESPOKE.name


def scheme_called(call: Call, numbers: Numbers, *, own: bool = False) -> Called:
    """`euler(steps=8)`, a scheme on a fixed grid: the one reading of `solve ... with`, `train`, `deploy` and the
    command line. `own`: the scheme is part of the model, and may have coefficients that are learned. Raises LowerError.
    """
    name = call.name.text
    if name == BESPOKE.name:
        raise LowerError(learned.learned_scheme_out_of_place(call.span))
    if name not in SCHEMES and name not in ADAPTIVE:
        raise LowerError(messages.unknown_scheme(call.name.span, name, sorted(SCHEMES)))
    tolerances = name in ADAPTIVE and any(item.name.text in ADAPTIVE[name].defaults for item in call.keywords)
    if name not in SCHEMES or tolerances:
        raise LowerError(messages.adaptive_scheme_in_model(call.span, name))
    if not call.arguments and not call.keywords:
        raise LowerError(messages.scheme_needs_steps(call.span, name))
    for keyword in call.keywords:
        key = keyword.name.text
        if key in FIXED[name].defaults and _is_learned(keyword) and not (own and key in SCHEMES[name].learnable):
            known = [(item.name, key) for item in SCHEMES.values() for key in item.learnable]
            raise LowerError(calls.learned_out_of_place(keyword.span, name, key, known))
    return called(call, FIXED[name], numbers)


def bespoke_called(value: Expression, numbers: Numbers) -> Called:
    """`bespoke(steps=8)` or `bespoke(error=1e-3)`: coefficients that are learned when the model is compiled. Raises
    LowerError.
    """
    if not isinstance(value, Call):
        raise LowerError(learned.steps_or_error(value.span, False))
    found = called(value, BESPOKE, numbers)
    if ("steps" in found.said) == ("error" in found.said):
        raise LowerError(learned.steps_or_error(value.span, "steps" in found.said))
    spans = {item.name.text: item.value.span for item in value.keywords}
    error, stages = float(found.options["error"]), int(found.options["stages"])
    if not 0 < error < 1:
        raise LowerError(messages.setting_value(spans["error"], "error", f"{error:g}", "a number between 0 and 1"))
    if stages not in BASES:
        expected = f"a whole number from {min(BASES)} to {max(BASES)}"
        raise LowerError(calls.wrong_argument(spans["stages"], BESPOKE.name, "stages", expected, f"{stages:g}"))
    return found


def _is_learned(keyword: Keyword) -> bool:
    return isinstance(keyword.value, Name) and keyword.value.text == LEARNED


def scheme_of_text(text: str) -> Called:
    """A scheme named beside a file. Raises IsoclineError, with the text as the place."""
    source = Source(f"dyn 1\nmodel m\n\ndeploy {{\n  solver {text}\n}}\n", "--solver")
    try:
        value = _solver_of(parse(source).declarations)
        if not isinstance(value, Call):
            name = value.text if isinstance(value, Name) else text
            raise LowerError(messages.scheme_needs_steps(value.span if value else None, name))
        return replace(scheme_called(value, Numbers({})), span=None)  # a place in this text is none in the file
    except LowerError as error:
        raise IsoclineError(list(error.diagnostics), source) from None


def _solver_of(items: Sequence[Any]) -> Expression | None:
    settings = (item for block in items if isinstance(block, Block) for item in block.items)
    return next((item.values[0] for item in settings if isinstance(item, Setting) and len(item.values) == 1), None)
