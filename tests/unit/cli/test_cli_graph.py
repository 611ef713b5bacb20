"""`stackr graph`: stacks and plans as graphs, and the graphs' forms."""

from __future__ import annotations

import io
import json
from itertools import combinations
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from fake_runtime import image
from hypothesis import given, settings
from hypothesis import strategies as st
from planning import needs, plan_for, port, service, stack

from stackr.cli.main import run
from stackr.cli.stack_graph import plan_graph, stack_graph
from stackr.cli.views.graph import (
    SHADES,
    Edge,
    Frame,
    Graph,
    Node,
    drawn,
    graph_dot,
    graph_json,
    graph_mermaid,
    graph_tree,
)
from stackr.cli.views.graph_layout import Box, layout
from stackr.cli.views.graph_svg import graph_svg
from stackr.cli.views.output import Output
from stackr.planner.observe.observed import Observed
from stackr.planner.plan.model import Action, Operation, Plan, Resource
from stackr.planner.plan.payloads import Delay
from stackr.spec.model.mounts import ServiceVolume
from stackr.spec.model.network import Network
from stackr.spec.model.service import ServiceNetwork
from stackr.spec.model.volume import Volume

PLAIN = Output(io.StringIO(), is_terminal=False, colour=False)
PROJECT = stack(
    {
        "web": service(
            depends_on={
                **needs("db", condition="service_healthy", restart=True),
                **needs("cache", required=False),
            },
            networks={"front": ServiceNetwork(aliases=("www",)), "back": None},
            ports=(port(80, "8080", host_ip="127.0.0.1"), port(443)),
            scale=3,
        ),
        "db": service(
            networks={"back": None},
            volumes=(
                ServiceVolume(type="volume", source="data", target="/data", read_only=True),
                ServiceVolume(type="bind", source="/etc", target="/x"),
            ),
        ),
        "cache": service(networks={"back": None}),
    },
    networks={"front": Network(name="demo_front"), "back": Network(name="shared", external=True)},
    volumes={"data": Volume(name="demo_data"), "unused": Volume(name="u")},
)
TREE = """\
demo
└─ web  app  3 replicas  127.0.0.1:8080->80/tcp  443/tcp
   ├─ cache  (service_started, optional)  app
   │  └─ network back  external
   ├─ db  (service_healthy, restarts with it)  app
   │  ├─ network back  external
   │  └─ volume data  (/data, read-only)
   ├─ network back  external
   └─ network front  (www)
"""


def tree(graph: Graph) -> str:
    return "".join(f"{line}\n" for line in graph_tree(graph, PLAIN))


def test_a_stack_as_a_tree() -> None:
    assert tree(stack_graph(PROJECT)) == TREE


def test_a_shared_part_is_shown_once() -> None:
    chain = stack(
        {
            "a": service(depends_on=needs("c")),
            "b": service(depends_on=needs("c")),
            "c": service(network_mode="none"),
        }
    )
    assert tree(stack_graph(chain)).splitlines()[1:] == [
        "├─ a  app",
        "│  ├─ c  (service_started)  app",
        "│  └─ network default",
        "└─ b  app",
        "   ├─ c  (service_started)  app",
        "   └─ network default",
    ]
    nodes = [Node(name, "service", name) for name in "abcd"]
    edges = [Edge(source, target, "k") for source, target in ("ac", "bc", "cd")]
    assert tree(Graph("x", nodes, edges)).splitlines()[-1] == "   └─ c  … see above"


def test_a_long_chain_needs_no_recursion() -> None:
    nodes = [Node(str(n), "service", f"s{n}") for n in range(5000)]
    edges = [Edge(str(n), str(n + 1), "depends_on") for n in range(4999)]
    assert len(tree(Graph("long", nodes, edges)).splitlines()) == 5001


def test_a_plan_as_a_graph() -> None:
    observed = Observed("demo", images={"app": image("app")})
    graph = plan_graph(plan_for(stack({"web": service(), "db": service()}), observed))
    lines = tree(graph).splitlines()
    assert lines[1].startswith("└─ #1 create network demo_default")
    assert [line.strip("│├└─ ").split("  ")[0] for line in lines[2:]] == [
        "#2 create container demo-db-1",
        "#4 start container demo-db-1",
        "#3 create container demo-web-1",
        "#5 start container demo-web-1",
    ]


def test_json() -> None:
    value = json.loads(graph_json(stack_graph(PROJECT)))
    assert (value["version"], value["project"]) == (1, "demo")
    nodes = {node["id"]: node for node in value["nodes"]}
    assert nodes["service:web"]["replicas"] == 3
    assert nodes["network:back"] == {
        **{"id": "network:back", "kind": "network", "name": "back"},
        **{"engine_name": "shared", "external": True, "internal": False},
    }
    assert "volume:unused" not in nodes
    assert {
        **{"from": "service:web", "to": "service:cache", "kind": "depends_on"},
        **{"label": "service_started", "optional": True},
    } in value["edges"]


HOSTILE = Graph(
    'a"b\\',
    [Node('n"1', "service", 'x"]; evil\\', ("<b>&\n",)), Node("n2", "other", "y")],
    [Edge('n"1', "n2", "k", '"|', is_weak=True)],
)


def test_dot_escapes() -> None:
    assert graph_dot(HOSTILE).splitlines() == [
        'digraph "a\\"b\\\\" {',
        "  rankdir=LR;",
        "  node [fontname=sans];",
        '  "n\\"1" [label="x\\"]; evil\\\\\\n<b>&\\n", shape=box];',
        '  "n2" [label="y", shape=box];',
        '  "n\\"1" -> "n2" [label="\\"|", style=dashed];',
        "}",
    ]


