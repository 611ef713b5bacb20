"""Plans as whole texts: what a stack needs that is new, changed, broken or gone."""

from __future__ import annotations

import textwrap
from dataclasses import replace
from typing import Any

import pytest
from fake_runtime import Behaviour, FakeRuntime, image
from planning import needs, plan_for, port, published, service, stack, up

from stackr.errors import InvalidArgument, InvalidProject, NotFound, NotSupported
from stackr.planner.observe.observed import Observed, observe
from stackr.planner.observe.revision import Revision, revision_volume
from stackr.planner.plan.model import Change, Kind, Origin, Plan
from stackr.planner.plan.options import UpOptions
from stackr.runtime.limits import Resources
from stackr.runtime.types import Capabilities, NetworkConfig, NetworkFault
from stackr.spec.model.mounts import ServiceVolume
from stackr.spec.model.network import Ipam, IpamPool, Network
from stackr.spec.model.service import Healthcheck
from stackr.spec.model.volume import Volume

NOTHING = Observed("demo")


def text(plan: Plan) -> str:
    return f"{plan}\n"


def want(expected: str) -> str:
    return textwrap.dedent(expected).lstrip("\n")


def changes(plan: Plan) -> list[tuple[str, Kind]]:
    return [(change.resource.name, change.kind) for change in plan.changes]


def change_of(plan: Plan, name: str) -> Change:
    return next(change for change in plan.changes if change.resource.name == name)


async def seen(runtime: FakeRuntime, project: Any) -> Observed:
    from stackr.planner.desired.project import desired

    return await observe(runtime, project.name, desired(project))


def test_new_stack() -> None:
    project = stack(
        {
            "web": service(depends_on=needs("db", condition="service_healthy")),
            "db": service(
                image="db",
                healthcheck=Healthcheck(test=("CMD", "true")),
                volumes=(ServiceVolume(type="volume", source="data", target="/data"),),
            ),
        },
        volumes={"data": Volume(name="demo_data")},
    )
    assert text(plan_for(project, NOTHING)) == want(
        """
        #1 network:demo_default create network: not found
        #2 volume:demo_data create volume: not found
        #3 image:db pull image: not found
        [1,2,3] -> #4 container:demo-db-1 create container: no existing container
        #5 image:app pull image: not found
        [1,5] -> #6 container:demo-web-1 create container: no existing container
        [4] -> #7 container:demo-db-1 start container: created
        [7] -> #8 container:demo-db-1 wait for service_healthy: needed by web
        [6,8] -> #9 container:demo-web-1 start container: created
        """
    )


def test_summary_and_json_of_a_new_stack() -> None:
    plan = plan_for(stack({"web": service()}), NOTHING)
    assert plan.summary == {"create": 2, "pull": 1}
    document = plan.to_json()
    assert document["version"] == 1
    assert document["operations"][0] == {
        "id": 1,
        "action": "create network",
        "resource": {"kind": "network", "name": "demo_default"},
        "cause": "not found",
        "depends_on": [],
        "optional": False,
    }


async def test_nothing_to_do_after_up() -> None:
    project = stack({"web": service(ports=published(80)), "db": service()})
    runtime = FakeRuntime.with_images("app")
    await up(runtime, project)
    plan = plan_for(project, await seen(runtime, project))
    assert plan.is_empty
    assert plan.unchanged == 3
    assert not plan.warnings


async def test_changed_environment_recreates_only_that_service() -> None:
    runtime = FakeRuntime.with_images("app")
    await up(runtime, stack({"web": service(environment={"A": "1"}), "db": service()}))
    after = stack({"web": service(environment={"A": "2"}), "db": service()})
    plan = plan_for(after, await seen(runtime, after))
    old = runtime._find("demo-web-1").id[:12]
    assert text(plan) == want(
        f"""
        #1 container:demo-web-1 create container as {old}_demo-web-1: recreate: environment changed
        [1] -> #2 container:demo-web-1 stop container: environment changed
        [1,2] -> #3 container:demo-web-1 remove container: replaced
        [3] -> #4 container:demo-web-1 rename container: takes the place of the old one
        [4] -> #5 container:demo-web-1 start container: created
        """
    )
    field = change_of(plan, "demo-web-1").fields[0]
    assert (field.path, field.old, field.new, field.forces_recreate) == (
        "environment.A",
        "1",
        "2",
        True,
    )


