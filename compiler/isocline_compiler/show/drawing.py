"""A graph as a picture: boxes in layers, arguments above uses, one panel for the graph and one for each field."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from itertools import pairwise
from typing import Any, TypeAlias

import networkx as nx

from isocline_compiler.graph import ARGUMENT, CONSTANT, INPUT, WEIGHT, Graph, Node, Op, Region, regions_of, topological
from isocline_compiler.graph.scan import SCAN
from isocline_compiler.graph.solve import PICK, SOLVE, spec_of
from isocline_compiler.graph.text_form import attribute, literal
from isocline_compiler.ops.arithmetic import ARITHMETIC
from isocline_compiler.ops.comparison import CAST, CLIP, WHERE
from isocline_compiler.ops.convolution import CONV, CONV_TRANSPOSE
from isocline_compiler.ops.indexing import INDEXING
from isocline_compiler.ops.linear import LINEAR_MAPS
from isocline_compiler.ops.normalisation import LOGSUMEXP, SOFTMAX
from isocline_compiler.ops.reduction import REDUCTION
from isocline_compiler.ops.shaping import SHAPING

Place: TypeAlias = tuple[float, float]

LIMIT = 300
"""More boxes than this are not read by anybody."""
SWEEPS = 8
PASSAGE = 0.27
"""Half of the height over which an arrow stays upright between boxes, in inches."""
ROW, GAP, LETTER, LINE, BEND, MARGIN = 0.95, 0.2, 0.085, 0.19, 0.04, 0.5
"""Inches: between layers, between boxes, a letter's width, a line's height, the room of an arrow, the page's margin."""

COLOURS: Mapping[str, str] = {
    "input": "#dbeafe",
    "output": "#dcfce7",
    "solve": "#fbcfe8",
    "arithmetic": "#f3f4f6",
    "linear": "#ede9fe",
    "reduction": "#ffedd5",
    "shape": "#e5e7eb",
    "function": "#cffafe",
}

FAMILIES: Mapping[str, Collection[Op]] = {
    "input": (INPUT, ARGUMENT),
    "solve": (SOLVE, PICK, SCAN),
    "arithmetic": (*ARITHMETIC, WHERE, CLIP),
    "linear": (*LINEAR_MAPS, CONV, CONV_TRANSPOSE),
    "reduction": (*REDUCTION, SOFTMAX, LOGSUMEXP),
    "shape": (*SHAPING, *INDEXING, CAST),
}
"""The operations of a colour; those of none are functions."""


@dataclass(frozen=True)
class Panel:
    """One graph to draw: its structure (keys are integers in topological order) and how many boxes were left out."""

    title: str
    structure: nx.DiGraph[int]
    total: int

    @property
    def caption(self) -> str:
        drawn = self.structure.number_of_nodes()
        if drawn == self.total:
            return self.title
        return f"{self.title}: {drawn} of {self.total} nodes are drawn; {self.total - drawn} are left out"


def to_svg(graph: Graph, limit: int = LIMIT) -> str:
    """The picture as SVG text, the same bytes for the same graph.

    Constants and weights are written into the boxes that use them. Of a panel with more than `limit` boxes the first in
    topological order are drawn, and its caption says how many are left out.
    """
    panels = [_panel(graph.name, list(graph.outputs.values()), list(graph.outputs), limit)]
    for node in graph.nodes():
        panels += [_field_panel(node, region, limit) for region in regions_of(node)]
    return _render(panels)


def _field_panel(node: Node, region: Region, limit: int) -> Panel:
    """The slopes of a field's states; of a loop the next states, and what is stacked."""
    if node.op is SCAN:
        name, states = node.op.name, [str(a.attrs["name"]) for a in region.arguments[: node.attrs["states"]]]
    else:
        name, states = spec_of(node).field, [state.name for state in spec_of(node).states]
    labels = [f"next {state}" if node.op is SCAN else f"{state}'" for state in states]
    labels += [f"row {i}" for i in range(len(region.results) - len(states))]
    return _panel(
        f"{name}({', '.join(a.attrs['name'] for a in region.arguments)})", list(region.results), labels, limit
    )


