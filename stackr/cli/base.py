"""The other version of a stack file, for `diff --base`: a git revision, a file or a folder."""

from __future__ import annotations

import contextlib
import copy
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from stackr.cli.options import GlobalOptions
from stackr.cli.project import load_project

if TYPE_CHECKING:
    from stackr.spec.model.project import Project

__all__ = ["open_base"]


@contextlib.contextmanager
def open_base(
    base: str,
    options: GlobalOptions,
    files: Sequence[str],
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
        yield _of_path(base, options, changed, services)
        return
    from stackr.cli.git_files import GitFiles

    with contextlib.closing(GitFiles.open(changed.working_dir, base)) as source:
        yield load_project(options, files, services=services, source=source)


def _of_path(
    base: str, options: GlobalOptions, changed: Project, services: Sequence[str]
) -> Project:
    other = copy.copy(options)
    is_folder = os.path.isdir(base)
    other.files = [] if is_folder else [base]
    other.project_directory = base if is_folder else None
    folder = base if is_folder else os.path.dirname(os.path.abspath(base))
    if os.path.realpath(folder) != os.path.realpath(changed.working_dir):
        other.project_name = other.project_name or changed.name  # its folder's name says nothing
    return load_project(other, services=services)
