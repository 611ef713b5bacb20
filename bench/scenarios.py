"""What is measured of one peer in one round: steps by name, each a number of seconds or KiB."""

from __future__ import annotations

import http.client
import os
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench import memory, registry, stacks
from bench.peers import BenchError, Peer, docker, run

SERVICE_COUNTS = (1, 5, 20, 50)
CHAIN_LENGTH = 10
MEMORY_COUNT = 20
READ_COUNTS = (20, 200)
READ_REPEATS = 5
FILES = 10_000
SETTLE_S = 1.0
PAUSE_S = 0.1
"""Before each command, as nobody types faster; the warm process gets ready in it for the next."""
NOT_WARM = ", without the warm process"

Record = Callable[[str, float], None]
Scenario = Callable[[Record], None]
ATTEMPTS = 2


@dataclass(frozen=True, slots=True)
class Images:
    """The images that the stacks run and pull, with their registry."""

    small: str
    layered: str


def prepare(peer: Peer, images: Images) -> None:
    """Bring the image that the stacks run to the engine, as `up` is measured without a pull."""
    run(docker(peer, "pull", "--quiet", images.small), peer.environment())


def run_round(
    peer: Peer, images: Images, folder: Path, record: Record, counts: Iterable[int]
) -> list[str]:
    """Every scenario once on one peer; returns a line for each attempt that failed."""
    failures: list[str] = []
    for scenario in _scenarios(peer, images, folder, counts):
        failures += attempt(scenario, record)
    return failures


def attempt(scenario: Scenario, record: Record) -> list[str]:
    """Run a scenario, and once more if it fails: a peer's bad moment must not cost all figures.

    Only an attempt that ends well is recorded. Returns a line for each that failed.
    """
    failures: list[str] = []
    for _ in range(ATTEMPTS):
        figures: list[tuple[str, float]] = []
        try:
            scenario(lambda step, value, to=figures: to.append((step, value)))  # type: ignore[misc]
        except BenchError as error:
            failures.append(" ".join(str(error).split()))
            continue
        for step, value in figures:
            record(step, value)
        break
    return failures


def _scenarios(
    peer: Peer, images: Images, folder: Path, counts: Iterable[int]
) -> Iterator[Scenario]:
    for count in counts:
        file = _write(folder, f"flat{count}", stacks.flat(count, images.small))
        yield partial(_life, peer, file, f"{count} services", stacks.ports(count))
    file = _write(folder, f"chain{CHAIN_LENGTH}", stacks.chain(CHAIN_LENGTH, images.small))
    yield partial(_life, peer, file, f"chain of {CHAIN_LENGTH}", stacks.ports(CHAIN_LENGTH))
    yield partial(_pull, peer, images.layered, folder)
    yield partial(_build, peer, _ten_steps(images.small, folder), "build, 10 RUN steps")
    yield partial(_build, peer, _many_files(images.small, folder), "build, COPY of 10,000 files")
    yield partial(_build, peer, _large_file(images.small, folder), "build, COPY of 1 GB")
    yield partial(_push, peer, images.layered, folder)
    yield partial(_memory, peer, images, folder)
    yield partial(_reading, peer, images, folder)


def _life(peer: Peer, file: Path, title: str, ports: range, record: Record) -> None:
    """One stack from nothing to nothing."""
    with _down_on_failure(peer, file):
        record(f"{title}: up", _timed(peer, "up", file))
        _check_answers(ports)
        for verb in ("up", "diff", "ps", "config"):
            step = "up, nothing to do" if verb == "up" else verb
            record(f"{title}: {step}", _timed(peer, verb, file))
            record(f"{title}: {step}{NOT_WARM}", _timed(peer, verb, file, warm=False))
        record(f"{title}: down", _timed(peer, "down", file))


@contextmanager
def _down_on_failure(peer: Peer, file: Path) -> Iterator[None]:
    """Leave nothing behind; the failure that is reported is the first one."""
    try:
        yield
    except BenchError:
        subprocess.run(
            peer.command("down", file), env=peer.environment(), capture_output=True, check=False
        )
        raise


