"""A graph as a drawing: SVG that needs no other program, and no font of its own.

Source: W3C, "Scalable Vector Graphics (SVG) 1.1".
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.sax.saxutils import escape, quoteattr

from stackr.cli.views.graph import SHADES, Edge, Graph, Node, drawn
from stackr.cli.views.graph_layout import LINE_HEIGHT, Box, layout

__all__ = ["graph_svg"]

_STYLE = """\
text { font: 13px sans-serif; fill: #1f2328 }
.name { font-weight: bold }
.detail, .label { font-size: 11px; fill: #57606a }
.label { paint-order: stroke; stroke: #ffffff; stroke-width: 4px; text-anchor: middle }
.node { stroke: #57606a; fill: #ffffff }
.frame { stroke: #8c959f; stroke-dasharray: 6 4; fill: #f6f8fa }
.edge { stroke: #57606a; fill: none; marker-end: url(#arrow) }
.weak { stroke-dasharray: 6 4 }
.uses { stroke-dasharray: 2 4 }
"""
_ARROW = (
    '<marker id="arrow" viewBox="0 0 10 10" refX="10" refY="5" markerWidth="7" markerHeight="7" '
    'orient="auto"><path d="M 0 0 L 10 5 L 0 10 z" fill="#57606a"/></marker>'
)


def graph_svg(graph: Graph) -> str:
    """Raises InvalidArgument for a graph with a cycle."""
    graph = drawn(graph)
    made = layout(graph)
    size = f"{made.width:.0f} {made.height:.0f}"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" '
            f'width="{made.width:.0f}" height="{made.height:.0f}">',
            f"<title>{_text(graph.name)}</title>",
            f"<defs>{_ARROW}<style>{_STYLE}</style></defs>",
            '<rect width="100%" height="100%" fill="#ffffff"/>',
            *(line for label, box in made.frames for line in _frame(label, box)),
            *(_edge(e, made.boxes[e.source], made.boxes[e.target]) for e in graph.edges),
            *(line for node in graph.nodes for line in _node(node, made.boxes[node.id])),
            *(
                _label(e, made.boxes[e.source], made.boxes[e.target])
                for e in graph.edges
                if e.label
            ),
            "</svg>",
            "",
        ]
    )


def _text(text: str) -> str:
    """XML has no control characters, not even escaped."""
    return escape("".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text))


def _frame(label: str, box: Box) -> Iterator[str]:
    yield _rect(box, "frame", 8)
    yield f'<text x="{box.x + 10:.1f}" y="{box.y + 17:.1f}">{_text(label)}</text>'


def _rect(box: Box, kind: str, radius: float, fill: str = "") -> str:
    style = f" style={quoteattr(f'fill: {fill}')}" if fill else ""
    return (
        f'<rect class="{kind}" x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" '
        f'height="{box.height:.1f}" rx="{radius:g}"{style}/>'
    )


def _node(node: Node, box: Box) -> Iterator[str]:
    radius = 4 if node.kind in ("service", "operation") else box.height / 2
    yield _rect(box, "node", radius, SHADES.get(node.shade, ""))
    middle = box.x + box.width / 2
    for place, line in enumerate((node.name, *node.details)):
        kind = "detail" if place else "name"
        y = box.y + LINE_HEIGHT * (place + 1) + 1
        yield (
            f'<text class="{kind}" x="{middle:.1f}" y="{y:.1f}" text-anchor="middle">'
            f"{_text(line)}</text>"
        )


def _edge(edge: Edge, source: Box, target: Box) -> str:
    kind = " weak" if edge.is_weak else " uses" if edge.kind in ("network", "volume") else ""
    x, y = source.x + source.width, source.y + source.height / 2
    to_y, bend = target.y + target.height / 2, max((target.x - x) / 2, 20)
    return (
        f'<path class="edge{kind}" d="M {x:.1f} {y:.1f} C {x + bend:.1f} {y:.1f} '
        f'{target.x - bend:.1f} {to_y:.1f} {target.x:.1f} {to_y:.1f}"/>'
    )


def _label(edge: Edge, source: Box, target: Box) -> str:
    x = (source.x + source.width + target.x) / 2
    y = (source.y + source.height / 2 + target.y + target.height / 2) / 2 - 4
    return f'<text class="label" x="{x:.1f}" y="{y:.1f}">{_text(edge.label)}</text>'
