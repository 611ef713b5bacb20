"""`stackr cp`: files between this host and containers, with the rules of `docker cp`.

Source: docker/compose, pkg/compose/cp.go; moby/go-archive, copy.go.
"""

from __future__ import annotations

import asyncio
import os
import posixpath
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Annotated

import typer

from stackr.cli.declared import Argument, takes
from stackr.cli.options import options_of
from stackr.cli.session import OnCluster, Session, open_session
from stackr.cli.source import source_of
from stackr.cli.tar_output import to_stdout
from stackr.cli.terminal import read_chunks
from stackr.errors import InvalidArgument, NotFound, NotSupported
from stackr.options import Option
from stackr.runtime.protocol import Runtime, SupportsFiles
from stackr.runtime.types import ContainerState, PathStat
from stackr.runtime.workloads import Workloads
from stackr.stack.containers import project_containers
from stackr.stack.local_files import add_tree, open_archive, unpack
from stackr.stack.replica import with_number
from stackr.stack.thread_streams import consumed, produced
from stackr.stack.workloads.nodes import NodeEngines, running_tasks

__all__ = ["CpArguments", "Place", "copy", "cp"]

_CHUNK = 1 << 18


@dataclass(frozen=True, slots=True)
class Place:
    """One side of a copy. service: "" for this host."""

    service: str
    path: str

    @classmethod
    def parse(cls, text: str) -> Place:
        """`web:/etc/hosts`, or a local path: absolute ones and those with a dot in front."""
        service, colon, path = text.partition(":")
        if not colon or text.startswith(("/", ".")):
            return cls("", text)
        return cls(service, path)


@dataclass(frozen=True, slots=True)
class CpArguments:
    """`stackr cp`. all: containers of `run` too. as_user: owned by the container's user."""

    source: Annotated[Place, Argument("SOURCE", Place.parse)]
    target: Annotated[Place, Argument("TARGET", Place.parse)]
    all: Annotated[bool, Option("--all", help="To or from containers of run as well")] = False
    as_user: Annotated[
        bool, Option("--archive", "-a", help="What is copied belongs to the container's user")
    ] = False
    follows_link: Annotated[
        bool, Option("--follow-link", "-L", help="Copy what a symlink SOURCE leads to")
    ] = False
    index: Annotated[int | None, Option("--index", metavar="NUM", help="Which replica")] = None

    def __post_init__(self) -> None:
        if self.source.service and self.target.service:
            raise InvalidArgument("cp: copying between services is not supported")
        if not (self.source.service or self.target.service):
            raise InvalidArgument(
                "cp: unknown copy direction", hint="one side has to be SERVICE:PATH"
            )
        for place in (self.source, self.target):
            if not place.path:
                raise InvalidArgument(f"cp: {place.service}: a path is expected behind the colon")

    @property
    def is_upload(self) -> bool:
        return bool(self.target.service)

    @property
    def service(self) -> str:
        return self.target.service or self.source.service


@takes(CpArguments)
def cp(ctx: typer.Context, arguments: CpArguments) -> None:
    """Copy files: SERVICE:PATH to a local path or "-", or the other way round.

    "-" is a tar archive on stdin or stdout. Without --index, a file goes to every container of the
    service, and comes from the first.
    """
    options = options_of(ctx)
    stack = source_of(options)
    name = stack.name()
    stack.check_services((arguments.service,))
    with open_session(options) as session:
        session.on_engine(
            lambda runtime: _cp(session, runtime, name, arguments),
            cluster=OnCluster(name, lambda cluster: _cp_on(session, cluster, name, arguments)),
        )


async def _cp(session: Session, runtime: Runtime, project: str, arguments: CpArguments) -> None:
    containers = await _containers(runtime, project, arguments)
    await _copy_all(session, [(runtime, each) for each in containers], arguments)