async def test_secrets_are_masked_while_the_key_is_named() -> None:
    runtime = FakeRuntime.with_images("app")
    await up(runtime, stack({"web": service(environment={"DB_PASSWORD": "old-pass"})}))
    after = stack({"web": service(environment={"DB_PASSWORD": "new-pass"})})
    plan = plan_for(after, await seen(runtime, after))
    field = change_of(plan, "demo-web-1").fields[0]
    assert field.path == "environment.DB_PASSWORD"
    assert field.is_secret
    assert "-pass" not in str(plan.to_json())


async def test_moved_tag_is_drift_that_recreates() -> None:
    project = stack({"web": service()})
    runtime = FakeRuntime.with_images("app")
    await up(runtime, project)
    runtime.images["app"] = image("app", content="rebuilt")
    change = change_of(plan_for(project, await seen(runtime, project)), "demo-web-1")
    assert change.kind is Kind.RECREATE
    assert change.fields[0].path == "image"
    assert change.fields[0].new == runtime.images["app"].id
    assert change.fields[0].origin is Origin.DRIFT


async def test_stopped_container_is_drift_and_is_started() -> None:
    project = stack({"web": service()})
    runtime = FakeRuntime.with_images("app")
    await up(runtime, project)
    await runtime.kill_container("demo-web-1")
    plan = plan_for(project, await seen(runtime, project))
    assert text(plan) == want("#1 container:demo-web-1 start container: exited with code 137\n")
    assert plan.changes[0].origin is Origin.DRIFT


async def test_one_shot_that_succeeded_is_left_alone() -> None:
    project = stack(
        {
            "web": service(depends_on=needs("migrate", condition="service_completed_successfully")),
            "migrate": service(),
        }
    )
    runtime = FakeRuntime.with_images("app", behaviours={"migrate": Behaviour(exit_code=0)})
    await up(runtime, project)
    assert plan_for(project, await seen(runtime, project)).is_empty


@pytest.mark.parametrize(
    ("left", "is_down", "origins"),
    [
        (2, False, [Origin.DRIFT, Origin.FILE]),
        (1, False, [Origin.FILE, Origin.FILE]),
        (3, True, [Origin.FILE, Origin.FILE, Origin.FILE]),
    ],
)
async def test_removed_container_is_drift(left: int, is_down: bool, origins: list[Origin]) -> None:
    """Three are wanted; the newest revision left so many, and one is there; after `down`, none."""
    runtime = FakeRuntime.with_images("app")
    await up(runtime, stack({"web": service(scale=1)}))
    if is_down:
        await runtime.remove_container("demo-web-1", force=True)
        await runtime.remove_network("demo_default")
    await runtime.create_volume(revision_volume("demo", Revision(1, replicas={"web": 9})))
    await runtime.create_volume(revision_volume("demo", Revision(10, replicas={"web": left})))
    plan = plan_for(stack({"web": service(scale=3)}), await observe(runtime, "demo"))
    created = [change for change in plan.changes if change.resource.kind == "container"]
    assert [change.origin for change in created] == origins
    assert ("outside stackr" in created[0].cause) is (origins[0] is Origin.DRIFT)


async def test_detached_network_is_drift() -> None:
    project = stack({"web": service()})
    runtime = FakeRuntime.with_images("app")
    await up(runtime, project)
    await runtime.disconnect_network("demo-web-1", "demo_default")
    change = change_of(plan_for(project, await seen(runtime, project)), "demo-web-1")
    assert change.kind is Kind.RECREATE
    assert change.origin is Origin.DRIFT
    assert change.fields[0].path == "networks.demo_default"


@pytest.mark.parametrize("lifts", [False, True])
async def test_a_limit_that_docker_discarded_is_no_drift(lifts: bool) -> None:
    project = stack({"web": service(mem_limit=64, memswap_limit=128, cpu_shares=5, pids_limit=9)})
    runtime = FakeRuntime.with_images("app")
    await up(runtime, project)
    observed = await seen(runtime, project)
    left = Resources(memory_bytes=64, memory_swap_bytes=-1, pids_limit=9)
    containers = tuple(replace(each, resources=left) for each in observed.containers)
    engine = replace(observed.engine, update_lifts=lifts)
    found = plan_for(project, replace(observed, containers=containers, engine=engine)).changes
    paths = [field.path for change in found for field in change.fields]
    assert paths == (["memswap_limit", "cpu_shares"] if lifts else [])


