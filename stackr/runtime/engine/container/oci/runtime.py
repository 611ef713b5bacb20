"""The OCI runtime: crun where it works on this host, else runc, and its verbs.

Every command runs through the launcher, in a mount namespace that hides what crun cannot bear.
Source: the OCI runtime command line interface; `crun(1)`, `runc(8)`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stackr.errors import Conflict, Internal, StackrError, Unavailable
from stackr.runtime.engine.container import capabilities
from stackr.runtime.engine.container.host import Host
from stackr.runtime.engine.container.oci import seccomp
from stackr.runtime.engine.container.oci.filters import CompiledFilters
from stackr.runtime.engine.linux.launcher_client import Launched, Launcher
from stackr.runtime.engine.linux.tree import remove_tree
from stackr.runtime.engine.roots import make_folder

__all__ = ["OciRuntime", "choose_runtime"]

_log = logging.getLogger(__name__)

_SEARCH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_STATES = {"crun": "status", "runc": "state.json"}
_PROBE_ID = "stackr-probe"
_PROBE_TIMEOUT_S = 60.0


def _one_line(text: str) -> str:
    """The last complaint, out of runc's and crun's log formats."""
    lines = [line for line in text.strip().splitlines() if line.strip()]
    last = lines[-1] if lines else "no output"
    match = re.search(r'msg="((?:[^"\\]|\\.)*)"', last)
    return (match[1].replace('\\"', '"') if match else last)[:500]


@dataclass(frozen=True, slots=True)
class RuntimeFacts:
    """What the API says of the OCI runtime."""

    name: str
    version: str
    path: str


class OciRuntime:
    """The verbs of one runtime; `root` is where it keeps what it knows of its containers."""

    def __init__(self, path: str, root: Path, launcher: Launcher) -> None:
        self.path = path
        self.root = root
        self._launcher = launcher
        self._facts: RuntimeFacts | None = None
        self.filters = CompiledFilters()

    async def facts(self) -> RuntimeFacts:
        """Asked of the program once."""
        if self._facts is None:
            first = (await self._run("--version")).partition("\n")[0]
            self._facts = RuntimeFacts(self.name, first.rpartition(" ")[2], self.path)
        return self._facts

    @property
    def name(self) -> str:
        return os.path.basename(self.path)

    @property
    def global_arguments(self) -> list[str]:
        return ["--root", str(self.root)]

    async def _run(self, *arguments: str) -> str:
        """Raises Internal with the runtime's own words."""
        command = [self.path, *self.global_arguments, *arguments]
        done = await self._launcher.run(command, sealed=True)
        if done.exit_code:
            raise Internal(f"{self.name} {arguments[0]}: {_one_line(done.output)}")
        return done.output

    async def create(self, id: str, bundle: Path) -> bool:
        """A container without a monitor, whose program will not be started; whether it worked.

        The container holds the streams of the command, so its output is not waited for.
        """
        arguments = ["create", "--bundle", str(bundle), id]
        command = [self.path, *self.global_arguments, *arguments]
        launched = await self._launcher.spawn(command, sealed=True)
        async with asyncio.timeout(_PROBE_TIMEOUT_S):
            return await launched.ended == 0

    async def start(self, id: str) -> None:
        """Let the created container's program begin."""
        await self._run("start", id)

    def knows(self, id: str) -> bool:
        return (self.root / id).exists()

    def _check_known(self, id: str) -> None:
        """Raises Conflict where what the runtime keeps of a running container is gone or damaged:
        its own words for that may name neither.
        """
        if not (self.root / id).is_dir():
            path, what = self.root / id, "was removed"
        else:
            path, what = self.root / id / _STATES.get(self.name, ""), "is damaged"
            with contextlib.suppress(OSError, ValueError):
                if json.loads(path.read_bytes()):
                    return
        raise Conflict(
            f"container {id[:12]}: {path} {what}, by which {self.name} knows it:"
            " it runs on, and exec, pause and update need its restart"
        )

    async def pause(self, id: str) -> None:
        self._check_known(id)
        await self._run("pause", id)

    async def resume(self, id: str) -> None:
        await self._run("resume", id)

    async def update(self, id: str, resources: dict[str, Any], folder: Path) -> None:
        """Change limits, given as `linux.resources`; `folder` takes a passing file."""
        self._check_known(id)
        make_folder(folder)  # the bundle may have been removed
        file = folder / "resources.json"
        file.write_text(json.dumps(resources))
        try:
            await self._run("update", "--resources", str(file), id)
        finally:
            file.unlink(missing_ok=True)

    async def delete(self, id: str) -> None:
        """Kill what is left of a container and forget it; a missing one is fine."""
        if not self.knows(id):
            return
        with contextlib.suppress(Internal):
            await self._run("delete", "--force", id)
        remove_tree(self.root / id)

    def known(self) -> list[str]:
        """The containers that the runtime knows."""
        try:
            return [entry.name for entry in os.scandir(self.root) if len(entry.name) == 64]
        except FileNotFoundError:
            return []

    @property
    def hands_over_terminals(self) -> bool:
        """Whether `exec` sends a terminal away and stays all the same, which runc refuses.

        What a program leaves in a terminal as it ends at once, crun 1.8 does not pass on itself.
        """
        return self.name == "crun"

    async def exec(
        self,
        id: str,
        *,
        process: Path,
        pid_file: Path,
        log: Path,
        fds: dict[int, int],
        tty: bool,
        console_socket: str = "",
        oom_score_adj: int = 0,
    ) -> Launched:
        """Start one more process in the container; the runtime stays, and ends with its exit code.

        process: a `process.json`. pid_file appears once the program runs; where it does not, `log`
        has the reason. tty: descriptors 0 to 2 are one terminal, or the runtime sends the program's
        to `console_socket`. oom_score_adj: runtimes give it to a container's first process alone,
        and the others have it of whoever starts them.
        """
        self._check_known(id)
        arguments = ["--log", str(log), *self.global_arguments, "exec"]
        arguments += ["--pid-file", str(pid_file), "--process", str(process)]
        arguments += ["--tty"] if tty else []
        arguments += ["--console-socket", console_socket] if console_socket else []
        has_terminal = tty and not console_socket
        return await self._launcher.spawn(
            [self.path, *arguments, id],
            fds=fds,
            tty=has_terminal,
            oom_score_adj=oom_score_adj,
            sealed=True,
        )


