"""What every runtime has to do: plain async functions over an open one and an image in it.

A back-end is done when these are green on it. Each check uses names of its own and removes what it
makes.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from planning import Recorder, needs, service, stack

from stackr.errors import Conflict, NotFound, NotSupported, StackrError
from stackr.executor.apply import apply
from stackr.executor.events import OperationFinished
from stackr.executor.outcome import Outcome
from stackr.planner.commands.lifecycle import plan_down, plan_stop
from stackr.planner.commands.reconcile import reconcile
from stackr.planner.commands.restarting import plan_start
from stackr.planner.desired.project import desired
from stackr.planner.observe.observed import Observed, observe
from stackr.planner.plan.model import Kind, Plan
from stackr.planner.plan.options import DownOptions, UpOptions
from stackr.runtime import labels
from stackr.runtime.container import (
    ContainerConfig,
    ContainerFile,
    ExecConfig,
    Healthcheck,
    Mount,
    NetworkAttachment,
    PortBinding,
    Resources,
    RestartPolicy,
)
from stackr.runtime.labels import SERVICE
from stackr.runtime.limits import changed_limits
from stackr.runtime.protocol import Runtime, SupportsExec, SupportsHandover, SupportsLogs
from stackr.runtime.snapshot import SnapshotQuery, in_calls, take_snapshot
from stackr.runtime.types import NetworkConfig, VolumeConfig
from stackr.spec.model import service as model
from stackr.spec.model.build import Ulimit
from stackr.spec.model.mounts import FileGrant, ServiceVolume, TmpfsOptions
from stackr.spec.model.network import Network
from stackr.spec.model.project import Project
from stackr.spec.model.secret import FileObject
from stackr.spec.model.volume import Volume

__all__ = ["CHECKS", "Subject"]

_DEADLINE_S = 60.0


@dataclass(frozen=True)
class Subject:
    """An open runtime, and an image (busybox with its applets) that it has or can pull."""

    runtime: Runtime
    image: str

    def sleeper(self, **attributes: Any) -> ContainerConfig:
        attributes = {"command": ("sleep", "600"), "network_mode": "none", **attributes}
        return ContainerConfig(self.image, stop_signal="SIGKILL", **attributes)

    def service(self, **attributes: Any) -> model.Service:
        attributes = {"command": ("sleep", "600"), "stop_signal": "SIGKILL", **attributes}
        return service(image=self.image, **attributes)

    @contextlib.asynccontextmanager
    async def container(self, config: ContainerConfig) -> AsyncIterator[str]:
        name = unique()
        await self.runtime.create_container(name, config)
        try:
            yield name
        finally:
            with contextlib.suppress(NotFound):
                await self.runtime.remove_container(name, force=True, volumes=True)


def unique() -> str:
    return f"suite-{uuid.uuid4().hex[:10]}"


# --- single calls ------------------------------------------------------------------------------


async def check_life_of_a_container(subject: Subject) -> None:
    runtime = subject.runtime
    label = unique()
    async with subject.container(subject.sleeper(labels={label: "x"})) as name:
        [listed] = await runtime.list_containers(labels=[f"{label}=x"])
        assert (listed.name, listed.state) == (name, "created")
        assert await runtime.list_containers(labels=[label], all=False) == []
        await runtime.start_container(name)
        await runtime.start_container(name)  # started already: no failure
        state = await runtime.inspect_container(name)
        assert (state.state, state.is_running, state.id) == ("running", True, listed.id)
        assert state.pid > 0
        await runtime.stop_container(name, timeout_s=5)
        await runtime.stop_container(name)
        state = await runtime.inspect_container(name)
        assert (state.state, state.exit_code) == ("exited", 137)
        [listed] = await runtime.list_containers(labels=[label])
        assert listed.exit_code == 137
        await runtime.remove_container(name)
        with pytest.raises(NotFound, match=f"No such container: {name}"):
            await runtime.inspect_container(name)


async def check_restart_pause_and_rename(subject: Subject) -> None:
    runtime = subject.runtime
    async with subject.container(subject.sleeper()) as name:
        await runtime.start_container(name)
        before = (await runtime.inspect_container(name)).pid
        await runtime.restart_container(name, timeout_s=1)
        assert (await runtime.inspect_container(name)).pid != before
        await runtime.pause_container(name)
        assert (await runtime.inspect_container(name)).state == "paused"
        await runtime.unpause_container(name)
        other = unique()
        await runtime.rename_container(name, other)
        assert (await runtime.inspect_container(other)).is_running
        await runtime.rename_container(other, name)


async def check_update_of_limits_and_restart_policy(subject: Subject) -> None:
    """What an update sets is what a listing with limits has; what any engine can change."""
    runtime, label = subject.runtime, unique()
    first = Resources(memory_bytes=64 << 20, nano_cpus=500_000_000)
    config = subject.sleeper(labels={label: "1"}, resources=first)
    async with subject.container(config) as name:
        await runtime.start_container(name)
        wanted = Resources(memory_bytes=96 << 20, nano_cpus=250_000_000, pids_limit=50)
        policy = RestartPolicy("on-failure", 3)
        await runtime.update_container(name, resources=wanted, restart=policy)
        [listed] = await runtime.list_containers(labels=[label], limits=True)
        inspected = await runtime.inspect_container(name)
        for state in (listed, inspected):
            assert state.resources is not None
            assert changed_limits(state.resources, wanted) == ()
            assert state.restart == policy
        await runtime.update_container(name, resources=replace(wanted, pids_limit=0))
        state = await runtime.inspect_container(name)
        assert state.resources is not None
        assert max(0, state.resources.pids_limit) == 0


async def check_update_of_labels(subject: Subject) -> None:
    runtime = subject.runtime
    config = subject.sleeper(labels={"a": "1", "b": "1"})
    async with subject.container(config) as name:
        change = runtime.update_container(name, labels={"a": None, "b": "2", "c": "3"})
        if not runtime.capabilities.update_labels:
            with pytest.raises(NotSupported, match="labels"):
                await change
            return
        await change
        assert (await runtime.inspect_container(name)).labels == {"b": "2", "c": "3"}


async def check_limits_that_cannot_be_lifted(subject: Subject) -> None:
    runtime = subject.runtime
    config = subject.sleeper(resources=Resources(nano_cpus=500_000_000, cpuset_cpus="0"))
    async with subject.container(config) as name:
        await runtime.start_container(name)
        change = runtime.update_container(name, resources=Resources())
        if not runtime.capabilities.update_lifts:
            with pytest.raises(NotSupported, match="NanoCpus, CpusetCpus"):
                await change
            return
        await change
        state = await runtime.inspect_container(name)
        assert state.resources is not None
        assert changed_limits(state.resources, Resources()) == ()


async def check_probes_of_the_engine(subject: Subject) -> None:
    runtime = subject.runtime
    check = Healthcheck(("FILE", "/bin/sh"), interval_s=60)
    config = subject.sleeper(healthcheck=check, labels={SERVICE: "web"})
    if not runtime.capabilities.probes:
        with pytest.raises(NotSupported, match=r"services\.web\.x-stackr\.probe: not supported"):
            await runtime.create_container(unique(), config)
        return
    async with subject.container(config) as name:
        await runtime.start_container(name)
        async with asyncio.timeout(_DEADLINE_S):
            while (state := await runtime.inspect_container(name)).health != "healthy":
                await asyncio.sleep(0.05)
        assert state.health_output == "/bin/sh: exists"


async def check_exit_codes(subject: Subject) -> None:
    runtime = subject.runtime
    config = subject.sleeper(command=("sh", "-c", "exit 7"))
    async with subject.container(config) as name:
        await runtime.start_container(name)
        assert await runtime.wait_container(name) == 7


async def check_names_are_unique(subject: Subject) -> None:
    async with subject.container(subject.sleeper()) as name:
        with pytest.raises(Conflict, match="is already in use"):
            await subject.runtime.create_container(name, subject.sleeper())


async def check_running_container_is_not_removed(subject: Subject) -> None:
    async with subject.container(subject.sleeper()) as name:
        await subject.runtime.start_container(name)
        with pytest.raises(Conflict):
            await subject.runtime.remove_container(name)


async def check_missing_things_are_not_found(subject: Subject) -> None:
    runtime = subject.runtime
    nothing = unique()
    calls: list[Awaitable[Any]] = [
        runtime.inspect_container(nothing),
        runtime.start_container(nothing),
        runtime.remove_container(nothing),
        runtime.inspect_network(nothing),
        runtime.remove_network(nothing),
        runtime.inspect_volume(nothing),
        runtime.remove_volume(nothing),
        runtime.inspect_image(f"{nothing}:1"),
        runtime.create_container(unique(), ContainerConfig(f"{nothing}:1")),
    ]
    for call in calls:
        with pytest.raises(NotFound):
            await call


async def check_command_that_does_not_exist(subject: Subject) -> None:
    async with subject.container(subject.sleeper(command=("nope",))) as name:
        with pytest.raises(StackrError, match="executable file not found"):
            await subject.runtime.start_container(name)
        assert not (await subject.runtime.inspect_container(name)).is_running


async def check_configuration_arrives(subject: Subject) -> None:
    """What is asked for is what a process in the container sees."""
    config = subject.sleeper(
        command=("sh", "-c", "echo $A-$HOSTNAME; id -u; pwd; cat /proc/self/oom_score_adj"),
        environment={"A": "1"},
        hostname="box",
        user="12:34",
        working_dir="/tmp",
        oom_score_adj=100,
    )
    assert await output_of(subject, config) == ["1-box", "12", "/tmp", "100"]


async def output_of(subject: Subject, config: ContainerConfig) -> list[str]:
    runtime = subject.runtime
    async with subject.container(config) as name:
        await runtime.start_container(name)
        await runtime.wait_container(name)
        assert isinstance(runtime, SupportsLogs)
        return [entry.line.decode() async for entry in runtime.logs(name)]


async def check_logs(subject: Subject) -> None:
    runtime = subject.runtime
    assert isinstance(runtime, SupportsLogs)
    config = subject.sleeper(command=("sh", "-c", "echo one; echo two >&2; sleep 0.2; echo three"))
    async with subject.container(config) as name:
        await runtime.start_container(name)
        followed = [entry async for entry in runtime.logs(name, follow=True, timestamps=True)]
        assert sorted((entry.stream, entry.line) for entry in followed) == [
            ("stderr", b"two"),
            ("stdout", b"one"),
            ("stdout", b"three"),
        ]
        assert all(entry.time_ns > 1_600_000_000_000_000_000 for entry in followed)
        assert [entry.line async for entry in runtime.logs(name, tail=1)] == [b"three"]


async def check_exec(subject: Subject) -> None:
    runtime = subject.runtime
    assert isinstance(runtime, SupportsExec)
    async with subject.container(subject.sleeper()) as name:
        await runtime.start_container(name)
        command = ("sh", "-c", "cat; echo $B >&2; exit 3")
        session = await runtime.exec(name, ExecConfig(command, stdin=True, environment=("B=err",)))
        await session.write(b"in")
        await session.close_stdin()
        chunks = [chunk async for chunk in session.output()]
        streams = {kind: b"".join(d for k, d in chunks if k == kind) for kind, _ in chunks}
        assert streams == {"stdout": b"in", "stderr": b"err\n"}
        assert await session.exit_code() == 3
        await session.close()


async def check_files_are_written(subject: Subject) -> None:
    files = (ContainerFile("/run/secrets/key", b"hush\n", uid=5, gid=6, mode=0o400),)
    config = subject.sleeper(
        command=("sh", "-c", "cat /run/secrets/key; stat -c %u:%g:%a /run/secrets/key"),
        files=files,
    )
    assert await output_of(subject, config) == ["hush", "5:6:400"]


async def check_mounts(subject: Subject) -> None:
    runtime = subject.runtime
    volume = unique()
    await runtime.create_volume(VolumeConfig(volume, labels={"a": "b"}))
    try:
        mounts = (
            Mount("volume", "/v", volume),
            Mount("tmpfs", "/t", size_bytes=1 << 20, mode=0o700),
            Mount("volume", "/anonymous"),
        )
        script = "echo kept > /v/file; stat -c %a /t; touch /anonymous/x && echo ok"
        config = subject.sleeper(command=("sh", "-c", script), mounts=mounts)
        assert await output_of(subject, config) == ["700", "ok"]
        read = replace(config, command=("cat", "/v/file"), mounts=mounts[:1])
        assert await output_of(subject, read) == ["kept"]
        assert (await runtime.inspect_volume(volume)).labels == {"a": "b"}
    finally:
        await runtime.remove_volume(volume)


async def check_networks(subject: Subject) -> None:
    """Names resolve, a container joins and leaves, a network in use is not removed."""
    runtime = subject.runtime
    one, two = unique(), unique()
    for network in (one, two):
        await runtime.create_network(NetworkConfig(network, labels={"suite": network}))
    try:
        attachments = (NetworkAttachment(one, aliases=("box",)), NetworkAttachment(two))
        config = subject.sleeper(network_mode=one, networks=attachments)
        async with subject.container(config) as name:
            await runtime.start_container(name)
            state = await runtime.inspect_container(name)
            assert {endpoint.network for endpoint in state.networks} == {one, two}
            assert all(endpoint.ipv4_address for endpoint in state.networks)
            await runtime.disconnect_network(name, two)
            state = await runtime.inspect_container(name)
            assert {endpoint.network for endpoint in state.networks} == {one}
            with pytest.raises(StackrError):
                await runtime.remove_network(one)
            await runtime.connect_network(name, NetworkAttachment(two))
            [listed] = [c for c in await runtime.list_containers() if c.name == name]
            assert {endpoint.network for endpoint in listed.networks} == {one, two}
        found = await runtime.list_networks(labels=[f"suite={one}"])
        assert [network.name for network in found] == [one]
    finally:
        for network in (one, two):
            await runtime.remove_network(network)


async def check_snapshot(subject: Subject) -> None:
    """One look tells the same as a call of each kind, and leaves out what is not there."""
    runtime, project = subject.runtime, unique()
    own = {labels.PROJECT: project}
    network = NetworkConfig(f"{project}-net", labels=own)
    volume = VolumeConfig(f"{project}-data", labels={labels.HISTORY: project})
    await runtime.create_network(network)
    await runtime.create_volume(volume)
    config = subject.sleeper(labels={**own, labels.SERVICE: "web"})
    try:
        async with subject.container(config) as name, subject.container(subject.sleeper()) as other:
            query = SnapshotQuery(
                project,
                images=(subject.image, "nosuch:latest"),
                containers=(other, "nosuch"),
                networks={network.name},
                volumes={volume.name},
                limits=True,
            )
            found, expected = await take_snapshot(runtime, query), await in_calls(runtime, query)
            assert [container.name for container in found.containers] == [name]
            assert found.containers == expected.containers
            for kind, wanted in (("networks", network.name), ("volumes", volume.name)):
                one, two = (getattr(each, kind) for each in (found, expected))
                assert [e for e in one if e.name == wanted] == [e for e in two if e.name == wanted]
            assert list(found.images) == [subject.image]
            assert list(found.referenced) == [other]
            assert found.images == expected.images
            assert found.referenced == expected.referenced
            assert found.faults == expected.faults == {}
    finally:
        await runtime.remove_network(network.name)
        await runtime.remove_volume(volume.name)


async def check_handover(subject: Subject) -> None:
    """One container takes another's place; an engine that has no such thing says so."""
    runtime = subject.runtime
    assert isinstance(runtime, SupportsHandover)
    network = unique()
    await runtime.create_network(NetworkConfig(network))
    attachment = NetworkAttachment(network, aliases=("web",))
    plain = subject.sleeper(
        network_mode=network, networks=(attachment,), ports=(PortBinding(80, host_ip="127.0.0.1"),)
    )
    standby = replace(plain, labels={labels.STANDBY: "true"})
    try:
        async with subject.container(plain) as old, subject.container(standby) as new:
            for name in (old, new):
                await runtime.start_container(name)
            if not runtime.capabilities.handover:
                for refused in (runtime.promote_container(new), runtime.count_connections(old)):
                    with pytest.raises(NotSupported, match="cannot hand"):
                        await refused
                return
            before = (await runtime.inspect_container(old)).ports
            assert (await runtime.inspect_container(new)).ports == ()
            await runtime.promote_container(new, replaces=old)
            assert (await runtime.inspect_container(new)).ports == before
            assert await runtime.count_connections(old) == 0
            state = await runtime.inspect_container(old)
            assert (state.ports, state.standby) == ((), True)
    finally:
        await runtime.remove_network(network)


