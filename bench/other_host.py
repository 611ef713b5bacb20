"""Another host: a network namespace beside the benchmark's own, joined to it by a cable."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from bench.peers import output

_HERE, _THERE = "192.0.2.1", "192.0.2.2"
_LINK = "bench0"


@contextmanager
def client() -> Iterator[tuple[list[str], str]]:
    """How to run a program there, and the address at which it finds this host."""
    holder = subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "echo; exec sleep infinity"], stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout is not None
        holder.stdout.readline()  # it is in its namespace now
        there = ["nsenter", "--net", "--target", str(holder.pid)]
        _join(holder.pid, there)
        yield there, _HERE
    finally:
        holder.kill()
        holder.wait()
        subprocess.run(["ip", "link", "delete", _LINK], capture_output=True, check=False)


def _join(pid: int, there: list[str]) -> None:
    ip = ["ip", "-batch", "-"]
    here = [
        f"link add {_LINK} type veth peer name {_LINK} netns {pid}",
        f"address add {_HERE}/24 dev {_LINK}",
        f"link set {_LINK} up",
    ]
    beyond = ["link set lo up", f"address add {_THERE}/24 dev {_LINK}", f"link set {_LINK} up"]
    output(ip, stdin="\n".join(here))
    output([*there, *ip], stdin="\n".join(beyond))