async def choose_runtime(
    launcher: Launcher, *, root: Path, host: Host, folder: Path, cgroup: str, wanted: str = ""
) -> OciRuntime:
    """crun if it can create a container here, else runc. Raises Unavailable where neither is there.

    folder: where a passing bundle may be written. cgroup: a group that may be created for the
    probe. wanted: only this one of both.
    """
    names = (wanted,) if wanted else ("crun", "runc")
    programs = {name: shutil.which(name, path=_SEARCH) for name in names}
    for name, path in programs.items():
        if path is None:
            continue
        runtime = OciRuntime(path, root / name, launcher)
        make_folder(runtime.root, 0o700)
        if name == "runc" or await _works(runtime, folder, cgroup, host):
            return runtime
    which = f"{wanted} does not work" if wanted else "neither crun nor runc works"
    raise Unavailable(
        f"engine: no OCI runtime found: {which}", hint=f"install the package {names[0]}"
    )


async def _works(runtime: OciRuntime, folder: Path, cgroup: str, host: Host) -> bool:
    """Whether a container can be created; its filter is the one that most containers need."""
    bundle = folder / _PROBE_ID
    await runtime.delete(_PROBE_ID)  # of a daemon that was killed here
    remove_tree(bundle)
    for name in ("proc", "dev"):
        (bundle / "rootfs" / name).mkdir(parents=True)
    config = _probe_config(runtime.path, cgroup)
    (bundle / "config.json").write_text(json.dumps(config))
    try:
        if not await runtime.create(_PROBE_ID, bundle):
            _log.info("%s does not work on this host", runtime.path)
            return False
        runtime.filters.learn(config, runtime.root / _PROBE_ID)
    except (StackrError, TimeoutError) as error:
        _log.info("%s does not work on this host: %s", runtime.path, error)
        return False
    finally:
        await runtime.delete(_PROBE_ID)
        remove_tree(bundle)
        host.cgroups.remove(cgroup)
    return True


def _probe_config(program: str, cgroup: str) -> dict[str, Any]:
    """A program that exists is needed for a create; it is never started."""
    mount = {"destination": "/probe", "type": "bind", "source": program, "options": ["bind", "ro"]}
    return {
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": ["/probe"],
            "env": [],
            "cwd": "/",
        },
        "root": {"path": "rootfs"},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
            mount,
        ],
        "linux": {
            "cgroupsPath": cgroup,
            "namespaces": [{"type": kind} for kind in ("mount", "pid", "ipc", "uts")],
            "resources": {"pids": {"limit": 16}},
            "seccomp": seccomp.default_profile(capabilities.DEFAULT),
        },
    }
