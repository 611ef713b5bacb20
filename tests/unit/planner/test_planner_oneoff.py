"""The plans of `run`: what a service needs comes up, its own containers are left alone."""

from __future__ import annotations

import textwrap
from dataclasses import replace
from typing import Any

import pytest
from fake_runtime import Behaviour, FakeRuntime
from planning import needs, port, published, service, stack, up

from stackr.errors import Conflict, InvalidArgument
from stackr.executor.apply import apply
from stackr.planner.commands.oneoff import OneOff, needs_options, plan_needs, plan_one_off
from stackr.planner.desired.project import desired
from stackr.planner.observe.observed import Observed, observe, service_of
from stackr.planner.plan.model import Plan
from stackr.planner.plan.options import UpOptions
from stackr.planner.plan.payloads import CreateContainer
from stackr.runtime import labels
from stackr.runtime.container import ContainerConfig
from stackr.spec.model.mounts import ServiceVolume
from stackr.spec.model.network import Network
from stackr.spec.model.project import Project
from stackr.spec.model.service import ServiceNetwork

SLUG = "0123456789abcdef" * 4
NAME = "demo-web-run-0123456789ab"
WEB = service(
    command=("serve",),
    entrypoint=("/init",),
    environment={"A": "1", "B": "2"},
    labels={"own": "yes"},
    cap_add=("CHOWN", "KILL"),
    cap_drop=("MKNOD",),
    depends_on=needs("db", condition="service_healthy"),
    networks={"default": ServiceNetwork(aliases=("www",))},
    ports=published(8080),
    restart="always",
    tty=True,
)
PROJECT = stack({"web": WEB, "db": service(), "other": service()})


def plans(
    project: Project, observed: Observed, wanted: OneOff, options: UpOptions | None = None
) -> tuple[Plan, Plan]:
    options = options or UpOptions()
    wish = desired(project, needs_options(wanted.service, options))
    return (
        plan_needs(wish, observed, wanted.service, options),
        plan_one_off(wish, observed, wanted, options),
    )


def config_of(project: Project = PROJECT, **changes: Any) -> ContainerConfig:
    _, own = plans(project, Observed("demo"), OneOff("web", SLUG, **changes))
    [payload] = [o.payload for o in own.operations if isinstance(o.payload, CreateContainer)]
    return payload.config


async def test_what_it_needs_comes_up_and_nothing_else() -> None:
    first, second = plans(PROJECT, Observed("demo"), OneOff("web", SLUG))
    assert f"{first}\n" == textwrap.dedent(
        """\
        #1 network:demo_default create network: missing
        #2 image:app pull image: not found
        [1,2] -> #3 container:demo-db-1 create container: no existing container
        [3] -> #4 container:demo-db-1 start container: created
        """
    ).replace("missing", first.operations[0].cause)
    assert f"{second}\n" == textwrap.dedent(
        f"""\
        #1 image:app pull image: not found
        #2 container:demo-db-1 wait for service_healthy: needed by web
        [1,2] -> #3 container:{NAME} create container: run
        """
    )


async def test_the_services_own_containers_are_left_alone() -> None:
    runtime = FakeRuntime.with_images("app", behaviours={"db": Behaviour(health=("healthy",))})
    await up(runtime, PROJECT)
    before = dict(runtime.containers)
    changed = PROJECT.model_copy(
        update={"services": {**PROJECT.services, "web": WEB.model_copy(update={"name": "web"})}}
    )
    observed = await observe(runtime, "demo", desired(changed))
    first, second = plans(changed, observed, OneOff("web", SLUG))
    assert first.is_empty
    outcome = await apply(second, runtime, lambda event: None)
    assert outcome.is_success
    assert runtime.containers.keys() - before.keys() == {
        container.id for container in runtime.containers.values() if container.name == NAME
    }
    assert all(runtime.containers[id] == before[id] for id in before)


def test_without_dependencies() -> None:
    options = UpOptions(no_deps=True)
    first, second = plans(PROJECT, Observed("demo"), OneOff("web", SLUG), options)
    assert [o.resource.kind for o in first.operations] == ["network"]
    assert [o.action.value for o in second.operations] == ["pull image", "create container"]


def test_labels_and_names() -> None:
    config = config_of(labels={"own": "no", "new": "1"})
    own = config.labels
    assert (own[labels.ONEOFF], own[labels.SLUG]) == ("True", SLUG)
    assert labels.CONTAINER_NUMBER not in own
    assert (own["own"], own["new"], own[labels.SERVICE]) == ("no", "1", "web")
    assert [network.aliases for network in config.networks] == [(NAME,)]
    aliased = config_of(use_aliases=True, name="mine")
    assert [network.aliases for network in aliased.networks] == [("mine", "web", "www")]


def test_its_settings_go_before_the_services() -> None:
    plain = config_of()
    assert (plain.command, plain.entrypoint) == (("serve",), ("/init",))
    assert (plain.restart, plain.ports, plain.auto_remove) == (None, (), False)
    assert (plain.tty, plain.open_stdin, plain.stdin_once) == (False, True, True)
    assert config_of(command=("ls",)).command == ("ls",)
    assert config_of(entrypoint=("sh",)).command == ()
    assert config_of(entrypoint=("sh",), command=("-c",)).command == ("-c",)
    assert config_of(environment={"B": "3", "C": ""}).environment == {"A": "1", "B": "3", "C": ""}
    caps = config_of(cap_add=("MKNOD",), cap_drop=("KILL",))
    assert (caps.cap_add, caps.cap_drop) == (("CHOWN", "MKNOD"), ("KILL",))
    assert config_of(ports=None).ports[0].host_port == "8080"
    assert config_of(ports=(port(80, "9"),)).ports[0].host_port == "9"
    mounted = config_of(volumes=(ServiceVolume(type="bind", source="/a", target="/b"),))
    assert [mount.target for mount in mounted.mounts] == ["/b"]
    ended = config_of(auto_remove=True, tty=True, stdin=False, user="u", working_dir="/w")
    assert (ended.auto_remove, ended.tty, ended.open_stdin) == (True, True, False)
    assert (ended.user, ended.working_dir) == ("u", "/w")


def test_what_it_shares_is_its_dependencys() -> None:
    project = stack({"web": service(network_mode="service:db"), "db": service()})
    assert config_of(project).network_mode == "container:demo-db-1"


async def test_a_changed_network_of_its_replicas_is_refused() -> None:
    runtime = FakeRuntime.with_images("app", behaviours={"db": Behaviour(health=("healthy",))})
    await up(runtime, PROJECT)
    changed = PROJECT.model_copy(
        update={"networks": {"default": Network(name="demo_default", internal=True)}}
    )
    observed = await observe(runtime, "demo", desired(changed))
    with pytest.raises(Conflict, match="demo_default: it has changed in the stack file"):
        plans(changed, observed, OneOff("web", SLUG))
    others = tuple(c for c in observed.containers if service_of(c) != "web")
    first, _ = plans(changed, replace(observed, containers=others), OneOff("web", SLUG))
    assert "network:demo_default remove network" in str(first)


def test_an_image_that_may_not_be_pulled() -> None:
    project = stack({"web": service(pull_policy="never")})
    with pytest.raises(InvalidArgument, match="pull policy is never"):
        plans(project, Observed("demo"), OneOff("web", SLUG))
