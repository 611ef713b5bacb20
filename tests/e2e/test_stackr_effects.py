"""What a change of each attribute of a service does, on both engines: the table's proof.

One stack has a service for each attribute. It is brought up, everything is changed at once, and it
is brought up again; each test looks at what that did to its service. On dockerd, which takes its
time, the last change is only looked at.
"""

from __future__ import annotations

import contextlib
import platform
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import docker
import private_dockerd
import pytest
from host_features import disk, host_features
from service_attributes import (
    CASES,
    PORTS,
    Case,
    Side,
    environ,
    filled,
    found_at,
    has_value,
    mixed_file,
    mixtures,
    stack_file,
    write_files,
)
from stackr_stack import Stack, free_port

from stackr.planner.change.effects import Effect, rows
from stackr.runtime.engine.config import EngineConfig

pytestmark = [pytest.mark.root, pytest.mark.e2e, pytest.mark.timeout(600)]

_EFFECTS = {row.path: row for row in rows()}
_CHANGES = {Effect.IN_PLACE: "update", Effect.SCALE: "create", Effect.NONE: None}
Inspection = Mapping[str, Any]


@dataclass(frozen=True)
class Subject:
    """An engine. features: what it has of `Case.needs`. ups, then diffs: what becomes of its stack,
    one after the other.
    """

    column: str
    socket: Path
    image: str
    features: frozenset[str]
    ups: tuple[Side, ...]
    diffs: tuple[Side, ...]

    @property
    def other_image(self) -> str:
        return f"{self.image.rpartition(':')[0]}:other"


Changes = Mapping[str, list[dict[str, Any]]]
"""What a diff says, by service."""


@dataclass(frozen=True)
class Up:
    """The stack after an `up`. diff: what one says then. containers: by service and number."""

    side: Side
    diff: str
    containers: Mapping[str, Inspection]


@dataclass(frozen=True)
class World:
    """What became of a stack of these cases. diffs: of what, and the changes, before each `up`."""

    subject: Subject
    variables: Mapping[str, str]
    cases: tuple[Case, ...]
    diffs: list[tuple[Side, Changes]]
    ups: list[Up]

    def effect(self, case: Case) -> Effect:
        effect: Effect = getattr(_EFFECTS[case.path], self.subject.column)
        return effect


_EMBEDDED = frozenset(
    {
        *("annotations", "api_socket", "endpoint_mac", "endpoint_options", "gw_priority"),
        *("image_mounts", "interface_name", "ipv6", "privileged_hooks", "probes"),
        *("start_interval", "volume_subpath"),
    }
)


@pytest.fixture(scope="module", params=["embedded", "docker"])
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    if request.param == "embedded":
        socket = request.getfixturevalue("engine").socket
        image = request.getfixturevalue("busybox_image")
        features = host_features() | _EMBEDDED
        yield Subject(
            "embedded", socket, image, features, ("before", "after", "before", "bare"), ()
        )
        return
    features = _dockerd_features()
    with private_dockerd.serve() as socket:
        private_dockerd.load_image(socket, "suite/busybox:latest")
        yield Subject("docker", socket, "suite/busybox:latest", features, ("after",), ("before",))


_DISCARDED = frozenset({"bfq", "oom_kill_disable", "swap", "swappiness", "weight"})
"""What dockerd leaves out of a container, with a warning, where the kernel does not have it."""


def _dockerd_features() -> frozenset[str]:
    """It gives its containers no share of real time, and privileges that the host itself has."""
    host = host_features()
    has = {
        "privileged_hooks": "privileged" in host,
        "api_socket": Path("/var/run/docker.sock").exists(),
        **dict.fromkeys(_DISCARDED, "disk" in host),
    }
    return host - {"realtime"} | {name for name, is_there in has.items() if is_there}