async def check_limits(subject: Subject) -> None:
    config = subject.sleeper(
        command=("sleep", "600"),
        resources=Resources(memory_bytes=64 << 20, nano_cpus=500_000_000, pids_limit=50),
    )
    async with subject.container(config) as name:
        await subject.runtime.start_container(name)
        assert (await subject.runtime.inspect_container(name)).is_running


async def check_health_and_events(subject: Subject) -> None:
    runtime = subject.runtime
    label = unique()
    config = subject.sleeper(
        labels={label: ""},
        healthcheck=Healthcheck(("CMD", "false"), interval_s=0.2, timeout_s=60, retries=1),
    )
    events = runtime.events(labels=[label])
    assert (await anext(events)).type == ""
    async with subject.container(config) as name:
        await runtime.start_container(name)
        async with asyncio.timeout(_DEADLINE_S):
            async for event in events:
                if event.action == "health_status: unhealthy":
                    break
        assert event.attributes["name"] == name
        state = await runtime.inspect_container(name)
        assert (state.health, state.health_exit_code) == ("unhealthy", 1)
        [listed] = await runtime.list_containers(labels=[label])
        assert listed.health == "unhealthy"
    await events.aclose()  # type: ignore[attr-defined]


# --- whole stacks ------------------------------------------------------------------------------