async def test_scale_down_takes_the_highest_numbers() -> None:
    runtime = FakeRuntime.with_images("app")
    await up(runtime, stack({"web": service(scale=3)}))
    after = stack({"web": service(scale=1)})
    plan = plan_for(after, await seen(runtime, after))
    assert text(plan) == want(
        """
        #1 container:demo-web-2 stop container: scale down
        [1] -> #2 container:demo-web-2 remove container: scale down
        #3 container:demo-web-3 stop container: scale down
        [3] -> #4 container:demo-web-3 remove container: scale down
        """
    )


async def test_removed_replica_is_created_under_its_own_number() -> None:
    project = stack({"web": service(scale=3)})
    runtime = FakeRuntime.with_images("app")
    await up(runtime, project)
    await runtime.remove_container("demo-web-2", force=True)
    plan = plan_for(project, await seen(runtime, project))
    assert changes(plan) == [("demo-web-2", Kind.CREATE)]


async def test_shared_namespace_cascades_and_order_holds() -> None:
    runtime = FakeRuntime.with_images("app")
    sidecar = service(network_mode="service:web", depends_on=needs("web", restart=True))
    await up(runtime, stack({"web": service(), "side": sidecar, "other": service()}))
    after = stack({"web": service(user="1"), "side": sidecar, "other": service()})
    plan = plan_for(after, await seen(runtime, after))
    assert changes(plan) == [
        ("demo-web-1", Kind.RECREATE),
        ("demo-side-1", Kind.RECREATE),
    ]
    assert change_of(plan, "demo-side-1").touched_by == ("web",)
    await up(runtime, after)
    side = runtime.configs[runtime._find("demo-side-1").id]
    assert side.network_mode == f"container:{runtime._find('demo-web-1').id}"


async def test_restart_true_restarts_dependants_around_the_recreation() -> None:
    runtime = FakeRuntime.with_images("app")
    web = service(depends_on=needs("db", restart=True))
    await up(runtime, stack({"web": web, "db": service()}))
    after = stack({"web": web, "db": service(user="1")})
    observed = await seen(runtime, after)
    old = runtime._find("demo-db-1").id[:12]
    assert text(plan_for(after, observed)) == want(
        f"""
        #1 container:demo-web-1 stop container: depends on "db", which is recreated
        #2 container:demo-db-1 create container as {old}_demo-db-1: recreate: user changed
        [1,2] -> #3 container:demo-db-1 stop container: user changed
        [2,3] -> #4 container:demo-db-1 remove container: replaced
        [4] -> #5 container:demo-db-1 rename container: takes the place of the old one
        [5] -> #6 container:demo-db-1 start container: created
        [1,6] -> #7 container:demo-web-1 start container: "db" is recreated
        """
    )
    assert change_of(plan_for(after, observed), "demo-web-1").kind is Kind.RESTART


async def test_what_the_host_has_lost_of_a_network_is_drift() -> None:
    runtime = FakeRuntime.with_images("app")
    runtime.capabilities = Capabilities(network_repair=True)
    shared = Network(name="shared", external=True)
    await runtime.create_network(NetworkConfig("shared"))
    project = stack(
        {"web": service(networks={"default": None, "shared": None})}, networks={"shared": shared}
    )
    await up(runtime, project)
    faults = [NetworkFault("bridge", "missing", "sk-1")]
    faults += [NetworkFault(f"demo-web-{n}.eth0", "missing", f"10.9.0.{n}") for n in range(1, 4)]
    runtime.faults = {runtime.networks[name].id: faults for name in ("demo_default", "shared")}
    plan = plan_for(project, await seen(runtime, project))
    told = "bridge is missing, demo-web-1.eth0 is missing, demo-web-2.eth0 is missing, and 1 more"
    assert str(plan) == (
        f"#1 network:demo_default repair network: {told}\n#2 network:shared repair network: {told}"
    )
    assert plan.summary == {"update": 2}
    assert {change.origin for change in plan.changes} == {Origin.DRIFT}
    field = plan.changes[0].fields[0]
    assert (field.path, field.old, field.new) == ("bridge", "missing", "sk-1")
    assert not field.forces_recreate
    await up(runtime, project)
    assert plan_for(project, await seen(runtime, project)).is_empty


async def test_an_engine_that_does_not_tell_of_faults_is_not_asked() -> None:
    runtime = FakeRuntime.with_images("app")
    await up(runtime, stack({"web": service()}))
    await up(runtime, stack({"web": service()}))
    assert not [call for call in runtime.calls if call.startswith("network_faults")]


