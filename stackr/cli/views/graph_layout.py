"""Where the nodes of a graph stand in a drawing: columns from left to right, a band for each frame.

A node stands right of all that leads to it. Within a band, those of a column are in the order of
what leads to them, which keeps most edges from crossing. Units are those of SVG. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from stackr.cli.views.graph import Graph, Node
from stackr.planner.plan.graph import digraph, generations

__all__ = ["Box", "Layout", "layout"]

NAME_WIDTH, DETAIL_WIDTH = 8.2, 6.6
"""Of a letter of a node's name, and of a line below it: ample for the fonts of most machines."""
LINE_HEIGHT = 16
_PADDING = 12
_ROW_GAP = 18
_COLUMN_GAP = 130
_BAND_GAP = 24
_FRAME = 26
"""Room between a frame and what is in it; its label stands there."""


@dataclass(frozen=True, slots=True)
class Box:
    """x, y: the upper left corner."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Layout:
    """boxes: by node. frames: each with its label."""

    boxes: Mapping[str, Box]
    frames: Sequence[tuple[str, Box]]
    width: float
    height: float


def layout(graph: Graph) -> Layout:
    """Raises InvalidArgument for a graph with a cycle."""
    columns = _columns(graph)
    sizes = {node.id: _size(node) for node in graph.nodes}
    x = _places(columns, sizes)
    boxes: dict[str, Box] = {}
    frames: list[tuple[str, Box]] = []
    top = float(_BAND_GAP)
    for label, members in _bands(graph):
        room = _FRAME if label else 0
        bottom = _fill_band(graph, columns, members, sizes, x, top + room, boxes)
        if label:
            frames.append((label, _around([boxes[id] for id in members], top, bottom + room)))
        top = bottom + room + _BAND_GAP
    right = max((box.x + box.width for box in boxes.values()), default=0.0)
    return Layout(boxes, frames, right + _FRAME + _BAND_GAP, top)


def _columns(graph: Graph) -> list[list[str]]:
    needs: dict[str, list[str]] = {node.id: [] for node in graph.nodes}
    for edge in graph.edges:
        needs[edge.target].append(edge.source)
    places = {id: place for place, id in enumerate(needs)}
    return [sorted(ids, key=places.__getitem__) for ids in generations(digraph(needs))]


def _size(node: Node) -> tuple[float, float]:
    widths = [len(node.name) * NAME_WIDTH, *(len(line) * DETAIL_WIDTH for line in node.details)]
    return max(widths) + 2 * _PADDING, LINE_HEIGHT * (1 + len(node.details)) + _PADDING


def _places(
    columns: Iterable[Iterable[str]], sizes: Mapping[str, tuple[float, float]]
) -> dict[str, float]:
    """The left edge of each node: that of its column."""
    found: dict[str, float] = {}
    left = float(_FRAME + _BAND_GAP)
    for ids in columns:
        widest = 0.0
        for id in ids:
            found[id], widest = left, max(widest, sizes[id][0])
        left += widest + _COLUMN_GAP
    return found


def _bands(graph: Graph) -> list[tuple[str, list[str]]]:
    """Each frame with its nodes, then those that are in none, without a label."""
    framed = {id for frame in graph.frames for id in frame.members}
    loose = [node.id for node in graph.nodes if node.id not in framed]
    bands = [(frame.label, list(frame.members)) for frame in graph.frames if frame.members]
    return [*bands, *([("", loose)] if loose else [])]


def _fill_band(
    graph: Graph,
    columns: Iterable[Iterable[str]],
    members: Sequence[str],
    sizes: Mapping[str, tuple[float, float]],
    x: Mapping[str, float],
    top: float,
    boxes: dict[str, Box],
) -> float:
    """Stack the band's nodes of each column; where the band ends."""
    before: dict[str, list[str]] = {}
    for edge in graph.edges:
        before.setdefault(edge.target, []).append(edge.source)

    def height_of_sources(id: str) -> float:
        return fmean([boxes[s].y for s in before.get(id, ()) if s in boxes] or [top])

    inside, lowest = set(members), top
    for ids in columns:
        y = top
        for id in sorted(inside.intersection(ids), key=lambda id: (height_of_sources(id), id)):
            width, height = sizes[id]
            boxes[id] = Box(x[id], y, width, height)
            y += height + _ROW_GAP
        lowest = max(lowest, y - _ROW_GAP)
    return lowest


def _around(boxes: Sequence[Box], top: float, bottom: float) -> Box:
    left = min(box.x for box in boxes) - _FRAME
    right = max(box.x + box.width for box in boxes) + _FRAME
    return Box(left, top, right - left, bottom - top)
