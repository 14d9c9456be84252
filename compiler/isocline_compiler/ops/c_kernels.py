"""Operations whose C is a program of its own: elimination, ordering, lookups, entries chosen by an index.

`{y}(i)` is entry i of the result of one sample, `{x0}(i)` of its first argument.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

from isocline_compiler.graph import Node, value_of
from isocline_compiler.graph.c_form import CForm, Entries, Moves, Sizes

_EXCHANGED = """for (int k = 0; k < {width}; ++k) {
            const @real t = {name}[c * {width} + k];
            {name}[c * {width} + k] = {name}[p * {width} + k];
            {name}[p * {width} + k] = t;
        }"""
_PIVOT = """int p = c;
        for (int i = c + 1; i < {n}; ++i) {
            const @real u = a[i * {n} + c], v = a[p * {n} + c];
            p = (u < 0 ? -u : u) > (v < 0 ? -v : v) ? i : p;
        }"""
_BACKWARDS = """    for (int i = {n} - 1; i >= 0; --i) {
        for (int k = 0; k < {m}; ++k) {
            @real t = b[i * {m} + k];
            for (int j = i + 1; j < {n}; ++j) { t -= a[i * {n} + j] * b[j * {m} + k]; }
            b[i * {m} + k] = t / a[i * {n} + i];
        }
    }"""


def _filled(text: str, **numbers: Any) -> str:
    for key, value in numbers.items():
        text = text.replace(f"{{{key}}}", str(value))
    return text


def _stack(lead: Sizes, own: Sizes, entries: int) -> str:
    """Where the matrix of stack entry s begins, of matrices that are repeated to `lead`."""
    padded = (1,) * (len(lead) - len(own)) + own
    terms, step, outer = [], entries, 1
    for size, mine in reversed(list(zip(lead, padded, strict=True))):
        if mine > 1:
            terms.append(f"(s / {outer} % {size}) * {step}")
            step *= mine
        outer *= size
    return " + ".join(terms) or "0"


def _solved(n: int, m: int, count: int, matrix: str, right: str) -> str:
    """Gaussian elimination with partial pivoting, and substitution backwards, of `count` systems with m right sides.

    `matrix` is where the matrix of system s begins, `right` is entry i of its right sides.
    """
    return _filled(
        f"""@real a[{n * n}], b[{n * m}];
for (int s = 0; s < {count}; ++s) {{
    for (int i = 0; i < {n * n}; ++i) {{ a[i] = {{x0}}({matrix} + i); }}
    for (int i = 0; i < {n * m}; ++i) {{ b[i] = {right}; }}
    for (int c = 0; c < {n}; ++c) {{
        {_PIVOT}
        {_filled(_EXCHANGED, name="a", width=n)}
        {_filled(_EXCHANGED, name="b", width=m)}
        for (int i = c + 1; i < {n}; ++i) {{
            const @real f = a[i * {n} + c] / a[c * {n} + c];
            for (int k = c; k < {n}; ++k) {{ a[i * {n} + k] -= f * a[c * {n} + k]; }}
            for (int k = 0; k < {m}; ++k) {{ b[i * {m} + k] -= f * b[c * {m} + k]; }}
        }}
    }}
{_BACKWARDS}
    for (int i = 0; i < {n * m}; ++i) {{ {{y}}(s * {n * m} + i) = b[i]; }}
}}""",
        n=n, m=m,
    )  # fmt: skip


def _solve(out: Sizes, sizes: tuple[Sizes, ...], attrs: Mapping[str, Any]) -> str:
    a, b = sizes
    n, m = b[-2:]
    lead = out[:-2]
    right = f"{{x1}}({_stack(lead, b[:-2], n * m)} + i)"
    return _solved(n, m, prod(lead), _stack(lead, a[:-2], n * n), right)


def _inverse(out: Sizes, sizes: tuple[Sizes, ...], attrs: Mapping[str, Any]) -> str:
    """The solution of A X = 1."""
    n = sizes[0][-1]
    return _solved(n, n, prod(out[:-2]), f"s * {n * n}", f"(@real)(i / {n} == i % {n})")


def _determinant(result: str) -> Callable[[Sizes, tuple[Sizes, ...], Mapping[str, Any]], str]:
    """Of the matrix made triangular: what stands on its diagonal, multiplied, with a sign for each exchange of rows."""

    def text(out: Sizes, sizes: tuple[Sizes, ...], attrs: Mapping[str, Any]) -> str:
        n = sizes[0][-1]
        return _filled(
            f"""@real a[{n * n}];
