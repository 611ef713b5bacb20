"""Steps as another engine reads them: what comes back is what was sent, and nothing is trusted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stackr.errors import InvalidArgument, NotSupported
from stackr.registry.digest import digest_of
from stackr.runtime.engine.build.cache import CacheRecord
from stackr.runtime.engine.build.cache_document import (
    SharedCache,
    cache_config,
    inlined,
    read_shared,
    used_records,
)

LAYER, OTHER = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"
RECORDS = [
    CacheRecord("a" * 64, LAYER, 7, "2026-01-02T03:04:05Z", description="RUN true", parent="p"),
    CacheRecord("b" * 64, "", 0, "2026-01-02T03:04:05.123456+00:00", description="RUN ls"),
    CacheRecord(f"image-{'c' * 64}", "", 0, "2026-01-02T03:04:05Z", kind="internal"),
    CacheRecord("d" * 64, OTHER, 7, "2026-01-02T03:04:05Z", description="COPY a b"),
]


def manifest(config: bytes, count: int) -> dict[str, Any]:
    layers = [{"digest": f"sha256:{number:064}", "size": 1} for number in range(count)]
    return {"config": {"digest": digest_of(config), "size": len(config)}, "layers": layers}


def read(config: bytes, count: int = 2) -> SharedCache:
    return read_shared(manifest(config, count), config, name="x")


def test_what_is_sent_comes_back() -> None:
    config, diff_ids = cache_config(RECORDS)
    assert diff_ids == (LAYER, OTHER)
    shared = read(config)
    assert list(shared.records.values()) == RECORDS
    assert shared.layers[OTHER].digest == f"sha256:{1:064}"


def test_an_image_has_the_steps_that_it_is_made_of() -> None:
    own = used_records(RECORDS, [LAYER])
    assert [each.key[0] for each in own] == ["a", "b", "i"]
    image = json.dumps({"os": "linux", "rootfs": {"diff_ids": [OTHER, LAYER]}}).encode()
    shared = read(inlined(image, own))
    assert list(shared.records.values()) == own
    with pytest.raises(NotSupported, match="has no steps of builds"):
        read(image)


@pytest.mark.parametrize(
    "changed",
    [
        {"key": "../x"},
        {"layer": f"sha256:{'9' * 64}"},
        {"created": "2026-99-02T03:04:05Z"},
        {"created": "yesterday"},
        {"size": -1},
        {"kind": "exec.cachemount"},
        {"description": 1},
        {"description": "x" * 70_000},
    ],
)
def test_a_step_that_cannot_be_is_left_out(changed: dict[str, Any]) -> None:
    document = json.loads(cache_config(RECORDS)[0])
    document["records"][0] |= changed
    assert list(read(json.dumps(document).encode()).records.values()) == RECORDS[1:]


@pytest.mark.parametrize(
    ("config", "why"),
    [
        (b"[]", "no JSON object"),
        (b"{", "no JSON object"),
        (b'{"version":1,"records":{},"layers":[]}', "malformed"),
        (b'{"version":1,"records":[],"layers":["x","y"]}', "malformed diff IDs"),
        (b'{"version":1,"records":[],"layers":[]}', "0 diff IDs for 2 layers"),
    ],
)
def test_what_is_damaged_is_refused(config: bytes, why: str) -> None:
    with pytest.raises(InvalidArgument, match=why.replace("no JSON", "not a JSON")):
        read(config)


def test_another_configuration_than_the_manifest_names_is_refused() -> None:
    config, _ = cache_config(RECORDS)
    with pytest.raises(InvalidArgument, match="another one"):
        read_shared(manifest(b"{}", 2), config, name="x")
    later = config.replace(b'"version":1', b'"version":2')
    with pytest.raises(NotSupported, match="another version"):
        read(later)
