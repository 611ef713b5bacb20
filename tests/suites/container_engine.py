"""The parts of an engine that containers need, put together in the test's own process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stackr.errors import NotFound, StackrError
from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.container.io.logs import LogQuery
from stackr.runtime.engine.container.records.lost import (
    is_readable,
    restore_records,
    running_without_record,
)
from stackr.runtime.engine.container.service import Containers
from stackr.runtime.engine.container.settings.spec import ExecCreate, HostConfig, parse_create
from stackr.runtime.engine.container.wiring import make_containers
from stackr.runtime.engine.events import EventBus
from stackr.runtime.engine.image.model import Image
from stackr.runtime.engine.linux import cgroup
from stackr.runtime.engine.network.service import Networks
from stackr.runtime.engine.project_locks import ProjectLocks
from stackr.runtime.engine.snapshot.overlay import Overlay
from stackr.runtime.engine.state import State
from stackr.runtime.engine.volume import Volumes

LAYER = "sha256:" + "b" * 64
APPLETS = "sh sleep echo cat ls id true false kill env stty touch seq grep head hostname".split()  # noqa: SIM905

_DEADLINE_S = 60.0

PASSWD = "root:x:0:0::/root:/bin/sh\nweb:x:1000:1000::/home/web:/bin/sh\n"
GROUP = "root:x:0:\nweb:x:1000:\nextra:x:50:web\n"


class OneImage:
    """`busybox`, whose layer is made here; any other name is unknown."""

    def get(self, name_or_id: str) -> Image:
        if name_or_id not in ("busybox", IMAGE.id):
            raise NotFound(f"No such image: {name_or_id}")
        return IMAGE


IMAGE = Image(
    id="sha256:" + "a" * 64,
    repo_tags=("busybox:latest",),
    repo_digests=(),
    created="2026-01-01T00:00:00Z",
    architecture="amd64",
    os="linux",
    variant="",
    config={"Env": ["PATH=/bin", "FROM=image"], "Cmd": ["sh"]},
    diff_ids=(LAYER,),
    history=(),
    size_bytes=1,
)


def _make_layer(snapshots: Overlay) -> None:
    if snapshots.layer(LAYER) is not None:
        return
    path = snapshots.begin_layer()
    for folder in ("bin", "etc", "srv"):
        (path / folder).mkdir()
    shutil.copy("/bin/busybox", path / "bin" / "busybox")
    for name in APPLETS:
        (path / "bin" / name).symlink_to("busybox")
    (path / "etc" / "passwd").write_text(PASSWD)
    (path / "etc" / "group").write_text(GROUP)
    (path / "srv" / "hello").write_text("from the image")
    (path / "srv" / "to-etc").symlink_to("/etc")
    (path / "srv" / "up").symlink_to("../" * 20 + "etc/passwd")
    snapshots.commit_layer(path, diff_id=LAYER, size_bytes=1, root=None)


@dataclass
class Engine:
    config: EngineConfig
    state: State
    events: EventBus
    networks: Networks
    volumes: Volumes
    containers: Containers
    locks: ProjectLocks

    @classmethod
    async def open(cls, root: Path) -> Engine:
        config = EngineConfig.at(root / "data", root / "run")
        for folder in (config.data_root, config.exec_root):
            folder.mkdir(exist_ok=True)
        state, events = State.open(config.database), EventBus()
        restore_records(config, state)
        snapshots = Overlay(config, state)
        snapshots.open()
        snapshots.keep_layers(lambda: frozenset({LAYER}))
        _make_layer(snapshots)
        networks, volumes = Networks(config, state, events), Volumes(config, state, events)
        await volumes.open()
        unknown = running_without_record(config, lambda id: is_readable(state.get("container", id)))
        await networks.open(keep=bool(unknown))
        locks = ProjectLocks()
        containers = await make_containers(
            config, state, events, OneImage(), snapshots, networks, volumes, locks
        )
        await containers.open()
        await networks.settle()
        return cls(config, state, events, networks, volumes, containers, locks)

    async def close(self) -> None:
        await self.containers.close()
        await self.networks.close()
        self.state.close()

    async def clear(self) -> None:
        for container in self.containers.list():
            with contextlib.suppress(NotFound):
                await self.containers.remove(container.id, force=True, volumes=True)

    async def create(self, name: str, command: list[str], **settings: Any) -> str:
        """`HostConfig` keys and `Config` keys alike; no network where none is named."""
        host_keys = {field.alias for field in HostConfig.model_fields.values()}
        host = {"NetworkMode": "none"}
        host |= {key: value for key, value in settings.items() if key in host_keys}
        top = {key: value for key, value in settings.items() if key not in host_keys}
        body = {"Image": "busybox", "Cmd": command, "HostConfig": host, **top}
        id, _ = await self.containers.create(name, parse_create(body))
        return id

    async def run(self, command: list[str], **settings: Any) -> tuple[int, str]:
        """The exit code and the output of a container that is removed again."""
        id = await self.create("run-once", command, **settings)
        try:
            await self.containers.start(id)
            code = await self.containers.wait(id)
            return code, await self.output(id)
        finally:
            await self.containers.remove(id, force=True, volumes=True)

    async def output(self, ref: str, **query: Any) -> str:
        entries = [entry.line async for entry in self.containers.logs(ref, LogQuery(**query))]
        return b"".join(entries).decode()

    async def execute(self, ref: str, command: list[str], **request: Any) -> tuple[int, str]:
        id = await self.containers.execs.create(ref, ExecCreate(cmd=command, **request))
        stream = await self.containers.execs.start(id)
        output = b""
        while (message := await stream.read()) is not None:
            output += message[1]
        await stream.close()
        session = self.containers.execs.get(id)
        await session.ended.wait()
        assert session.exit_code is not None
        return session.exit_code, output.decode()

    async def assert_nothing_left(self) -> None:
        """Once every container is removed and the engine is closed.

        A process that has been told to end does so in its own time.
        """
        deadline = time.monotonic() + _DEADLINE_S
        while (left := self.leftovers()) and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        assert not left, left

    def leftovers(self) -> list[str]:
        """What must not be there then."""
        found = [str(path) for path in self.config.bundles_root.iterdir()]
        found += [str(path) for path in self.config.containers_root.iterdir()]
        hierarchy = cgroup.detect()
        found += [str(p) for p in hierarchy.paths(self.config.cgroup_parent) if p.exists()]
        root = os.fsencode(self.config.exec_root)
        for pid in filter(str.isdecimal, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                command = Path(f"/proc/{pid}/cmdline").read_bytes()
                if root in command and (b"conmon" in command or b"stackr-resolver" in command):
                    found.append(command.decode())
        return found


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _DEADLINE_S
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("the condition did not come true in time")
        await asyncio.sleep(0.01)


async def refused(work: Any) -> StackrError:
    """The error that awaiting `work` raises."""
    try:
        await work
    except StackrError as error:
        return error
    raise AssertionError("nothing was raised")