@dataclass
class Stack:
    """One project on the runtime, under a name of its own."""

    subject: Subject
    project: Project

    async def plan(self, project: Project, options: UpOptions | None = None) -> Plan:
        wanted = desired(project, options)
        observed = await observe(self.subject.runtime, project.name, wanted, limits=True)
        return reconcile(wanted, observed, options)

    async def up(self, project: Project, options: UpOptions | None = None) -> Plan:
        plan = await self.plan(project, options)
        outcome = await self.apply(plan)
        assert outcome.is_success, [f.error.message for f in outcome.failed]
        return plan

    async def apply(self, plan: Plan) -> Outcome:
        return await apply(plan, self.subject.runtime, Recorder())

    async def observe(self) -> Observed:
        return await observe(self.subject.runtime, self.project.name)


@contextlib.asynccontextmanager
async def running(subject: Subject, project: Project) -> AsyncIterator[Stack]:
    """`project` up, and nothing of it left at the end."""
    it = Stack(subject, project)
    try:
        await it.up(project)
        yield it
    finally:
        options = DownOptions(volumes=True, timeout_s=1)
        events = Recorder()
        outcome = await apply(plan_down(await it.observe(), options), subject.runtime, events)
        assert outcome.is_success, [failure.error.message for failure in outcome.failed]
        left = await it.observe()
        done = [event for event in events.events if isinstance(event, OperationFinished)]
        told = [f"{event.operation.resource.name}: {event.detail}" for event in done]
        assert not left.containers, told
        assert not left.networks, told
        assert not left.volumes, told


