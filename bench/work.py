"""What a scenario works with: one peer in one round, its images, and a folder for its files."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.peers import BenchError, Peer, docker, output, run

REPEATS = 5
PAUSE_S = 0.1
"""Before each command, as nobody types faster; the warm process gets ready in it for the next."""
CLASSIC: Mapping[str, str] = {"DOCKER_BUILDKIT": "0"}
"""Builds by the classic builder on both engines: the client is the same, and the call."""

Record = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class Images:
    """What the scenarios run, pull, push and build on, with their registry."""

    small: str
    layered: str
    web: str


@dataclass(frozen=True, slots=True)
class Work:
    """counts: of services, in the stacks whose whole life is measured."""

    peer: Peer
    images: Images
    folder: Path
    counts: tuple[int, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)

    def stack(self, project: str, text: str) -> Path:
        """A stack file in a folder of its own, whose name is the project's."""
        file = self.folder / project / "compose.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def timed(self, verb: str, file: Path, *, warm: bool = True) -> float:
        """Seconds of a verb of the peer's own command."""
        time.sleep(PAUSE_S)
        return run(self.peer.command(verb, file), self._environment(warm=warm))

    def docker(self, *arguments: str, into: Path | None = None) -> float:
        """Seconds of the docker command on the peer's engine; into: a file for its output."""
        return run(docker(self.peer, *arguments), self._environment(), into=into)

    def typical(self, *arguments: str, into: Path | None = None) -> float:
        """The median of several runs of the docker command, as one is short."""
        self.docker(*arguments, into=into)  # the first of them finds cold caches
        return statistics.median(self._rested(*arguments, into=into) for _ in range(REPEATS))

    def _rested(self, *arguments: str, into: Path | None) -> float:
        time.sleep(PAUSE_S)
        return self.docker(*arguments, into=into)

    def answer(self, *arguments: str) -> str:
        """What the docker command prints on the peer's engine."""
        return output(docker(self.peer, *arguments), self._environment())

    @contextmanager
    def container(self, *arguments: str) -> Iterator[str]:
        """The ID of a container that `docker run --detach` starts; gone with the block."""
        id = self.answer("run", "--detach", *arguments)
        try:
            yield id
        finally:
            self.docker("rm", "--force", "--volumes", id)

    @contextmanager
    def down_on_failure(self, file: Path) -> Iterator[None]:
        """Leave nothing behind; the failure that is reported is the first one."""
        try:
            yield
        except BenchError:
            command = self.peer.command("down", file)
            subprocess.run(command, env=self._environment(), capture_output=True, check=False)
            raise

    def _environment(self, *, warm: bool = True) -> dict[str, str]:
        return self.peer.environment(warm=warm) | dict(self.variables)
