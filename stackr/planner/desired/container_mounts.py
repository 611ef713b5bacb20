"""What a service's container mounts, and the files of configs and secrets that are written into it.

Source: Docker Compose, pkg/compose/create.go (`fillBindMounts`) and pkg/compose/secrets.go.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence

from stackr.errors import InvalidArgument, NotSupported
from stackr.planner.desired.keys import ANONYMOUS, mounted_image
from stackr.runtime.container import ContainerFile, Mount
from stackr.runtime.proc_targets import proc_refusal
from stackr.runtime.types import MountState
from stackr.spec.model.mounts import FileGrant, ServiceVolume
from stackr.spec.model.project import Project
from stackr.spec.model.secret import FileObject
from stackr.spec.model.service import Service
from stackr.text import whole_number

__all__ = ["check_targets", "granted_files", "inherited_mounts", "service_mounts"]

_MOST_ID = 2**32 - 1
_FOLDER = {"secret": "/run/secrets", "config": "/"}


def service_mounts(project: Project, service: Service) -> tuple[Mount, ...]:
    """Every mount, by target: the service's volumes, then secrets and configs that are files."""
    mounts: dict[str, Mount] = {}
    for volume in service.volumes:
        mount = _mount(project, volume)
        mounts[mount.target] = mount
    for _grant, source, target in _grants(project, service):
        if source.content is None and source.environment is None and source.file:
            mounts.setdefault(
                target, Mount(type="bind", source=source.file, target=target, read_only=True)
            )
    return tuple(mounts[target] for target in sorted(mounts))


def granted_files(project: Project, service: Service) -> tuple[ContainerFile, ...]:
    """Configs and secrets whose content is in the stack file or a variable.

    Raises InvalidArgument for a variable that is not set.
    """
    files = []
    for grant, source, target in _grants(project, service):
        content = _content(project, source)
        if content is not None:
            files.append(
                ContainerFile(
                    path=target,
                    content=content.encode(),
                    uid=_number(service, grant.uid, "uid"),
                    gid=_number(service, grant.gid, "gid"),
                    mode=0o444 if grant.mode is None else grant.mode,
                )
            )
    if files and service.read_only:
        raise InvalidArgument(
            f'cannot create "{files[0].path}" in read-only service {service.name}: '
            "`file` is the sole supported option"
        )
    if service.use_api_socket and service.read_only:
        raise InvalidArgument(
            f'service "{service.name}": use_api_socket: cannot create the configuration of its'
            " clients in a read-only service"
        )
    return tuple(files)


def check_targets(service: Service, mounts: Sequence[Mount], others: Sequence[str]) -> None:
    """Refuse, before anything is made, what no engine mounts.

    others: the paths of its tmpfs, and of files that are written into it. Raises InvalidArgument.
    """
    binds = [mount.target for mount in mounts if mount.type == "bind" or mount.subpath]
    rest = [mount.target for mount in mounts if mount.target not in binds]
    for target in (*binds, *rest, *others):
        why = proc_refusal(target, is_bind=target in binds)
        if posixpath.normpath(f"/{target.lstrip('/')}") == "/":
            why = "invalid specification: destination can't be '/'"
        if why:
            raise InvalidArgument(f'service "{service.name}": {why}')


def inherited_mounts(
    mounts: Sequence[Mount],
    old: Sequence[MountState],
    image_volumes: Sequence[str] | None,
) -> tuple[Mount, ...]:
    """`mounts`, where anonymous volumes are those that the old container had.

    image_volumes: the paths for which the new image wants volumes; None if it is not here yet,
    when any anonymous volume of the old container is kept.
    """
    kept = {mount.target: mount for mount in mounts}
    for state in old:
        if state.type != "volume" or not state.name:
            continue
        wanted = kept.get(state.target)
        is_anonymous = wanted is not None and wanted.type == "volume" and not wanted.source
        if wanted is None:
            from_image = image_volumes is None or state.target in image_volumes
            is_anonymous = from_image and bool(ANONYMOUS.fullmatch(state.name))
        if is_anonymous:
            kept[state.target] = Mount(
                type="volume",
                source=state.name,
                target=state.target,
                read_only=state.read_only,
            )
    return tuple(kept[target] for target in sorted(kept))


def _mount(project: Project, volume: ServiceVolume) -> Mount:
    bind, options, tmpfs = volume.bind, volume.volume, volume.tmpfs
    subpath = (options.subpath if options else None) or (
        volume.image.subpath if volume.image else None
    )
    return Mount(
        type=volume.type,
        target=posixpath.normpath(volume.target or "/"),
        source=_source(project, volume),
        read_only=volume.read_only,
        consistency=volume.consistency or "",
        propagation=(bind.propagation if bind else None) or "",
        recursive=(bind.recursive if bind else None) or "",
        selinux=(bind.selinux if bind else None) or "",
        create_host_path=bind.create_host_path if bind else True,
        no_copy=options.nocopy if options else False,
        subpath=subpath or "",
        labels=options.labels if options else {},
        size_bytes=tmpfs.size if tmpfs else 0,
        mode=tmpfs.mode if tmpfs else 0,
    )


def _source(project: Project, volume: ServiceVolume) -> str:
    source = volume.source or ""
    if volume.type == "volume" and source in project.volumes:
        return project.volumes[source].name or source
    return mounted_image(project, source) if volume.type == "image" else source


def _grants(project: Project, service: Service) -> Iterator[tuple[FileGrant, FileObject, str]]:
    """Each config and secret of the service, what it is, and its path in the container."""
    sections: tuple[tuple[str, Sequence[FileGrant], Mapping[str, FileObject]], ...] = (
        ("secret", service.secrets, project.secrets),
        ("config", service.configs, project.configs),
    )
    for kind, grants, sources in sections:
        for grant in grants:
            source = sources[grant.source or ""]
            _refuse_foreign(kind, grant.source or "", source)
            yield grant, source, posixpath.join(_FOLDER[kind], grant.target or grant.source or "")


def _refuse_foreign(kind: str, key: str, source: FileObject) -> None:
    if source.external:
        raise NotSupported(f"unsupported external {kind} {source.name or key}")
    for attribute in ("driver", "template_driver"):
        if getattr(source, attribute):
            raise NotSupported(f"{kind}s.{key}.{attribute}: not supported")


def _content(project: Project, source: FileObject) -> str | None:
    if source.content is not None:
        return source.content
    if source.environment is None:
        return None
    if source.environment not in project.environment:
        raise InvalidArgument(
            f'environment variable "{source.environment}" required by "{source.name}" is not set'
        )
    value = project.environment[source.environment]
    if "\ufffd" in value:
        raise InvalidArgument(
            f'environment variable "{source.environment}" required by "{source.name}": not UTF-8',
            hint="bytes that are no text can be given as a file",
        )
    return value


def _number(service: Service, text: str | None, what: str) -> int:
    if not text:
        return 0
    number = whole_number(text, most=_MOST_ID)
    if number is None:
        raise InvalidArgument(f'service "{service.name}": {what} "{text}" is not a number')
    return number
