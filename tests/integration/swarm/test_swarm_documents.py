"""Documents on a real Swarm: made, read back, changed, removed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from swarm_documents import document, service
from swarm_rig import Rig

from stackr.errors import AlreadyExists, Conflict, InvalidArgument, NotFound
from stackr.runtime.docker.address import EngineAddress
from stackr.runtime.docker.client import Client
from stackr.runtime.labels import STACK_NAMESPACE
from stackr.runtime.swarm.workloads import SwarmWorkloads
from stackr.runtime.workloads import DocumentKind, ObservedDocument

pytestmark = pytest.mark.root
_SECOND_NS = 1_000_000_000


async def _observed(workloads: SwarmWorkloads) -> dict[str, ObservedDocument]:
    return {each.name: each for each in (await workloads.observe("demo")).documents}


async def test_every_kind_is_made_read_back_and_removed(
    workloads: SwarmWorkloads, rig: Rig
) -> None:
    documents = [
        document(DocumentKind.NETWORK, "net", Driver="overlay", Attachable=True),
        document(DocumentKind.CONFIG, "settings", content=b"colour = green\n"),
        document(DocumentKind.SECRET, "word", content=b"open sesame"),
        service(
            rig.image,
            container={
                "Configs": [{"ConfigName": "demo_settings", "File": _file("/settings")}],
                "Secrets": [{"SecretName": "demo_word", "File": _file("word")}],
            },
            template={"Networks": [{"Target": "demo_net", "Aliases": ["web"]}]},
            EndpointSpec={"Mode": "dnsrr"},
        ),
    ]
    for each in documents:
        await workloads.create(each)
        with pytest.raises(AlreadyExists, match=f'{each.kind.value} "{each.name}": the name is'):
            await workloads.create(each)
    await workloads.create(replace(documents[1], name="other_settings", labels={}))

    observation = await workloads.observe(
        "demo", names=[(DocumentKind.CONFIG, "other_settings"), (DocumentKind.NETWORK, "ingress")]
    )
    found = {each.name: each for each in observation.documents}
    assert sorted(found) == ["demo_net", "demo_settings", "demo_web", "demo_word"]
    assert sorted(each.name for each in observation.others) == ["ingress", "other_settings"]
    assert found["demo_settings"].content == b"colour = green\n"
    assert found["demo_word"].content is None
    network = found["demo_net"]
    assert network.spec["Attachable"] is True
    assert network.spec["Scope"] == "swarm"
    assert observation.names[network.id] == "demo_net"
    (attached,) = found["demo_web"].spec["TaskTemplate"]["Networks"]
    assert attached == {"Target": network.id, "Aliases": ["web"]}
    assert await workloads.projects() == ["demo"]

    for name, kind in (
        ("demo_net", "network"),
        ("demo_settings", "config"),
        ("demo_word", "secret"),
    ):
        with pytest.raises(Conflict, match=f"^{kind} .*in use by .*demo_web"):
            await workloads.remove(DocumentKind(kind), found[name].id)
    for name in ("demo_web", "demo_net", "demo_settings", "demo_word"):
        await workloads.remove(found[name].kind, found[name].id, version=found[name].version)
        await workloads.remove(found[name].kind, found[name].id)  # it is gone
    assert await _observed(workloads) == {}


def _file(name: str) -> dict[str, Any]:
    return {"Name": name, "UID": "0", "GID": "0", "Mode": 0o444}


async def test_a_rich_service_is_read_back_as_it_was_made(
    workloads: SwarmWorkloads, rig: Rig
) -> None:
    """But for what the manager adds: these are all of it."""
    await workloads.create(document(DocumentKind.NETWORK, "net", Driver="overlay"))
    rich = _rich(rig.image)
    await workloads.create(rich)
    observation = await workloads.observe("demo")
    (found,) = (each for each in observation.documents if each.kind is DocumentKind.SERVICE)
    spec: dict[str, Any] = {**found.spec}
    template = spec["TaskTemplate"]
    assert template.pop("ForceUpdate") == 0
    assert template.pop("Runtime") == "container"
    assert template["ContainerSpec"].pop("Isolation") == "default"
    assert spec["UpdateConfig"].pop("MaxFailureRatio") == 0
    assert spec["RollbackConfig"].pop("MaxFailureRatio") == 0
    for network in template["Networks"]:
        network["Target"] = observation.names[network["Target"]]
    assert spec == rich.spec
    assert found.labels == rich.labels
    assert not found.has_previous


def _rich(image: str) -> Any:
    container = {
        "Labels": {"colour": "green"},
        "Args": ["a", "b"],
        "Hostname": "box",
        "Env": ["A=1", "B"],
        "Dir": "/data",
        "User": "nobody",
        "Groups": ["staff"],
        "StopSignal": "SIGUSR1",
        "TTY": True,
        "OpenStdin": True,
        "ReadOnly": True,
        "Init": True,
        "Hosts": ["10.0.0.1 db", "10.0.0.2 cache"],
        "DNSConfig": {"Nameservers": ["10.0.0.3"], "Search": ["lan"], "Options": ["ndots:2"]},
        "Healthcheck": {
            "Test": ["CMD", "true"],
            "Interval": _SECOND_NS,
            "Timeout": _SECOND_NS,
            "StartPeriod": _SECOND_NS,
            "Retries": 3,
        },
        "Mounts": [
            {"Type": "tmpfs", "Target": "/dev/shm", "TmpfsOptions": {"SizeBytes": 1 << 20}},
            {"Type": "volume", "Source": "v", "Target": "/v", "VolumeOptions": {"NoCopy": True}},
            {"Type": "bind", "Source": "/etc", "Target": "/e", "ReadOnly": True},
        ],
        "Sysctls": {"net.ipv4.ip_forward": "1"},
        "CapabilityAdd": ["CAP_NET_ADMIN"],
        "CapabilityDrop": ["CAP_MKNOD"],
        "Ulimits": [{"Name": "nofile", "Soft": 100, "Hard": 200}],
    }
    template = {
        "Resources": {
            "Limits": {"NanoCPUs": 500_000_000, "MemoryBytes": 1 << 26, "Pids": 50},
            "Reservations": {"NanoCPUs": 100_000_000, "MemoryBytes": 1 << 23},
        },
        "Placement": {
            "Constraints": ["node.labels.none == 1"],
            "Preferences": [{"Spread": {"SpreadDescriptor": "node.labels.zone"}}],
            "MaxReplicas": 2,
        },
        "LogDriver": {"Name": "json-file", "Options": {"max-size": "1m"}},
        "Networks": [{"Target": "demo_net", "Aliases": ["web", "w"]}],
    }
    order = {
        "Parallelism": 2,
        "Delay": _SECOND_NS,
        "FailureAction": "pause",
        "Monitor": _SECOND_NS,
        "Order": "start-first",
    }
    port = {"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8080, "PublishMode": "host"}
    return service(
        image,
        container=container,
        template=template,
        Mode={"Replicated": {"Replicas": 2}},
        UpdateConfig=order,
        RollbackConfig={**order, "Order": "stop-first"},
        EndpointSpec={"Mode": "dnsrr", "Ports": [port]},
    )


async def test_an_update_needs_the_version_that_was_seen(
    workloads: SwarmWorkloads, rig: Rig
) -> None:
    await workloads.create(service(rig.image))
    seen = (await _observed(workloads))["demo_web"]
    changed = service(rig.image, Mode={"Replicated": {"Replicas": 0}})
    await workloads.update(changed, id=seen.id, version=seen.version)
    await workloads.restart(seen.id, version=(await _observed(workloads))["demo_web"].version)
    with pytest.raises(Conflict, match='service "demo_web": changed by somebody else meanwhile'):
        await workloads.update(service(rig.image), id=seen.id, version=seen.version)
    with pytest.raises(Conflict, match="changed by somebody else"):
        await workloads.restart(seen.id, version=seen.version)
    with pytest.raises(Conflict, match='service "demo_web": changed by somebody else'):
        await workloads.remove(DocumentKind.SERVICE, seen.id, version=seen.version)
    now = (await _observed(workloads))["demo_web"]
    assert now.spec["Mode"] == {"Replicated": {"Replicas": 0}}
    assert now.has_previous
    assert now.spec["TaskTemplate"]["ForceUpdate"] == 1
    await workloads.update(service(rig.image), id=seen.id, version=now.version)
    again = (await _observed(workloads))["demo_web"]
    assert again.spec["TaskTemplate"]["ForceUpdate"] == 1, "else every task would be replaced"


async def test_two_who_change_at_once(workloads: SwarmWorkloads, rig: Rig) -> None:
    """The manager's own check, behind the look beforehand."""
    await workloads.create(document(DocumentKind.CONFIG, "c", content=b"1"))
    await workloads.create(document(DocumentKind.SECRET, "s", content=b"1"))
    for name in ("demo_c", "demo_s"):
        seen = (await _observed(workloads))[name]
        labels = {STACK_NAMESPACE: "demo", "colour": "green"}
        changed = replace(document(seen.kind, name[5:]), labels=labels)
        await workloads.update(changed, id=seen.id, version=seen.version)
        assert (await _observed(workloads))[name].labels == labels
        with pytest.raises(Conflict, match=f'{seen.kind.value} "{name}": changed by somebody else'):
            await workloads.update(changed, id=seen.id, version=seen.version)
    network = document(DocumentKind.NETWORK, "n", Driver="overlay")
    with pytest.raises(InvalidArgument, match='network "demo_n": it cannot change'):
        await workloads.update(network, id=await workloads.create(network), version=0)


