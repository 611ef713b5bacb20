"""A copy of a stack on a cluster: ports of nodes, volumes of tasks."""

from __future__ import annotations

from pathlib import Path

from swarm_stacks import project

from stackr.planner.workloads.isolated import on_nodes

_STACK = """
services:
  web:
    image: nginx
    ports: ["8080:80", "127.0.0.1:8443:443", {target: 9000, published: "9000", mode: host}]
    volumes: [alone:/a, both:/b, nfs:/n, outside:/o, ./here:/h]
  db:
    image: postgres
    volumes: [both:/b, scaled:/s, twice:/t]
    deploy: {replicas: 2}
  migrate:
    image: app
    pre_start: [{command: [migrate]}]
    volumes: [step:/s]
  agent:
    image: app
    deploy: {mode: global}
    volumes: [each:/e]
volumes:
  alone: {}
  both: {}
  scaled: {}
  twice: {}
  step: {}
  each: {}
  nfs: {driver_opts: {type: nfs}}
  outside: {external: true}
"""


def test_ports_are_the_nodes_but_for_those_that_are_kept(tmp_path: Path) -> None:
    copy = on_nodes(project(tmp_path, _STACK), kept={("web", 9000)})
    ports = copy.services["web"].ports
    assert [(each.target, each.published, each.mode, each.host_ip) for each in ports] == [
        (80, None, "host", None),
        (443, None, "host", None),
        (9000, "9000", "host", None),
    ]


def test_a_volume_of_one_replica_goes_with_its_task(tmp_path: Path) -> None:
    found = project(tmp_path, _STACK)
    copy = on_nodes(found, stop_timeout_s=0)
    named = {v.source for s in copy.services.values() for v in s.volumes if v.type == "volume"}
    assert named == {None, "both", "scaled", "twice", "step", "each", "nfs", "outside"}
    assert copy.services["web"].volumes[0].source is None
    assert {each.stop_grace_period for each in copy.services.values()} == {0}
    once = on_nodes(found, scale={"db": 1})
    assert {v.source for v in once.services["db"].volumes} == {None, "both"}
    assert once.services["db"].stop_grace_period is None