for (int s = 0; s < {prod(out)}; ++s) {{
    @real d = 1;
    for (int i = 0; i < {n * n}; ++i) {{ a[i] = {{x0}}(s * {n * n} + i); }}
    for (int c = 0; c < {n}; ++c) {{
        {_PIVOT}
        {_filled(_EXCHANGED, name="a", width=n)}
        const @real v = a[c * {n} + c];
        d *= p == c ? v : -v;
        for (int i = c + 1; i < {n}; ++i) {{
            const @real f = v == 0 ? 0 : a[i * {n} + c] / v;
            for (int k = c; k < {n}; ++k) {{ a[i * {n} + k] -= f * a[c * {n} + k]; }}
        }}
    }}
    {{y}}(s) = {result};
}}""",
            n=n,
        )  # fmt: skip

    return text


def _hot(out: Sizes, sizes: tuple[Sizes, ...], attrs: Mapping[str, Any]) -> str:
    """1 at the index, 0 elsewhere."""
    return (
        f"for (int i = 0; i < {prod(out)}; ++i) {{ {{y}}(i) = {{x0}}(i / {attrs['depth']}) == i % {attrs['depth']}; }}"
    )


def _lines(sizes: Sizes, axis: int) -> tuple[int, int, int]:
    """How many entries an axis has, how far they are apart, and how many such lines there are."""
    n, step = sizes[axis], prod(sizes[axis % len(sizes) + 1 :])
    return n, step, prod(sizes) // max(n, 1)


def _sort(out: Sizes, sizes: tuple[Sizes, ...], attrs: Mapping[str, Any]) -> str:
    """Insertion, which keeps the order of equal entries."""
    n, step, lines = _lines(sizes[0], attrs["axis"])
    return f"""for (int s = 0; s < {lines}; ++s) {{
    const int o = s / {step} * {n * step} + s % {step};
    for (int i = 0; i < {n}; ++i) {{
        const @real v = {{x0}}(o + i * {step});
        int k = i;
        for (; k > 0 && {{y}}(o + (k - 1) * {step}) > v; --k) {{
            {{y}}(o + k * {step}) = {{y}}(o + (k - 1) * {step});
        }}
        {{y}}(o + k * {step}) = v;
    }}
}}"""


def _sort_by(out: Sizes, sizes: tuple[Sizes, ...], attrs: Mapping[str, Any]) -> str:
    """Each entry's place is the number of keys before it: smaller ones, and equal ones that come first."""
    n, step, lines = _lines(sizes[0], attrs["axis"])
    there, here = (f"o + k * {step}", f"o + i * {step}")
    to, of = (here, there) if attrs.get("inverse", False) else (there, here)
    return f"""for (int s = 0; s < {lines}; ++s) {{
    const int o = s / {step} * {n * step} + s % {step};
    for (int i = 0; i < {n}; ++i) {{
        const @real v = {{x1}}({here});
        int k = 0;
        for (int q = 0; q < {n}; ++q) {{
            const @real u = {{x1}}(o + q * {step});
            k += u < v || (u == v && q < i);
        }}
        {{y}}({to}) = {{x0}}({of});
    }}
}}"""


