"""The tables of `docs/language.md`, from the records that the compiler itself reads: `make docs` writes them.

A generated part stands between `<!-- generated: schemes -->` and `<!-- end -->`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType

import numpy as np

from isocline_compiler.attribution.methods import METHODS
from isocline_compiler.graph.noise import NoiseKind
from isocline_compiler.solvers.schemes import SCHEMES
from isocline_compiler.solvers.schemes.stochastic_scheme import CALCULUS, Stochastic
from isocline_compiler.solvers.schemes.tableau import Tableau
from isocline_compiler.vocabulary import options
from isocline_compiler.vocabulary.controls import INTERPOLANTS
from isocline_compiler.vocabulary.distributions import DISTRIBUTIONS
from isocline_compiler.vocabulary.draws import DRAWS
from isocline_compiler.vocabulary.functions import FUNCTIONS
from isocline_compiler.vocabulary.functions.initializers import INITIALIZERS
from isocline_compiler.vocabulary.functions.record import Callee
from isocline_compiler.vocabulary.functions.weight_forms import FORMS
from isocline_compiler.vocabulary.integral import INTEGRAL
from isocline_compiler.vocabulary.options import Choice
from isocline_compiler.vocabulary.regularizers import REGULARIZERS
from isocline_compiler.vocabulary.transition_nll import FIELD_LOSSES
from isocline_dsl.messages import index

PART = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def fill(text: str) -> str:
    """The document with every generated part written anew. Raises KeyError for a part that has no table."""
    return PART.sub(lambda found: f"{found[1]}\n{TABLES[found[2]]()}\n\n{found[3]}", text)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown; `|` in a cell is escaped."""
    lines = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def code(text: str) -> str:
    return f"`{text}`" if text else ""


def prose(text: str) -> str:
    """Paragraphs on one line; outside code, what Markdown would take for emphasis is escaped."""
    parts = " ".join(text.split()).split("`")
    parts[::2] = [part.replace("*", "\\*").replace("<", "&lt;") for part in parts[::2]]
    return "`".join(parts)


def controls() -> str:
    """Of control paths: an example, what lies between the knots, how often the path can be derived there."""
    smooth = {-1: "jumps", 0: "is continuous", 1: "has a slope", 2: "has a curvature"}
    rows = (
        (code(item.example), prose(item.doc), smooth[item.order], str(item.least)) for item in INTERPOLANTS.values()
    )
    return table(("control", "between its knots", "at them it", "knots at least"), rows)


# ------------------------------------------------------------------------------------------------ callables


def callables(records: Mapping[str, Callee], kind: str | None = None) -> str:
    """Usage, what it is, an example."""
    chosen = [item for item in records.values() if kind is None or getattr(item, "kind", None) == kind]
    return table(("call", "value", "example"), (_callable(item) for item in chosen))


def _callable(record: Callee) -> Sequence[str]:
    return code(record.usage), prose(record.documentation), code(record.example)


# ---------------------------------------------------------------------------------------------- attribution


def attribution() -> str:
    """Usage, what it is, what it satisfies, what it costs, and whether its numbers are shares or slopes."""
    rows = (
        (
            code(item.usage),
            prose(item.documentation),
            ", ".join(item.axioms),
            item.cost,
            "the score" if item.shares else "score per unit",
        )
        for item in METHODS.values()
    )
    return table(("method", "what it is", "satisfies", "cost", "in units of"), rows)


# -------------------------------------------------------------------------------------------------- schemes


def schemes() -> str:
    """Of schemes for equations without noise: name, order, evaluations, where a decaying solution decays, reference."""
    rows = (
        (code(name), f"{scheme.order:g}", str(scheme.evaluations), _interval(scheme), scheme.reference)
        for name, scheme in SCHEMES.items()
        if not isinstance(scheme, Stochastic)
    )
    return table(("scheme", "order", "evaluations a step", "stable on", "reference"), rows)


def stochastic_schemes() -> str:
    """Name, integral, orders by the kind of noise, evaluations on the first of the scheme's problems, normals."""
    rows = (_stochastic(name, scheme) for name, scheme in SCHEMES.items() if isinstance(scheme, Stochastic))
    head = ("scheme", "integral", "strong order", "weak order", "f, g a step", "normals a channel", "reference")
    return table(head, rows)


