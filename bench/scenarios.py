"""What is measured of one peer in one round: steps by name, each a number of seconds or KiB."""

from __future__ import annotations

import http.client
import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from bench import memory, stacks
from bench.peers import BenchError, Peer, docker, run

SERVICE_COUNTS = (1, 5, 20, 50)
CHAIN_LENGTH = 10
MEMORY_COUNT = 20
READ_COUNTS = (20, 200)
READ_REPEATS = 5
SETTLE_S = 1.0

Record = Callable[[str, float], None]


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
) -> None:
    """Every scenario once on one peer."""
    for count in counts:
        file = _write(folder, f"flat{count}", stacks.flat(count, images.small))
        _life(peer, file, f"{count} services", stacks.ports(count), record)
    file = _write(folder, f"chain{CHAIN_LENGTH}", stacks.chain(CHAIN_LENGTH, images.small))
    _life(peer, file, f"chain of {CHAIN_LENGTH}", stacks.ports(CHAIN_LENGTH), record)
    _pull(peer, images.layered, folder, record)
    _memory(peer, images, folder, record)
    _reading(peer, images, folder, record)


def _life(peer: Peer, file: Path, title: str, ports: range, record: Record) -> None:
    """One stack from nothing to nothing."""
    try:
        record(f"{title}: up", _timed(peer, "up", file))
        _check_answers(ports)
        for verb in ("up", "diff", "config"):
            step = "up, nothing to do" if verb == "up" else verb
            record(f"{title}: {step}", _timed(peer, verb, file))
        record(f"{title}: down", _timed(peer, "down", file))
    except BenchError:
        # Leave nothing behind; the failure that is reported is the first one.
        subprocess.run(
            peer.command("down", file), env=peer.environment(), capture_output=True, check=False
        )
        raise


def _pull(peer: Peer, image: str, folder: Path, record: Record) -> None:
    file = _write(folder, "pull", stacks.only_image(image))
    record("pull, 5 layers, 150 MB", _timed(peer, "pull", file))
    run(docker(peer, "rmi", image), peer.environment())


def _memory(peer: Peer, images: Images, folder: Path, record: Record) -> None:
    _record_memory(peer, 0, record)
    file = _write(folder, "memory", stacks.flat(MEMORY_COUNT, images.small))
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


def _timed(peer: Peer, verb: str, file: Path) -> float:
    return run(peer.command(verb, file), peer.environment())


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