def _argmax(out: Sizes, sizes: tuple[Sizes, ...], attrs: Mapping[str, Any]) -> str:
    """The first of the largest."""
    n, step, lines = _lines(sizes[0], attrs["axis"])
    return f"""for (int s = 0; s < {lines}; ++s) {{
    const int o = s / {step} * {n * step} + s % {step};
    int best = 0;
    for (int i = 1; i < {n}; ++i) {{ best = {{x0}}(o + i * {step}) > {{x0}}(o + best * {step}) ? i : best; }}
    {{y}}(s) = best;
}}"""


def _reached(knots: int, last: bool, which: int, times: str) -> str:
    """How many knots behind the first a time has reached, by bisection."""
    end = knots if last else knots - 1
    return f"""int low = 1, high = {end};
    while (low < high) {{
        const int middle = (low + high) / 2;
        if ({{x{which}}}(middle) <= {times}) {{ low = middle + 1; }} else {{ high = middle; }}
    }}
    const int number = low - 1;"""


def _piece(out: Sizes, sizes: tuple[Sizes, ...], attrs: Mapping[str, Any]) -> str:
    knots, times = prod(sizes[0]), prod(sizes[1])
    return f"""for (int q = 0; q < {prod(out)}; ++q) {{
    const @real t = {{x1}}({"q" if times > 1 else "0"});
    {_reached(knots, attrs["last"], 0, "t")}
    {{y}}(q) = number;
}}"""


def _rows(out: Sizes, sizes: tuple[Sizes, ...], attrs: Mapping[str, Any]) -> str:
    knots, times, offsets = prod(sizes[1]), prod(sizes[2]), attrs["offsets"]
    width = prod(sizes[0]) // knots
    rows = "\n".join(
        f"""    {{
        const int o = number + ({offset}), p = o < 0 ? 0 : (o > {knots - 1} ? {knots - 1} : o);
        const int r = (q * {len(offsets)} + {k}) * {width};
        for (int i = 0; i < {width}; ++i) {{ {{y}}(r + i) = {{x0}}(p * {width} + i); }}
    }}"""
        for k, offset in enumerate(offsets)
    )
    return f"""for (int q = 0; q < {prod(out) // (len(offsets) * width)}; ++q) {{
    const @real t = {{x2}}({"q" if times > 1 else "0"});
    {_reached(knots, attrs["last"], 1, "t")}
{rows}
}}"""


def _chosen(out: Sizes, sizes: tuple[Sizes, ...], attrs: Mapping[str, Any]) -> str:
    """Entries by an index that is computed: one from the end where it is negative, the nearest where it is outside."""
    x, indices = sizes
    axis = attrs["axis"] % len(x)
    n, inner, count = x[axis], prod(x[axis + 1 :]), prod(indices)
    return f"""for (int s = 0; s < {prod(x[:axis])}; ++s) {{
    for (int q = 0; q < {count}; ++q) {{
        const int64_t i = {{x1}}(q) < 0 ? {{x1}}(q) + {n} : {{x1}}(q);
        const int64_t p = i < 0 ? 0 : (i > {n - 1} ? {n - 1} : i);
        const int64_t to = (s * {count} + q) * {inner}, of = (s * {n} + p) * {inner};
        for (int r = 0; r < {inner}; ++r) {{ {{y}}(to + r) = {{x0}}(of + r); }}
    }}
}}"""


def gathered(node: Node) -> CForm:
    """Known indices move entries; others choose them when the model runs."""
    return Moves() if value_of(node.inputs[1]) is not None else Entries(_chosen)


SOLVE_IN_C, INVERSE_IN_C = Entries(_solve), Entries(_inverse)
DET_IN_C = Entries(_determinant("d"))
LOGDET_IN_C = Entries(_determinant("@log(d < 0 ? -d : d)"))
HOT_IN_C = Entries(_hot)
SORT_IN_C, SORT_BY_IN_C, ARGMAX_IN_C = Entries(_sort), Entries(_sort_by), Entries(_argmax)
PIECE_IN_C, ROWS_IN_C = Entries(_piece), Entries(_rows)
