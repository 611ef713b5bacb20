"""RUN: a program in a container of the step, whose upper directory becomes a layer.

Secrets lie in files of the exec root, which is in memory, for as long as the step runs; one that is
wanted as a variable is read from its file by the step's own shell, so that no record has it.
"""

from __future__ import annotations

import asyncio
import os
import posixpath
import shutil
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from stackr.build.errors import DockerfileError, UnsupportedInstruction
from stackr.build.mounts import RunMount
from stackr.build.steps import Run
from stackr.errors import InvalidArgument, StackrError
from stackr.runtime.engine.build.cache import BuildCache
from stackr.runtime.engine.build.files import Context
from stackr.runtime.engine.build.layers import LayerMaker
from stackr.runtime.engine.build.request import BuildRequest
from stackr.runtime.engine.build.scratch import scratch_folder
from stackr.runtime.engine.build.step_container import StepContainers
from stackr.runtime.engine.image.service import Images
from stackr.runtime.engine.snapshot.overlay import Layer, Overlay

__all__ = ["BindSource", "RunFailed", "Runner"]

_MOST_OUTPUT_BYTES: Final = 16 << 20
_SECRETS: Final = "/dev/stackr-secrets"
_PIPES: Final = "/dev/pipes"
_SSH: Final = "/run/buildkit/ssh_agent.{}"

Write = Callable[[int, bytes], None]
"""Told of what the program writes: stream (1, 2), bytes."""

Tell = Callable[[str, bool], None]
"""Told the ID of the step's container, and whether it is gone again."""

BindSource = Context | Sequence[str]
"""What a bind mount is of: a context, or layers."""


class RunFailed(StackrError):
    """The program ended with `code`."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exit code {code}")
        self.code = code


@dataclass(slots=True)
class _Setup:
    """mounts: as the API's `Mounts`; env: further variables; head: what the shell does first."""

    mounts: list[dict[str, Any]] = field(default_factory=list)
    env: list[str] = field(default_factory=list)
    head: str = ""

    def bind(self, source: str, target: str, *, read_only: bool = True) -> None:
        self.mounts.append(
            {"Type": "bind", "Source": source, "Target": target, "ReadOnly": read_only}
        )


