"""What a change of each attribute of a service does, on the embedded engine: the table's proof.

One stack has a service for each attribute. It is brought up, everything is changed at once, and it
is brought up again; each test looks at what that did to its service.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import docker
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
    stack_file,
    write_files,
)
from stackr_stack import Stack, free_port

from stackr.planner.effects import Effect, rows
from stackr.runtime.engine.config import EngineConfig

pytestmark = [pytest.mark.root, pytest.mark.e2e, pytest.mark.timeout(600)]

_ENGINE = frozenset(
    {
        *("annotations", "endpoint_mac", "endpoint_options", "gw_priority", "image_mounts"),
        *("interface_name", "ipv6", "probes", "start_interval", "update_labels", "volume_subpath"),
    }
)
"""What the embedded engine has of `Case.needs`, on every host."""
_EFFECTS = {row.path: row.embedded for row in rows()}
_CHANGES = {Effect.IN_PLACE: "update", Effect.SCALE: "create", Effect.NONE: None}
Inspection = Mapping[str, Any]


@dataclass(frozen=True)
class Step:
    """The stack after an `up`. changes: of the diff before it, by service. diff: the one after it.

    containers: inspections by service and number.
    """

    changes: Mapping[str, list[dict[str, Any]]]
    containers: Mapping[str, Inspection]
    diff: str


@dataclass(frozen=True)
class World:
    """steps: before the changes, after them, as before again, and without all those attributes."""

    variables: Mapping[str, str]
    cases: tuple[Case, ...]
    steps: list[Step]


@pytest.fixture(scope="module")
def world(
    engine: EngineConfig, busybox_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    features = _ENGINE | host_features()
    cases = tuple(case for case in CASES if case.needs <= features)
    stack = Stack(tmp_path_factory.mktemp("effects"), engine)
    client = docker.DockerClient(base_url=f"unix://{engine.socket}", timeout=60)
    other = f"{busybox_image.rpartition(':')[0]}:other"
    client.images.pull(busybox_image)
    client.images.get(busybox_image).tag(other)
    stack.environ |= environ(
        (free_port() for _ in range(PORTS)),
        IMAGE=busybox_image,
        OTHER_IMAGE=other,
        PROJECT=stack.name,
        DISK=disk(),
        CGROUP="effects",
        ARCH="arm64" if platform.machine() == "aarch64" else "amd64",
        COMPOSE_PROFILES="on",
    )
    try:
        write_files(stack.folder)
        stack.write(stack_file(cases, "before"))
        stack("up", "--wait", "helper")
        yield World(stack.environ, cases, [_step(stack, client, cases, side) for side in _SIDES])
    finally:
        stack("down", "-v", "-t", "0", "-p", stack.name)
        client.images.remove(other)
        client.close()


_SIDES: tuple[Side, ...] = ("before", "after", "before", "bare")


def _step(stack: Stack, client: docker.DockerClient, cases: tuple[Case, ...], side: Side) -> Step:
    stack.write(stack_file(cases, side))
    plan = json.loads(stack("diff", "--format", "json", "--exit-code", want=2).stdout)
    changes: dict[str, list[dict[str, Any]]] = {}
    for change in plan["changes"]:
        changes.setdefault(change["resource"].get("service", ""), []).append(change)
    stack("up", "-d", timeout_s=300)
    diff = stack("diff", "--exit-code", want=None).stdout
    return Step(changes, _inspections(stack, client), diff)


def _inspections(stack: Stack, client: docker.DockerClient) -> dict[str, Inspection]:
    found: dict[str, Inspection] = {}
    mine = {"label": f"com.docker.compose.project={stack.name}"}
    for container in client.containers.list(all=True, filters=mine):
        labels = container.labels
        number = labels["com.docker.compose.container-number"]
        found[f"{labels['com.docker.compose.service']}-{number}"] = container.attrs
    return found


@pytest.mark.parametrize("number", range(len(_SIDES)))
def test_nothing_differs_after_up(world: World, number: int) -> None:
    diff = world.steps[number].diff
    assert "no changes" in diff, diff


@pytest.mark.parametrize("number", range(1, len(_SIDES)))
def test_nothing_else_is_changed(world: World, number: int) -> None:
    assert set(world.steps[number].changes) - {""} <= {case.service for case in world.cases}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.service)
def test_the_change_is_what_the_table_says(world: World, case: Case) -> None:
    if case not in world.cases:
        pytest.skip(f"this host or engine lacks one of: {', '.join(sorted(case.needs))}")
    effect = _EFFECTS[case.path]
    _, changed, back, _ = world.steps
    for step in (changed, back):
        _check_changes(step.changes.get(case.service, []), case, effect, step is back)
    _check_containers(world, case, effect)


def _check_changes(
    changes: list[dict[str, Any]], case: Case, effect: Effect, is_back: bool
) -> None:
    kind = _CHANGES.get(effect, "recreate")
    if effect is Effect.SCALE and is_back:
        kind = "remove"
    assert [change["change"] for change in changes] == ([] if kind is None else [kind])
    if changes and effect is not Effect.SCALE:
        fields = changes[0]["fields"]
        assert sorted(each["path"] for each in fields) == sorted(case.fields)
        assert {each["forces_recreate"] for each in fields} == {effect is not Effect.IN_PLACE}


def _check_containers(world: World, case: Case, effect: Effect) -> None:
    """New ones where the table says so; the attribute's value shows, and is gone in the end."""
    first, second, third, last = (step.containers for step in world.steps)
    one = f"{case.service}-1"
    is_new = effect in (Effect.RECREATE, Effect.RESOLVED)
    assert (first[one]["Id"] != second[one]["Id"]) == is_new
    assert (second[one]["Id"] != third[one]["Id"]) == is_new
    scales = effect is Effect.SCALE
    assert [f"{case.service}-2" in each for each in (first, second, third)] == [
        False,
        scales,
        False,
    ]
    if case.at:
        at = filled(case.at, world.variables)
        value = filled(case.value, world.variables)
        shown = [found_at(each[one], at) for each in (first, second, third, last)]
        assert [has_value(each, value) for each in shown] == [False, True, False, False], shown
