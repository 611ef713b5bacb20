"""Control groups: which layout the host has, where a container's group is, its figures, its end.

The OCI runtime creates the groups and sets their limits; this module reads them, takes single
limits away, which no runtime can, and empties and removes groups.
Layouts: v2 (one tree), v1 (a tree for each controller), hybrid (v1, with an empty v2 tree beside
it). Source: the kernel's Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import signal
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["INHERITED", "Hierarchy", "detect", "parse_set", "show_set"]

INHERITED = "inherited"

_ROOT = Path("/sys/fs/cgroup")
_CONTROLLERS = frozenset({"memory", "cpu", "cpuset", "pids", "blkio"})
_V1_NAMES = {"io": "blkio"}
_MOST_NUMBER = 8191
_RANGE = re.compile(r"([0-9]{1,6})(?:-([0-9]{1,6}))?")


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """The host's control groups.

    controllers: the v1 trees' mount points by controller; empty on v2. unified: the v2 tree, or the
    unused one of a hybrid host; None on plain v1. lacks: controllers, by v1's names, that
    containers could use and this kernel has not (started with `cgroup_disable=memory`).
    """

    root: Path
    is_v2: bool
    controllers: dict[str, Path]
    unified: Path | None
    lacks: frozenset[str] = frozenset()

    @property
    def hide_from_crun(self) -> tuple[str, ...]:
        """crun refuses a hybrid host, and works once the v2 tree is out of its sight."""
        return () if self.is_v2 or self.unified is None else (str(self.unified),)

    def paths(self, group: str) -> list[Path]:
        """Every folder that stands for `group` ("/stackr/ID")."""
        trees = [self.root] if self.is_v2 else [*self.controllers.values()]
        return [tree / group.lstrip("/") for tree in dict.fromkeys(trees)]

    def path(self, group: str, controller: str) -> Path | None:
        """The folder where a controller's figures of `group` are; None where it has no tree."""
        if self.is_v2:
            return self.root / group.lstrip("/")
        tree = self.controllers.get(controller)
        return tree / group.lstrip("/") if tree else None

    def pids(self, group: str) -> set[int]:
        """Every process in the group and in those below it, which its processes may have made."""
        found: set[int] = set()
        for folder in _nested(self.paths(group)):
            with contextlib.suppress(OSError, ValueError):
                found.update(int(word) for word in (folder / "cgroup.procs").read_text().split())
        return found

    def holds_processes(self, group: str) -> bool:
        """Whether v2 keeps groups with limits out of this one: it has processes of its own, and is
        not the host's root.
        """
        folder = self.root / group.strip("/")
        if not self.is_v2 or not (folder / "cgroup.type").exists():
            return False
        with contextlib.suppress(OSError):
            return bool((folder / "cgroup.procs").read_text())
        return False

    def kill(self, group: str) -> None:
        """SIGKILL to every process of the group and of those below it, paused ones as well."""
        self.thaw(group)
        if self.is_v2 and self._kill_at_once(self.root / group.lstrip("/")):
            return
        for pid in self.pids(group):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _kill_at_once(self, folder: Path) -> bool:
        """By the kernel itself, so that no fork escapes; it can since Linux 5.14."""
        try:
            (folder / "cgroup.kill").write_text("1")
        except OSError:
            return False
        return True

    def remove(self, group: str) -> list[Path]:
        """Remove the group's empty folders, inner ones first; returns those that are still busy."""
        busy = []
        for path in self.paths(group):
            for folder, _, _ in os.walk(path, topdown=False):
                try:
                    os.rmdir(folder)
                except FileNotFoundError:
                    continue
                except OSError:
                    busy.append(Path(folder))
        return busy

    def children(self, group: str) -> set[str]:
        """The names of the groups directly below `group`."""
        names: set[str] = set()
        for path in self.paths(group):
            with contextlib.suppress(OSError), os.scandir(path) as entries:
                names.update(entry.name for entry in entries if entry.is_dir())
        return names

    def memory_events(self, group: str) -> Path | None:
        """The file in which v2 counts and notifies; v1 has none."""
        return self.root / group.lstrip("/") / "memory.events" if self.is_v2 else None

    def oom_kills(self, group: str) -> int:
        """How many processes of the group and of those below the kernel has killed for want of
        memory. v2 adds them up itself.
        """
        path = self.path(group, "memory")
        if path is None:
            return 0
        if self.is_v2:
            return read_flat(path / "memory.events").get("oom_kill", 0)
        files = (folder / "memory.oom_control" for folder in _nested([path]))
        return sum(read_flat(file).get("oom_kill", 0) for file in files)

    def is_frozen(self, group: str) -> bool | None:
        """Whether the group is paused; None where that cannot be told."""
        path = self.path(group, "freezer")
        if path is None:
            return None
        name, thawed = self._freezer
        try:
            return (path / name).read_text().strip() != thawed
        except OSError:
            return None

    def thaw(self, group: str) -> None:
        """Let the group, and those below it, go on; what is not there needs nothing."""
        path = self.path(group, "freezer")
        name, thawed = self._freezer
        for folder, _, _ in os.walk(path) if path is not None else ():
            with contextlib.suppress(OSError):
                Path(folder, name).write_text(thawed)

    @property
    def _freezer(self) -> tuple[str, str]:
        """The file, and what it holds of a group that is not paused."""
        return ("cgroup.freeze", "0") if self.is_v2 else ("freezer.state", "THAWED")

    @property
    def has_realtime(self) -> bool:
        """Whether groups share out real-time scheduling (CONFIG_RT_GROUP_SCHED; never on v2)."""
        tree = self.controllers.get("cpu")
        return tree is not None and (tree / "cpu.rt_runtime_us").exists()

    def available(self, kind: str) -> frozenset[int]:
        """The processors ("cpus") or memory nodes ("mems") that groups can be given."""
        tree = self.root if self.is_v2 else self.controllers.get("cpuset")
        if tree is None:
            return frozenset()
        names = (f"cpuset.{kind}.effective", f"cpuset.effective_{kind}", f"cpuset.{kind}")
        for name in names:
            with contextlib.suppress(OSError, ValueError):
                return parse_set((tree / name).read_text().strip())
        return frozenset()

    def write(self, group: str, controller: str, name: str, value: str) -> None:
        """Set one figure of a group; `INHERITED` is its parent's, on v2 what that has in effect. A
        figure that the host does not have is passed over. Raises OSError.
        """
        folder = self.path(group, controller)
        if folder is None or not (folder / name).exists():
            return
        if value is INHERITED:
            value = (folder.parent / (f"{name}.effective" if self.is_v2 else name)).read_text()
        (folder / name).write_text(value)

    def write_first(self, group: str, controller: str, files: Sequence[tuple[str, str]]) -> None:
        """Set a figure that may be in one of several files, each with its value for it. Raises
        FileNotFoundError where none is there, OSError.
        """
        folder = self.path(group, controller)
        for name, value in files:
            if folder is not None and (folder / name).exists():
                (folder / name).write_text(value)
                return
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), files[0][0])

    @property
    def swap_limit(self) -> bool:
        """Whether the kernel accounts for swap, so that it can be limited. On v2 any group with a
        limit of memory tells; the root has none.
        """
        if self.is_v2:
            groups = [file.parent for file in self.root.glob("*/memory.max")]
            return not groups or any((group / "memory.swap.max").exists() for group in groups)
        tree = self.controllers.get("memory")
        return tree is not None and (tree / "memory.memsw.limit_in_bytes").exists()


