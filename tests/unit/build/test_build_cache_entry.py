"""`cache_from` and `cache_to`, as texts and as values."""

from __future__ import annotations

import pytest

from stackr.build.cache_entry import CacheSource, CacheTarget, parse_source, parse_target
from stackr.errors import InvalidArgument, NotSupported


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("host:5000/app:cache", CacheSource(ref="host:5000/app:cache")),
        ("type=registry,ref=app", CacheSource(ref="app")),
        ("ref=app,type=registry", CacheSource(ref="app")),
        ("type=local,src=./here", CacheSource(path="./here")),
    ],
)
def test_sources(text: str, wanted: CacheSource) -> None:
    assert parse_source(text) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("app:cache", CacheTarget(ref="app:cache")),
        ("type=registry,ref=app,mode=max", CacheTarget(ref="app", is_max=True)),
        ("type=local,dest=d,ignore-error=true", CacheTarget(path="d", ignores_errors=True)),
        ("type=inline", CacheTarget()),
        ("type=registry,ref=app,image-manifest=true", CacheTarget(ref="app")),
    ],
)
def test_targets(text: str, wanted: CacheTarget) -> None:
    assert parse_target(text) == wanted
    assert parse_target(text).is_inline is (text == "type=inline")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is empty"),
        ("a,b", "type=TYPE is expected"),
        ("type=registry", "ref is missing"),
        ("type=local,dest=d,mode=most", "min or max"),
        ("type=none,ref=a", "one of registry, local, inline"),
        ("type=local,dest=d,ignore-error=perhaps", "true or false"),
        ("type=local,dest=d,x", "KEY=VALUE"),
    ],
)
def test_mistakes(text: str, why: str) -> None:
    with pytest.raises(InvalidArgument, match=why):
        parse_target(text)


@pytest.mark.parametrize("text", ["type=gha", "type=s3,bucket=b", "type=registry,ref=a,size=1"])
def test_what_nothing_here_does_is_refused_by_name(text: str) -> None:
    with pytest.raises(NotSupported, match="not supported"):
        parse_target(text)


def test_steps_in_an_image_are_found_by_its_name_in_a_registry() -> None:
    with pytest.raises(NotSupported, match="type=inline: not supported: registry, local are"):
        parse_source("type=inline")