def named(project: Project) -> Project:
    """The project under a name that no other check has."""
    name = unique()
    networks = {
        key: network.model_copy(update={"name": f"{name}_{key}"})
        for key, network in project.networks.items()
    }
    volumes = {
        key: volume.model_copy(update={"name": f"{name}_{key}"})
        for key, volume in project.volumes.items()
    }
    return project.model_copy(update={"name": name, "networks": networks, "volumes": volumes})


def changed(project: Project, name: str, **attributes: Any) -> Project:
    services = dict(project.services)
    services[name] = services[name].model_copy(update=attributes)
    return project.model_copy(update={"services": services})


async def check_stack_comes_up_changes_and_goes(subject: Subject) -> None:
    project = named(
        stack(
            {
                "web": subject.service(
                    depends_on=needs("db", condition="service_healthy")
                    | needs("job", condition="service_completed_successfully"),
                    environment={"LEVEL": "info"},
                    volumes=(
                        ServiceVolume(type="volume", source="data", target="/data"),
                        ServiceVolume(type="volume", target="/anonymous"),
                    ),
                ),
                "db": subject.service(
                    healthcheck=model.Healthcheck(test=("CMD", "true"), interval=0.2),
                    networks={"default": None, "back": None},
                ),
                "job": subject.service(command=("true",)),
                "side": subject.service(network_mode="service:db", depends_on=needs("db")),
            },
            networks={"back": Network(name="x")},
            volumes={"data": Volume(name="x")},
        )
    )
    async with running(subject, project) as it:
        assert (await it.plan(project)).is_empty
        before = {c.name: c for c in (await it.observe()).containers}
        after = changed(project, "web", environment={"LEVEL": "debug"})
        plan = await it.up(after)
        [change] = plan.changes
        assert (change.kind, change.fields[0].path) == (Kind.RECREATE, "environment.LEVEL")
        now = {c.name: c for c in (await it.observe()).containers}
        web = f"{project.name}-web-1"
        assert {n for n in now if now[n].id != before[n].id} == {web}
        assert {m.name for m in now[web].mounts} == {m.name for m in before[web].mounts}
        assert (await it.plan(after)).is_empty

        after = changed(after, "db", labels={"a": "b"})
        plan = await it.up(after)
        kinds = {change.resource.service: change.kind for change in plan.changes}
        assert kinds == {"db": Kind.RECREATE, "side": Kind.RECREATE}
        assert (await it.plan(after)).is_empty


