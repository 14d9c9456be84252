"""The page of the zoo: a table of all families, then each with its equation, its picture and its numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

from isocline_compiler.report.ink import DARK, LIGHT

Row = dict[str, Any]
BOUND = 1e-5
"""An engine that is further off than this is written with its error."""
STYLE = """
body { max-width: 76rem; margin: 2rem auto; padding: 0 1rem; font: 15px/1.5 ui-sans-serif, system-ui, sans-serif;
       color: var(--ink); background: var(--paper); }
a { color: var(--series-1); } h2 { margin-top: 3rem; } code, pre { font: 13px/1.5 ui-monospace, monospace; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: 13px; }
td, th { padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--rule); text-align: left; vertical-align: top; }
td.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.family { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); gap: 1rem 2rem; }
.family h2, .family pre { grid-column: 1 / -1; } pre { white-space: pre-wrap; }
figure { margin: 0; } svg, img { max-width: 100%; height: auto; }
figcaption, .quiet { color: var(--quiet); font-size: 13px; }
.failed { color: var(--series-2); } @media (max-width: 50rem) { .family { display: block; } }
"""
WORDS = """Each was trained for seconds, on small data: the scores say that a file works, and do not rank the families.
A step grows what it is given by the factor that stands there, along the direction in which it grows most; above 1 is no
mistake where the equation grows, too. An energy distance is near 0, on either side of it, where both are of one law."""
HEAD = (
    "family", "scheme", "weights", "evaluations", "held-out score", "rounding", "error of the steps",
    "growth of a step", "nodes", "a call, µs",
)  # fmt: skip


def page(rows: Sequence[Row]) -> str:
    """One HTML page that needs nothing else."""
    light, dark = (" ".join(f"--{name}: {colour};" for name, colour in inks.items()) for inks in (LIGHT, DARK))
    colours = (
        f":root {{ color-scheme: light dark; {light} }} @media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}"
    )
    counted = ", ".join(f"{n} {status}" for status, n in _counts(rows).items())
    head = "".join(f"<th>{name}</th>" for name in HEAD)
    body = "\n".join(f"<tr>{''.join(_cells(row))}</tr>" for row in rows)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>The zoo</title>'
        f'<meta name="viewport" content="width=device-width"><style>{colours}{STYLE}</style></head>\n<body>\n'
        f"<h1>The zoo of dynamic networks</h1>\n<p>{len(rows)} families: {counted}. {WORDS}</p>\n"
        f'<div class="wide"><table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>\n'
        f"{''.join(_section(row) for row in rows)}</body></html>\n"
    )


def _counts(rows: Sequence[Row]) -> dict[str, int]:
    found: dict[str, int] = {}
    for row in rows:
        found[row["status"]] = found.get(row["status"], 0) + 1
    return found


def _cells(row: Row) -> Iterator[str]:
    yield f'<td><a href="#{row["name"]}">{escape(row["family"])}</a></td>'
    if row["status"] != "ok":
        yield f'<td colspan="{len(HEAD) - 1}" class="failed">{escape(_state(row))}</td>'
        return
    yield f"<td>{'<br>'.join(map(escape, row['scheme'])) or 'none'}</td>"
    yield f'<td class="n">{row["parameters"]:,}</td><td class="n">{row["evaluations"]}</td>'
    yield f"<td>{'<br>'.join(map(escape, _scores(row))) or 'none'}</td>"
    yield f'<td class="n">{_small(row["parity"])}</td><td>{_error(row)}</td><td class="n">{_growth(row)}</td>'
    yield f'<td class="n">{row["nodes"]}</td><td class="n">{row["latency_us"]:,.0f}</td>'


def _state(row: Row) -> str:
    return f"{row['status']}: {row['why']}" if row["why"] else row["status"]


def _scores(row: Row) -> list[str]:
    return [f"{item['text']} = {item['value']:.4g}" + _beside(item) for item in row["score"]]


def _beside(item: Row) -> str:
    return f" (of training data {item['beside']:.2g})" if "beside" in item else ""


def _small(value: float | None) -> str:
    return "none" if value is None else f"{value:.1e}"


def _error(row: Row) -> str:
    error = row["error"]
    if "none" in error:
        return f'<span class="quiet">{escape(error["none"])}</span>'
    ((kind, value),) = error.items()
    return _small(value) + (" (strong)" if kind == "strong" else "")


def _growth(row: Row) -> str:
    largest = row["stability"]["largest"]
    return "none" if largest is None else f"{largest:.3g}"


def _section(row: Row) -> str:
    equation = escape("\n".join(row["equation"]))
    where = f"<code>examples/{escape(row['file'])}</code>" if row["file"] else ""
    text = f"<p>{escape(row['good_for'])}</p><p class='quiet'>{escape(row['reference'])} {where}</p>"
    picture = row.get("picture")
    figure = (
        f"<figure>{picture['markup']}<figcaption>{escape(picture['caption'])}</figcaption></figure>" if picture else ""
    )
    facts = _facts(row) if row["status"] == "ok" else f'<p class="failed">{escape(_state(row))}</p>'
    return (
        f'<section class="family" id="{row["name"]}"><h2>{escape(row["family"])}</h2><pre>{equation}</pre>'
        f"<div>{text}{facts}</div>{figure}</section>\n"
    )


def _facts(row: Row) -> str:
    growth = row["stability"]
    grows = "at most {largest:.3g} times; what the equation lets decay, at most {decaying:.3g} times"
    pairs = [
        ("held-out score", "; ".join(_scores(row))),
        ("a step grows", "" if growth["largest"] is None else grows.format(**growth)),
        ("proved", "; ".join(growth["proved"])),
        ("size", f"{row['nodes']} nodes, {row['bytes']:,} bytes"),
        ("engines", _engines(row["engines"])),
        ("trained, compiled and certified in", f"{row['seconds']:.0f} s"),
    ]  # fmt: skip
    rows = "".join(f"<tr><th>{name}</th><td>{escape(value)}</td></tr>" for name, value in pairs if value)
    return f"<table>{rows}</table>"


def _engines(found: dict[str, float | str]) -> str:
    """Those that run it, and what the others say."""
    return "; ".join(
        f"{name}"
        if isinstance(value, float) and value <= BOUND
        else f"{name}: {value if isinstance(value, str) else f'{value:.1e}'}"
        for name, value in found.items()
    )
