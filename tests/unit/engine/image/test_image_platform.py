"""Platforms: names, and the choice from an index."""

from __future__ import annotations

import pytest

from stackr.errors import InvalidArgument, NotFound
from stackr.runtime.engine.image.platform import (
    Platform,
    check_made_for,
    choose_manifest,
    host_platform,
    parse_platform,
)


def entry(name: str, digest: str = "") -> dict[str, object]:
    os_name, architecture, *variant = name.split("/")
    platform = {"os": os_name, "architecture": architecture}
    if variant:
        platform["variant"] = variant[0]
    return {"digest": digest or name, "platform": platform}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("linux/amd64", "linux/amd64"),
        ("linux/x86_64", "linux/amd64"),
        ("linux/amd64/v1", "linux/amd64"),
        ("linux/arm64/v8", "linux/arm64"),
        ("aarch64", "linux/arm64"),
        ("linux/arm/7", "linux/arm/v7"),
        ("Linux/ARM64", "linux/arm64"),
        ("armhf", "linux/arm/v7"),
    ],
)
def test_names_are_normalized(text: str, shown: str) -> None:
    assert str(parse_platform(text)) == shown


def test_the_system_alone_means_this_hosts_architecture() -> None:
    assert parse_platform("linux") == host_platform()


@pytest.mark.parametrize("text", ["windows", "windows/amd64", "FreeBSD/arm64"])
def test_other_operating_systems_are_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match=f'"{text}": operating system is not supported'):
        parse_platform(text)


def test_an_image_for_another_platform() -> None:
    image = {"os": "linux", "architecture": "amd64", "variant": ""}
    check_made_for(image, parse_platform("linux/x86_64"), name="app")
    check_made_for({"os": "linux", "architecture": ""}, parse_platform("linux/arm64"), name="app")
    with pytest.raises(NotFound, match=r"platform \(linux/amd64\) does not match .*linux/arm64"):
        check_made_for(image, parse_platform("linux/arm64"), name="app")


@pytest.mark.parametrize("text", ["", "/", "linux/", "a/b/c/d", "linux/am d64", "linux/../x\n"])
def test_malformed_platforms_are_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="platform"):
        parse_platform(text)


@pytest.mark.parametrize(
    ("offered", "wanted", "chosen"),
    [
        (["linux/arm64/v8", "linux/amd64"], "linux/amd64", "linux/amd64"),
        (["linux/arm64/v8", "linux/amd64"], "linux/arm64", "linux/arm64/v8"),
        (["linux/amd64/v3", "linux/amd64"], "linux/amd64", "linux/amd64"),
        (["linux/arm/v5", "linux/arm/v6"], "linux/arm/v7", "linux/arm/v6"),
        (["unknown/unknown", "linux/amd64"], "linux/amd64", "linux/amd64"),
    ],
)
def test_the_fitting_manifest_is_chosen(offered: list[str], wanted: str, chosen: str) -> None:
    index = {"manifests": [entry(name) for name in offered]}
    assert choose_manifest(index, parse_platform(wanted), name="app:1")["digest"] == chosen


def test_a_platform_that_is_missing_lists_what_there_is() -> None:
    index = {"manifests": [entry("linux/arm64/v8"), entry("linux/s390x"), entry("unknown/unknown")]}
    with pytest.raises(NotFound) as raised:
        choose_manifest(index, Platform("linux", "amd64"), name="app:1")
    assert raised.value.message == (
        "no matching manifest for linux/amd64 in the manifest list entries of app:1:"
        " available: linux/arm64, linux/s390x"
    )


@pytest.mark.parametrize("manifests", [None, "x", [1], {}])
def test_a_malformed_index_is_refused(manifests: object) -> None:
    with pytest.raises(InvalidArgument, match="malformed index"):
        choose_manifest({"manifests": manifests}, Platform("linux", "amd64"), name="app:1")


def test_odd_platforms_in_an_index_are_passed_over() -> None:
    index = {"manifests": [{"platform": 7}, {"platform": {"os": 1}}, {}, entry("linux/amd64")]}
    assert choose_manifest(index, Platform("linux", "amd64"), name="a")["digest"] == "linux/amd64"