async def check_stop_start_and_drift(subject: Subject) -> None:
    project = named(
        stack({"web": subject.service(depends_on=needs("db")), "db": subject.service()})
    )
    async with running(subject, project) as it:
        await it.apply(plan_stop(await it.observe(), timeout_s=1))
        assert not any(c.is_running for c in (await it.observe()).containers)
        await it.apply(plan_start(await it.observe()))
        assert all(c.is_running for c in (await it.observe()).containers)
        runtime = subject.runtime
        await runtime.kill_container(f"{project.name}-db-1")
        await runtime.remove_container(f"{project.name}-web-1", force=True)
        await settled(it, lambda seen: not any(c.is_running for c in seen.containers))
        plan = await it.up(project)
        assert [(c.resource.service, c.kind) for c in plan.changes] == [
            ("db", Kind.START),
            ("web", Kind.CREATE),
        ]
        assert (await it.plan(project)).is_empty


async def settled(it: Stack, condition: Callable[[Observed], bool]) -> None:
    async with asyncio.timeout(_DEADLINE_S):
        while not condition(await it.observe()):
            await asyncio.sleep(0.02)


async def check_shared_containers_are_followed(subject: Subject) -> None:
    """Who shares what a container has is made anew with it, and starts anew after it."""
    of, shared = subject.service, "service:gate"
    project = named(
        stack(
            {
                "gate": of(ipc="shareable", volumes=(ServiceVolume(type="volume", target="/a"),)),
                "net": of(network_mode=shared, depends_on=needs("gate", restart=True)),
                "ipc": of(ipc=shared, depends_on=needs("gate", restart=True)),
                "pid": of(pid=shared, depends_on=needs("gate", restart=True)),
                "vol": of(volumes_from=("gate",), depends_on=needs("gate")),
            }
        )
    )
    gate = f"{project.name}-gate-1"
    async with running(subject, project) as it:
        alone = UpOptions(services=("gate",), recreate="force", timeout_s=1)
        await it.up(changed(project, "gate"), alone)
        plan = await it.up(project)
        assert _told(plan) == dict.fromkeys(("net", "ipc", "pid", "vol"), Kind.RECREATE)
        assert {change.cause for change in plan.changes} == {'"gate" is another container now'}
        assert (await it.plan(project)).is_empty

        await subject.runtime.restart_container(gate, timeout_s=1)
        with_gate = f"{project.name}-pid-1"
        await settled(it, lambda seen: _state(seen, with_gate) == "exited")
        plan = await it.up(project)
        assert _told(plan) == {"net": Kind.RESTART, "ipc": Kind.RESTART, "pid": Kind.START}
        assert (await it.plan(project)).is_empty

        await subject.runtime.stop_container(gate, timeout_s=1)
        await settled(it, lambda seen: _state(seen, with_gate) == "exited")
        plan = await it.up(project)
        assert _told(plan) == {
            **{"gate": Kind.START, "net": Kind.RESTART},
            **{"ipc": Kind.RESTART, "pid": Kind.START},
        }
        assert (await it.plan(project)).is_empty


