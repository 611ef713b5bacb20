"""Builds in a plan: before the containers that use them, each after what it is built from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from stackr.errors import InvalidArgument, NotSupported
from stackr.planner.commands.reconcile import reconcile
from stackr.planner.desired.image_build import BuildOptions, PlannedBuild, build_order, image_build
from stackr.planner.desired.project import desired
from stackr.planner.images.building import built, plan_bases
from stackr.planner.images.refresh import plan_refresh
from stackr.planner.observe.observed import Observed
from stackr.planner.plan.options import UpOptions
from stackr.planner.review.compare import imagined
from stackr.runtime.image_build import Secret
from stackr.spec.load import load
from stackr.spec.model.project import Project
from stackr.spec.session import LoadOptions

FILE = """\
name: shop
services:
  web:
    build:
      context: ./web
      args: {VERSION: "1", UNSET: }
      additional_contexts: {common: "service:base", docs: ./docs, other: docker-image://x:1}
      secrets: [token, {source: file, target: renamed}]
      tags: [shop/web:2]
      ulimits: {nofile: {soft: 1, hard: 2}}
      extra_hosts: [a=10.0.0.1]
      shm_size: 1m
  base:
    scale: 0
    build: {dockerfile_inline: "FROM x"}
secrets:
  token: {environment: TOKEN}
  file: {file: ./secret}
"""


@pytest.fixture
def stack(tmp_path: Path) -> Callable[[str], Project]:
    def load_stack(text: str) -> Project:
        (tmp_path / "compose.yaml").write_text(text)
        return load(LoadOptions(), {"TOKEN": "t"}, tmp_path)

    return load_stack


def planned(project: Project, **causes: str) -> dict[str, PlannedBuild]:
    found = {}
    for name in build_order(project, tuple(project.services)):
        build = image_build(project, project.services[name], BuildOptions())
        after = ("shop-base",) if name == "web" else ()
        found[build.tags[0]] = PlannedBuild(build, causes.get(name, ""), (name,), after)
    return found


def test_a_build_section_as_the_builder_takes_it(
    stack: Callable[[str], Project], tmp_path: Path
) -> None:
    project = stack(FILE)
    build = image_build(project, project.services["web"], BuildOptions({"VERSION": "2"}, pull=True))
    assert build.tags == ("shop-web", "shop/web:2")
    assert build.context == str(tmp_path / "web")
    assert build.arguments == {"VERSION": "2"}
    assert build.contexts == {
        "common": "docker-image://shop-base",
        "docs": str(tmp_path / "docs"),
        "other": "docker-image://x:1",
    }
    assert build.secrets == {
        "token": Secret(content="t"),
        "renamed": Secret(file=str(tmp_path / "secret")),
    }
    assert (build.ulimits, build.extra_hosts) == ({"nofile": (1, 2)}, ("a:10.0.0.1",))
    assert (build.shm_size_bytes, build.pull) == (1 << 20, True)
    assert "t" not in repr(build.secrets["token"]).replace("content", "")[7:-2]


def test_stages_without_cache_are_those_of_the_file_and_those_asked_for(
    stack: Callable[[str], Project],
) -> None:
    project = stack("name: p\nservices: {a: {build: {context: ., no_cache_filter: [x, y]}}}\n")
    options = BuildOptions(no_cache_filter=("y", "z"))
    build = image_build(project, project.services["a"], options)
    assert build.no_cache_filter == ("x", "y", "z")
    one = stack("name: p\nservices: {a: {build: {context: ., no_cache_filter: x}}}\n")
    assert image_build(one, one.services["a"], BuildOptions()).no_cache_filter == ("x",)


def test_the_order_is_that_of_additional_contexts(stack: Callable[[str], Project]) -> None:
    assert build_order(stack(FILE), ("web",)) == ["base", "web"]
    circle = "name: p\nservices:\n" + "".join(
        f"  {a}:\n    build: {{context: ., additional_contexts: {{x: 'service:{b}'}}}}\n"
        for a, b in (("a", "b"), ("b", "a"))
    )
    with pytest.raises(InvalidArgument, match="cycle"):
        build_order(stack(circle), ("a",))


def test_foreign_platforms_are_refused_with_their_place(stack: Callable[[str], Project]) -> None:
    project = stack("name: p\nservices:\n  a:\n    build: {context: ., platforms: [linux/arm64]}\n")
    service = project.services["a"]
    with pytest.raises(NotSupported, match=r"compose\.yaml:4:.*platforms.*linux/arm64"):
        image_build(project, service, BuildOptions(), platform="linux/amd64")
    image_build(project, service, BuildOptions(), platform="linux/arm64")


@pytest.mark.parametrize("platform", ["linux/arm64", "arm64", "linux/aarch64", "windows"])
def test_a_foreign_platform_of_a_service_is_refused_where_the_engine_builds_for_itself(
    stack: Callable[[str], Project], platform: str
) -> None:
    project = stack(f"name: p\nservices:\n  a:\n    platform: {platform}\n    build: .\n")
    service = project.services["a"]
    with pytest.raises(NotSupported, match=rf"compose\.yaml:4:.*services\.a\.platform.*{platform}"):
        image_build(project, service, BuildOptions(), platform="linux/amd64", only_own=True)
    image_build(project, service, BuildOptions(), platform="linux/amd64")
    if platform != "windows":
        image_build(project, service, BuildOptions(), platform="linux/arm64/v8", only_own=True)


def test_what_is_not_built_yet_is_built_before_its_containers(
    stack: Callable[[str], Project],
) -> None:
    project = stack(FILE)
    seen = Observed("shop", builds=planned(project))
    assert str(reconcile(desired(project), seen)).splitlines() == [
        "#1 network:shop_default create network: not found",
        "#2 image:shop-base build image: not built yet",
        "[2] -> #3 image:shop-web build image: not built yet",
        "[1,3] -> #4 container:shop-web-1 create container: no existing container",
        "[4] -> #5 container:shop-web-1 start container: created",
    ]
    with pytest.raises(InvalidArgument, match="nothing is built"):
        reconcile(desired(project), seen, UpOptions(build="never"))


def test_what_has_changed_is_built_again_and_its_containers_replaced(
    stack: Callable[[str], Project],
) -> None:
    wanted = desired(stack(FILE))
    seen = imagined(wanted, wanted)
    assert reconcile(wanted, replace(seen, builds=planned(stack(FILE)))).is_empty
    seen = replace(seen, builds=planned(stack(FILE), web="src/app.py changed"))
    assert str(plan_refresh(wanted, seen)) == "#1 image:shop-web build image: src/app.py changed"
    changes = reconcile(wanted, built(seen)).changes
    assert [(each.resource.name, each.kind.value, each.cause) for each in changes] == [
        ("shop-web", "build", "src/app.py changed"),
        ("shop-web-1", "recreate", "image changed"),
    ]


def test_what_is_built_on_is_pulled_before(stack: Callable[[str], Project]) -> None:
    wanted = desired(stack(FILE))
    builds = {
        name: replace(each, pulls=("x",), bases=("x", "y"))
        for name, each in planned(stack(FILE)).items()
    }
    plan = plan_bases(wanted, Observed("shop", builds=builds))
    assert str(plan) == "#1 image:x pull image: shop-base is built on it"
