"""The other version of a stack file, for `diff --base`: a git revision, a file or a folder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace

from stackr.spec.model.project import Project
from stackr.stack.git_files import GitFiles
from stackr.stack.source import Source

__all__ = ["open_base"]


@contextlib.contextmanager
def open_base(
    base: str,
    source: Source,
    changed: Project,
    *,
    services: Sequence[str] = (),
) -> Iterator[Project]:
    """The project as `base` has it; all other options are the same. Its files can be read within.

    base: a path that exists is a stack file, or a folder in which one is looked for; anything
    else is a git revision of the repository around the stack file.
    Raises InvalidProject for what is wrong in it, NotFound for a revision that is not there.
    """
    if os.path.exists(base):
        yield _of_path(base, source, changed, services)
        return
    with contextlib.closing(GitFiles.open(changed.working_dir, base)) as files:
        yield source.load(services, files=files)


def _of_path(base: str, source: Source, changed: Project, services: Sequence[str]) -> Project:
    is_folder = os.path.isdir(base)
    folder = base if is_folder else os.path.dirname(os.path.abspath(base))
    name = source.options.project_name
    if os.path.realpath(folder) != os.path.realpath(changed.working_dir):
        name = name or changed.name  # its folder's name says nothing
    options = replace(
        source.options,
        files=() if is_folder else (base,),
        project_directory=base if is_folder else None,
        project_name=name,
    )
    return replace(source, options=options).load(services)