async def check_anonymous_volumes_go_with_their_stack(subject: Subject) -> None:
    """One that a recreation kept, one that others share, and one that is renewed."""
    web = subject.service(volumes=(ServiceVolume(type="volume", target="/a"),))
    side = subject.service(volumes_from=("web",), depends_on=needs("web"))
    project = named(stack({"web": web, "side": side}))

    async def anonymous(it: Stack) -> set[str]:
        containers = (await it.observe()).containers
        return {mount.name for container in containers for mount in container.mounts}

    async def there(names: set[str]) -> set[str]:
        return names & {volume.name for volume in await subject.runtime.list_volumes()}

    async with running(subject, project) as it:
        [kept] = await anonymous(it)
        await it.up(changed(project, "web", user="1"), UpOptions(timeout_s=1))
        assert await anonymous(it) == {kept}
        await it.up(
            changed(project, "web", user="1"), UpOptions(renew_anonymous_volumes=True, timeout_s=1)
        )
        [renewed] = await anonymous(it)
        assert renewed != kept
        assert await there({kept, renewed}) == {renewed}
        await it.up(project, UpOptions(timeout_s=1))
        assert await anonymous(it) == {renewed}
    assert not await there({renewed})


async def check_a_changed_volume_is_made_anew_on_request(subject: Subject) -> None:
    mount = ServiceVolume(type="volume", source="data", target="/data")
    web = subject.service(volumes=(mount,))
    project = named(stack({"web": web, "db": web}, volumes={"data": Volume(name="x")}))
    data = f"{project.name}_data"
    async with running(subject, project) as it:
        volume = project.volumes["data"].model_copy(update={"labels": {"new": "1"}})
        after = project.model_copy(update={"volumes": {"data": volume}})
        plan = await it.plan(after)
        assert plan.is_empty
        assert "creating it again would lose its data" in plan.warnings[0]
        plan = await it.up(after, UpOptions(recreate_volumes=True, timeout_s=1))
        assert [(c.resource.kind, c.kind) for c in plan.changes] == [
            ("volume", Kind.RECREATE),
            ("container", Kind.RECREATE),
            ("container", Kind.RECREATE),
        ]
        assert (await subject.runtime.inspect_volume(data)).labels["new"] == "1"
        assert all(container.is_running for container in (await it.observe()).containers)
        assert (await it.plan(after, UpOptions(recreate_volumes=True))).is_empty


