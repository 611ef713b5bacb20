"""What builds change against another version of a stack, `diff --base`: no engine is asked.

The images that are built on are taken as they are; of permissions, what git keeps counts.
"""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import replace

from stackr.build.ignore import Ignore, ignore_files, parse_ignore
from stackr.build.inputs import Base
from stackr.build.record import Record, differences, digest, parse_record
from stackr.build.tree import File, Tree, parents_of
from stackr.planner.desired.image_build import BuildOptions, PlannedBuild, build_order, image_build
from stackr.runtime.image_build import ImageBuild, is_remote
from stackr.spec.model.project import Project
from stackr.spec.model.service import Service
from stackr.stack.build_records import Trees, aliases_of, fields_of, recorded, stage_plan, told
from stackr.stack.git_files import GitFiles

__all__ = ["base_builds"]

_MOST_BYTES = 4 << 20


def base_builds(
    base: Project, changed: Project, revision: GitFiles | None
) -> dict[str, PlannedBuild]:
    """Those of services that both versions build, by image, with a cause where they differ.

    revision: where the files of `base` are; None for this host. Raises StackrError for what no
    build would get past.
    """
    names = tuple(name for name, each in changed.services.items() if _is_built(base, name, each))
    olds = _Side(base, _Revision(revision) if revision is not None else _Host())
    news = _Side(changed, _Host())
    found: dict[str, PlannedBuild] = {}
    for name in build_order(changed, names):
        build = image_build(changed, changed.services[name], BuildOptions())
        before, now = olds.record(name), news.record(name)
        if before is None or now is None:
            continue
        kept = parse_record(before.encode()) or before
        different = differences(kept, now)
        cause = told(different, kept, now) if different else ""
        found[build.tags[0]] = PlannedBuild(build, cause, (name,), (), fields_of(different))
    return found


def _is_built(base: Project, name: str, service: Service) -> bool:
    other = base.services.get(name)
    return service.build is not None and other is not None and other.build is not None


class _Side:
    """One of the two versions."""

    def __init__(self, project: Project, trees: _Trees) -> None:
        self._project = project
        self._trees = trees
        self._bases: dict[str, Base] = {}

    def record(self, name: str) -> Record | None:
        """None for a context that is fetched, and for a service that is not there."""
        service = self._project.services.get(name)
        if service is None or service.build is None:
            return None
        build = self._trees.with_text(image_build(self._project, service, BuildOptions()))
        if is_remote(build.context):
            return None
        images = {each: self._bases.get(each, Base()) for each in aliases_of(build).values()}
        found = recorded(build, stage_plan(build), self._trees, images)
        self._bases[build.tags[0]] = Base(digest(found.encode()))
        return found


class _Trees(Trees):
    def with_text(self, build: ImageBuild) -> ImageBuild:
        return build


class _Host(_Trees):
    def of(self, folder: str, dockerfile: str) -> Tree:
        tree = super().of(folder, dockerfile)
        return Tree.of({path: _plain(file) for path, file in tree.files.items()})


class _Revision(_Trees):
    """What the revision does not answer for is this host's."""

    def __init__(self, files: GitFiles) -> None:
        super().__init__()
        self._files = files

    def with_text(self, build: ImageBuild) -> ImageBuild:
        if build.dockerfile_text is not None:
            return build
        path = os.path.join(build.context, build.dockerfile)
        content = self._files.read_file(path, _MOST_BYTES)
        if content is None:
            return build
        return replace(build, dockerfile_text=content.decode("utf-8", "surrogateescape"))

    def of(self, folder: str, dockerfile: str) -> Tree:
        listed = self._files.below(folder)
        if listed is None:
            tree = super().of(folder, dockerfile)
            return Tree.of({path: _plain(file) for path, file in tree.files.items()})
        ignore = Ignore([])
        for name in ignore_files(dockerfile):
            content = self._files.read_file(os.path.join(folder, name), _MOST_BYTES)
            if content is not None:
                ignore = parse_ignore(content)
                break
        files: dict[str, File] = {}
        for path, mode, content in listed:
            if ignore and ignore.matches(path):
                continue
            if stat.S_ISLNK(mode):
                files[path] = File(mode | 0o777, os.fsdecode(content))
            else:
                files[path] = File(mode, hashlib.sha256(content).hexdigest(), len(content))
            for parent in parents_of(path):
                files.setdefault(parent, File(stat.S_IFDIR | 0o755))
        return Tree.of({path: _plain(file) for path, file in files.items()})


def _plain(file: File) -> File:
    """With the permissions that git keeps."""
    if file.is_link:
        return replace(file, mode=stat.S_IFLNK | 0o777)
    if file.is_folder:
        return replace(file, mode=stat.S_IFDIR | 0o755)
    return replace(file, mode=stat.S_IFREG | (0o755 if file.mode & 0o100 else 0o644))
