"""A project made into isolated copies: what they share no more, what they do, and what is told."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from planning import plan_for, port, published, service, stack

from stackr.errors import InvalidArgument, InvalidProject
from stackr.planner.desired.instance import Instance, InstancePort, Keep, instance, instance_name
from stackr.planner.desired.project import desired
from stackr.planner.observe.observed import Observed
from stackr.planner.plan.options import UpOptions
from stackr.planner.plan.payloads import CreateContainer, CreateNetwork, CreateVolume
from stackr.spec.load import LoadOptions, load
from stackr.spec.model.mounts import ServiceVolume
from stackr.spec.model.network import Ipam, IpamPool, Network
from stackr.spec.model.project import Project
from stackr.spec.model.service import ServiceNetwork
from stackr.spec.model.volume import Volume


def copy_of(text: str, folder: Path, token: str = "ab12", keep: Keep | None = None) -> Instance:
    """The copy of a stack file, loaded as the command line does it."""
    path = folder / "compose.yaml"
    path.write_text(textwrap.dedent(text))
    name = instance_name("demo", token)
    project = load(LoadOptions(files=(str(path),), project_name=name), {}, folder)
    return instance(project, "demo", f"t-{token}", keep=keep)


def names_of(project: Project) -> set[str]:
    """Every name and host port that the plan of a project takes in an engine."""
    taken = set()
    for operation in plan_for(project, Observed(project.name)).operations:
        match operation.payload:
            case CreateContainer(name=name, config=config):
                taken.add(f"container {name}")
                taken |= {f"port {binding.host_port}" for binding in config.ports}
            case CreateNetwork(config=network):
                taken.add(f"network {network.name}")
                taken |= {f"subnet {pool.subnet}" for pool in network.pools}
                taken |= set(network.options.values())
            case CreateVolume(config=volume):
                taken.add(f"volume {volume.name}")
            case _:
                pass
    return taken - {"port "}


FIXED = """\
    name: demo
    services:
      web:
        image: app
        container_name: my-web
        ports: ["8080:80", "127.0.0.1:8443:443", "53:53/udp"]
        networks:
          front: {ipv4_address: 10.9.0.10, aliases: [www]}
          back:
        volumes: [data:/data, named:/named, own:/own]
      side:
        image: app
        network_mode: container:my-web
        pid: container:my-web
        volumes_from: [container:my-web:ro]
      db:
        image: app
        external_links: [my-web, my-web:gate]
        networks: [back]
    networks:
      front:
        name: shop-front
        driver_opts: {com.docker.network.bridge.name: br-shop, other: kept}
        ipam: {driver: default, config: [{subnet: 10.9.0.0/24}]}
      back:
    volumes:
      data:
      named: {name: shop-data}
      own: {name: "${COMPOSE_PROJECT_NAME}-own"}
    """


def test_two_copies_share_nothing(tmp_path: Path) -> None:
    one, two = (copy_of(FIXED, tmp_path, token) for token in ("ab12", "cd34"))
    assert names_of(one.project) & names_of(two.project) == {"kept"}
    assert names_of(one.project) == {
        "container demo-t-ab12-db-1",
        "container demo-t-ab12-side-1",
        "container my-web-t-ab12",
        "kept",
        "network demo-t-ab12_back",
        "network shop-front-t-ab12",
        "volume demo-t-ab12-own",
        "volume demo-t-ab12_data",
        "volume shop-data-t-ab12",
    }


def test_a_fixed_container_name_stays_a_dns_name_and_a_reference(tmp_path: Path) -> None:
    services = copy_of(FIXED, tmp_path).project.services
    web = services["web"].networks
    assert {key: network.aliases for key, network in web.items() if network} == {
        "front": ("www", "my-web"),
        "back": ("my-web",),
    }
    front = web["front"]
    assert front is not None
    assert front.ipv4_address is None
    side = services["side"]
    assert (side.network_mode, side.pid) == ("container:my-web-t-ab12",) * 2
    assert side.volumes_from == ("container:my-web-t-ab12:ro",)
    assert services["db"].external_links == ("my-web-t-ab12:my-web", "my-web-t-ab12:gate")


def test_every_published_port_is_to_be_leased(tmp_path: Path) -> None:
    made = copy_of(FIXED, tmp_path)
    assert made.ports == (
        InstancePort("web", 1, 0, 80),
        InstancePort("web", 1, 1, 443, "tcp", "127.0.0.1"),
        InstancePort("web", 1, 2, 53, "udp"),
    )
    assert [p.published for p in made.project.services["web"].ports] == [None] * 3


def test_replicas_have_ports_of_their_own() -> None:
    project = stack({"web": service(ports=(port(80, app_protocol="http"),), scale=2)})
    made = instance(project, "demo", "t-1", replicas={"web": 3})
    assert made.ports == tuple(
        InstancePort("web", number, 0, 80, app_protocol="http") for number in (1, 2, 3)
    )
    assert len(instance(project, "demo", "t-1").ports) == 2
    leased = {("web", number, 0): 20000 + number for number in (1, 2, 3)}
    options = UpOptions(scale={"web": 3}, host_ports=leased)
    plan = plan_for(made.project, Observed("demo"), options)
    bound = {
        operation.payload.name: [binding.host_port for binding in operation.payload.config.ports]
        for operation in plan.operations
        if isinstance(operation.payload, CreateContainer)
    }
    assert bound == {f"demo-web-{number}": [str(20000 + number)] for number in (1, 2, 3)}
    same = desired(made.project, UpOptions(scale={"web": 3}))
    assert same.services["web"].hash == desired(made.project, options).services["web"].hash


def test_what_is_kept_stays_as_it_is(tmp_path: Path) -> None:
    keep = Keep(ports={("web", 80)}, subnets={"front"})
    made = copy_of(FIXED, tmp_path, keep=keep)
    web = made.project.services["web"]
    assert [p.published for p in web.ports] == ["8080", None, None]
    assert [p.container_port for p in made.ports] == [443, 53]
    front = web.networks["front"]
    assert front is not None
    assert front.ipv4_address == "10.9.0.10"
    assert made.project.networks["front"].ipam.config[0].subnet == "10.9.0.0/24"
    assert made.notes == ()


@pytest.mark.parametrize(
    ("keep", "told"),
    [
        (Keep(ports={("wed", 80)}), "no such service: wed"),
        (Keep(ports={("web", 81)}), 'service "web" publishes no port 81'),
        (Keep(subnets={"font"}), "no such network: font"),
    ],
)
def test_keeping_what_is_not_there_is_refused(tmp_path: Path, keep: Keep, told: str) -> None:
    with pytest.raises(InvalidArgument, match=told):
        copy_of(FIXED, tmp_path, keep=keep)


def test_a_kept_port_of_several_replicas_clashes() -> None:
    project = stack({"web": service(ports=published(8080), scale=2)})
    made = instance(project, "demo", "t-1", keep=Keep(ports={("web", 80)}))
    with pytest.raises(InvalidProject, match="host ports clash"):
        desired(made.project)


def test_what_stays_shared_is_told() -> None:
    binds = (
        ServiceVolume(type="bind", source="/src", target="/src"),
        ServiceVolume(type="bind", source="/etc/app", target="/etc/app", read_only=True),
    )
    project = stack(
        {
            "app": service(volumes=binds, external_links=("legacy:old",)),
            "host": service(network_mode="host", ipc="host", pid="container:other"),
        },
        networks={
            "outer": Network(name="company", external=True),
            "fixed": Network(
                name="demo_fixed", ipam=Ipam(config=(IpamPool(subnet="10.1.0.0/16"),))
            ),
        },
        volumes={
            "cache": Volume(name="cache", external=True),
            "files": Volume(name="f", driver_opts={"type": "none", "o": "bind", "device": "/mnt"}),
        },
    )
    made = instance(project, "demo", "t-1")
    assert made.notes == (
        'service "app": container legacy is shared',
        'service "app": /src is writable, and shared',
        'service "host": network_mode: host is not isolated',
        'service "host": pid: container other is shared',
        'service "host": ipc: host is not isolated',
        "network company is external: it is shared",
        "network fixed: its subnet and addresses are left to the engine",
        "volume cache is external: it is shared",
        "volume files is the folder /mnt: it is shared",
    )
    assert made.project.networks["outer"].name == "company"
    assert made.project.volumes["cache"].name == "cache"
    assert made.project.services["app"].external_links == ("legacy:old",)


def test_a_service_on_anothers_network_publishes_nothing_of_its_own() -> None:
    project = stack({"web": service(network_mode="host", ports=published(8080))})
    assert instance(project, "demo", "t-1").ports == ()


def test_the_given_project_is_left_as_it_was(tmp_path: Path) -> None:
    project = stack(
        {"web": service(container_name="w", networks={"default": ServiceNetwork(aliases=("a",))})}
    )
    before = project.model_copy(deep=True)
    instance(project, "demo", "t-1")
    assert project == before


def test_a_built_image_has_the_stacks_name(tmp_path: Path) -> None:
    made = copy_of("services: {web: {build: .}, api: {build: ., image: api:1}}", tmp_path)
    assert made.project.services["web"].image == "demo-web"
    assert made.project.services["api"].image == "api:1"


def test_places_in_the_file_are_still_known(tmp_path: Path) -> None:
    place = copy_of(FIXED, tmp_path).project.position("services.db")
    assert place is not None
    assert place.line == 17


def test_a_long_name_is_cut_before_the_token() -> None:
    assert instance_name("demo", "ab12") == "demo-t-ab12"
    assert instance_name("d" * 200, "ab12") == "d" * 40 + "-t-ab12"