def _panel(title: str, roots: Sequence[Node], names: Sequence[str], limit: int) -> Panel:
    """Boxes for the nodes and the named results, arrows from arguments to uses."""
    structure: nx.DiGraph[int] = nx.DiGraph()
    nodes = [node for node in topological(roots) if not _inlined(node)]
    keys = {node: key for key, node in enumerate(nodes)}
    for node, key in keys.items():
        _add_box(structure, key, _family(node), _lines(node))
        structure.add_edges_from((keys[item], key) for item in node.inputs if item in keys)
    for place, (name, root) in enumerate(zip(names, roots, strict=True), start=len(nodes)):
        _add_box(structure, place, "output", (name if root in keys else f"{name} {_value(root)}", str(root.type)))
        structure.add_edges_from((keys[item], place) for item in (root,) if item in keys)
    total = structure.number_of_nodes()
    return Panel(title, structure.subgraph(range(limit)).copy(), total)


def _add_box(structure: nx.DiGraph[int], key: int, family: str, lines: tuple[str, ...]) -> None:
    width = max(0.8, LETTER * max(map(len, lines)) + 0.2)
    structure.add_node(key, family=family, lines=lines, width=width)


def _inlined(node: Node) -> bool:
    """Written into the box that uses it: a weight is used at every step, and its arrows would hide everything else."""
    return node.op is CONSTANT or node.op is WEIGHT


def _family(node: Node) -> str:
    return next((family for family, ops in FAMILIES.items() if node.op in ops), "function")


def _lines(node: Node) -> tuple[str, ...]:
    """What stands in the box: the operation or the name, then the type."""
    if node.op is INPUT or node.op is ARGUMENT:
        return str(node.attrs["name"]), str(node.type)
    types = ", ".join(dict.fromkeys(map(str, node.types)))
    if "spec" in node.attrs:
        return f"{node.op.name} {spec_of(node).name}", _short(attribute(spec_of(node).interval)), types
    return _short(f"{node.op.name} {_details(node)}".strip()), types


def _details(node: Node) -> str:
    """Constants and weights in their places among the arguments, and the attributes that are not types."""
    shown = _places(node.inputs) if any(map(_inlined, node.inputs)) else []
    attributes = [
        f"{key}={attribute(value)}" for key, value in sorted(node.attrs.items()) if key not in ("of", "shape")
    ]
    return " ".join([*shown, *attributes])


def _places(arguments: Sequence[Node]) -> list[str]:
    return [_value(item) if _inlined(item) else "·" for item in arguments]


def _value(node: Node) -> str:
    """Four digits of a number are enough for a picture."""
    if node.op is WEIGHT:
        return f"@{node.attrs['name']}"
    value = node.attrs["value"]
    return f"{value:.4g}" if value.shape == () and value.dtype.kind == "f" else literal(value)


def _short(text: str, most: int = 34) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


# ---------------------------------------------------------------------------------------------------- layout


@dataclass(frozen=True)
class Layout:
    """Centres of the boxes in inches, and for each arrow the points it passes between its ends."""

    boxes: Mapping[int, Place]
    bends: Mapping[tuple[int, int], tuple[Place, ...]]


