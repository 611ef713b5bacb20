"""Volumes of type image: their images are pulled, and a new one recreates."""

from __future__ import annotations

from dataclasses import replace

from fake_runtime import FakeRuntime, image
from planning import service, stack, up

from stackr.planner.desired.project import desired
from stackr.planner.images.refresh import plan_pull
from stackr.planner.observe.observed import observe
from stackr.spec.model.mounts import ImageOptions, ServiceVolume
from stackr.spec.model.project import Project


def project(source: str = "data:1") -> Project:
    volume = ServiceVolume(
        type="image", source=source, target="/d", image=ImageOptions(subpath="part")
    )
    return stack({"web": service(volumes=(volume,)), "db": service(image="db:1")})


def runtime() -> FakeRuntime:
    fake = FakeRuntime.with_images("app", "db:1")
    fake.registry["data:1"] = image("data:1")
    return fake


async def test_a_missing_image_is_pulled_before_the_container_is_made() -> None:
    fake = runtime()
    plan, outcome = await up(fake, project())
    assert outcome.failed == []
    assert "data:1" in str(plan)
    assert fake.calls.index("pull_image data:1") < fake.calls.index("create_container demo-web-1")
    again, _ = await up(fake, project())
    assert again.is_empty


async def test_a_service_stands_for_its_image() -> None:
    wanted = desired(project(source="db"))
    assert wanted.services["web"].images == ("app", "db:1")
    config = wanted.services["web"].config(1, {}, image_id="")
    assert [(m.type, m.source, m.subpath) for m in config.mounts] == [("image", "db:1", "part")]


async def test_pull_asks_for_mounted_images_too() -> None:
    wanted = desired(project())
    plan = plan_pull(wanted, await observe(runtime(), "demo", wanted))
    assert [change.resource.name for change in plan.changes] == ["app", "data:1", "db:1"]


async def test_another_image_of_the_same_name_recreates() -> None:
    fake = runtime()
    await up(fake, project())
    [web] = [c for c in fake.containers.values() if c.name == "demo-web-1"]
    mounted = replace(web.mounts[0], name=fake.images["data:1"].id)
    fake.containers[web.id] = replace(web, mounts=(mounted,))
    assert (await up(fake, project()))[0].is_empty
    fake.images["data:1"] = image("data:1", content="newer")
    plan, _ = await up(fake, project())
    [change] = plan.changes
    assert (change.kind.value, change.fields[0].path) == ("recreate", "volumes./d")