def _told(plan: Plan) -> dict[str, Kind]:
    return {change.resource.service: change.kind for change in plan.changes}


def _state(seen: Observed, name: str) -> str:
    return next(container.state for container in seen.containers if container.name == name)


async def check_scale(subject: Subject) -> None:
    project = named(stack({"web": subject.service(scale=3)}))
    async with running(subject, project) as it:
        await it.up(changed(project, "web", scale=1))
        [left] = (await it.observe()).containers
        assert left.name == f"{project.name}-web-1"


async def check_network_is_made_anew(subject: Subject) -> None:
    project = named(stack({"web": subject.service(), "db": subject.service()}))
    async with running(subject, project) as it:
        default = project.networks["default"].model_copy(update={"labels": {"new": "1"}})
        after = changed(project, "db", user="1").model_copy(
            update={"networks": {"default": default}}
        )
        await it.up(after)
        observed = await it.observe()
        assert all(c.is_running for c in observed.containers)
        assert observed.networks[f"{project.name}_default"].labels["new"] == "1"
        assert (await it.plan(after)).is_empty


async def check_unhealthy_dependency_is_explained(subject: Subject) -> None:
    check = model.Healthcheck(
        test=("CMD-SHELL", "echo cannot connect; exit 4"), interval=0.2, retries=1
    )
    project = named(
        stack(
            {
                "web": subject.service(depends_on=needs("db", condition="service_healthy")),
                "db": subject.service(healthcheck=check),
            }
        )
    )
    it = Stack(subject, project)
    try:
        outcome = await it.apply(await it.plan(project))
        [failure] = outcome.failed
        assert failure.error.message == (
            f"dependency failed to start: container {project.name}-db-1 is unhealthy: "
            'last health check exited 4: "cannot connect"'
        )
        assert [each.operation.resource.service for each in outcome.skipped] == ["web"]
    finally:
        await it.apply(plan_down(await it.observe(), DownOptions(volumes=True)))


