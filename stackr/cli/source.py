"""From the shared options and the words of the command line to the stack that they name."""

from __future__ import annotations

from collections.abc import Sequence

from stackr.cli.arguments import is_set
from stackr.cli.options import GlobalOptions, refuse_compatibility
from stackr.spec.session import LoadOptions
from stackr.stack.source import Source

__all__ = ["source_of"]


def source_of(options: GlobalOptions, files: Sequence[str] = ()) -> Source:
    """files: those among the command's words, which come after those of `--file`."""
    if is_set("COMPOSE_COMPATIBILITY"):
        refuse_compatibility("COMPOSE_COMPATIBILITY")
    return Source(
        LoadOptions(
            files=(*options.files, *files),
            project_directory=options.project_directory,
            project_name=options.project_name,
            profiles=tuple(options.profiles),
            env_files=tuple(options.env_files),
            all_resources=options.all_resources,
        )
    )
