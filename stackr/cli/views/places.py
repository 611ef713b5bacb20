"""Where a plan's values are written, as a repository's host names it: paths and links.

Source: GitHub and GitLab documentation, "permalinks to files".
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

from stackr.planner.plan.model import Source

__all__ = ["Places", "web_address"]

_SCP = re.compile(r"(?:[^@/]+@)?(?P<host>[^:/]+):(?P<path>(?!//).+)")
"""`git@github.com:owner/name.git`."""


@dataclass(frozen=True, slots=True)
class Places:
    """root: the work tree, "" for none. blob: the address below which its files are, "" if unknown.

    cwd: the folder that a source's file counts from.
    """

    root: str = ""
    blob: str = ""
    cwd: str = ""

    @classmethod
    def of(
        cls, root: str, revision: str, remote: str, environ: Mapping[str, str] = os.environ
    ) -> Places:
        web = web_address(remote, environ) if revision else ""
        return cls(os.path.realpath(root) if root else "", web and f"{web}/{revision}", os.getcwd())

    def file(self, source: Source) -> str:
        """The path from the repository's root; as it is for a file outside of it."""
        if not self.root:
            return source.file
        path = Path(os.path.realpath(os.path.join(self.cwd, source.file)))
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else source.file

    def link(self, source: Source) -> str:
        """The address of the line, "" where that is not known."""
        file = self.file(source)
        if not self.blob or os.path.isabs(file) or file.startswith(".."):
            return ""
        return f"{self.blob}/{quote(file)}#L{source.line}"


def web_address(remote: str, environ: Mapping[str, str]) -> str:
    """What the addresses of a repository's files begin with; "" for a host that is not known.

    remote: as git has it; a user or token in it is left out.
    """
    match = _SCP.fullmatch(remote)
    if "://" not in remote and match is not None:
        host, path = match["host"], match["path"]
    else:
        address = urlsplit(remote)
        if address.scheme not in ("https", "http", "ssh", "git"):
            return ""
        host, path = address.hostname or "", address.path
    path = path.strip("/").removesuffix(".git")
    way = _way(host, environ)
    return f"https://{host}/{quote(path)}/{way}" if way and path else ""


def _way(host: str, environ: Mapping[str, str]) -> str:
    """`blob` of GitHub, `-/blob` of GitLab; "" for others."""
    if host in ("github.com", urlsplit(environ.get("GITHUB_SERVER_URL", "")).hostname):
        return "blob"
    is_gitlab = host == environ.get("CI_SERVER_HOST") or host.startswith("gitlab.")
    return "-/blob" if is_gitlab else ""
