"""The long form of a message, and the documentation of the words of the language."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any


def explain(word: str) -> str:
    """The long form of a message (`E214`), of a layer or function (`dense`), a scheme (`rk4`) or a setting (`adam`).

    Raises LookupError, with the nearest known words, when there is no such thing.
    """
    for about in SUBJECTS:
        text = about(word)
        if text is not None:
            return text
    raise LookupError(_unknown(word))


def words() -> Iterator[str]:
    """Everything that can be explained."""
    yield from _compiler_messages()
    yield from _runtime_messages()
    yield from _callables()
    yield from _schemes()
    yield from _choices()


def _compiler_messages() -> Mapping[str, Any]:
    from isocline_dsl.messages.index import CATALOGUE

    return CATALOGUE


def _runtime_messages() -> Mapping[str, Any]:
    from isocline_runtime.messages import CATALOGUE

    return CATALOGUE


def _callables() -> Mapping[str, Any]:
    """Records with a usage and a documentation: functions, layers, losses, regularizers, distributions, draws."""
    from isocline_compiler.vocabulary.distributions import DISTRIBUTIONS
    from isocline_compiler.vocabulary.draws import DRAWS
    from isocline_compiler.vocabulary.functions import FUNCTIONS
    from isocline_compiler.vocabulary.integral import INTEGRAL
    from isocline_compiler.vocabulary.regularizers import REGULARIZERS

    return {**DRAWS, **DISTRIBUTIONS, **REGULARIZERS, **FUNCTIONS, INTEGRAL.name: INTEGRAL}


def _schemes() -> Mapping[str, Any]:
    from isocline_compiler.solvers.schemes import SCHEMES
    from isocline_compiler.solvers.schemes.bespoke import BASES, Bespoke

    learned = Bespoke.starting(BASES[4], (0.0, 1.0))
    return {**SCHEMES, learned.name: learned}


def _choices() -> Mapping[str, Any]:
    """What the settings of the blocks `data` and `train` may be."""
    from isocline_compiler.vocabulary import options

    tables = (options.OPTIMIZERS, options.SCHEDULES, options.SPLITS, options.EARLY_STOP, options.ADAPTIVE)
    return {name: choice for table in tables for name, choice in table.items()}


def _of_compiler(word: str) -> str | None:
    message = _compiler_messages().get(word.upper())
    return None if message is None else _titled(message.code, message.name, message.explanation)


def _of_runtime(word: str) -> str | None:
    message = _runtime_messages().get(word.upper())
    return None if message is None else _titled(word.upper(), message.__name__, inspect.getdoc(message) or "")


def _titled(code: str, name: str, text: str) -> str:
    return f"{code}: {name.replace('_', ' ')}\n\n{text}"


def _of_callable(word: str) -> str | None:
    callee = _callables().get(word)
    if callee is None:
        return None
    example = f"\n\nExample:\n\n    {callee.example}" if callee.example else ""
    return f"{callee.usage}\n\n{callee.documentation}{example}"


def _of_solver(word: str) -> str | None:
    """A name may be a scheme on a fixed grid, an adaptive solver for training, or both."""
    scheme, adaptive = _schemes().get(word), _choices().get(word)
    told = [_scheme_text(scheme)] if scheme is not None else []
    told += [_choice_text(adaptive)] if adaptive is not None else []
    return "\n\n".join(told) or None


def _scheme_text(scheme: Any) -> str:
    orders = f"order {scheme.order:g}"
    if scheme.normals:
        strong, weak = (
            ", ".join(f"{value:g} for {kind} noise" for kind, value in item.items())
            for item in (scheme.strong, scheme.weak)
        )
        orders = f"strong order {strong}; weak order {weak}"
    cost = f"{orders}; {scheme.evaluations} evaluations of the field a step"
    return f"{scheme.name}(steps=n)\n\nA scheme on a fixed grid: {cost}.\n\n{scheme.reference}"


def _choice_text(choice: Any) -> str:
    defaults = ", ".join(f"{name}={value}" for name, value in choice.defaults.items())
    return f"{choice.name}({defaults})\n\n{choice.summary}"


SUBJECTS: tuple[Callable[[str], str | None], ...] = (_of_compiler, _of_runtime, _of_callable, _of_solver)


def _unknown(word: str) -> str:
    if re.fullmatch(r"[eE]\d*", word):
        return f"there is no message {word}"
    near = difflib.get_close_matches(word, sorted(words()), n=3)
    return f"nothing is known about `{word}`" + (f"; did you mean {' or '.join(near)}?" if near else "")