async def _cp_on(
    session: Session, cluster: Workloads, project: str, arguments: CpArguments
) -> None:
    """By the engines of the nodes that the replicas are on: of all of them, or nothing is done.

    A file comes from any replica, where none is named.
    """
    tasks = await running_tasks(cluster, project, [arguments.service], arguments.index)
    async with NodeEngines(cluster) as engines:
        if not arguments.is_upload:
            tasks = [(await engines.first(tasks))[1]]
        await _copy_all(session, await engines.containers(tasks), arguments)


async def _copy_all(
    session: Session, containers: Sequence[tuple[Runtime, ContainerState]], arguments: CpArguments
) -> None:
    if not arguments.is_upload:
        containers = containers[:1]
    if arguments.source.path == "-" and len(containers) > 1:
        raise InvalidArgument(
            f'cp: stdin can go to one container only, and service "{arguments.service}" has'
            f" {len(containers)}",
            hint="name one with --index",
        )
    await asyncio.gather(
        *(copy(session, _with_files(runtime), each, arguments) for runtime, each in containers)
    )


def _with_files(runtime: Runtime) -> SupportsFiles:
    if not isinstance(runtime, SupportsFiles):
        raise NotSupported("cp: this engine does not offer it")
    return runtime


async def _containers(
    runtime: Runtime, project: str, arguments: CpArguments
) -> Sequence[ContainerState]:
    service, index = arguments.service, arguments.index
    found = await project_containers(runtime, project, [service], oneoff=arguments.all)
    if index is not None:
        chosen = with_number(found, index)
        if chosen is None:
            raise NotFound(f'service "{service}" has no container #{index}')
        return [chosen]
    if not found:
        raise NotFound(
            f'no container found for service "{service}"', hint="start it with stackr up -d"
        )
    return found


async def copy(
    session: Session, runtime: SupportsFiles, container: ContainerState, arguments: CpArguments
) -> None:
    """Copy to or from this container, and say so."""
    if arguments.is_upload:
        words = f"{arguments.source.path} to {container.name}:{arguments.target.path}"
    else:
        words = f"{container.name}:{arguments.source.path} to {arguments.target.path}"
    if session.is_dry_run:
        session.would(f"copy {words}")
        return
    if arguments.is_upload:
        await _upload(runtime, container, arguments)
    else:
        await _download(session, runtime, container, arguments)
    session.view.message(f" {container.name}  Copied {words}")


# --- to a container ----------------------------------------------------------------------------


async def _upload(
    runtime: SupportsFiles, container: ContainerState, arguments: CpArguments
) -> None:
    ref, target = container.id, arguments.target.path
    there, where = await _target(runtime, ref, target)
    if there is not None and there.is_special:
        raise InvalidArgument(
            f'destination "{container.name}:{target}" must be a directory or a regular file'
        )
    if arguments.source.path == "-":
        if there is None or not there.is_folder:
            raise InvalidArgument(f'destination "{container.name}:{target}" must be a directory')
        await runtime.put_archive(ref, where, _stdin(), as_user=arguments.as_user)
        return
    source = _local_source(arguments.source.path, follow=arguments.follows_link)
    folder, name = _renamed(source, where, there)

    def write(output: IO[bytes]) -> None:
        with open_archive(output) as archive:
            add_tree(archive, source.path, name)

    try:
        async with aclosing(produced(write)) as chunks:
            await runtime.put_archive(ref, folder, chunks, as_user=arguments.as_user)
    except OSError as error:
        raise InvalidArgument(
            f"{error.filename or source.path}: {(error.strerror or str(error)).lower()}"
        ) from error


async def _target(runtime: SupportsFiles, ref: str, path: str) -> tuple[PathStat | None, str]:
    """What is at a path of the container, and the path itself, or where it leads as a symlink."""
    try:
        found = await runtime.stat_path(ref, path)
    except NotFound:
        return None, path
    if not found.link_target:
        return found, path
    leads_to = posixpath.join(posixpath.dirname(path.rstrip("/")), found.link_target)
    try:
        return await runtime.stat_path(ref, leads_to), leads_to
    except NotFound:
        return None, leads_to