async def test_changed_network_is_made_anew_under_its_containers() -> None:
    runtime = FakeRuntime.with_images("app")
    await up(runtime, stack({"web": service(), "db": service()}))
    network = Network(name="demo_default", ipam=Ipam(config=(IpamPool(subnet="10.9.0.0/24"),)))
    after = stack({"web": service(), "db": service(user="1")}, networks={"default": network})
    plan, outcome = await up(runtime, after)
    assert outcome.is_success
    assert change_of(plan, "demo_default").kind is Kind.RECREATE
    assert change_of(plan, "demo-web-1").kind is Kind.RESTART
    assert change_of(plan, "demo-db-1").kind is Kind.RECREATE
    assert runtime.networks["demo_default"].pools[0].subnet == "10.9.0.0/24"
    assert plan_for(after, await seen(runtime, after)).is_empty


async def test_host_port_is_freed_before_another_service_takes_it() -> None:
    runtime = FakeRuntime.with_images("app")
    await up(runtime, stack({"a": service(), "b": service(ports=published(8080))}))
    after = stack({"a": service(ports=published(8080)), "b": service(ports=published(8081))})
    plan, outcome = await up(runtime, after)
    assert outcome.is_success, outcome.failed
    assert not outcome.failed
    start = next(o for o in plan.operations if str(o).endswith("demo-a-1 start container: created"))
    stop_b = next(o for o in plan.operations if "demo-b-1 stop container" in str(o))
    assert stop_b.id in start.depends_on


async def test_orphans_are_warned_about_or_removed() -> None:
    runtime = FakeRuntime.with_images("app")
    await up(runtime, stack({"web": service(), "old": service()}))
    after = stack({"web": service()})
    observed = await seen(runtime, after)
    plan = plan_for(after, observed)
    assert plan.is_empty
    assert "demo-old-1" in plan.warnings[0]
    [change] = plan.changes
    assert (change.kind, change.cause) == (Kind.ORPHAN, "stays; --remove-orphans removes it")
    assert plan.summary == {"orphan": 1}
    assert text(plan_for(after, observed, UpOptions(remove_orphans=True))) == want(
        """
        #1 container:demo-old-1 stop container: orphan
        [1] -> #2 container:demo-old-1 remove container: orphan
        """
    )


async def test_service_of_an_inactive_profile_is_no_orphan() -> None:
    runtime = FakeRuntime.with_images("app")
    await up(runtime, stack({"web": service(), "debug": service()}))
    after = stack({"web": service()}, disabled_services={"debug": service(name="debug")})
    plan = plan_for(after, await seen(runtime, after), UpOptions(remove_orphans=True))
    assert plan.is_empty
    assert not plan.warnings


async def test_interrupted_recreation_is_finished() -> None:
    """The old container is gone, and the new one has not got its name yet."""
    project = stack({"web": service()})
    runtime = FakeRuntime.with_images("app")
    await up(runtime, project)
    await runtime.stop_container("demo-web-1")
    await runtime.rename_container("demo-web-1", "0123456789ab_demo-web-1")
    plan, outcome = await up(runtime, project)
    assert outcome.is_success
    assert [str(o.action.value) for o in plan.operations] == [
        "rename container",
        "start container",
    ]
    assert plan_for(project, await seen(runtime, project)).is_empty


async def test_interrupted_recreation_with_both_containers_keeps_the_named_one() -> None:
    project = stack({"web": service()})
    runtime = FakeRuntime.with_images("app")
    await up(runtime, project)
    config = runtime.configs[runtime._find("demo-web-1").id]
    await runtime.create_container("0123456789ab_demo-web-1", config)
    plan, outcome = await up(runtime, project)
    assert outcome.is_success
    assert changes(plan) == [("0123456789ab_demo-web-1", Kind.REMOVE)]


@pytest.mark.parametrize("atomic", [False, True])
async def test_an_interrupted_recreation_is_begun_anew_under_a_name_that_is_free(
    atomic: bool,
) -> None:
    """What it has left bears the name that the next one would take, and may stay to the end."""
    runtime = FakeRuntime.with_images("app")
    await up(runtime, stack({"web": service()}))
    old = runtime._find("demo-web-1").id
    left = await runtime.create_container(f"{old[:12]}_demo-web-1", runtime.configs[old])
    changed = stack({"web": service(user="1")})
    _, outcome = await up(runtime, changed, UpOptions(atomic=atomic))
    assert outcome.is_success
    assert {c.name for c in runtime.containers.values()} == {"demo-web-1"}
    assert left not in runtime.containers
    assert plan_for(changed, await seen(runtime, changed)).is_empty


