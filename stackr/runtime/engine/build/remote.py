"""What a build reads from elsewhere: files by http(s), repositories by git.

A repository is read by the host's own `git`, without its user's settings, hooks or prompts.
Source: Docker's "Build context: Git URLs"; gitprotocol, "GIT_ALLOW_PROTOCOL".
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import posixpath
import re
import shutil
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from stackr.build.context import read_context
from stackr.build.digests import Digests
from stackr.build.ignore import Ignore
from stackr.build.selection import Source
from stackr.build.tree import File, Tree
from stackr.errors import InvalidArgument, NotSupported, Unavailable
from stackr.runtime.engine.build.copy_step import Part
from stackr.runtime.engine.build.files import FolderContext
from stackr.runtime.engine.build.sources import file_source
from stackr.runtime.engine.linux.tree import remove_tree

__all__ = ["Fetched", "GitAddress", "fetch_file", "fetch_repository"]

_MOST_BYTES: Final = 64 << 30
_MOST_NAME: Final = 255
_TIMEOUT_S: Final = 600.0
_STALL_S: Final = 60.0
_REF: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+@-]{0,250}")
_COMMIT: Final = re.compile(r"[0-9a-f]{7,40}")


@dataclass(frozen=True, slots=True)
class GitAddress:
    """`repository#ref:folder`. Raises InvalidArgument for what git would take as an option."""

    repository: str
    ref: str
    folder: str

    @classmethod
    def parse(cls, text: str) -> GitAddress:
        address, _, fragment = text.partition("#")
        ref, _, folder = fragment.partition(":")
        if address.startswith("github.com/"):
            address = f"https://{address}"
        clean = posixpath.normpath(f"/{folder}").lstrip("/")
        if ref and not _REF.fullmatch(ref):
            raise InvalidArgument(f"git: {text}: malformed reference")
        if address.startswith("-") or any(each.isspace() for each in address):
            raise InvalidArgument(f"git: {text}: malformed address")
        return cls(address, ref, clean)


@dataclass(slots=True)
class Fetched:
    """What an ADD has fetched. digest: of its content. close() removes it."""

    address: str
    digest: str
    context: FolderContext
    is_folder: bool
    folder: Path

    def parts(self) -> list[Part]:
        files = file_source(self.context, unpacks=False)
        if self.is_folder:
            return [(Source("", "", True, tuple(self.context.tree.below(""))), files)]
        name = next(iter(self.context.tree.files))
        return [(Source(name, name, False), files)]

    def close(self) -> None:
        remove_tree(self.folder)


async def fetch_file(address: str, folder: Path, *, checksum: str = "") -> Fetched:
    """A file by http(s), into `folder`, which is made. checksum: `sha256:...` or "".

    Raises InvalidArgument for another content than the checksum says, Unavailable.
    """
    folder.mkdir(mode=0o700, parents=True)
    try:
        name = _name_of(address)
        digest, size = await _download(address, folder / name)
        if checksum and checksum != f"sha256:{digest}":
            raise InvalidArgument(f"digest mismatch sha256:{digest}: {checksum}")
        tree = Tree.of({name: File(stat.S_IFREG | 0o600, digest, size)})
        return Fetched(address, digest, FolderContext(folder, tree), False, folder)
    except BaseException:
        remove_tree(folder)
        raise


def _name_of(address: str) -> str:
    name = unquote(posixpath.basename(urlsplit(address).path)) or "index"
    is_long = len(name.encode()) > _MOST_NAME
    if name in (".", "..") or "/" in name or "\0" in name or is_long:
        raise InvalidArgument(f"{address}: has no usable file name")
    return name


async def _download(address: str, file: Path) -> tuple[str, int]:
    import aiohttp

    sha256, size = hashlib.sha256(), 0
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=_STALL_S)
    try:
        async with (
            aiohttp.ClientSession(
                timeout=timeout, trust_env=True, auto_decompress=False
            ) as session,
            session.get(address, headers={"Accept-Encoding": "identity"}) as answer,
        ):
            if answer.status != 200:
                raise InvalidArgument(f"{address}: invalid response status {answer.status}")
            with file.open("xb") as output:
                async for piece in answer.content.iter_chunked(1 << 18):
                    sha256.update(piece)
                    size += len(piece)
                    if size > _MOST_BYTES:
                        raise InvalidArgument(f"{address}: larger than {_MOST_BYTES} bytes")
                    await asyncio.to_thread(output.write, piece)
                os.fchmod(output.fileno(), 0o600)
            _set_time(file, answer.headers.get("Last-Modified", ""))
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        why = str(error) or type(error).__name__
        raise Unavailable(f"{address}: cannot be fetched: {why}") from error
    return sha256.hexdigest(), size


def _set_time(file: Path, text: str) -> None:
    """To when it was changed, or the epoch: the time of a download says nothing."""
    seconds = 0.0
    with suppress(ValueError, TypeError, OverflowError):
        seconds = parsedate_to_datetime(text).timestamp()
    os.utime(file, (seconds, seconds))


async def fetch_repository(
    address: str, folder: Path, *, keep_git_dir: bool = False, ssh: str = ""
) -> Fetched:
    """A repository's files at a reference, into `folder`, which is made.

    Raises NotSupported where the host has no git, InvalidArgument for what git refuses.
    """
    if shutil.which("git") is None:
        raise NotSupported(f"{address}: git is not installed on the engine's host")
    where = GitAddress.parse(address)
    folder.mkdir(mode=0o700, parents=True)
    try:
        work = folder / "repository"
        await _git(["init", "-q", str(work)], folder, ssh)
        commit = await _checkout(where, work, ssh)
        if not keep_git_dir:
            await asyncio.to_thread(remove_tree, work / ".git")
        root = work / where.folder
        if where.folder and not await asyncio.to_thread(_is_plain_folder, work, where.folder):
            raise InvalidArgument(f"{address}: {where.folder}: no such folder in the repository")
        tree = await asyncio.to_thread(read_context, root, Ignore([]), Digests(None))
        digest = f"{commit}:{where.folder}:{keep_git_dir}"
        return Fetched(address, digest, FolderContext(root, tree), True, folder)
    except BaseException:
        await asyncio.to_thread(remove_tree, folder)
        raise


def _is_plain_folder(root: Path, path: str) -> bool:
    """No part of it is a symlink."""
    here = root
    for part in path.split("/"):
        here /= part
        if here.is_symlink() or not here.is_dir():
            return False
    return True


async def _checkout(where: GitAddress, work: Path, ssh: str) -> str:
    found = await _fetch(where.repository, where.ref or "HEAD", work, ssh)
    await _git(["-c", "advice.detachedHead=false", "checkout", "-q", found], work, ssh)
    if (work / ".gitmodules").is_file():
        await _git(["submodule", "-q", "update", "--init", "--recursive", "--depth=1"], work, ssh)
    return (await _git(["rev-parse", "HEAD"], work, ssh)).strip()


async def _fetch(repository: str, ref: str, work: Path, ssh: str) -> str:
    """Get a reference, as little of the history as the other side lets be; returns what it is."""
    fetch = ["fetch", "-q"]
    try:
        await _git([*fetch, "--depth=1", "--", repository, ref], work, ssh)
    except InvalidArgument as error:
        if "shallow" in str(error):
            await _git([*fetch, "--", repository, ref], work, ssh)
        elif _COMMIT.fullmatch(ref):  # one that is not handed out by its name
            await _git([*fetch, "--", repository, "+refs/*:refs/remotes/*"], work, ssh)
            return ref
        else:
            raise
    return "FETCH_HEAD"


async def _git(arguments: Sequence[str], folder: Path, ssh: str) -> str:
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": "http:https:git:ssh",
        "GIT_SSH_COMMAND": "ssh -oBatchMode=yes -oStrictHostKeyChecking=accept-new",
        "LC_ALL": "C",
        **({"SSH_AUTH_SOCK": ssh} if ssh else {}),
    }
    process = await asyncio.create_subprocess_exec(
        "git",
        *("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false"),
        *("-c", "protocol.file.allow=never"),
        *arguments,
        cwd=folder,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            output, complaint = await process.communicate()
    except BaseException as error:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        await asyncio.shield(process.wait())
        if isinstance(error, TimeoutError):
            raise Unavailable(f"git: no answer in {_TIMEOUT_S:g} s") from error
        raise
    if process.returncode:
        said = complaint.decode(errors="replace").strip().splitlines()[-1:] or ["no output"]
        raise InvalidArgument(f"git {arguments[0]}: {said[0][:500]}")
    return output.decode(errors="replace")