@pytest.fixture(scope="module")
def world(
    subject: Subject,
    client: docker.DockerClient,
    engine: EngineConfig,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[World]:
    cases = tuple(case for case in CASES if case.needs <= subject.features)
    with _stack(subject, engine, tmp_path_factory) as stack:
        made = World(subject, stack.environ, cases, [], [])
        stack.write(stack_file(cases, subject.ups[0]))
        stack("up", "--wait", "helper")
        for side in subject.ups:
            _diff(made, stack, side)
            stack("up", "-d", timeout_s=300)
            diff = stack("diff", "--exit-code", want=None).stdout
            made.ups.append(Up(side, diff, _inspections(stack, client)))
        for side in subject.diffs:
            _diff(made, stack, side)
        yield made


@pytest.fixture(scope="module")
def client(subject: Subject) -> Iterator[docker.DockerClient]:
    """A client of the engine, which has the image also by another name meanwhile."""
    client = docker.DockerClient(base_url=f"unix://{subject.socket}", timeout=60)
    try:
        if subject.column == "embedded":
            client.images.pull(subject.image)
        client.images.get(subject.image).tag(subject.other_image)
        try:
            yield client
        finally:
            client.images.remove(subject.other_image)
    finally:
        client.close()


@contextlib.contextmanager
def _stack(
    subject: Subject, engine: EngineConfig, folders: pytest.TempPathFactory
) -> Iterator[Stack]:
    """A stack on the engine, with what the cases name; it is taken down in the end."""
    stack = Stack(folders.mktemp("effects"), engine)
    stack.environ |= environ(
        (free_port() for _ in range(PORTS)),
        STACKR_ENGINE=f"unix://{subject.socket}",
        IMAGE=subject.image,
        OTHER_IMAGE=subject.other_image,
        PROJECT=stack.name,
        DISK=disk(),
        CGROUP="effects",
        ARCH="arm64" if platform.machine() == "aarch64" else "amd64",
        COMPOSE_PROFILES="on",
    )
    write_files(stack.folder)
    try:
        yield stack
    finally:
        stack("down", "-v", "-t", "0", "-p", stack.name, timeout_s=300)


def _diff(world: World, stack: Stack, side: Side) -> None:
    stack.write(stack_file(world.cases, side))
    plan = stack.plan("diff", "--format", "json", "--exit-code", want=2)
    changes: dict[str, list[dict[str, Any]]] = {}
    for change in plan["changes"]:
        if change["change"] == "run":
            continue  # a step, beside the container that it is for
        changes.setdefault(change["resource"].get("service", ""), []).append(change)
    world.diffs.append((side, changes))


def _inspections(stack: Stack, client: docker.DockerClient) -> dict[str, Inspection]:
    found: dict[str, Inspection] = {}
    mine = {"label": f"com.docker.compose.project={stack.name}"}
    for container in client.containers.list(all=True, filters=mine):
        labels = container.labels
        number = labels["com.docker.compose.container-number"]
        found[f"{labels['com.docker.compose.service']}-{number}"] = container.attrs
    return found


def test_nothing_differs_after_up(world: World) -> None:
    assert [up.diff for up in world.ups if "no changes" not in up.diff] == []


def test_nothing_else_is_changed(world: World) -> None:
    services = {"", *(case.service for case in world.cases)}
    assert set().union(*(changes for _, changes in world.diffs[1:])) <= services


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.service)
def test_the_change_is_what_the_table_says(world: World, case: Case) -> None:
    if case not in world.cases:
        pytest.skip(f"this host or engine lacks one of: {', '.join(sorted(case.needs))}")
    effect = world.effect(case)
    for side, changes in world.diffs[1:]:
        if side != "bare":
            _check_changes(changes.get(case.service, []), side, case, effect)
    for before, after in pairwise(world.ups):
        if after.side != "bare":
            _check_containers(before, after, case, effect)
    if case.at and not (world.subject.column == "docker" and case.needs & _DISCARDED):
        _check_value(world, case)


def _check_changes(changes: list[dict[str, Any]], side: Side, case: Case, effect: Effect) -> None:
    """What a diff says of the service."""
    kind = _CHANGES.get(effect, "recreate")
    if effect is Effect.SCALE and side == "before":
        kind = "remove"
    assert [change["change"] for change in changes] == ([] if kind is None else [kind])
    if changes and effect is not Effect.SCALE:
        fields = changes[0]["fields"]
        assert sorted(each["path"] for each in fields) == sorted(case.fields)
        assert {each["forces_recreate"] for each in fields} == {effect is not Effect.IN_PLACE}


def _check_containers(before: Up, after: Up, case: Case, effect: Effect) -> None:
    """New ones, or one more, where the table says so."""
    one, two = f"{case.service}-1", f"{case.service}-2"
    is_new = effect in (Effect.RECREATE, Effect.RESOLVED)
    assert (before.containers[one]["Id"] != after.containers[one]["Id"]) == is_new
    assert (two in after.containers) == (effect is Effect.SCALE and after.side == "after")


def _check_value(world: World, case: Case) -> None:
    """The new value shows where that is up, and only there."""
    at, value = filled(case.at, world.variables), filled(case.value, world.variables)
    shown = [found_at(up.containers[f"{case.service}-1"], at) for up in world.ups]
    assert [has_value(each, value) for each in shown] == [up.side == "after" for up in world.ups], (
        shown
    )


@pytest.mark.usefixtures("client")
def test_nothing_differs_after_up_of_mixtures(
    subject: Subject,
    engine: EngineConfig,
    tmp_path_factory: pytest.TempPathFactory,
    dice: random.Random,
) -> None:
    cases = [case for case in CASES if case.needs <= subject.features]
    mixed = mixtures(cases, 6, dice)
    with _stack(subject, engine, tmp_path_factory) as stack:
        sides: tuple[Side, ...] = ("before", "after")
        for side in sides:
            stack.write(mixed_file(mixed, side))
            stack("up", "-d", "--wait", "helper")
            stack("up", "-d")
            assert "no changes" in stack("diff", "--exit-code", want=None).stdout