async def test_what_is_refused_names_the_document(workloads: SwarmWorkloads, rig: Rig) -> None:
    missing = [{"ConfigName": "demo_none", "File": _file("/c")}]
    with pytest.raises(NotFound, match='service "demo_web": config "demo_none": not found'):
        await workloads.create(service(rig.image, container={"Configs": missing}))
    small = service(rig.image, template={"Resources": {"Limits": {"MemoryBytes": 1}}})
    with pytest.raises(InvalidArgument, match=r'service "demo_web": .*[Mm]emory'):
        await workloads.create(small)
    with pytest.raises(InvalidArgument, match='config "demo_big": config data must be'):
        await workloads.create(document(DocumentKind.CONFIG, "big", content=b"x" * 1_024_000))
    assert await _observed(workloads) == {}


async def test_the_host_network_has_its_name(workloads: SwarmWorkloads, rig: Rig) -> None:
    nowhere = {"Constraints": ["node.labels.none == 1"]}
    template = {"Networks": [{"Target": "host"}], "Placement": nowhere}
    await workloads.create(service(rig.image, template=template))
    observation = await workloads.observe("demo")
    (found,) = observation.documents
    (network,) = found.spec["TaskTemplate"]["Networks"]
    assert observation.names[network["Target"]] == "host"


async def test_the_digest_in_the_registry(workloads: SwarmWorkloads, rig: Rig) -> None:
    digest = await workloads.resolve_image(rig.image)
    assert digest.startswith("sha256:")
    with pytest.raises(NotFound):
        await workloads.resolve_image(rig.image.replace("busybox", "none"))


async def test_a_client_that_only_looks_changes_nothing(rig: Rig) -> None:
    client = Client(EngineAddress(rig.manager.url), read_only=True)
    async with await SwarmWorkloads.open(client) as workloads:
        assert await workloads.observe("demo")
        with pytest.raises(Exception, match="this command changes nothing"):
            await workloads.create(document(DocumentKind.CONFIG, "c", content=b"1"))
