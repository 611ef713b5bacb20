"""From the shared options and the words of the command line to the stack that they name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from stackr.cli.arguments import is_set
from stackr.cli.options import GlobalOptions, refuse_compatibility
from stackr.spec.session import LoadOptions
from stackr.stack.isolation import wish_of
from stackr.stack.source import Source

__all__ = ["isolated_wish", "source_of"]


def source_of(options: GlobalOptions, files: Sequence[str] = ()) -> Source:
    """files: those among the command's words, which come after those of `--file`."""
    if is_set("COMPOSE_COMPATIBILITY"):
        refuse_compatibility("COMPOSE_COMPATIBILITY")
    source = Source(
        LoadOptions(
            files=(*options.files, *files),
            project_directory=options.project_directory,
            project_name=options.project_name,
            profiles=tuple(options.profiles),
            env_files=tuple(options.env_files),
            all_resources=options.all_resources,
        ),
        engine=options.engine,
    )
    return replace(source, isolated=isolated_wish(options, source.environ))


def isolated_wish(options: GlobalOptions, environ: Mapping[str, str]) -> str | None:
    """The copy that is meant, as `Source` has it: by the option, or else by the variable.

    With a project's name the variable does not count: that names the project itself.
    """
    if options.isolated_name:
        return options.isolated_name
    if options.isolated:
        return ""
    return None if options.project_name else wish_of(environ)
