"""One stack on two kinds of engine: kept, differently, refused."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from swarm_stacks import OLD, project

from stackr.cli.views.comparison import comparison_json, comparison_lines
from stackr.cli.views.output import Output
from stackr.planner.review.portability import Meaning, compare_engines
from stackr.stack.moving import kind_of

STACK = """services:
  web:
    image: nginx
    command: [a]
    privileged: true
    cpu_shares: 5
    tmpfs: ["/a:noexec"]
    deploy: {placement: {constraints: [node.role==worker]}, mode: global}
  once: {image: tool, restart: "no"}
"""


def meanings(folder: Path, here: str, there: str, *, old: bool = False) -> dict[str, Meaning]:
    rows = compare_engines(project(folder, STACK), here, there, OLD if old else None)
    return {row.path: row.meaning for row in rows}


def test_from_one_host_to_a_swarm(tmp_path: Path) -> None:
    found = meanings(tmp_path, "embedded", "swarm")
    assert found == {
        "networks": Meaning.DIFFERENT,
        "services.once.image": Meaning.DIFFERENT,
        "services.once.restart": Meaning.KEPT,
        "services.web.command": Meaning.KEPT,
        "services.web.cpu_shares": Meaning.REFUSED,
        "services.web.deploy": Meaning.KEPT,
        "services.web.deploy.placement": Meaning.DIFFERENT,
        "services.web.image": Meaning.DIFFERENT,
        "services.web.privileged": Meaning.REFUSED,
        "services.web.restart": Meaning.DIFFERENT,
        "services.web.tmpfs": Meaning.KEPT,
    }


def test_what_an_older_swarm_lacks_is_refused(tmp_path: Path) -> None:
    found = meanings(tmp_path, "embedded", "swarm", old=True)
    assert found["services.web.tmpfs[0]"] is Meaning.REFUSED
    assert "services.web.tmpfs" not in found


def test_the_same_kind_is_the_same(tmp_path: Path) -> None:
    for kind in ("embedded", "docker"):
        assert set(meanings(tmp_path, kind, kind).values()) == {Meaning.KEPT}


def test_what_only_a_cluster_uses_is_no_difference_of_two_hosts(tmp_path: Path) -> None:
    found = meanings(tmp_path, "embedded", "docker")
    assert set(found.values()) == {Meaning.KEPT}


def test_back_to_one_host(tmp_path: Path) -> None:
    found = meanings(tmp_path, "swarm", "embedded")
    assert found["services.web.deploy.placement"] is Meaning.DIFFERENT
    assert found["services.web.command"] is Meaning.KEPT
    assert Meaning.REFUSED not in found.values()


def test_a_row_has_its_words_and_its_place(tmp_path: Path) -> None:
    rows = {r.path: r for r in compare_engines(project(tmp_path, STACK), "embedded", "swarm")}
    row = rows["services.web.cpu_shares"]
    assert (row.here, row.there) == (
        "yes",
        "refused: use deploy.resources.reservations.cpus",
    )
    assert row.source is not None
    assert row.to_json()["source"]["line"] == 7


def test_it_is_told_once_for_many(tmp_path: Path) -> None:
    rows = compare_engines(project(tmp_path, STACK), "embedded", "swarm")
    output = Output(io.StringIO(), False, False)
    lines = [*comparison_lines("demo", "embedded", "swarm", rows, output, detail=False)]
    assert lines[0] == "demo: from embedded to swarm: 2 refused, 5 differently, 4 kept"
    assert lines[1:4] == [
        "",
        "! services.web.cpu_shares  compose.yaml:7",
        "    swarm: refused: use deploy.resources.reservations.cpus",
    ]
    at = lines.index("~ services.once.image  compose.yaml:10")
    assert lines[at + 1 : at + 3] == [
        "~ services.web.image  compose.yaml:4",
        "    swarm: by its digest; each node pulls it from the registry",
    ]
    assert not any(line.startswith("=") for line in lines)
    detailed = comparison_lines("demo", "embedded", "swarm", rows, output, detail=True)
    assert "= services.web.command  compose.yaml:5" in detailed
    told = comparison_json("demo", "embedded", "swarm", rows)
    assert told["summary"] == {"refused": 2, "differently": 5, "kept": 4}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("embedded", "embedded"),
        ("swarm", "swarm"),
        ("swarm+unix:///x", "swarm"),
        ("docker", "docker"),
        ("tcp://h:1", "docker"),
    ],
)
def test_the_kind_shows_in_the_name(name: str, kind: str) -> None:
    assert kind_of(name) == kind
