"""Steps that one engine leaves, and another takes: in a registry, in an image, in a folder."""

from __future__ import annotations

import asyncio
import functools
import io
import json
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from engine_request import raw_request, request

from stackr.build.cache_entry import parse_source, parse_target
from stackr.runtime.connect import connect
from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.image_build import BuildProgress, ImageBuild
from stackr.runtime.protocol import SupportsBuild

pytestmark = [pytest.mark.root, pytest.mark.timeout(180)]

TEXT = """\
FROM BASE AS made
RUN cat /proc/sys/kernel/random/uuid > /made && echo > /beside
RUN cat /proc/sys/kernel/random/uuid > /more
FROM BASE
COPY a /a
RUN cat /a && cat /proc/sys/kernel/random/uuid > /when
COPY --from=made /made /made
WORKDIR /w
"""


@dataclass
class Machines:
    """Two engines; `registry` is where both find BASE and may push to."""

    one: EngineConfig
    new: Callable[[], EngineConfig]
    base: str
    context: Path

    @functools.cached_property
    def two(self) -> EngineConfig:
        return self.new()

    @property
    def registry(self) -> str:
        return self.base.partition("/")[0]

    def build(
        self, engine: EngineConfig, *, sources: Sequence[str] = (), targets: Sequence[str] = ()
    ) -> tuple[str, list[BuildProgress]]:
        """The image's ID, and what was told."""
        wanted = ImageBuild(
            (f"{self.registry}/t-shared:latest",),
            str(self.context),
            dockerfile_text=TEXT.replace("BASE", self.base),
            cache_from=tuple(map(parse_source, sources)),
            cache_to=tuple(map(parse_target, targets)),
        )

        async def work() -> list[BuildProgress]:
            async with await connect(f"unix://{engine.socket}") as runtime:
                assert isinstance(runtime, SupportsBuild)
                return [each async for each in runtime.build_image(wanted)]

        told = asyncio.run(work())
        return told[-1].text, told

    def forget(self, engine: EngineConfig) -> None:
        request(engine.socket, "DELETE", f"/images/{self.registry}/t-shared?force=1")
        assert request(engine.socket, "POST", "/build/prune?all=1")[0] == 200

    def blobs(self, engine: EngineConfig) -> set[str]:
        return {each.name for each in (engine.content_root / "blobs/sha256").iterdir()}


@pytest.fixture
def machines(
    engine: EngineConfig,
    new_engine: Callable[[], EngineConfig],
    busybox_image: str,
    tmp_path: Path,
) -> Iterator[Machines]:
    made = Machines(engine, new_engine, busybox_image, tmp_path / "context")
    made.context.mkdir()
    (made.context / "a").write_text("one")
    yield made
    made.forget(engine)
    request(engine.socket, "POST", "/images/prune")


def kinds(told: Sequence[BuildProgress]) -> list[str]:
    """Of the steps that make layers, in the order of the Dockerfile."""
    ended = {each.number: each.kind for each in told if each.kind in ("cached", "done")}
    named = {each.number: each.text.split()[0] for each in told if each.kind == "step"}
    return [
        f"{named[number]} {ended[number]}" for number in sorted(ended) if named[number] != "FROM"
    ]


ALL = ["RUN cached", "RUN cached", *("COPY cached", "RUN cached", "COPY cached", "WORKDIR cached")]


def test_a_second_machine_takes_the_steps_of_the_first(machines: Machines, tmp_path: Path) -> None:
    cache = f"{machines.registry}/t-cache:max"
    folder = str(tmp_path / "cache")
    targets = [f"type=registry,ref={cache},mode=max", f"type=local,dest={folder},mode=max"]
    image, told = machines.build(machines.one, targets=targets)
    assert "RUN done" in kinds(told)
    before = machines.blobs(machines.one)
    for sources in ([f"type=registry,ref={cache}"], [f"type=local,src={folder}"]):
        again, told = machines.build(machines.two, sources=sources)
        assert kinds(told) == ALL
        assert again == image  # with the times of the first
        machines.forget(machines.two)
    again, told = machines.build(machines.one, targets=targets)  # over what is there
    assert (again, kinds(told)) == (image, ALL)
    assert machines.blobs(machines.one) == before
    (machines.context / "a").write_text("two")
    _, told = machines.build(machines.two, sources=[f"type=local,src={folder}"])
    assert kinds(told)[:4] == ["RUN cached", "RUN cached", "COPY done", "RUN done"]


def test_an_image_brings_the_steps_that_it_is_made_of(machines: Machines) -> None:
    image, _ = machines.build(machines.one, targets=["type=inline"])
    name = f"{machines.registry}/t-shared"
    path = f"/images/{name}/push?tag=latest"
    status, data = raw_request(machines.one.socket, "POST", path, None, "")
    assert status == 200, data
    assert b"error" not in data
    again, told = machines.build(machines.two, sources=[f"{name}:latest"], targets=["type=inline"])
    assert kinds(told)[2:4] == ["COPY cached", "RUN cached"]
    # The other stage's steps are not in it; its file is another one now
    assert kinds(told)[0] == "RUN done"
    assert again != image


def test_an_image_of_the_engine_serves_the_classic_builder(machines: Machines) -> None:
    name = f"{machines.registry}/t-shared:latest"
    machines.build(machines.one, targets=["type=inline"])
    assert request(machines.one.socket, "POST", "/build/prune?all=1")[0] == 200
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.add(machines.context, ".")
        text = TEXT.replace("BASE", machines.base).encode()
        member = tarfile.TarInfo("Dockerfile")
        member.size = len(text)
        archive.addfile(member, io.BytesIO(text))
    path = f'/build?cachefrom=["{name}"]'
    _, data = raw_request(machines.one.socket, "POST", path, buffer.getvalue(), "application/x-tar")
    assert data.count(b"---> Using cache") == 2  # COPY, RUN; what the other stage made differs


def test_sources_and_targets_that_cannot_be_reached(machines: Machines, tmp_path: Path) -> None:
    absent = f"{machines.registry}/t-none:latest"
    damaged = tmp_path / "damaged"
    (damaged / "blobs/sha256").mkdir(parents=True)
    (damaged / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [1]}))
    sources = [absent, f"type=local,src={tmp_path}/none", f"type=local,src={damaged}"]
    image, told = machines.build(machines.one, sources=sources)
    notices = [each.text for each in told if each.kind == "notice"]
    assert len([each for each in notices if each.startswith("[Warning] cache_from")]) == 2
    assert image.startswith("sha256:")
    refused: dict[str, Any] = {"DockerfileText": "FROM scratch", "CacheTo": [{"Ref": "A B"}]}
    status, _ = request(machines.one.socket, "POST", "/stackr/v1/build", refused)
    assert status == 400
    (tmp_path / "file").write_text("")
    with pytest.raises(Exception, match=r"cache_to .*/file/x: "):
        machines.build(machines.one, targets=[f"type=local,dest={tmp_path}/file/x"])
    _, told = machines.build(
        machines.one, targets=[f"type=local,dest={tmp_path}/file/x,ignore-error=true"]
    )
    assert any(each.text.startswith("[Warning] cache_to") for each in told)