class Runner:
    """Executes RUN steps."""

    def __init__(
        self,
        snapshots: Overlay,
        images: Images,
        containers: StepContainers,
        maker: LayerMaker,
        cache: BuildCache,
        *,
        scratch: Path,
        work: Path,
    ) -> None:
        """scratch: for secrets, in memory on most hosts. work: for copies, on the disk."""
        self._snapshots = snapshots
        self._images = images
        self._containers = containers
        self._maker = maker
        self._cache = cache
        self._scratch = scratch
        self._work = work
        self._locks: dict[str, asyncio.Lock] = {}

    async def run(
        self,
        step: Run,
        layers: Sequence[str],
        request: BuildRequest,
        sources: Mapping[int, BindSource],
        *,
        epoch_ns: int | None,
        write: Write,
        tell: Tell,
    ) -> Layer | None:
        """sources: what each bind mount is of, by its place among the step's mounts.

        Raises RunFailed; InvalidArgument for a program that cannot be run, DockerfileError for a
        secret that is missing.
        """
        async with AsyncExitStack() as stack:
            setup = await self._set_up(stack, step, request, sources)
            view = self._snapshots.image_view(layers)
            targets = [mount["Target"] for mount in setup.mounts]
            stubs = [target for target in targets if view.stat(target) is None]
            argv = [*step.argv]
            argv[-1] = setup.head + argv[-1]
            config = {
                "Cmd": argv,
                "Env": [*step.proxies, *step.env, *setup.env],
                "WorkingDir": step.working_dir,
                "User": step.user,
                "AttachStdout": True,
                "AttachStderr": True,
            }
            network = request.host_config.get("NetworkMode", "default")
            host_config = {
                **request.host_config,
                "NetworkMode": network if step.network == "default" else step.network,
                "Mounts": setup.mounts,
            }
            id = await stack.enter_async_context(
                self._containers.container(layers, config, host_config)
            )
            tell(id, False)
            code = await self._execute(id, write)
            if code:
                raise RunFailed(code)
            layer = await self._maker.take(id, layers, stubs=stubs, epoch_ns=epoch_ns)
        tell(id, True)
        return layer

    async def _execute(self, id: str, write: Write) -> int:
        containers = self._containers.containers
        stream = await containers.attach(id)
        try:
            ended = containers.waiter(id, "next-exit")
            await containers.start(id)
            left = _MOST_OUTPUT_BYTES
            while (piece := await stream.read()) is not None:
                left = _pass_on(write, *piece, left)
            return await ended
        finally:
            await stream.close()

    async def _set_up(
        self,
        stack: AsyncExitStack,
        step: Run,
        request: BuildRequest,
        sources: Mapping[int, BindSource],
    ) -> _Setup:
        setup = _Setup()
        folder = await stack.enter_async_context(scratch_folder(self._scratch))
        for number, document in enumerate(step.scripts):
            script = folder / f"script-{number}"
            _write(script, document.content.encode("utf-8", "surrogateescape"), 0o755)
            setup.bind(str(script), f"{_PIPES}/{document.name}")
        for number, mount in enumerate(step.mounts):
            target = posixpath.normpath(posixpath.join(step.working_dir, mount.target))
            match mount.type:
                case "tmpfs":
                    options = {"SizeBytes": mount.size, "Options": [["exec"]]}
                    setup.mounts.append(
                        {"Type": "tmpfs", "Target": target, "TmpfsOptions": options}
                    )
                case "cache":
                    source = sources.get(number)
                    await self._cache_mount(stack, setup, step, mount, target, source)
                case "secret":
                    self._secret(setup, folder / f"secret-{number}", step, mount, target, request)
                case "ssh":
                    self._ssh(setup, step, mount, target, number, request)
                case _:
                    await self._bind(stack, setup, step, mount, target, sources[number])
        return setup

    async def _bind(
        self,
        stack: AsyncExitStack,
        setup: _Setup,
        step: Run,
        mount: RunMount,
        target: str,
        source: BindSource,
    ) -> None:
        line = step.instruction.line
        path = posixpath.normpath(posixpath.join("/", mount.source)).lstrip("/")
        if not isinstance(source, Sequence):
            real = source.tree.resolve(path)
            if real is None:
                raise DockerfileError(f'"/{path}": not found', line)
        if not mount.read_only:
            place = await stack.enter_async_context(self._copied(source, path, line))
            setup.bind(str(place), target, read_only=False)
            return
        if not isinstance(source, Sequence):
            folder = await asyncio.to_thread(source.folder)
            setup.bind(str(folder / (source.tree.resolve(path) or "")), target)
            return
        if not source:
            raise DockerfileError(f'"/{path}": not found: the stage has no files', line)
        image = stack.enter_context(self._images.store.draft(source))
        options = {"ImageOptions": {"Subpath": path}} if path else {}
        setup.mounts.append({"Type": "image", "Source": image.id, "Target": target, **options})

    @asynccontextmanager
    async def _copied(self, source: BindSource, path: str, line: int) -> AsyncIterator[Path]:
        """A copy of what a mount is of, there for the block: what is written to it is dropped."""
        async with scratch_folder(self._work) as folder:
            await asyncio.to_thread(self._copy, source, path, folder / "copy", line)
            yield folder / "copy"

    def _copy(self, source: BindSource, path: str, target: Path, line: int) -> None:
        if not isinstance(source, Sequence):
            place = source.folder() / (source.tree.resolve(path) or "")
            if place.is_dir():
                shutil.copytree(place, target, symlinks=True)
            else:
                shutil.copy2(place, target)
            return
        target.mkdir()
        fd = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if not self._snapshots.image_view(source).copy_up(f"/{path}", fd):
                raise DockerfileError(f'"/{path}": is no folder of the stage', line)
        finally:
            os.close(fd)

    async def _cache_mount(
        self,
        stack: AsyncExitStack,
        setup: _Setup,
        step: Run,
        mount: RunMount,
        target: str,
        source: BindSource | None,
    ) -> None:
        id = mount.id
        if mount.sharing == "private":
            id = self._private(id)
        if mount.sharing != "shared":
            lock = self._locks.setdefault(id, asyncio.Lock())
            await stack.enter_async_context(lock)
        hold = stack.enter_context(self._cache.holding())
        folder = self._cache.mount_folder(id)
        hold(self._cache.mount_key(id))
        if not folder.exists():
            folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            async with self._cache_folder(mount, source, step.instruction.line) as new:
                with suppress(OSError):  # another step was quicker
                    new.rename(folder)
        self._cache.touch([self._cache.mount_key(id)])
        setup.bind(str(folder), target, read_only=mount.read_only)

    @asynccontextmanager
    async def _cache_folder(
        self, mount: RunMount, source: BindSource | None, line: int
    ) -> AsyncIterator[Path]:
        """What a new cache begins with: nothing, or what it is said to be of."""
        if source is None:
            async with scratch_folder(self._work) as folder:
                (folder / "copy").mkdir()
                os.chown(folder / "copy", mount.uid or 0, mount.gid or 0)
                (folder / "copy").chmod(0o755 if mount.mode is None else mount.mode)
                yield folder / "copy"
            return
        path = posixpath.normpath(posixpath.join("/", mount.source)).lstrip("/")
        async with self._copied(source, path, line) as copy:
            yield copy

    def _private(self, id: str) -> str:
        """The first of a cache's folders that nobody uses."""
        number = 0
        while (lock := self._locks.get(f"{id}#{number}")) is not None and lock.locked():
            number += 1
        return f"{id}#{number}"

    def _secret(
        self,
        setup: _Setup,
        file: Path,
        step: Run,
        mount: RunMount,
        target: str,
        request: BuildRequest,
    ) -> None:
        line = step.instruction.line
        value = request.secrets.get(mount.id)
        if value is None:
            if mount.required:
                raise DockerfileError(f"secret {mount.id}: not found", line)
            return
        _write(file, value, 0o400 if mount.mode is None else mount.mode)
        os.chown(file, mount.uid or 0, mount.gid or 0)
        if mount.target:
            setup.bind(str(file), target)
        if mount.env:
            if not step.is_shell:
                raise UnsupportedInstruction("a secret's env in RUN with a JSON list", line)
            if not mount.env.isidentifier():
                raise DockerfileError(f"invalid name of a variable: {mount.env}", line)
            place = f"{_SECRETS}/{file.name}"
            setup.bind(str(file), place)
            setup.head += _exported(mount.env, place)

    def _ssh(
        self,
        setup: _Setup,
        step: Run,
        mount: RunMount,
        target: str,
        number: int,
        request: BuildRequest,
    ) -> None:
        socket = request.ssh.get(mount.id)
        if socket is None:
            if mount.required:
                raise DockerfileError(f"ssh agent {mount.id}: not given", step.instruction.line)
            return
        if not Path(socket).is_socket():
            raise InvalidArgument(f"ssh agent {mount.id}: {socket}: is no socket")
        place = target if mount.target else _SSH.format(number)
        setup.bind(socket, place, read_only=False)
        setup.env.append(f"SSH_AUTH_SOCK={place}")


def _pass_on(write: Write, stream: int, data: bytes, left: int) -> int:
    """Write output as far as there is room for it, and tell once that there is none; what is left.

    A step that writes for ever must not fill the daemon's memory.
    """
    if left > 0:
        write(stream, data[:left])
        if len(data) >= left:
            write(2, f"\n[output clipped: more than {_MOST_OUTPUT_BYTES >> 20} MiB]\n".encode())
    return max(0, left - len(data))


def _write(file: Path, data: bytes, mode: int) -> None:
    fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        while data:
            data = data[os.write(fd, data) :]
        os.fchmod(fd, mode)
    finally:
        os.close(fd)


def _exported(name: str, place: str) -> str:
    """Shell text that sets a variable to a file's very content, its last line end included."""
    return f'{name}="$(cat {place}; printf x)"\n{name}="${{{name}%x}}"\nexport {name}\n'
