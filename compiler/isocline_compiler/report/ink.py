"""How every picture looks, and how a figure becomes bytes that are the same each time."""

from __future__ import annotations

import logging
import math
import re
import warnings
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from io import BytesIO, StringIO
from typing import Any, TypeAlias

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

logging.getLogger("matplotlib").setLevel(logging.ERROR)  # fonts it looks for in vain are not the reader's affair

Picture: TypeAlias = Any
"""A `matplotlib.figure.Figure`; the package has no types."""

INK, QUIET, RULE, PAPER = "#1d2733", "#5c6875", "#d8dde3", "#fdfdfc"
SERIES = ("#0069a8", "#c8500a", "#00805f", "#a8488c", "#a87400", "#3c8fc7")
"""Six hues that people with any colour vision tell apart (after Okabe and Ito, 2008), darkened to be read on white."""
DASHES = ("-", (0, (5, 2)), (0, (1.2, 1.4)), (0, (5, 1.5, 1.2, 1.5)))
MARKERS = ("o", "s", "^", "D", "v", "P")
WIDTH = 7.4
"""Inches; the page shows an inch as 100 pixels, so that letters of 9 points are 12.5 pixels high."""
LARGE = 400_000
"""An SVG with more characters than this is shown as a PNG instead."""

STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "isocline",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.titleweight": "normal",
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.labelsize": 9,
    "axes.labelcolor": QUIET,
    "axes.edgecolor": RULE,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.use_mathtext": False,
    "axes.unicode_minus": True,
    "grid.color": RULE,
    "grid.linewidth": 0.5,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": QUIET,
    "ytick.labelcolor": QUIET,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "xtick.minor.size": 2,
    "ytick.minor.size": 2,
    "xtick.minor.pad": 5,
    "ytick.minor.pad": 5,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "legend.labelcolor": INK,
    "text.color": INK,
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "axes.facecolor": "none",
}
FONT = "font-family: ui-sans-serif, system-ui, 'Segoe UI', 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@contextmanager
def inked() -> Iterator[None]:
    """The style, for figures made and written inside."""
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        # What a picture lacks is matplotlib's affair: it says so to who draws, and the reader of a build drew nothing.
        warnings.simplefilter("ignore", UserWarning)
        yield


def sheet(height: float, width: float = WIDTH) -> Picture:
    """An empty figure, in inches."""
    return Figure(figsize=(width, height), layout="constrained")


def powers(axis: Any) -> None:
    """Labels of a logarithmic axis: 10⁻³ over many decades, else 0.02, 0.05, 0.1."""
    low, high = sorted(axis.get_view_interval())
    if high / low > 300:
        axis.set_major_formatter(FuncFormatter(lambda value, _: power(value)))
        axis.set_minor_formatter(NullFormatter())
        return
    within = (2, 5) if high / low > 12 else (1.5, 2, 3, 4, 5, 7)
    axis.set_minor_locator(LogLocator(subs=within))
    for place in (axis.set_major_formatter, axis.set_minor_formatter):
        place(FuncFormatter(lambda value, _: short(value)))


def power(value: float) -> str:
    """A power of ten in letters: 0.001 is `10⁻³`."""
    return "10" + str(round(math.log10(value))).translate(SUPERSCRIPTS)


def short(value: float) -> str:
    """Three digits: `0.0123`, `6.1×10⁻⁴`, `12,400`."""
    if value == int(value) and abs(value) < 1e6:
        return f"{int(value):,}".replace("-", "−")
    text = f"{value:.3g}" if abs(value) >= 1e-3 else f"{value:.2e}"
    if "e" not in text:
        return text.replace("-", "−")
    mantissa, exponent = text.split("e")
    times = "" if float(mantissa) == 1 else f"{float(mantissa):g}×"
    return f"{times}10{str(int(exponent)).translate(SUPERSCRIPTS)}".replace("-", "−")


def to_svg(picture: Picture, background: str = "none") -> str:
    """A whole SVG file; equal figures give equal text."""
    stream = StringIO()
    with inked():
        metadata = {"Date": None, "Creator": None, "Format": None, "Type": None}
        picture.savefig(stream, format="svg", metadata=metadata, facecolor=background)
    text = re.sub(r"\n?\s*<metadata>.*?</metadata>", "", stream.getvalue(), flags=re.DOTALL)
    text = re.sub(r"font: (\S+) 'DejaVu Sans'[^;\"]*", rf"font-size: \1; {FONT}", text)
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def to_inline(picture: Picture, name: str, title: str) -> str:
    """The picture for the inside of a page: `name` keeps its ids apart from those of others, `title` is read aloud.

    Its colours become the page's variables, so that they follow light and dark.
    """
    whole = to_svg(picture)
    inner = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", whole[whole.index("<svg") :], flags=re.DOTALL)
    head, body = inner.split(">", 1)
    if len(body) > LARGE:
        return to_png(picture, title)
    box = re.search(r'viewBox="[^"]*"', head)
    assert box is not None
    width = round(100 * float(picture.get_figwidth()))
    used = set(re.findall(r'(?:url\(|xlink:href=")#([^)"]*)', body))
    body = re.sub(r' id="([^"]*)"', lambda found: f' id="{name}-{found[1]}"' if found[1] in used else "", body)
    body = re.sub(r"url\(#([^)]*)\)", rf"url(#{name}-\1)", body)
    body = re.sub(r'xlink:href="#([^"]*)"', rf'href="#{name}-\1"', body).replace('xlink:href="', 'href="')
    body = re.sub(r"(?<=[a-z]: )#[0-9a-f]{6}(?=[;\"])", lambda found: COLOURS.get(found[0], found[0]), body)
    label = escape(title)
    return f'<svg {box[0]} role="img" aria-label="{label}" style="max-width: {width}px">{body}'


def to_png(picture: Picture, title: str) -> str:
    """The picture as an image element with its bytes inside, for what would be too much SVG."""
    stream = BytesIO()
    with inked():
        picture.savefig(stream, format="png", dpi=200, facecolor=PAPER, metadata={"Software": None})
    width = round(100 * float(picture.get_figwidth()))
    data = b64encode(stream.getvalue()).decode()
    return f'<img alt="{escape(title)}" style="max-width: {width}px" src="data:image/png;base64,{data}">'


NAMES = ("ink", "quiet", "rule", "paper", *(f"series-{i}" for i in range(1, 7)))
LIGHT = dict(zip(NAMES, (INK, QUIET, RULE, PAPER, *SERIES), strict=True))
"""The page's variables on light paper: what the pictures are drawn with."""
DARK_INKS = ("#e4e8ec", "#a3adb8", "#39434e", "#14181d")
DARK_SERIES = ("#5cb3ee", "#f58a4b", "#3fc49a", "#dd8bc4", "#dfb04a", "#9ad2f5")
DARK = dict(zip(NAMES, (*DARK_INKS, *DARK_SERIES), strict=True))
"""The same on dark paper."""
COLOURS = {colour: f"var(--{name})" for name, colour in LIGHT.items()}
