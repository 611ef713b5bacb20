"""A graph of named things, and its forms: a tree for terminals, Graphviz, Mermaid, JSON.

An edge leads from what needs something to what it needs, or, in a plan, from what is done first to
what follows it: from a node to what a tree shows below it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from stackr.cli.views.output import Output

__all__ = [
    "SHADES",
    "Edge",
    "Frame",
    "Graph",
    "Node",
    "drawn",
    "graph_dot",
    "graph_json",
    "graph_mermaid",
    "graph_tree",
]

JSON_VERSION = 1
_KIND_STYLES: Mapping[str, tuple[str, ...]] = {
    "service": ("bold",),
    "network": ("cyan",),
    "volume": ("yellow",),
    "operation": ("bold",),
}
_DOT_SHAPES = {"service": "box", "network": "ellipse", "volume": "cylinder", "operation": "box"}
_MERMAID_SHAPES = {
    "service": ("[", "]"),
    "network": ("([", "])"),
    "volume": ("[(", ")]"),
    "operation": ("[", "]"),
}


SHADES: Mapping[str, str] = {
    "create": "#d3f9d8",
    "start": "#e6fcf5",
    "change": "#fff3bf",
    "remove": "#ffe3e3",
    "image": "#d0ebff",
    "wait": "#f1f3f5",
}
"""What is done with a node, and the colour that tells it."""


@dataclass(frozen=True, slots=True)
class Node:
    """kind: service, network, volume or operation. details: more about it, a line each.

    properties: for JSON, with keys of its kind. shade: of `SHADES`, or "".
    """

    id: str
    kind: str
    name: str
    details: tuple[str, ...] = ()
    properties: Mapping[str, Any] = field(default_factory=dict)
    shade: str = ""


@dataclass(frozen=True, slots=True)
class Frame:
    """Nodes that a drawing has a frame around, each in one frame at most."""

    label: str
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Edge:
    """label: the condition of a dependency, a path in the container, or "". is_weak: optional."""

    source: str
    target: str
    kind: str
    label: str = ""
    is_weak: bool = False


@dataclass(frozen=True, slots=True)
class Graph:
    """nodes, edges: in the order in which they are shown."""

    name: str
    nodes: Sequence[Node]
    edges: Sequence[Edge]
    frames: Sequence[Frame] = ()


# --- a tree ------------------------------------------------------------------------------------


def graph_tree(graph: Graph, output: Output) -> Iterator[str]:
    """Each node once with what is below it; where it comes again, a mark says so.

    Nodes that nothing leads to stand at the left. Written without recursion, as a chain of
    dependencies may be longer than Python's stack.
    """
    nodes = {node.id: node for node in graph.nodes}
    below: dict[str, list[Edge]] = {node.id: [] for node in graph.nodes}
    for each in graph.edges:
        below[each.source].append(each)
    reached = {each.target for each in graph.edges}
    yield output.paint(graph.name, "bold")
    tops = [node.id for node in graph.nodes if node.id not in reached]
    shown: set[str] = set()
    stack: list[tuple[Edge | None, str, str, bool]] = []
    for top in reversed(tops):
        stack.append((None, top, "", top == tops[-1]))
    while stack:
        edge, id, indent, is_last = stack.pop()
        is_again = id in shown and bool(below[id])
        shown.add(id)
        yield f"{indent}{'└─ ' if is_last else '├─ '}{_line(nodes[id], edge, is_again, output)}"
        if is_again:
            continue
        inner = indent + ("   " if is_last else "│  ")
        last = len(below[id]) - 1
        stack += [
            (down, down.target, inner, place == last) for place, down in enumerate(below[id])
        ][::-1]


def _line(node: Node, edge: Edge | None, is_again: bool, output: Output) -> str:
    kind = "" if node.kind in ("service", "operation") else f"{node.kind} "
    parts = [kind + output.paint(node.name, *_KIND_STYLES.get(node.kind, ()))]
    if edge is not None and edge.label:
        parts.append(f"({edge.label}{', optional' if edge.is_weak else ''})")
    elif edge is not None and edge.is_weak:
        parts.append("(optional)")
    if is_again:
        parts.append(output.paint("… see above", "dim"))
    else:
        parts += [output.paint(detail, "dim") for detail in node.details]
    return "  ".join(parts)


# --- drawings ----------------------------------------------------------------------------------


def drawn(graph: Graph) -> Graph:
    """The graph as it is drawn: what a frame shows takes no arrow, and no node of its own."""
    frame_of = {id: frame.label for frame in graph.frames for id in frame.members}
    edges = [
        edge
        for edge in graph.edges
        if edge.label or edge.kind != "network" or not _is_inside(edge, frame_of)
    ]
    reached = {edge.target for edge in edges}
    nodes = [
        n for n in graph.nodes if n.id in reached or n.id not in frame_of or n.kind != "network"
    ]
    kept = {node.id for node in nodes}
    frames = [
        replace(frame, members=tuple(id for id in frame.members if id in kept))
        for frame in graph.frames
    ]
    return replace(graph, nodes=nodes, edges=edges, frames=frames)


def _is_inside(edge: Edge, frame_of: Mapping[str, str]) -> bool:
    frame = frame_of.get(edge.source)
    return frame is not None and frame == frame_of.get(edge.target)


def graph_dot(graph: Graph) -> str:
    """Source: Graphviz, "DOT Language"."""
    graph = drawn(graph)
    lines = [f"digraph {_dot_text(graph.name)} {{", "  rankdir=LR;", "  node [fontname=sans];"]
    for node in graph.nodes:
        shape = _DOT_SHAPES.get(node.kind, "box")
        label = _dot_text("\n".join((node.name, *node.details)))
        fill = f', style=filled, fillcolor="{SHADES[node.shade]}"' if node.shade else ""
        lines.append(f"  {_dot_text(node.id)} [label={label}, shape={shape}{fill}];")
    for place, frame in enumerate(graph.frames):
        members = " ".join(f"{_dot_text(id)};" for id in frame.members)
        label = _dot_text(frame.label)
        lines.append(f"  subgraph cluster_{place} {{ label={label}; style=dashed; {members} }}")
    for edge in graph.edges:
        attributes = [f"label={_dot_text(edge.label)}"] if edge.label else []
        if edge.is_weak or edge.kind in ("network", "volume"):
            attributes.append("style=dashed" if edge.is_weak else "style=dotted")
        rest = f" [{', '.join(attributes)}]" if attributes else ""
        lines.append(f"  {_dot_text(edge.source)} -> {_dot_text(edge.target)}{rest};")
    return "\n".join([*lines, "}", ""])


def _dot_text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def graph_mermaid(graph: Graph) -> str:
    """Source: Mermaid, "Flowcharts - Basic Syntax"."""
    graph = drawn(graph)
    ids = {node.id: f"n{place}" for place, node in enumerate(graph.nodes)}
    lines = ["flowchart LR"]
    for node in graph.nodes:
        left, right = _MERMAID_SHAPES.get(node.kind, ("[", "]"))
        label = _mermaid_text("\n".join((node.name, *node.details)))
        lines.append(f"  {ids[node.id]}{left}{label}{right}")
    for place, frame in enumerate(graph.frames):
        members = "; ".join(ids[id] for id in frame.members)
        lines += [f"  subgraph f{place}[{_mermaid_text(frame.label)}]", f"    {members}", "  end"]
    for edge in graph.edges:
        arrow = "-.->" if edge.is_weak or edge.kind in ("network", "volume") else "-->"
        label = f"|{_mermaid_text(edge.label)}|" if edge.label else ""
        lines.append(f"  {ids[edge.source]} {arrow}{label} {ids[edge.target]}")
    for shade, colour in SHADES.items():
        shaded = ",".join(ids[node.id] for node in graph.nodes if node.shade == shade)
        if shaded:
            lines += [f"  classDef {shade} fill:{colour}", f"  class {shaded} {shade}"]
    return "\n".join([*lines, ""])


def _mermaid_text(text: str) -> str:
    """Between quotes, where only entities are read."""
    escaped = text.replace("&", "#amp;").replace('"', "#quot;").replace("<", "#lt;")
    return f'"{escaped.replace(">", "#gt;").replace(chr(10), "<br>")}"'


def graph_json(graph: Graph) -> str:
    """`version` counts incompatible changes of this form."""
    value = {
        "version": JSON_VERSION,
        "project": graph.name,
        "nodes": [
            {"id": node.id, "kind": node.kind, "name": node.name, **node.properties}
            for node in graph.nodes
        ],
        "edges": [
            {
                "from": edge.source,
                "to": edge.target,
                "kind": edge.kind,
                "label": edge.label,
                "optional": edge.is_weak,
            }
            for edge in graph.edges
        ],
    }
    return json.dumps(value, indent=2, ensure_ascii=False)
