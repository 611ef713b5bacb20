"""Targets that no engine mounts anything at, refused before anything is made."""

from __future__ import annotations

import pytest
from fake_runtime import FakeRuntime
from planning import service, stack, up

from stackr.errors import InvalidArgument
from stackr.spec.model.mounts import FileGrant, ServiceVolume
from stackr.spec.model.secret import FileObject
from stackr.spec.model.service import Service


@pytest.mark.parametrize(
    "wrong",
    [
        service(volumes=(ServiceVolume(type="volume", source="d", target="/proc/sys"),)),
        service(volumes=(ServiceVolume(type="bind", source="/etc", target="/x/../proc/1"),)),
        service(volumes=(ServiceVolume(type="tmpfs", target="/proc"),)),
        service(tmpfs=("/proc/x:size=1m",)),
        service(configs=(FileGrant(source="c", target="/proc/c"),)),
        service(volumes=(ServiceVolume(type="volume", source="d", target="/a/.."),)),
        service(tmpfs=("//",)),
        service(configs=(FileGrant(source="c", target="/"),)),
    ],
)
async def test_nothing_is_made(wrong: Service) -> None:
    fake = FakeRuntime.with_images("app")
    project = stack({"db": service(), "web": wrong}, configs={"c": FileObject(content="x")})
    with pytest.raises(InvalidArgument, match=r"^service \"web\": .*(/proc|'/')"):
        await up(fake, project)
    assert fake.containers == {}
