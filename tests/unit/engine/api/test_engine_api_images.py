"""Images as the API shows them."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest

from stackr.runtime.engine.api.backends import Engine
from stackr.runtime.engine.api.disk_usage import summed
from stackr.runtime.engine.api.http import Connection, Request
from stackr.runtime.engine.api.image_json import (
    inspection,
    manifest_json,
    matching_names,
    shared_sizes,
    summary,
    without_intermediate,
)
from stackr.runtime.engine.api.images import ROUTES
from stackr.runtime.engine.image.attestation import Statement
from stackr.runtime.engine.image.manifest_summary import ManifestSummary
from stackr.runtime.engine.image.model import Image
from stackr.runtime.engine.image.platform import Platform

BASE = Image(
    id="sha256:" + "a" * 64,
    repo_tags=("h:5/app:1", "app:2", "app:latest", "lib/app:2"),
    repo_digests=("app@sha256:" + "0" * 64,),
    created="2026-01-02T03:04:05Z",
    architecture="amd64",
    os="linux",
    variant="",
    config={"Cmd": ["sh"], "Labels": {}},
    diff_ids=("one", "two"),
    history=(),
    size_bytes=30,
)
CHILD = replace(
    BASE, id="sha256:" + "b" * 64, parent=BASE.id, diff_ids=("one", "two", "three", "three")
)
ALONE = replace(BASE, id="sha256:" + "c" * 64, diff_ids=("four",))


@pytest.mark.parametrize(
    ("pattern", "tags", "digests"),
    [
        ("app", ("app:2", "app:latest"), 1),
        ("app:2", ("app:2",), 0),
        ("*/app:*", ("h:5/app:1", "lib/app:2"), 0),
        ("lib/*", ("lib/app:2",), 0),
        ("a[op]p:l*", ("app:latest",), 0),
        ("nonesuch", (), 0),
    ],
)
def test_a_pattern_narrows_names(pattern: str, tags: tuple[str, ...], digests: int) -> None:
    found = matching_names(BASE, [pattern])
    assert (found.repo_tags, len(found.repo_digests)) == (tags, digests)


def test_shared_layers_count_once() -> None:
    sizes = {"one": 10, "two": 20, "three": 5, "four": 7}
    shared = shared_sizes([BASE, CHILD, ALONE], sizes)
    assert shared == {BASE.id: 30, CHILD.id: 30, ALONE.id: 0}


def test_what_others_stand_on_is_hidden_without_a_name() -> None:
    bare = replace(BASE, repo_tags=(), repo_digests=())
    assert without_intermediate([CHILD, bare]) == [CHILD]
    assert without_intermediate([CHILD, BASE]) == [CHILD, BASE]
    assert without_intermediate([replace(CHILD, parent=""), bare])[1] == bare


def test_manifests_are_shown_by_their_kind() -> None:
    own = ManifestSummary(
        {"digest": "sha256:1", "size": 5}, True, "image", 9, {"os": "linux"}, True, ""
    )
    shown = manifest_json(own, BASE, ["c"])
    assert shown["Size"] == {"Content": 9, "Total": 9 + 30}
    data = {"Platform": {"os": "linux"}, "Containers": ["c"], "Size": {"Unpacked": 30}}
    assert (shown["ID"], shown["Kind"], shown["ImageData"]) == ("sha256:1", "image", data)
    assert "AttestationData" not in shown
    other = replace(own, is_own=False, available=False)
    assert manifest_json(other, BASE, ["c"])["ImageData"]["Containers"] == []
    attesting = replace(own, kind="attestation", is_own=False, attests_to="sha256:1")
    shown = manifest_json(attesting, BASE, ["c"])
    assert (shown["AttestationData"], shown["Size"]["Total"]) == ({"For": "sha256:1"}, 9)
    assert "ImageData" not in shown


def test_a_summary_has_what_was_asked_for() -> None:
    found = summary(CHILD, (1, 43), containers=2, shared_size=30)
    assert (found["ParentId"], found["SharedSize"], found["Containers"]) == (BASE.id, 30, 2)
    assert found["VirtualSize"] == 30
    assert "VirtualSize" not in summary(CHILD, (1, 44), containers=0)


def test_an_inspection_shows_what_its_version_knows() -> None:
    old, newer, newest = (inspection(CHILD, (1, n), ["/l/1", "/l/2"]) for n in (47, 50, 52))
    assert old["Config"]["Hostname"] == ""
    assert "Hostname" not in newer["Config"]
    assert newer["Config"]["Env"] is None
    assert newest["Config"] == {"Cmd": ["sh"], "Labels": {}}
    assert (old["Comment"], "Comment" in newest, newest["Parent"]) == ("", False, BASE.id)
    assert old["GraphDriver"]["Data"] == {"LowerDir": "/l/1", "UpperDir": "/l/2"}
    assert inspection(ALONE, (1, 47), [])["GraphDriver"]["Data"] is None


def test_disk_usage_is_summed_for_newer_clients() -> None:
    images = [
        {"Size": 30, "SharedSize": 20, "Containers": 1},
        {"Size": 25, "SharedSize": 20, "Containers": 0},
    ]
    containers = [{"State": "running", "SizeRw": 7}, {"State": "exited", "SizeRw": 2}]
    volumes = [
        {"UsageData": {"RefCount": 0, "Size": 4}},
        {"UsageData": {"RefCount": 1, "Size": -1}},
    ]
    usage = {"LayersSize": 35, "Images": images, "Containers": containers, "Volumes": volumes}
    found = summed(usage, verbose=False)
    assert found["Images"] is images
    assert found["ImageUsage"] == {
        "ActiveCount": 1,
        "TotalCount": 2,
        "TotalSize": 35,
        "Reclaimable": 25,
    }
    assert found["ContainerUsage"]["Reclaimable"] == 2
    assert (found["VolumeUsage"]["TotalSize"], found["VolumeUsage"]["ActiveCount"]) == (4, 1)
    assert "BuildCacheUsage" not in found
    verbose = summed(usage, verbose=True)
    assert "Images" not in verbose
    assert verbose["ImageUsage"]["Items"] == images


class Attested:
    """Images of which one has two statements."""

    def attestations(self, name: str, platform: Platform | None) -> list[Statement]:
        assert (name, platform) == ("app", None)
        descriptor = {"mediaType": "application/vnd.in-toto+json", "digest": "sha256:" + "d" * 64}
        return [Statement({**descriptor, "size": 7}, kind) for kind in ("one", "two")]

    def statement(self, statement: Statement) -> bytes:
        return b'{"of": "%s"}' % statement.predicate_type.encode()


@pytest.mark.parametrize(
    ("query", "kinds", "said"),
    [
        ({}, ["one", "two"], [None, None]),
        ({"type": ["two", "three"]}, ["two"], [None]),
        ({"type": ["two"], "statement": ["1"]}, ["two"], [{"of": "two"}]),
        ({"type": ["none"]}, [], []),
    ],
)
async def test_what_attests_to_an_image_is_told(
    query: dict[str, list[str]], kinds: list[str], said: list[object]
) -> None:
    route = next(each for each in ROUTES if each.pattern.endswith("/attestations"))
    engine = cast(Engine, SimpleNamespace(images=Attested()))
    params = {"name": "app"}
    request = Request("GET", "/", query, {}, cast(Connection, None), params=params)
    response = await route.handler(engine, request)
    assert response is not None
    shown = json.loads(cast(bytes, response.body))
    assert [each["PredicateType"] for each in shown] == kinds
    assert [each.get("Statement") for each in shown] == said
    assert all(each["Descriptor"]["size"] == 7 for each in shown)
