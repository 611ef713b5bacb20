"""The files of a git repository as a revision has them, for a load of an earlier stack file.

What git tracks in the revision is read from there; what git does not track now (an ignored `.env`)
from the work tree; what is outside of the repository from the host. Trees and files are read by
one `git cat-file --batch`, by their object names alone.
Source: git-cat-file(1), gitrepository-layout(5); git's tree objects.
"""

from __future__ import annotations

import errno
import os
import posixpath
import subprocess
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from types import TracebackType
from typing import NamedTuple

from stackr.errors import InvalidArgument, NotFound, StackrError
from stackr.spec.files import HOST

__all__ = ["GitFiles", "commit_of", "git"]

_MAX_LINKS = 40
_LOCAL = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX")


class _Entry(NamedTuple):
    """What stands under a name in a tree; `oid` names the object, in hexadecimal digits."""

    mode: int
    oid: str

    @property
    def is_tree(self) -> bool:
        return self.mode == 0o040000

    @property
    def is_link(self) -> bool:
        return self.mode == 0o120000

    @property
    def is_submodule(self) -> bool:
        return self.mode == 0o160000


class _Place(NamedTuple):
    """Where a path leads, without links. entry: None for what the revision does not have.

    path: absolute. in_revision: whether the revision answers for it, and not the host.
    """

    path: str
    entry: _Entry | None
    in_revision: bool
    repository: _Repository | None = None


class GitFiles:
    """Files as a revision has them; to be closed, since a process of git serves them."""

    def __init__(self, repository: _Repository) -> None:
        self._repository = repository
        self._prefixes: dict[str, str | None] = {}

    @classmethod
    def open(cls, folder: str, revision: str) -> GitFiles:
        """The files of the repository that a folder is in.

        revision: anything that names a commit or a tree; `REV...` and `REV...OTHER` are the commit
        at which the two parted, the other one being HEAD where it is left out.
        Raises InvalidArgument where the folder is in no work tree, NotFound for a revision that is
        not there, or two that never met, StackrError without git.
        """
        try:
            root = git(folder, "rev-parse", "--show-toplevel").rstrip("\n")
        except InvalidArgument as error:
            hint = f'"{revision}" is no file or folder either, which need no repository'
            raise InvalidArgument(error.message, hint=hint) from error
        return cls(_Repository.open(root, _parting(root, revision), _environment()))

    def close(self) -> None:
        """End git's processes."""
        self._repository.close()

    def __enter__(self) -> GitFiles:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def read(self, path: str, most: int) -> bytes:
        place = self._find(path)
        if not place.in_revision:
            return HOST.read(place.path, most)
        if place.entry is None or place.repository is None:
            revision = self._repository.revision
            raise FileNotFoundError(errno.ENOENT, f"no such file or directory in {revision}", path)
        if place.entry.is_tree:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        return place.repository.objects.read(place.entry.oid, most)

    def read_file(self, path: str, most: int) -> bytes | None:
        place = self._lead(path)
        if not place.in_revision:
            return HOST.read_file(place.path, most)
        if place.entry is None or place.entry.is_tree or place.repository is None:
            return None
        content = place.repository.objects.read(place.entry.oid, most + 1)
        return content if len(content) <= most else None

    def exists(self, path: str) -> bool:
        place = self._lead(path)
        return place.entry is not None if place.in_revision else HOST.exists(place.path)

    def is_folder(self, path: str) -> bool:
        place = self._lead(path)
        if place.in_revision:
            return place.entry is not None and place.entry.is_tree
        return HOST.is_folder(place.path)

    def names(self, path: str) -> list[str]:
        place = self._lead(path)
        if not place.in_revision:
            return HOST.names(place.path)
        if place.entry is None or place.repository is None:
            return []
        return place.repository.names(place.entry)

    def real(self, path: str) -> str:
        return self._lead(path).path

    def below(self, folder: str) -> Iterator[tuple[str, int, bytes]] | None:
        """Path, mode and content of each file below a folder; of a link, where it leads.

        None for a folder that the revision does not answer for. Submodules are left out.
        """
        place = self._lead(folder)
        if not place.in_revision or place.entry is None or place.repository is None:
            return None
        return place.repository.below(place.entry, "")

    def _lead(self, path: str) -> _Place:
        """As `_find`; what links that go round lead to does not exist."""
        try:
            return self._find(path)
        except OSError:
            return _Place(path, None, True)

    def _find(self, path: str) -> _Place:
        links = _MAX_LINKS
        while links:
            inside = self._inside(path)
            if inside is None:
                return _Place(HOST.real(path), None, False)
            found = self._repository.walk(inside)
            if isinstance(found, _Place):
                return found
            path = found
            links -= 1
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)

    def _inside(self, path: str) -> list[str] | None:
        """The parts of a path below the repository's root; None for what is outside of it."""
        prefix, rest = "/", deque(part for part in path.split("/") if part)
        while (within := self._prefix(prefix)) is None:
            if not rest:
                return None
            prefix = posixpath.normpath(posixpath.join(prefix, rest.popleft()))
        return [*within.split("/"), *rest]

    def _prefix(self, folder: str) -> str | None:
        """A folder of the host below the root, links resolved; None if it is not there."""
        if folder not in self._prefixes:
            root, real = self._repository.root, HOST.real(folder)
            is_inside = real == root or real.startswith(root.rstrip("/") + "/")
            self._prefixes[folder] = real[len(root) :] if is_inside else None
        return self._prefixes[folder]


