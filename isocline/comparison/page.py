"""The page of a comparison: every run as a point, means beside them, and the tables."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from isocline_compiler.report.ink import DARK, LIGHT, MARKERS, QUIET, SERIES, Picture, inked, sheet, to_inline

if TYPE_CHECKING:
    from isocline.comparison.summary import Comparison

STYLE = """
body { max-width: 52rem; margin: 2rem auto; padding: 0 1rem; font: 15px/1.5 ui-sans-serif, system-ui, sans-serif;
       color: var(--ink); background: var(--paper); }
pre { overflow-x: auto; font: 13px/1.5 ui-monospace, monospace; }
figure { margin: 1.5rem 0; } figcaption { color: var(--quiet); } svg { max-width: 100%; height: auto; }
"""


def page(found: Comparison) -> str:
    """One HTML page that needs nothing else."""
    figures = [
        f"<figure>{to_inline(_drawn(found, name), f'measure{i}', name)}"
        f"<figcaption>{escape(name)}: a point a seed, a bar at the mean</figcaption></figure>"
        for i, name in enumerate(found.measures)
    ]
    title = escape(", ".join(found.models))
    tables = escape("\n".join(found.lines()))
    light, dark = (" ".join(f"--{name}: {colour};" for name, colour in inks.items()) for inks in (LIGHT, DARK))
    colours = f":root {{ {light} }} @media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{colours}{STYLE}</style></head>\n'
        f"<body><h1>{title}</h1>\n<pre>{tables}</pre>\n{''.join(figures)}</body></html>\n"
    )


def _drawn(found: Comparison, name: str) -> Picture:
    """A measure of every model: its runs, and their mean."""
    with inked():
        picture = sheet(0.6 + 0.35 * len(found.models))
        axes = picture.subplots()
        for i, model in enumerate(found.models):
            values = list(found.values(model, name).values())
            colour, marker = SERIES[i % len(SERIES)], MARKERS[i % len(MARKERS)]
            axes.plot(values, [i] * len(values), marker, color=colour, alpha=0.7, markersize=5)
            mean = found.spread(model, name)
            if mean is not None:
                axes.plot([mean.mean] * 2, [i - 0.3, i + 0.3], color=colour, linewidth=2)
        axes.set_yticks(range(len(found.models)), found.models)
        axes.set_ylim(len(found.models) - 0.5, -0.5)
        axes.set_xlabel(name, color=QUIET)
    return picture


__all__ = ["page"]
