"""Single containers by the docker command, the same program on both engines."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench import stacks
from bench.peers import BenchError
from bench.work import Record, Work

LISTED = 200
LOG_BYTES = 100_000_000
_AT_ONCE = 4
_IDLE = ("sh", "-c", stacks.WAIT)


def run(work: Work, record: Record) -> None:
    """A container for one trivial command."""
    command = ("run", "--rm", work.images.small, "true")
    record("docker run --rm of true", work.typical(*command))


def execute(work: Work, record: Record) -> None:
    """One more process in a container that runs."""
    with work.container(work.images.small, *_IDLE) as id:
        record("docker exec of true", work.typical("exec", id, "true"))


def listing(work: Work, record: Record) -> None:
    """The list of many containers that run."""
    names = [f"listed{number}" for number in range(LISTED)]
    try:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for _ in pool.map(lambda name: _start(work, name), names):
                pass
        shown = work.answer("ps", "--quiet").split()
        if len(shown) != LISTED:
            raise BenchError(f"docker ps: lists {len(shown)} of {LISTED} containers")
        record(f"docker ps of {LISTED} containers", work.typical("ps"))
    finally:
        work.docker("rm", "--force", *names)


def _start(work: Work, name: str) -> None:
    work.docker("run", "--detach", "--name", name, work.images.small, *_IDLE)


def logs(work: Work, record: Record) -> None:
    """All that a container has written in its life, of lines of 100 bytes."""
    script = f"yes {'x' * 99} | head -c {LOG_BYTES}"
    with work.container(work.images.small, "sh", "-c", script) as id:
        work.docker("wait", id)
        file = work.folder / "log"
        seconds = work.docker("logs", id, into=file)
        _check_size(file)
    record("docker logs of 100 MB", seconds)


def _check_size(file: Path) -> None:
    size = file.stat().st_size
    file.unlink()
    if size != LOG_BYTES:
        raise BenchError(f"docker logs: {size} of {LOG_BYTES} bytes")