class _Repository:
    """A work tree and a tree of its history; submodules are repositories of their own."""

    def __init__(self, root: str, revision: str, tree: str, environment: Mapping[str, str]) -> None:
        self.root, self.revision = root, revision
        self.objects = _Objects(root, environment)
        self._environment = environment
        self._top = _Entry(0o040000, tree)
        self._trees: dict[str, dict[str, _Entry]] = {}
        self._submodules: dict[str, _Repository] = {}

    @classmethod
    def open(cls, root: str, revision: str, environment: Mapping[str, str]) -> _Repository:
        wanted = f"{revision}^{{tree}}"
        arguments = ("rev-parse", "--verify", "--quiet", "--end-of-options", wanted)
        try:
            tree = git(root, *arguments, environment=environment).strip()
        except InvalidArgument as error:
            raise _unknown(root, revision, environment) from error
        return cls(root, revision, tree, environment)

    def close(self) -> None:
        self.objects.close()
        for submodule in self._submodules.values():
            submodule.close()

    def walk(self, parts: Iterable[str]) -> _Place | str:
        """Follow a path from the root: where it leads, or a path outside that a link names."""
        names: list[str] = []
        entries = [self._top]
        waiting = deque(part for part in parts if part)
        links = _MAX_LINKS
        while waiting:
            part = waiting.popleft()
            if part == ".":
                continue
            if part == "..":
                if not names:
                    return posixpath.join(posixpath.dirname(self.root), *waiting)
                names.pop()
                entries.pop()
                continue
            entry = self._tree(entries[-1]).get(part)
            if entry is None:
                return self._untracked([*names, part, *waiting])
            if entry.is_submodule:
                return self._submodule("/".join([*names, part]), entry.oid).walk(waiting)
            if not entry.is_link:
                names.append(part)
                entries.append(entry)
                continue
            links -= 1
            if not links:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), self._path(names))
            target = os.fsdecode(self.objects.read(entry.oid, 1 << 12))
            if target.startswith("/"):
                return posixpath.join(target, *waiting)
            waiting.extendleft(reversed([step for step in target.split("/") if step]))
        return _Place(self._path(names), entries[-1], True, self)

    def _path(self, names: Iterable[str]) -> str:
        return posixpath.join(self.root, *names)

    def _untracked(self, names: list[str]) -> _Place:
        """What the revision does not have is the work tree's, unless it is tracked by now."""
        path = posixpath.normpath("/".join(names))
        return _Place(posixpath.join(self.root, path), None, self._is_tracked(path))

    def _is_tracked(self, path: str) -> bool:
        """Whether the index has it: as a file, as a folder, or within a submodule."""
        files, folders = self._index
        while path:
            if path in files or path in folders:
                return True
            path, folders = posixpath.dirname(path), frozenset()
        return False

    @cached_property
    def _index(self) -> tuple[frozenset[str], frozenset[str]]:
        listed = git(self.root, "ls-files", "-z", environment=self._environment)
        files = frozenset(path for path in listed.split("\0") if path)
        folders: set[str] = set()
        for path in files:
            while (path := posixpath.dirname(path)) and path not in folders:
                folders.add(path)
        return files, frozenset(folders)

    def _tree(self, entry: _Entry) -> dict[str, _Entry]:
        if not entry.is_tree:
            return {}
        if entry.oid not in self._trees:
            data = self.objects.read(entry.oid, 1 << 30)
            self._trees[entry.oid] = dict(_entries(data, len(entry.oid) // 2))
        return self._trees[entry.oid]

    def names(self, entry: _Entry) -> list[str]:
        return list(self._tree(entry))

    def below(self, entry: _Entry, prefix: str) -> Iterator[tuple[str, int, bytes]]:
        for name, each in self._tree(entry).items():
            if each.is_tree:
                yield from self.below(each, f"{prefix}{name}/")
            elif not each.is_submodule:
                yield prefix + name, each.mode, self.objects.read(each.oid, 1 << 32)

    def _submodule(self, path: str, commit: str) -> _Repository:
        if path not in self._submodules:
            root = posixpath.join(self.root, path)
            if not os.path.exists(posixpath.join(root, ".git")):
                raise NotFound(
                    f"{path}: the submodule is not checked out",
                    hint=f"git submodule update --init {path}",
                )
            own = {k: v for k, v in self._environment.items() if k not in _LOCAL}
            self._submodules[path] = _Repository.open(root, commit, own)
        return self._submodules[path]


def _entries(data: bytes, oid_size: int) -> Iterable[tuple[str, _Entry]]:
    """The entries of a tree object: for each, mode, blank, name, NUL, object name."""
    position = 0
    while position < len(data):
        blank = data.index(b" ", position)
        end = data.index(b"\0", blank)
        mode, name = int(data[position:blank], 8), os.fsdecode(data[blank + 1 : end])
        position = end + 1 + oid_size
        yield name, _Entry(mode, data[end + 1 : position].hex())


class _Objects:
    """Reads objects by name, through one process that starts with the first."""

    def __init__(self, root: str, environment: Mapping[str, str]) -> None:
        self._root, self._environment = root, environment

    @cached_property
    def _process(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            ["git", "-C", self._root, "cat-file", "--batch"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=self._environment,
        )

    def read(self, oid: str, most: int) -> bytes:
        """The first `most` bytes of an object. Raises StackrError if the repository lacks it."""
        requests, answers = self._process.stdin, self._process.stdout
        assert requests is not None
        assert answers is not None
        try:
            requests.write(f"{oid}\n".encode())
            requests.flush()
            _, _, size = answers.readline().rpartition(b" ")
            if not size.strip().isdigit():
                raise StackrError(f"git: object {oid} cannot be read from {self._root}")
        except BrokenPipeError as error:
            raise StackrError(f"git cat-file: ended: {self._root} cannot be read") from error
        left = int(size) + 1
        data = answers.read(min(most, left - 1))
        left -= len(data)
        while left > 0 and (skipped := answers.read(min(left, 1 << 20))):
            left -= len(skipped)
        return data

    def close(self) -> None:
        if "_process" in self.__dict__:
            self._process.communicate()


def _environment() -> dict[str, str]:
    """The environment for git. Hooks of git have GIT_DIR set, for their own folder alone."""
    inherited = {} if "GIT_WORK_TREE" in os.environ else dict.fromkeys(_LOCAL)
    kept = {name: value for name, value in os.environ.items() if name not in inherited}
    return {**kept, "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"}


def git(folder: str, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
    """What a command of git prints. Raises InvalidArgument with its message when it fails."""
    try:
        done = subprocess.run(
            ["git", "-C", folder, *arguments],
            env=environment or _environment(),
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            check=False,
        )
    except OSError as error:
        raise StackrError(f"cannot run git: {(error.strerror or '').lower()}") from error
    if done.returncode:
        reason = (done.stderr.splitlines() or ["failed"])[0].removeprefix("fatal: ")
        raise InvalidArgument(f"{folder}: {reason}")
    return done.stdout


def commit_of(folder: str) -> str:
    """The short name of the commit that a work tree is at, "+" behind it where files were changed.

    "" for a folder of no work tree, and without git.
    """
    try:
        commit = git(folder, "rev-parse", "--short", "HEAD").strip()
        is_changed = git(folder, "status", "--porcelain", "--untracked-files=no").strip()
    except StackrError:
        return ""
    return f"{commit}+" if is_changed else commit


def _parting(root: str, revision: str) -> str:
    """The commit that is meant by `REV...OTHER`, as `git diff` takes it; others as they are."""
    one, dots, other = revision.partition("...")
    if not dots:
        return revision
    one, other = one or "HEAD", other or "HEAD"
    environment = _environment()
    for each in (one, other):  # told by its own name where it is not there
        _Repository.open(root, each, environment).close()
    try:
        return git(root, "merge-base", "--end-of-options", one, other).strip()
    except InvalidArgument as error:
        raise _unknown(root, revision, environment, "no common commit") from error


def _unknown(
    root: str, revision: str, environment: Mapping[str, str], what: str = "no such revision"
) -> NotFound:
    shallow = git(root, "rev-parse", "--is-shallow-repository", environment=environment)
    hint = "a branch, a tag or a commit is expected, or a file or folder; git fetch brings more"
    if shallow.strip() == "true":
        hint = "the clone is shallow: git fetch --unshallow (in CI: a checkout of full depth)"
    return NotFound(f"{root}: {what}: {revision}", hint=hint)
