"""Which engine is meant, who may be asked, and what a Swarm keeps and tells."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import busybox_image
import pytest
from swarm_documents import document, reached, service
from swarm_rig import Rig

from stackr.errors import AlreadyExists, Conflict, NotFound, NotSupported, Unauthorized, Unavailable
from stackr.runtime.connect import connect, connect_either
from stackr.runtime.docker.runtime import DockerRuntime
from stackr.runtime.labels import HISTORY, PROJECT, REVISION
from stackr.runtime.swarm.workloads import SwarmWorkloads
from stackr.runtime.workloads import DocumentKind, RevisionRecord, WorkloadEvent

pytestmark = pytest.mark.root
_ALICE = "alice:$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n"
"""Of htpasswd, with the password "secret"."""


@pytest.fixture
def containers(rig: Rig) -> Iterator[None]:
    """A container of Docker Compose's project "shop" on the manager's own engine."""
    rig.manager.docker("pull", "-q", rig.image)
    label = f"--label={PROJECT}=shop"
    id = rig.manager.docker("create", "--network=none", label, rig.image).strip()
    yield
    rig.manager.docker("rm", id)


async def test_a_manager_is_its_swarm(rig: Rig) -> None:
    url = rig.manager.url
    for name in (url, f"swarm+{url}", "swarm+docker", "docker", "swarm"):
        async with await connect_either(name, {"DOCKER_HOST": url}, project="shop") as opened:
            assert isinstance(opened, SwarmWorkloads)
            assert opened.capabilities.nodes == 3
            assert await opened.identity() == rig.manager.call("GET", "/swarm")["ID"]
            assert (await opened.info()).version
    for name in (f"docker+{url}", rig.nodes[1].url):
        async with await connect_either(name, {}) as opened:
            assert isinstance(opened, DockerRuntime)
    with pytest.raises(NotSupported, match="not on a Swarm"):
        await connect(f"swarm+{url}")


async def test_a_project_of_one_host_is_never_passed_over(rig: Rig, containers: None) -> None:
    url = rig.manager.url
    with pytest.raises(Conflict, match='"shop" runs on it as containers of one host') as told:
        await connect_either(url, {}, project="shop")
    assert told.value.hint == f"say which is meant: --engine docker+{url} or --engine swarm+{url}"
    for name, kind in ((f"docker+{url}", DockerRuntime), (f"swarm+{url}", SwarmWorkloads)):
        async with await connect_either(name, {}, project="shop") as opened:
            assert isinstance(opened, kind)
    async with await connect_either(url, {}, project="other") as opened:
        assert isinstance(opened, SwarmWorkloads)


async def test_a_worker_says_so(rig: Rig) -> None:
    with pytest.raises(Unavailable, match='node "node2" is a worker of its Swarm') as told:
        await connect_either(f"swarm+{rig.nodes[1].url}", {})
    assert told.value.hint == f"name the engine of a manager: {rig.manager.address}"


async def test_revisions_are_whole_or_not_there(workloads: SwarmWorkloads, rig: Rig) -> None:
    long = bytes(range(256)) * 8000  # 2 MB, in three pieces
    record = RevisionRecord("demo", 1, long, {"io.stackr.by": "me"})
    await workloads.keep_revision(record)
    with pytest.raises(AlreadyExists, match='revision 1 of "demo": the name is taken'):
        await workloads.keep_revision(replace(record, content=long[::-1]))
    await workloads.keep_revision(RevisionRecord("demo", 2, b"short"))
    await workloads.keep_revision(RevisionRecord("other", 1, b"another's"))
    observation = await workloads.observe("demo")
    assert observation.documents == ()
    assert [(each.number, each.content) for each in observation.revisions] == [
        (1, long),
        (2, b"short"),
    ]
    first = observation.revisions[0]
    assert first.labels == {"io.stackr.by": "me"}
    await workloads.label_revision(replace(first, labels={"io.stackr.by": "you"}))
    with pytest.raises(Conflict, match='revision 1 of "demo": changed by somebody else'):
        await workloads.label_revision(first)
    with pytest.raises(NotFound, match='revision 9 of "demo"'):
        await workloads.label_revision(replace(first, number=9))

    # What a client that was cut off between the pieces and the head leaves is no revision.
    heads = rig.manager.call("GET", f'/configs?filters={{"label":["{HISTORY}=demo"]}}')
    (head,) = (each for each in heads if each["Spec"]["Name"].endswith("revision-1"))
    assert head["Spec"]["Labels"][REVISION] == "1"
    rig.manager.call("DELETE", f"/configs/{head['ID']}")
    assert [each.number for each in (await workloads.observe("demo")).revisions] == [2]
    await workloads.keep_revision(record)  # the same client, again
    for number in (1, 1, 2):
        await workloads.forget_revision("demo", number)
    assert (await workloads.observe("demo")).revisions == ()
    left = rig.manager.call("GET", "/configs")
    assert [each["Spec"]["Labels"][HISTORY] for each in left] == ["other"]


async def test_events_of_a_project_and_of_nodes(workloads: SwarmWorkloads, rig: Rig) -> None:
    config = document(DocumentKind.CONFIG, "c", content=b"1")
    before = await workloads.create(config)
    told: list[WorkloadEvent] = []

    async def listen() -> None:
        async for event in workloads.events("demo"):
            told.append(event)
            if (event.kind, event.action) == ("service", "remove"):
                return

    listening = asyncio.create_task(listen())
    while not told:
        await asyncio.sleep(0.01)
    await workloads.create(document(DocumentKind.CONFIG, "c", project="other", content=b"1"))
    nowhere = {"Placement": {"Constraints": ["node.labels.none == 1"]}}
    id = await workloads.create(service(rig.image, template=nowhere))
    await workloads.remove(DocumentKind.CONFIG, before)
    await workloads.remove(DocumentKind.SERVICE, id)
    await asyncio.wait_for(listening, 60)
    assert [(event.kind, event.action, event.name) for event in told if event.kind != "node"] == [
        ("", "", ""),
        ("service", "create", "demo_web"),
        ("config", "remove", "demo_c"),
        ("service", "remove", "demo_web"),
    ]


async def test_events_of_what_is_gone(workloads: SwarmWorkloads) -> None:
    """Nothing but its name tells whose it was."""
    since = time.time()
    for project in ("demo", "other"):
        config = document(DocumentKind.CONFIG, "gone", project=project, content=b"1")
        await workloads.remove(DocumentKind.CONFIG, await workloads.create(config))
    told = workloads.events("demo", since=since, until=time.time() + 0.1)
    found = [(event.action, event.name) async for event in told if event.kind == "config"]
    assert found == [("create", "demo_gone"), ("remove", "demo_gone")]


async def test_nodes_pull_with_the_callers_credentials(rig: Rig, tmp_path: Path) -> None:
    """They have none of their own, nor does the manager that is asked for the digest."""
    with rig.private_registry(tmp_path, _ALICE) as address:
        user = "--dest-creds=alice:secret"
        image = rig.push(busybox_image.busybox_image(), "private/busybox:1", user, to=address)
        auth = base64.b64encode(b"alice:secret").decode()
        (tmp_path / "config.json").write_text(json.dumps({"auths": {address: {"auth": auth}}}))
        async with await connect_either(
            f"swarm+{rig.manager.url}", {"DOCKER_CONFIG": str(tmp_path)}
        ) as workloads:
            assert isinstance(workloads, SwarmWorkloads)
            digest = await workloads.resolve_image(image)
            await workloads.create(service(f"{image}@{digest}", Mode={"Global": {}}))
            await reached(workloads, "web", lambda status: status.running == 3)
        async with await connect_either(
            f"swarm+{rig.manager.url}", {"DOCKER_CONFIG": str(tmp_path / "none")}
        ) as workloads:
            with pytest.raises(Unauthorized):
                await workloads.resolve_image(image)
