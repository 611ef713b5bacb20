"""`stackr graph`: stacks and plans as graphs, and the graphs' forms."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
from planning import needs, plan_for, port, service, stack

from stackr.cli.main import run
from stackr.cli.stack_graph import plan_graph, stack_graph
from stackr.cli.views.graph import (
    Edge,
    Graph,
    Node,
    graph_dot,
    graph_json,
    graph_mermaid,
    graph_tree,
)
from stackr.cli.views.output import Output
from stackr.planner.observe.observed import Observed
from stackr.runtime.fake import image
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


def fake_dot(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = folder / "bin" / "dot"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")


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


def test_drawings_are_graphvizs(folder: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_dot(folder, 'echo "<svg>$*"; grep -c digraph', monkeypatch)
    assert run(["graph", "--format", "svg"]) == 0
    assert capsys.readouterr().out == "<svg>-Tsvg\n1\n"


def test_a_drawing_that_fails_says_why(
    folder: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_dot(folder, "echo 'syntax error' >&2; exit 3", monkeypatch)
    assert run(["graph", "--format", "svg"]) == 1
    assert capsys.readouterr().err == "stackr: graph: dot: exit code 3: syntax error\n"


def test_without_graphviz_the_package_is_named(
    folder: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(folder))
    assert run(["graph", "--format", "svg"]) == 1
    assert capsys.readouterr().err == (
        'stackr: graph: --format svg needs the program "dot" of Graphviz, which is not installed\n'
        "  install the package graphviz, or use --format mermaid\n"
    )