def _stochastic(name: str, scheme: Stochastic) -> Sequence[str]:
    cost = scheme.cost(scheme.problems[0].solve())
    integral = "either" if set(scheme.strong) == {"additive"} else " and ".join(CALCULUS[one] for one in scheme.calculi)
    evaluations = f"{cost.evaluations}, {cost.diffusions}"
    orders = (_orders(scheme.strong), _orders(scheme.weak))
    return code(name), integral, *orders, evaluations, str(scheme.normals), scheme.reference


def _orders(orders: Mapping[NoiseKind, float]) -> str:
    return ", ".join(f"{kind} {order:g}" for kind, order in orders.items())


def _interval(scheme: object) -> str:
    return f"({stability_limit(scheme):.3g}, 0)" if isinstance(scheme, Tableau) else ""


def stability_limit(scheme: Tableau) -> float:
    """The left end of the interval (z, 0) of the real axis on which |R| < 1, by bisection.

    Every explicit scheme has one: R is a polynomial and grows without bound. Hairer, Wanner (1996), IV.2.
    """

    def stable(z: float) -> bool:
        return abs(complex(scheme.stability(np.asarray(z)))) <= 1

    far = next(-float(z) for z in np.arange(0.05, 100.0, 0.05) if not stable(-float(z)))
    near = far + 0.05
    for _ in range(40):
        middle = (far + near) / 2
        far, near = (far, middle) if stable(middle) else (middle, near)
    return near


# ------------------------------------------------------------------------------------------------- settings


def choices(records: Mapping[str, Choice]) -> str:
    """What a setting may be called with, and the defaults."""
    return table(("call", "what it does"), ((code(_usage(item)), item.summary) for item in records.values()))


def _usage(choice: Choice) -> str:
    given = (name if value is None else f"{name}={_shown(value)}" for name, value in choice.defaults.items())
    inside = ", ".join(given)
    return f"{choice.name}({inside})" if inside else choice.name


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}"


# ------------------------------------------------------------------------------------------------- messages


def messages(areas: Sequence[ModuleType] = index.AREAS) -> str:
    """Every code with what it says, in the order of the codes."""
    found = {item.code: item for area in areas for item in index.messages_of(area)}
    return table(("code", "when"), ((code, _first_sentence(found[code].explanation)) for code in sorted(found)))


def _first_sentence(text: str) -> str:
    paragraph = prose(text.partition("\n\n")[0])
    return re.split(r"(?<=[.?])\s", paragraph, maxsplit=1)[0]


TABLES: Mapping[str, Callable[[], str]] = {
    "elementwise": lambda: callables(FUNCTIONS, "elementwise"),
    "reductions": lambda: callables(FUNCTIONS, "reduction"),
    "matrices": lambda: callables(FUNCTIONS, "matrix"),
    "derivatives": lambda: callables(FUNCTIONS, "derivative"),
    "shaping": lambda: callables(FUNCTIONS, "shaping"),
    "layers": lambda: callables(FUNCTIONS, "layer"),
    "losses": lambda: callables(FUNCTIONS, "loss"),
    "metrics": lambda: callables(FUNCTIONS, "metric"),
    "initializers": lambda: callables(INITIALIZERS),
    "forms": lambda: callables(FORMS),
    "attribution": attribution,
    "regularizers": lambda: callables(REGULARIZERS),
    "integral": lambda: callables({INTEGRAL.name: INTEGRAL}),
    "field_losses": lambda: callables(FIELD_LOSSES),
    "distributions": lambda: callables(DISTRIBUTIONS),
    "draws": lambda: callables(DRAWS),
    "controls": controls,
    "schemes": schemes,
    "stochastic_schemes": stochastic_schemes,
    "adaptive": lambda: choices(options.ADAPTIVE),
    "adaptive_with_noise": lambda: choices(options.ADAPTIVE_WITH_NOISE),
    "optimizers": lambda: choices(options.OPTIMIZERS),
    "schedules": lambda: choices(options.SCHEDULES),
    "splits": lambda: choices(options.SPLITS),
    "early_stop": lambda: choices(options.EARLY_STOP),
    "messages": messages,
}
"""The generated parts by name."""


def main(paths: Sequence[str]) -> int:
    """Fill the files named."""
    for name in paths:
        path = Path(name)
        path.write_text(fill(path.read_text("utf-8")), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
