"""Isolated copies on a cluster, without a cluster."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from fake_cluster import FakeCluster
from swarm_answers import answered
from swarm_stacks import OLD, service

from stackr.errors import Conflict, StackrError
from stackr.planner.swarm.dialect import Swarm
from stackr.planner.workloads.dialect import Rendered
from stackr.planner.workloads.reconcile import reconcile_documents
from stackr.runtime import labels
from stackr.runtime.swarm.tasks import asked_ports
from stackr.runtime.workloads import Observation, Workloads
from stackr.spec.model.project import Isolated
from stackr.spec.session import LoadOptions
from stackr.stack import isolated_load
from stackr.stack.isolated_ports import Ports
from stackr.stack.source import Source
from stackr.stack.workloads.isolated import ports_on_cluster

_SHOP = """
name: shop
services:
  web:
    image: nginx
    environment: {MESH: '${STACKR_WEB_80}', NODE: '${STACKR_WEB_81}'}
    ports: ['8080:80', {target: 81, published: '8081', mode: host}, '82']
    configs: [conf]
configs: {conf: {name: conf, content: x}}
"""


class _Cluster(FakeCluster):
    """With other services at some ports."""

    def __init__(self, seen: Observation, *taken: tuple[int, str]) -> None:
        super().__init__()
        self.seen, self.taken = seen, frozenset(taken)

    async def observe(self, project: str, **_: Any) -> Observation:
        return self.seen

    async def taken_ports(self, *, besides: str) -> frozenset[tuple[int, str]]:
        return self.taken


def _source(folder: Path, name: str = "mine") -> Source:
    (folder / "compose.yaml").write_text(_SHOP)
    return Source(LoadOptions(), {}, folder, isolated=name)


def _copy(
    folder: Path, monkeypatch: pytest.MonkeyPatch, ports: Ports, name: str = "mine"
) -> Rendered:
    """What is made where a cluster says this of its ports."""
    monkeypatch.setattr(isolated_load, "known_ports", lambda *_: ports)
    return Swarm().render(_source(folder, name).load(), OLD)


def _published(rendered: Rendered) -> dict[int, int]:
    ports = service(rendered).spec["EndpointSpec"]["Ports"]
    return {each["TargetPort"]: each.get("PublishedPort", 0) for each in ports}


async def _seen(rendered: Rendered, copy: Isolated, *taken: tuple[int, str]) -> Ports:
    there = answered(rendered.documents, copy.project)
    cluster = cast(Workloads, _Cluster(there, *taken))
    return await ports_on_cluster(cluster, copy, is_here=False)


async def test_a_copy_has_ports_of_its_own_and_keeps_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = Ports({}, frozenset(), is_here=False, is_cluster=True)
    first = _copy(tmp_path, monkeypatch, nothing)
    ports = _published(first)
    assert ports[82] == 0, "it is left to the cluster"
    assert not {8080, 8081} & {*ports.values()}
    moved = replace(nothing, taken=frozenset({(ports[80], "tcp")}))
    assert _published(_copy(tmp_path, monkeypatch, moved))[80] != ports[80]

    copy = _source(tmp_path).copy()
    assert copy is not None
    seen = await _seen(first, copy, (ports[80], "tcp"))
    again = _copy(tmp_path, monkeypatch, seen)
    assert _published(again) == ports, "what it has, it keeps"
    there = answered(first.documents, copy.project)
    assert reconcile_documents(again, there, Swarm()).is_empty

    environment = service(again).spec["TaskTemplate"]["ContainerSpec"]["Env"]
    assert f"MESH=127.0.0.1:{ports[80]}" in environment
    assert "NODE=" in environment, "on whichever node it will be"


def test_two_copies_have_nothing_in_common(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = Ports({}, frozenset(), is_here=False, is_cluster=True)
    copies = [_copy(tmp_path, monkeypatch, nothing, name) for name in ("one", "two")]
    names = [{each.name for each in copy.documents} for copy in copies]
    assert not names[0] & names[1]
    own = service(copies[0]).labels
    assert (own[labels.ISOLATED], own[labels.FOLDER]) == ("one", str(tmp_path))


async def test_another_one_s_copy_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = Ports({}, frozenset(), is_here=False, is_cluster=True)
    made = _copy(tmp_path, monkeypatch, nothing)
    copy = _source(tmp_path).copy()
    assert copy is not None
    with pytest.raises(Conflict, match="it is the one of"):
        await _seen(made, replace(copy, folder="/elsewhere"))

    def labelled(**changed: str) -> Rendered:
        def told(found: Any) -> Any:
            own = {key: value for key, value in found.labels.items() if changed.get(key) != "-"}
            return replace(found, labels={**own, **{k: v for k, v in changed.items() if v != "-"}})

        return replace(made, documents=tuple(told(each) for each in made.documents))

    away = labelled(**{labels.SEEN: "elsewhere 1"})
    with pytest.raises(Conflict, match=f"{tmp_path} on elsewhere"):
        await _seen(away, copy)
    device = os.stat("/").st_dev
    gone = {labels.FOLDER: "/no-such", labels.SEEN: f"{os.uname().nodename} {device}"}
    assert (await _seen(labelled(**gone), copy)).kept
    with pytest.raises(Conflict, match="no isolated copy"):
        await _seen(labelled(**{labels.ISOLATED: "-"}), copy)


def test_where_the_copy_is_today_is_no_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = Ports({}, frozenset(), is_here=False, is_cluster=True)
    made = _copy(tmp_path, monkeypatch, nothing)
    moved = made.project.isolated
    assert moved is not None
    project = made.project.model_copy(update={"isolated": replace(moved, seen="other 9")})
    again = Swarm().render(project, OLD)
    assert [each.hash for each in again.documents] == [each.hash for each in made.documents]
    there = answered(made.documents, project.name)
    assert reconcile_documents(again, there, Swarm()).is_empty


def test_the_engine_is_asked_which_kind_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def either(engine: str, **options: Any) -> Any:
        assert (engine, options["project"], options["start"]) == ("docker", "shop-mine", False)
        return _Cluster(Observation("shop-mine"), (1, "tcp"))

    monkeypatch.setattr(isolated_load, "connect_either", either)
    copy = Isolated("mine", "shop", "/x")
    assert isolated_load.known_ports(copy, "docker").taken == {(1, "tcp")}

    async def nowhere(*_: Any, **__: Any) -> Any:
        raise Conflict("both")

    monkeypatch.setattr(isolated_load, "connect_either", nowhere)
    with pytest.raises(StackrError, match="both"):
        isolated_load.known_ports(copy, "docker")


def test_ports_are_those_that_were_asked_for_and_given() -> None:
    spec = {"Ports": [{"TargetPort": 80, "PublishedPort": 8080}, {"TargetPort": 81}]}
    given = {"Ports": [{"TargetPort": 81, "PublishedPort": 30000, "Protocol": "udp"}]}
    found = {"Spec": {"EndpointSpec": spec}, "Endpoint": given}
    assert asked_ports(found) == {(8080, "tcp"), (30000, "udp")}
    assert asked_ports({"Spec": {}}) == frozenset()