async def _stdin() -> AsyncIterator[bytes]:
    async for data in read_chunks(sys.stdin.fileno(), _CHUNK):
        yield data


@dataclass(frozen=True, slots=True)
class _Source:
    """A local path. name: what it is called where it goes; "" for what is in it alone."""

    path: Path
    name: str
    is_folder: bool


def _local_source(text: str, *, follow: bool) -> _Source:
    """Raises NotFound for what is not there, InvalidArgument for a file with a slash behind it."""
    path = Path(os.path.abspath(text))
    name = "" if _means_content(text) else path.name
    asserts_folder = text.endswith("/") or _means_content(text)
    try:
        if follow or asserts_folder:
            path = path.resolve(strict=True)
        is_folder = path.is_dir() and not path.is_symlink()
        path.lstat()
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise NotFound(f"{text}: {why}") from error
    if asserts_folder and not is_folder:
        raise InvalidArgument(f"{text}: not a directory")
    return _Source(path, name, is_folder)


def _means_content(text: str) -> bool:
    return text == "." or text.endswith("/.")


def _renamed(source: _Source, target: str, there: PathStat | None) -> tuple[str, str]:
    """The folder to unpack in, and the name of the tree in the archive.

    As with cp(1): into a folder that is there, else as the target itself.
    """
    if there is not None and there.is_folder:
        return target, source.name
    if there is not None and source.is_folder:
        raise InvalidArgument(f"cannot copy directory to a file: {target}")
    if there is None and not source.is_folder and target.endswith("/"):
        raise NotFound(f"no such directory: {target}")
    parent, name = posixpath.split(target.rstrip("/"))
    return parent or "/", name


# --- from a container --------------------------------------------------------------------------


async def _download(
    session: Session, runtime: SupportsFiles, container: ContainerState, arguments: CpArguments
) -> None:
    path, own_name = await _source(runtime, container.id, arguments)
    target = arguments.target.path
    if target != "-":
        _check_parent(target)
    async with runtime.get_archive(container.id, path) as (found, chunks):
        if target == "-":
            await to_stdout(chunks)
            return
        place, into = _local_target(target, found, own_name, is_content=_means_content(path))

        def write(source: IO[bytes]) -> None:
            unpack(source, place, into=into, left_out=skipped.append)

        skipped: list[str] = []
        await consumed(chunks, write)
    for name in skipped:
        session.view.warning(f"cp: {name}: a device or a FIFO is not copied")


async def _source(runtime: SupportsFiles, ref: str, arguments: CpArguments) -> tuple[str, str]:
    """The path to read, and the name that it has here: with `-L`, that of the symlink."""
    path = arguments.source.path
    own_name = posixpath.basename(path.rstrip("/"))
    if arguments.follows_link:
        found = await runtime.stat_path(ref, path)
        if found.link_target:
            folder = posixpath.dirname(path.rstrip("/"))
            return posixpath.join(folder, found.link_target), own_name
    return path, own_name


def _check_parent(target: str) -> None:
    parent = Path(os.path.abspath(target)).parent
    if not parent.is_dir():
        raise NotFound(f'invalid output path: directory "{parent}" does not exist')


def _local_target(
    target: str, found: PathStat, own_name: str, *, is_content: bool
) -> tuple[Path, bool]:
    """Where to unpack, and whether that is a folder to unpack into."""
    path = Path(os.path.abspath(target))
    if path.is_dir():
        if is_content:
            return path, True
        return path / (own_name or found.name), not own_name
    if path.exists() and found.is_folder:
        raise InvalidArgument(f"cannot copy directory to a file: {target}")
    if not path.exists() and not found.is_folder and target.endswith("/"):
        raise NotFound(f"no such directory: {target}")
    return path.resolve() if path.is_symlink() else path, False