def _pull(peer: Peer, image: str, folder: Path, record: Record) -> None:
    file = _write(folder, "pull", stacks.only_image(image))
    record("pull, 5 layers, 150 MB", _timed(peer, "pull", file))
    run(docker(peer, "rmi", image), peer.environment())


def _build(peer: Peer, context: Path, title: str, record: Record) -> None:
    """By the docker command on both engines: the client is the same, and the call."""
    environment = peer.environment() | {"DOCKER_BUILDKIT": "0"}
    command = docker(peer, "build", "--quiet", "--tag", "bench-build", "--network", "none")
    record(title, run([*command, "--no-cache", str(context)], environment))
    record(f"{title}: all cached", run([*command, str(context)], environment))
    run(docker(peer, "rmi", "bench-build"), environment)


def _ten_steps(base: str, folder: Path) -> Path:
    steps = "".join(f"RUN echo {number} > /file{number}\n" for number in range(10))
    return _write_context(folder / "ten-steps", f"FROM {base}\n{steps}")


def _many_files(base: str, folder: Path) -> Path:
    context = _write_context(folder / "many-files", f"FROM {base}\nCOPY files /files\n")
    for number in range(FILES):
        file = context / "files" / str(number // 100) / str(number)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{number}\n" * 100)
    return context


def _large_file(base: str, folder: Path) -> Path:
    """Of noise, so that nobody saves by what is in it."""
    context = _write_context(folder / "large-file", f"FROM {base}\nCOPY large /large\n")
    noise = os.urandom(1 << 24)
    with (context / "large").open("wb") as file:
        for _ in range(60):
            file.write(noise)
    return context


def _write_context(folder: Path, dockerfile: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "Dockerfile").write_text(dockerfile)
    return folder


def _push(peer: Peer, image: str, folder: Path, record: Record) -> None:
    """To a registry that has nothing yet, by the docker command of both."""
    environment = peer.environment()
    run(docker(peer, "pull", "--quiet", image), environment)
    with registry.empty(folder / "pushed") as address:
        name = f"{address}/bench/layers5:latest"
        run(docker(peer, "tag", image, name), environment)
        try:
            record(
                "push, 5 layers, 150 MB", run(docker(peer, "push", "--quiet", name), environment)
            )
        finally:
            run(docker(peer, "rmi", name, image), environment)


def _memory(peer: Peer, images: Images, folder: Path, record: Record) -> None:
    _record_memory(peer, 0, record)
    file = _write(folder, "memory", stacks.flat(MEMORY_COUNT, images.small))
    with _down_on_failure(peer, file):
        _timed(peer, "up", file)
        _record_memory(peer, MEMORY_COUNT, record)
        _timed(peer, "down", file)


def _record_memory(peer: Peer, containers: int, record: Record) -> None:
    time.sleep(SETTLE_S)
    held = memory.measure(peer.folder)
    record(f"memory, {containers} containers: resident KiB", held.rss_kib)
    record(f"memory, {containers} containers: proportional KiB", held.pss_kib)
    record(f"memory, {containers} containers: processes", held.processes)


def _reading(peer: Peer, images: Images, folder: Path, record: Record) -> None:
    for count in READ_COUNTS:
        file = _write(folder, f"described{count}", stacks.described(count, images.small))
        best = min(_timed(peer, "config", file) for _ in range(READ_REPEATS))
        record(f"config of a file of {count} services", best)


def _timed(peer: Peer, verb: str, file: Path, *, warm: bool = True) -> float:
    time.sleep(PAUSE_S)
    return run(peer.command(verb, file), peer.environment(warm=warm))


def _check_answers(ports: range) -> None:
    """A fast `up` whose services do not answer is not one."""
    for port in ports:
        deadline = time.monotonic() + 10
        while not _answers(port):
            if time.monotonic() > deadline:
                raise BenchError(f"127.0.0.1:{port}: the service does not answer")
            time.sleep(0.01)


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _write(folder: Path, project: str, text: str) -> Path:
    """A stack file in a folder of its own, whose name is the project's."""
    file = folder / project / "compose.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file