async def test_anonymous_volumes_are_kept_on_recreation() -> None:
    anonymous = (ServiceVolume(type="volume", target="/anon"),)
    runtime = FakeRuntime(images={"app": image("app", volumes=("/image",))})
    await up(runtime, stack({"web": service(volumes=anonymous)}))
    before = {m.target: m.name for m in runtime._find("demo-web-1").mounts}
    await up(runtime, stack({"web": service(volumes=anonymous, user="1")}))
    assert {m.target: m.name for m in runtime._find("demo-web-1").mounts} == before
    renew = UpOptions(renew_anonymous_volumes=True)
    await up(runtime, stack({"web": service(volumes=anonymous, user="2")}), renew)
    assert {m.target: m.name for m in runtime._find("demo-web-1").mounts} != before


async def test_changed_volume_is_kept_with_a_warning() -> None:
    mounts = (ServiceVolume(type="volume", source="data", target="/data"),)
    services = {"web": service(volumes=mounts)}
    runtime = FakeRuntime.with_images("app")
    await up(runtime, stack(services, volumes={"data": Volume(name="demo_data")}))
    changed = Volume(name="demo_data", driver_opts={"type": "tmpfs"})
    after = stack(services, volumes={"data": changed})
    plan = plan_for(after, await seen(runtime, after))
    assert plan.is_empty
    assert "would lose its data" in plan.warnings[0]
    assert "driver_opts.type" in plan.warnings[0]


@pytest.mark.parametrize(
    ("options", "kinds"),
    [
        (UpOptions(recreate="never"), []),
        (UpOptions(recreate="force"), ["demo-db-1", "demo-web-1"]),
        (UpOptions(services=("web",), recreate="force"), ["demo-web-1"]),
        (
            UpOptions(services=("web",), recreate="force", recreate_dependencies=True),
            ["demo-db-1", "demo-web-1"],
        ),
    ],
)
async def test_recreate_options(options: UpOptions, kinds: list[str]) -> None:
    runtime = FakeRuntime.with_images("app")
    project = stack({"web": service(depends_on=needs("db")), "db": service()})
    await up(runtime, project)
    plan = plan_for(project, await seen(runtime, project), options)
    assert [change.resource.name for change in plan.changes] == kinds


async def test_services_come_with_what_they_need() -> None:
    project = stack({"web": service(depends_on=needs("db")), "db": service(), "other": service()})
    names = [c.resource.name for c in plan_for(project, NOTHING, UpOptions(("web",))).changes]
    assert "demo-db-1" in names
    assert "demo-other-1" not in names
    alone = plan_for(project, NOTHING, UpOptions(("web",), no_deps=True))
    assert "demo-db-1" not in [change.resource.name for change in alone.changes]


def test_no_start_creates_only() -> None:
    plan = plan_for(stack({"web": service()}), NOTHING, UpOptions(start=False))
    assert [operation.action.value for operation in plan.operations] == [
        "create network",
        "pull image",
        "create container",
    ]


def test_wait_ends_with_everything_ready() -> None:
    project = stack(
        {
            "web": service(depends_on=needs("migrate", condition="service_completed_successfully")),
            "migrate": service(),
        }
    )
    plan = plan_for(project, NOTHING, UpOptions(wait=True, wait_timeout_s=9))
    waits = [str(o) for o in plan.operations if o.cause == "--wait"]
    assert waits == [
        "[5] -> #8 container:demo-migrate-1 wait for service_completed_successfully: --wait",
        "[7] -> #9 container:demo-web-1 wait for running_or_healthy: --wait",
    ]


def test_optional_dependency_skips_nothing() -> None:
    project = stack({"web": service(depends_on=needs("db", required=False)), "db": service()})
    plan = plan_for(project, NOTHING)
    wait = next(o for o in plan.operations if o.action.value == "wait for")
    assert wait.is_optional


def test_host_ports_that_clash_name_both_places() -> None:
    project = stack(
        {"a": service(ports=published(80)), "b": service(ports=(port(1), port(9, "80")))}
    )
    with pytest.raises(InvalidProject) as caught:
        plan_for(project, NOTHING)
    assert caught.value.problems == (
        "services.b.ports[1]: host port 80/tcp is already published by services.a.ports[0]",
    )


