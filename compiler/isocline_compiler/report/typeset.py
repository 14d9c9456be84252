"""Numbers, intervals and types as HTML. The exact number stays in the `value` of a `<data>` element."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from markupsafe import Markup, escape

from isocline_compiler.graph.tensor_type import Shape
from isocline_compiler.model import Port, port_kind

UNITS = {"_us": "µs", "_ms": "ms", "_s": "s", "_bytes": "bytes"}
SMALL = 1e-3
"""From here down numbers are written with a power of ten."""
EXPONENT = Markup("{}&thinsp;×&thinsp;10<sup>{}</sup>")


def number(value: Any) -> Markup:
    """Three significant digits, powers of ten raised; whole numbers in full. None is a dash."""
    if value is None:
        return Markup('<span class="none">–</span>')
    if isinstance(value, bool) or not isinstance(value, int | float):
        return escape(value)
    return Markup('<data value="{}">{}</data>').format(repr(value), _letters(value))


def _letters(value: float) -> Markup | str:
    if not math.isfinite(value):
        return "not finite" if math.isnan(value) else ("−∞" if value < 0 else "∞")
    if isinstance(value, int) or (value == int(value) and abs(value) < 1e6):
        return f"{int(value):,}".replace("-", "−")
    if abs(value) >= 1000 and abs(value) < 1e6:
        return f"{value:,.0f}".replace("-", "−")
    text = f"{value:.3g}" if abs(value) > SMALL else f"{value:.2e}"
    if "e" not in text:
        return text.replace("-", "−")
    mantissa, exponent = text.split("e")
    mantissa, raised = f"{float(mantissa):g}", str(int(exponent)).replace("-", "−")
    return EXPONENT.format(mantissa.replace("-", "−"), raised) if mantissa != "1" else _ten(raised)


def _ten(raised: str) -> Markup:
    return Markup("10<sup>{}</sup>").format(raised)


def quantity(value: Any) -> Markup:
    """A number, or a list of them at any depth; a long list is cut short and says how long it is."""
    if not isinstance(value, list | tuple):
        return number(value)
    items = [quantity(item) for item in value[:6]]
    more = Markup(", … <span class='none'>({} in all)</span>").format(len(value)) if len(value) > 6 else ""
    return Markup("[{}{}]").format(Markup(", ").join(items), more)


def interval(low: float | None, high: float | None) -> Markup:
    """An open interval; a dash when neither end is finite."""
    ends = [None if end is None or not math.isfinite(end) else end for end in (low, high)]
    if ends == [None, None]:
        return number(None)
    left = "−∞" if ends[0] is None else number(ends[0])
    right = "∞" if ends[1] is None else number(ends[1])
    return Markup("({}, {})").format(left, right)


def type_text(port: Port) -> str:
    """`real[21, 2]`, `class[10]`, as the author writes it."""
    kind = port_kind(port)
    return kind + shape_text(port.shape)


def shape_text(shape: Shape) -> str:
    """`[21, 2]`; nothing for a single number."""
    return f"[{', '.join(map(str, shape))}]" if shape else ""


def facts(values: Mapping[str, Any]) -> list[tuple[str, Markup]]:
    """Names and values of a nested mapping as rows; a name's ending tells the unit: `p50_us` is in µs."""
    return [(_words(path), _with_unit(path[-1], value)) for path, value in _leaves(values, ())]


def _leaves(values: Mapping[str, Any], above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, (*above, str(key)))
        else:
            yield (*above, str(key)), value


def _words(path: tuple[str, ...]) -> str:
    return " · ".join(_without_unit(part).replace("_", " ") for part in path)


def _without_unit(name: str) -> str:
    ending = next((ending for ending in UNITS if name.endswith(ending) and name != ending), "")
    return name.removesuffix(ending)


def _with_unit(name: str, value: Any) -> Markup:
    unit = next((unit for ending, unit in UNITS.items() if name.endswith(ending)), "")
    unit = "bytes" if name == "bytes" else unit
    shown = quantity(value)
    return Markup("{}&nbsp;{}").format(shown, unit) if unit and isinstance(value, int | float) else shown