def layout(structure: nx.DiGraph[int]) -> Layout:
    """Layers are topological generations; in a layer the order follows the neighbours; arrows make way for boxes.

    Sugiyama, Tagawa, Toda (1981), IEEE Trans. SMC 11, 109-125: longest-path layers, a bend wherever an arrow crosses a
    layer, barycentre sweeps down and up.
    """
    depths = _depths(structure)
    refined, chains = _with_bends(structure, depths)
    layers: list[list[int]] = [[] for _ in range(max(depths.values()) + 1)]
    for key in refined:
        layers[refined.nodes[key]["depth"]].append(key)
    across = {key: x for layer in layers for key, x in _packed(refined, layer).items()}
    for sweep in range(SWEEPS):
        near = refined.predecessors if sweep % 2 == 0 else refined.successors
        for layer in layers if sweep % 2 == 0 else reversed(layers):
            across |= _aligned(
                refined, layer, {key: _mean([across[n] for n in near(key)], across[key]) for key in layer}
            )
    places = {key: (across[key], -ROW * refined.nodes[key]["depth"]) for key in refined}
    bends = {edge: tuple(places[key] for key in chain) for edge, chain in chains.items()}
    return Layout({key: places[key] for key in structure}, bends)


def _depths(structure: nx.DiGraph[int]) -> dict[int, int]:
    """The layer of each box; those without arguments move down to just above their first use: short arrows."""
    layers = [sorted(layer) for layer in nx.topological_generations(structure)]
    depths = {key: depth for depth, layer in enumerate(layers) for key in layer}
    for key in layers[0]:
        depths[key] = min((depths[use] - 1 for use in structure.successors(key)), default=0)
    return depths


def _with_bends(
    structure: nx.DiGraph[int], depths: Mapping[int, int]
) -> tuple[nx.DiGraph[int], dict[tuple[int, int], list[int]]]:
    """The structure with a thin vertex wherever an arrow crosses a layer, and those vertices by arrow."""
    refined: nx.DiGraph[int] = nx.DiGraph()
    for key in structure:
        refined.add_node(key, depth=depths[key], width=structure.nodes[key]["width"])
    chains: dict[tuple[int, int], list[int]] = {}
    fresh = max(structure) + 1
    for source, target in structure.edges:
        crossed = range(depths[source] + 1, depths[target])
        chain = list(range(fresh, fresh + len(crossed)))
        fresh += len(chain)
        refined.add_nodes_from(
            (key, {"depth": depth, "width": BEND}) for key, depth in zip(chain, crossed, strict=True)
        )
        nx.add_path(refined, [source, *chain, target])
        chains[source, target] = chain
    return refined, chains


def _mean(values: Sequence[float], default: float) -> float:
    return sum(values) / len(values) if values else default


def _packed(structure: nx.DiGraph[int], layer: Sequence[int]) -> dict[int, float]:
    """Side by side, centred on zero."""
    widths = [structure.nodes[key]["width"] + GAP for key in layer]
    left = -sum(widths) / 2
    places = {}
    for key, width in zip(layer, widths, strict=True):
        places[key], left = left + width / 2, left + width
    return places


def _aligned(structure: nx.DiGraph[int], layer: Sequence[int], wish: Mapping[int, float]) -> dict[int, float]:
    """Each box as near as possible (least squares) to where it wishes to be, in that order, none over another.

    Isotonic regression by pooling adjacent violators.
    """
    order = sorted(layer, key=lambda key: (wish[key], key))
    packed = _packed(structure, order)
    blocks: list[tuple[float, int]] = []
    for key in order:
        blocks.append((wish[key] - packed[key], 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (a, n), (b, m) = blocks[-2:]
            blocks[-2:] = [((a * n + b * m) / (n + m), n + m)]
    offsets = [offset for offset, count in blocks for _ in range(count)]
    return {key: packed[key] + offset for key, offset in zip(order, offsets, strict=True)}


# ---------------------------------------------------------------------------------------------------- drawing


def _render(panels: Sequence[Panel]) -> str:
    """All panels below each other. Text stays text; no date and a fixed salt, so that equal graphs give equal bytes."""
    import matplotlib as mpl  # here, and not above: it is slow to load, and most compilations draw nothing
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "isocline", "svg.fonttype": "none", "font.family": "DejaVu Sans Mono"}):
        figure = Figure()
        FigureCanvasSVG(figure)
        _fill(figure, panels)
        page = StringIO()
        figure.savefig(page, format="svg", metadata={"Date": None, "Creator": "isocline"})
    return page.getvalue()