def every_attribute(subject: Subject) -> dict[str, model.Service]:
    """A service for each attribute; after `up`, none of them may differ."""
    of = subject.service
    healthcheck = model.Healthcheck(test=("NONE",), disable=True)
    return {
        "plain": of(),
        "annotations": of(annotations={"a": "b"}),
        "capadd": of(cap_add=("NET_ADMIN", "SYS_TIME"), cap_drop=("MKNOD",)),
        "command": of(command=("sh", "-c", "sleep 600")),
        "cpus": of(cpus=0.5, cpu_shares=512),
        "dns": of(dns=("10.0.0.2",), dns_search=("example.org",), dns_opt=("ndots:2",)),
        "entrypoint": of(entrypoint=("sleep",), command=("600",)),
        "environment": of(environment={"A": "1", "B": None, "C": "x=y z"}),
        "expose": of(expose=("80", "90/udp")),
        "extrahosts": of(extra_hosts={"db": ("10.0.0.3",)}),
        "group": of(group_add=("50",)),
        "healthcheck": of(healthcheck=healthcheck),
        "hostname": of(hostname="box", domainname="example.org"),
        "ipc": of(ipc="private"),
        "labels": of(labels={"x": "y"}),
        "logging": of(logging=model.Logging(driver="json-file", options={})),
        "memory": of(mem_limit=64 << 20, mem_reservation=32 << 20),
        "named": of(container_name=unique()),
        "network": of(networks={"default": model.ServiceNetwork(aliases=("other",)), "back": None}),
        "none": of(network_mode="none"),
        "oom": of(oom_score_adj=10),
        "pids": of(pids_limit=100),
        "ports": of(ports=(model.Port(target=80, protocol="tcp"),)),
        "readonly": of(read_only=True, tmpfs=("/run",)),
        "restart": of(restart="on-failure:3"),
        "scale": of(scale=2),
        "secrets": of(secrets=(FileGrant(source="key"),)),
        "security": of(security_opt=("no-new-privileges:true",)),
        "shm": of(shm_size=32 << 20),
        "stop": of(stop_grace_period=3.0),
        "sysctls": of(sysctls={"net.core.somaxconn": "256"}),
        "tmpfs": of(
            volumes=(ServiceVolume(type="tmpfs", target="/t", tmpfs=TmpfsOptions(size=1 << 20)),)
        ),
        "tty": of(tty=True, stdin_open=True),
        "ulimits": of(ulimits={"nofile": Ulimit(soft=512, hard=1024)}),
        "user": of(user="1:1"),
        "volumes": of(
            volumes=(
                ServiceVolume(type="volume", source="data", target="/data/"),
                ServiceVolume(type="volume", target="/anonymous"),
                ServiceVolume(type="bind", source="/etc", target="/host", read_only=True),
            )
        ),
        "workingdir": of(working_dir="/tmp"),
    }


async def check_nothing_differs_after_up(subject: Subject) -> None:
    project = named(
        stack(
            every_attribute(subject),
            networks={"back": Network(name="x", internal=True, labels={"l": "1"})},
            volumes={"data": Volume(name="x", labels={"l": "1"})},
            secrets={"key": FileObject(name="key", content="hush")},
        )
    )
    async with running(subject, project) as it:
        again = await it.plan(project)
        assert again.is_empty, [(c.resource.name, c.cause, c.fields) for c in again.changes]


CHECKS: dict[str, Callable[[Subject], Awaitable[None]]] = {
    name.removeprefix("check_"): value
    for name, value in sorted(globals().items())
    if name.startswith("check_")
}
