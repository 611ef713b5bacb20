"""A stack from nothing to nothing, and the reading of a large file."""

from __future__ import annotations

import http.client
import time
from pathlib import Path

from bench import stacks
from bench.peers import BenchError
from bench.work import REPEATS, Record, Work

CHAIN_LENGTH = 10
READ_COUNTS = (20, 200)
NOT_WARM = ", without the warm process"
_ANSWER_S = 10.0


def flat(work: Work, record: Record) -> None:
    """Services that know nothing of each other, in several counts."""
    for count in work.counts:
        file = work.stack(f"flat{count}", stacks.flat(count, work.images.small))
        _life(work, file, f"{count} services", stacks.ports(count), record)


def chain(work: Work, record: Record) -> None:
    """Services that start one after the other."""
    file = work.stack(f"chain{CHAIN_LENGTH}", stacks.chain(CHAIN_LENGTH, work.images.small))
    _life(work, file, f"chain of {CHAIN_LENGTH}", stacks.ports(CHAIN_LENGTH), record)


def _life(work: Work, file: Path, title: str, ports: range, record: Record) -> None:
    with work.down_on_failure(file):
        record(f"{title}: up", work.timed("up", file))
        _check_answers(ports)
        for verb in ("up", "diff", "ps", "config"):
            step = "up, nothing to do" if verb == "up" else verb
            record(f"{title}: {step}", work.timed(verb, file))
            record(f"{title}: {step}{NOT_WARM}", work.timed(verb, file, warm=False))
        record(f"{title}: down", work.timed("down", file))


def reading(work: Work, record: Record) -> None:
    """Files of many services, which are read and never run."""
    for count in READ_COUNTS:
        file = work.stack(f"described{count}", stacks.described(count, work.images.small))
        best = min(work.timed("config", file) for _ in range(REPEATS))
        record(f"config of a file of {count} services", best)


def _check_answers(ports: range) -> None:
    """A fast `up` whose services do not answer is not one."""
    for port in ports:
        deadline = time.monotonic() + _ANSWER_S
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