def _fill(figure: Any, panels: Sequence[Panel]) -> None:
    """Draw on a page of the size that the drawing needs."""
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    top, half = 0.0, 2.0
    for panel in panels:
        top, half = _draw_panel(axes, panel, top, half)
    axes.set_xlim(-half - MARGIN, half + MARGIN)
    axes.set_ylim(top + ROW / 4, MARGIN)
    figure.set_size_inches(2 * (half + MARGIN), MARGIN - top - ROW / 4)


def _draw_panel(axes: Any, panel: Panel, top: float, half: float) -> tuple[float, float]:
    """Draw below `top` and centred; gives where the next panel may start, and half the width needed so far."""
    axes.text(0, top, panel.caption, ha="center", va="center", fontsize=12, weight="bold", color="#111827")
    found, nodes = layout(panel.structure), panel.structure.nodes
    left = min(x - nodes[key]["width"] / 2 for key, (x, _) in found.boxes.items())
    right = max(x + nodes[key]["width"] / 2 for key, (x, _) in found.boxes.items())
    bends = [x for points in found.bends.values() for x, _ in points]
    centre, drop = (left + right) / 2, top - 0.8 * ROW

    def moved(place: Place) -> Place:
        return place[0] - centre, place[1] + drop

    boxes = {key: moved(place) for key, place in found.boxes.items()}
    for (source, target), points in found.bends.items():
        _draw_arrow(axes, boxes[source], [moved(point) for point in points], boxes[target], nodes, source, target)
    for key, place in boxes.items():
        _draw_box(axes, nodes[key], place)
    half = max([half, LETTER * 0.7 * len(panel.caption), (right - left) / 2, *(abs(x - centre) for x in bends)])
    return min(y for _, y in boxes.values()) - ROW, half


def _height(data: Mapping[str, Any]) -> float:
    return LINE * len(data["lines"]) + 0.16


def _draw_arrow(
    axes: Any, start: Place, bends: Sequence[Place], end: Place, nodes: Any, source: int, target: int
) -> None:
    """A curve that leaves downwards, passes the bends upright and arrives from above."""
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path

    first = (start[0], start[1] - _height(nodes[source]) / 2)
    last = (end[0], end[1] + _height(nodes[target]) / 2 + 0.02)
    ends = [first, *(end for x, y in bends for end in ((x, y + PASSAGE), (x, y - PASSAGE))), last]
    points, codes = [first], [Path.MOVETO]
    for (x0, y0), (x1, y1) in pairwise(ends):
        points += [(x0, y0 + 0.5 * (y1 - y0)), (x1, y1 - 0.5 * (y1 - y0)), (x1, y1)]
        codes += [Path.CURVE4] * 3
    patch = FancyArrowPatch(
        path=Path(points, codes), arrowstyle="-|>", mutation_scale=8, color="#6b7280", linewidth=0.8
    )
    axes.add_patch(patch)


def _draw_box(axes: Any, data: Mapping[str, Any], place: Place) -> None:
    """A box with its first line large, the others small and grey below it."""
    from matplotlib.patches import FancyBboxPatch

    (x, y), width, height, lines = place, data["width"], _height(data), data["lines"]
    box = FancyBboxPatch(
        (x - width / 2, y - height / 2), width, height, boxstyle="round,pad=0,rounding_size=0.08",
        facecolor=COLOURS[data["family"]], edgecolor="#374151", linewidth=0.9,
    )  # fmt: skip
    axes.add_patch(box)
    for index, line in enumerate(lines):
        style = {"fontsize": 8.5, "color": "#111827"} if index == 0 else {"fontsize": 7, "color": "#4b5563"}
        axes.text(x, y + ((len(lines) - 1) / 2 - index) * LINE, line, ha="center", va="center", **style)
