"""What the files that go into a service's containers hold, as hashes: a change of it counts too.

Such are configs and secrets, the profile of `security_opt: seccomp=`, and files of the project that
are bound read-only. What a container may write to does not count: it would recreate itself.
"""

from __future__ import annotations

import hashlib
import os.path
from collections.abc import Mapping
from typing import Any

from stackr.planner.desired.config_hash import canonical_json, digest, sparse
from stackr.spec.model.mounts import FileGrant
from stackr.spec.model.project import Project
from stackr.spec.model.secret import FileObject
from stackr.spec.model.service import Service

__all__ = ["MOST_BOUND_BYTES", "content_hashes"]

MOST_BOUND_BYTES = 1 << 20
"""How large a bound file may be to be compared by what it holds."""
_PROFILE = ("seccomp=", "seccomp:")


def content_hashes(
    project: Project, service: Service, spec: Mapping[str, Any], *, bound_files: bool
) -> dict[str, Any]:
    """Attributes of the service's spec, with the hashes of what their files hold.

    bound_files: also of files that are mounted from this machine.
    """
    hashed: dict[str, Any] = {}
    for section, grants, sources in (
        ("configs", service.configs, project.configs),
        ("secrets", service.secrets, project.secrets),
    ):
        if grants:
            entries = (_granted(project, sources, grant) for grant in grants)
            hashed[section] = sorted(entries, key=canonical_json)
    if service.security_opt:
        hashed["security_opt"] = [_option(project, each) for each in spec["security_opt"]]
    if bound_files and service.volumes:
        hashed["volumes"] = [_mounted(project, each) for each in spec["volumes"]]
    return hashed


def _granted(
    project: Project, sources: Mapping[str, FileObject], grant: FileGrant
) -> dict[str, Any]:
    return {**sparse(grant), "sha256": _granted_hash(project, sources.get(grant.source or ""))}


def _granted_hash(project: Project, source: FileObject | None) -> str:
    """ "" for what is not there; the engine, or the container's creation, then says so."""
    if source is None:
        return ""
    if source.content is not None:
        return digest(source.content)
    if source.environment is not None:
        return digest(project.environment.get(source.environment, ""))
    return _file_hash(project, source.file or "")


def _file_hash(project: Project, path: str) -> str:
    try:
        return hashlib.sha256(project.read(path)).hexdigest()
    except OSError:
        return ""


def _option(project: Project, option: str) -> str:
    """`seccomp=FILE` with the file's hash; any other option as it is."""
    name = option[len(_PROFILE[0]) :]
    if not option.startswith(_PROFILE) or name in ("unconfined", "builtin"):
        return option
    return f"{option} sha256:{_file_hash(project, os.path.join(project.working_dir, name))}"


def _mounted(project: Project, volume: Mapping[str, Any]) -> Mapping[str, Any]:
    """A volume; a file of the project's folder, bound read-only, with its hash."""
    source = volume.get("source", "")
    if volume.get("type") != "bind" or not volume.get("read_only"):
        return volume
    if not source.startswith(f"{project.working_dir.rstrip('/')}/"):
        return volume
    content = project.read_file(source, MOST_BOUND_BYTES)
    return volume if content is None else {**volume, "sha256": hashlib.sha256(content).hexdigest()}