def _nested(folders: Iterable[Path]) -> Iterator[Path]:
    """These, and all below them."""
    for folder in folders:
        yield from (Path(path) for path, _, _ in os.walk(folder))


def parse_set(text: str) -> frozenset[int]:
    """ "0-3,6". Raises ValueError."""
    numbers: set[int] = set()
    for part in text.split(","):
        match = _RANGE.fullmatch(part)
        low, high = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not low <= high <= _MOST_NUMBER:
            raise ValueError(f'not a set of numbers: "{text}"')
        numbers.update(range(low, high + 1))
    return frozenset(numbers)


def show_set(numbers: Iterable[int]) -> str:
    """As `parse_set` reads it, and the kernel writes it: "0-3,5"."""
    ranges: list[list[int]] = []
    for number in sorted(numbers):
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ",".join(f"{low}-{high}" if low < high else f"{low}" for low, high in ranges)


def read_flat(path: Path) -> dict[str, int]:
    """A file of "key number" lines; empty where it cannot be read."""
    result = {}
    with contextlib.suppress(OSError):
        for line in path.read_text().splitlines():
            key, _, value = line.partition(" ")
            if value.strip().isdecimal():
                result[key] = int(value)
    return result


def detect(mounts: Path = Path("/proc/self/mountinfo"), root: Path = _ROOT) -> Hierarchy:
    """The host's layout, from the mounts below /sys/fs/cgroup."""
    controllers: dict[str, Path] = {}
    unified: Path | None = None
    for target, fstype, options in _cgroup_mounts(mounts.read_text()):
        if root != target and root not in target.parents:
            continue
        if fstype == "cgroup2":
            unified = target
        else:
            controllers.update((name, target) for name in options if not name.startswith("name="))
            controllers.update((name, target) for name in options if name == "name=systemd")
    known = {name: path for name, path in controllers.items() if name not in ("rw", "ro", "xattr")}
    if unified == root:
        has = {_V1_NAMES.get(name, name) for name in _controllers_of_v2(root)}
        return Hierarchy(root, True, {}, unified, _CONTROLLERS - has)
    return Hierarchy(root, False, known, unified, _CONTROLLERS - known.keys())


def _controllers_of_v2(root: Path) -> list[str]:
    try:
        return (root / "cgroup.controllers").read_text().split()
    except OSError:
        return []


def _cgroup_mounts(text: str) -> Iterator[tuple[Path, str, list[str]]]:
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(kind) >= 3 and kind[0] in ("cgroup", "cgroup2"):
            yield Path(fields[4]), kind[0], kind[2].split(",")