def test_host_ports_on_different_addresses_are_no_clash() -> None:
    a = service(ports=(port(80, "80", host_ip="127.0.0.1"),))
    b = service(ports=(port(80, "80", host_ip="127.0.0.2"),))
    assert plan_for(stack({"a": a, "b": b}), NOTHING)


def test_one_host_port_for_several_replicas_is_refused() -> None:
    with pytest.raises(InvalidProject) as caught:
        plan_for(stack({"a": service(ports=published(80), scale=2)}), NOTHING)
    assert "cannot be shared by 2 replicas" in caught.value.problems[0]


def test_container_name_cannot_be_scaled() -> None:
    project = stack({"web": service(container_name="it")})
    with pytest.raises(InvalidArgument, match='container name "it" cannot be shared by 2'):
        plan_for(project, NOTHING, UpOptions(scale={"web": 2}))


def test_unknown_service_is_named() -> None:
    with pytest.raises(NotFound, match="no such service: nope"):
        plan_for(stack({"web": service()}), NOTHING, UpOptions(("nope",)))


def test_cycle_shows_the_way_around() -> None:
    project = stack(
        {
            "a": service(depends_on=needs("b")),
            "b": service(depends_on=needs("c")),
            "c": service(depends_on=needs("a")),
        }
    )
    with pytest.raises(InvalidArgument, match="dependency cycle detected: a -> b -> c -> a"):
        plan_for(project, NOTHING)


def test_external_network_and_volume_must_be_there() -> None:
    outside = stack(
        {"web": service(networks={"out": None})},
        networks={"out": Network(name="out", external=True)},
    )
    with pytest.raises(NotFound, match="network out declared as external"):
        plan_for(outside, NOTHING)
    mounts = (ServiceVolume(type="volume", source="v", target="/v"),)
    outside = stack(
        {"web": service(volumes=mounts)}, volumes={"v": Volume(name="vol", external=True)}
    )
    with pytest.raises(NotFound, match='external volume "vol" not found'):
        plan_for(outside, NOTHING)


def test_image_that_may_not_be_pulled_names_the_service() -> None:
    with pytest.raises(InvalidArgument, match='service "web": image app is not here'):
        plan_for(stack({"web": service(pull_policy="never")}), NOTHING)


@pytest.mark.parametrize("policy", ["refresh"])
def test_pull_policies_that_are_not_supported(policy: str) -> None:
    with pytest.raises(NotSupported, match=policy):
        plan_for(stack({"web": service(pull_policy=policy)}), NOTHING)


async def test_container_of_another_tool_is_recreated() -> None:
    project = stack({"web": service()})
    runtime = FakeRuntime.with_images("app")
    await up(runtime, project)
    container = runtime._find("demo-web-1")
    foreign = {k: v for k, v in container.labels.items() if not k.startswith("io.stackr")}
    foreign["com.docker.compose.config-hash"] = "other"
    runtime.containers[container.id] = replace(container, labels=foreign)
    change = change_of(plan_for(project, await seen(runtime, project)), "demo-web-1")
    assert change.kind is Kind.RECREATE
    assert "another tool" in change.cause


async def test_order_of_lists_that_mean_sets_changes_nothing() -> None:
    runtime = FakeRuntime.with_images("app")
    await up(runtime, stack({"web": service(cap_add=("A", "B"), ports=published(1, 2))}))
    after = stack({"web": service(cap_add=("B", "A"), ports=published(2, 1))})
    assert plan_for(after, await seen(runtime, after)).is_empty


async def test_a_container_whose_creation_was_cut_off_is_made_anew() -> None:
    project = stack({"web": service()})
    runtime = FakeRuntime.with_images("app")
    await up(runtime, project)
    [web] = (await seen(runtime, project)).containers
    half_made = replace(web, name="w-unfinished-0123456789ab", state="created")
    observed = replace(await seen(runtime, project), containers=(half_made,))
    assert text(plan_for(project, observed)) == want(
        """
        #1 container:demo-web-1 create container: no existing container
        #2 container:w-unfinished-0123456789ab remove container: its creation was interrupted
        [1] -> #3 container:demo-web-1 start container: created
        """
    )
    beside = replace(observed, containers=(half_made, web))
    assert changes(plan_for(project, beside)) == [(half_made.name, Kind.REMOVE)]
    running = replace(half_made, state="running")  # a name of the user's own choice
    assert not running.is_unfinished
