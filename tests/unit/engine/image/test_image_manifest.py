"""Manifests and configurations of unknown origin."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stackr.errors import InvalidArgument, NotSupported
from stackr.registry.manifest import parse_image_manifest, parse_manifest
from stackr.runtime.engine.image.configuration import parse_config

DIGEST = "sha256:" + "0" * 64
CONFIG = {
    "mediaType": "application/vnd.oci.image.config.v1+json",
    "digest": DIGEST,
    "size": 10,
}
LAYER = {
    "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
    "digest": DIGEST,
    "size": 10,
}


def test_a_manifest_gives_its_descriptors() -> None:
    manifest = parse_image_manifest({"config": CONFIG, "layers": [LAYER, LAYER]}, name="a")
    assert manifest.config.digest == DIGEST
    assert [layer.size_bytes for layer in manifest.layers] == [10, 10]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"config": CONFIG},
        {"config": CONFIG, "layers": "x"},
        {"config": CONFIG, "layers": [1]},
        {"config": CONFIG, "layers": [{**LAYER, "digest": "sha256:../../etc/passwd"}]},
        {"config": CONFIG, "layers": [{**LAYER, "digest": "md5:" + "0" * 32}]},
        {"config": CONFIG, "layers": [{**LAYER, "size": -1}]},
        {"config": CONFIG, "layers": [{**LAYER, "size": True}]},
        {"config": CONFIG, "layers": [{**LAYER, "size": 1 << 60}]},
        {"config": CONFIG, "layers": [LAYER] * 501},
        {"config": {**CONFIG, "size": 1 << 30}, "layers": []},
    ],
)
def test_malformed_manifests_are_refused(body: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        parse_image_manifest(body, name="app:1")


def test_something_that_is_no_image_is_named() -> None:
    config = {**CONFIG, "mediaType": "application/vnd.cncf.helm.config.v1+json"}
    with pytest.raises(NotSupported, match=r"helm\.config"):
        parse_image_manifest({"config": config, "layers": []}, name="chart:1")
    layer = {**LAYER, "mediaType": "application/vnd.in-toto+json"}
    with pytest.raises(NotSupported, match="in-toto"):
        parse_image_manifest({"config": CONFIG, "layers": [layer]}, name="a")


@pytest.mark.parametrize(
    ("body", "header", "is_index"),
    [
        ({"mediaType": "application/vnd.oci.image.index.v1+json"}, "text/plain", True),
        ({}, "application/vnd.docker.distribution.manifest.v2+json; charset=utf-8", False),
        ({"schemaVersion": 2, "manifests": []}, "application/json", True),
        ({"schemaVersion": 2, "layers": []}, "", False),
    ],
)
def test_the_kind_of_a_manifest(body: dict[str, Any], header: str, is_index: bool) -> None:
    assert parse_manifest(json.dumps(body).encode(), header, DIGEST).is_index is is_index


@pytest.mark.parametrize(
    "raw",
    [
        b'{"schemaVersion": 1, "fsLayers": []}',
        b'{"mediaType": "application/vnd.docker.distribution.manifest.v1+prettyjws"}',
        b'{"mediaType": "x", "schemaVersion": 2, "layers": []}',
    ],
)
def test_unknown_manifests_are_named(raw: bytes) -> None:
    with pytest.raises(NotSupported, match="media type"):
        parse_manifest(raw, "application/json", DIGEST)


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b"null", b"\xff", b"[" * 100_000])
def test_what_is_no_json_object_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidArgument, match="not a JSON object"):
        parse_manifest(raw, "", DIGEST)
    with pytest.raises(InvalidArgument, match="not a JSON object"):
        parse_config(raw, name="a")


@pytest.mark.parametrize(
    "config",
    [
        {"rootfs": {"diff_ids": "x"}},
        {"rootfs": {"diff_ids": ["sha256:.."]}},
        {"rootfs": {"diff_ids": [DIGEST, 5]}},
        {"created": "yesterday"},
        {"created": 5},
        {"created": "2024-02-03T00:00:00+99:00"},
        {"created": "2024-02-30T00:00:00Z"},
        {"created": "2024-02-03T00:00:00Z\n"},
        {"history": [{"created": "x"}]},
        {"config": ["x"]},
        {"config": {"Cmd": "sh"}},
        {"config": {"Env": [1]}},
        {"config": {"Labels": {"a": 1}}},
        {"config": {"Labels": ["a"]}},
        {"config": {"User": 0}},
        {"config": {"Volumes": ["/data"]}},
    ],
)
def test_malformed_configurations_are_refused(config: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument, match="malformed"):
        parse_config(json.dumps(config).encode(), name="a")


@pytest.mark.parametrize(
    "created", ["0001-01-01T00:00:00Z", "2024-02-29T01:02:03.123456789+02:00", "", None]
)
def test_times_as_go_writes_them(created: str | None) -> None:
    assert parse_config(json.dumps({"created": created}).encode(), name="a")["created"] == created


def test_defaults_may_be_null_or_unknown() -> None:
    raw = b'{"config": {"Cmd": null, "Labels": null, "Volumes": {}, "Future": [1]}}'
    assert parse_config(raw, name="a")["config"]["Future"] == [1]


def test_an_image_without_layers_is_one() -> None:
    assert parse_config(b"{}", name="a")["rootfs"]["diff_ids"] == []


def test_another_operating_system_is_named() -> None:
    with pytest.raises(NotSupported, match='"windows" cannot be used on this platform'):
        parse_config(b'{"os": "windows"}', name="a")