def test_mermaid_escapes() -> None:
    assert graph_mermaid(HOSTILE).splitlines() == [
        "flowchart LR",
        '  n0["x#quot;]; evil\\<br>#lt;b#gt;#amp;<br>"]',
        '  n1["y"]',
        '  n0 -.->|"#quot;|"| n1',
    ]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "compose.yaml").write_text("name: demo\nservices: {a: {image: i}}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STACKR_ENGINE", "unix:///no/engine.sock")
    return tmp_path


def test_the_stacks_graph_needs_no_engine(folder: Path, capsys: Any) -> None:
    assert run(["graph"]) == 0
    assert capsys.readouterr().out == "demo\n└─ a  i\n   └─ network default\n"
    assert run(["graph", "--format", "dot", "-o", "out.dot"]) == 0
    assert (folder / "out.dot").read_text().startswith('digraph "demo" {')
    assert run(["graph", "-o", "/nope/x"]) == 1
    assert "cannot write /nope/x: no such file or directory" in capsys.readouterr().err
    assert run(["graph", "--plan"]) == 1
    assert "no/engine.sock" in capsys.readouterr().err
    assert run(["graph", "nope"]) == 1
    assert "no such service: nope" in capsys.readouterr().err


def test_a_drawing_needs_no_other_program(
    folder: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(folder))
    assert run(["graph", "--format", "svg"]) == 0
    assert ElementTree.fromstring(capsys.readouterr().out).tag == f"{_SVG}svg"


_SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: str) -> set[str]:
    return {each.text or "" for each in ElementTree.fromstring(svg).iter(f"{_SVG}text")}


def test_a_stack_is_drawn_with_its_networks_as_frames() -> None:
    graph = stack_graph(PROJECT)
    shown = texts(graph_svg(graph))
    assert {"web", "db", "cache", "data", "network back, external", "service_started"} <= shown
    assert "front" in shown  # web has an alias there
    made = layout(drawn(graph))
    (label, frame) = made.frames[0]
    assert label == "network back, external"
    for id, box in made.boxes.items():
        is_in = id in ("service:web", "service:db", "service:cache")
        assert is_in == _is_within(box, frame), id
    mermaid, dot = graph_mermaid(graph), graph_dot(graph)
    assert '  subgraph f0["network back, external"]' in mermaid
    assert 'subgraph cluster_0 { label="network back, external";' in dot
    assert '"network:back"' not in dot


def _is_within(box: Box, frame: Box) -> bool:
    return (
        frame.x <= box.x
        and frame.y <= box.y
        and box.x + box.width <= frame.x + frame.width
        and box.y + box.height <= frame.y + frame.height
    )


def test_a_plan_is_coloured_by_what_is_done() -> None:
    plan = plan_for(stack({"web": service()}), Observed("demo", images={"app": image("app")}))
    graph = plan_graph(plan)
    assert [node.shade for node in graph.nodes] == ["create", "create", "start"]
    svg, mermaid, dot = graph_svg(graph), graph_mermaid(graph), graph_dot(graph)
    assert svg.count(SHADES["create"]) == 2
    assert "  class n0,n1 create" in mermaid
    assert f'fillcolor="{SHADES["start"]}"' in dot


def test_every_action_has_a_colour() -> None:
    operations = tuple(
        Operation(place, action, Resource("image", "x"), "", Delay(1))
        for place, action in enumerate(Action, 1)
    )
    shades = {node.shade for node in plan_graph(Plan("demo", operations)).nodes}
    assert shades == set(SHADES)


_TEXTS = st.text(max_size=8)


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Without cycles, and with frames around some of the nodes."""
    count = draw(st.integers(0, 12))
    nodes = [
        Node(f"n{n}", draw(st.sampled_from(["service", "volume"])), draw(_TEXTS), (draw(_TEXTS),))
        for n in range(count)
    ]
    pairs = st.tuples(st.integers(0, max(count - 1, 0)), st.integers(0, max(count - 1, 0)))
    ends = {(a, b) for a, b in draw(st.lists(pairs, max_size=20)) if a < b < count}
    edges = [Edge(f"n{a}", f"n{b}", "depends_on", draw(_TEXTS)) for a, b in sorted(ends)]
    cut = draw(st.integers(0, count))
    first, second = (
        tuple(node.id for node in part) for part in (nodes[:cut], nodes[cut : cut + 3])
    )
    return Graph(draw(_TEXTS), nodes, edges, [Frame("one", first), Frame("two", second)])


@settings(deadline=None)
@given(graphs())
def test_a_drawing_is_well_formed_and_nothing_covers_anything(graph: Graph) -> None:
    ElementTree.fromstring(graph_svg(graph))
    made = layout(graph)
    boxes = [*made.boxes.values()]
    assert len(boxes) == len(graph.nodes)
    for one, other in combinations(boxes, 2):
        assert not _overlap(one, other)
    for one, other in combinations([box for _, box in made.frames], 2):
        assert not _overlap(one, other)
    for edge in graph.edges:
        source, target = made.boxes[edge.source], made.boxes[edge.target]
        assert source.x + source.width < target.x
    assert all(_is_within(box, Box(0, 0, made.width, made.height)) for box in boxes)


def _overlap(one: Box, other: Box) -> bool:
    beside = one.x + one.width <= other.x or other.x + other.width <= one.x
    below = one.y + one.height <= other.y or other.y + other.height <= one.y
    return not (beside or below)
